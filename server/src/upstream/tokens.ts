/** Tokens that upstreams want to see, got from where their challenges point (the distribution project's token protocol). */
import type { IncomingHttpHeaders } from 'node:http';
import { UpstreamFailure } from '../core/upstream.ts';
import { Lru } from '../lib/lru.ts';
import { singleflight } from '../lib/singleflight.ts';
import { parseRetryAfter } from './breaker.ts';
import type { Challenge } from './challenges.ts';
import { basicAuthorization, type Credentials } from './credentials.ts';
import { decodedField } from './redirects.ts';

/** Where a token comes from and what it is for. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  /** Several are separated by spaces. */
  readonly scope: string | undefined;
  /** Undefined asks as nobody. */
  readonly credentials: Credentials | undefined;
}

export interface Token {
  readonly value: string;
  /** Whether it was got for an earlier request. */
  readonly isCached: boolean;
}

/** What comes back from a realm: its body whole, within a limit. */
export interface RealmAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface TokensOptions {
  /** Asks a realm; the authorization is for its origin alone. */
  readonly ask: (question: {
    readonly method: 'GET' | 'POST';
    readonly url: URL;
    readonly authorization: string | undefined;
    readonly form: string | undefined;
  }) => Promise<RealmAnswer>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const MAX_TOKENS = 1000;
const DEFAULT_LIFE_MS = 60_000;
const DEFAULT_WAIT_MS = 60_000;
const MIN_LIFE_MS = 60_000;
const MAX_LIFE_MS = 24 * 3_600_000;
/** A token is given up so long before its end, or a tenth of its life before if that is more. */
const MARGIN_MS = 30_000;
const TOKEN_VALUE = /^[\x21-\x7e]{1,32768}$/;
/** The name under which a password is a refresh token, as clients of registries have it. */
const REFRESH_TOKEN_USER = '<token>';
const CLIENT_ID = 'entrepot';

interface Held {
  readonly value: string;
  readonly until: number;
}

export class Tokens {
  readonly #options: TokensOptions;
  readonly #held: Lru<string, Held>;
  readonly #flights = singleflight<string | undefined>();

  constructor(options: TokensOptions) {
    this.#options = options;
    this.#held = new Lru({ maxEntries: MAX_TOKENS });
  }

  /**
   * A token that is good for a while, asked for once however many want it. Undefined where the realm refuses; throws
   * an UpstreamFailure where it cannot be asked or its answer is none.
   */
  async get(request: TokenRequest): Promise<Token | undefined> {
    const key = keyOf(request);
    const held = this.#held.get(key);
    if (held && held.until > this.#options.now()) return { value: held.value, isCached: true };
    const value = await this.#flights(key, () => this.#fetch(key, request));
    return value === undefined ? undefined : { value, isCached: false };
  }

  /** Forgets a token that was not taken, unless another has come in its place. */
  drop(request: TokenRequest, value: string): void {
    const key = keyOf(request);
    if (this.#held.get(key)?.value === value) this.#held.delete(key);
  }

  async #fetch(key: string, request: TokenRequest): Promise<string | undefined> {
    const answer = await this.#ask(request);
    const { host } = request.realm;
    if (answer.status === 429) {
      throw new UpstreamFailure('rate-limited', `Host "${host}", which hands out tokens, has asked for time.`, {
        retryAfterMs: parseRetryAfter(answer.headers['retry-after'], this.#options.now()) ?? DEFAULT_WAIT_MS,
      });
    }
    if (answer.status >= 500) {
      throw new UpstreamFailure('broken', `Host "${host}" hands out no tokens at present (${answer.status}).`);
    }
    if (answer.status !== 200) return undefined;
    const now = this.#options.now();
    const { value, lifeMs } = parseToken(answer.body, host, now);
    this.#held.set(key, { value, until: now + lifeMs });
    return value;
  }

  async #ask(request: TokenRequest): Promise<RealmAnswer> {
    const { realm, credentials } = request;
    if (credentials?.username === REFRESH_TOKEN_USER) return await this.#post(request);
    const url = new URL(realm);
    for (const [name, value] of parametersOf(request)) url.searchParams.append(name, value);
    const authorization = credentials && basicAuthorization(credentials);
    const answer = await this.#options.ask({ method: 'GET', url, authorization, form: undefined });
    const wantsPost = answer.status === 404 || answer.status === 405;
    return wantsPost ? await this.#post(request) : answer;
  }

  #post(request: TokenRequest): Promise<RealmAnswer> {
    const { realm, credentials } = request;
    const form = new URLSearchParams([...parametersOf(request), ['client_id', CLIENT_ID]]);
    if (credentials?.username === REFRESH_TOKEN_USER) {
      form.set('grant_type', 'refresh_token');
      form.set('refresh_token', credentials.password);
    } else {
      form.set('grant_type', 'password');
      if (credentials) form.set('username', credentials.username);
      if (credentials) form.set('password', credentials.password);
    }
    return this.#options.ask({ method: 'POST', url: realm, authorization: undefined, form: form.toString() });
  }
}

/**
 * Where a challenge of a server points; throws if tokens must not be asked for there. A server asked over https must
 * not have credentials and tokens travel in the clear.
 */
export function realmOf(challenge: Challenge, challenger: URL): URL {
  const realm = URL.parse(decodedField(challenge.parameters['realm'] ?? ''));
  if (!realm || (realm.protocol !== 'https:' && realm.protocol !== challenger.protocol)) {
    const message = `Host "${challenger.host}" wants a token from an address that is not asked; it must be an https one.`;
    throw new UpstreamFailure('refused', message);
  }
  realm.username = '';
  realm.password = '';
  realm.hash = '';
  return realm;
}

function parametersOf({ service, scope }: TokenRequest): [string, string][] {
  const scopes = (scope ?? '').split(' ').filter((each) => each !== '');
  return [
    ...(service === undefined ? [] : ([['service', service]] as [string, string][])),
    ...scopes.map((each): [string, string] => ['scope', each]),
  ];
}

function keyOf({ realm, service, scope, credentials }: TokenRequest): string {
  const { username, password } = credentials ?? {};
  return JSON.stringify([realm.href, service, scope, username, password]);
}

function parseToken(body: Buffer, host: string, now: number): { value: string; lifeMs: number } {
  let document: unknown;
  try {
    document = JSON.parse(body.toString('utf8'));
  } catch {
    document = undefined;
  }
  const fields = typeof document === 'object' && document !== null ? (document as Record<string, unknown>) : {};
  const value = [fields['token'], fields['access_token']].find((each) => typeof each === 'string' && each !== '');
  if (typeof value !== 'string' || !TOKEN_VALUE.test(value)) {
    throw new UpstreamFailure('broken', `Host "${host}" was asked for a token and answered with something else.`);
  }
  return { value, lifeMs: lifeOf(fields['expires_in'], fields['issued_at'], now) };
}

function lifeOf(expiresIn: unknown, issuedAt: unknown, now: number): number {
  const seconds = typeof expiresIn === 'string' ? Number(expiresIn) : expiresIn;
  const isUsable = typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0;
  const wholeMs = isUsable ? seconds * 1000 : DEFAULT_LIFE_MS;
  const issued = typeof issuedAt === 'string' ? Date.parse(issuedAt) : Number.NaN;
  // Their clock may be wrong: a token is never younger than its arrival.
  const ageMs = Number.isNaN(issued) ? 0 : Math.max(0, now - issued);
  const lifeMs = wholeMs - ageMs - Math.max(MARGIN_MS, wholeMs / 10);
  return Math.min(MAX_LIFE_MS, Math.max(MIN_LIFE_MS, lifeMs));
}
