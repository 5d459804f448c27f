/** Work to be done after the change that asked for it, whatever becomes of the process. */
import type { z } from 'zod';
import type { Tx } from '../db/database.ts';

export interface JobContext {
  /** Aborted when the process stops, or when the lease ran out: somebody else may have the job then. */
  readonly signal: AbortSignal;
  /** Grows with each claim of the job. */
  readonly fence: number;
  /** Lengthens the lease by its full time; throws when it was lost. To be called while there is progress. */
  heartbeat(): Promise<void>;
  /** Throws unless the job is still this claim's, and keeps it so until the transaction ends. */
  requireLease(tx: Tx): Promise<void>;
}

export interface JobDefinition<P> {
  readonly name: string;
  readonly payload: z.ZodType<P>;
  readonly maxAttempts: number;
  readonly leaseMs: number;
  /** Two waiting jobs with the same key are one. The payload must follow from the key. */
  dedupe?(payload: P): string;
  /** Must be safe to run twice: a lease can expire while the work goes on. */
  run(payload: P, context: JobContext): Promise<void>;
}

/** Enqueues the job again and again; of several processes one does. */
export interface Schedule<P = unknown> {
  readonly name: string;
  readonly everyMs: number;
  readonly job: JobDefinition<P>;
  readonly payload: P;
}

/** Where the outcome of jobs is reported. */
export interface JobLog {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
