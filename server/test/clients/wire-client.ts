import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, request } from 'node:http';
import { basicAuthorization } from './registry-api.ts';
import { requireTarget } from './target.ts';

export interface WireRequest {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent with its length. */
  readonly body?: Buffer;
  /** Sent one by one with chunked transfer encoding, the way a client streams what it is still compressing. */
  readonly chunks?: readonly Buffer[];
}

export interface WireResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Every WWW-Authenticate line by itself, in the order sent. */
  readonly challenges: readonly string[];
  readonly body: Buffer;
}

/** How a client turns a password into an Authorization header. */
export type TokenStyle = 'get' | 'post';

export interface WireClientOptions {
  readonly userAgent: string;
  readonly tokens: TokenStyle;
  readonly clientId: string;
  /** Scopes the client knows to need and asks for at once, whatever the challenge names. */
  readonly scopes?: readonly string[];
}

export interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Sends requests as one client does: its agent name, its way to tokens, and nothing a library would add or follow. */
export class WireClient {
  readonly #options: WireClientOptions;
  readonly #scopes: Set<string>;
  #authorization: string | undefined;

  constructor(options: WireClientOptions) {
    this.#options = options;
    this.#scopes = new Set(options.scopes);
  }

  /**
   * Sends a request; a 401 is answered with a token for all scopes demanded so far, as long as a challenge names one
   * more, or with the password where only Basic is offered.
   */
  async send(method: string, path: string, wire: WireRequest = {}): Promise<WireResponse> {
    let response = await this.sendOnce(method, path, wire);
    while (response.status === 401 && (await this.#authorize(response))) {
      response = await this.sendOnce(method, path, wire);
    }
    return response;
  }

  async sendOnce(method: string, path: string, wire: WireRequest = {}): Promise<WireResponse> {
    const authorization = this.#authorization === undefined ? {} : { authorization: this.#authorization };
    return await exchange(method, path, {
      ...wire,
      headers: { 'user-agent': this.#options.userAgent, ...authorization, ...wire.headers },
    });
  }

  /** Answers whether there is anything new to try. */
  async #authorize(response: WireResponse): Promise<boolean> {
    const { username, password } = requireTarget();
    const challenge = response.challenges.map(parseChallenge).find(({ scheme }) => scheme === 'bearer');
    const known = this.#scopes.size;
    for (const scope of challenge?.parameters['scope']?.split(' ') ?? []) this.#scopes.add(scope);
    if (this.#authorization !== undefined && this.#scopes.size === known) return false;
    if (challenge === undefined) {
      this.#authorization = basicAuthorization(username, password);
      return true;
    }
    const { tokens, clientId } = this.#options;
    const merged = { ...challenge, parameters: { ...challenge.parameters, scope: [...this.#scopes].join(' ') } };
    const reply = await requestToken({ challenge: merged, tokens, clientId, username, password });
    assert.equal(reply.status, 200, reply.body.toString());
    this.#authorization = `Bearer ${parseToken(reply)}`;
    return true;
  }
}

export interface TokenRequest {
  readonly challenge: Challenge;
  readonly tokens: TokenStyle;
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
}

/** Asks the realm of a challenge for a token: by GET as Docker's classic store does, or by an OAuth 2 form. */
export async function requestToken(wanted: TokenRequest): Promise<WireResponse> {
  const { challenge, tokens, clientId, username, password } = wanted;
  const { realm = '', service = '', scope = '' } = challenge.parameters;
  if (tokens === 'post') {
    const form = new URLSearchParams({
      grant_type: 'password',
      service,
      client_id: clientId,
      scope,
      username,
      password,
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };
    return await exchange('POST', realm, { headers, body: Buffer.from(form.toString()) });
  }
  const url = new URL(realm);
  url.searchParams.set('account', username);
  url.searchParams.set('client_id', clientId);
  url.searchParams.set('offline_token', 'true');
  url.searchParams.set('service', service);
  // Every scope is a parameter of its own; a server must honour all of them.
  for (const each of scope.split(' ').filter((part) => part !== '')) url.searchParams.append('scope', each);
  return await exchange('GET', url.href, { headers: { authorization: basicAuthorization(username, password) } });
}

export function parseToken(response: WireResponse): string {
  const { token, access_token: accessToken } = JSON.parse(response.body.toString()) as Record<string, string>;
  const found = token ?? accessToken;
  if (found === undefined) throw new Error(`The token response has no token: ${response.body}`);
  return found;
}

/** Parses one challenge the way most clients do: a scheme, then quoted parameters. */
export function parseChallenge(line: string): Challenge {
  const [, scheme = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
  const parameters = [...rest.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]);
  return { scheme: scheme.toLowerCase(), parameters: Object.fromEntries(parameters) as Record<string, string> };
}

/** Sends one request with exactly these headers, following nothing. */
export async function exchange(method: string, path: string, wire: WireRequest = {}): Promise<WireResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<WireResponse>();
  const length = wire.chunks === undefined && method !== 'GET' && method !== 'HEAD';
  const outgoing = request(new URL(path, requireTarget().url), {
    method,
    headers: { ...(length ? { 'content-length': String(wire.body?.length ?? 0) } : {}), ...wire.headers },
    signal: AbortSignal.timeout(30_000),
  });
  outgoing.once('error', reject);
  outgoing.once('response', (incoming) => {
    const parts: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => parts.push(chunk));
    incoming.once('error', reject);
    incoming.once('end', () =>
      resolve({
        status: incoming.statusCode ?? 0,
        headers: incoming.headers,
        challenges: incoming.headersDistinct['www-authenticate'] ?? [],
        body: Buffer.concat(parts),
      }),
    );
  });
  for (const chunk of wire.chunks ?? []) outgoing.write(chunk);
  outgoing.end(wire.body);
  return await promise;
}

/** Resolves an upload's Location and adds the digest that closes it. */
export function closingUrl(location: string | undefined, digest: string): string {
  const url = new URL(location ?? '', requireTarget().url);
  url.searchParams.set('digest', digest);
  return url.href;
}
