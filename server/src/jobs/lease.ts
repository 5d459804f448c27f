/** A worker's hold on a job, as the running job sees it. */
import type { Database, Tx } from '../db/database.ts';
import { type Claim, extendLease, holdsJob } from '../db/jobs.ts';
import type { JobContext } from './job.ts';

/** The job may be somebody else's by now: whatever it would still do is to be left undone. */
export class LeaseLost extends Error {
  constructor() {
    super('The lease of the job ran out before it was done.');
    this.name = 'LeaseLost';
  }
}

export interface LeaseOptions {
  readonly leaseMs: number;
  /** Moment of `performance.now()` before the claim, so that this side never believes longer than the database. */
  readonly claimedAt: number;
}

export class Lease implements JobContext {
  readonly claim: Claim;
  readonly #database: Database;
  readonly #leaseMs: number;
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout;

  constructor(database: Database, claim: Claim, options: LeaseOptions) {
    this.#database = database;
    this.claim = claim;
    this.#leaseMs = options.leaseMs;
    this.#timer = this.#expireFrom(options.claimedAt);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get fence(): number {
    return this.claim.fence;
  }

  get lost(): boolean {
    return this.signal.reason instanceof LeaseLost;
  }

  // These two are fields, so that a job may take them out of its context.
  readonly heartbeat = async (): Promise<void> => {
    this.signal.throwIfAborted();
    const from = performance.now();
    const extend = (tx: Tx) => extendLease(tx, this.claim, this.#leaseMs);
    if (!(await this.#database.transaction(extend, { durable: false }))) throw this.#lose();
    clearTimeout(this.#timer);
    this.#timer = this.#expireFrom(from);
  };

  readonly requireLease = async (tx: Tx): Promise<void> => {
    if (!(await holdsJob(tx, this.claim))) throw this.#lose();
  };

  /** Asks the job to end because the process does. */
  interrupt(): void {
    this.#controller.abort(new Error('The server is stopping.'));
  }

  /** Ends the watch over the time; the row is the worker's matter. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #lose(): LeaseLost {
    const reason = new LeaseLost();
    this.#controller.abort(reason);
    return reason;
  }

  #expireFrom(moment: number): NodeJS.Timeout {
    const timer = setTimeout(() => this.#lose(), moment + this.#leaseMs - performance.now());
    return timer.unref();
  }
}
