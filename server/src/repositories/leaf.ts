/**
 * What a repository class implements: a repository that trusts its caller. Only `authorise` turns a leaf into a
 * Repository, so nothing above this folder ever holds one that does not ask for rights.
 */
import type { Readable } from 'node:stream';
import type { HeldDocument } from '../core/document.ts';
import type { Digest, Properties, RepoKey, RepoPath } from '../core/ids.ts';
import type { Action } from '../core/principal.ts';
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
import type { Consulted, Question } from '../core/upstream.ts';
import type { FileRow } from '../db/files.ts';

/** What one principal may do in one repository. */
export interface Access {
  readonly principalName: string;
  allows(action: Action, path: RepoPath): boolean;
  /** Throws what the caller may be told: `unauthenticated`, `forbidden`, or `not_found` where existence is hidden. */
  require(action: Action, path: RepoPath): void;
  /** Whether the folder or anything below it may be read. */
  mayList(folder: RepoPath): boolean;
  /** Whether anything may be deployed here at all. */
  readonly mayWrite: boolean;
  /** Whether every file may be read, so that nothing has to be left out of what tells of all of them. */
  readonly readsAll: boolean;
  /** Beginnings of the paths that may be read; `['']` for everything. */
  readonly readablePrefixes: readonly string[];
}

/** A page of what has numbers in the order of creation. */
export interface NumberedPage {
  readonly after?: number;
  readonly limit: number;
}

export interface LeafRepository {
  /** What its rows are found by. */
  readonly id: number;
  readonly key: RepoKey;
  readonly packageType: string;
  readonly rclass: 'local' | 'remote' | 'federated';
  readonly settings: Readonly<Record<string, unknown>>;
  /** What the caller wants, if it may: the leaf asks for the right to the path once it knows which that is. */
  serve(wanted: Wanted, purpose: Purpose, access: Access): Promise<Asset | Arriving | undefined>;
  /** A file of it whose row has been read already, such as with those of others. */
  asset(file: FileRow): Asset;
  /** In sentences, what would become of asking an upstream for it now; for classes that ask any. Asks nobody. */
  outlook?(wanted: Wanted): Promise<readonly string[]>;
  /** How a package is called here that clients may call otherwise too; for classes that hold it under one name. */
  nameOf?(packageName: string): string;
  /** The whole document; what the caller may not see of it is left out by whoever asks. */
  document(kind: string, name: string, access: Access): Promise<HeldDocument | undefined>;
  /** Asks the upstream, for classes that have one. */
  consult?(question: Question): Promise<Consulted>;
  get(path: RepoPath): Promise<Asset | undefined>;
  isFolder(path: RepoPath): Promise<boolean>;
  folder(path: RepoPath): Promise<Folder | undefined>;
  /** The first file of the package with these bytes whose path is accepted. */
  find(
    packageName: string | undefined,
    digest: Digest,
    accept: (path: RepoPath) => boolean,
  ): Promise<Asset | undefined>;
  version(packageName: string, version: string): Promise<Asset | undefined>;
  children(folder: RepoPath, page: Page): Promise<readonly Entry[]>;
  descendants(folder: RepoPath, page: { readonly after?: RepoPath; readonly limit: number }): Promise<DescendantPage>;
  packages(page: Page, access: Access): Promise<readonly string[]>;
  versionNames(packageName: string, page: Page, access: Access): Promise<readonly VersionName[]>;
  versionsWith(
    packageName: string | undefined,
    property: PropertyValue,
    page: NumberedPage,
    access: Access,
  ): Promise<readonly PackageVersion[]>;
  properties(path: RepoPath): Promise<Properties>;
  store(body: Readable, options: StoreOptions): Promise<Landed>;
  startUpload(packageName: string, access: Access, algorithm?: Digest['algorithm']): Promise<Upload>;
  openUpload(packageName: string, id: string): Promise<Upload>;
  /** The tree asks `access` for each step, inside the transaction that knows whether a path exists. */
  change<T>(scope: string, access: Access, work: (tree: Tree) => Promise<T>): Promise<T>;
}
