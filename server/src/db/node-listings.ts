/** Reading the file tree for people: folders, everything below one, and how much there is. */
import { joinPath, type RepoPath, type Sha256, splitPath } from '../core/ids.ts';
import type { Descendant, DescendantPage, Folder } from '../core/repository.ts';
import type { Db } from './database.ts';
import { endsKey, gathered } from './gathered.ts';

const selectFolder = gathered(['bigint', 'text', 'text'], (db, repoId: number, parent: string, name: string) =>
  db
    .selectFrom('node')
    .select(['created_at', 'created_by', 'modified_at', 'modified_by'])
    .where('repo_id', '=', repoId)
    .where('parent', '=', parent)
    .where(endsKey(db, 'name', name))
    .where('folder', '=', 1),
);

export async function getFolder(db: Db, repoId: number, path: RepoPath): Promise<Folder | undefined> {
  const { parent, name } = splitPath(path);
  const row = await selectFolder.one(db, repoId, parent, name);
  return (
    row && {
      path,
      createdAt: new Date(row.created_at),
      createdBy: row.created_by,
      modifiedAt: new Date(row.modified_at),
      modifiedBy: row.modified_by,
    }
  );
}

/**
 * Everything at any depth below a folder, by parent and name. What lies in the folder itself comes first; all deeper
 * parents are one range of the index. Each query starts where the page does, so no page walks over earlier ones.
 */
export async function listDescendants(
  db: Db,
  repoId: number,
  folder: RepoPath,
  { after, limit }: { readonly after?: RepoPath; readonly limit: number },
): Promise<DescendantPage> {
  const from = after === undefined ? { parent: folder, name: '' } : splitPath(after);
  const siblings = await descendants(db, repoId)
    .where('node.parent', '=', from.parent)
    .where('node.name', '>', from.name)
    .limit(limit)
    .execute();
  const found = siblings.map(descendant);
  if (found.length < limit) {
    const start = folder === '' ? '' : `${folder}/`;
    let query = descendants(db, repoId)
      .where('node.parent', '>', from.parent === folder ? start : from.parent)
      .limit(limit - found.length);
    if (folder !== '') query = query.where('node.parent', '<', `${folder}0`);
    found.push(...(await query.execute()).map(descendant));
  }
  return { found, next: found.length < limit ? undefined : found.at(-1)?.path };
}

function descendants(db: Db, repoId: number) {
  return db
    .selectFrom('node')
    .leftJoin('blob', 'blob.sha256', 'node.sha256')
    .select(['node.parent', 'node.name', 'node.folder', 'node.size', 'node.modified_at', 'node.sha256', 'blob.sha1'])
    .where('node.repo_id', '=', repoId)
    .orderBy('node.parent')
    .orderBy('node.name');
}

function descendant(row: Awaited<ReturnType<ReturnType<typeof descendants>['execute']>>[number]): Descendant {
  return {
    path: joinPath(row.parent, row.name),
    folder: row.folder === 1,
    size: row.size,
    modifiedAt: new Date(row.modified_at),
    sha256: (row.sha256 ?? undefined) as Sha256 | undefined,
    sha1: row.sha1 ?? undefined,
  };
}

export interface NodeCount {
  readonly repoId: number;
  readonly folder: boolean;
  readonly count: number;
  readonly sizeBytes: number;
}

/** Counts up to `limit` nodes by repository, in the order of their ids; `last` is where the next call goes on. */
export async function countNodes(
  db: Db,
  after: number,
  limit: number,
): Promise<{ readonly counts: readonly NodeCount[]; readonly last: number | undefined }> {
  const rows = await db
    .selectFrom((from) =>
      from
        .selectFrom('node')
        .select(['id', 'repo_id', 'folder', 'size'])
        .where('id', '>', after)
        .orderBy('id')
        .limit(limit)
        .as('page'),
    )
    .select(({ fn }) => [
      'repo_id',
      'folder',
      fn.countAll<number>().as('count'),
      fn.sum<number>('size').as('bytes'),
      fn.max('id').as('last'),
    ])
    .groupBy(['repo_id', 'folder'])
    .execute();
  const counts = rows.map((row) => ({
    repoId: row.repo_id,
    folder: row.folder === 1,
    count: Number(row.count),
    sizeBytes: Number(row.bytes),
  }));
  const last = rows.length === 0 ? undefined : Math.max(...rows.map((row) => Number(row.last)));
  return { counts, last };
}

/** Counts up to `limit` blobs in the order of their digests. */
export async function countBlobs(
  db: Db,
  after: string,
  limit: number,
): Promise<{ readonly count: number; readonly sizeBytes: number; readonly last: string | undefined }> {
  const row = await db
    .selectFrom((from) =>
      from
        .selectFrom('blob')
        .select(['sha256', 'size'])
        .where('sha256', '>', after)
        .orderBy('sha256')
        .limit(limit)
        .as('page'),
    )
    .select(({ fn }) => [
      fn.countAll<number>().as('count'),
      fn.sum<number | null>('size').as('bytes'),
      fn.max<string | null>('sha256').as('last'),
    ])
    .executeTakeFirstOrThrow();
  return { count: Number(row.count), sizeBytes: Number(row.bytes ?? 0), last: row.last ?? undefined };
}
