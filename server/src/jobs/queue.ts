/** Where work is asked for: in the transaction of the change that needs it. */
import { afterCommit, type Tx } from '../db/database.ts';
import { insertJob } from '../db/jobs.ts';
import type { JobDefinition } from './job.ts';

export interface EnqueueOptions {
  /** Not before this moment; at once without it. */
  readonly runAt?: Date;
  /** Higher first; 0 without it. */
  readonly priority?: number;
  /** Stands in for the key that the definition would give. */
  readonly dedupeKey?: string;
}

export class Queue {
  readonly #definitions = new Map<string, JobDefinition<unknown>>();
  readonly #listeners = new Set<() => void>();

  /** Takes all kinds of jobs there are; two of one name are refused. */
  constructor(definitions: readonly JobDefinition<unknown>[]) {
    for (const definition of definitions) {
      if (this.#definitions.has(definition.name)) throw new Error(`there are two jobs named "${definition.name}"`);
      this.#definitions.set(definition.name, definition);
    }
  }

  /** The job exists if and only if the transaction commits. A waiting job with the same key stands for it. */
  async enqueue<P>(tx: Tx, job: JobDefinition<P>, payload: P, options: EnqueueOptions = {}): Promise<void> {
    this.requireDefinition(job);
    job.payload.parse(payload);
    await insertJob(tx, {
      name: job.name,
      payload: JSON.stringify(payload),
      dedupeKey: options.dedupeKey ?? job.dedupe?.(payload),
      priority: options.priority ?? 0,
      runAt: options.runAt?.getTime(),
    });
    afterCommit(tx, () => {
      for (const listener of this.#listeners) listener();
    });
  }

  /** Has `listener` called after each commit that enqueued something in this process. It must not throw. */
  onEnqueued(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(name: string): JobDefinition<unknown> | undefined {
    return this.#definitions.get(name);
  }

  /** Throws unless this is a definition that workers know: a job nobody can run must not be written. */
  requireDefinition(job: { readonly name: string }): void {
    if (this.#definitions.get(job.name) !== job) {
      throw new Error(`the job "${job.name}" is not among the definitions the queue was made with`);
    }
  }

  /** How long each kind of job may go without a sign of life, by name. */
  leases(): ReadonlyMap<string, number> {
    return new Map([...this.#definitions.values()].map(({ name, leaseMs }) => [name, leaseMs]));
  }
}
