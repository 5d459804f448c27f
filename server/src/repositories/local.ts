/** A local repository: what was deployed here, and nothing else. */
import type { Readable } from 'node:stream';
import { BlobVanished, type Landing } from '../blobs/landing.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { UploadSessions } from '../blobs/uploads.ts';
import type { HeldDocument } from '../core/document.ts';
import type { Format } from '../core/format.ts';
import { clip, type Digest, type Properties, type RepoKey, type RepoPath, renderDigest } from '../core/ids.ts';
import type {
  Arriving,
  Asset,
  DescendantPage,
  Entry,
  Folder,
  Landed,
  PackageVersion,
  Page,
  PropertyValue,
  Purpose,
  StoreOptions,
  Tree,
  Upload,
  VersionName,
  Wanted,
} from '../core/repository.ts';
import { resolveDigest } from '../db/blobs.ts';
import { type Database, lockScope } from '../db/database.ts';
import { type FileRow, findFiles, getFile, getVersionFile } from '../db/files.ts';
import { getFolder, listDescendants } from '../db/node-listings.ts';
import { getNode, listChildren } from '../db/nodes.ts';
import { listPackages, listVersionNames, listVersionsWith } from '../db/package-versions.ts';
import { getProperties } from '../db/properties.ts';
import type { RepositoryRow } from '../db/repositories.ts';
import type { EventLog } from '../events/event-log.ts';
import { crashpoint } from '../lib/crashpoint.ts';
import { traceStep } from '../lib/trace.ts';
import { LocalDocuments } from './documents.ts';
import type { Access, LeafRepository } from './leaf.ts';
import type { Retention } from './retention.ts';
import { TransactionTree } from './tree.ts';
import type { Veils } from './veils.ts';

export interface LocalDeps {
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly uploads: UploadSessions;
  readonly events: EventLog;
  readonly reviewDelayMs: number;
  readonly retention: Retention;
  readonly veils: Veils;
  readonly formats: readonly Format[];
}

const MAX_PLACINGS = 5;

export class LocalRepository implements LeafRepository {
  readonly key: RepoKey;
  readonly packageType: string;
  readonly rclass: LeafRepository['rclass'];
  readonly settings: Readonly<Record<string, unknown>>;
  readonly id: number;
  readonly #createdAt: number;
  readonly #deps: LocalDeps;
  readonly #documents: LocalDocuments;

  constructor(deps: LocalDeps, row: RepositoryRow, rclass: LeafRepository['rclass']) {
    this.#deps = deps;
    this.id = row.id;
    this.#createdAt = row.createdAt;
    this.key = row.key;
    this.rclass = rclass;
    this.packageType = row.packageType;
    this.settings = row.config;
    this.#documents = new LocalDocuments(deps, row);
  }

  serve(wanted: Wanted, _purpose: Purpose, access: Access): Promise<Asset | Arriving | undefined> {
    if ('path' in wanted) return this.get(wanted.path);
    if ('version' in wanted) return this.version(wanted.package, wanted.version);
    return this.find(wanted.package, wanted.digest, (path) => access.allows('read', path));
  }

  document(kind: string, name: string): Promise<HeldDocument | undefined> {
    return this.#documents.get(kind, name);
  }

  async get(path: RepoPath): Promise<Asset | undefined> {
    const file = await this.#deps.database.read((db) => getFile(db, this.id, path));
    if (!file) traceStep(`The repository "${this.key}" holds no file at "${clip(path, 300)}".`, 'caller');
    return file && this.asset(file);
  }

  async isFolder(path: RepoPath): Promise<boolean> {
    if (path === '') return true;
    return (await this.#deps.database.read((db) => getNode(db, this.id, path)))?.folder ?? false;
  }

  async folder(path: RepoPath): Promise<Folder | undefined> {
    if (path === '') {
      const [createdAt, by] = [new Date(this.#createdAt), '_system_'];
      return { path, createdAt, createdBy: by, modifiedAt: createdAt, modifiedBy: by };
    }
    return this.#deps.database.read((db) => getFolder(db, this.id, path));
  }

  async find(
    packageName: string | undefined,
    digest: Digest,
    accept: (path: RepoPath) => boolean,
  ): Promise<Asset | undefined> {
    return this.#deps.database.read(async (db) => {
      const sha256 = await resolveDigest(db, digest);
      if (!sha256) {
        traceStep(`The server holds no bytes with the digest "${renderDigest(digest)}".`, 'admin');
        return undefined;
      }
      for (const count of ['one', 'many'] as const) {
        const files = await findFiles(db, this.id, packageName, sha256, count);
        const file = files.find(({ path }) => accept(path));
        if (file) return this.asset(file);
        if (files.length === 0) break;
      }
      const what = packageName === undefined ? 'no file' : `nothing in "${clip(packageName, 300)}"`;
      traceStep(`The repository "${this.key}" holds ${what} with the digest "${renderDigest(digest)}".`, 'caller');
      return undefined;
    });
  }

  async version(packageName: string, version: string): Promise<Asset | undefined> {
    const file = await this.#deps.database.read((db) => getVersionFile(db, this.id, packageName, version));
    if (!file) {
      const what = `"${clip(version)}" of "${clip(packageName, 300)}"`;
      traceStep(`The repository "${this.key}" holds no version ${what}.`, 'caller');
    }
    return file && this.asset(file);
  }

  children(folder: RepoPath, page: Page): Promise<readonly Entry[]> {
    return this.#deps.database.read((db) => listChildren(db, this.id, folder, page));
  }

  descendants(folder: RepoPath, page: { readonly after?: RepoPath; readonly limit: number }): Promise<DescendantPage> {
    return this.#deps.database.read((db) => listDescendants(db, this.id, folder, page));
  }

  packages(page: Page): Promise<readonly string[]> {
    return this.#deps.database.read((db) => listPackages(db, this.id, page));
  }

  versionNames(packageName: string, page: Page): Promise<readonly VersionName[]> {
    return this.#deps.database.read((db) => listVersionNames(db, this.id, packageName, page));
  }

  versionsWith(
    packageName: string | undefined,
    property: PropertyValue,
    page: { readonly after?: number; readonly limit: number },
  ): Promise<readonly PackageVersion[]> {
    return this.#deps.database.read((db) => listVersionsWith(db, this.id, packageName, property, page));
  }

  async properties(path: RepoPath): Promise<Properties> {
    return this.#deps.database.read(async (db) => {
      const node = await getNode(db, this.id, path);
      return node ? getProperties(db, node.id) : {};
    });
  }

  store(body: Readable, options: StoreOptions): Promise<Landed> {
    return this.#deps.blobs.receive(body, options);
  }

  startUpload(packageName: string, access: Access, algorithm?: Digest['algorithm']): Promise<Upload> {
    return this.#deps.uploads.start(
      { repoId: this.id, package: packageName, principal: access.principalName },
      algorithm,
    );
  }

  openUpload(packageName: string, id: string): Promise<Upload> {
    return this.#deps.uploads.open(this.id, packageName, id);
  }

  async change<T>(scope: string, access: Access, work: (tree: Tree) => Promise<T>): Promise<T> {
    for (let placings = 0; ; placings++) {
      try {
        const { result, adopted } = await this.#deps.veils.behind(() => this.#attempt(scope, access, work));
        for (const landing of adopted) await landing.settle();
        crashpoint('change.settled');
        return result;
      } catch (error) {
        if (!(error instanceof BlobVanished) || placings === MAX_PLACINGS) throw error;
        await error.landing.place();
      }
    }
  }

  async #attempt<T>(
    scope: string,
    access: Access,
    work: (tree: Tree) => Promise<T>,
  ): Promise<{ result: T; adopted: ReadonlySet<Landing> }> {
    const { database, events, reviewDelayMs, retention, veils } = this.#deps;
    const done = await database.transaction(async (tx) => {
      await lockScope(tx, `${this.id}/${scope}`);
      const tree = new TransactionTree({
        tx,
        repoId: this.id,
        repo: this.key,
        access,
        at: Date.now(),
        reviewDelayMs,
        veils,
      });
      const result = await work(tree);
      await events.append(tx, tree.events, access.principalName);
      await retention.note(tx, this, tree.events);
      crashpoint('change.written');
      return { result, adopted: tree.adopted };
    });
    crashpoint('change.durable');
    return done;
  }

  asset(file: FileRow): Asset {
    const { blobs } = this.#deps;
    return {
      nodeId: file.nodeId,
      repo: this.key,
      path: file.path,
      size: file.size,
      mediaType: file.mediaType,
      createdAt: new Date(file.createdAt),
      createdBy: file.createdBy,
      modifiedAt: new Date(file.modifiedAt),
      modifiedBy: file.modifiedBy,
      sha256: file.sha256,
      package: file.package,
      etag: file.etag,
      declared: { sha1: file.declaredSha1, md5: file.declaredMd5 },
      content: blobs.content(file, { redirects: this.settings['downloadRedirect'] === true }),
      checksums: () => blobs.checksums(file),
    };
  }
}
