/** What is asked of the server that a remote repository stands for, and what it answers. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';

/** What is asked for, in the words of a format; where it is asked is built from it, never taken from a client. */
export interface Ask {
  /** Below the URL of the repository: decoded, each segment is encoded from scratch. */
  readonly path: string;
  /** An address that a document of the upstream names, asked in the place of the path. */
  readonly link?: URL;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** What a token must allow, where the upstream hands out tokens: `repository:team/app:pull`. */
  readonly scope?: string;
}

export interface UpstreamRequest extends Ask {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly body?: Buffer;
  /** Ends the request and the body of its answer. */
  readonly signal?: AbortSignal;
}

/** What is asked on behalf of one caller, changes nothing there, and of which nothing is kept. */
export interface Question {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** A longer answer is none. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

export interface Consulted {
  readonly status: number;
  readonly bytes: Buffer;
}

export interface UpstreamAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: IncomingHttpHeaders;
  /** Where the answer came from in the end, after redirects. */
  readonly url: URL;
  /** The bytes as they were sent, not decoded; has to be read or destroyed. */
  readonly body: Readable;
}

/** One upstream with everything that its repository's settings say of how it is reached. */
export interface Upstream {
  /** Any status is an answer; only what keeps an answer from coming throws an UpstreamFailure. */
  request(request: UpstreamRequest): Promise<UpstreamAnswer>;
  /** Why nothing is asked at present, where that is so: it is assumed offline, or has asked for time. */
  readonly pause: UpstreamPause | undefined;
  /** How often the upstream said that it may still be asked. */
  readonly budget?: UpstreamBudget | undefined;
}

export interface UpstreamBudget {
  readonly limit: number | undefined;
  readonly remaining: number;
  readonly windowSeconds: number | undefined;
  readonly seenAt: Date;
}

export interface UpstreamPause {
  readonly reason: 'assumed-offline' | 'rate-limited';
  readonly until: Date;
  /** In a sentence. */
  readonly message: string;
}

/**
 * Why no answer came. `refused` is our own decision: the address may not be asked, a redirect went too far or down to
 * http. `paused` is so as well: nothing was sent.
 */
export type UpstreamTrouble = 'unreachable' | 'timeout' | 'broken' | 'refused' | 'rate-limited' | 'paused';

export class UpstreamFailure extends Error {
  readonly trouble: UpstreamTrouble;
  /** When it may be worth asking again. */
  readonly retryAfterMs: number | undefined;

  constructor(trouble: UpstreamTrouble, message: string, options: ErrorOptions & { retryAfterMs?: number } = {}) {
    super(message, options);
    this.name = 'UpstreamFailure';
    this.trouble = trouble;
    this.retryAfterMs = options.retryAfterMs;
  }
}
