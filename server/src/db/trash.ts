/** What lies in the trash can, by when it was deleted. */
import { joinPath, type RepoPath } from '../core/ids.ts';
import { chunks } from './blobs.ts';
import type { Db } from './database.ts';
import { getNodes } from './nodes.ts';

export interface Trashed {
  readonly id: number;
  readonly path: RepoPath;
  readonly folder: boolean;
}

/** The property that tells when an item was deleted, in milliseconds of the epoch. */
const TIME = 'trash.time';

function trashed(db: Db, repoId: number) {
  return db
    .selectFrom('property')
    .innerJoin('node', 'node.id', 'property.node_id')
    .select(['node.id', 'node.parent', 'node.name', 'node.folder', 'property.value'])
    .where('property.key', '=', TIME)
    .where('node.repo_id', '=', repoId);
}

/** Items that were deleted before the moment, the oldest first. All times have as many digits, so they sort as text. */
export async function listTrashedBefore(
  db: Db,
  repoId: number,
  moment: number,
  page: { readonly after: number; readonly limit: number },
): Promise<Trashed[]> {
  const rows = await trashed(db, repoId)
    .where('property.value', '<', String(moment))
    .where('node.id', '>', page.after)
    .orderBy('node.id')
    .limit(page.limit)
    .execute();
  return rows.map((row) => ({ id: row.id, path: joinPath(row.parent, row.name), folder: row.folder === 1 }));
}

/** Those of the items that were deleted at the moment or later. */
export async function listTrashedSince(
  db: Db,
  repoId: number,
  paths: readonly RepoPath[],
  moment: number,
): Promise<Set<RepoPath>> {
  const nodes = await getNodes(db, repoId, paths);
  const found = new Set<RepoPath>();
  for (const chunk of chunks([...nodes.values()].map(({ id }) => id))) {
    const rows = await trashed(db, repoId)
      .where('property.value', '>=', String(moment))
      .where('node.id', 'in', chunk)
      .execute();
    for (const row of rows) found.add(joinPath(row.parent, row.name));
  }
  return found;
}
