/** One request on its way to its answer, as everything above the socket sees it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AppError } from '../core/errors.ts';
import type { Reply } from '../core/protocol.ts';
import type { Target } from '../core/target.ts';

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: Target;
  readonly requestId: string;
  /** Address of the client: the peer, or what a trusted proxy says. */
  readonly peer: string;
  /** Scheme, host and port as the client sees them. */
  readonly origin: string;
  /** The port of our own that the connection came in by. */
  readonly localPort: number;
  /** Host name of the request, lower case, without a port. */
  readonly host: string;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** The body; asking for it tells a client that waits for `100 Continue` to go on. One with a coding is for those who say so. */
  body(options?: { readonly encoded: boolean }): IncomingMessage;
  /** For the access log. */
  readonly note: { principal?: string; area?: string; repo?: string; sizeBytes?: number; error?: unknown };
}

/** One request that somebody has taken on. */
export interface Call {
  run(): Promise<Reply>;
  /** How this caller's protocol says what went wrong. */
  fail(error: AppError, status: number): Reply;
}

export interface Refusal {
  readonly error: AppError;
  readonly status: number;
  readonly method: string;
  /** The target as it was sent. */
  readonly rawTarget: string;
}

/** Takes on a request, or leaves it to the next. */
export interface Handler {
  begin(exchange: Exchange): Call | undefined;
  /** Answers, in the protocol of the address, for a request that was too broken to be taken on. */
  refuse?(refusal: Refusal): Reply | undefined;
}
