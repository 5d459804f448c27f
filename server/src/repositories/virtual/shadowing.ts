/** Remembers which names were asked of upstreams although local repositories have them. */
import type { Database } from '../../db/database.ts';
import { noteShadowedName } from '../../db/shadowed-names.ts';
import { Lru } from '../../lib/lru.ts';
import type { ShadowedName, ShadowingNotes } from './guard.ts';

/** A name that is asked again within this time is not written again. */
const QUIET_MS = 60 * 60 * 1000;
const KNOWN = 10_000;

export class ShadowingLog implements ShadowingNotes {
  readonly #database: Database;
  readonly #known = new Lru<string, true>({ maxEntries: KNOWN, ttlMs: QUIET_MS });

  constructor(database: Database) {
    this.#database = database;
  }

  /** Written before the upstream is asked. */
  async note(asked: ShadowedName): Promise<void> {
    const key = `${asked.virtualId}\n${asked.remoteId}\n${asked.reason}\n${asked.name}`;
    if (this.#known.get(key)) return;
    await this.#database.transaction((tx) => noteShadowedName(tx, asked, Date.now()), { durable: false });
    this.#known.set(key, true);
  }
}
