/**
 * Operations on the tree that are too large for one transaction. Each is a row from the moment it is agreed to, and a
 * job that works through it a page at a time; a client that leaves or a process that dies changes nothing.
 */
import { z } from 'zod';
import type { Principals } from '../auth/principals.ts';
import type { BlobStore } from '../blobs/store.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { Format } from '../core/format.ts';
import type { Properties, RepoKey, RepoPath } from '../core/ids.ts';
import { ANONYMOUS, nameOf, type Principal, type TokenScope } from '../core/principal.ts';
import { TRASH_KEY } from '../core/system-repositories.ts';
import { reviewBlobs } from '../db/blobs.ts';
import { afterCommit, type Database, lockTree, type Tx } from '../db/database.ts';
import { deleteNodesById, deleteSubtreePage, getSubtreeNode } from '../db/subtrees.ts';
import {
  countItems,
  deleteDoneOperations,
  deleteOperation,
  finishOperation,
  getTreeOperation,
  insertTreeOperation,
  type NewTreeOperation,
  noteLeft,
  type TreeOperation,
} from '../db/tree-operations.ts';
import type { EventLog } from '../events/event-log.ts';
import type { JobContext, JobDefinition } from '../jobs/job.ts';
import type { Queue } from '../jobs/queue.ts';
import { crashpoint } from '../lib/crashpoint.ts';
import { inNameOf } from './access.ts';
import type { RepositoryDirectory } from './directory.ts';
import { noteSourceLeft, PAGE, type Problem, startProgress, type Transfer, transferPage } from './transfer.ts';
import { type Translation, translationOf } from './translation.ts';
import { Veiled, type Veils } from './veils.ts';

export interface OperationDeps {
  readonly database: Database;
  readonly events: EventLog;
  readonly repositories: RepositoryDirectory;
  readonly formats: readonly Format[];
  readonly blobs: Pick<BlobStore, 'content'>;
  readonly principals: Pick<Principals, 'getAccount'>;
  readonly veils: Veils;
  readonly reviewDelayMs: number;
}

/** What came of a transfer. */
export interface Outcome {
  readonly files: number;
  readonly folders: number;
  readonly problems: readonly Problem[];
  readonly refused: number;
}

/** Who asked, in a form that outlives the process. */
interface StoredPrincipal {
  readonly id?: string;
  readonly scope?: TokenScope;
}

export interface TransferRequest {
  readonly from: { readonly repo: RepoKey; readonly path: RepoPath };
  readonly to: { readonly repo: RepoKey; readonly path: RepoPath };
  readonly mode: 'copy' | 'move' | 'restore';
  readonly properties: Properties;
  readonly translates?: boolean;
  readonly principal: StoredPrincipal;
}

export interface DeleteRequest {
  readonly repo: RepoKey;
  /** Where in the trash can it goes; nowhere without it. */
  readonly trash?: RepoPath;
}

/** The server itself, where it acts for somebody whose rights were looked at before. */
export const SYSTEM: Principal = { kind: 'user', id: '_system_', name: '_system_', groups: [], admin: true };

/** Another node that has not heard of a deletion yet must not see it half done. */
const HEARD_EVERYWHERE_MS = 2000;
const RESULT_KEPT_MS = 3_600_000;
const POLL_MS = 50;
const HEARTBEAT_MS = 1500;

export function storePrincipal(principal: Principal): StoredPrincipal {
  if (principal.kind === 'anonymous') return {};
  return { id: principal.id, ...(principal.scope && { scope: principal.scope }) };
}

export class TreeOperations {
  readonly deps: OperationDeps;
  readonly job: JobDefinition<{ id: number }>;
  #queue: Queue | undefined;
  /** When each run last lengthened its lease. */
  readonly #beats = new WeakMap<JobContext, number>();

  constructor(deps: OperationDeps) {
    this.deps = deps;
    this.job = {
      name: 'tree-operation',
      payload: z.strictObject({ id: z.int() }),
      // What was agreed to has to be done: while a deletion is not, nothing can be put where it was.
      maxAttempts: 1_000_000,
      leaseMs: 6000,
      dedupe: ({ id }) => String(id),
      run: ({ id }, context) => this.#run(id, context),
    };
  }

  /** Has operations run by the workers of this queue. */
  attach(queue: Queue): void {
    this.#queue = queue;
  }

  /** Agrees to an operation: it will be done, and what it hides is hidden from the moment the transaction commits. */
  async begin(tx: Tx, operation: NewTreeOperation): Promise<number> {
    const { veils, database } = this.deps;
    if (!this.#queue) throw new Error('an operation on the tree was asked for without workers');
    const id = await insertTreeOperation(tx, operation);
    const wait = operation.hides && !database.dialect.exclusive;
    await this.#queue.enqueue(tx, this.job, { id }, wait ? { runAt: new Date(Date.now() + HEARD_EVERYWHERE_MS) } : {});
    if (operation.hides) afterCommit(tx, () => veils.add(id, operation.repoId, operation.path));
    return id;
  }

  /** Waits until the operation is done, however long that takes. */
  async outcome(id: number): Promise<Outcome> {
    const { database } = this.deps;
    for (;;) {
      const operation = await database.read((db) => getTreeOperation(db, id));
      if (!operation)
        throw new AppError('unavailable', 'What came of the operation is not known any more. Look there.');
      if (operation.state === 'done') {
        await database.transaction((tx) => deleteOperation(tx, id), { durable: false });
        const { error, ...outcome } = operation.result as Outcome & { readonly error?: Problem };
        if (error) throw new AppError(error.code, error.message);
        return outcome;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Forgets results that nobody came for. */
  async purge(): Promise<void> {
    await this.deps.database.transaction((tx) => deleteDoneOperations(tx, Date.now() - RESULT_KEPT_MS), {
      durable: false,
    });
  }

  async #run(id: number, context: JobContext): Promise<void> {
    const operation = await this.deps.database.read((db) => getTreeOperation(db, id));
    if (operation?.state !== 'running') return;
    // The job can be quicker than the end of the transaction that asked for it.
    if (operation.hides) this.deps.veils.add(id, operation.repoId, operation.path);
    if (operation.kind === 'delete') return this.#delete(operation, context);
    try {
      await this.#transfer(operation, context);
    } catch (error) {
      if (!isAppError(error) || error.code === 'unavailable') throw error;
      await this.deps.database.transaction(async (tx) => {
        await context.requireLease(tx);
        await finishOperation(tx, id, { error: { code: error.code, message: error.message } });
      });
    }
  }

  async #delete(operation: TreeOperation, context: JobContext): Promise<void> {
    const { repo, trash } = operation.request as DeleteRequest;
    const { database, veils } = this.deps;
    if (trash === undefined) {
      await this.#purgeTree(operation, context);
    } else {
      const transfer = this.#trashTransfer(operation, { repo, trash });
      await this.#pages(operation, transfer, context);
    }
    await database.transaction(async (tx) => {
      await context.requireLease(tx);
      const { repoId, path } = operation;
      await noteLeft(tx, repoId, [path.slice(0, Math.max(path.lastIndexOf('/'), 0)) as RepoPath]);
      await deleteOperation(tx, operation.id);
      afterCommit(tx, () => veils.remove(operation.id, repoId));
    });
    crashpoint('operation.done');
  }

  #trashTransfer(operation: TreeOperation, { repo, trash }: { repo: RepoKey; trash: RepoPath }): Transfer {
    const { repositories, reviewDelayMs } = this.deps;
    const [from, to] = [repositories.open(repo, SYSTEM), repositories.open(TRASH_KEY, SYSTEM)];
    if (!from || !to) throw new Error('the repository of a deletion, or the trash can, is not open');
    return {
      from: {
        repoId: operation.repoId,
        key: repo,
        path: operation.path,
        access: inNameOf(from.access, operation.createdBy),
      },
      to: { repoId: to.row.id, key: TRASH_KEY, path: trash, access: to.access },
      mode: 'trash',
      format: this.formatOf(from.row.packageType),
      properties: {},
      at: operation.createdAt,
      reviewDelayMs,
      operation: operation.id,
    };
  }

  translationOf(from: RepoKey, to: RepoKey): Translation | undefined {
    const { repositories } = this.deps;
    return translationOf(repositories.layoutOf(from), repositories.layoutOf(to));
  }

  formatOf(packageType: string): Format | undefined {
    return this.deps.formats.find(({ packageTypes }) => packageTypes.includes(packageType));
  }

  /** Deletes for good. */
  async #purgeTree(operation: TreeOperation, context: JobContext): Promise<void> {
    const { database, reviewDelayMs } = this.deps;
    const { id, repoId, path } = operation;
    for (let nodes = PAGE; nodes === PAGE; ) {
      nodes = await this.#step(context, async (tx) => {
        await lockTree(tx, repoId, 'exclusive');
        const page = await deleteSubtreePage(tx, repoId, path, PAGE);
        await reviewBlobs(tx, page.sha256, Date.now() + reviewDelayMs);
        await countItems(tx, id, page.nodes);
        return page.nodes;
      });
    }
    await database.transaction(async (tx) => {
      await context.requireLease(tx);
      const top = await getSubtreeNode(tx, repoId, path);
      if (top) await deleteNodesById(tx, [top.id]);
    });
  }

  async #transfer(operation: TreeOperation, context: JobContext): Promise<void> {
    const { database, events } = this.deps;
    const request = operation.request as TransferRequest;
    const transfer = await this.#transferOf(operation, request);
    const progress = await this.#pages(operation, transfer, context);
    const { files, folders, problems, refused } = progress;
    await database.transaction(async (tx) => {
      await context.requireLease(tx);
      await noteSourceLeft(tx, transfer);
      await finishOperation(tx, operation.id, { files, folders, problems, refused });
      const type = request.mode === 'copy' ? 'artifact.copied' : 'artifact.moved';
      await events.append(tx, [{ type, ...request.from, to: request.to }], operation.createdBy);
    });
    crashpoint('operation.done');
  }

  async #transferOf(operation: TreeOperation, request: TransferRequest): Promise<Transfer> {
    const { repositories, reviewDelayMs } = this.deps;
    const principal = await this.#principalOf(request.principal);
    const from = repositories.open(request.from.repo, request.mode === 'restore' ? SYSTEM : principal);
    const to = repositories.open(request.to.repo, principal);
    if (!from || !to) throw new AppError('forbidden', `The user "${nameOf(principal)}" may not go on with this.`);
    return {
      from: {
        repoId: from.row.id,
        key: from.row.key,
        path: request.from.path,
        access: inNameOf(from.access, operation.createdBy),
      },
      to: { repoId: to.row.id, key: to.row.key, path: request.to.path, access: to.access },
      mode: request.mode,
      format: this.formatOf(to.row.packageType),
      ...(request.translates && { translation: this.translationOf(from.row.key, to.row.key) }),
      properties: request.properties,
      at: operation.createdAt,
      reviewDelayMs,
      operation: operation.id,
      resumed: operation.items > 0,
    };
  }

  async #principalOf({ id, scope }: StoredPrincipal): Promise<Principal> {
    if (id === undefined) return ANONYMOUS;
    const account = await this.deps.principals.getAccount(id);
    if (!account) throw new AppError('forbidden', 'Who asked for this has no account any more.');
    return scope ? { ...account.principal, scope } : account.principal;
  }

  async #pages(operation: TreeOperation, transfer: Transfer, context: JobContext) {
    let progress = startProgress();
    while (progress.phase !== 'done') {
      progress = await this.#step(context, async (tx) => {
        // A transaction that is tried again starts from where the last one ended.
        const next = { ...progress, problems: [...progress.problems] };
        const rows = await transferPage(this.deps, tx, transfer, next);
        await countItems(tx, operation.id, rows);
        return next;
      });
    }
    return progress;
  }

  /** One page in a transaction of its own, and then a turn for everybody else. */
  async #step<T>(context: JobContext, work: (tx: Tx) => Promise<T>): Promise<T> {
    context.signal.throwIfAborted();
    const result = await this.deps.database
      .transaction(
        async (tx) => {
          await context.requireLease(tx);
          return work(tx);
        },
        { durable: false },
      )
      .catch((error: unknown) => {
        if (error instanceof Veiled) throw new AppError('unavailable', 'Another deletion is in the way.');
        throw error;
      });
    crashpoint('operation.page');
    const beatAt = this.#beats.get(context) ?? performance.now();
    const due = performance.now() - beatAt > HEARTBEAT_MS;
    if (due) await context.heartbeat();
    this.#beats.set(context, due ? performance.now() : beatAt);
    await new Promise(setImmediate);
    return result;
  }
}
