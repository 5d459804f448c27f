/** Removing runs of builds: those that are named, or those that a rule does not keep. */
import { AppError, isAppError } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import type { Repository } from '../core/repository.ts';
import type { RunRow } from '../db/builds.ts';
import { locateArtifacts } from './artifacts.ts';
import { type BuildDeps, eachRun, findRun, otherRequests, requireDocument, scopeOf } from './builds.ts';
import { parseMoment } from './dates.ts';
import type { Retention } from './document.ts';

/** Whose rights count, and where. */
export interface Removing {
  readonly repo: Repository;
  readonly principal: Principal;
  /** Removes the files that the build made as well, as far as the caller may. */
  readonly withArtifacts: boolean;
}

export interface Removed {
  readonly removed: readonly RunRow[];
  /** Numbers under which there was nothing to be removed. */
  readonly missing: readonly string[];
}

/** Runs of one transaction. */
const BATCH = 50;

/** Removes, for each of the numbers, its newest run. */
export async function removeNumbers(
  deps: BuildDeps,
  removing: Removing,
  build: { readonly name: string; readonly numbers: readonly string[] },
): Promise<Removed> {
  const runs: RunRow[] = [];
  const missing: string[] = [];
  for (const number of new Set(build.numbers)) {
    const run = await findRun(deps, removing.repo, { name: build.name, number });
    if (run) runs.push(run);
    else missing.push(number);
  }
  await removeRuns(deps, removing, runs);
  return { removed: runs, missing };
}

/** Removes every run of a build that the caller may read; returns how many there were. */
export async function removeBuild(deps: BuildDeps, removing: Removing, name: string): Promise<number> {
  const runs = await Array.fromAsync(eachRun(deps.database, removing.repo, name));
  await removeRuns(deps, removing, runs);
  return runs.length;
}

/**
 * Removes the runs that are too many or too old. Those that were promoted or are named as exempt stay, and do not use
 * up the count.
 */
export async function discardRuns(
  deps: BuildDeps,
  removing: Removing,
  name: string,
  rules: Retention,
): Promise<readonly RunRow[]> {
  const { count, before } = limitsOf(rules);
  const exempt = new Set(rules.buildNumbersNotToBeDiscarded ?? []);
  const discarded: RunRow[] = [];
  let kept = 0;
  for await (const run of eachRun(deps.database, removing.repo, name)) {
    if (run.promoted || exempt.has(run.number)) continue;
    kept += 1;
    if (kept > count || run.startedAt < before) discarded.push(run);
  }
  await removeRuns(deps, { ...removing, withArtifacts: rules.deleteBuildArtifacts === true }, discarded);
  return discarded;
}

/** What the rules say; `invalid` when they say nothing. Clients send -1 for a count they have none for. */
export function limitsOf({ count = -1, minimumBuildDate }: Retention): { count: number; before: number } {
  const before = minimumBuildDate === undefined ? undefined : parseDay(minimumBuildDate);
  if (count > 0 || (count === -1 && before !== undefined)) {
    return { count: count > 0 ? count : Number.POSITIVE_INFINITY, before: before ?? Number.NEGATIVE_INFINITY };
  }
  throw new AppError('invalid', 'Max count retention needs to be a positive number');
}

function parseDay(value: string | number): number {
  if (typeof value === 'number') return value;
  return /^\d{1,15}$/.test(value) ? Number(value) : parseMoment(value).getTime();
}

/** Removes documents with their rows, some at a time; what was removed stays so when a later one fails. */
async function removeRuns(deps: BuildDeps, removing: Removing, runs: readonly RunRow[]): Promise<void> {
  const { repo } = removing;
  for (const run of runs) repo.require('delete', run.path);
  for (let start = 0; start < runs.length; start += BATCH) {
    const batch = runs.slice(start, start + BATCH);
    if (removing.withArtifacts) for (const run of batch) await removeArtifacts(deps, removing, run);
    const [first] = batch;
    if (!first) return;
    await repo.change(scopeOf(first), async (tree) => {
      for (const { path } of batch) await tree.delete(path);
    });
    await otherRequests();
  }
}

/** Removes the files of a run. What another build put in their place, or may not be removed by the caller, stays. */
async function removeArtifacts(deps: BuildDeps, { repo: from, principal }: Removing, run: RunRow): Promise<void> {
  const { document } = await requireDocument(from, run);
  const { found } = await locateArtifacts(deps, principal, document);
  for (const { repo: key, path } of found) {
    const repo = deps.repositories.get(key, principal);
    if (!repo?.allows('delete', path)) continue;
    const properties = await repo.properties(path);
    const isOurs = properties['build.name']?.includes(run.name) && properties['build.number']?.includes(run.number);
    if (!isOurs) continue;
    try {
      await repo.change(path, (tree) => tree.delete(path));
    } catch (error) {
      // A repository that takes no changes now keeps its files; the run goes all the same.
      if (!isAppError(error)) throw error;
    }
  }
}
