/** A bounded memory that forgets what was not asked for longest, and what is too old. */
export interface LruOptions {
  readonly maxEntries: number;
  /** What all entries may weigh together; one that is heavier is kept alone. */
  readonly maxWeight?: number;
  /** Without it, entries do not age. */
  readonly ttlMs?: number;
  /** Milliseconds that only grow; for tests. */
  readonly now?: () => number;
}

interface Entry<V> {
  readonly value: V;
  readonly weight: number;
  readonly expiresAt: number;
}

export class Lru<K, V> {
  readonly #entries = new Map<K, Entry<V>>();
  readonly #options: LruOptions;
  #weight = 0;

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
    this.delete(key);
    if (entry.expiresAt <= this.#now()) return undefined;
    this.#add(key, entry);
    return entry.value;
  }

  /** Remembers the value; the entries that were not asked for longest go when there are too many, or too heavy ones. */
  set(key: K, value: V, weight = 0): void {
    const { maxEntries, maxWeight = Number.POSITIVE_INFINITY, ttlMs = Number.POSITIVE_INFINITY } = this.#options;
    this.delete(key);
    this.#add(key, { value, weight, expiresAt: this.#now() + ttlMs });
    for (const oldest of this.#entries.keys()) {
      const isTooMuch = this.#entries.size > maxEntries || this.#weight > maxWeight;
      if (!isTooMuch || this.#entries.size === 1) return;
      this.delete(oldest);
    }
  }

  delete(key: K): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#weight -= entry.weight;
  }

  clear(): void {
    this.#entries.clear();
    this.#weight = 0;
  }

  #add(key: K, entry: Entry<V>): void {
    this.#entries.set(key, entry);
    this.#weight += entry.weight;
  }

  #now(): number {
    return this.#options.now?.() ?? performance.now();
  }
}
