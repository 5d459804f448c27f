/** What a request says of itself, and of the way it took here. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BlockList, isIP } from 'node:net';
import { AppError } from '../core/errors.ts';
import type { Target } from '../core/target.ts';
import type { Exchange } from './exchange.ts';

const HOST = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;

export interface Circumstances {
  readonly target: Target;
  readonly requestId: string;
  readonly expectsContinue: boolean;
  readonly baseUrl: string | undefined;
  readonly trustedProxies: BlockList;
}

export class RequestExchange implements Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: Target;
  readonly requestId: string;
  readonly peer: string;
  readonly origin: string;
  readonly localPort: number;
  readonly host: string;
  readonly note: Exchange['note'] = {};
  #expectsContinue: boolean;
  #abort: AbortController | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, circumstances: Circumstances) {
    this.request = request;
    this.response = response;
    this.target = circumstances.target;
    this.requestId = circumstances.requestId;
    this.#expectsContinue = circumstances.expectsContinue;
    const { socket } = request;
    const direct = plainAddress(socket.remoteAddress ?? '');
    const trusted = isTrusted(circumstances.trustedProxies, direct);
    const host = hostOf(request, circumstances.target);
    this.peer = trusted ? forwardedPeer(request, circumstances.trustedProxies, direct) : direct;
    this.origin = circumstances.baseUrl ?? (trusted ? forwardedOrigin(request, host) : undefined) ?? `http://${host}`;
    this.localPort = socket.localPort ?? 0;
    this.host = host.replace(/:\d+$/, '').toLowerCase();
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      const abort = new AbortController();
      this.#abort = abort;
      this.response.once('close', () => {
        if (!this.response.writableFinished) abort.abort();
      });
    }
    return this.#abort.signal;
  }

  body(options?: { readonly encoded: boolean }): IncomingMessage {
    const coding = this.request.headers['content-encoding'];
    if (!options?.encoded && coding !== undefined && coding.toLowerCase() !== 'identity') {
      throw new AppError('invalid', 'Bodies are taken as they are: send them without a Content-Encoding.', {
        status: 415,
      });
    }
    if (this.#expectsContinue) {
      this.#expectsContinue = false;
      this.response.writeContinue();
    }
    return this.request;
  }
}

function hostOf(request: IncomingMessage, target: Target): string {
  const host = request.headers.host ?? '';
  if (host !== '' && !HOST.test(host)) throw new AppError('invalid', 'The Host header is not a host name.');
  if (target.authority !== undefined && target.authority !== host) {
    throw new AppError('invalid', 'The address names another host than the Host header.');
  }
  return host === '' ? 'localhost' : host;
}

/** IPv4 addresses arrive mapped into IPv6 on a socket that listens for both. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
}

function isTrusted(proxies: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && proxies.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/** The last hop that is not one of our own proxies: everything before it may be invented. */
function forwardedPeer(request: IncomingMessage, proxies: BlockList, direct: string): string {
  const chain =
    header(request, 'x-forwarded-for')
      ?.split(',')
      .map((part) => plainAddress(part.trim())) ?? [];
  for (const address of chain.reverse()) {
    if (isIP(address) === 0) return direct;
    if (!isTrusted(proxies, address)) return address;
  }
  return chain.at(-1) ?? direct;
}

function forwardedOrigin(request: IncomingMessage, host: string): string | undefined {
  const override = header(request, 'x-jfrog-override-base-url') ?? header(request, 'x-artifactory-override-base-url');
  if (override !== undefined && URL.canParse(override)) {
    const url = new URL(override);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url.origin;
  }
  const proto = header(request, 'x-forwarded-proto')?.split(',')[0]?.trim();
  const forwardedHost = header(request, 'x-forwarded-host')?.split(',')[0]?.trim() ?? host;
  const port = header(request, 'x-forwarded-port')?.split(',')[0]?.trim();
  if (!HOST.test(forwardedHost)) return undefined;
  const scheme = proto === 'https' ? 'https' : 'http';
  const standard = scheme === 'https' ? '443' : '80';
  const withPort = port === undefined || port === standard || !/^\d{1,5}$/.test(port) || /:\d+$/.test(forwardedHost);
  return `${scheme}://${forwardedHost}${withPort ? '' : `:${port}`}`;
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
