/** Finds out who sent a request. What was proven within the last minute is known again without further work. */
import { hash, randomBytes } from 'node:crypto';
import { isAppError } from '../core/errors.ts';
import { ANONYMOUS, type Principal } from '../core/principal.ts';
import type { TokenAccess } from '../core/protocol.ts';
import type { Database } from '../db/database.ts';
import type { TokenRow } from '../db/tokens.ts';
import { updateLastLogin, updatePasswordHash } from '../db/users.ts';
import { Lru } from '../lib/lru.ts';
import { singleflight } from '../lib/singleflight.ts';
import { MAX_PASSWORD_BYTES, type Passwords } from './passwords.ts';
import { type Account, badCredentials, type Principals } from './principals.ts';
import type { LoginThrottle } from './throttle.ts';
import { isUsable, looksLikeToken, looksSigned, type Tokens } from './tokens.ts';
import { foldUserName } from './user-names.ts';

export interface Authentication {
  readonly principal: Principal;
  /** Whether the caller proved to be somebody. */
  readonly authenticated: boolean;
  readonly credential?: {
    readonly kind: 'password' | 'access' | 'reference' | 'registry';
    /** The token that was shown, or with which the one that was shown was obtained. */
    readonly tokenId?: string;
  };
  /** What a registry token was asked for: it narrows what clients expect, the rights are checked all the same. */
  readonly registryAccess?: readonly TokenAccess[];
}

/** As Node gives them; a server must not let Node drop a repeated `Authorization` (see `joinDuplicateHeaders`). */
export type CredentialHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface AuthenticateOptions {
  /** The service registry tokens must be made for; without it none is accepted. */
  readonly registryAudience?: string | undefined;
}

type Credential = NonNullable<Authentication['credential']>;

/** What was verified: true as long as the rows it rests on are as they were. */
interface Proof {
  readonly until: number;
  readonly credential: Credential;
  readonly userId: string | undefined;
  /** The account's version it was made for, where it rests on the password. */
  readonly version?: number;
  readonly registryAccess?: readonly TokenAccess[];
  /** The answer, and the rows it was made from. */
  memo?: { readonly account: Account; readonly token: TokenRow | undefined; readonly answer: Authentication };
}

interface Presented {
  readonly authorization: string | undefined;
  readonly apiKey: string | undefined;
}

interface Deps {
  readonly database: Database;
  readonly principals: Principals;
  readonly passwords: Passwords;
  readonly tokens: Tokens;
  readonly throttle: LoginThrottle;
  readonly clock?: () => number;
}

const NOBODY: Authentication = { principal: ANONYMOUS, authenticated: false };
const MAX_HEADER = 12_288;
const CACHE_MS = 60_000;
const CACHE_SIZE = 10_000;
const MAX_LOGINS_PENDING = 10_000;
/** User names that clients send with a token as the password. */
const TOKEN_USER_NAMES = new Set([
  '',
  'token',
  '_token',
  '<token>',
  'oauth2accesstoken',
  '00000000-0000-0000-0000-000000000000',
]);

export class Authenticator {
  readonly #deps: Deps;
  readonly #clock: () => number;
  /** New with each process: what is remembered cannot be computed from a copy of the memory of another. */
  readonly #key = randomBytes(32).toString('base64');
  readonly #proofs = new Lru<string, Proof>({ maxEntries: CACHE_SIZE });
  /** The same credentials arriving many times at once are checked once, and counted once if they are wrong. */
  readonly #once = singleflight<Authentication>();
  readonly #logins = new Map<string, number>();

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#clock = deps.clock ?? Date.now;
  }

  /**
   * Who the headers say the caller is: anonymous without credentials, otherwise a user. Throws `unauthenticated` when
   * any credential is wrong, and `rate_limited` when too many were. `peer` is the client's address.
   */
  async authenticate(
    headers: CredentialHeaders,
    peer: string,
    options: AuthenticateOptions = {},
  ): Promise<Authentication> {
    const presented = readCredentials(headers);
    if (!presented) return NOBODY;
    const key = this.#keyOf(presented, options);
    return (
      this.#recall(key) ?? this.#once(key, () => this.#prove(key, () => this.#verifyAll(presented, peer, options)))
    );
  }

  /** The answer `authenticate` would give if it needs no waiting; throws like it for credentials without sense. */
  authenticateNow(headers: CredentialHeaders, options: AuthenticateOptions = {}): Authentication | undefined {
    const presented = readCredentials(headers);
    return presented ? this.#recall(this.#keyOf(presented, options)) : NOBODY;
  }

  /** Checks a name and a password or token that came in a body; throws as `authenticate` does. */
  async loginWithPassword(name: string, password: string, peer: string): Promise<Authentication> {
    if (name.length + password.length > MAX_HEADER) throw badCredentials();
    const key = this.#mac(JSON.stringify([name, password]));
    return this.#recall(key) ?? this.#once(key, () => this.#prove(key, () => this.#verifyPair(name, password, peer)));
  }

  /** Forgets what was proven. Changes of accounts and tokens do not need it: proofs name the version they are of. */
  invalidate(): void {
    this.#proofs.clear();
  }

  /** Writes what was noted in passing: when accounts and tokens were last used, and from where. */
  async flush(): Promise<void> {
    const pending = [...this.#logins];
    if (pending.length > 0) {
      await this.#deps.database.transaction(
        async (tx) => {
          for (const [id, at] of pending) await updateLastLogin(tx, id, at);
        },
        { durable: false },
      );
      for (const [id, at] of pending) if (this.#logins.get(id) === at) this.#logins.delete(id);
    }
    await this.#deps.throttle.flush();
    await this.#deps.tokens.flushLastUsed();
  }

  #keyOf(presented: Presented, options: AuthenticateOptions): string {
    // None of the parts can hold a line feed, so no two different requests have the same text.
    return this.#mac(
      `headers\n${options.registryAudience ?? ''}\n${presented.authorization ?? ''}\n${presented.apiKey ?? ''}`,
    );
  }

  #mac(text: string): string {
    return hash('sha256', `${this.#key}\n${text}`, 'base64');
  }

  #recall(key: string): Authentication | undefined {
    const proof = this.#proofs.get(key);
    if (!proof) return undefined;
    if (proof.until <= this.#clock()) {
      this.#proofs.delete(key);
      return undefined;
    }
    return this.#answerNow(proof);
  }

  async #prove(key: string, verify: () => Promise<Proof>): Promise<Authentication> {
    const remembered = this.#proofs.get(key);
    if (remembered) {
      // The rows it rests on had to be read again; if they changed, so may have what the credential means.
      const answer = await this.#answer(remembered);
      if (answer) return answer;
      this.#proofs.delete(key);
    }
    const proof = await verify();
    const answer = await this.#answer(proof);
    if (!answer) throw badCredentials();
    this.#remember(key, proof);
    return answer;
  }

  #remember(key: string, proof: Proof): void {
    this.#proofs.set(key, proof);
    if (proof.credential.tokenId !== undefined) this.#deps.tokens.recordUse(proof.credential.tokenId);
  }

  #answerNow(proof: Proof): Authentication | undefined {
    if (proof.userId === undefined) return anonymousAnswer(proof);
    const account = this.#deps.principals.peekAccount(proof.userId);
    if (!account) return undefined;
    const { tokenId } = proof.credential;
    if (tokenId === undefined) return this.#combine(proof, account, undefined);
    const token = this.#deps.principals.peekToken(tokenId);
    return token && this.#combine(proof, account, token);
  }

  async #answer(proof: Proof): Promise<Authentication | undefined> {
    if (proof.userId === undefined) return anonymousAnswer(proof);
    const account = await this.#deps.principals.getAccount(proof.userId);
    if (!account) return undefined;
    const { tokenId } = proof.credential;
    if (tokenId === undefined) return this.#combine(proof, account, undefined);
    const token = await this.#deps.principals.getToken(tokenId);
    return token && this.#combine(proof, account, token);
  }

  /** The answer while the rows are as the proof needs them; undefined once they are not. */
  #combine(proof: Proof, account: Account, token: TokenRow | undefined): Authentication | undefined {
    if (token?.expiresAt !== undefined && token.expiresAt <= this.#clock()) return undefined;
    if (proof.memo?.account === account && proof.memo.token === token) return proof.memo.answer;
    if (proof.version !== undefined && proof.version !== account.version) return undefined;
    if (token && !isUsable(token, account, this.#clock())) return undefined;
    const principal: Principal = token?.scope ? { ...account.principal, scope: token.scope } : account.principal;
    const answer: Authentication = {
      principal,
      authenticated: true,
      credential: proof.credential,
      ...(proof.registryAccess && { registryAccess: proof.registryAccess }),
    };
    proof.memo = { account, token, answer };
    return answer;
  }

  async #verifyAll(presented: Presented, peer: string, options: AuthenticateOptions): Promise<Proof> {
    const { authorization, apiKey } = presented;
    const byHeader = authorization === undefined ? undefined : await this.#verifyHeader(authorization, peer, options);
    const byKey = apiKey === undefined ? undefined : await this.#verifyToken(apiKey);
    // Two proofs of one identity are fine; of two, none can be meant.
    if (byHeader && byKey && byHeader.userId !== byKey.userId) throw badCredentials();
    const proof = byHeader ?? byKey;
    if (!proof) throw badCredentials();
    return byHeader && byKey ? { ...byHeader, until: Math.min(byHeader.until, byKey.until) } : proof;
  }

  #verifyHeader(authorization: string, peer: string, options: AuthenticateOptions): Promise<Proof> {
    const space = authorization.indexOf(' ');
    const scheme = authorization.slice(0, Math.max(space, 0)).toLowerCase();
    const value = authorization.slice(space + 1).trim();
    if (scheme === 'bearer') return this.#verifyBearer(value, options);
    const pair = scheme === 'basic' ? decodeBasic(value) : undefined;
    if (!pair) throw badCredentials();
    return this.#verifyPair(pair.name, pair.password, peer);
  }

  async #verifyPair(name: string, password: string, peer: string): Promise<Proof> {
    if (looksLikeToken(password)) {
      const proof = await this.#verifyToken(password);
      const account = await this.#deps.principals.getAccount(proof.userId ?? '');
      if (!account || (!TOKEN_USER_NAMES.has(name) && foldUserName(name) !== account.name)) throw badCredentials();
      return proof;
    }
    if (password === '' || Buffer.byteLength(password) > MAX_PASSWORD_BYTES) throw badCredentials();
    return this.#verifyPassword(foldUserName(name), password, peer);
  }

  async #verifyPassword(name: string | undefined, password: string, peer: string): Promise<Proof> {
    const { principals, passwords, throttle } = this.#deps;
    await throttle.admit(name, peer);
    const account = name === undefined ? undefined : await principals.getAccountByName(name);
    const matches = await passwords.verify(account?.passwordHash, password);
    await throttle.settle(name, peer, matches);
    if (!account?.passwordHash || !matches) throw badCredentials();
    if (passwords.needsRehash(account.passwordHash)) await this.#rehash(account.id, account.passwordHash, password);
    if (this.#logins.size < MAX_LOGINS_PENDING) this.#logins.set(account.id, this.#clock());
    const until = this.#clock() + CACHE_MS;
    return { until, credential: { kind: 'password' }, userId: account.id, version: account.version };
  }

  /** Brings a hash made with older parameters up to date; when the hashers are busy, the next login may. */
  async #rehash(id: string, old: string, password: string): Promise<void> {
    const { database, principals, passwords } = this.#deps;
    try {
      const hashes = { old, new: await passwords.hash(password) };
      await database.transaction((tx) => updatePasswordHash(tx, id, hashes));
      principals.invalidate();
    } catch (error) {
      if (!isAppError(error)) throw error;
    }
  }

  async #verifyBearer(token: string, options: AuthenticateOptions): Promise<Proof> {
    if (options.registryAudience !== undefined && looksSigned(token)) {
      const proof = await this.#verifyRegistry(token, options.registryAudience);
      if (proof) return proof;
    }
    return this.#verifyToken(token);
  }

  async #verifyToken(token: string): Promise<Proof> {
    const now = this.#clock();
    if (!looksSigned(token)) {
      const row = await this.#deps.tokens.verifyReference(token);
      if (!row) throw badCredentials();
      return { until: now + CACHE_MS, credential: { kind: 'reference', tokenId: row.id }, userId: row.userId };
    }
    const verified = await this.#deps.tokens.verifyAccess(token);
    const row = verified && (await this.#deps.principals.getToken(verified.tokenId));
    if (!verified || row?.kind !== 'access') throw badCredentials();
    const account = await this.#deps.principals.getAccount(row.userId);
    // The name may have passed to somebody else since the token was made.
    if (account?.name !== verified.userName) throw badCredentials();
    const until = Math.min(now + CACHE_MS, verified.expiresAt);
    const credential: Credential = { kind: 'access', tokenId: row.id };
    return { until, credential, userId: row.userId, version: account.version };
  }

  async #verifyRegistry(token: string, audience: string): Promise<Proof | undefined> {
    const now = this.#clock();
    const verified = await this.#deps.tokens.verifyRegistry(token, audience);
    if (!verified) return undefined;
    const { user, parentTokenId, expiresAt, access } = verified;
    return {
      until: Math.min(now + CACHE_MS, expiresAt),
      credential: { kind: 'registry', ...(parentTokenId !== undefined && { tokenId: parentTokenId }) },
      userId: user?.id,
      ...(user && { version: user.version }),
      registryAccess: access,
    };
  }
}

function anonymousAnswer(proof: Proof): Authentication {
  return {
    principal: ANONYMOUS,
    authenticated: false,
    credential: proof.credential,
    ...(proof.registryAccess && { registryAccess: proof.registryAccess }),
  };
}

/** The credentials in the headers; undefined when there are none. Throws for what is repeated or absurdly long. */
function readCredentials(headers: CredentialHeaders): Presented | undefined {
  const authorization = single(headers['authorization']);
  const artKey = single(headers['x-jfrog-art-api']);
  const apiKey = single(headers['x-api-key']);
  if (artKey !== undefined && apiKey !== undefined && artKey !== apiKey) throw badCredentials();
  // Some clients send an empty user name and password when they have none.
  const real = authorization !== undefined && /^basic +Og==$/i.test(authorization) ? undefined : authorization;
  if (real === undefined && artKey === undefined && apiKey === undefined) return undefined;
  return { authorization: real, apiKey: artKey ?? apiKey };
}

function single(value: string | readonly string[] | undefined): string | undefined {
  if (value === undefined) return undefined;
  // No credential holds a comma, so one means that a proxy or Node joined two headers.
  if (typeof value !== 'string' || value.length > MAX_HEADER || value.includes(',')) throw badCredentials();
  return value;
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeBasic(value: string): { readonly name: string; readonly password: string } | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return undefined;
  let text: string;
  try {
    text = strictUtf8.decode(Buffer.from(value, 'base64'));
  } catch {
    return undefined;
  }
  const colon = text.indexOf(':');
  if (colon === -1 || /[\u0000-\u001f\u007f]/.test(text)) return undefined;
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
