/** When each thing was last asked for and what came of it: in memory, backed by rows that other processes see. */
import type { Database } from '../../db/database.ts';
import { getRemoteItem, type RemoteItem, setRemoteItem } from '../../db/remote-items.ts';
import { Lru } from '../../lib/lru.ts';

interface Known {
  readonly item: RemoteItem;
  readonly readAt: number;
}

/** An older copy is served without asking again for this long after asking has failed. */
const GRACE_MS = 30_000;
const MAX_KNOWN = 20_000;
/** Another process may have found, or been told to forget, what this one remembers as absent. */
const ABSENCE_TRUST_MS = 2000;

export class Freshness {
  readonly #database: Database;
  readonly #known = new Lru<string, Known>({ maxEntries: MAX_KNOWN });
  readonly #graces = new Lru<string, string>({ maxEntries: MAX_KNOWN, ttlMs: GRACE_MS });
  /** Grows with each `forget`, so that what was remembered before is not asked for by its old name. */
  readonly #rounds = new Map<number, number>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** What is known of the thing; a query only where this process was not asked for it before. */
  async get(repoId: number, key: string): Promise<RemoteItem | undefined> {
    const name = this.#name(repoId, key);
    const known = this.#known.get(name);
    const isTrusted =
      known &&
      (known.item.absentUntil === 0 ||
        this.#database.dialect.exclusive ||
        performance.now() - known.readAt < ABSENCE_TRUST_MS);
    return isTrusted ? known.item : this.read(repoId, key);
  }

  /** The same as other processes may have left it meanwhile. */
  async read(repoId: number, key: string): Promise<RemoteItem | undefined> {
    // By its name of now: what is forgotten while it is being read must not be known again.
    const name = this.#name(repoId, key);
    const item = await this.#database.read((db) => getRemoteItem(db, repoId, key));
    if (item) this.#known.set(name, { item, readAt: performance.now() });
    else this.#known.delete(name);
    return item;
  }

  /**
   * Remembers what the upstream said when it was asked in that round of the repository; what was to be forgotten since
   * then is kept as something to ask for again. Its loss at a power cut only makes us ask again.
   */
  async set(repoId: number, key: string, told: RemoteItem, round: number): Promise<void> {
    const item = round === this.roundOf(repoId) ? told : { ...told, checkedAt: 0, absentUntil: 0, reason: undefined };
    const name = this.#name(repoId, key);
    this.#known.set(name, { item, readAt: performance.now() });
    this.#graces.delete(name);
    await this.#database.transaction((tx) => setRemoteItem(tx, repoId, key, item), { durable: false });
  }

  /** Changes with each `forget`. */
  roundOf(repoId: number): number {
    return this.#rounds.get(repoId) ?? 0;
  }

  /** Why an older copy is served for a while without asking; undefined where it is time to ask. */
  graceOf(repoId: number, key: string): string | undefined {
    return this.#graces.get(this.#name(repoId, key));
  }

  /** Has the older copy served for a while, since asking failed. */
  excuse(repoId: number, key: string, reason: string): void {
    const name = this.#name(repoId, key);
    if (this.#graces.get(name) === undefined) this.#graces.set(name, reason);
  }

  /** Forgets what this process remembers of a repository. */
  forget(repoId: number): void {
    this.#rounds.set(repoId, this.roundOf(repoId) + 1);
  }

  #name(repoId: number, key: string): string {
    return `${repoId}.${this.roundOf(repoId)}\n${key}`;
  }
}
