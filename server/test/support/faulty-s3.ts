/** A proxy in front of a real S3 server that fails as a test tells it to. Requests pass through it byte for byte. */
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export const S3_OPERATIONS = [
  'PutObject',
  'GetObject',
  'HeadObject',
  'HeadBucket',
  'DeleteObject',
  'ListObjects',
  'CreateMultipartUpload',
  'UploadPart',
  'UploadPartCopy',
  'CompleteMultipartUpload',
  'AbortMultipartUpload',
  'ListParts',
  'ListMultipartUploads',
] as const;
export type S3Operation = (typeof S3_OPERATIONS)[number];

export type FaultAction =
  /** Answers with an error instead of asking the store; 503 means SlowDown, 507 a full store. */
  | { readonly kind: 'status'; readonly status: 403 | 404 | 500 | 503 | 507; readonly code?: string }
  /** Cuts the connection before the store has seen the request. */
  | { readonly kind: 'reset' }
  /** Lets the store do it, then cuts the connection instead of answering. */
  | { readonly kind: 'lose-reply' }
  | { readonly kind: 'delay'; readonly ms: number }
  /** Never answers and never asks the store. */
  | { readonly kind: 'silence' }
  /** Sends the head and so many bytes of the answer's body, then cuts the connection. */
  | { readonly kind: 'truncate'; readonly afterBytes: number }
  /** Sends the head and so many bytes of the answer's body, then nothing more. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** Answers 200 with an error for a body, as S3 may for requests that take it long; the store is not asked. */
  | { readonly kind: 'error-in-200' }
  /** Acknowledges at once and lets the store do it only when `releaseHeld` is called. */
  | { readonly kind: 'hold' };

export interface Fault {
  readonly operation: S3Operation | readonly S3Operation[] | 'any';
  readonly key?: RegExp;
  /** Only the n-th request that matches, counted from 1. */
  readonly nth?: number;
  /** This share of the requests that match, by a fixed sequence; all if left out. */
  readonly share?: number;
  readonly action: FaultAction;
}

export interface InjectedFault {
  /** How often it struck. */
  readonly hits: number;
  remove(): void;
}

export interface FaultyS3 {
  readonly endpoint: string;
  inject(fault: Fault): InjectedFault;
  /** Removes all faults. */
  heal(): void;
  /** Every request so far, in the order of arrival. */
  readonly requests: readonly { readonly operation: S3Operation; readonly key: string }[];
  /** Lets the store do what was held back and returns how many requests that were. */
  releaseHeld(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts the proxy on loopback. Signatures stay valid, since the name of the host is passed on as it came. */
export async function startFaultyS3(upstream: { readonly endpoint: string }): Promise<FaultyS3> {
  const proxy = new FaultyProxy(new URL(upstream.endpoint));
  await proxy.start();
  return proxy;
}

class Rule implements InjectedFault {
  readonly fault: Fault;
  readonly #remove: (rule: Rule) => void;
  #seen = 0;
  hits = 0;

  constructor(fault: Fault, remove: (rule: Rule) => void) {
    this.fault = fault;
    this.#remove = remove;
  }

  remove(): void {
    this.#remove(this);
  }

  strikes(operation: S3Operation, key: string): boolean {
    const { fault } = this;
    if (fault.operation !== 'any' && ![fault.operation].flat().includes(operation)) return false;
    if (fault.key && !fault.key.test(key)) return false;
    this.#seen += 1;
    if (fault.nth !== undefined && this.#seen !== fault.nth) return false;
    if (fault.share !== undefined) {
      // The golden ratio spreads the struck requests evenly, the same way in every run.
      const place = (this.#seen * 0.618_033_988_749_895) % 1;
      if (place >= fault.share) return false;
    }
    this.hits += 1;
    return true;
  }
}

class FaultyProxy implements FaultyS3 {
  readonly #upstream: URL;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #server = createServer((incoming, reply) => {
    this.#serve(incoming, reply).catch(() => incoming.socket.destroy());
  });
  readonly #rules = new Set<Rule>();
  #held: (() => Promise<unknown>)[] = [];
  readonly requests: { operation: S3Operation; key: string }[] = [];

  constructor(upstream: URL) {
    this.#upstream = upstream;
  }

  async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(0, '127.0.0.1', resolve);
    await promise;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  inject(fault: Fault): InjectedFault {
    const rule = new Rule(fault, (gone) => this.#rules.delete(gone));
    this.#rules.add(rule);
    return rule;
  }

  heal(): void {
    this.#rules.clear();
  }

  async releaseHeld(): Promise<number> {
    const held = this.#held;
    this.#held = [];
    for (const run of held) await run();
    return held.length;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await closed;
  }

  async #serve(incoming: IncomingMessage, reply: ServerResponse): Promise<void> {
    const { operation, key } = describe(incoming);
    this.requests.push({ operation, key });
    const action = [...this.#rules].find((rule) => rule.strikes(operation, key))?.fault.action;
    switch (action?.kind) {
      case undefined:
        return this.#pass(incoming, reply);
      case 'delay':
        await delay(action.ms);
        return this.#pass(incoming, reply);
      case 'status':
        await drain(incoming);
        return answer(reply, action.status, errorBody(action.code ?? CODES[action.status]));
      case 'error-in-200':
        await drain(incoming);
        return answer(reply, 200, errorBody('InternalError'));
      case 'silence':
        return drain(incoming);
      case 'reset':
        incoming.socket.destroy();
        return;
      case 'lose-reply': {
        const upstream = await this.#ask(incoming);
        await drain(upstream);
        incoming.socket.destroy();
        return;
      }
      case 'hold': {
        await drain(incoming);
        const { method, url, rawHeaders } = incoming;
        this.#held.push(async () => drain(await this.#send({ method, url, rawHeaders })));
        return answer(reply, 204, '');
      }
      case 'truncate':
      case 'stall':
        return this.#pass(incoming, reply, action);
      default:
        throw new Error(`no such fault: ${JSON.stringify(action satisfies never)}`);
    }
  }

  async #pass(
    incoming: IncomingMessage,
    reply: ServerResponse,
    cut?: { readonly kind: 'truncate' | 'stall'; readonly afterBytes: number },
  ): Promise<void> {
    const upstream = await this.#ask(incoming);
    reply.on('close', () => upstream.destroy());
    reply.writeHead(upstream.statusCode ?? 502, upstream.rawHeaders);
    reply.flushHeaders();
    let left = cut?.afterBytes ?? Number.POSITIVE_INFINITY;
    for await (const chunk of upstream as AsyncIterable<Buffer>) {
      const part = chunk.subarray(0, Math.min(left, chunk.length));
      left -= part.length;
      if (!reply.write(part)) await drained(reply);
      if (left > 0) continue;
      if (cut?.kind === 'stall') return;
      // What was written must leave before the connection is cut, or the client sees less than was promised.
      await delay(20);
      incoming.socket.destroy();
      return;
    }
    reply.end();
  }

  async #ask(incoming: IncomingMessage): Promise<IncomingMessage> {
    const { method, url, rawHeaders } = incoming;
    return this.#send({ method, url, rawHeaders }, incoming);
  }

  async #send(
    head: { method: string | undefined; url: string | undefined; rawHeaders: string[] },
    body?: IncomingMessage,
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const outgoing = request(
      {
        agent: this.#agent,
        host: this.#upstream.hostname,
        port: this.#upstream.port,
        method: head.method,
        path: head.url,
        headers: head.rawHeaders,
        setHost: false,
      },
      resolve,
    );
    outgoing.once('error', reject);
    // The failure may come while the body is still being passed on and nobody waits for the answer yet.
    promise.catch(() => undefined);
    if (body) {
      body.once('error', (error) => outgoing.destroy(error));
      for await (const chunk of body) outgoing.write(chunk);
    }
    outgoing.end();
    const answered = await promise;
    answered.on('error', () => undefined);
    return answered;
  }
}

const CODES = {
  403: 'AccessDenied',
  404: 'NoSuchBucket',
  500: 'InternalError',
  503: 'SlowDown',
  507: 'InsufficientStorage',
} as const;

function describe(incoming: IncomingMessage): { operation: S3Operation; key: string } {
  const url = new URL(incoming.url ?? '/', 'http://proxy');
  const [, , ...rest] = url.pathname.split('/');
  return { operation: operationOf(incoming, url.searchParams, rest.join('/') !== ''), key: rest.join('/') };
}

function operationOf({ method, headers }: IncomingMessage, query: URLSearchParams, hasKey: boolean): S3Operation {
  const isOfUpload = query.has('uploadId');
  switch (method) {
    case 'PUT':
      if (!isOfUpload) return 'PutObject';
      return headers['x-amz-copy-source'] === undefined ? 'UploadPart' : 'UploadPartCopy';
    case 'POST':
      return isOfUpload ? 'CompleteMultipartUpload' : 'CreateMultipartUpload';
    case 'DELETE':
      return isOfUpload ? 'AbortMultipartUpload' : 'DeleteObject';
    case 'HEAD':
      return hasKey ? 'HeadObject' : 'HeadBucket';
    default:
      if (isOfUpload) return 'ListParts';
      if (query.has('uploads')) return 'ListMultipartUploads';
      return hasKey ? 'GetObject' : 'ListObjects';
  }
}

function errorBody(code: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>told to fail</Message></Error>`;
}

function answer(reply: ServerResponse, status: number, body: string): void {
  reply.writeHead(status, { 'Content-Type': 'application/xml', 'Content-Length': Buffer.byteLength(body) });
  reply.end(body);
}

async function drain(message: IncomingMessage): Promise<void> {
  for await (const _ of message);
}

/** Resolves when more can be written, or nobody reads any more. */
function drained(reply: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      reply.removeListener('drain', done).removeListener('close', done);
      resolve();
    };
    reply.on('drain', done).on('close', done);
  });
}
