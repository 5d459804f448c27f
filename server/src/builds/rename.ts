/** Gives a build another name: in its documents, in their places, and at the files it made. */
import { isAppError } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import type { Repository } from '../core/repository.ts';
import type { RunRow } from '../db/builds.ts';
import { locateArtifacts } from './artifacts.ts';
import { type BuildDeps, eachRun, moveRun, requireDocument } from './builds.ts';

export interface Renaming {
  readonly repo: Repository;
  readonly principal: Principal;
  /** Called between runs; throws when the work must stop. */
  proceed(): Promise<void>;
}

/** Renames every run of the build, one change each; interrupted, it takes up the rest when it is called again. */
export async function renameBuild(deps: BuildDeps, renaming: Renaming, from: string, to: string): Promise<void> {
  if (from === to) return;
  for await (const run of eachRun(deps.database, renaming.repo, from)) {
    await renaming.proceed();
    await relabelArtifacts(deps, renaming, run, to);
    await moveRun(renaming.repo, run, (document) => ({ ...document, name: to }));
  }
}

/** The properties by which the files of a run are found. */
async function relabelArtifacts(
  deps: BuildDeps,
  { repo: from, principal }: Renaming,
  run: RunRow,
  to: string,
): Promise<void> {
  const { document } = await requireDocument(from, run);
  const { found } = await locateArtifacts(deps, principal, document);
  for (const { repo: key, path } of found) {
    const repo = deps.repositories.get(key, principal);
    const names = (await repo?.properties(path))?.['build.name'];
    if (!repo || !names?.includes(run.name)) continue;
    const set = { 'build.name': names.map((name) => (name === run.name ? to : name)) };
    try {
      await repo.change(path, (tree) => tree.annotate(path, { set }));
    } catch (error) {
      // The file may have gone meanwhile, or its repository take no changes now.
      if (!isAppError(error)) throw error;
    }
  }
}
