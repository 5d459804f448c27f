/** The upstream of one repository: what is asked is authenticated, followed and limited as the repository's settings say. */
import { isIPv6 } from 'node:net';
import { Readable } from 'node:stream';
import type { Upstream, UpstreamAnswer, UpstreamBudget, UpstreamPause, UpstreamRequest } from '../core/upstream.ts';
import { UpstreamFailure } from '../core/upstream.ts';
import { PRODUCT } from '../lib/product.ts';
import { type AddressGuard, type HostOrigin, isSameHost } from './addresses.ts';
import { askedUrl, parseBaseUrl } from './asked-url.ts';
import { Authentication } from './authentication.ts';
import { parseBudget } from './budget.ts';
import { CookieJar } from './cookies.ts';
import { credentialsOf } from './credentials.ts';
import type { Dialler } from './dialling.ts';
import { type RemoteEndpoint, revealed } from './endpoint.ts';
import { Places } from './places.ts';
import { askRealm } from './realm.ts';
import { checkScheme, type Hop, nextHop, travellingHeaders } from './redirects.ts';
import { discard, Sender, type UpstreamObserver } from './sender.ts';
import { Tokens } from './tokens.ts';
import { type ExchangeAnswer, Transport } from './transport.ts';

export interface RemoteUpstreamDeps {
  readonly guard: AddressGuard;
  readonly dial?: Dialler | undefined;
  /** Certificates, in PEM, of authorities that are trusted besides those of the system. */
  readonly authorities?: readonly string[] | undefined;
  readonly observe?: UpstreamObserver | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Least time that a body may stand still. */
  readonly bodyIdleTimeoutMs: number;
}

const MAX_REDIRECTS = 10;
const SIGNATURE_REFUSALS: ReadonlySet<number> = new Set([400, 403, 405]);
const MAX_CONNECT_MS = 5000;
const DEFAULT_SOCKET_MS = 15_000;
/** What a setting of 0, no limit, comes to: every wait has one. */
const LONGEST_SOCKET_MS = 300_000;
const DEFAULT_OFFLINE_SECONDS = 300;
const DEFAULT_CONCURRENT = 32;
const WAITING_PER_PLACE = 32;
const MAX_WAIT_MS = 60_000;

/** Fields that are of the connection, or that only this module sets. */
const OURS: ReadonlySet<string> = new Set(
  'connection content-length cookie expect host keep-alive proxy-authorization proxy-connection te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
);

export class RemoteUpstream implements Upstream {
  readonly #endpoint: RemoteEndpoint;
  readonly #base: URL;
  readonly #transport: Transport;
  readonly #sender: Sender;
  readonly #places: Places;
  readonly #authentication: Authentication;
  readonly #cookies: CookieJar | undefined;
  readonly #customHeaders: Readonly<Record<string, string>>;
  readonly #now: () => number;
  #budget: UpstreamBudget | undefined;
  #isRetired = false;

  /** Throws an UpstreamFailure where the settings name no address that can be asked. */
  constructor(endpoint: RemoteEndpoint, deps: RemoteUpstreamDeps) {
    this.#endpoint = endpoint;
    this.#base = parseBaseUrl(endpoint.url);
    this.#now = deps.now;
    this.#transport = new Transport(transportOptions(endpoint, this.#base, deps));
    const offlineMs = (endpoint.assumedOfflinePeriodSecs ?? DEFAULT_OFFLINE_SECONDS) * 1000;
    const { key } = endpoint;
    const { now, observe } = deps;
    this.#sender = new Sender({ key, transport: this.#transport, offlineMs, observe, now });
    const places = Math.max(1, endpoint.maxConcurrent ?? DEFAULT_CONCURRENT);
    this.#places = new Places({
      host: this.#base.host,
      places,
      maxWaiting: places * WAITING_PER_PLACE,
      maxWaitMs: MAX_WAIT_MS,
    });
    this.#authentication = new Authentication({
      base: this.#base,
      credentials: credentialsOf(endpoint),
      allowAnyHostAuth: endpoint.allowAnyHostAuth ?? false,
      waitsForChallenge: endpoint.enableTokenAuthentication ?? false,
      tokens: new Tokens({ ask: (question) => askRealm(this.#sender, question), now }),
    });
    this.#cookies = endpoint.enableCookieManagement ? new CookieJar(now) : undefined;
    this.#customHeaders = wireHeaders(
      (endpoint.customHttpHeaders ?? []).map(({ name, value }) => [name, revealed(value)]),
    );
  }

  get pause(): UpstreamPause | undefined {
    return this.#sender.pauseOf(this.#base);
  }

  get budget(): UpstreamBudget | undefined {
    return this.#budget;
  }

  async request(request: UpstreamRequest): Promise<UpstreamAnswer> {
    request.signal?.throwIfAborted();
    const url = askedUrl(this.#base, request, this.#endpoint);
    if (request.link) checkScheme(this.#base, url);
    this.#sender.checkPause(url);
    const leave = await this.#places.enter(request.signal);
    try {
      const { answer, url: finalUrl } = await unlessAborted(this.#follow(request, url), request.signal);
      const { status, headers, body } = answer;
      void answer.over.finally(() => this.#left(leave));
      return { status, headers, url: finalUrl, body };
    } catch (error) {
      this.#left(leave);
      throw error;
    }
  }

  /** Lets what is under way finish, and asks no more. */
  async retire(): Promise<void> {
    this.#isRetired = true;
    if (this.#places.taken === 0) await this.#transport.close();
  }

  /** Ends what is under way. */
  async destroy(): Promise<void> {
    await this.#transport.destroy();
  }

  #left(leave: () => void): void {
    leave();
    if (this.#isRetired && this.#places.taken === 0) this.#transport.close().catch(() => {});
  }

  async #follow(request: UpstreamRequest, url: URL): Promise<{ answer: ExchangeAnswer; url: URL }> {
    const { method, body, scope } = request;
    let hop: Hop = { method, url, body };
    let carried: string | undefined;
    for (let redirects = 0; ; redirects += 1) {
      const current = hop;
      const target = { url: current.url, scope, carried };
      const { answer, authorization } = await this.#authentication.exchange(target, (proof) =>
        this.#send(current, request, proof),
      );
      const next = followable(current, answer, redirects);
      if (!next && this.#isSignedForGet(current, answer)) {
        answer.body.destroy();
        return { answer: await this.#headByGet(current, request), url: current.url };
      }
      if (!next) return { answer, url: current.url };
      discard(answer);
      hop = next;
      carried = authorization;
    }
  }

  /** Stores sign addresses for one method, and registries redirect to those for GET whatever they are asked. */
  #isSignedForGet({ method, url }: Hop, { status }: ExchangeAnswer): boolean {
    return method === 'HEAD' && url.origin !== this.#base.origin && url.search !== '' && SIGNATURE_REFUSALS.has(status);
  }

  async #headByGet(hop: Hop, request: UpstreamRequest): Promise<ExchangeAnswer> {
    const answer = await this.#send({ ...hop, method: 'GET' }, request, undefined);
    answer.body.destroy();
    return { ...answer, body: Readable.from([]) };
  }

  async #send(hop: Hop, request: UpstreamRequest, authorization: string | undefined): Promise<ExchangeAnswer> {
    const isOwn = hop.url.origin === this.#base.origin;
    const asked = wireHeaders(Object.entries(request.headers ?? {}));
    const cookie = isOwn ? this.#cookies?.fieldFor(hop.url) : undefined;
    const headers = {
      'user-agent': `${PRODUCT.name}/${PRODUCT.version}`,
      'accept-encoding': 'identity',
      ...(isOwn ? { ...asked, ...this.#customHeaders } : travellingHeaders(asked)),
      ...(cookie !== undefined && { cookie }),
      ...(authorization !== undefined && { authorization }),
    };
    const answer = await this.#sender.send({ ...hop, headers, signal: request.signal });
    if (isOwn) {
      this.#cookies?.store(answer.headers['set-cookie'] ?? [], hop.url);
      this.#budget = parseBudget(answer.headers, this.#now()) ?? this.#budget;
    }
    return answer;
  }
}

function followable(hop: Hop, answer: ExchangeAnswer, redirects: number): Hop | undefined {
  try {
    const next = nextHop(hop, answer.status, answer.headers);
    if (!next || redirects < MAX_REDIRECTS) return next;
    throw new UpstreamFailure('refused', `Host "${hop.url.host}" redirects more than ${MAX_REDIRECTS} times.`);
  } catch (error) {
    answer.body.destroy();
    throw error;
  }
}

/** Waits no longer than the signal lets: a token that others wait for too is got all the same. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await work;
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Lower-case names, without the fields that are not for others to set. */
function wireHeaders(entries: readonly (readonly [string, string])[]): Record<string, string> {
  const lower = entries.map(([name, value]): [string, string] => [name.trim().toLowerCase(), value]);
  return Object.fromEntries(lower.filter(([name]) => name !== '' && !OURS.has(name)));
}

function transportOptions(endpoint: RemoteEndpoint, base: URL, deps: RemoteUpstreamDeps) {
  const set = endpoint.socketTimeoutMillis ?? DEFAULT_SOCKET_MS;
  const socketMs = set > 0 ? set : LONGEST_SOCKET_MS;
  return {
    guard: deps.guard,
    ...(deps.dial && { dial: deps.dial }),
    timeoutMs: Math.min(MAX_CONNECT_MS, socketMs),
    headersTimeoutMs: socketMs,
    bodyIdleTimeoutMs: Math.max(deps.bodyIdleTimeoutMs, socketMs),
    localAddress: endpoint.localAddress === '' ? undefined : endpoint.localAddress,
    proxy: endpoint.proxy,
    clientCertificate: endpoint.clientCertificate,
    ownOrigin: base.origin,
    authorities: deps.authorities,
    originOf: (hostname: string): HostOrigin => (isSameHost(bracketed(hostname), base.hostname) ? 'chosen' : 'led-to'),
  };
}

/** A host as URLs have it. */
function bracketed(hostname: string): string {
  return isIPv6(hostname) ? `[${hostname}]` : hostname;
}
