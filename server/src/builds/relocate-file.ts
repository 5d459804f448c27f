/** Moves or copies one file of a build, with its properties and those the promotion adds. */
import { AppError } from '../core/errors.ts';
import { clip, joinPath } from '../core/ids.ts';
import type { BuildDeps } from './builds.ts';
import type { RelocateFile } from './promotion.ts';

/** The file is at its target before it leaves its source: cut in between, it is in both, and the next attempt goes on. */
export function relocateFileOf({ repositories }: Pick<BuildDeps, 'repositories'>): RelocateFile {
  return async ({ principal, from, to, copy, dryRun, properties }) => {
    const source = repositories.get(from.repo, principal);
    const target = repositories.get(to.repo, principal);
    const asset = await source?.get(from.path);
    if (!source || !target || !asset) {
      throw new AppError('not_found', `There is no file "${clip(joinPath(from.repo, from.path), 300)}".`);
    }
    if (!copy) source.require('delete', from.path);
    target.require('deploy', to.path);
    if (dryRun) return [];
    const all = { ...(await source.properties(from.path)), ...properties };
    const deposit = { content: asset, mediaType: asset.mediaType, properties: all };
    await target.change(to.path, (tree) => tree.put(new Map([[to.path, deposit]])));
    if (!copy) await source.change(from.path, (tree) => tree.delete(from.path));
    return [];
  };
}
