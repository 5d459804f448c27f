/** Deleting files, folders and what a repository holds: into the trash can where there is one, at any size. */
import { AppError, isAppError } from '../core/errors.ts';
import { clip, joinPath, type RepoPath } from '../core/ids.ts';
import { isAdmin, type Principal } from '../core/principal.ts';
import { TRASH_KEY } from '../core/system-repositories.ts';
import { type Db, lockTree, type Tx } from '../db/database.ts';
import type { RepositoryRow } from '../db/repositories.ts';
import { countSubtree, getSubtreeNode, listSubtree, removeNodes, type SubtreeNode } from '../db/subtrees.ts';
import { type DeleteRequest, SYSTEM, type TreeOperations } from './operations.ts';
import { noteSourceLeft, startProgress, type Transfer, type TransferEnd, transferPage } from './transfer.ts';

export interface DeletionDeps {
  readonly operations: TreeOperations;
  readonly trash: { readonly enabled: boolean };
}

/** What is treated within one transaction, in a few milliseconds; more becomes an operation of many pages. */
export const SMALL = 300;
const LOOK_PAGE = 500;

export interface Deletion {
  readonly principal: Principal;
  readonly repo: string;
  readonly path: RepoPath;
  /** It goes with this file, of which it says something: only if it is a file itself, and that one is still gone. */
  readonly saidOf?: RepoPath;
}

/**
 * Deletes a file, or a folder or repository with all it holds, if the caller may delete every part of it. From the
 * moment this returns, nobody sees any of it, however many there are. `not_found` where there is nothing.
 */
export async function deleteItem(deps: DeletionDeps, { principal, repo, path, saidOf }: Deletion): Promise<void> {
  const { repositories, database, veils } = deps.operations.deps;
  const opened = repositories.open(repo, principal);
  if (!opened) throw missing(repo, path);
  const end: TransferEnd = { repoId: opened.row.id, key: opened.row.key, path, access: opened.access };
  end.access.require(path === '' ? 'manage' : 'delete', path);
  if (path === '' && !isAdmin(principal)) {
    throw new AppError('forbidden', `Only an administrator may delete all that the repository "${end.key}" holds.`);
  }
  const top = await database.read((db) => getSubtreeNode(db, end.repoId, path));
  if (path !== '' && (!top || veils.hides(end.repoId, path))) throw missing(repo, path);
  if (saidOf !== undefined && top?.folder) return;
  const inside = top && !top.folder ? 0 : await database.read((db) => countSubtree(db, end.repoId, path, SMALL + 1));
  const transfer = trashTransfer(deps, end, opened.row);
  if (inside <= SMALL) {
    await veils.behind(() => deleteSmall(deps, end, transfer, saidOf));
    if (top && !top.folder) await deleteAttached(deps, { principal, end, packageType: opened.row.packageType });
    return;
  }
  await requireAll(deps, end);
  await veils.behind(() => deleteLarge(deps, end, transfer));
}

/** What lies beside a file that is gone and is of no use without it; what the caller may not delete stays. */
async function deleteAttached(
  deps: DeletionDeps,
  { principal, end, packageType }: { principal: Principal; end: TransferEnd; packageType: string },
): Promise<void> {
  for (const path of deps.operations.formatOf(packageType)?.attached?.(end.path) ?? []) {
    if (!end.access.allows('delete', path)) continue;
    await deleteItem(deps, { principal, repo: end.key, path, saidOf: end.path }).catch((error: unknown) => {
      if (!isAppError(error, 'not_found')) throw error;
    });
  }
}

/** How the deletion goes into the trash can; undefined where it is for good. */
function trashTransfer(
  deps: DeletionDeps,
  end: TransferEnd,
  { packageType, rclass }: Pick<RepositoryRow, 'packageType' | 'rclass'>,
): Transfer | undefined {
  // What came from an upstream comes from there again.
  if (!deps.trash.enabled || end.key === TRASH_KEY || rclass === 'remote') return undefined;
  const { repositories, reviewDelayMs } = deps.operations.deps;
  const trash = repositories.open(TRASH_KEY, SYSTEM);
  if (!trash) return undefined;
  const path = joinPath(end.key, end.path);
  return {
    from: end,
    to: { repoId: trash.row.id, key: TRASH_KEY, path, access: trash.access },
    mode: 'trash',
    format: deps.operations.formatOf(packageType),
    properties: {},
    at: Date.now(),
    reviewDelayMs,
  };
}

async function deleteSmall(
  deps: DeletionDeps,
  end: TransferEnd,
  transfer: Transfer | undefined,
  saidOf: RepoPath | undefined,
): Promise<void> {
  const { database, veils, events, reviewDelayMs } = deps.operations.deps;
  const { repoId, key, path, access } = end;
  await database.transaction(async (tx) => {
    await lockTree(tx, repoId, 'exclusive');
    await veils.requireFree(tx, repoId, [path]);
    const top = await getSubtreeNode(tx, repoId, path);
    if (!top && path !== '') throw missing(key, path);
    if (saidOf !== undefined && (top?.folder || (await getSubtreeNode(tx, repoId, saidOf)))) return;
    const inside = top && !top.folder ? [] : await listAll(tx, repoId, path);
    for (const node of inside) requireDelete(end, node);
    if (transfer) {
      const progress = startProgress();
      while (progress.phase !== 'done') await transferPage({ veils }, tx, transfer, progress);
    } else {
      const nodes = top ? [...inside, top] : inside;
      await removeNodes(tx, nodes, Date.now() + reviewDelayMs);
    }
    await noteSourceLeft(tx, { from: end, mode: 'move' });
    await events.append(tx, [{ type: 'artifact.deleted', repo: key, path }], access.principalName);
  });
}

async function deleteLarge(deps: DeletionDeps, end: TransferEnd, transfer: Transfer | undefined): Promise<void> {
  const { database, veils, events } = deps.operations.deps;
  const { repoId, key, path, access } = end;
  const request: DeleteRequest = { repo: key, ...(transfer && { trash: transfer.to.path }) };
  await database.transaction(async (tx) => {
    await lockTree(tx, repoId, 'exclusive');
    await veils.requireFree(tx, repoId, [path]);
    await deps.operations.begin(tx, {
      kind: 'delete',
      repoId,
      path,
      hides: true,
      request,
      createdAt: transfer?.at ?? Date.now(),
      createdBy: access.principalName,
    });
    await events.append(tx, [{ type: 'artifact.deleted', repo: key, path }], access.principalName);
  });
}

async function listAll(db: Db | Tx, repoId: number, path: RepoPath): Promise<SubtreeNode[]> {
  const all: SubtreeNode[] = [];
  for (let after: RepoPath | undefined; ; ) {
    const page = await listSubtree(db, repoId, path, { after, limit: LOOK_PAGE });
    all.push(...page);
    after = page.at(-1)?.path;
    if (page.length < LOOK_PAGE) return all;
  }
}

/** Looks at every part before anything goes. */
async function requireAll(deps: DeletionDeps, end: TransferEnd): Promise<void> {
  const { database } = deps.operations.deps;
  for (let after: RepoPath | undefined; ; ) {
    const from = after;
    const page = await database.read((db) => listSubtree(db, end.repoId, end.path, { after: from, limit: LOOK_PAGE }));
    for (const node of page) requireDelete(end, node);
    after = page.at(-1)?.path;
    if (page.length < LOOK_PAGE) return;
    await new Promise(setImmediate);
  }
}

/** The refusal names a part only to who may know of it. */
function requireDelete({ access, key, path }: TransferEnd, node: SubtreeNode): void {
  if (access.allows('delete', node.path)) return;
  if (node.folder || access.allows('read', node.path)) {
    // A folder goes when all that is in it may go.
    if (node.folder) return;
    access.require('delete', node.path);
  }
  throw new AppError(
    'forbidden',
    `"${clip(joinPath(key, path), 300)}" holds something that you may not delete, so it cannot be deleted as a whole.`,
  );
}

function missing(repo: string, path: RepoPath): AppError {
  return new AppError('not_found', `Artifact deletion error: Item ${clip(joinPath(repo, path), 300)} does not exist`);
}
