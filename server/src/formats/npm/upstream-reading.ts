/** Has documents of upstreams read, large ones in a thread of their own, and makes of them what others work with. */
import { inflateRawSync } from 'node:zlib';
import { AppError } from '../../core/errors.ts';
import { clip, type RepoPath } from '../../core/ids.ts';
import { Spell } from '../../lib/spell.ts';
import { readInThread, ThreadProblem } from '../../lib/thread.ts';
import { findLatest, type Packument, type Release } from './packument.ts';
import {
  type PackumentHead,
  type PackumentPart,
  type ReleaseFacts,
  type ReleasesPart,
  readPackument,
} from './upstream-packument.ts';

/** Reading so much takes a millisecond or two. */
const SMALL_BYTES = 32 * 1024;
const MAX_MS = 120_000;
const MAX_MEMORY_MB = 1024;

/** What an upstream's bytes say of a package. Throws `invalid` for what is no document of it. */
export async function parsePackument(
  bytes: Buffer,
  { name, base }: { readonly name: string; readonly base: URL },
): Promise<Packument> {
  const origin = { name, base: base.href };
  const found = new Found();
  if (bytes.length <= SMALL_BYTES) readPackument(bytes, origin, (part) => found.take(part));
  else await readApart(bytes, origin, (part) => found.take(part));
  return found.packument(name);
}

async function readApart(
  bytes: Buffer,
  input: { readonly name: string; readonly base: string },
  take: (part: PackumentPart) => void,
): Promise<void> {
  const script = new URL('./upstream-worker.ts', import.meta.url);
  try {
    await readInThread(bytes, { script, input, maxMs: MAX_MS, maxMemoryMb: MAX_MEMORY_MB, take });
  } catch (error) {
    if (error instanceof ThreadProblem) throw new AppError('invalid', error.message, {}, { cause: error });
    throw error;
  }
}

/** Texts of versions as bytes, which are most of a document, and of which none is needed more than now and then. */
class Texts {
  readonly #plain: Buffer;
  readonly #deflated: Uint8Array;
  /** What was inflated, while it is needed. */
  #full: WeakRef<Buffer> | undefined;

  constructor({ texts, full }: ReleasesPart) {
    this.#plain = Buffer.from(texts.buffer);
    this.#deflated = full;
  }

  plain(at: number, length: number): string {
    return this.#plain.toString('utf8', at, at + length);
  }

  full(at: number, length: number): string {
    let full = this.#full?.deref();
    if (!full) {
      full = inflateRawSync(this.#deflated);
      this.#full = new WeakRef(full);
    }
    return full.toString('utf8', at, at + length);
  }
}

class UpstreamRelease implements Release {
  readonly version: string;
  readonly path: RepoPath;
  readonly link?: string;
  readonly deprecated: string | undefined;
  readonly attested: string | undefined;
  readonly integrity: string | undefined;
  time: string | undefined;
  readonly #texts: Texts;
  readonly #at: TextsAt;
  readonly #lengths: ReleaseFacts['lengths'];

  constructor(facts: ReleaseFacts, texts: Texts, at: TextsAt) {
    this.version = facts.version;
    this.path = facts.path;
    if (facts.link !== undefined) this.link = facts.link;
    this.deprecated = facts.deprecated;
    this.attested = facts.attested;
    this.integrity = facts.integrity;
    this.#texts = texts;
    this.#at = at;
    this.#lengths = facts.lengths;
  }

  get full(): string {
    return this.#texts.full(this.#at.full, this.#lengths.full);
  }

  get short(): string {
    return this.#texts.plain(this.#at.plain, this.#lengths.short);
  }

  get dist(): string {
    return this.#texts.plain(this.#at.plain + this.#lengths.short, this.#lengths.dist);
  }
}

/** Where the texts of a version begin. */
interface TextsAt {
  readonly plain: number;
  readonly full: number;
}

/** What was read of a document so far. */
class Found {
  readonly #releases = new Map<string, UpstreamRelease>();
  #head: PackumentHead | undefined;

  take(part: PackumentPart): void {
    if ('head' in part) this.#head = part.head;
    else if ('times' in part) {
      for (const [version, time] of part.times) {
        const release = this.#releases.get(version);
        if (release) release.time = time;
      }
    } else {
      const texts = new Texts(part);
      let at: TextsAt = { plain: 0, full: 0 };
      for (const facts of part.releases) {
        const { full, short, dist } = facts.lengths;
        this.#releases.set(facts.version, new UpstreamRelease(facts, texts, at));
        at = { plain: at.plain + short + dist, full: at.full + full };
      }
    }
  }

  async packument(name: string): Promise<Packument> {
    const [releases, head] = [this.#releases, this.#head];
    if (head?.name !== name)
      throw new AppError('invalid', `The document of "${clip(name)}" is that of another package.`);
    if (releases.size === 0) throw new AppError('invalid', `The document of "${clip(name)}" names no version.`);
    const tags = new Map(head.tags.filter(([, version]) => releases.has(version)));
    const latest = await findLatest({ tags, releases });
    const { created, modified, maintainers, readme, readmeFilename, rev } = head;
    return {
      name,
      releases,
      tags,
      latest,
      created,
      modified: modified ?? (await newest(releases)),
      maintainers,
      stars: new Set(),
      readme:
        readme !== undefined && latest !== undefined
          ? { of: latest, text: readme, fileName: readmeFilename ?? 'README.md' }
          : undefined,
      own: false,
      rev: rev ?? `0-${releases.size}`,
    };
  }
}

async function newest(releases: ReadonlyMap<string, Release>): Promise<string | undefined> {
  const spell = new Spell();
  let newest: string | undefined;
  for (const { time } of releases.values()) {
    if (time !== undefined && !(newest !== undefined && newest >= time)) newest = time;
    if (spell.isOver) await spell.rest();
  }
  return newest;
}
