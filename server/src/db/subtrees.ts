/** Walking over everything below a folder, a page at a time. */
import { type SqlBool, sql } from 'kysely';
import { joinPath, type RepoPath, type Sha256, splitPath } from '../core/ids.ts';
import { chunks, reviewBlobs } from './blobs.ts';
import { below, type Db, lockTree, type Tx } from './database.ts';

/** A row of the tree with all that a copy of it takes along. */
export interface SubtreeNode {
  readonly id: number;
  readonly path: RepoPath;
  readonly folder: boolean;
  readonly sha256: Sha256 | undefined;
  readonly size: number;
  readonly mediaType: string | undefined;
  readonly package: string | undefined;
  readonly etag: string | undefined;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly modifiedAt: number;
  readonly modifiedBy: string;
  readonly originalSha1: string | null;
  readonly originalMd5: string | null;
}

const COLUMNS = [
  'id',
  'parent',
  'name',
  'folder',
  'sha256',
  'size',
  'media_type',
  'package',
  'etag',
  'created_at',
  'created_by',
  'modified_at',
  'modified_by',
  'original_sha1',
  'original_md5',
] as const;

function rows(db: Db, repoId: number) {
  return db.selectFrom('node').select(COLUMNS).where('repo_id', '=', repoId);
}

type Row = Awaited<ReturnType<ReturnType<typeof rows>['execute']>>[number];

function subtreeNode(row: Row): SubtreeNode {
  return {
    id: row.id,
    path: joinPath(row.parent, row.name),
    folder: row.folder === 1,
    sha256: (row.sha256 ?? undefined) as Sha256 | undefined,
    size: row.size,
    mediaType: row.media_type ?? undefined,
    package: row.package ?? undefined,
    etag: row.etag ?? undefined,
    createdAt: row.created_at,
    createdBy: row.created_by,
    modifiedAt: row.modified_at,
    modifiedBy: row.modified_by,
    originalSha1: row.original_sha1,
    originalMd5: row.original_md5,
  };
}

/** The item at the path itself; the root of a repository has no row. */
export async function getSubtreeNode(db: Db, repoId: number, path: RepoPath): Promise<SubtreeNode | undefined> {
  if (path === '') return undefined;
  const { parent, name } = splitPath(path);
  const row = await rows(db, repoId).where('parent', '=', parent).where('name', '=', name).executeTakeFirst();
  return row && subtreeNode(row);
}

export interface SubtreePage {
  readonly after: RepoPath | undefined;
  readonly limit: number;
  /** Files directly in the folder alone. */
  readonly shallow?: boolean | undefined;
}

/**
 * What lies below a folder at any depth, by parent and name, a folder before what is in it. No page walks over what
 * earlier ones have shown, nor over more than it gives: who wants only files or folders picks them out.
 */
export async function listSubtree(
  db: Db,
  repoId: number,
  folder: RepoPath,
  { after, limit, shallow }: SubtreePage,
): Promise<SubtreeNode[]> {
  const from = after === undefined ? { parent: folder, name: '' } : splitPath(after);
  const wanted = () => rows(db, repoId).orderBy('parent').orderBy('name');
  let beside = wanted().where('parent', '=', from.parent).where('name', '>', from.name).limit(limit);
  if (shallow) beside = beside.where('folder', '=', 0);
  const found = await beside.execute();
  if (found.length < limit && !shallow) {
    const start = folder === '' ? '' : `${folder}/`;
    let deeper = wanted()
      .where('parent', '>', from.parent === folder ? start : from.parent)
      .limit(limit - found.length);
    if (folder !== '') deeper = deeper.where('parent', '<', `${folder}0`);
    found.push(...(await deeper.execute()));
  }
  return found.map(subtreeNode);
}

/** How many nodes lie below the folder, counted up to `limit`. */
export async function countSubtree(db: Db, repoId: number, folder: RepoPath, limit: number): Promise<number> {
  const row = await db
    .selectFrom((from) =>
      from
        .selectFrom('node')
        .select('id')
        .where('repo_id', '=', repoId)
        .where(below('parent', folder))
        .limit(limit)
        .as('page'),
    )
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** Removes up to `limit` nodes below the folder; returns how many, and the digests that lost a reference. */
export async function deleteSubtreePage(
  tx: Tx,
  repoId: number,
  folder: RepoPath,
  limit: number,
): Promise<{ readonly nodes: number; readonly sha256: readonly Sha256[] }> {
  const found = await tx
    .selectFrom('node')
    .select(['id', 'sha256'])
    .where('repo_id', '=', repoId)
    .where(below('parent', folder))
    .limit(limit)
    .execute();
  await deleteNodesById(
    tx,
    found.map(({ id }) => id),
  );
  return { nodes: found.length, sha256: found.flatMap((row) => (row.sha256 === null ? [] : [row.sha256 as Sha256])) };
}

/** Removes nodes; what they hold is looked at for references from the moment on, in epoch milliseconds. */
export async function removeNodes(
  tx: Tx,
  nodes: readonly Pick<SubtreeNode, 'id' | 'sha256'>[],
  reviewAfter: number,
): Promise<void> {
  await deleteNodesById(
    tx,
    nodes.map(({ id }) => id),
  );
  await reviewBlobs(
    tx,
    nodes.flatMap(({ sha256 }) => sha256 ?? []),
    reviewAfter,
  );
}

export async function deleteNodesById(tx: Tx, ids: readonly number[]): Promise<void> {
  for (const chunk of chunks(ids)) await tx.deleteFrom('node').where('id', 'in', chunk).execute();
}

/**
 * Removes those folders below a folder in which nothing lies, the deepest first, a page at a time; returns where the
 * next page starts, undefined after the last.
 */
export async function deleteEmptyFolders(
  tx: Tx,
  repoId: number,
  folder: RepoPath,
  page: {
    readonly before: RepoPath | undefined;
    readonly limit: number;
    accept(path: RepoPath, id: number): Promise<boolean>;
  },
): Promise<{ readonly next: RepoPath | undefined; readonly removed: number }> {
  let query = tx
    .selectFrom('node')
    .select(['id', 'parent', 'name', 'folder'])
    .where('repo_id', '=', repoId)
    .where(below('parent', folder))
    .orderBy('parent', 'desc')
    .orderBy('name', 'desc')
    .limit(page.limit);
  if (page.before !== undefined) {
    const { parent, name } = splitPath(page.before);
    query = query.where(sql<SqlBool>`(parent, name) < (${parent}, ${name})`);
  }
  const found = await query.execute();
  let removed = 0;
  for (const row of found) {
    const path = joinPath(row.parent, row.name);
    if (row.folder !== 1 || !(await page.accept(path, row.id))) continue;
    removed += (await deleteFolderIfEmpty(tx, repoId, row.id, path)) ? 1 : 0;
  }
  const last = found.at(-1);
  return { next: last && found.length === page.limit ? joinPath(last.parent, last.name) : undefined, removed };
}

/** Removes the folder unless something lies in it. */
export async function deleteFolderIfEmpty(tx: Tx, repoId: number, id: number, path: RepoPath): Promise<boolean> {
  const removed = await tx
    .deleteFrom('node')
    .where('id', '=', id)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('node as child').select('id').where('repo_id', '=', repoId).where('parent', '=', path))),
    )
    .executeTakeFirst();
  return removed.numDeletedRows > 0n;
}

type FolderRow = Pick<SubtreeNode, 'id' | 'path'>;

/** Whether folders lie directly in the folder. */
export async function hasFolders(db: Db, repoId: number, folder: RepoPath): Promise<boolean> {
  const inside = db.selectFrom('node').select('id').where('repo_id', '=', repoId).where('parent', '=', folder);
  return (await inside.where('folder', '=', 1).limit(1).executeTakeFirst()) !== undefined;
}

/**
 * Removes the files directly in a folder, however many, and the folder unless more lies in it; what they hold is looked
 * at for references from the moment on. Nobody puts anything into the folder meanwhile.
 */
export async function deleteFilesIn(tx: Tx, repoId: number, folder: FolderRow, reviewAfter: number): Promise<void> {
  await lockTree(tx, repoId, 'exclusive');
  const inside = rows(tx, repoId).where('parent', '=', folder.path).where('folder', '=', 0);
  await removeNodes(tx, (await inside.execute()).map(subtreeNode), reviewAfter);
  await deleteFolderIfEmpty(tx, repoId, folder.id, folder.path);
}

/** Takes the files directly in a folder to another one, where nothing of their names lies. */
export async function moveFilesIn(tx: Tx, repoId: number, folder: RepoPath, to: RepoPath): Promise<void> {
  const inside = tx.updateTable('node').set({ parent: to }).where('repo_id', '=', repoId).where('parent', '=', folder);
  await inside.where('folder', '=', 0).execute();
}

/** Gives a folder another free path whose folders exist; what lies in it is not taken along. */
export async function renameFolder(tx: Tx, id: number, to: RepoPath): Promise<void> {
  await tx.updateTable('node').set(splitPath(to)).where('id', '=', id).execute();
}
