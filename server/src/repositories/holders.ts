/** Finds bytes by their checksum wherever the caller may read them. */
import type { Sha256 } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Asset } from '../core/repository.ts';
import { resolveSha1 } from '../db/blobs.ts';
import type { Database } from '../db/database.ts';
import { listHolders } from '../db/files.ts';
import type { RepositoryDirectory } from './directory.ts';

/** Files of the same bytes are looked through up to this many for one that may be read. */
const MAX_HOLDERS = 1000;

export interface WantedBytes {
  readonly sha256?: string | undefined;
  readonly sha1?: string | undefined;
}

/** A file with these bytes that the caller may read, in any repository; a SHA-1 that several blobs share finds none. */
export async function findHolder(
  { database, repositories }: { readonly database: Database; readonly repositories: RepositoryDirectory },
  principal: Principal,
  wanted: WantedBytes,
): Promise<Asset | undefined> {
  const holders = await database.read(async (db) => {
    const sha256 = wanted.sha256 ?? (wanted.sha1 === undefined ? undefined : await resolveSha1(db, wanted.sha1));
    return sha256 === undefined ? [] : listHolders(db, sha256 as Sha256, MAX_HOLDERS);
  });
  for (const { repo: key, path } of holders) {
    const repo = repositories.get(key, principal);
    if (!repo?.allows('read', path)) continue;
    const asset = await repo.get(path);
    if (asset && (wanted.sha256 === undefined || asset.sha256 === wanted.sha256)) return asset;
  }
  return undefined;
}
