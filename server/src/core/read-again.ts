/** Reading again what lies in a repository already, for indexes that are to know what came by other ways. */
import { AppError } from './errors.ts';
import { type Ingested, UNINDEXED } from './format.ts';
import type { Properties, RepoPath } from './ids.ts';
import type { Action } from './principal.ts';
import type { ProtocolRequest } from './protocol.ts';
import type { Asset, Repository } from './repository.ts';

const PAGE = 200;
const RIGHT: Action = 'manage';
/** Files of one package that have the same bytes are looked through up to this many. */
const MAX_HOLDERS = 200;

/**
 * Calls `visit` for each file at any depth below the folder, one after the other, and counts those for which it returns
 * true; ends when the client leaves. `manages` is the path that the caller has to manage. `not_supported` for
 * repositories that have no `what` of their own.
 */
export async function visitFiles(
  { signal }: Pick<ProtocolRequest, 'signal'>,
  repo: Repository,
  { folder, manages, what }: { readonly folder: RepoPath; readonly manages: RepoPath; readonly what: string },
  visit: (path: RepoPath) => Promise<boolean>,
): Promise<number> {
  if (repo.rclass !== 'local' && repo.rclass !== 'federated') {
    throw new AppError('not_supported', `"${repo.key}" is not a local repository, so it has no ${what} of its own.`);
  }
  repo.require(RIGHT, manages);
  let count = 0;
  for (let after: RepoPath | undefined; ; ) {
    const { found, next } = await repo.descendants(folder, { limit: PAGE, ...(after !== undefined && { after }) });
    for (const node of found) {
      signal.throwIfAborted();
      if (!node.folder && (await visit(node.path))) count += 1;
    }
    if (next === undefined) return count;
    after = next;
  }
}

/** Gives a file the row that was read of it, or brings the one it has up to date; false where it has other bytes by now. */
export function enterIndex(
  repo: Repository,
  asset: Asset,
  known: Properties,
  { version, properties, mediaType }: Ingested & { readonly version: NonNullable<Ingested['version']> },
): Promise<boolean> {
  const { path, sha256 } = asset;
  const name = version.package;
  return repo.change(name, async (tree) => {
    if ((await tree.get(path))?.sha256 !== sha256) return false;
    const rows = await tree.versionsOf(name, sha256, MAX_HOLDERS);
    if (rows.some((row) => row.path === path)) await tree.describe(path, version.metadata, properties);
    else {
      const deposit = {
        content: asset,
        mediaType: mediaType ?? asset.mediaType,
        package: name,
        properties: { ...known, ...properties, [UNINDEXED]: [] },
        version,
      };
      await tree.put(new Map([[path, deposit]]));
    }
    return true;
  });
}
