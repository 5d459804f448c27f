/** Runs compiled searches, away from the connections that requests share. */
import type { CompiledSearch } from './compile.ts';

export type Row = readonly unknown[];

export interface Batch {
  readonly rows: readonly Row[];
  /** What each of the search's lookups found for the rows of this batch, in the order of the lookups. */
  readonly lookups: readonly (readonly Row[])[];
}

export interface SearchReader {
  /**
   * The rows in batches, each read when it is asked for, all as they were when the first was. What was committed
   * before the call is seen. Ends soon after the signal is aborted, with its reason.
   */
  run(search: CompiledSearch, signal: AbortSignal): AsyncGenerator<Batch>;
  close(): Promise<void>;
}

/** The first rows are wanted soon, the others in fewer steps. */
export function batchSize(batchNumber: number): number {
  return batchNumber === 0 ? 100 : 500;
}
