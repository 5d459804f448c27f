/** Files that builds made or used: found by their bytes, and by the properties that name the build. */
import { joinPath, type RepoKey, type RepoPath, type Sha256 } from '../core/ids.ts';
import type { Db } from './database.ts';

/** Where bytes lie. */
export interface HolderRow {
  readonly repo: RepoKey;
  readonly path: RepoPath;
  readonly sha256: Sha256;
}

/** Files with these bytes, of the build where one is given, by repository and path. */
export async function listHoldersOf(
  db: Db,
  bytes: { readonly algorithm: 'sha1' | 'sha256'; readonly hex: string },
  build: { readonly name: string; readonly number: string } | undefined,
  limit: number,
): Promise<HolderRow[]> {
  let query = db
    .selectFrom('blob')
    .innerJoin('node', 'node.sha256', 'blob.sha256')
    .innerJoin('repository', 'repository.id', 'node.repo_id')
    .select(['repository.key', 'node.parent', 'node.name', 'blob.sha256'])
    .where(`blob.${bytes.algorithm}`, '=', bytes.hex)
    .orderBy('repository.key')
    .orderBy('node.parent')
    .orderBy('node.name')
    .limit(limit);
  // Bytes have few holders; what carries the name of a build can be a million files.
  for (const [key, value] of build
    ? [['build.name', build.name] as const, ['build.number', build.number] as const]
    : []) {
    query = query.where((eb) =>
      eb.exists(
        eb
          .selectFrom('property')
          .select('property.node_id')
          .whereRef('property.node_id', '=', 'node.id')
          .where('property.key', '=', key)
          .where('property.value', '=', value),
      ),
    );
  }
  const rows = await query.execute();
  return rows.map((row) => ({
    repo: row.key as RepoKey,
    path: joinPath(row.parent, row.name),
    sha256: row.sha256 as Sha256,
  }));
}
