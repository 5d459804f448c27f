/** A remote repository: what an upstream has, and what of it is kept here. */
import { cacheKeyOf } from '../../core/cache-keys.ts';
import type { HeldDocument } from '../../core/document.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import type { Format } from '../../core/format.ts';
import { clip, type RepoKey, type RepoPath } from '../../core/ids.ts';
import type { Fetch, RemoteFacts } from '../../core/remote.ts';
import type {
  Arriving,
  Asset,
  PackageVersion,
  Page,
  PropertyValue,
  Purpose,
  Tree,
  VersionName,
  Wanted,
} from '../../core/repository.ts';
import { UpstreamFailure } from '../../core/upstream.ts';
import type { RemoteItem } from '../../db/remote-items.ts';
import type { RepositoryRow } from '../../db/repositories.ts';
import { traceStep } from '../../lib/trace.ts';
import type { Access, LeafRepository } from '../leaf.ts';
import { type LocalDeps, LocalRepository } from '../local.ts';
import type { Announcement } from './announcement.ts';
import { type Description, troubleOf } from './answers.ts';
import { refusalOfDeploy } from './cache.ts';
import { FileErrand } from './errand.ts';
import type { Flight } from './flight.ts';
import type { Remotes } from './remotes.ts';
import { type RemoteSettings, remoteFacts, remoteSettings } from './settings.ts';
import type { ServedOutcome } from './traffic.ts';

export interface RemoteDeps extends LocalDeps {
  readonly remotes: Remotes;
}

const STALE = '110 - "Response is Stale"';

export class RemoteRepository implements LeafRepository {
  readonly id: number;
  readonly key: RepoKey;
  readonly packageType: string;
  readonly rclass = 'remote';
  readonly settings: Readonly<Record<string, unknown>>;
  readonly asset: LeafRepository['asset'];
  readonly get: LeafRepository['get'];
  readonly isFolder: LeafRepository['isFolder'];
  readonly folder: LeafRepository['folder'];
  readonly find: LeafRepository['find'];
  readonly version: LeafRepository['version'];
  readonly children: LeafRepository['children'];
  readonly descendants: LeafRepository['descendants'];
  readonly properties: LeafRepository['properties'];
  /** With the address at which its upstream really is. */
  readonly #reached: RepositoryRow;
  readonly #deps: RemoteDeps;
  readonly #local: LocalRepository;
  readonly #format: Format | undefined;
  readonly #facts: RemoteFacts | undefined;
  readonly #rules: RemoteSettings;

  constructor(deps: RemoteDeps, row: RepositoryRow) {
    this.#deps = deps;
    this.id = row.id;
    this.key = row.key;
    this.packageType = row.packageType;
    this.settings = row.config;
    // What is kept names itself as the cache.
    const local = new LocalRepository(deps, { ...row, key: cacheKeyOf(row.key) }, 'local');
    this.#local = local;
    this.#format = deps.formats.find(({ packageTypes }) => packageTypes.includes(row.packageType));
    this.#facts = remoteFacts(row);
    this.#rules = remoteSettings(row);
    this.#reached = reachedRow(row, this.#format);
    this.asset = (file) => local.asset(file);
    this.get = (path) => local.get(path);
    this.isFolder = (path) => local.isFolder(path);
    this.folder = (path) => local.folder(path);
    this.find = (packageName, digest, accept) => local.find(packageName, digest, accept);
    this.version = (packageName, version) => local.version(packageName, version);
    this.children = (folder, page) => local.children(folder, page);
    this.descendants = (folder, page) => local.descendants(folder, page);
    this.properties = (path) => local.properties(path);
  }

  async serve(named: Wanted, purpose: Purpose, access: Access): Promise<Asset | Arriving | undefined> {
    const wanted = this.#canonical(named);
    const fetch = this.#fetchOf(wanted);
    const held = (await this.#local.serve(wanted, purpose, access)) as Asset | undefined;
    if (!fetch || (held && !fetch.mutable)) return this.#count(held ? 'hit' : 'absent', held);
    if (!mayRead(access, fetch.path)) return undefined;
    const { freshness } = this.#deps.remotes;
    const item = await freshness.get(this.id, fetch.key);
    const now = Date.now();
    if (item && item.absentUntil > now) {
      const until = new Date(item.absentUntil).toISOString();
      traceStep(`${item.reason ?? ''} It is asked again after ${until}.`, 'caller');
      return this.#count('absent', undefined);
    }
    if (held && item && this.#isFresh(item)) return this.#count('hit', held);
    if (purpose === 'held' && !held) return undefined;
    const reason = this.#reasonNotToAsk(fetch, held, access);
    if (purpose === 'held' && reason === undefined) return undefined;
    if (reason === undefined) return this.#ask({ wanted, fetch, held, item, purpose, access });
    if (purpose === 'held' && reason.isStale) return undefined;
    traceStep(reason.text, 'caller');
    if (!held) return this.#count('absent', undefined);
    return reason.isStale ? this.#count('stale', { ...held, warning: STALE }) : this.#count('hit', held);
  }

  async outlook(wanted: Wanted): Promise<readonly string[]> {
    const fetch = this.#fetchOf(this.#canonical(wanted));
    const upstream = `The upstream of "${this.key}"`;
    if (!fetch) return [`${upstream} is not asked for such a thing.`];
    if (this.#rules.offline) return [`The repository "${this.key}" is set offline, so its upstream is not asked.`];
    const { freshness } = this.#deps.remotes;
    const item = await freshness.get(this.id, fetch.key);
    if (item && item.absentUntil > Date.now()) {
      return [`${item.reason ?? ''} It is asked again after ${new Date(item.absentUntil).toISOString()}.`];
    }
    const told = [freshness.graceOf(this.id, fetch.key), this.#upstreamPause()].filter((text) => text !== undefined);
    if (told.length > 0) return told;
    if (item && this.#isFresh(item)) return [`What is kept was checked ${new Date(item.checkedAt).toISOString()}.`];
    return [`${upstream} would be asked for "${clip(fetch.path, 300)}".`];
  }

  async document(_kind: string, _name: string, _access: Access): Promise<HeldDocument | undefined> {
    return undefined;
  }

  packages(page: Page): Promise<readonly string[]> {
    return this.#local.packages(page);
  }

  versionNames(packageName: string, page: Page): Promise<readonly VersionName[]> {
    return this.#local.versionNames(packageName, page);
  }

  versionsWith(
    packageName: string,
    property: PropertyValue,
    page: { readonly after?: number; readonly limit: number },
  ): Promise<readonly PackageVersion[]> {
    return this.#local.versionsWith(packageName, property, page);
  }

  async store(): Promise<never> {
    throw refusalOfDeploy(this.key);
  }

  async startUpload(): Promise<never> {
    throw refusalOfDeploy(this.key);
  }

  async openUpload(): Promise<never> {
    throw refusalOfDeploy(this.key);
  }

  async change<T>(_scope: string, _access: Access, _work: (tree: Tree) => Promise<T>): Promise<T> {
    throw refusalOfDeploy(this.key);
  }

  /** What is wanted under the name by which it is held. */
  #canonical(wanted: Wanted): Wanted {
    return 'package' in wanted ? { ...wanted, package: this.nameOf(wanted.package) } : wanted;
  }

  nameOf(packageName: string): string {
    const canonical = this.#format?.remote?.canonical;
    return canonical && this.#facts ? canonical(packageName, this.#facts) : packageName;
  }

  #fetchOf(wanted: Wanted): Fetch | undefined {
    if (!this.#facts) return undefined;
    if (this.#format?.remote) return this.#format.remote.fetch(wanted, this.#facts);
    if (!('path' in wanted) || wanted.path === '') return undefined;
    const { path } = wanted;
    const kind = this.#format?.classify(path) ?? { kind: 'artifact', mutable: true };
    // Checksums are those of the file itself, and documents are asked for by name.
    if (kind.kind !== 'artifact') return undefined;
    return { key: path, path, ask: { path }, mutable: kind.mutable };
  }

  /** Decided here, before anything is sent; throws where the caller may be told so, and there is nothing else to give. */
  #reasonNotToAsk(
    fetch: Fetch,
    held: Asset | undefined,
    access: Access,
  ): { readonly text: string; readonly isStale: boolean } | undefined {
    const what = `"${clip(fetch.path, 300)}"`;
    if (this.#rules.offline) {
      return {
        text: `The repository "${this.key}" is set offline: ${what} is served only if it is kept.`,
        isStale: false,
      };
    }
    if (!access.allows('deploy', fetch.path)) {
      const text = `"${access.principalName}" may read what "${this.key}" keeps, but filling it needs the right to deploy.`;
      if (held) return { text, isStale: false };
      traceStep(text, 'caller');
      access.require('deploy', fetch.path);
    }
    const grace = held && this.#deps.remotes.freshness.graceOf(this.id, fetch.key);
    if (grace !== undefined) return { text: `The kept copy of ${what} is served: ${grace}`, isStale: true };
    return undefined;
  }

  async #ask(asked: Asked): Promise<Asset | Arriving | undefined> {
    const { fetch, held, purpose } = asked;
    traceStep(
      held
        ? `The kept copy of "${clip(fetch.path, 300)}" is too old, so the upstream of "${this.key}" is asked.`
        : `The upstream of "${this.key}" is asked for "${clip(fetch.path, 300)}".`,
      'caller',
    );
    try {
      const { flights } = this.#deps.remotes;
      const isLight = purpose === 'headers' && !held && !this.#rules.bypassesHead;
      if (isLight && !flights.has(this.id, fetch.key)) {
        const arriving = await this.#askHeaders(asked);
        if (arriving !== 'unanswered') return arriving;
      }
      const flight = this.#fly(asked);
      const announcement = await this.#patiently(flight, held);
      return await this.#answer(announcement, flight, asked);
    } catch (error) {
      return this.#fallback(error, asked);
    }
  }

  async #askHeaders(asked: Asked): Promise<Asset | Arriving | 'unanswered' | undefined> {
    const { questions } = this.#deps.remotes;
    const found = await questions(`${this.id}\n${asked.fetch.key}`, () => this.#errand(asked).headers());
    if (found === 'unanswered') return found;
    if (found.kind === 'held') {
      return this.#count('hit', await this.#local.serve(asked.wanted, 'headers', asked.access));
    }
    if (found.kind === 'arriving') return this.#count('miss', this.#arriving(found.description, asked));
    traceStep(found.reason, 'caller');
    return this.#count('absent', undefined);
  }

  /** Waits for news only so long where there is an older copy; the asking goes on. */
  async #patiently(flight: Flight, held: Asset | undefined): Promise<Announcement> {
    const { patienceMs } = this.#rules;
    if (!held || patienceMs <= 0) return flight.announced;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(
          new AppError('unavailable', `The upstream of "${this.key}" did not answer within ${patienceMs / 1000} s.`),
        );
      }, patienceMs);
    });
    try {
      return await Promise.race([flight.announced, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #answer(announcement: Announcement, flight: Flight, asked: Asked): Promise<Asset | Arriving | undefined> {
    const { held, wanted, access } = asked;
    switch (announcement.kind) {
      case 'held': {
        const now = (await this.#local.serve(wanted, asked.purpose, access)) as Asset | undefined;
        if (!now) return this.#count('absent', now);
        return this.#count(now.sha256 === held?.sha256 ? 'hit' : 'miss', now);
      }
      case 'arriving':
        return this.#count('miss', this.#arriving(announcement.description, asked, flight));
      case 'absent': {
        traceStep(announcement.reason, 'caller');
        if (held && announcement.refused) {
          this.#deps.remotes.freshness.excuse(this.id, asked.fetch.key, announcement.reason);
          return this.#count('stale', { ...held, warning: STALE });
        }
        // Plain files outlive what they were copied from; a name that is gone upstream is gone here.
        if (held && 'path' in wanted) return this.#count('hit', held);
        return this.#count('absent', undefined);
      }
    }
  }

  /** What is given when asking failed: the older copy, with a warning; otherwise the failure. */
  #fallback(error: unknown, { fetch, held }: Asked): Asset {
    const trouble = error instanceof UpstreamFailure ? troubleOf(this.key, error) : error;
    if (!isAppError(trouble)) throw error;
    traceStep(trouble.message, 'caller');
    if (!held || this.#rules.hardFail) {
      this.#count('failed', undefined);
      throw trouble;
    }
    this.#deps.remotes.freshness.excuse(this.id, fetch.key, trouble.message);
    return this.#count('stale', { ...held, warning: STALE });
  }

  #count<T>(outcome: ServedOutcome, found: T): T {
    this.#deps.remotes.traffic.served(this.key, outcome);
    return found;
  }

  #arriving(description: Description, asked: Asked, flight?: Flight): Arriving {
    let own = flight;
    const start = () => {
      own ??= this.#fly(asked);
      return own;
    };
    const { size, mediaType, modifiedAt, sha256, etag, sha1, md5 } = description;
    return {
      arriving: true,
      repo: this.#local.key,
      path: description.path,
      size,
      mediaType,
      modifiedAt: modifiedAt === undefined ? undefined : new Date(modifiedAt),
      sha256,
      etag,
      declared: { sha1, md5 },
      content: { pump: async (range, write) => start().pump(range, write) },
      settled: async () => start().settled,
    };
  }

  #fly(asked: Asked): Flight {
    return this.#deps.remotes.flights.join(this.#errand(asked));
  }

  #errand({ wanted, fetch, held, item, access }: Asked): FileErrand {
    const { remotes } = this.#deps;
    return new FileErrand(
      { ...this.#deps, freshness: remotes.freshness, warn: remotes.warn },
      {
        repoId: this.id,
        repo: this.key,
        local: this.#local,
        settings: this.#rules,
        upstream: () => this.#upstream(),
        wanted,
        fetch,
        held,
        item,
        access,
      },
    );
  }

  #isFresh({ checkedAt, absentUntil }: RemoteItem): boolean {
    return absentUntil === 0 && Math.abs(Date.now() - checkedAt) < this.#rules.freshMs;
  }

  #upstreamPause(): string | undefined {
    try {
      return this.#upstream().pause?.message;
    } catch (error) {
      if (error instanceof UpstreamFailure) return error.message;
      throw error;
    }
  }

  #upstream() {
    return this.#deps.remotes.upstreamOf(this.#reached);
  }
}

interface Asked {
  readonly wanted: Wanted;
  readonly fetch: Fetch;
  readonly held: Asset | undefined;
  readonly item: RemoteItem | undefined;
  readonly purpose: Purpose;
  readonly access: Access;
}

function reachedRow(row: RepositoryRow, format: Format | undefined): RepositoryRow {
  const url = URL.parse(String(row.config['url'] ?? ''));
  const address = format?.remote?.address;
  return url && address ? { ...row, config: { ...row.config, url: address(url).href } } : row;
}

/** Whether the caller may know of the path; throws what it may be told instead. */
function mayRead(access: Access, path: RepoPath): boolean {
  if (access.allows('read', path)) return true;
  try {
    access.require('read', path);
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
  }
  return false;
}
