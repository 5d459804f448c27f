/** A bounded memory that forgets what was not asked for longest, and what is too old. */
export interface LruOptions {
  readonly maxEntries: number;
  /** Without it, entries do not age. */
  readonly ttlMs?: number;
  /** Milliseconds that only grow; for tests. */
  readonly now?: () => number;
}

interface Entry<V> {
  readonly value: V;
  readonly expiresAt: number;
}

export class Lru<K, V> {
  readonly #entries = new Map<K, Entry<V>>();
  readonly #options: LruOptions;

  constructor(options: LruOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value, if it is still known; asking keeps it from being the next to go, but not from ageing. */
  get(key: K): V | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (entry.expiresAt <= this.#now()) return undefined;
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Remembers the value; the entry that was not asked for longest goes when there are too many. */
  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, expiresAt: this.#now() + (this.#options.ttlMs ?? Number.POSITIVE_INFINITY) });
    if (this.#entries.size <= this.#options.maxEntries) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      break;
    }
  }

  delete(key: K): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  #now(): number {
    return this.#options.now?.() ?? performance.now();
  }
}
