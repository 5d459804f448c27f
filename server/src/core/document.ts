/**
 * Documents: files that are made from what a repository holds, such as indexes. Built in local repositories, parsed
 * from an upstream's bytes in remote ones, merged in virtual ones, and rendered by their format for each caller.
 */
import type { Piece, RenderedBody } from '../lib/rendered.ts';
import type { RepoPath } from './ids.ts';
import type { DocumentFetch, RemoteFacts } from './remote.ts';
import type { PackageVersion } from './repository.ts';

declare const opaque: unique symbol;
/** A document whose type only its format knows. */
export interface OpaqueDoc {
  readonly [opaque]: never;
}

/** What a document is built from: rows of one repository. */
export interface DocumentSource {
  /** All versions of a package, in the order of their creation. */
  versions(packageName: string): AsyncIterable<PackageVersion>;
  /** What happened since the row with the number `since`, the greatest that was read: for building on `previous`. */
  changes(packageName: string, since: number): VersionChanges;
  /** Names of the packages, byte by byte. */
  packages(): AsyncIterable<string>;
  /** Packages whose names begin so, with a number that grows with every change of theirs; some may be empty by now. */
  revisions(prefix: string): AsyncIterable<{ readonly name: string; readonly revision: number }>;
  /** All versions of all packages, by package. */
  all(): AsyncIterable<PackageVersion>;
  /** The numbers of the repository as they are now: asked before what is read, they tell later what changed since. */
  marks(): Promise<RepositoryMarks>;
  /** Packages that changed since the numbers were `since`; some may have no versions any more. */
  changedPackages(since: RepositoryMarks): AsyncIterable<string>;
}

/** Numbers that grow with every change of a repository's packages, by what they are called. */
export type RepositoryMarks = ReadonlyMap<number, number>;

/** What happened to the versions of a package since they were read. */
export interface VersionChanges {
  readonly written: AsyncIterable<PackageVersion & { readonly revision: number }>;
  /** Names of those that are still there; undefined when none is gone. Asked after `written` is read to its end. */
  remaining(known: number): Promise<ReadonlySet<string> | undefined>;
}

export interface DocumentKind<Doc> {
  /** The package that the document of this name is about; undefined for those about a whole repository. */
  package(name: string): string | undefined;
  /** The beginning of the names of further packages that it is about. */
  prefix?(name: string): string | undefined;
  /** Where it lies as a path: rights to it and patterns are asked for this. */
  path(name: string): RepoPath;
  /** Undefined where nothing has the name. `previous` is what was built of an earlier state, to build on. */
  build(source: DocumentSource, name: string, previous: Doc | undefined): Promise<Doc | undefined>;
  /** How an upstream is asked for it; undefined where it has none. */
  fetch?(name: string, remote: RemoteFacts): DocumentFetch | undefined;
  /** What an upstream's bytes say; `base` is the link that was asked, or the upstream's URL. Throws `invalid`. */
  parse?(bytes: Buffer, context: ParseContext): Doc | Promise<Doc>;
  /** In the order of resolution: the first to name a version has it. */
  merge(docs: readonly Doc[]): Doc | Promise<Doc>;
  /**
   * As a client gets it; `base` is the address of the repository it asked, without a slash at its end, and `previous` are
   * the pieces that were last made for the same address.
   */
  render(
    doc: Doc,
    to: { readonly base: string; readonly path: RepoPath; readonly previous?: readonly Piece[] },
  ): RenderedBody | Promise<RenderedBody>;
  /** Only what lies at paths that are accepted; undefined when nothing is left. */
  filter(doc: Doc, accepts: (path: RepoPath) => boolean): Doc | undefined | Promise<Doc | undefined>;
}

/** Where the bytes of a document came from. */
export interface ParseContext {
  readonly name: string;
  readonly base: URL;
  readonly mediaType: string;
  /** Of the remote repository. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** A document as one caller may see it. */
export interface HeldDocument<Doc = OpaqueDoc> {
  /**
   * Names the state: what has the same revision has the same content, whoever asked. Undefined for what was made for
   * this caller alone, of which nothing may be kept.
   */
  readonly revision: string | undefined;
  readonly modifiedAt: Date;
  /** Something that belongs into it could not be asked: nobody may keep it for long. */
  readonly partial: boolean;
  read(): Promise<Doc>;
}

/** The one cast that lets formats keep the types of their documents to themselves. */
export function documentKind<Doc>(kind: DocumentKind<Doc>): DocumentKind<OpaqueDoc> {
  return kind as unknown as DocumentKind<OpaqueDoc>;
}
