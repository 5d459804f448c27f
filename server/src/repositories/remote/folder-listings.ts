/** Listings of upstreams' folders, remembered for a moment, and told together with what is held. */

import type { RepoPath } from '../../core/ids.ts';
import type { Entry, Folder, Page } from '../../core/repository.ts';
import { Lru } from '../../lib/lru.ts';
import { singleflight } from '../../lib/singleflight.ts';
import type { ListedEntry } from './folder-listing.ts';

const MAX_LISTINGS = 200;
const TTL_MS = 60_000;
const FETCHED = '_system_';

type Listed = readonly ListedEntry[] | undefined;

export class FolderListings {
  readonly #known = new Lru<string, { readonly entries: Listed }>({ maxEntries: MAX_LISTINGS, ttlMs: TTL_MS });
  readonly #flights = singleflight<Listed>();

  /** What an upstream lists, asked for at most once a minute. */
  async get(key: string, ask: () => Promise<Listed>): Promise<Listed> {
    const known = this.#known.get(key);
    if (known) return known.entries;
    const entries = await this.#flights(key, ask);
    this.#known.set(key, { entries });
    return entries;
  }
}

/** One page of both, by name; what is held is told as it is. */
export function together(held: readonly Entry[], listed: readonly ListedEntry[], page: Page): readonly Entry[] {
  // A full page of what is held says nothing of the names behind it.
  const end = held.length === page.limit ? held.at(-1)?.name : undefined;
  const names = new Set(held.map(({ name }) => name));
  const more = listed
    .filter(({ name }) => !names.has(name))
    .filter(({ name }) => page.after === undefined || compare(name, page.after) > 0)
    .filter(({ name }) => page.before === undefined || compare(name, page.before) < 0)
    .filter(({ name }) => end === undefined || compare(name, end) < 0)
    .map(({ name, folder }): Entry => ({ name, folder, size: 0, isListed: true }));
  return [...held, ...more].sort((a, b) => compare(a.name, b.name)).slice(0, page.limit);
}

/** A folder that only the upstream has. */
export function listedFolder(path: RepoPath, at: Date): Folder {
  return { path, createdAt: at, createdBy: FETCHED, modifiedAt: at, modifiedBy: FETCHED };
}

/** The order of both databases. */
function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
