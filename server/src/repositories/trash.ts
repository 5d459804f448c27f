/** The trash can: taking things out of it, back to where they were or for good. */
import { AppError } from '../core/errors.ts';
import { clip, joinPath, parseRepoPath, type RepoKey, type RepoPath, ROOT } from '../core/ids.ts';
import { isAdmin, type Principal } from '../core/principal.ts';
import { TRASH_KEY } from '../core/system-repositories.ts';
import { reviewBlobs } from '../db/blobs.ts';
import { lockTree, type Tx } from '../db/database.ts';
import { getProperties } from '../db/properties.ts';
import {
  countSubtree,
  deleteEmptyFolders,
  deleteFolderIfEmpty,
  deleteNodesById,
  getSubtreeNode,
  listSubtree,
  removeNodes,
} from '../db/subtrees.ts';
import { dropProperties } from '../db/transfers.ts';
import { listTrashedBefore, listTrashedSince, type Trashed } from '../db/trash.ts';
import { noteLeft } from '../db/tree-operations.ts';
import { inNameOf } from './access.ts';
import { SMALL } from './deletion.ts';
import { type Outcome, SYSTEM, storePrincipal, type TransferRequest, type TreeOperations } from './operations.ts';
import { ancestors, noteSourceLeft, PAGE, startProgress, type Transfer, transferPage } from './transfer.ts';

const DAY_MS = 24 * 3_600_000;

export interface Restoration {
  readonly principal: Principal;
  /** In the trash can: the key of the repository it was in, and its path there. */
  readonly path: RepoPath;
  /** Back to where it was without it. */
  readonly to?: { readonly repo: string; readonly path: RepoPath };
}

/**
 * Puts an item back, with its properties and statistics, if the caller manages the repository it was in and may deploy
 * where it goes. `not_found` if the trash can does not hold it; `conflict` where something is in its place by now.
 */
export async function restoreItem(operations: TreeOperations, request: Restoration): Promise<Outcome> {
  const { repositories, database, veils } = operations.deps;
  const { principal, path } = request;
  const trash = repositories.open(TRASH_KEY, SYSTEM);
  const [original = ''] = path.split('/', 1);
  const missing = new AppError('not_found', `The trash can does not hold "${clip(path, 300)}".`);
  if (!trash || path === '') throw missing;
  requireManager(operations, principal, original as RepoKey);
  const top = await database.read((db) => getSubtreeNode(db, trash.row.id, path));
  if (!top || veils.hides(trash.row.id, path)) throw missing;
  const known = await database.read((db) => getProperties(db, top.id));
  const was = known['trash.originalPath']?.[0] ?? path.slice(original.length + 1);
  const to = request.to ?? { repo: original, path: parseRepoPath(was) };
  const target = repositories.open(to.repo, principal);
  if (!target || target.row.key === TRASH_KEY) {
    throw new AppError('not_found', `There is no local repository "${clip(to.repo)}" to restore to.`);
  }
  const transfer: Transfer = {
    from: {
      repoId: trash.row.id,
      key: TRASH_KEY,
      path,
      access: inNameOf(trash.access, target.access.principalName),
    },
    to: { repoId: target.row.id, key: target.row.key, path: to.path, access: target.access },
    mode: 'restore',
    format: operations.formatOf(target.row.packageType),
    properties: {},
    at: Date.now(),
    reviewDelayMs: operations.deps.reviewDelayMs,
  };
  target.access.require('deploy', to.path);
  const inside = await database.read((db) => countSubtree(db, trash.row.id, path, SMALL + 1));
  return inside > SMALL
    ? restoreLarge(operations, transfer, principal)
    : veils.behind(() => restoreSmall(operations, transfer));
}

/** What somebody deleted may be more than its manager sees of others: it is for who manages the whole repository. */
function requireManager({ deps }: TreeOperations, principal: Principal, repo: RepoKey): void {
  if (isAdmin(principal)) return;
  const opened = deps.repositories.open(repo, principal);
  if (!opened) throw new AppError('not_found', `The trash can holds nothing of "${clip(repo)}" for you.`);
  opened.access.require('manage', ROOT);
}

async function restoreSmall(operations: TreeOperations, transfer: Transfer): Promise<Outcome> {
  const { database, veils, events } = operations.deps;
  const { from, to } = transfer;
  return database.transaction(async (tx) => {
    const progress = startProgress();
    while (progress.phase !== 'done') await transferPage({ veils }, tx, transfer, progress);
    await noteSourceLeft(tx, transfer);
    const place = { repo: from.key, path: from.path, to: { repo: to.key, path: to.path } };
    if (progress.files + progress.folders > 0) {
      await events.append(tx, [{ type: 'artifact.moved', ...place }], from.access.principalName);
    }
    return progress;
  });
}

async function restoreLarge(operations: TreeOperations, transfer: Transfer, principal: Principal): Promise<Outcome> {
  const { from, to, at } = transfer;
  const request: TransferRequest = {
    from: { repo: from.key, path: from.path },
    to: { repo: to.key, path: to.path },
    mode: 'restore',
    properties: {},
    principal: storePrincipal(principal),
  };
  const id = await operations.deps.database.transaction((tx) =>
    operations.begin(tx, {
      kind: 'move',
      repoId: from.repoId,
      path: from.path,
      hides: false,
      request,
      createdAt: at,
      createdBy: from.access.principalName,
    }),
  );
  return operations.outcome(id);
}

export interface CleanOptions {
  readonly retentionDays: number;
  /** Everything that was deleted before this moment goes, whatever the retention. */
  readonly before?: number;
  proceed(): Promise<void>;
}

/** Deletes for good what has been in the trash can long enough; what was deleted later stays, even inside of it. */
export async function cleanTrash(operations: TreeOperations, options: CleanOptions): Promise<void> {
  const { database, repositories } = operations.deps;
  const trash = repositories.open(TRASH_KEY, SYSTEM);
  if (!trash) return;
  const before =
    (options.before ?? Date.now() - options.retentionDays * DAY_MS) + (options.before === undefined ? 0 : 1);
  for (let after = 0; ; ) {
    await options.proceed();
    const page = { after, limit: PAGE };
    const items = await database.read((db) => listTrashedBefore(db, trash.row.id, before, page));
    for (const item of items) await cleanItem(operations, trash.row.id, item, { ...options, before });
    after = items.at(-1)?.id ?? 0;
    if (items.length < PAGE) return;
  }
}

async function cleanItem(
  operations: TreeOperations,
  repoId: number,
  item: Trashed,
  options: CleanOptions & { readonly before: number },
): Promise<void> {
  const { before } = options;
  for (let after: RepoPath | undefined; item.folder; ) {
    const from = after;
    after = await step(operations, repoId, options, async (tx) => {
      const page = { after: from, limit: PAGE };
      const files = await listSubtree(tx, repoId, item.path, page);
      const inside = files.filter(({ folder }) => !folder);
      const keeps = await keptOf(tx, repoId, { item, before }, inside);
      await removeNodes(
        tx,
        inside.filter(({ path }) => !keeps(path)),
        Date.now(),
      );
      return files.length < PAGE ? undefined : files.at(-1)?.path;
    });
    if (after === undefined) break;
  }
  for (let cursor: RepoPath | undefined; item.folder; ) {
    const from = cursor;
    cursor = await step(operations, repoId, options, async (tx) => {
      const accept = async (path: RepoPath) => !(await keptOf(tx, repoId, { item, before }, [{ path }]))(path);
      const page = { before: from, limit: PAGE, accept };
      return (await deleteEmptyFolders(tx, repoId, item.path, page)).next;
    });
    if (cursor === undefined) break;
  }
  await step(operations, repoId, options, async (tx) => {
    const top = await getSubtreeNode(tx, repoId, item.path);
    const keeps = await keptOf(tx, repoId, { item, before }, [item]);
    if (!top || top.id !== item.id || keeps(item.path)) return;
    if (!top.folder) {
      await deleteNodesById(tx, [top.id]);
      await reviewBlobs(tx, top.sha256 ? [top.sha256] : [], Date.now());
    } else if (!(await deleteFolderIfEmpty(tx, repoId, top.id, item.path))) {
      // Something newer lies in it: the folder is only the way there from now on.
      await dropProperties(tx, [top.id], 'trash.');
    }
    await noteLeft(tx, repoId, [joinPath(...item.path.split('/').slice(0, -1))]);
  });
}

/**
 * Which of the paths belong to something that was deleted at the moment or later: asked under the lock under which the
 * others go, since deletions go on meanwhile, also into the item itself.
 */
async function keptOf(
  tx: Tx,
  repoId: number,
  { item, before }: { readonly item: Trashed; readonly before: number },
  inside: readonly { readonly path: RepoPath }[],
): Promise<(path: RepoPath) => boolean> {
  const wayTo = (path: RepoPath) => [...ancestors(path), path].filter((each) => each.length >= item.path.length);
  const ways = new Set(inside.flatMap(({ path }) => wayTo(path)));
  const newer = await listTrashedSince(tx, repoId, [...ways], before);
  return (path) => wayTo(path).some((each) => newer.has(each));
}

async function step<T>(
  { deps }: TreeOperations,
  repoId: number,
  options: CleanOptions,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  await options.proceed();
  const result = await deps.database.transaction(
    async (tx) => {
      await lockTree(tx, repoId, 'exclusive');
      return work(tx);
    },
    { durable: false },
  );
  await new Promise(setImmediate);
  return result;
}
