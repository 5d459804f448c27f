/**
 * Remembers why requests were refused or missed, so that it can be asked later. Written in batches beside the
 * requests, never by them; under a flood some are not kept, and how many is counted.
 */
import type { Database } from '../db/database.ts';
import { deleteRefusalsBefore, getRefusal, insertRefusals, type RefusalRow, refusalsBeyond } from '../db/refusals.ts';

export type Refusal = RefusalRow;

export interface RefusalLogOptions {
  readonly clock?: () => number;
}

/** Kept at once in a burst, and per second in the long run. */
const BURST = 500;
const PER_SECOND = 50;
const KEEP_MS = 7 * 24 * 60 * 60_000;
const KEEP_ROWS = 100_000;
const PURGE_BATCH = 500;

export class RefusalLog {
  readonly #database: Database;
  readonly #clock: () => number;
  #waiting = new Map<string, Refusal>();
  #allowance = BURST;
  #allowedAt: number;
  #dropped = 0;

  constructor(deps: { readonly database: Database }, options: RefusalLogOptions = {}) {
    this.#database = deps.database;
    this.#clock = options.clock ?? Date.now;
    this.#allowedAt = this.#clock();
  }

  /** How many were not kept since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Keeps one, to be written soon. */
  add(refusal: Refusal): void {
    const now = this.#clock();
    this.#allowance = Math.min(BURST, this.#allowance + ((now - this.#allowedAt) / 1000) * PER_SECOND);
    this.#allowedAt = now;
    if (this.#allowance < 1) {
      this.#dropped += 1;
      return;
    }
    this.#allowance -= 1;
    if (!this.#waiting.has(refusal.requestId)) this.#waiting.set(refusal.requestId, refusal);
  }

  /** Writes what waits. What cannot be written is lost: requests matter more than their explanations. */
  async flush(): Promise<void> {
    if (this.#waiting.size === 0) return;
    const rows = [...this.#waiting.values()];
    await this.#database.transaction((tx) => insertRefusals(tx, rows), { durable: false });
    for (const { requestId } of rows) this.#waiting.delete(requestId);
  }

  async find(requestId: string): Promise<Refusal | undefined> {
    return this.#waiting.get(requestId) ?? this.#database.read((db) => getRefusal(db, requestId));
  }

  /** Forgets those that are old or too many. */
  async purge(): Promise<void> {
    const surplus = await this.#database.read((db) => refusalsBeyond(db, KEEP_ROWS));
    const before = Math.max(this.#clock() - KEEP_MS, surplus ?? 0);
    for (;;) {
      const deleted = await this.#database.transaction((tx) => deleteRefusalsBefore(tx, before, PURGE_BATCH), {
        durable: false,
      });
      if (deleted < PURGE_BATCH) return;
      await new Promise(setImmediate);
    }
  }
}
