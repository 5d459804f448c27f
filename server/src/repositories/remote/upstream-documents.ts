/** Documents of an upstream: fetched whole, kept as files of the cache, and read by who knows what they are. */
import { readAll } from '../../core/bodies.ts';
import type { RepoPath, Sha256 } from '../../core/ids.ts';
import type { Action } from '../../core/principal.ts';
import type { DocumentFetch } from '../../core/remote.ts';
import type { Asset } from '../../core/repository.ts';
import { Lru } from '../../lib/lru.ts';
import { singleflight } from '../../lib/singleflight.ts';
import { AccessWithin } from '../access.ts';
import type { Access } from '../leaf.ts';
import type { LocalRepository } from '../local.ts';
import type { KeptFetches } from './kept-fetches.ts';

/** What a document says, as it was last heard. */
export interface FoundDocument<T> {
  /** The bytes it is read from. */
  readonly asset: Asset;
  /** The upstream could not be asked whether it still says so. */
  readonly isStale: boolean;
  read(): Promise<T>;
}

const MAX_READ = 1000;
/** What is read of documents takes more than their bytes, but follows from them. */
const MAX_READ_BYTES = 16 * 1024 * 1024;

type Parse<T> = (bytes: Buffer, about: { readonly mediaType: string }) => T | Promise<T>;

export class UpstreamDocuments {
  readonly #local: LocalRepository;
  readonly #kept: KeptFetches;
  readonly #read = new Lru<string, { readonly value: unknown }>({ maxEntries: MAX_READ, maxWeight: MAX_READ_BYTES });
  readonly #reading = singleflight<unknown>();

  constructor(local: LocalRepository, kept: KeptFetches) {
    this.#local = local;
    this.#kept = kept;
  }

  /** Undefined where the upstream has none; throws where it cannot be asked and nothing is kept. */
  async find<T>(fetch: DocumentFetch, access: Access, parse: Parse<T>): Promise<FoundDocument<T> | undefined> {
    for (let next: DocumentFetch | undefined = fetch; next; next = next.otherwise) {
      const asked = next;
      const asset = await this.#assetOf(asked, access, parse);
      if (!asset) continue;
      return { asset, isStale: asset.warning !== undefined, read: () => this.#parsed(asked, asset, parse) };
    }
    return undefined;
  }

  async #assetOf(fetch: DocumentFetch, access: Access, parse: Parse<unknown>): Promise<Asset | undefined> {
    const { key, path, ask, maxBytes, mediaType, missing, missSeconds, pages } = fetch;
    const wanted = { path };
    const held = await this.#local.get(path);
    let checked: { readonly value: unknown; readonly weight: number } | undefined;
    const asked = {
      wanted,
      fetch: {
        key,
        path,
        ask,
        mediaType,
        mutable: true,
        whole: { maxBytes },
        ...(missing && { missing }),
        ...(missSeconds !== undefined && { missSeconds }),
        ...(pages && { pages }),
        check: async (bytes: Buffer) => {
          checked = { value: await parse(bytes, { mediaType }), weight: bytes.length };
        },
        // What was read to judge it is what everybody gets: reading a large one again would cost as much again.
        checked: (sha256: Sha256) => {
          if (checked) this.#read.set(nameOf(fetch, sha256), checked, checked.weight);
        },
      },
      purpose: 'bytes' as const,
      access: new ListingAccess(access, fetch),
      outlives: false,
    };
    return (await this.#kept.serve(asked, held)) as Asset | undefined;
  }

  async #parsed<T>(fetch: DocumentFetch, asset: Asset, parse: Parse<T>): Promise<T> {
    const name = nameOf(fetch, asset.sha256);
    const known = this.#read.get(name);
    if (known) return known.value as T;
    // Whoever asks while it is read gets what the first one reads.
    const value = await this.#reading(name, async () => {
      const bytes =
        asset.content.inline ?? (await readAll(await asset.content.open(), { limit: asset.size, what: 'document' }));
      const read = await parse(bytes, asset);
      this.#read.set(name, { value: read }, bytes.length);
      return read;
    });
    return value as T;
  }
}

/** Names what was read of these bytes. */
function nameOf({ key, variant }: DocumentFetch, sha256: Sha256): string {
  return `${key}\n${variant ?? ''}\n${sha256}`;
}

/**
 * A document lies where no pattern of an administrator may lead, so the right to fill is that for its package, or, for
 * those of the whole repository, the right to fill it at all.
 */
class ListingAccess extends AccessWithin {
  readonly #fetch: DocumentFetch;

  constructor(inner: Access, fetch: DocumentFetch) {
    super(inner);
    this.#fetch = fetch;
  }

  override allows(action: Action, asked: RepoPath): boolean {
    return action === 'deploy' ? this.#fills() : this.inner.allows(action, asked);
  }

  override require(action: Action, asked: RepoPath): void {
    if (action !== 'deploy' || !this.#fills()) this.inner.require(action, asked);
  }

  #fills(): boolean {
    const { package: name, path } = this.#fetch;
    if (this.inner.allows('deploy', path)) return true;
    return name === undefined ? this.mayWrite : this.inner.allows('deploy', name as RepoPath);
  }
}
