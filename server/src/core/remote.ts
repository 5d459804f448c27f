/**
 * What a format knows of its upstreams: how a thing that a client wants is asked for, and what becomes of the answer.
 * When it is asked, how often, by whom, and what happens when no answer comes is the remote class's business.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { OpaqueDoc } from './document.ts';
import type { Digest, RepoKey, RepoPath, Sha256 } from './ids.ts';
import type { Content, Landed, PropertyValue, Tree, Wanted } from './repository.ts';
import type { Ask } from './upstream.ts';

/** A remote repository as formats may know it: without its secrets. */
export interface RemoteFacts {
  readonly key: RepoKey;
  readonly packageType: string;
  readonly url: URL;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** One thing that an upstream may have, and how it is had. */
export interface Fetch {
  /** Names the thing within the repository: it is asked for by one at a time, and a miss is remembered under it. */
  readonly key: string;
  /** Where it will lie in the cache: rights and patterns are asked for this path before anything is sent. */
  readonly path: RepoPath;
  readonly package?: string;
  readonly ask: Ask;
  /** Whether the upstream may have another thing under the same name later. */
  readonly mutable: boolean;
  /** What the bytes must be. */
  readonly digest?: Digest;
  readonly mediaType?: string;
  /** Read and judged whole before any of it is given on, because it is small and says what else there is. */
  readonly whole?: { readonly maxBytes: number };
  /** What the headers of an answer say its bytes are. */
  identify?(headers: IncomingHttpHeaders): { readonly digest?: Digest; readonly mediaType?: string };
  /** The same thing by the digest that `identify` gave, so that a change between two requests does no harm. */
  pinned?(digest: Digest): Ask;
  /** Statuses that mean that there is none, beside 404 and 410. */
  readonly missing?: readonly number[];
  /** Misses are remembered no longer than this, whatever the settings say. */
  readonly missSeconds?: number;
  /** What is put where, for things that are more than one file at `path`. */
  admit?(arrived: Arrived): Promise<Admission>;
  /** The document of the upstream that says where the thing is: read before it is asked for. */
  readonly listed?: Listed;
  /**
   * Throws `invalid` for what came whole but is not what it should be: then it is not kept. Nothing of it is given on
   * before; asked only of what is to be kept.
   */
  inspect?(content: Content): Promise<void>;
}

/** Where a document lists a thing. */
export interface Listed {
  readonly document: string;
  readonly name: string;
  /** It is asked for all the same where the document does not list it, or cannot be had. */
  readonly optional?: boolean;
  /** Its address and what its bytes must be; undefined where the document does not list it, so that there is none. */
  find(document: OpaqueDoc): { readonly link?: URL; readonly digest?: Digest } | undefined;
}

/** What came, verified. */
export interface Arrived {
  readonly landed: Landed;
  /** All of it, where the fetch is of something whole. */
  readonly bytes: Buffer | undefined;
  readonly mediaType: string;
  readonly headers: IncomingHttpHeaders;
}

/** One change; returns the path at which the thing asked for lies now. */
export type Admission = (tree: Tree) => Promise<RepoPath>;

/** A file beside a lead file that was not fetched yet. */
export interface ExpectedFile {
  /** Its name in the folder of the lead file. */
  readonly name: string;
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
}

/** A document of an upstream, as its bytes are kept. */
export interface DocumentFetch {
  readonly key: string;
  /** Where its bytes lie in the cache, under a name that no artifact can have. */
  readonly path: RepoPath;
  readonly package?: string;
  readonly ask: Ask;
  readonly maxBytes: number;
  readonly mediaType: string;
  /** Statuses that mean that there is none, beside 404 and 410. */
  readonly missing?: readonly number[];
  readonly missSeconds?: number;
  /** Names what else decides how its bytes read, such as settings. */
  readonly variant?: string;
  /** For upstreams that answer in pages: where the next one is, and how they become one. */
  readonly pages?: {
    readonly max: number;
    next(headers: IncomingHttpHeaders, bytes: Buffer): Ask | undefined;
    join(pages: readonly Buffer[]): Buffer;
  };
  /** Asked in its place where the upstream says that it has none. */
  readonly otherwise?: DocumentFetch;
}

/** A document that names things, and how its bytes read; `parse` throws `invalid` for what it cannot be. */
export interface ListingFetch<T> {
  readonly fetch: DocumentFetch;
  parse(bytes: Buffer): readonly T[];
}

/** A release as an upstream lists it, whether its bytes are here or not. */
export interface ListedVersion {
  readonly version: string;
  readonly sha256: Sha256;
  readonly size: number;
  readonly mediaType: string;
  readonly metadata: unknown;
}

export interface RemoteRules {
  /** Where the upstream really is that an administrator's URL means; the URL itself without it. */
  address?(url: URL): URL;
  /** How the upstream spells the name of a package, where clients may spell it otherwise too: it is held under this one. */
  canonical?(packageName: string, remote: RemoteFacts): string;
  /** What to ask for; undefined where an upstream of this type has no such thing. */
  fetch(wanted: Wanted, remote: RemoteFacts): Fetch | undefined;
  /** Names of the versions of a package; without it, those that are in the cache. */
  versionNames?(packageName: string, remote: RemoteFacts): ListingFetch<string> | undefined;
  versionsWith?(
    packageName: string,
    property: PropertyValue,
    remote: RemoteFacts,
  ): ListingFetch<ListedVersion> | undefined;
  packages?(remote: RemoteFacts): ListingFetch<string> | undefined;
}
