/** A remote repository: what an upstream has, and what of it is kept here. */
import { readAll } from '../../core/bodies.ts';
import { cacheKeyOf } from '../../core/cache-keys.ts';
import type { HeldDocument } from '../../core/document.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import type { Format } from '../../core/format.ts';
import { clip, type RepoKey, type RepoPath } from '../../core/ids.ts';
import type { Fetch, Listed, RemoteFacts } from '../../core/remote.ts';
import type {
  Arriving,
  Asset,
  Entry,
  Folder,
  PackageVersion,
  Page,
  PropertyValue,
  Purpose,
  Tree,
  VersionName,
  Wanted,
} from '../../core/repository.ts';
import { type Consulted, type Question, type Upstream, UpstreamFailure } from '../../core/upstream.ts';
import type { RepositoryRow } from '../../db/repositories.ts';
import { traceStep } from '../../lib/trace.ts';
import { inNameOf } from '../access.ts';
import type { Access, LeafRepository, NumberedPage } from '../leaf.ts';
import { LocalRepository } from '../local.ts';
import { fillingAccess } from './admission.ts';
import { troubleOf } from './answers.ts';
import { refusalOfDeploy } from './cache.ts';
import { fetchListing, type ListedEntry } from './folder-listing.ts';
import { listedFolder, together } from './folder-listings.ts';
import { KeptFetches, type RemoteDeps } from './kept-fetches.ts';
import { RemoteListings } from './listings.ts';
import { RemoteDocuments } from './remote-documents.ts';
import type { Remotes } from './remotes.ts';
import { type RemoteSettings, remoteFacts, remoteSettings } from './settings.ts';
import type { ServedOutcome } from './traffic.ts';
import { UpstreamDocuments } from './upstream-documents.ts';

const FAILURES = ['upstream_failed', 'unavailable', 'rate_limited'] as const;

export class RemoteRepository implements LeafRepository {
  readonly id: number;
  readonly key: RepoKey;
  readonly packageType: string;
  readonly rclass = 'remote';
  readonly settings: Readonly<Record<string, unknown>>;
  readonly asset: LeafRepository['asset'];
  readonly get: LeafRepository['get'];
  readonly find: LeafRepository['find'];
  readonly version: LeafRepository['version'];
  readonly descendants: LeafRepository['descendants'];
  readonly properties: LeafRepository['properties'];
  readonly #local: LocalRepository;
  readonly #format: Format | undefined;
  readonly #facts: RemoteFacts | undefined;
  readonly #kept: KeptFetches;
  readonly #remotes: Remotes;
  readonly #upstream: () => Upstream;
  readonly #settings: RemoteSettings;
  readonly #listings: RemoteListings;
  readonly #documents: RemoteDocuments;

  constructor(deps: RemoteDeps, row: RepositoryRow) {
    this.id = row.id;
    this.key = row.key;
    this.packageType = row.packageType;
    this.settings = row.config;
    // What is kept names itself as the cache.
    const local = new LocalRepository(deps, { ...row, key: cacheKeyOf(row.key) }, 'local');
    this.#local = local;
    this.#format = deps.formats.find(({ packageTypes }) => packageTypes.includes(row.packageType));
    const facts = remoteFacts(row);
    this.#facts = facts;
    const settings = remoteSettings(row);
    const reached = reachedRow(row, this.#format);
    const { id, key } = this;
    const upstream = () => deps.remotes.upstreamOf(reached);
    this.#remotes = deps.remotes;
    this.#upstream = upstream;
    this.#settings = settings;
    this.#kept = new KeptFetches({ id, key, local, settings, upstream, of: deps });
    const documents = new UpstreamDocuments(local, this.#kept);
    const { hardFail } = settings;
    this.#listings = new RemoteListings({ local, documents, rules: this.#format?.remote, facts, hardFail });
    this.#documents = new RemoteDocuments({ id, key, local, documents, format: this.#format, facts });
    this.asset = (file) => local.asset(file);
    this.get = (path) => local.get(path);
    this.find = (packageName, digest, accept) => local.find(packageName, digest, accept);
    this.version = (packageName, version) => local.version(packageName, version);
    this.descendants = (folder, page) => local.descendants(folder, page);
    this.properties = (path) => local.properties(path);
  }

  async serve(named: Wanted, purpose: Purpose, access: Access): Promise<Asset | Arriving | undefined> {
    const startedAt = Date.now();
    const { traffic } = this.#remotes;
    try {
      const found = await this.#serve(named, purpose, access);
      if (found || purpose !== 'held') traffic.served(this.key, outcomeOf(found, startedAt));
      if (found && purpose === 'bytes' && 'path' in named) this.#synchronise(found, access);
      return found;
    } catch (error) {
      if (FAILURES.some((code) => isAppError(error, code))) traffic.served(this.key, 'failed');
      throw error;
    }
  }

  async #serve(named: Wanted, purpose: Purpose, access: Access): Promise<Asset | Arriving | undefined> {
    const wanted = this.#canonical(named);
    const fetch = this.#fetchOf(wanted);
    const held = (await this.#local.serve(wanted, purpose, access)) as Asset | undefined;
    if (!fetch || (held && !fetch.mutable)) return held;
    if (!mayRead(access, fetch.path)) return undefined;
    const isListed = !held && fetch.listed !== undefined && purpose !== 'held';
    const located = isListed ? await this.#located(fetch, fetch.listed, access) : fetch;
    if (!located) return undefined;
    // Plain files outlive what they were copied from; a name that is gone upstream is gone here.
    return this.#kept.serve({ wanted, fetch: located, purpose, access, outlives: 'path' in wanted }, held);
  }

  /** The fetch of something that a document of the upstream tells of; undefined where it must list it and does not. */
  async #located(fetch: Fetch, listed: Listed, access: Access): Promise<Fetch | undefined> {
    const found = await this.#entryOf(listed, access);
    if (found) {
      const { link, digest } = found;
      return { ...fetch, ...(link && { ask: { ...fetch.ask, link } }), ...(digest && { digest }) };
    }
    if (listed.optional) return fetch;
    traceStep(`The upstream of "${this.key}" lists nothing at "${clip(fetch.path, 300)}".`, 'caller');
    return undefined;
  }

  async #entryOf({ document, name, find, optional }: Listed, access: Access): Promise<ReturnType<Listed['find']>> {
    try {
      const listing = await this.document(document, name, access);
      return listing && find(await listing.read());
    } catch (error) {
      if (optional && (isAppError(error) || error instanceof UpstreamFailure)) return undefined;
      throw error;
    }
  }

  async outlook(wanted: Wanted): Promise<readonly string[]> {
    const fetch = this.#fetchOf(this.#canonical(wanted));
    return fetch ? this.#kept.outlook(fetch) : [`The upstream of "${this.key}" is not asked for such a thing.`];
  }

  async consult({ maxBytes, ...question }: Question): Promise<Consulted> {
    if (this.#settings.offline) {
      throw new AppError('unavailable', `The repository "${this.key}" is set offline, so its upstream is not asked.`);
    }
    try {
      const { status, body } = await this.#upstream().request({ ...question, method: 'POST' });
      return { status, bytes: await readAll(body, { limit: maxBytes, what: 'answer of the upstream' }) };
    } catch (error) {
      throw error instanceof UpstreamFailure ? troubleOf(this.key, error) : error;
    }
  }

  document(kind: string, name: string, access: Access): Promise<HeldDocument | undefined> {
    return this.#documents.get(kind, name, access);
  }

  /** Has what the upstream knows beside the bytes compared, for those who may fill the cache. */
  #synchronise(found: Asset | Arriving, access: Access): void {
    const what = this.#settings.synchronises;
    const url = this.#facts?.url;
    const { path } = found;
    if (!what || !url || this.#settings.offline || !access.allows('deploy', path)) return;
    const file = {
      repoId: this.id,
      path,
      local: this.#local,
      access: inNameOf(fillingAccess(access, path), '_system_'),
      what,
      base: url,
      upstream: () => this.#upstream(),
      freshMs: this.#settings.freshMs,
    };
    const note = () => this.#remotes.synchronisation.note(file);
    if ('arriving' in found) found.settled().then(note, () => undefined);
    else note();
  }

  async isFolder(path: RepoPath): Promise<boolean> {
    return (await this.folder(path)) !== undefined;
  }

  async folder(path: RepoPath): Promise<Folder | undefined> {
    const held = await this.#local.folder(path);
    if (held || (await this.#listed(path)).length === 0) return held;
    return listedFolder(path, new Date());
  }

  async children(folder: RepoPath, page: Page): Promise<readonly Entry[]> {
    return together(await this.#local.children(folder, page), await this.#listed(folder), page);
  }

  /** What the upstream says it has in the folder, where it is to be asked. */
  async #listed(folder: RepoPath): Promise<readonly ListedEntry[]> {
    const url = this.#facts?.url;
    if (!this.#settings.lists || !url) return [];
    const found = await this.#remotes.listings.get(`${this.id}\n${url.href}\n${folder}`, () =>
      this.#askListing(url, folder),
    );
    return found ?? [];
  }

  async #askListing(url: URL, folder: RepoPath): Promise<readonly ListedEntry[] | undefined> {
    try {
      return await fetchListing(this.#upstream(), url, folder);
    } catch (error) {
      if (!(error instanceof UpstreamFailure || isAppError(error) || isTimeout(error))) throw error;
      traceStep(`The upstream of "${this.key}" could not be asked what it lists: ${error.message}`, 'caller');
      return undefined;
    }
  }

  packages(page: Page, access: Access): Promise<readonly string[]> {
    return this.#listings.packages(page, access);
  }

  versionNames(packageName: string, page: Page, access: Access): Promise<readonly VersionName[]> {
    return this.#listings.versionNames(this.#nameOf(packageName), page, access);
  }

  versionsWith(
    packageName: string | undefined,
    property: PropertyValue,
    page: NumberedPage,
    access: Access,
  ): Promise<readonly PackageVersion[]> {
    const name = packageName === undefined ? undefined : this.#nameOf(packageName);
    return this.#listings.versionsWith(name, property, page, access);
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
    return 'package' in wanted ? { ...wanted, package: this.#nameOf(wanted.package) } : wanted;
  }

  #nameOf(packageName: string): string {
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
}

/** A file that came while it was waited for was not there, even where it is at rest by now. */
function outcomeOf(found: Asset | Arriving | undefined, startedAt: number): ServedOutcome {
  if (!found) return 'absent';
  if ('arriving' in found) return 'miss';
  if (found.warning !== undefined) return 'stale';
  return found.createdAt.getTime() >= startedAt ? 'miss' : 'hit';
}

function isTimeout(error: unknown): error is Error {
  return error instanceof Error && error.name === 'TimeoutError';
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
