/** Connections to upstreams: to an address that was checked, through a proxy where there is one, with TLS on top. */
import { connect, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, getCACertificates, type TLSSocket } from 'node:tls';
import { UpstreamFailure } from '../core/upstream.ts';
import { type AddressGuard, type HostOrigin, withoutBrackets } from './addresses.ts';
import { type ClientCertificate, type ProxyEndpoint, revealed } from './endpoint.ts';
import { openTunnel } from './tunnel.ts';

export interface DialTarget {
  /** Checked; never a name. */
  readonly address: string;
  readonly port: number;
  readonly localAddress?: string;
}

/** Begins a connection to an address. */
export type Dialler = (target: DialTarget) => Socket;

export interface DiallingOptions {
  readonly guard: AddressGuard;
  readonly dial?: Dialler;
  /** For names, TCP, the proxy and TLS together. */
  readonly timeoutMs: number;
  readonly localAddress?: string | undefined;
  readonly proxy?: ProxyEndpoint | undefined;
  /** Shown to the own origin only. */
  readonly clientCertificate?: ClientCertificate | undefined;
  /** Scheme, host and port of the repository's URL. */
  readonly ownOrigin: string;
  readonly authorities?: readonly string[] | undefined;
  /** Whether an administrator chose the host. */
  readonly originOf: (hostname: string) => HostOrigin;
}

export interface Destination {
  readonly protocol: string;
  readonly hostname: string;
  readonly port: string;
}

/** An address that does not answer holds up the next one of the same host only so long. */
const ATTEMPT_MS = 2000;
const KEEP_ALIVE_MS = 60_000;

/** Opens a connection to the destination, through the proxy if there is one. */
export async function dialDestination(options: DiallingOptions, destination: Destination): Promise<Socket> {
  const deadline = new Deadline(destination.hostname, options.timeoutMs);
  try {
    const raw = options.proxy
      ? await dialThroughProxy(options, destination, options.proxy, deadline)
      : await dialHost(options, destination, options.originOf(destination.hostname), deadline);
    if (destination.protocol !== 'https:') return raw;
    return await secure(options, raw, destination, deadline);
  } finally {
    deadline.clear();
  }
}

/** Opens a connection to the proxy itself, for requests that name their destination in full. */
export async function dialProxy(options: DiallingOptions, proxy: ProxyEndpoint): Promise<Socket> {
  const deadline = new Deadline(proxy.host, options.timeoutMs);
  try {
    return await connectToProxy(options, proxy, deadline);
  } finally {
    deadline.clear();
  }
}

/** The URL of a proxy without its credentials. */
export function proxyUrl({ scheme, host, port }: ProxyEndpoint): URL {
  const name = isIP(host) === 6 ? `[${host}]` : host;
  const url = URL.parse(`${scheme ?? 'http'}://${name}:${port}/`);
  if (!url)
    throw new UpstreamFailure('refused', 'The host and port of the proxy make no address; correct its settings.');
  return url;
}

/** What the proxy wants to know of us; undefined where it wants nothing. */
export function proxyAuthorization({ username, password }: ProxyEndpoint): string | undefined {
  if (username === undefined || username === '') return undefined;
  return `Basic ${Buffer.from(`${username}:${revealed(password)}`).toString('base64')}`;
}

async function connectToProxy(options: DiallingOptions, proxy: ProxyEndpoint, deadline: Deadline): Promise<Socket> {
  const { protocol, hostname, port } = proxyUrl(proxy);
  const destination = { protocol, hostname, port: port || (protocol === 'https:' ? '443' : '80') };
  const raw = await dialHost(options, destination, 'chosen', deadline);
  return protocol === 'https:' ? await secure(options, raw, destination, deadline) : raw;
}

async function dialThroughProxy(
  options: DiallingOptions,
  destination: Destination,
  proxy: ProxyEndpoint,
  deadline: Deadline,
): Promise<Socket> {
  const socket = await connectToProxy(options, proxy, deadline);
  const { hostname } = destination;
  const authority = `${hostname.includes(':') ? `[${withoutBrackets(hostname)}]` : hostname}:${destination.port}`;
  await deadline.limit(
    socket,
    openTunnel(socket, { authority, authorization: proxyAuthorization(proxy), proxy: proxy.host }),
  );
  return socket;
}

async function dialHost(
  options: DiallingOptions,
  { hostname, port }: Destination,
  origin: HostOrigin,
  deadline: Deadline,
): Promise<Socket> {
  const addresses = await deadline.race(options.guard.addressesOf(hostname, origin));
  let failure: unknown;
  for (const [index, address] of addresses.entries()) {
    const isLast = index === addresses.length - 1;
    try {
      const target: DialTarget = {
        address,
        port: Number(port),
        ...(options.localAddress && { localAddress: options.localAddress }),
      };
      return await attempt(options.dial ?? dialAddress, target, hostname, isLast ? deadline.leftMs : ATTEMPT_MS);
    } catch (error) {
      failure = error;
      if (deadline.leftMs <= 0) break;
    }
  }
  throw failure;
}

function attempt(dial: Dialler, target: DialTarget, hostname: string, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = begin(dial, target);
    const fail = (failure: UpstreamFailure) => {
      clearTimeout(timer);
      socket.destroy();
      reject(failure);
    };
    const timer = setTimeout(() => fail(connectTimeout(hostname)), Math.max(1, timeoutMs));
    const onError = (cause: Error) => fail(unreachable(hostname, cause));
    socket.once('error', onError);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', onError);
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      resolve(socket);
    });
  });
}

function begin(dial: Dialler, target: DialTarget): Socket {
  try {
    return dial(target);
  } catch (cause) {
    const message = 'Connections cannot be made from the local address of the settings; correct it.';
    throw new UpstreamFailure('refused', message, { cause });
  }
}

function secure(
  options: DiallingOptions,
  socket: Socket,
  { hostname, port }: Destination,
  deadline: Deadline,
): Promise<TLSSocket> {
  const host = withoutBrackets(hostname);
  // A name with a dot at its end is the same name, but certificates are made without it.
  const name = host.replace(/\.$/, '');
  const origin = `https://${hostname}${port === '443' || port === '' ? '' : `:${port}`}`;
  const certificate = origin === options.ownOrigin ? options.clientCertificate : undefined;
  const opened = new Promise<TLSSocket>((resolve, reject) => {
    const secured = beginTls({
      socket,
      host: name,
      // A server is told names only (RFC 6066, section 3).
      ...(isIP(name) === 0 && { servername: name }),
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
      ...(options.authorities && { ca: [...getCACertificates('default'), ...options.authorities] }),
      ...(certificate && { key: revealed(certificate.key), cert: certificate.cert }),
    });
    const onError = (cause: NodeJS.ErrnoException) => {
      secured.destroy();
      reject(tlsFailure(hostname, cause));
    };
    secured.once('error', onError);
    secured.once('secureConnect', () => {
      secured.off('error', onError);
      resolve(secured);
    });
  });
  return deadline.limit(socket, opened);
}

function beginTls(options: ConnectionOptions): TLSSocket {
  try {
    return connectTls(options);
  } catch (cause) {
    const message = 'The client certificate of the repository cannot be used; correct it, or its key.';
    throw new UpstreamFailure('refused', message, { cause });
  }
}

/** One limit for all that it takes to open a connection. */
class Deadline {
  readonly #host: string;
  readonly #endsAt: number;
  readonly #over: Promise<never>;
  readonly #timer: NodeJS.Timeout;

  constructor(host: string, timeoutMs: number) {
    this.#host = host;
    this.#endsAt = performance.now() + timeoutMs;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.#over = promise;
    this.#timer = setTimeout(() => reject(connectTimeout(this.#host)), timeoutMs);
  }

  get leftMs(): number {
    return this.#endsAt - performance.now();
  }

  race<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#over]);
  }

  /** As race; what is late or fails leaves no socket behind. */
  async limit<T>(socket: Socket, work: Promise<T>): Promise<T> {
    try {
      return await this.race(work);
    } catch (error) {
      work.catch(() => {});
      socket.on('error', () => {});
      socket.destroy();
      throw error;
    }
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

function dialAddress({ address, port, localAddress }: DialTarget): Socket {
  return connect({ host: address, port, ...(localAddress !== undefined && { localAddress }) });
}

function connectTimeout(hostname: string): UpstreamFailure {
  return new UpstreamFailure('unreachable', `Host "${hostname}" did not accept a connection in time.`);
}

function unreachable(hostname: string, cause: NodeJS.ErrnoException): UpstreamFailure {
  const code = cause.code ?? 'unknown error';
  return new UpstreamFailure('unreachable', `Host "${hostname}" cannot be reached (${code}).`, { cause });
}

function tlsFailure(hostname: string, cause: NodeJS.ErrnoException): UpstreamFailure {
  const code = cause.code ?? 'TLS';
  const hint = /CERT|ISSUER|SIGNATURE/.test(code)
    ? 'check its certificate and the authorities trusted here'
    : 'check its TLS settings';
  return new UpstreamFailure('unreachable', `No safe connection to host "${hostname}" (${code}): ${hint}.`, { cause });
}
