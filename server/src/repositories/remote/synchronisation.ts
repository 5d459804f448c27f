/**
 * What another server of this kind knows of a file beside its bytes: properties, downloads, and whether it still has
 * it. Asked for after a file came and, when that is long ago, after it was served; nobody waits for it.
 */
import { z } from 'zod';
import { readAll } from '../../core/bodies.ts';
import { isAppError } from '../../core/errors.ts';
import type { Properties, RepoPath } from '../../core/ids.ts';
import { requirePropertyKey, requirePropertyValue } from '../../core/property-list.ts';
import { type Upstream, UpstreamFailure } from '../../core/upstream.ts';
import type { Database } from '../../db/database.ts';
import { getNode } from '../../db/nodes.ts';
import { changeStatistic } from '../../db/statistics.ts';
import { parseJson } from '../../lib/json.ts';
import { Lru } from '../../lib/lru.ts';
import { Turnstile } from '../../lib/turnstile.ts';
import type { Access } from '../leaf.ts';
import type { LocalRepository } from '../local.ts';
import { storageApiOf } from './folder-listing.ts';

export interface Synchronised {
  readonly properties: boolean;
  readonly statistics: boolean;
  /** Whether files that the upstream has no more are marked. */
  readonly absence: boolean;
}

export interface SynchronisedFile {
  readonly repoId: number;
  readonly path: RepoPath;
  readonly local: LocalRepository;
  /** As which the rows are written. */
  readonly access: Access;
  readonly what: Synchronised;
  readonly base: URL;
  readonly upstream: () => Upstream;
  /** What is known is good for so long. */
  readonly freshMs: number;
}

/** Set on files that the upstream has no more, where the settings want that. */
export const ABSENT_PROPERTY = 'source.absent';
const PLACES = 2;
const MAX_WAITING = 200;
const MAX_KNOWN = 10_000;
const MAX_BYTES = 1024 * 1024;
const MAX_DEPTH = 6;
const MAX_KEYS = 200;
const MAX_VALUES = 200;
const TIMEOUT_MS = 15_000;
/** A setting of no time at all would ask with each download. */
const LEAST_MS = 1000;

interface Known {
  readonly at: number;
  /** What came from upstream, so that it goes when it is gone there; what was set here stays. */
  readonly keys: readonly string[];
}

export class Synchronisation {
  readonly #database: Database;
  readonly #known = new Lru<string, Known>({ maxEntries: MAX_KNOWN });
  readonly #turnstile = new Turnstile(PLACES);
  readonly #under = new Map<string, Promise<void>>();
  readonly #end = new AbortController();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Has the file compared, unless that was done a short time ago, or too many others wait. */
  note(file: SynchronisedFile): void {
    const key = `${file.repoId}\n${file.path}`;
    const known = this.#known.get(key);
    const isFresh = known && performance.now() - known.at < Math.max(LEAST_MS, file.freshMs);
    if (isFresh || this.#under.has(key) || this.#under.size >= MAX_WAITING || this.#end.signal.aborted) return;
    const work = this.#turnstile
      .pass(() => this.#compare(file, known?.keys ?? []))
      .then((keys) => this.#known.set(key, { at: performance.now(), keys }))
      // What an upstream cannot tell now it is asked again with a later download.
      .catch(() => this.#known.set(key, { at: performance.now(), keys: known?.keys ?? [] }))
      .then(() => void this.#under.delete(key));
    this.#under.set(key, work);
  }

  async stop(): Promise<void> {
    this.#end.abort(new UpstreamFailure('broken', 'The server is stopping.'));
    await Promise.allSettled(this.#under.values());
  }

  /** Returns the keys of the properties that the upstream has. */
  async #compare(file: SynchronisedFile, before: readonly string[]): Promise<readonly string[]> {
    this.#end.signal.throwIfAborted();
    const { what } = file;
    const isThere = what.absence ? await this.#isThere(file) : true;
    const properties = what.properties && isThere ? await this.#properties(file) : undefined;
    const keys = properties ? Object.keys(properties) : before;
    await this.#annotate(
      file,
      {
        ...(properties ?? {}),
        ...(what.absence && !isThere && { [ABSENT_PROPERTY]: ['true'] }),
      },
      [
        ...(properties ? before.filter((key) => !Object.hasOwn(properties, key)) : []),
        ...(what.absence && isThere ? [ABSENT_PROPERTY] : []),
      ],
    );
    if (what.statistics && isThere) await this.#statistics(file);
    return keys;
  }

  async #isThere(file: SynchronisedFile): Promise<boolean> {
    return (await this.#ask(file, '')).status !== 404;
  }

  async #properties(file: SynchronisedFile): Promise<Properties | undefined> {
    const { status, value } = await this.#ask(file, 'properties');
    // There is the file, since it came from there: it has none.
    if (status === 404) return {};
    const read = propertiesShape.safeParse(value);
    return read.success ? usable(read.data.properties) : undefined;
  }

  async #statistics(file: SynchronisedFile): Promise<void> {
    const read = statsShape.safeParse((await this.#ask(file, 'stats')).value);
    if (!read.success) return;
    const { downloadCount, lastDownloaded } = read.data;
    await this.#database.transaction(
      async (tx) => {
        const node = await getNode(tx, file.repoId, file.path);
        const change = { remoteDownloads: downloadCount, remoteDownloadedAt: lastDownloaded };
        if (node && !node.folder) await changeStatistic(tx, node.id, change);
      },
      { durable: false },
    );
  }

  async #annotate(file: SynchronisedFile, wanted: Properties, gone: readonly string[]): Promise<void> {
    const { local, path, access } = file;
    const has = await local.properties(path);
    const set = Object.fromEntries(Object.entries(wanted).filter(([key, values]) => !isSame(values, has[key])));
    const remove = gone.filter((key) => Object.hasOwn(has, key));
    if (Object.keys(set).length === 0 && remove.length === 0) return;
    try {
      await local.change(path, access, (tree) => tree.annotate(path, { set, remove }));
    } catch (error) {
      // It was deleted meanwhile.
      if (!isAppError(error, 'not_found')) throw error;
    }
  }

  async #ask(file: SynchronisedFile, question: string): Promise<{ readonly status: number; readonly value: unknown }> {
    const link = storageApiOf(file.base, file.path);
    if (!link) throw new UpstreamFailure('refused', 'The upstream is no server of this kind.');
    if (question !== '') link.search = `?${question}`;
    const signal = AbortSignal.any([this.#end.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    const answer = await file.upstream().request({ method: 'GET', path: '', link, signal });
    const bytes = await readAll(answer.body, { limit: MAX_BYTES, what: 'answer' });
    if (answer.status !== 200 && answer.status !== 404) {
      throw new UpstreamFailure('broken', `The upstream answered ${answer.status}.`);
    }
    const parsed = parseJson(bytes, { maxDepth: MAX_DEPTH });
    // Somebody else's 404 says nothing of files.
    if (!('value' in parsed)) throw new UpstreamFailure('broken', 'The upstream is no server of this kind.');
    return { status: answer.status, value: parsed.value };
  }
}

const propertiesShape = z.object({ properties: z.record(z.string(), z.array(z.string())) });
const statsShape = z.object({ downloadCount: z.int().min(0), lastDownloaded: z.int().min(0) });

/** Those that can be kept here, and only so many. */
function usable(properties: Readonly<Record<string, readonly string[]>>): Properties {
  const found = Object.entries(properties).filter(([key, values]) => {
    if (isOurs(key) || values.length === 0 || values.length > MAX_VALUES) return false;
    try {
      requirePropertyKey(key);
      for (const value of values) requirePropertyValue(key, value);
      return true;
    } catch (error) {
      if (isAppError(error)) return false;
      throw error;
    }
  });
  return Object.fromEntries(found.slice(0, MAX_KEYS));
}

/** What servers note of items themselves is nothing of the file. */
function isOurs(key: string): boolean {
  return key === ABSENT_PROPERTY || key.startsWith('trash.');
}

function isSame(one: readonly string[], other: readonly string[] | undefined): boolean {
  return JSON.stringify([...one].sort()) === JSON.stringify([...(other ?? [])].sort());
}
