/** The contract between formats and repository classes: what a repository offers to one principal. */
import type { Readable } from 'node:stream';
import type { BuildRecord } from './build.ts';
import type { HeldDocument } from './document.ts';
import type { ChecksumAlgorithm, Checksums, Digest, Properties, RepoKey, RepoPath, Sha256 } from './ids.ts';
import type { Action } from './principal.ts';
import type { ExpectedFile } from './remote.ts';
import type { Consulted, Question } from './upstream.ts';

/** Offsets in bytes; `end` is inclusive, as in HTTP. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Bytes at rest. Opening is lazy: HEAD and 304 never open. */
export interface Content {
  readonly size: number;
  /** The bytes themselves where they are small enough to be held beside their metadata. */
  readonly inline?: Buffer;
  open(range?: ByteRange): Promise<Readable>;
  /** Hands chunks to `write`; a chunk is valid only until the promise `write` returned settles. */
  pump(range: ByteRange | undefined, write: (chunk: Buffer) => Promise<void>): Promise<void>;
  /** Where the client may fetch the bytes itself, if the store can sign such an address. */
  redirect?(fileName: string): Promise<URL | undefined>;
}

/** What a client said its bytes are, where it did. */
export interface DeclaredChecksums {
  readonly sha1?: string | undefined;
  readonly md5?: string | undefined;
}

/** What a path holds, as a reader gets it. */
export interface Asset {
  /** The row of the file, which stays the same when it is overwritten or moved. */
  readonly nodeId: number;
  /** The leaf repository that answers; under a virtual one this is the member. */
  readonly repo: RepoKey;
  readonly path: RepoPath;
  readonly size: number;
  readonly mediaType: string;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly modifiedAt: Date;
  readonly modifiedBy: string;
  readonly sha256: Sha256;
  readonly content: Content;
  /** The package this file belongs to, as its format named it. */
  readonly package: string | undefined;
  /** What names this state of the file to clients, where its format wants another name than the SHA-256. */
  readonly etag: string | undefined;
  readonly declared: DeclaredChecksums;
  /** The field Warning (RFC 7234, section 5.5) with which it is sent: that it may be out of date. */
  readonly warning?: string;
  /** All checksums; SHA-1 and MD5 are computed now if nobody asked before. */
  checksums(): Promise<Checksums>;
}

/** What a client may ask for: a path, the lead file of a version, or bytes by their digest. */
export type Wanted =
  | { readonly path: RepoPath }
  | { readonly package: string; readonly version: string }
  | {
      readonly package: string;
      readonly digest: Digest;
      /** Whether these are the bytes of a release's lead file: upstreams have them at another address. */
      readonly lead: boolean;
    };

/**
 * Why something is asked for: to send its headers, to send its bytes, or, with `held`, only if it is here and fresh
 * enough to be given without asking anybody.
 */
export type Purpose = 'headers' | 'bytes' | 'held';

/** A file that is on its way from an upstream: what is known of it before its bytes are here and verified. */
export interface Arriving {
  readonly arriving: true;
  readonly repo: RepoKey;
  readonly path: RepoPath;
  readonly size: number | undefined;
  readonly mediaType: string;
  readonly modifiedAt: Date | undefined;
  /** What the bytes must be, where that is known; otherwise what upstream says they are, if it does. */
  readonly sha256: Sha256 | undefined;
  readonly declared: DeclaredChecksums;
  readonly etag: string | undefined;
  /**
   * Hands on chunks as they come, asking for them if nobody has yet; a chunk is valid only until the promise `write`
   * returned settles. Rejects before the last byte is handed on when the bytes turn out to be wrong or break off.
   */
  readonly content: Pick<Content, 'pump'>;
  /** The file at rest, once all of it is verified and stored; rejects when it will not be. */
  settled(): Promise<Asset>;
}

/** Bytes that are safely stored but that no path names yet. They vanish unless a change adopts them. */
export interface Landed {
  readonly sha256: Sha256;
  readonly size: number;
  /** Further names of the same bytes that the client used, kept so that it can ask by them. */
  readonly aliases: readonly Digest[];
  /** Where they were computed in the same pass. */
  readonly sha1: string | undefined;
  readonly md5: string | undefined;
  /** How the bytes are read while nothing names them: not for longer than they may stay so. */
  content(): Promise<Content>;
  discard(): Promise<void>;
}

export interface StoreOptions {
  /** What the client claims; a mismatch is `invalid` with `detail.mismatch` and nothing is kept. */
  readonly expected?: Partial<Record<ChecksumAlgorithm | 'sha512', string>>;
  /** Computes SHA-1 and MD5 in the same pass, for protocols that answer with them. */
  readonly allChecksums?: boolean;
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

/** Bytes that an upload in parts ended with, for whoever made it. */
export interface UploadedBytes extends Checksums {
  readonly size: number;
}

/** When and by whom a file was made and changed, as another server knew it. */
export interface Stamps {
  readonly createdAt?: Date;
  readonly createdBy?: string;
  readonly modifiedAt?: Date;
  readonly modifiedBy?: string;
}

/** One file to be put at a path in a change. */
export interface Deposit {
  /**
   * Landed bytes, a file the caller was allowed to find (mount, copy), or bytes it uploaded before: knowing a digest is
   * not enough.
   */
  readonly content: Landed | Asset | TreeFile | UploadedBytes;
  readonly mediaType: string;
  readonly package?: string;
  readonly etag?: string;
  readonly properties?: Properties;
  readonly declared?: DeclaredChecksums;
  /** Who made and changed the file when, for those who may say so; otherwise the caller and now. */
  readonly stamps?: Stamps;
  /** Makes this file the lead file of a package version. */
  readonly version?: { readonly package: string; readonly version: string; readonly metadata: unknown };
  /** Makes this file the document of a build; its rows live and die with the file. */
  readonly build?: BuildRecord;
}

export interface Entry {
  readonly name: string;
  readonly folder: boolean;
  readonly size: number;
  /** An upstream says that it has it, and it was not fetched yet. */
  readonly isListed?: true;
}

/** A folder as a reader sees it. */
export interface Folder {
  readonly path: RepoPath;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly modifiedAt: Date;
  readonly modifiedBy: string;
}

/** A file or folder somewhere below a folder. */
export interface Descendant {
  readonly path: RepoPath;
  readonly folder: boolean;
  readonly size: number;
  readonly modifiedAt: Date;
  readonly sha256: Sha256 | undefined;
  /** Undefined also while nobody asked for it. */
  readonly sha1: string | undefined;
}

/** What was found on one page, which can be nothing although more follows. */
export interface DescendantPage {
  readonly found: readonly Descendant[];
  /** Where the next page starts; undefined after the last. */
  readonly next: RepoPath | undefined;
}

/** A row of the tree as a change sees it. */
export interface TreeNode {
  readonly path: RepoPath;
  readonly folder: boolean;
  readonly sha256: Sha256 | undefined;
  readonly size: number;
  readonly mediaType: string | undefined;
  readonly package: string | undefined;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly modifiedAt: Date;
  readonly modifiedBy: string;
}

export type TreeFile = TreeNode & { readonly sha256: Sha256 };

/**
 * The file tree inside one atomic change. Everything here is rows: bytes have landed before.
 * A write over an existing path needs the right to delete, a new one the right to deploy.
 */
export interface Tree {
  get(path: RepoPath): Promise<TreeNode | undefined>;
  /** Resolves a digest of any algorithm to the stored bytes' SHA-256, if the store knows it. */
  resolve(digest: Digest): Promise<Sha256 | undefined>;
  /** For each of the digests a file of the package that holds it; absent where there is none. */
  held(packageName: string, digests: readonly Sha256[]): Promise<ReadonlyMap<Sha256, TreeFile>>;
  children(folder: RepoPath): Promise<readonly TreeNode[]>;
  /** Puts files, with the folders they need, over whatever files were at these paths. */
  put(files: ReadonlyMap<RepoPath, Deposit>): Promise<void>;
  /** Makes a folder, with those above it; one that is there already is no error. */
  makeFolder(path: RepoPath): Promise<void>;
  /** Puts a file whose path is named for its bytes, or makes the one that is there look freshly written. */
  renew(path: RepoPath, deposit: Deposit): Promise<void>;
  /**
   * Puts the next state of a record that only grows in the place of the given one, so it needs the right to deploy and
   * no other; `conflict` with `detail.stale` when the file has other bytes by now, `not_found` when it is gone.
   */
  amend(path: RepoPath, from: Sha256, deposit: Deposit): Promise<void>;
  /**
   * Moves the files directly in a folder to a free place, with the folder unless folders lie in it, which stay. Needs the
   * right to delete at the source.
   */
  moveFiles(from: RepoPath, to: RepoPath): Promise<void>;
  /** Gives a lead file another version and sets properties; part of a move or a put, so it needs no right of its own. */
  relabel(path: RepoPath, version: string, properties: Properties): Promise<void>;
  /**
   * Changes what indexes say of the release that the file leads, and sets properties that repeat it; empty values remove
   * them. Needs the right to deploy.
   */
  describe(path: RepoPath, metadata: unknown, properties?: Properties): Promise<void>;
  /** The release of this name in a package. */
  version(packageName: string, version: string): Promise<PackageVersion | undefined>;
  /** Removes a file; false if there was none. */
  delete(path: RepoPath): Promise<boolean>;
  /** Removes the files directly in a folder, with the folder unless folders lie in it; false if there was none. */
  deleteFiles(folder: RepoPath): Promise<boolean>;
  /** Notes what belongs beside a lead file but is not here yet: where bytes with these digests are put when they come. */
  expect(lead: RepoPath, files: readonly ExpectedFile[]): Promise<void>;
  /** Makes a path look freshly written, which renews what is kept by age. */
  touch(path: RepoPath): Promise<void>;
  annotate(path: RepoPath, change: { readonly set?: Properties; readonly remove?: readonly string[] }): Promise<void>;
  /**
   * Remembers what the client says a file's SHA-1 or MD5 is; returns what it is, or undefined if there is no file. Needs
   * the right to deploy. What is wrong is remembered only of those who put the file, or may replace it.
   */
  declare(path: RepoPath, declaration: Declaration): Promise<string | undefined>;
  /** Package versions whose lead file has these bytes, up to `limit` of them. */
  versionsOf(packageName: string, sha256: Sha256, limit: number): Promise<readonly PackageVersion[]>;
  /** Package versions whose lead file carries a property value, up to `limit` of them. */
  versionsWith(packageName: string, property: PropertyValue, limit: number): Promise<readonly PackageVersion[]>;
}

/** What a client says of a file's checksum. */
export interface Declaration {
  readonly algorithm: ChecksumAlgorithm;
  readonly hex: string;
  /** Whether it is remembered too where it is wrong. */
  readonly keepsWrong: boolean;
}

export interface PropertyValue {
  readonly key: string;
  readonly value: string;
}

export interface Page {
  /** Names greater than this, compared byte by byte. */
  readonly after?: string;
  /** Names less than this. */
  readonly before?: string;
  readonly limit: number;
}

export interface VersionName {
  readonly version: string;
  readonly path: RepoPath;
}

/** What an ingest learned about a release: the only thing indexes are built from. */
export interface PackageVersion {
  readonly package: string;
  readonly version: string;
  readonly path: RepoPath;
  readonly size: number;
  readonly sha256: Sha256;
  readonly mediaType: string;
  readonly createdAt: Date;
  readonly metadata: unknown;
  /** Grows with each new version of the repository; a cursor for paging in the order of creation. */
  readonly sequence: number;
}

/** Resumable uploads of one repository. An upload belongs to a package; another package does not see it. */
export interface Uploads {
  start(packageName: string, options?: { readonly algorithm?: Digest['algorithm'] }): Promise<Upload>;
  /** `not_found` when unknown, expired or of another package. */
  open(packageName: string, id: string): Promise<Upload>;
}

export interface Upload {
  readonly id: string;
  /** Bytes received and safely stored. */
  readonly received: number;
  /** The digest this upload ended with, when it already has: a repeated finish is answered again. */
  readonly finished: Digest | undefined;
  /** Appends at `received`; on an aborted body what arrived is kept. Two at once: the second is `conflict`. */
  append(body: Readable, signal?: AbortSignal): Promise<void>;
  /**
   * Takes the last bytes, if the finishing request brought some, and verifies the digest over all of them; a mismatch
   * is `invalid` and ends the upload.
   */
  finish(digest: Digest, last?: { readonly body: Readable; readonly signal?: AbortSignal }): Promise<Landed>;
  abort(): Promise<void>;
}

/** One repository as one principal may use it. One implementation per class; wrappers add the rest. */
export interface Repository {
  readonly key: RepoKey;
  readonly packageType: string;
  readonly rclass: 'local' | 'remote' | 'virtual' | 'federated';
  /** Settings as the administrator gave them. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The repository that takes what is put into this one: itself, or another; undefined where nothing can be put. */
  readonly deploysTo: RepoKey | undefined;
  /** Whether the caller has a right here: for protocols that behave differently for those who will write. */
  allows(action: Action, path: RepoPath): boolean;
  /** Throws what the caller may be told if it lacks the right: asked before a body is read. */
  require(action: Action, path: RepoPath): void;
  /**
   * What a client wants, for sending it: the only reading, with `document` and the lists of packages and versions, for
   * which an upstream is asked. With `headers` nothing is fetched that its headers can answer.
   */
  serve(wanted: Wanted, purpose: Purpose): Promise<Asset | Arriving | undefined>;
  /** A document of the format by its kind and name, as far as the caller may see what it is made of. */
  document(kind: string, name: string): Promise<HeldDocument | undefined>;
  /** What the first upstream there is says to a question; undefined where there is none to ask. */
  consult(question: Question): Promise<Consulted | undefined>;
  /** The file at the path, if it is held here. */
  get(path: RepoPath): Promise<Asset | undefined>;
  /** Whether the path is a folder. */
  isFolder(path: RepoPath): Promise<boolean>;
  /** The folder at the path; the root always is one. */
  folder(path: RepoPath): Promise<Folder | undefined>;
  /** A file of the package, or of any where none is named, with these bytes: how content-addressed protocols read. */
  find(packageName: string | undefined, digest: Digest): Promise<Asset | undefined>;
  /** The lead file of a package version. */
  version(packageName: string, version: string): Promise<Asset | undefined>;
  children(folder: RepoPath, page: Page): Promise<readonly Entry[]>;
  /** Everything at any depth below a folder, by parent folder and name. */
  descendants(folder: RepoPath, page: { readonly after?: RepoPath; readonly limit: number }): Promise<DescendantPage>;
  packages(page: Page): Promise<readonly string[]>;
  versionNames(packageName: string, page: Page): Promise<readonly VersionName[]>;
  /** Versions of the package, or of all, whose lead file carries a property value, in the order of their creation. */
  versionsWith(
    packageName: string | undefined,
    property: PropertyValue,
    page: { readonly after?: number; readonly limit: number },
  ): Promise<readonly PackageVersion[]>;
  properties(path: RepoPath): Promise<Properties>;
  /** Stores bytes meant for a path without naming them; refuses before reading where a deposit would be refused. */
  store(path: RepoPath, body: Readable, options?: StoreOptions): Promise<Landed>;
  readonly uploads: Uploads;
  /**
   * Runs `work` atomically; changes of one scope happen one after another. `work` may run more than once, so it
   * awaits nothing but the tree. Returns when the change is durable.
   */
  change<T>(scope: string, work: (tree: Tree) => Promise<T>): Promise<T>;
}
