/** A server outside, at the level of TCP: it answers what a test scripts, byte by byte, and remembers what was asked. */
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface AskedRequest {
  readonly method: string;
  /** As it was sent. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a script may do with the connection of a request. */
export interface Answering extends AskedRequest {
  readonly socket: Socket;
  /** How often this target was asked by this method, this time included. */
  readonly count: number;
  /** Sends a whole answer with its length; a HEAD gets the headers of it. */
  send(status: number, body?: string | Buffer, headers?: Readonly<Record<string, string | number>>): void;
  /** Sends a status line and headers, and nothing else. */
  head(status: number, headers: Readonly<Record<string, string | number>>): void;
  write(bytes: string | Buffer): void;
  /** Ends the connection without a word. */
  reset(): void;
}

export type Script = (answering: Answering) => void | Promise<void>;

export class HostileUpstream {
  readonly url: string;
  readonly asked: AskedRequest[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #scripts = new Map<string, Script>();
  readonly #counts = new Map<string, number>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<HostileUpstream> {
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the upstream has no port');
    const upstream = new HostileUpstream(server, address.port);
    server.on('connection', (socket) => upstream.#serve(socket));
    return upstream;
  }

  /** What is answered for a path, in the place of what was answered before; without one everything is missing. */
  on(path: string, script: Script): void {
    this.#scripts.set(path, script);
  }

  /** Answers with these bytes, as a well-behaved server would, with conditions and parts. */
  serve(path: string, body: Buffer | string, headers: Readonly<Record<string, string>> = {}): void {
    this.on(path, (answering) => answerWell(answering, Buffer.from(body), headers));
  }

  /** How often a path was asked for. */
  count(path: string, method = 'GET'): number {
    return this.asked.filter((each) => each.target.split('?', 1)[0] === path && each.method === method).length;
  }

  /** Ends all connections and takes no more. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    let received = '';
    let turn = Promise.resolve();
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      for (let end = received.indexOf('\r\n\r\n'); end >= 0; end = received.indexOf('\r\n\r\n')) {
        const request = parse(received.slice(0, end));
        received = received.slice(end + 4);
        turn = turn.then(() => this.#answer(request, socket));
      }
    });
  }

  async #answer(request: AskedRequest, socket: Socket): Promise<void> {
    this.asked.push(request);
    const path = request.target.split('?', 1)[0] ?? '';
    const name = `${request.method} ${path}`;
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    const head = (status: number, headers: Readonly<Record<string, string | number>>) => {
      const lines = Object.entries(headers).map(([key, value]) => `${key}: ${value}\r\n`);
      socket.write(`HTTP/1.1 ${status} Scripted\r\n${lines.join('')}\r\n`);
    };
    const script = this.#scripts.get(path) ?? (({ send }) => send(404, 'no such thing'));
    await script({
      ...request,
      socket,
      count,
      head,
      write: (bytes) => void socket.write(bytes),
      reset: () => void socket.resetAndDestroy(),
      send(status, body = '', headers = {}) {
        const bytes = Buffer.from(body);
        head(status, { 'Content-Length': bytes.length, ...headers });
        if (request.method !== 'HEAD') socket.write(bytes);
      },
    });
  }
}

function parse(text: string): AskedRequest {
  const [line = '', ...fields] = text.split('\r\n');
  const [method = '', target = ''] = line.split(' ');
  const headers = Object.fromEntries(
    fields.map((field) => {
      const colon = field.indexOf(':');
      return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
    }),
  );
  return { method, target, headers };
}

function answerWell(answering: Answering, body: Buffer, extra: Readonly<Record<string, string>>): void {
  const { headers, send } = answering;
  const etag = extra['ETag'];
  if (etag !== undefined && headers['if-none-match'] === etag) {
    answering.head(304, { ETag: etag });
    return;
  }
  const [, start, end] = /^bytes=(\d+)-(\d*)$/.exec(headers['range'] ?? '') ?? [];
  const isWanted = headers['if-range'] === undefined || headers['if-range'] === etag;
  if (start === undefined || !isWanted) {
    send(200, body, extra);
    return;
  }
  const last = end === '' || end === undefined ? body.length - 1 : Number(end);
  const part = body.subarray(Number(start), last + 1);
  send(206, part, { ...extra, 'Content-Range': `bytes ${start}-${last}/${body.length}` });
}

/** Waits; for scripts that are slow. */
export function pause(ms: number): Promise<void> {
  return delay(ms);
}
