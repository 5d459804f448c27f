/** Upkeep of the tree in the background: operations under way, folders left empty, and the end of the trash can's time. */
import { z } from 'zod';
import type { JobContext, JobDefinition, Schedule } from '../jobs/job.ts';
import type { Queue } from '../jobs/queue.ts';
import type { TreeOperations } from './operations.ts';
import { pruneEmptyFolders } from './prune.ts';
import { cleanTrash } from './trash.ts';
import type { TrashSettings } from './trash-settings.ts';

export interface TreeJobs {
  readonly jobs: readonly JobDefinition<unknown>[];
  readonly schedules: readonly Schedule[];
  /** Has operations, and what follows, run by the workers of this queue. */
  attach(queue: Queue): void;
  /** Has folders that were left empty removed now. */
  pruneNow(): Promise<void>;
  /** Has all that is in the trash can at this moment deleted for good. */
  emptyTrash(): Promise<void>;
}

const PRUNE_MS = 5 * 60_000;
const CLEAN_TRASH_MS = 60 * 60_000;

export function treeJobs(
  operations: TreeOperations,
  options: { readonly trash: TrashSettings; proceed(context: JobContext): () => Promise<void> },
): TreeJobs {
  const { database } = operations.deps;
  const prune: JobDefinition<object> = {
    name: 'prune-empty-folders',
    payload: z.strictObject({}),
    maxAttempts: 3,
    leaseMs: 60_000,
    dedupe: () => 'prune-empty-folders',
    async run(_payload, context) {
      await pruneEmptyFolders(database, options.proceed(context));
      await operations.purge();
    },
  };
  const clean: JobDefinition<{ before?: number | undefined }> = {
    name: 'clean-trash',
    payload: z.strictObject({ before: z.int().optional() }),
    maxAttempts: 5,
    leaseMs: 60_000,
    dedupe: ({ before }) => (before === undefined ? 'clean-trash' : `empty-trash ${before}`),
    run: ({ before }, context) =>
      cleanTrash(operations, {
        retentionDays: options.trash.retentionDays,
        ...(before !== undefined && { before }),
        proceed: options.proceed(context),
      }),
  };
  let queue: Queue | undefined;
  const enqueue = <P>(job: JobDefinition<P>, payload: P) =>
    database.transaction(async (tx) => queue?.enqueue(tx, job, payload));
  return {
    jobs: [prune, clean, operations.job] as readonly JobDefinition<unknown>[],
    schedules: [
      { name: prune.name, everyMs: PRUNE_MS, job: prune as JobDefinition<unknown>, payload: {} },
      { name: clean.name, everyMs: CLEAN_TRASH_MS, job: clean as JobDefinition<unknown>, payload: {} },
    ],
    attach(to) {
      queue = to;
      operations.attach(to);
    },
    pruneNow: () => enqueue(prune, {}),
    emptyTrash: () => enqueue(clean, { before: Date.now() }),
  };
}
