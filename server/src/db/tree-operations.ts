/** Rows of operations on the tree that take more than one transaction, and of folders to be pruned. */
import { type RepoPath, splitPath } from '../core/ids.ts';
import type { Db, Tx } from './database.ts';
import { prepared } from './prepared.ts';
import type { TreeOperationTable } from './schema.ts';

export interface TreeOperation {
  readonly id: number;
  readonly kind: TreeOperationTable['kind'];
  readonly repoId: number;
  readonly path: RepoPath;
  readonly hides: boolean;
  readonly request: unknown;
  readonly state: TreeOperationTable['state'];
  readonly result: unknown;
  readonly items: number;
  readonly createdAt: number;
  readonly createdBy: string;
}

export type NewTreeOperation = Pick<
  TreeOperation,
  'kind' | 'repoId' | 'path' | 'hides' | 'request' | 'createdAt' | 'createdBy'
>;

export async function insertTreeOperation(tx: Tx, operation: NewTreeOperation): Promise<number> {
  const row = await tx
    .insertInto('tree_operation')
    .values({
      kind: operation.kind,
      repo_id: operation.repoId,
      path: operation.path,
      hides: operation.hides ? 1 : 0,
      request: JSON.stringify(operation.request),
      state: 'running',
      result: null,
      items: 0,
      created_at: operation.createdAt,
      created_by: operation.createdBy,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return row.id;
}

export async function getTreeOperation(db: Db, id: number): Promise<TreeOperation | undefined> {
  const row = await db.selectFrom('tree_operation').selectAll().where('id', '=', id).executeTakeFirst();
  return row && operation(row);
}

/** Those that are not done, oldest first; there are never many. */
export async function listRunningOperations(db: Db): Promise<TreeOperation[]> {
  const rows = await db
    .selectFrom('tree_operation')
    .selectAll()
    .where('state', '=', 'running')
    .orderBy('id')
    .limit(1000)
    .execute();
  return rows.map(operation);
}

function operation(row: { [K in keyof TreeOperationTable]: K extends 'id' ? number : TreeOperationTable[K] }) {
  return {
    id: row.id,
    kind: row.kind,
    repoId: row.repo_id,
    path: row.path as RepoPath,
    hides: row.hides === 1,
    request: JSON.parse(row.request) as unknown,
    state: row.state,
    result: row.result === null ? undefined : (JSON.parse(row.result) as unknown),
    items: row.items,
    createdAt: row.created_at,
    createdBy: row.created_by,
  };
}

const selectHidden = prepared(1, (db, repoId: number) =>
  db.selectFrom('tree_operation').select(['id', 'path']).where('repo_id', '=', repoId).where('hides', '=', 1),
);

/** Paths of the repository that are on their way out, with the operations that take them. */
export async function listHidden(
  db: Db,
  repoId: number,
): Promise<readonly { readonly id: number; readonly path: RepoPath }[]> {
  return (await selectHidden(db, repoId)).map((row) => ({ id: row.id, path: row.path as RepoPath }));
}

export async function countItems(tx: Tx, id: number, items: number): Promise<void> {
  await tx
    .updateTable('tree_operation')
    .set((eb) => ({ items: eb('items', '+', items) }))
    .where('id', '=', id)
    .execute();
}

/** Leaves the result for whoever waits; what it hid may be used again. */
export async function finishOperation(tx: Tx, id: number, result: unknown): Promise<void> {
  await tx
    .updateTable('tree_operation')
    .set({ state: 'done', hides: 0, result: JSON.stringify(result) })
    .where('id', '=', id)
    .execute();
}

export async function deleteOperation(tx: Tx, id: number): Promise<void> {
  await tx.deleteFrom('tree_operation').where('id', '=', id).execute();
}

/** Forgets results that nobody fetched. */
export async function deleteDoneOperations(tx: Tx, createdBefore: number): Promise<void> {
  await tx.deleteFrom('tree_operation').where('state', '=', 'done').where('created_at', '<', createdBefore).execute();
}

/** Remembers folders out of which something went. */
export async function noteLeft(tx: Tx, repoId: number, folders: Iterable<RepoPath>): Promise<void> {
  const rows = [...new Set(folders)].filter((path) => path !== '').map((path) => ({ repo_id: repoId, path }));
  if (rows.length === 0) return;
  await tx
    .insertInto('empty_folder')
    .values(rows)
    .onConflict((conflict) => conflict.columns(['repo_id', 'path']).doNothing())
    .execute();
}

/** Somebody asked for the folder itself: it stays, empty or not. */
export async function forgetLeft(tx: Tx, repoId: number, path: RepoPath): Promise<void> {
  await tx.deleteFrom('empty_folder').where('repo_id', '=', repoId).where('path', '=', path).execute();
}

export async function listLeft(
  db: Db,
  limit: number,
): Promise<readonly { readonly repoId: number; readonly path: RepoPath }[]> {
  const rows = await db
    .selectFrom('empty_folder')
    .selectAll()
    .orderBy('repo_id')
    .orderBy('path', 'desc')
    .limit(limit)
    .execute();
  return rows.map((row) => ({ repoId: row.repo_id, path: row.path as RepoPath }));
}

/**
 * Removes the folder if nothing lies in it and nobody gave it properties, and asks for the one above it to be looked at
 * next; true if it did.
 */
export async function pruneFolder(tx: Tx, repoId: number, path: RepoPath): Promise<boolean> {
  await forgetLeft(tx, repoId, path);
  const { parent, name } = splitPath(path);
  const removed = await tx
    .deleteFrom('node')
    .where('repo_id', '=', repoId)
    .where('parent', '=', parent)
    .where('name', '=', name)
    .where('folder', '=', 1)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('node as child').select('id').where('repo_id', '=', repoId).where('parent', '=', path))),
    )
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('property').select('node_id').whereRef('node_id', '=', 'node.id'))),
    )
    .executeTakeFirst();
  if (removed.numDeletedRows === 0n) return false;
  await noteLeft(tx, repoId, [parent]);
  return true;
}
