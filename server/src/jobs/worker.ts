/** Runs jobs, as many at a time as it is told. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Database, Tx } from '../db/database.ts';
import { buryJob, claimJob, finishJob, type JobRow, releaseJob } from '../db/jobs.ts';
import type { JobDefinition, JobLog } from './job.ts';
import { Lease } from './lease.ts';
import type { Queue } from './queue.ts';

export interface WorkerDeps {
  readonly database: Database;
  readonly queue: Queue;
  readonly log: JobLog;
}

export interface WorkerOptions {
  readonly concurrency: number;
  readonly pollMs: number;
  /** How long a job waits after its n-th failed attempt. */
  readonly backOffMs?: (attempt: number) => number;
}

const FIRST_BACK_OFF_MS = 1000;
const MAX_BACK_OFF_MS = 3_600_000;
/** How long an interrupted job may take to notice. */
const INTERRUPT_GRACE_MS = 1000;
const SETTLE_ATTEMPTS = 7;
const MAX_ERROR_LENGTH = 1000;

export class Worker {
  readonly #deps: WorkerDeps;
  readonly #options: WorkerOptions;
  readonly #running = new Set<Lease>();
  readonly #idle = new Set<() => void>();
  readonly #unsubscribe: () => void;
  #loops: Promise<void>[] = [];
  /** Counts the calls for attention, so that none between a look at the queue and the wait is missed. */
  #wakes = 0;
  #stopping = false;
  #troubled = false;

  constructor(deps: WorkerDeps, options: WorkerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#unsubscribe = deps.queue.onEnqueued(() => this.#wake());
  }

  start(): void {
    this.#loops = Array.from({ length: this.#options.concurrency }, () => this.#loop());
  }

  /**
   * Takes no more jobs and waits for the running ones; those that are not done within `drainMs` are interrupted and
   * go back to the queue.
   */
  async stop(options: { readonly drainMs: number }): Promise<void> {
    this.#stopping = true;
    this.#unsubscribe();
    this.#wake();
    const ended = Promise.all(this.#loops);
    if (await endsWithin(ended, options.drainMs)) return;
    for (const lease of this.#running) lease.interrupt();
    if (await endsWithin(ended, INTERRUPT_GRACE_MS)) return;
    for (const lease of this.#running) await this.#handBack(lease);
  }

  async #loop(): Promise<void> {
    while (!this.#stopping) {
      const wakes = this.#wakes;
      const claimedAt = performance.now();
      const row = await this.#claim();
      if (row) await this.#runClaimed(row, claimedAt);
      else await this.#rest(wakes);
    }
  }

  /** A claim lost at a power cut is no loss, so it does not wait for the disk. The same goes for what ends it. */
  async #claim(): Promise<JobRow | undefined> {
    const { database, queue, log } = this.#deps;
    try {
      const row = await database.transaction((tx) => claimJob(tx, queue.leases()), { durable: false });
      this.#troubled = false;
      return row;
    } catch (err) {
      if (!this.#troubled) log.warn({ err }, 'no jobs can be taken from the queue at the moment');
      this.#troubled = true;
      return undefined;
    }
  }

  async #runClaimed(row: JobRow, claimedAt: number): Promise<void> {
    const { database, queue, log } = this.#deps;
    const definition = queue.get(row.name);
    if (!definition) throw new Error(`the job "${row.name}" was claimed without a definition`);
    const fields = { job: row.name, attempt: row.attempts };
    const lease = new Lease(database, row, { leaseMs: definition.leaseMs, claimedAt });
    this.#running.add(lease);
    try {
      if (row.attempts > definition.maxAttempts) throw new Error('The worker was lost during the last attempt.');
      await definition.run(definition.payload.parse(JSON.parse(row.payload)), lease);
      if (!(await this.#settle((tx) => finishJob(tx, row))))
        log.warn(fields, 'a job was done after its lease was lost');
      else log.debug({ ...fields, durationMs: Math.round(performance.now() - claimedAt) }, 'a job is done');
    } catch (err) {
      if (lease.lost) log.warn({ ...fields, err }, 'a job lost its lease');
      else if (lease.signal.aborted) await this.#handBack(lease);
      else await this.#fail({ row, definition, lease, err });
    } finally {
      lease.end();
      this.#running.delete(lease);
    }
  }

  async #fail(failure: { row: JobRow; definition: JobDefinition<unknown>; lease: Lease; err: unknown }): Promise<void> {
    const { row, definition, lease, err } = failure;
    const fields = { job: row.name, attempt: row.attempts, err };
    const lastError = (err instanceof Error ? err.message : String(err)).slice(0, MAX_ERROR_LENGTH);
    if (row.attempts >= definition.maxAttempts) {
      this.#deps.log.error(fields, 'a job failed for the last time and is given up');
      await this.#settle((tx) => buryJob(tx, lease.claim, lastError));
      return;
    }
    this.#deps.log.warn(fields, 'a job failed and will be tried again');
    const delayMs = this.#options.backOffMs?.(row.attempts) ?? backOffMs(row.attempts);
    await this.#settle((tx) => releaseJob(tx, lease.claim, { delayMs, lastError }));
  }

  async #handBack(lease: Lease): Promise<void> {
    await this.#settle((tx) => releaseJob(tx, lease.claim, { delayMs: 0, lastError: undefined }));
  }

  /** Writes how a job ended. While the database cannot, tries again; in the end the lease runs out by itself. */
  async #settle(write: (tx: Tx) => Promise<boolean>): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#deps.database.transaction(write, { durable: false });
      } catch (err) {
        if (attempt === SETTLE_ATTEMPTS) {
          this.#deps.log.warn({ err }, 'the end of a job could not be written; it will run again');
          return false;
        }
        await delay(50 * 2 ** attempt * (0.5 + Math.random()));
      }
    }
  }

  #wake(): void {
    this.#wakes += 1;
    for (const resume of this.#idle) resume();
  }

  /** Waits for the next look at the queue, unless a call came since `wakes` was read. */
  async #rest(wakes: number): Promise<void> {
    if (this.#stopping || wakes !== this.#wakes) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    // Without jitter, nodes that started together would all look at the same moment.
    const timer = setTimeout(resolve, this.#options.pollMs * (0.75 + Math.random() / 2));
    timer.unref();
    this.#idle.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#idle.delete(resolve);
  }
}

function backOffMs(attempt: number): number {
  return Math.min(MAX_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** (attempt - 1)) * (0.5 + Math.random());
}

/** Whether the promise settles in time. */
async function endsWithin(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  const limit = new AbortController();
  const late = delay(limitMs, false, { signal: limit.signal }).catch(() => false);
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    limit.abort();
  }
}
