/** The HTTP server: takes connections, hands requests on, sends the answers, drains at the end. */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, BlockList, Socket } from 'node:net';
import { AppError, STATUS } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import type { Arriving, Asset } from '../core/repository.ts';
import { parseTarget } from '../core/target.ts';
import type { Refusal } from '../events/refusal-log.ts';
import { type TraceStep, traced } from '../lib/trace.ts';
import type { AccessLog } from './access-log.ts';
import { Connections } from './connections.ts';
import type { Call, Exchange, Handler } from './exchange.ts';
import { RequestExchange } from './request-exchange.ts';
import { checkHead, MAX_HEADERS } from './request-head.ts';
import { send } from './send.ts';
import { SlowBodies } from './slow-bodies.ts';
import { finishBody } from './unread-body.ts';

export interface ServerOptions {
  readonly host: string;
  /** The first port is the main one; the others stand for one repository each. */
  readonly ports: readonly number[];
  readonly baseUrl: string | undefined;
  readonly trustedProxies: BlockList;
  /** Headers of every answer. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxHeaderBytes: number;
  readonly headerTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly bodyIdleTimeoutMs: number;
  readonly maxConnections: number;
  readonly handlers: readonly Handler[];
  readonly accessLog: AccessLog;
  /** Told of each file that a client has fetched to its end, and whether it was here when it was asked for. */
  onDownload?(asset: Asset, by: string, wasHeld: boolean): void;
  /** Told of errors that are bugs: the client got a bare 500. */
  onBug(error: unknown, exchange: { readonly requestId: string }): void;
  /** Told of each request that was answered with a refusal or found nothing, and why. */
  onRefused(refusal: Refusal): void;
}

/** A request on its way to an answer that says what went wrong. */
interface Failing {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly expects: boolean;
  readonly exchange: Exchange | undefined;
  readonly call: Call | undefined;
  readonly steps: readonly TraceStep[];
}

/** Under load somebody new always waits. */
const ACCEPT_WAITING_MS = 1000;
const SETTLE_MS = 5000;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

export class HttpServer {
  readonly #options: ServerOptions;
  readonly #servers: Server[];
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Connections();
  readonly #slow: SlowBodies;
  #draining = false;
  #active = 0;
  #accepted = 0;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#slow = new SlowBodies(options.bodyIdleTimeoutMs);
    this.#servers = options.ports.map(() => this.#create());
  }

  /** Begins to listen; returns the ports, in the order in which they were asked for. */
  async start(): Promise<number[]> {
    const ports: number[] = [];
    for (const [i, server] of this.#servers.entries()) {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host: this.#options.host, port: this.#options.ports[i], backlog: 1024 }, resolve);
      });
      ports.push((server.address() as AddressInfo).port);
    }
    return ports;
  }

  /** Stops accepting, lets requests under way finish for a while, then cuts what is left. */
  async stop(drainMs: number): Promise<void> {
    this.#draining = true;
    await this.#acceptWaiting();
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const server of this.#servers) server.closeIdleConnections();
    await this.#untilIdle(drainMs);
    for (const server of this.#servers) server.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
    // What uploads brought before they were cut is still being put down.
    await this.#untilIdle(SETTLE_MS);
    this.#slow.stop();
  }

  async #untilIdle(limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (this.#active > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Takes in who has connected already, one in each turn of the event loop: closing would reset them. */
  async #acceptWaiting(): Promise<void> {
    const limit = performance.now() + ACCEPT_WAITING_MS;
    for (let before = -1; before !== this.#accepted && performance.now() < limit; ) {
      before = this.#accepted;
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    }
  }

  get draining(): boolean {
    return this.#draining;
  }

  #create(): Server {
    const { options } = { options: this.#options };
    const server = createServer({
      maxHeaderSize: options.maxHeaderBytes,
      headersTimeout: options.headerTimeoutMs,
      // Uploads take as long as they take; sockets on which nothing moves are closed by `timeout`.
      requestTimeout: 0,
      keepAliveTimeout: options.idleTimeoutMs,
      connectionsCheckingInterval: 2000,
      requireHostHeader: false,
      noDelay: true,
      highWaterMark: 256 * 1024,
    });
    server.timeout = options.bodyIdleTimeoutMs;
    server.maxConnections = options.maxConnections;
    server.maxHeadersCount = MAX_HEADERS * 2;
    server.on('connection', (socket) => {
      this.#accepted += 1;
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    const serve = (expects: boolean) => (request: IncomingMessage, response: ServerResponse) => {
      void this.#serve(request, response, expects);
    };
    server.on('request', serve(false));
    server.on('checkContinue', serve(true));
    server.on('checkExpectation', serve(false));
    server.on('timeout', (socket) => {
      // Storing a large upload may take longer than a client may pause.
      if (this.#connections.isAtWork(socket)) socket.setTimeout(options.bodyIdleTimeoutMs);
      else socket.destroy();
    });
    server.on('clientError', (error, socket) => this.#connections.refuse(error, socket as Socket));
    server.on('connect', (_request, socket) => this.#connections.refuseTunnel(socket as Socket));
    return server;
  }

  async #serve(request: IncomingMessage, response: ServerResponse, expects: boolean): Promise<void> {
    const startedAt = performance.now();
    this.#active += 1;
    this.#connections.add(request, response);
    this.#slow.add(request);
    const requestId = idOf(request);
    let exchange: Exchange | undefined;
    let call: Call | undefined;
    const steps: TraceStep[] = [];
    try {
      response.setHeader('X-Request-Id', requestId);
      response.setHeader('X-Content-Type-Options', 'nosniff');
      for (const name in this.#options.headers) response.setHeader(name, this.#options.headers[name] ?? '');
      if (this.#draining) response.setHeader('Connection', 'close');
      checkHead(request);
      exchange = new RequestExchange(request, response, {
        target: parseTarget(request.url ?? ''),
        requestId,
        expectsContinue: expects,
        baseUrl: this.#options.baseUrl,
        trustedProxies: this.#options.trustedProxies,
      });
      call = this.#begin(exchange);
      const taken = call;
      const reply = await traced(steps, () => taken.run());
      finishBody(request, response, expects);
      const isDownload = await send(exchange, reply);
      if (isDownload && 'asset' in reply) this.#count(reply.asset, exchange.note.principal ?? '');
    } catch (error) {
      if (exchange) exchange.note.error = error;
      await this.#fail(error, { request, response, requestId, expects, exchange, call, steps });
    } finally {
      this.#active -= 1;
      this.#options.accessLog.write({
        request,
        response,
        requestId,
        exchange,
        durationMs: performance.now() - startedAt,
      });
    }
  }

  /** What was sent as it came is a file by now. */
  #count(asset: Asset | Arriving, by: string): void {
    const { onDownload } = this.#options;
    if (!('arriving' in asset)) onDownload?.(asset, by, true);
    else {
      asset.settled().then(
        (file) => onDownload?.(file, by, false),
        // Nothing was kept of it, so there is nothing to count for.
        () => undefined,
      );
    }
  }

  #begin(exchange: Exchange): Call {
    for (const handler of this.#options.handlers) {
      const call = handler.begin(exchange);
      if (call) return call;
    }
    throw new AppError('not_found', 'There is nothing at this address.');
  }

  async #fail(error: unknown, context: Failing): Promise<void> {
    const { request, response, requestId, exchange, call } = context;
    if (response.headersSent) {
      // A complete answer would be a lie by now: only a cut connection tells the client.
      response.destroy();
      if (!(error instanceof AppError) && !isDisconnect(error)) this.#options.onBug(error, { requestId });
      return;
    }
    if (response.destroyed || request.socket.destroyed) return;
    try {
      const known = error instanceof AppError ? error : this.#bugOrDisconnect(error, requestId);
      const status = (known.detail['status'] as number | undefined) ?? STATUS[known.code];
      const retryAfter = known.detail['retryAfterSeconds'] ?? (status === 503 ? 5 : undefined);
      if (retryAfter !== undefined) response.setHeader('Retry-After', String(retryAfter));
      if (known.detail['closes'] === true) response.setHeader('Connection', 'close');
      finishBody(request, response, context.expects);
      const isBug = !(error instanceof AppError);
      const reply = isBug
        ? plainFailure(known, 500, requestId)
        : (call?.fail(known, status) ?? this.#refuse(request, known, status));
      await send(exchange ?? bareExchange(request, response), reply);
      if (!isBug) this.#tellRefused(known, 'status' in reply ? reply.status : status, context);
    } catch (second) {
      this.#options.onBug(second, { requestId });
      response.destroy();
    }
  }

  /** A caller who showed no credentials was only asked for some; that is how every conversation begins. */
  #tellRefused({ message }: AppError, status: number, { request, requestId, exchange, steps }: Failing): void {
    if (!exchange || status >= 500 || (status === 401 && request.headers.authorization === undefined)) return;
    const { principal = 'anonymous', repo } = exchange.note;
    this.#options.onRefused({
      requestId,
      at: Date.now(),
      principal,
      method: request.method ?? '',
      // A query can hold secrets.
      address: clip((request.url ?? '').split('?', 1)[0] ?? '', 500),
      repo,
      status,
      message: clip(message, 1000),
      steps,
    });
  }

  #refuse(request: IncomingMessage, error: AppError, status: number): Reply {
    const refusal = { error, status, method: request.method ?? '', rawTarget: request.url ?? '' };
    for (const handler of this.#options.handlers) {
      const reply = handler.refuse?.(refusal);
      if (reply) return reply;
    }
    return plainFailure(error, status);
  }

  #bugOrDisconnect(error: unknown, requestId: string): AppError {
    if (!isDisconnect(error)) this.#options.onBug(error, { requestId });
    return new AppError(
      'invalid',
      `The server failed to answer. Report the request id ${requestId} to an administrator.`,
    );
  }
}

function plainFailure(error: AppError, status: number, bugId?: string): Reply {
  return {
    status,
    json: { errors: [{ status, message: error.message }] },
    headers: {
      ...(error.detail['headers'] as Record<string, string> | undefined),
      ...(bugId !== undefined && { 'X-Request-Id': bugId }),
    },
  };
}

/** What `send` needs when the request was too broken to be read. */
function bareExchange(request: IncomingMessage, response: ServerResponse): Exchange {
  return { request, response, note: {} } as unknown as Exchange;
}

function idOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** The client went away: nobody is left to be told. */
function isDisconnect(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return (
    code === 'ECONNRESET' ||
    code === 'ECANCELED' ||
    code === 'EPIPE' ||
    code === 'ERR_STREAM_PREMATURE_CLOSE' ||
    code === 'ERR_STREAM_DESTROYED' ||
    code === 'ABORT_ERR' ||
    (error instanceof Error && error.name === 'AbortError')
  );
}
