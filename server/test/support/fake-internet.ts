/**
 * Hosts with names and public addresses of their own, all of them servers on loopback: for tests of what is asked of
 * the world outside. What is looked up and dialled is noted; nothing else is reached.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type ServerOptions } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Server as NetServer, Socket } from 'node:net';
import type { Resolver } from '../../src/upstream/addresses.ts';
import type { Dialler } from '../../src/upstream/dialling.ts';

export interface SeenRequest {
  readonly method: string;
  /** As it was on the wire. */
  readonly target: string;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  body: string;
}

export interface FakeHost {
  readonly url: string;
  readonly requests: readonly SeenRequest[];
}

export type Answer = (request: SeenRequest, response: ServerResponse) => void;

export class FakeInternet {
  readonly dialled: string[] = [];
  readonly lookedUp: string[] = [];
  readonly #addresses = new Map<string, readonly string[]>();
  readonly #ports = new Map<string, number>();
  readonly #servers: (Server | NetServer)[] = [];
  readonly #sockets = new Set<Socket>();

  readonly resolve: Resolver = async (host) => {
    this.lookedUp.push(host);
    const addresses = this.#addresses.get(host.replace(/\.$/, ''));
    if (!addresses) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' });
    return addresses;
  };

  readonly dial: Dialler = ({ address, port }) => {
    this.dialled.push(`${address}:${port}`);
    const real = this.#ports.get(`${address}:${port}`);
    if (real !== undefined) return connect({ host: '127.0.0.1', port: real });
    const socket = new Socket();
    process.nextTick(() => socket.destroy(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })));
    return socket;
  };

  /** A host that answers as told. */
  async serve(host: string, answer: Answer, options: { port?: number; tls?: ServerOptions } = {}): Promise<FakeHost> {
    const requests: SeenRequest[] = [];
    const listener: RequestListener = (request, response) => {
      const seen: SeenRequest = {
        method: request.method ?? '',
        target: request.url ?? '',
        headers: request.headers,
        rawHeaders: request.rawHeaders,
        body: '',
      };
      requests.push(seen);
      request.on('data', (chunk: Buffer) => {
        seen.body += chunk.toString('latin1');
      });
      request.on('end', () => answer(seen, response));
    };
    const server = options.tls ? createHttpsServer(options.tls, listener) : createHttpServer(listener);
    const scheme = options.tls ? 'https' : 'http';
    const standard = options.tls ? 443 : 80;
    const port = options.port ?? standard;
    await this.#listen(server, host, port);
    return { url: `${scheme}://${host}${port === standard ? '' : `:${port}`}`, requests };
  }

  /** A host that does with each connection what it is told. */
  async serveRaw(host: string, onConnection: (socket: Socket) => void, port = 80): Promise<FakeHost> {
    await this.#listen(createTcpServer(onConnection), host, port);
    return { url: `http://${host}${port === 80 ? '' : `:${port}`}`, requests: [] };
  }

  /** What a name resolves to. */
  name(host: string, ...addresses: readonly string[]): void {
    this.#addresses.set(host, addresses);
  }

  /** How many connections are open. */
  get openConnections(): number {
    return this.#sockets.size;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  async #listen(server: Server | NetServer, host: string, port: number): Promise<void> {
    this.#servers.push(server);
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const known = this.#addresses.get(host);
    const address =
      known?.[0] ?? `93.184.${Math.floor(this.#addresses.size / 250)}.${(this.#addresses.size % 250) + 1}`;
    if (!known) this.#addresses.set(host, [address]);
    this.#ports.set(`${address}:${port}`, (server.address() as AddressInfo).port);
  }
}
