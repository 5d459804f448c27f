/** One file asked of an upstream: what is sent, what the answers mean, and how its bytes are kept. */
import { Readable } from 'node:stream';
import { Spool } from '../../blobs/spool.ts';
import { readAll, slicesOf } from '../../core/bodies.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import type { Digest, RepoKey, Sha256 } from '../../core/ids.ts';
import type { DocumentFetch, Fetch } from '../../core/remote.ts';
import type { Asset, Landed, Wanted } from '../../core/repository.ts';
import { type Ask, type Upstream, type UpstreamAnswer, UpstreamFailure } from '../../core/upstream.ts';
import type { ExpectedRow } from '../../db/expected-files.ts';
import type { RemoteItem } from '../../db/remote-items.ts';
import type { Access } from '../leaf.ts';
import type { LocalDeps, LocalRepository } from '../local.ts';
import { admit, expectedPaths, landedOf, linkExpected, READING } from './admission.ts';
import type { Absence, Announcement } from './announcement.ts';
import { checkKind, type Description, describe, judge, mediaTypeOf, timeOf, troubleOf } from './answers.ts';
import type { Errand, Told } from './flight.ts';
import type { Freshness } from './freshness.ts';
import type { RemoteSettings } from './settings.ts';
import { transfer, wrong } from './transfer.ts';
import { algorithmsFor, verify } from './verify.ts';
import { readWhole } from './whole.ts';

export interface ErrandDeps extends LocalDeps {
  readonly freshness: Freshness;
  /** Told of what went wrong when nobody waits for it any more. */
  readonly warn: (fields: object, message: string) => void;
}

/** A fetch, perhaps of something that comes in pages. */
export interface AskedFetch extends Fetch, Pick<DocumentFetch, 'pages'> {
  /** Throws `invalid` for what it cannot be; what came whole is judged before it is kept. */
  check?(bytes: Buffer): void | Promise<void>;
  /** Told what the bytes are called that passed the check. */
  checked?(sha256: Sha256): void;
}

export interface FileErrandOptions {
  readonly repoId: number;
  readonly repo: RepoKey;
  readonly local: LocalRepository;
  readonly settings: RemoteSettings;
  readonly upstream: () => Upstream;
  readonly wanted: Wanted;
  readonly fetch: AskedFetch;
  /** An older copy, with what the upstream said of it. */
  readonly held: Asset | undefined;
  readonly item: RemoteItem | undefined;
  readonly access: Access;
}

/** Absences that may be a question of rights are forgotten soon. */
const REFUSED_MS = 60_000;
/** Some servers refuse questions for headers alone and answer the whole one. */
const UNANSWERED = new Set([400, 401, 403, 405, 501]);

export type HeadersFound =
  | { readonly kind: 'arriving'; readonly description: Description }
  | { readonly kind: 'held' }
  | Absence;

export class FileErrand implements Errand {
  readonly repoId: number;
  readonly key: string;
  readonly #deps: ErrandDeps;
  readonly #options: FileErrandOptions;
  /** What is forgotten while this is asking must not be known by its answer. */
  readonly #round: number;

  constructor(deps: ErrandDeps, options: FileErrandOptions) {
    this.#deps = deps;
    this.#options = options;
    this.repoId = options.repoId;
    this.key = options.fetch.key;
    this.#round = deps.freshness.roundOf(options.repoId);
  }

  async run(told: Told): Promise<Announcement> {
    const { fetch, local, access, held, settings } = this.#options;
    const expected = held ? [] : await expectedPaths(this.#deps.database, this.repoId, fetch);
    if (await linkExpected(local, access, this.#deps.database, fetch, expected)) return { kind: 'held' };
    const upstream = this.#options.upstream();
    let { ask } = fetch;
    let pinned: Digest | undefined;
    if (held && fetch.identify && !settings.bypassesHead) {
      const seen = await this.#head(upstream, told.signal);
      if (seen && 'announcement' in seen) return seen.announcement;
      pinned = seen?.digest;
      if (seen?.digest && (await this.#takeKnown(seen.digest, seen.answer))) return { kind: 'held' };
      if (pinned && fetch.pinned) ask = fetch.pinned(pinned);
    }
    const conditions = fetch.identify && !settings.bypassesHead ? {} : this.#conditions();
    const headers = { ...ask.headers, ...conditions };
    const answer = await upstream.request({ ...ask, method: 'GET', headers, signal: told.signal });
    const verdict = this.#judge(answer, Object.keys(conditions).length > 0);
    if (verdict.kind !== 'bytes') {
      answer.body.destroy();
      if (verdict.kind === 'absent') return this.#absent(verdict);
      await this.#remember(answer, held);
      return { kind: 'held' };
    }
    if (held && this.#isOlder(answer)) {
      answer.body.destroy();
      await this.#remember({ ...answer, headers: {} }, held);
      return { kind: 'held' };
    }
    try {
      checkKind(this.#options.repo, answer.headers, fetch, settings);
      const digests = this.#digests(answer, pinned);
      const taken = { answer, ask, upstream, digests, expected, told };
      await (fetch.whole ? this.#takeWhole(taken, fetch.whole.maxBytes) : this.#takeFlowing(taken));
    } catch (error) {
      answer.body.destroy();
      throw error;
    }
    return { kind: 'held' };
  }

  /** What headers alone tell; `unanswered` where the upstream refuses such questions. */
  async headers(): Promise<HeadersFound | 'unanswered'> {
    const { fetch, repo, settings } = this.#options;
    const [expected] = await expectedPaths(this.#deps.database, this.repoId, fetch);
    if (expected) return { kind: 'arriving', description: expectation(fetch, expected) };
    const answer = await this.#options.upstream().request({ ...fetch.ask, method: 'HEAD' });
    answer.body.destroy();
    if (UNANSWERED.has(answer.status)) return 'unanswered';
    const verdict = this.#judge(answer, false);
    if (verdict.kind === 'absent') return this.#absent(verdict);
    checkKind(repo, answer.headers, fetch, settings);
    const digest = fetch.digest === undefined ? fetch.identify?.(answer.headers).digest : undefined;
    if (digest && (await this.#takeKnown(digest, answer))) return { kind: 'held' };
    return { kind: 'arriving', description: describe(repo, answer.headers, fetch) };
  }

  async look(startedAt: number): Promise<Announcement | undefined> {
    const { fetch } = this.#options;
    const item = await this.#deps.freshness.read(this.repoId, this.key);
    const now = Date.now();
    if (item && item.absentUntil > now) return { kind: 'absent', reason: item.reason ?? '', refused: false };
    if (!(await this.held())) return undefined;
    const isNew = item !== undefined && (item.checkedAt >= startedAt || this.#isFresh(item));
    return !fetch.mutable || isNew ? { kind: 'held' } : undefined;
  }

  async held(): Promise<Asset | undefined> {
    const found = await this.#options.local.serve(this.#options.wanted, 'bytes', READING);
    return found as Asset | undefined;
  }

  troubleOf(error: unknown): unknown {
    return error instanceof UpstreamFailure ? troubleOf(this.#options.repo, error) : error;
  }

  #isFresh(item: RemoteItem): boolean {
    return Math.abs(Date.now() - item.checkedAt) < this.#options.settings.freshMs;
  }

  /** Asks only for the headers: they may tell that nothing has changed, or what to ask for. */
  async #head(
    upstream: Upstream,
    signal: AbortSignal,
  ): Promise<
    | { readonly announcement: Announcement }
    | { readonly digest: Digest | undefined; readonly answer: UpstreamAnswer }
    | undefined
  > {
    const { fetch, held } = this.#options;
    const answer = await upstream.request({ ...fetch.ask, method: 'HEAD', signal });
    answer.body.destroy();
    if (UNANSWERED.has(answer.status)) return undefined;
    const verdict = this.#judge(answer, false);
    if (verdict.kind === 'absent') return { announcement: await this.#absent(verdict) };
    const digest = fetch.identify?.(answer.headers).digest;
    if (digest && held && isSame(digest, held)) {
      await this.#remember(answer, held);
      return { announcement: { kind: 'held' } };
    }
    return { digest, answer };
  }

  /** Puts under its name what is held already under another one of the package; false where it is not. */
  async #takeKnown(digest: Digest, answer: UpstreamAnswer): Promise<boolean> {
    const { fetch, local, access } = this.#options;
    const { package: name, whole } = fetch;
    if (name === undefined || !whole || !fetch.admit) return false;
    const known = await local.find(name, digest, () => true);
    if (!known || known.size > whole.maxBytes) return false;
    const bytes = await readAll(await known.content.open(), { limit: known.size, what: 'document' });
    const arrived = { landed: landedOf(known), bytes, mediaType: known.mediaType, headers: answer.headers };
    await admit(local, access, arrived, { fetch, expected: [], declared: {}, modifiedAt: undefined });
    await this.#remember(answer, known);
    return true;
  }

  /** Whether a list is older than the one that is kept: one of several servers behind the address is behind the others. */
  #isOlder({ headers }: UpstreamAnswer): boolean {
    const { fetch, item, repo } = this.#options;
    const [before, now] = [timeOf(item?.lastModified), timeOf(headers['last-modified'])];
    if (!fetch.check || before === undefined || now === undefined || now >= before) return false;
    this.#deps.warn(
      { repository: repo, path: fetch.path },
      'an upstream gave an older list than before; the newer one is kept',
    );
    return true;
  }

  /** The answer is only wanted if it is another than the one that led to the bytes that are held. */
  #conditions(): Record<string, string> {
    const { held, item } = this.#options;
    // The first of several pages says nothing about the others.
    if (!held || !item || item.sha256 !== held.sha256 || this.#options.fetch.pages) return {};
    return {
      ...(item.etag !== undefined && { 'if-none-match': item.etag }),
      ...(item.lastModified !== undefined && { 'if-modified-since': item.lastModified }),
    };
  }

  #judge(answer: UpstreamAnswer, conditional: boolean) {
    try {
      return judge(answer, { repo: this.#options.repo, missing: this.#options.fetch.missing, conditional });
    } catch (error) {
      answer.body.destroy();
      throw error;
    }
  }

  #digests(answer: UpstreamAnswer, pinned: Digest | undefined): Digest[] {
    const { fetch } = this.#options;
    return [fetch.digest, pinned, fetch.identify?.(answer.headers).digest].filter((digest) => digest !== undefined);
  }

  async #absent(verdict: { readonly refused: boolean; readonly reason: string }): Promise<Absence> {
    const { fetch, settings, item, wanted, held } = this.#options;
    const limit = fetch.missSeconds === undefined ? Number.POSITIVE_INFINITY : fetch.missSeconds * 1000;
    const forMs = verdict.refused ? REFUSED_MS : Math.min(settings.missedMs, limit);
    const now = Date.now();
    // Plain files outlive what they were copied from; what is refused may be there all the same.
    const keeps = held !== undefined && (verdict.refused || 'path' in wanted);
    if (keeps && !verdict.refused && item) {
      await this.#note({ ...item, checkedAt: now });
    } else if (forMs > 0 && !keeps) {
      const absence = { sha256: undefined, etag: undefined, lastModified: undefined, checkedAt: now };
      const absentUntil = now + forMs;
      await this.#note({ ...absence, absentUntil, reason: verdict.reason });
    }
    if (verdict.refused) this.#deps.warn({ repository: this.#options.repo, path: fetch.path }, verdict.reason);
    return { kind: 'absent', reason: verdict.reason, refused: verdict.refused };
  }

  /** What is held is what the upstream has now, as this answer says. */
  async #remember({ headers }: UpstreamAnswer, held: Pick<Asset, 'sha256'> | undefined): Promise<void> {
    const { fetch, item } = this.#options;
    if (!fetch.mutable) return;
    const isOld = item !== undefined && item.sha256 === held?.sha256;
    await this.#note({
      sha256: held?.sha256,
      etag: validator(headers.etag) ?? (isOld ? item.etag : undefined),
      lastModified: validator(headers['last-modified']) ?? (isOld ? item.lastModified : undefined),
      checkedAt: Date.now(),
      absentUntil: 0,
      reason: undefined,
    });
  }

  #note(item: RemoteItem): Promise<void> {
    return this.#deps.freshness.set(this.repoId, this.key, item, this.#round);
  }

  async #takeWhole({ answer, digests, upstream, told }: Taken, maxBytes: number): Promise<void> {
    const { fetch, repo, local, access } = this.#options;
    const first = await readWhole(repo, answer, maxBytes);
    const bytes = await this.#blaming(async () => {
      const joined = fetch.pages ? await this.#joined(answer, first, { upstream, told, maxBytes }) : first;
      await fetch.check?.(joined);
      return joined;
    });
    const expected: Partial<Record<Digest['algorithm'], string>> = {};
    for (const { algorithm, hex } of digests) {
      expected[algorithm] ??= hex;
      // What was asked for comes first; what the answer says of itself does not stand in for it.
      if (expected[algorithm] !== hex) throw wrong(repo, 'sent other bytes than were asked for');
    }
    const landed = await this.#deps.blobs
      .receive(Readable.from(slicesOf(bytes)), { expected, signal: told.signal })
      .catch((error: unknown) => {
        const mismatch = isAppError(error, 'invalid') && error.detail['mismatch'];
        throw mismatch ? wrong(repo, 'sent other bytes than it said') : error;
      });
    fetch.checked?.(landed.sha256);
    const { headers } = answer;
    const mediaType = fetch.mediaType ?? fetch.identify?.(headers).mediaType ?? mediaTypeOf(headers);
    const modifiedAt = timeOf(headers['last-modified']);
    const arrived = { landed, bytes, mediaType, headers };
    await this.#blaming(() => admit(local, access, arrived, { fetch, expected: [], declared: {}, modifiedAt }));
    await this.#remember(answer, landed);
  }

  async #inspected(landed: Landed, inspect: NonNullable<Fetch['inspect']>): Promise<void> {
    try {
      await this.#blaming(async () => inspect(await landed.content()));
    } catch (error) {
      await landed.discard();
      throw error;
    }
  }

  /** What a format finds wrong with what came is the upstream's fault, not the caller's. */
  async #blaming<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isAppError(error, 'invalid')) throw error;
      throw new AppError('upstream_failed', `From the upstream of "${this.#options.repo}": ${error.message}`);
    }
  }

  /** All pages as one; a page that does not come spoils the whole. */
  async #joined(
    answer: UpstreamAnswer,
    first: Buffer,
    from: { readonly upstream: Upstream; readonly told: Told; readonly maxBytes: number },
  ): Promise<Buffer> {
    const { fetch, repo } = this.#options;
    const { pages } = fetch;
    if (!pages) return first;
    const read = [first];
    let bytes = first.length;
    for (let next = pages.next(answer.headers, first); next; ) {
      if (read.length >= pages.max) throw wrong(repo, `has more than ${pages.max} pages of the list`);
      const page = await from.upstream.request({ ...next, method: 'GET', signal: from.told.signal });
      if (this.#judge(page, false).kind !== 'bytes') {
        page.body.destroy();
        throw wrong(repo, `answered ${page.status} for a page of the list`);
      }
      const more = await readWhole(repo, page, from.maxBytes - bytes);
      bytes += more.length;
      read.push(more);
      next = pages.next(page.headers, more);
    }
    return read.length === 1 ? first : pages.join(read);
  }

  async #takeFlowing({ answer, ask, upstream, digests, expected, told }: Taken): Promise<void> {
    const { fetch, repo, local, access, settings, held } = this.#options;
    const { driver, inlineBytes } = this.#deps.blobs.deps;
    const size = expected[0]?.size;
    const description = describe(repo, answer.headers, fetch);
    const spool = new Spool({ driver, memoryBytes: inlineBytes, keeps: settings.stores });
    const inspect = settings.stores ? fetch.inspect : undefined;
    await using cleanup = new AsyncDisposableStack();
    // Who waits for what may yet be refused is told why, instead of getting most of it.
    if (inspect) cleanup.defer(() => spool.drop());
    else await told.arriving(withSize(description, size), spool);
    const hashes = await transfer(answer, {
      repo,
      upstream,
      ask,
      spool,
      size,
      algorithms: algorithmsFor(digests),
      isChecked: digests.length > 0,
      signal: told.signal,
    });
    const policy = settings.checksumPolicy;
    const { headers } = answer;
    const declared = await verify(hashes, { repo, upstream, ask, headers, digests, policy, signal: told.signal });
    spool.verified();
    if (!spool.isKept) {
      if (settings.stores)
        this.#deps.warn(
          { err: spool.trouble, repository: repo, path: fetch.path },
          'a file was passed on and not kept',
        );
      if (inspect)
        throw new AppError('unavailable', 'The file cannot be kept now, so nothing of it is given. Try again later.');
      throw new AppError('unavailable', 'The file was passed on and not kept.', { abandoned: true });
    }
    const landed = await this.#deps.blobs.land(await spool.held(), hashes, {});
    if (inspect) await this.#inspected(landed, inspect);
    if (held && held.sha256 === landed.sha256 && !fetch.admit) await landed.discard();
    else {
      const { mediaType, modifiedAt } = description;
      const arrived = { landed, bytes: undefined, mediaType, headers };
      await admit(local, access, arrived, { fetch, expected, declared, modifiedAt });
    }
    await this.#remember(answer, landed);
  }
}

interface Taken {
  readonly answer: UpstreamAnswer;
  readonly ask: Ask;
  readonly upstream: Upstream;
  readonly digests: readonly Digest[];
  readonly expected: readonly ExpectedRow[];
  readonly told: Told;
}

/** What the lead file of the package says of it. */
function expectation(fetch: Fetch, { path, size, mediaType }: ExpectedRow): Description {
  const sha256 = fetch.digest?.hex as Sha256 | undefined;
  return { path, size, mediaType, sha256, modifiedAt: undefined, etag: undefined, sha1: undefined, md5: undefined };
}

function withSize(description: Description, size: number | undefined): Description {
  return description.size === undefined && size !== undefined ? { ...description, size } : description;
}

function isSame(digest: Digest, held: Asset): boolean {
  if (digest.algorithm === 'sha256') return digest.hex === held.sha256;
  return held.etag === `${digest.algorithm}:${digest.hex}`;
}

/** A validator as it can be sent back. */
function validator(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= 500 && /^[\x20-\x7e]+$/.test(text) ? text : undefined;
}
