/** What upstreams said lately that tags point to, for clients that ask for it by its digest next. */
import { Lru } from '../../lib/lru.ts';

/** As long as a client may take from asking where a tag points to asking for that. */
const TTL_MS = 60_000;
const MAX_TAGS = 10_000;
const MAX_TAGS_OF_ONE = 20;

interface Image {
  readonly repo: string;
  readonly name: string;
}

export class TagLeases {
  readonly #digests: Lru<string, string>;
  readonly #tags: Lru<string, readonly string[]>;

  constructor(options: { readonly now?: () => number } = {}) {
    this.#digests = new Lru({ maxEntries: MAX_TAGS, ttlMs: TTL_MS, ...options });
    this.#tags = new Lru({ maxEntries: MAX_TAGS, ttlMs: TTL_MS, ...options });
  }

  note({ tag, ...image }: Image & { readonly tag: string }, digest: string): void {
    this.#digests.set(keyOf(image, tag), digest);
    const key = keyOf(image, digest);
    const others = (this.#tags.get(key) ?? []).filter((other) => other !== tag);
    this.#tags.set(key, [tag, ...others].slice(0, MAX_TAGS_OF_ONE));
  }

  /** The tags that pointed to the digest when they were last asked for. */
  tagsOf(image: Image, digest: string): readonly string[] {
    const tags = this.#tags.get(keyOf(image, digest)) ?? [];
    return tags.filter((tag) => this.#digests.get(keyOf(image, tag)) === digest);
  }
}

function keyOf({ repo, name }: Image, reference: string): string {
  return `${repo}/${name} ${reference}`;
}
