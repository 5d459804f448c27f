/** One request and its answer, over connections to one upstream that are kept and reused. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { Agent, type Dispatcher } from 'undici';
import { UpstreamFailure } from '../core/upstream.ts';
import { type DiallingOptions, dialDestination, dialProxy, proxyAuthorization, proxyUrl } from './dialling.ts';
import { failureOf, isCutBeforeAnswer } from './failures.ts';

export interface Exchange {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ExchangeAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Errors are UpstreamFailures, or the reason of the signal. */
  readonly body: Readable;
  /** When nothing more goes over the wire for it, whether or not the body is read by then. */
  readonly over: Promise<ExchangeEnd>;
}

export interface ExchangeEnd {
  readonly bytes: number;
  /** Undefined where the whole answer came. */
  readonly failure: Error | undefined;
}

export interface TransportOptions extends DiallingOptions {
  readonly headersTimeoutMs: number;
  readonly bodyIdleTimeoutMs: number;
}

const MAX_HEADER_BYTES = 64 * 1024;
const MAX_HEADERS = 1000;
const KEEP_ALIVE_MS = 15_000;
const BODY_BUFFER_BYTES = 256 * 1024;

export class Transport {
  readonly #options: TransportOptions;
  readonly #agent: Agent;
  readonly #proxied: Agent | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#agent = agentOf(options, (destination) => dialDestination(options, destination));
    const { proxy } = options;
    this.#proxied = proxy && agentOf(options, () => dialProxy(options, proxy));
  }

  /** Throws UpstreamFailures, or the reason of the signal. */
  async exchange(exchange: Exchange): Promise<ExchangeAnswer> {
    exchange.signal?.throwIfAborted();
    await this.#check(exchange.url);
    try {
      return await this.#dispatch(exchange);
    } catch (error) {
      // The server may close a connection that it kept just when it is used again.
      if (exchange.method === 'POST' || !isCutBeforeAnswer(error)) throw error;
      return await this.#dispatch(exchange);
    }
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await Promise.all([this.#agent.close(), this.#proxied?.close()]);
  }

  /** Ends what is under way. */
  async destroy(): Promise<void> {
    const reason = new UpstreamFailure('broken', 'The server stops asking upstreams; ask again later.');
    await Promise.all([this.#agent.destroy(reason), this.#proxied?.destroy(reason)]);
  }

  async #check(url: URL): Promise<void> {
    const { guard, originOf, ownOrigin, proxy } = this.#options;
    const origin = originOf(url.hostname);
    guard.checkUrl(url, origin, { anyPort: url.origin === ownOrigin });
    if (!proxy) return;
    try {
      await guard.addressesOf(url.hostname, origin);
    } catch (error) {
      // Behind a proxy names may have a meaning that only the proxy knows.
      if (!(error instanceof UpstreamFailure) || error.trouble !== 'unreachable') throw error;
    }
  }

  async #dispatch(exchange: Exchange): Promise<ExchangeAnswer> {
    exchange.signal?.throwIfAborted();
    const { url, method, body } = exchange;
    const { proxy } = this.#options;
    const path = `${url.pathname}${url.search}`;
    const { promise, resolve, reject } = Promise.withResolvers<ExchangeAnswer>();
    const handler = new AnswerHandler(exchange, this.#options, { resolve, reject });
    const common = { method, body: body ?? null };
    if (this.#proxied && proxy && url.protocol === 'http:') {
      const authorization = proxyAuthorization(proxy);
      const headers = {
        ...exchange.headers,
        host: url.host,
        ...(authorization !== undefined && { 'proxy-authorization': authorization }),
      };
      const dispatch = { ...common, origin: proxyUrl(proxy).origin, path: `${url.origin}${path}`, headers };
      this.#proxied.dispatch(dispatch, handler);
    } else {
      // Left to itself undici closes the connection after each HEAD, which most revalidations are. A server that sends a
      // body all the same can confuse answers of its own only: nothing else shares its connection.
      const dispatch = { ...common, origin: url.origin, path, headers: { ...exchange.headers } };
      this.#agent.dispatch(method === 'HEAD' ? { ...dispatch, reset: false } : dispatch, handler);
    }
    return await promise;
  }
}

function agentOf(
  options: TransportOptions,
  dial: (destination: { protocol: string; hostname: string; port: string }) => Promise<Socket>,
): Agent {
  return new Agent({
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    // Counted by AnswerHandler, for whom informational answers and single bytes are no answer.
    headersTimeout: 0,
    bodyTimeout: options.bodyIdleTimeoutMs,
    connect: ({ protocol, hostname, port }, callback) => {
      const destination = { protocol, hostname, port: port || (protocol === 'https:' ? '443' : '80') };
      dial(destination).then(
        (socket) => callback(null, socket),
        (error: Error) => callback(error, null),
      );
    },
  });
}

interface Outcome {
  readonly resolve: (answer: ExchangeAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** Turns what undici tells of an answer into one, and is the source of its body. */
class AnswerHandler implements Dispatcher.DispatchHandler {
  readonly #exchange: Exchange;
  readonly #options: TransportOptions;
  readonly #outcome: Outcome;
  #controller: Dispatcher.DispatchController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #body: Readable | undefined;
  readonly #over = Promise.withResolvers<ExchangeEnd>();
  #bytes = 0;
  #isOver = false;
  #stopReason: Error | undefined;

  constructor(exchange: Exchange, options: TransportOptions, outcome: Outcome) {
    this.#exchange = exchange;
    this.#options = options;
    this.#outcome = outcome;
    exchange.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#stopReason) {
      controller.abort(this.#stopReason);
      return;
    }
    const { headersTimeoutMs } = this.#options;
    this.#timer = setTimeout(() => {
      const message = `Host "${this.#exchange.url.host}" did not answer within ${headersTimeoutMs} ms.`;
      this.#stop(new UpstreamFailure('timeout', message));
    }, headersTimeoutMs);
  }

  onRequestUpgrade(): void {
    this.#stop(new UpstreamFailure('broken', `Host "${this.#exchange.url.host}" answered with another protocol.`));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    clearTimeout(this.#timer);
    const { host } = this.#exchange.url;
    if (status > 599) {
      this.#stop(
        new UpstreamFailure('broken', `Host "${host}" answered with the status ${status}, which does not exist.`),
      );
      return;
    }
    if (Object.values(headers).flat().length > MAX_HEADERS) {
      this.#stop(new UpstreamFailure('broken', `Host "${host}" sent more headers than are read.`));
      return;
    }
    if (status === 407) {
      const message = `The way to host "${host}" wants other credentials of a proxy; correct them in its settings.`;
      this.#stop(new UpstreamFailure('unreachable', message));
      return;
    }
    const body = new Readable({
      highWaterMark: BODY_BUFFER_BYTES,
      read: () => controller.resume(),
      destroy: (error, callback) => {
        const isEarly = !this.#isOver;
        this.#end(error ?? (isEarly ? new Error('The body is not wanted.') : undefined));
        if (isEarly) controller.abort(error ?? new Error('The body is not wanted.'));
        callback(error);
      },
    });
    // Whoever reads is told; whoever does not must not bring the process down.
    body.on('error', () => {});
    this.#body = body;
    this.#outcome.resolve({ status, headers: joinRepeated(headers), body, over: this.#over.promise });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#body && !this.#body.push(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#end(undefined);
    this.#body?.push(null);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const failure = this.#stopReason ?? failureOf(error, this.#exchange.url.host, this.#body !== undefined);
    this.#end(failure);
    if (this.#body) this.#body.destroy(failure);
    else this.#outcome.reject(failure);
  }

  readonly #onAbort = () => this.#stop(this.#exchange.signal?.reason as Error);

  #stop(reason: Error): void {
    if (this.#isOver) return;
    this.#stopReason = reason;
    this.#end(reason);
    if (this.#body) this.#body.destroy(reason);
    else this.#outcome.reject(reason);
    this.#controller?.abort(reason);
  }

  #end(failure: Error | undefined): void {
    this.#isOver = true;
    this.#over.resolve({ bytes: this.#bytes, failure });
    clearTimeout(this.#timer);
    this.#exchange.signal?.removeEventListener('abort', this.#onAbort);
  }
}

/** As Node's own parser has it: fields that come again are joined, but for cookies. */
function joinRepeated(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const entries = Object.entries(headers).map(([name, value]) => [
    name.toLowerCase(),
    name === 'set-cookie' ? [value ?? []].flat() : Array.isArray(value) ? value.join(', ') : value,
  ]);
  return Object.fromEntries(entries) as IncomingHttpHeaders;
}
