/**
 * How much may be stored. What is stored is counted now and then, a page at a time; in between, what comes in through
 * this process is added, so nothing has to be counted while somebody waits. Another process's share is known with the
 * next count.
 */
import type { Readable } from 'node:stream';
import { AppError } from '../core/errors.ts';
import type { Database } from '../db/database.ts';
import { countBlobs } from '../db/node-listings.ts';

export interface QuotaDeps {
  readonly database: Database;
  /** Undefined lets the disk be the only limit. */
  readonly limitBytes: number | undefined;
}

/** Counts one body while it comes in. */
export interface Meter {
  /** Throws `too_large` with the first byte beyond what may be stored. */
  take(bytes: number): void;
  /** No more comes; what came is kept, or not. */
  end(outcome: 'kept' | 'dropped'): void;
}

const PAGE = 5000;
const MAX_AGE_MS = 60_000;
const UNLIMITED: Meter = { take() {}, end() {} };

export class StorageQuota {
  readonly #deps: QuotaDeps;
  readonly #open = new Set<{ bytes: number }>();
  #counted = 0;
  /** Kept since the last count began. */
  #since = 0;
  #countedAt = Number.NEGATIVE_INFINITY;

  constructor(deps: QuotaDeps) {
    this.#deps = deps;
  }

  /** Begins to count a body; a request that declares more than there is room for is refused at once. */
  meter(body?: Readable): Meter {
    const { limitBytes } = this.#deps;
    if (limitBytes === undefined) return UNLIMITED;
    this.#require(limitBytes, declaredBytes(body));
    const own = { bytes: 0 };
    this.#open.add(own);
    return {
      take: (bytes) => {
        this.#require(limitBytes, bytes);
        own.bytes += bytes;
      },
      end: (outcome) => {
        if (this.#open.delete(own) && outcome === 'kept') this.#since += own.bytes;
      },
    };
  }

  /** Counts anew when the last count is old: part of the upkeep. */
  async refresh(): Promise<void> {
    if (performance.now() - this.#countedAt >= MAX_AGE_MS) await this.recount();
  }

  async recount(): Promise<void> {
    if (this.#deps.limitBytes === undefined) return;
    this.#countedAt = performance.now();
    const before = this.#since;
    let counted = 0;
    for (let after: string | undefined = ''; after !== undefined; ) {
      const from: string = after;
      const page = await this.#deps.database.read((db) => countBlobs(db, from, PAGE));
      counted += page.sizeBytes;
      after = page.last;
      await new Promise(setImmediate);
    }
    this.#counted = counted;
    // What came during the count may be in it or not.
    this.#since -= before;
  }

  #require(limitBytes: number, bytes: number): void {
    let used = this.#counted + this.#since;
    for (const each of this.#open) used += each.bytes;
    if (used + bytes <= limitBytes) return;
    throw new AppError(
      'too_large',
      `The storage quota of ${limitBytes} bytes is used up or would be exceeded. Delete what is not needed, or ask an administrator for more.`,
    );
  }
}

/** What a request says its body has; 0 where it does not say. */
function declaredBytes(body: Readable | undefined): number {
  if (!body || !('headers' in body)) return 0;
  const declared = Number((body.headers as Readonly<Record<string, unknown>>)['content-length'] ?? 0);
  return Number.isSafeInteger(declared) && declared > 0 ? declared : 0;
}
