/** Who we are to an upstream: credentials as they are, or a token for them, as its challenges ask for. */
import { traceStep } from '../lib/trace.ts';
import { type Challenge, parseChallenges } from './challenges.ts';
import { basicAuthorization, type Credentials, isSameDomain } from './credentials.ts';
import { discard } from './sender.ts';
import { realmOf, type TokenRequest, type Tokens } from './tokens.ts';
import type { ExchangeAnswer } from './transport.ts';

export interface AuthenticationOptions {
  /** The repository's URL: its origin alone gets the credentials. */
  readonly base: URL;
  readonly credentials: Credentials | undefined;
  readonly allowAnyHostAuth: boolean;
  /** Whether credentials wait for a challenge, since a token will be wanted. */
  readonly waitsForChallenge: boolean;
  readonly tokens: Tokens;
}

export interface AuthenticatedHop {
  readonly url: URL;
  /** What a token must allow. */
  readonly scope: string | undefined;
  /** What the hop before was authorized with. */
  readonly carried: string | undefined;
}

type Send = (authorization: string | undefined) => Promise<ExchangeAnswer>;

/** What a request is sent with. */
interface Proof {
  readonly kind: 'none' | 'basic' | 'token' | 'carried';
  readonly authorization: string | undefined;
  readonly token?: { readonly request: TokenRequest; readonly value: string; readonly isCached: boolean };
}

/** What the upstream last asked for. */
type Learned =
  | { readonly kind: 'basic' }
  | { readonly kind: 'token'; readonly request: TokenRequest; readonly isScopeOurs: boolean };

const NOBODY: Proof = { kind: 'none', authorization: undefined };
const MAX_ROUNDS = 3;

export class Authentication {
  readonly #options: AuthenticationOptions;
  #learned: Learned | undefined;

  constructor(options: AuthenticationOptions) {
    this.#options = options;
  }

  /**
   * Sends a request with what is known to be wanted, and again when a challenge says that something else is. An answer
   * of 401 is handed on where nothing is left to try.
   */
  async exchange(
    hop: AuthenticatedHop,
    send: Send,
  ): Promise<{ readonly answer: ExchangeAnswer; readonly authorization: string | undefined }> {
    let proof = await this.#firstProof(hop);
    for (let round = 1; ; round += 1) {
      const answer = await send(proof.authorization);
      if (answer.status !== 401 || round === MAX_ROUNDS) return { answer, authorization: proof.authorization };
      const next = await this.#nextProof(hop, answer, proof).catch((error: unknown) => {
        answer.body.destroy();
        throw error;
      });
      if (!next) return { answer, authorization: proof.authorization };
      discard(answer);
      proof = next;
    }
  }

  async #firstProof({ url, scope, carried }: AuthenticatedHop): Promise<Proof> {
    const { allowAnyHostAuth, waitsForChallenge } = this.#options;
    if (!this.#isOwn(url)) {
      if (!allowAnyHostAuth) return NOBODY;
      if (carried !== undefined) return { kind: 'carried', authorization: carried };
    }
    const credentials = this.#credentialsFor(url);
    const learned = this.#isOwn(url) ? this.#learned : undefined;
    if (learned?.kind === 'token') {
      const wanted = learned.isScopeOurs ? scope : learned.request.scope;
      const proof = wanted === undefined ? undefined : await this.#tokenProof({ ...learned.request, scope: wanted });
      return proof ?? NOBODY;
    }
    if (!credentials) return NOBODY;
    const isAwaited = learned === undefined && (waitsForChallenge || scope !== undefined);
    return isAwaited ? NOBODY : { kind: 'basic', authorization: basicAuthorization(credentials) };
  }

  async #nextProof(hop: AuthenticatedHop, answer: ExchangeAnswer, sent: Proof): Promise<Proof | undefined> {
    if (sent.token?.isCached) this.#options.tokens.drop(sent.token.request, sent.token.value);
    const challenges = parseChallenges([answer.headers['www-authenticate'] ?? ''].flat().join(', '));
    const bearer = challenges.find(
      ({ scheme, parameters }) => scheme === 'bearer' && parameters['realm'] !== undefined,
    );
    const credentials = this.#credentialsFor(hop.url);
    const takesBasic = challenges.length === 0 || challenges.some(({ scheme }) => scheme === 'basic');
    const canBasic = takesBasic && credentials !== undefined && sent.kind !== 'basic';
    const prefersToken = hop.scope !== undefined || this.#options.waitsForChallenge || !canBasic;
    if (bearer && prefersToken) return await this.#answerBearer(hop, bearer, sent);
    if (!canBasic) return undefined;
    if (this.#isOwn(hop.url)) this.#learned = { kind: 'basic' };
    return { kind: 'basic', authorization: basicAuthorization(credentials) };
  }

  async #answerBearer({ url, scope }: AuthenticatedHop, challenge: Challenge, sent: Proof): Promise<Proof | undefined> {
    const realm = realmOf(challenge, url);
    const request: TokenRequest = {
      realm,
      service: challenge.parameters['service'],
      scope: challenge.parameters['scope'] ?? scope,
      credentials: this.#credentialsForRealm(url, realm),
    };
    // A new token that is not enough will not be with the next one.
    if (sent.token && !sent.token.isCached && isSameRequest(sent.token.request, request)) return undefined;
    if (this.#isOwn(url)) {
      this.#learned = { kind: 'token', request, isScopeOurs: scope === undefined || request.scope === scope };
    }
    return await this.#tokenProof(request);
  }

  async #tokenProof(request: TokenRequest): Promise<Proof | undefined> {
    const token = await this.#options.tokens.get(request);
    return token && { kind: 'token', authorization: `Bearer ${token.value}`, token: { request, ...token } };
  }

  #isOwn(url: URL): boolean {
    return url.origin === this.#options.base.origin;
  }

  #credentialsFor(url: URL): Credentials | undefined {
    return this.#isOwn(url) || this.#options.allowAnyHostAuth ? this.#options.credentials : undefined;
  }

  /** A host that is not ours must not get a token for our credentials, nor a realm of somebody else the credentials. */
  #credentialsForRealm(challenger: URL, realm: URL): Credentials | undefined {
    const credentials = this.#credentialsFor(challenger);
    const { allowAnyHostAuth, base } = this.#options;
    if (!credentials || allowAnyHostAuth || isSameDomain(base.hostname, realm.hostname)) return credentials;
    traceStep(
      `Host "${realm.host}", to which "${base.host}" sends for tokens, is asked without credentials: it belongs to another domain.`,
      'admin',
    );
    return undefined;
  }
}

function isSameRequest(one: TokenRequest, other: TokenRequest): boolean {
  return (
    one.realm.href === other.realm.href &&
    one.service === other.service &&
    one.scope === other.scope &&
    (one.credentials === undefined) === (other.credentials === undefined)
  );
}
