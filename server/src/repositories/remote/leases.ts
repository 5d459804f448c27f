/** Has one process at a time ask for a thing, where several share a database. */
import { randomUUID } from 'node:crypto';
import type { Database } from '../../db/database.ts';
import { dropLease, getLease, type LeaseRow, renewLease, takeLease } from '../../db/fetch-leases.ts';

/** The right to ask for one thing, until it is let go or its holder dies. */
export interface Lease {
  /** Lets those who wait answer what headers tell. */
  describe(description: string): Promise<void>;
  /** Nothing came of it: those who wait now, or ask within the next moment, hear the same. */
  fail(outcome: string): Promise<void>;
  release(): Promise<void>;
}

const TTL_MS = 10_000;
const BEAT_MS = 2500;
/** An outcome is shared for this long, so that a failing upstream is not asked by each process in turn. */
const OUTCOME_MS = 1500;

/** Nobody else asks. */
const ALONE: Lease = { describe: async () => undefined, fail: async () => undefined, release: async () => undefined };

export class Leases {
  readonly #database: Database;
  readonly #owner = randomUUID();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Undefined where another process has it. */
  async take(repoId: number, key: string): Promise<Lease | undefined> {
    const database = this.#database;
    if (database.dialect.exclusive) return ALONE;
    const lease = { repoId, key, owner: this.#owner, ttlMs: TTL_MS };
    const options = { durable: false };
    if (!(await database.transaction((tx) => takeLease(tx, lease), options))) return undefined;
    const beat = setInterval(() => {
      // One that is missed is made up for by the next; whoever takes over finds out what is there.
      void database.transaction((tx) => renewLease(tx, lease), options).catch(() => undefined);
    }, BEAT_MS);
    beat.unref();
    return {
      async describe(description) {
        await database.transaction((tx) => renewLease(tx, lease, { description }), options);
      },
      async fail(outcome) {
        clearInterval(beat);
        await database.transaction((tx) => renewLease(tx, { ...lease, ttlMs: OUTCOME_MS }, { outcome }), options);
      },
      async release() {
        clearInterval(beat);
        await database.transaction((tx) => dropLease(tx, repoId, key, lease.owner), options);
      },
    };
  }

  look(repoId: number, key: string): Promise<LeaseRow | undefined> {
    return this.#database.read((db) => getLease(db, repoId, key));
  }
}
