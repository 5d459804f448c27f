/** What the server does beside answering: jobs, schedules and upkeep. */
import { z } from 'zod';
import { completeChecksums } from './blobs/complete-checksums.ts';
import { buildJobs, ordersOf } from './builds/jobs.ts';
import type { Tx } from './db/database.ts';
import type { Metrics } from './http/metrics.ts';
import type { JobContext, JobDefinition, Schedule } from './jobs/job.ts';
import { Queue } from './jobs/queue.ts';
import { Scheduler } from './jobs/scheduler.ts';
import { Worker } from './jobs/worker.ts';
import { assemblyJob } from './repositories/assembly-job.ts';
import { sweepOnce } from './repositories/reclaim.ts';
import { cacheIndexJob } from './repositories/remote/cache-index.ts';
import { unusedFilesJob } from './repositories/remote/unused-files.ts';
import { treeJobs } from './repositories/tree-jobs.ts';
import { archiveJob, archiveReindexJob } from './search/archive-index.ts';
import type { Core, Log } from './state.ts';

const NO_PAYLOAD = z.strictObject({});
const CLOSE_IDLE_UPLOADS_MS = 60_000;
/** Pushes come in bursts: the checksums that only the REST API asks for are completed when a burst is over. */
const CHECKSUM_DELAY_MS = 10 * 60_000;

/** Starts jobs, schedules and upkeep. */
export function startBackground(core: Core, log: Log, metrics: Metrics) {
  const { config, database } = core;
  const reclaimed = metrics.counter('sweep_reclaimed_bytes_total', 'Bytes of blobs that nothing named any more');
  const proceed = (context: JobContext) => async () => {
    context.signal.throwIfAborted();
    await context.heartbeat();
  };
  const sweepJob: JobDefinition<object> = {
    name: 'sweep',
    payload: NO_PAYLOAD,
    maxAttempts: 5,
    leaseMs: 60_000,
    dedupe: () => 'sweep',
    async run(_payload, context) {
      // A server that stands still keeps its bytes too: somebody may be copying them.
      if (core.readOnly.of()) return;
      const result = await sweepOnce(core, async (tx) => (tx ? context.requireLease(tx) : proceed(context)()));
      reclaimed(result.bytes);
      if (result.bytes > 0) await core.quota.recount();
      if (result.condemned > 0 || result.removed > 0) log.info(result, 'reclaimed space');
    },
  };
  const upkeepJob: JobDefinition<object> = {
    name: 'upkeep',
    payload: NO_PAYLOAD,
    maxAttempts: 3,
    leaseMs: 60_000,
    dedupe: () => 'upkeep',
    async run() {
      await core.tokens.purgeExpired(Date.now());
      await core.throttle.purge();
      await core.refusals.purge();
      await core.remotes.purge();
    },
  };
  const checksumJob: JobDefinition<object> = {
    name: 'checksums',
    payload: NO_PAYLOAD,
    maxAttempts: 3,
    leaseMs: 5 * 60_000,
    dedupe: () => 'checksums',
    run: (_payload, context) =>
      completeChecksums(core.blobs, { olderThanMs: CHECKSUM_DELAY_MS, proceed: proceed(context) }),
  };
  const ofBuilds = buildJobs(core);
  const assembling = assemblyJob(core.multiparts, proceed);
  const ofTree = treeJobs(core.operations, { trash: core.trash, proceed });
  const reindexing = archiveReindexJob(core);
  const ofCaches = unusedFilesJob({ ...core, reviewDelayMs: config.sweep.reviewDelayMs }, proceed);
  const queue = new Queue([
    ofCaches.job,
    sweepJob,
    upkeepJob,
    checksumJob,
    ...ofTree.jobs,
    ofBuilds.rename as JobDefinition<unknown>,
    ofBuilds.discard as JobDefinition<unknown>,
    assembling as JobDefinition<unknown>,
    core.retention.job as JobDefinition<unknown>,
    archiveJob(core),
    cacheIndexJob(core),
    reindexing as JobDefinition<unknown>,
  ]);
  core.retention.start(queue);
  ofTree.attach(queue);
  const schedules: Schedule[] = [
    { name: 'sweep', everyMs: config.sweep.intervalMs, job: sweepJob as JobDefinition<unknown>, payload: {} },
    { name: 'upkeep', everyMs: 10 * 60_000, job: upkeepJob as JobDefinition<unknown>, payload: {} },
    { name: 'checksums', everyMs: CHECKSUM_DELAY_MS, job: checksumJob as JobDefinition<unknown>, payload: {} },
    ...ofTree.schedules,
    ofCaches.schedule,
  ];
  const worker = new Worker({ database, queue, log }, { concurrency: config.jobs.workers, pollMs: config.jobs.pollMs });
  const scheduler = new Scheduler({ database, queue, log }, schedules, {
    pollMs: Math.min(config.jobs.pollMs, config.sweep.intervalMs),
  });
  worker.start();
  const scheduling = scheduler.start();
  scheduling.catch((error: unknown) => log.error({ err: error }, 'the scheduler could not start'));
  const timer = setInterval(() => {
    void upkeep().catch((error: unknown) => log.warn({ err: error }, 'upkeep failed'));
  }, 1000);
  timer.unref();
  async function upkeep() {
    await database.dialect.maintain?.();
    await core.quota.refresh();
    await core.uploads.closeIdle(CLOSE_IDLE_UPLOADS_MS);
    await core.authenticator.flush();
    await core.tokens.flushLastUsed();
    await core.refusals.flush();
    await core.downloads.flush();
    if (!database.dialect.exclusive) await core.veils.load();
  }
  return {
    /** Has the next sweep happen now. */
    sweepNow: () => database.transaction((tx) => queue.enqueue(tx, sweepJob, {})),
    buildOrders: ordersOf({ database, queue }, ofBuilds),
    /** Has the parts of an upload put together. */
    enqueueAssembly: (tx: Tx, id: string) => queue.enqueue(tx, assembling, { id }),
    /** Has the archives at and below a path read once more. */
    reindexArchives: (repo: string, path: string) =>
      database.transaction((tx) => queue.enqueue(tx, reindexing, { repo, path })),
    ofTree,
    async stop() {
      clearInterval(timer);
      await scheduling.catch(() => undefined);
      await scheduler.stop();
      await worker.stop({ drainMs: 5000 });
    },
  };
}
