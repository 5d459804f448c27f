/** What a package format sees of HTTP: no framework type reaches it, so a handler is tested by calling it. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { AppError } from './errors.ts';
import type { Arriving, Asset, Repository } from './repository.ts';

export interface ProtocolRequest {
  readonly method: string;
  /** Decoded path below the mount, without a leading slash. */
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The query as it was sent, for values where `+` is a plus. */
  readonly rawQuery: string;
  readonly headers: IncomingHttpHeaders;
  /** Reading it tells a client that waits for `100 Continue` to go on. */
  readonly body: Readable;
  /** The body as it was sent, for routes that take it compressed. */
  readonly encodedBody: Readable;
  readonly signal: AbortSignal;
}

/** The bytes of a file. */
export interface AssetReply {
  readonly asset: Asset | Arriving;
  readonly headers?: Readonly<Record<string, string>>;
  /** What `If-None-Match` is compared with; the bytes' SHA-256 unless a protocol has its own. */
  readonly etag?: string;
  /** Sends the tag without its quotes, as some clients of old expect it. */
  readonly bareEtag?: boolean;
  /** Overrides the stored media type. */
  readonly mediaType?: string;
  readonly ranges?: boolean;
  /** Sends the time of the last change and honours conditions on it. */
  readonly lastModified?: boolean;
  /** Names the file and forbids active content; `attachment` has browsers save it, `inline` show it. */
  readonly disposition?: 'attachment' | 'inline';
  /** Whether the bytes may come from the store by a signed redirect. */
  readonly redirectable?: boolean;
  /** Not counted as a download. */
  readonly uncounted?: boolean;
}

export interface PlainReply {
  readonly status: number;
  /** The reason phrase, in printable ASCII, for protocols whose clients show it; otherwise that of the status. */
  readonly reason?: string;
  readonly json?: unknown;
  readonly text?: string;
  /** In one buffer, or in several behind one another. */
  readonly bytes?: Buffer | readonly Buffer[];
  /** A body of any length, made while it is sent; a failure after its beginning cuts the connection. */
  readonly pieces?: AsyncIterable<string | Buffer>;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
}

export type Reply = AssetReply | PlainReply;

/** How the client reached the server, so that answers name places it can reach too. */
export interface Links {
  /** Scheme, host and port as the client sees them, without a trailing slash. */
  readonly origin: string;
  /** The path prefix under which the mount of this request lies, e.g. `/v2/docker-local`. */
  readonly mount: string;
  /** What clients sent with this request and must send with those that it leads to, in the form of a query. */
  readonly query?: string;
}

/** Issues tokens for a protocol that has its own token dance. */
export interface TokenIssuer {
  /** A short-lived token for the caller, for this audience. */
  issue(options: { readonly audience: string; readonly access: readonly TokenAccess[] }): Promise<IssuedToken>;
}

export interface TokenAccess {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

export interface IssuedToken {
  readonly token: string;
  readonly expiresInSeconds: number;
  readonly issuedAt: Date;
}

/** The caller's account, as protocols that have accounts of their own show it. */
export interface OwnAccount {
  readonly name: string;
  facts(): Promise<AccountFacts>;
  /** A token with the caller's rights, in its short form; it lives no longer than the one the caller came with. */
  createToken(description: string, options?: OwnTokenOptions): Promise<{ readonly id: string; readonly token: string }>;
  tokens(): Promise<readonly OwnToken[]>;
  /** By its id or by what it is; `not_found` when it is no token of the caller's. */
  revokeToken(token: string): Promise<void>;
  /** Lets the client that shows this code sign in as the caller, once and soon. */
  approveSignIn(code: string): Promise<void>;
}

export interface AccountFacts {
  readonly email: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface OwnTokenOptions {
  readonly expiresInSeconds?: number;
  /** Of the caller's rights only those to read. */
  readonly readOnly?: boolean;
}

export interface OwnToken {
  readonly id: string;
  readonly description: string;
  readonly createdAt: Date;
  readonly readOnly: boolean;
}

export interface ProtocolContext {
  readonly repo: Repository;
  readonly links: Links;
  /** Whether the caller brought credentials. */
  readonly authenticated: boolean;
  /** The name of the caller's account; undefined for callers without one. */
  readonly caller: string | undefined;
  /** Repositories of the same package type that the caller may know of. */
  repositories(): Promise<readonly Repository[]>;
  /** The same with all the caller's rights, where a protocol's token can only name what its client knew to ask for. */
  repositoriesOfCaller(): Promise<readonly Repository[]>;
}

/** Context of routes that belong to a package type but to no one repository. */
export interface ServiceContext {
  readonly links: Links;
  readonly authenticated: boolean;
  readonly tokens: TokenIssuer;
  /** The same for a caller whose name and password came in the body; throws `unauthenticated` when they are wrong. */
  signIn(name: string, password: string): Promise<ServiceContext>;
  /** Undefined for callers without an account. */
  readonly account: OwnAccount | undefined;
  /** The account that approved the code since; undefined while none has. */
  approvedSignIn(code: string): Promise<OwnAccount | undefined>;
  /** The one repository that the host name, the port or the path stands for, where it does. */
  readonly bound: Repository | undefined;
  /** Repositories of this package type that the caller may see, by key. */
  repositories(): Promise<readonly Repository[]>;
  /** One of them; undefined also when the caller may not know it. */
  repository(key: string): Promise<Repository | undefined>;
}

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/**
 * `{name}` takes one path segment, `{name...}` takes as many as it can, so the last literal match wins: names may
 * hold slashes and even the protocol's own words.
 */
export interface Route<Context = ProtocolContext> {
  readonly methods: readonly Method[];
  readonly pattern: string;
  handle(request: ProtocolRequest, context: Context): Promise<Reply>;
}

/** What went wrong, with what the protocol needs to say it. */
export interface Failure {
  readonly error: AppError;
  readonly status: number;
  readonly request: { readonly method: string; readonly path: string; readonly query: URLSearchParams };
  readonly links: Links;
  readonly authenticated: boolean;
  /** Whether the credentials that were sent were refused, as against not sufficing. */
  readonly badCredentials: boolean;
}

/** The audience of tokens for a host: what clients call the service. */
export function audienceOf(origin: string): string {
  return origin.replace(/^https?:\/\//, '');
}
