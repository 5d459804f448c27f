/**
 * Tokens: signed ones because clients read them and Artifactory's API promises them, short opaque ones because people
 * and secret scanners do better with those, and the ones Docker clients fetch before each pull and push.
 */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { CompactSign, compactVerify, errors } from 'jose';
import { z } from 'zod';
import { AppError } from '../core/errors.ts';
import type { Principal, TokenScope } from '../core/principal.ts';
import type { IssuedToken, TokenAccess } from '../core/protocol.ts';
import type { Database } from '../db/database.ts';
import { createSetting, getSetting } from '../db/settings.ts';
import { deleteExpiredTokens, type TokenRow, updateTokenLastUsed } from '../db/tokens.ts';
import { type Account, badCredentials, type Principals } from './principals.ts';
import type { Secrets } from './secrets.ts';
import type { SigningKeys } from './signing-keys.ts';
import { renderTokenScope } from './token-scopes.ts';

export interface NewToken {
  readonly user: { readonly id: string; readonly name: string };
  readonly scope?: TokenScope | undefined;
  readonly description: string;
  /** Undefined makes a token that does not expire. */
  readonly expiresInSeconds?: number | undefined;
  /** At least one of the two forms; both are the same token and are revoked together. */
  readonly signed: boolean;
  readonly reference: boolean;
}

/** A token that was made but is good only once its row is stored. */
export interface PreparedToken {
  readonly row: Omit<TokenRow, 'lastUsedAt'>;
  readonly accessToken?: string;
  readonly referenceToken?: string;
}

export interface VerifiedAccessToken {
  readonly tokenId: string;
  /** As the token's subject has it. */
  readonly userName: string;
  readonly expiresAt: number;
}

export interface VerifiedRegistryToken {
  /** Undefined when the token was issued to nobody in particular. */
  readonly user: { readonly id: string; readonly version: number } | undefined;
  /** The token it was obtained with, which must still be good. */
  readonly parentTokenId: string | undefined;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly access: readonly TokenAccess[];
}

export interface RegistryTokenRequest {
  readonly principal: Principal;
  readonly credential?: { readonly kind: string; readonly tokenId?: string } | undefined;
  readonly audience: string;
  readonly access: readonly TokenAccess[];
}

export interface TokensOptions {
  readonly registryTokenSeconds?: number;
}

type Type = 'access' | 'registry';

const MAX_TOKEN_BYTES = 8192;
const LEEWAY_SECONDS = 60;
const HUNDRED_YEARS_SECONDS = 100 * 366 * 86_400;
const REGISTRY_SECONDS = 3600;
const MIN_REGISTRY_SECONDS = 60;
const LAST_USED_RESOLUTION_MS = 60_000;
const FLUSH_CHUNK = 500;
const PURGE_CHUNK = 500;
const INSTANCE_SETTING = 'instance-id';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const REFERENCE_PREFIX = 'etp_';
const ID_LENGTH = 6;
/** What 32 random bytes need in base 62. */
const SECRET_LENGTH = 43;
const CRC_LENGTH = 6;
const REFERENCE = new RegExp(`^${REFERENCE_PREFIX}[0-9A-Za-z]{${ID_LENGTH + SECRET_LENGTH + CRC_LENGTH}}$`);

/** Exactly what is put in: a header that says more, such as a key of its own, is refused unread. */
const headerSchema = z.strictObject({
  alg: z.string().max(16),
  kid: z.string().min(1).max(64),
  typ: z.string().max(16),
});
const seconds = z.int().min(0);
const accessClaims = z.strictObject({
  iss: z.string(),
  sub: z.string(),
  aud: z.string(),
  scp: z.string(),
  iat: seconds,
  exp: seconds,
  jti: z.string().min(1).max(64),
});
const registryClaims = z.strictObject({
  iss: z.string(),
  sub: z.string(),
  aud: z.string(),
  iat: seconds,
  nbf: seconds,
  exp: seconds,
  jti: z.string(),
  uid: z.string().max(64).optional(),
  ver: z.int().optional(),
  cred: z.string().max(64).optional(),
  access: z.array(z.strictObject({ type: z.string(), name: z.string(), actions: z.array(z.string()) })),
});

/** The name of this installation in its tokens: made at the first start, the same on all nodes. */
export async function openInstanceId(database: Database): Promise<string> {
  const known = await database.read((db) => getSetting(db, INSTANCE_SETTING));
  return known ?? (await database.transaction((tx) => createSetting(tx, INSTANCE_SETTING, randomUUID())));
}

/** Whether the text has the form of a token, so that it is looked up as one and never taken for a password. */
export function looksLikeToken(text: string): boolean {
  return looksSigned(text) || text.startsWith(REFERENCE_PREFIX);
}

/** Whether the text has the form of a signed token. */
export function looksSigned(text: string): boolean {
  return text.startsWith('eyJ') && text.includes('.');
}

/** The id in a reference token whose form and checksum are right; undefined for everything else. */
export function referenceTokenId(text: string): string | undefined {
  if (text.length > MAX_TOKEN_BYTES || !REFERENCE.test(text)) return undefined;
  const body = text.slice(0, -CRC_LENGTH);
  if (checksum(body) !== text.slice(-CRC_LENGTH)) return undefined;
  return text.slice(REFERENCE_PREFIX.length, REFERENCE_PREFIX.length + ID_LENGTH);
}

/** Whether the token's row still gives rights to its owner. */
export function isUsable(row: TokenRow, account: Account, now: number): boolean {
  return (
    row.userId === account.id &&
    row.createdAt >= account.tokensValidAfter &&
    (row.expiresAt === undefined || row.expiresAt > now)
  );
}

/** Makes and checks tokens; whether their owner may still act is for the caller to look up. */
export class Tokens {
  /** `iss` of every token, and `aud` of access tokens. */
  readonly issuer: string;
  readonly #database: Database;
  readonly #secrets: Secrets;
  readonly #keys: SigningKeys;
  readonly #principals: Principals;
  readonly #clock: () => number;
  readonly #registrySeconds: number;
  readonly #lastUsed = new Map<string, number>();

  constructor(
    deps: {
      readonly database: Database;
      readonly secrets: Secrets;
      readonly signingKeys: SigningKeys;
      readonly principals: Principals;
      readonly instanceId: string;
      readonly clock?: () => number;
    },
    options: TokensOptions = {},
  ) {
    this.issuer = `entrepot@${deps.instanceId}`;
    this.#database = deps.database;
    this.#secrets = deps.secrets;
    this.#keys = deps.signingKeys;
    this.#principals = deps.principals;
    this.#clock = deps.clock ?? Date.now;
    this.#registrySeconds = Math.max(options.registryTokenSeconds ?? REGISTRY_SECONDS, MIN_REGISTRY_SECONDS);
  }

  /** The subject tokens of that user carry, in which clients look for the name after `/users/`. */
  subjectOf(userName: string): string {
    return `${this.issuer}/users/${userName}`;
  }

  /** Makes a token and the row to store for it. */
  async prepare(token: NewToken): Promise<PreparedToken> {
    const now = this.#clock();
    const referenceToken = token.reference ? makeReference() : undefined;
    const id = (referenceToken && referenceTokenId(referenceToken)) ?? randomUUID();
    const expiresAt = token.expiresInSeconds === undefined ? undefined : now + token.expiresInSeconds * 1000;
    const row: PreparedToken['row'] = {
      id,
      userId: token.user.id,
      kind: token.signed ? 'access' : 'reference',
      secret: referenceToken && this.#hashReference(referenceToken).toString('base64url'),
      scope: token.scope,
      description: token.description,
      createdAt: now,
      expiresAt,
    };
    const accessToken = token.signed ? await this.#signAccess(token, row) : undefined;
    return { row, ...(accessToken && { accessToken }), ...(referenceToken && { referenceToken }) };
  }

  /** Checks everything a signed access token says by itself; undefined when anything is wrong. */
  async verifyAccess(token: string): Promise<VerifiedAccessToken | undefined> {
    const payload = await this.#verify(token, 'access');
    const claims = accessClaims.safeParse(payload).data;
    const subjectStart = `${this.issuer}/users/`;
    if (!claims || claims.iss !== this.issuer || claims.aud !== this.issuer) return undefined;
    if (!claims.sub.startsWith(subjectStart) || !this.#isTimely(claims)) return undefined;
    return {
      tokenId: claims.jti,
      userName: claims.sub.slice(subjectStart.length),
      expiresAt: claims.exp * 1000,
    };
  }

  /** Checks everything a registry token for that audience says by itself; undefined when anything is wrong. */
  async verifyRegistry(token: string, audience: string): Promise<VerifiedRegistryToken | undefined> {
    const payload = await this.#verify(token, 'registry');
    const claims = registryClaims.safeParse(payload).data;
    if (!claims || claims.iss !== this.issuer || claims.aud !== audience || !this.#isTimely(claims)) return undefined;
    if ((claims.uid === undefined) !== (claims.ver === undefined)) return undefined;
    return {
      user: claims.uid === undefined || claims.ver === undefined ? undefined : { id: claims.uid, version: claims.ver },
      parentTokenId: claims.cred,
      issuedAt: claims.iat * 1000,
      expiresAt: claims.exp * 1000,
      access: claims.access,
    };
  }

  /** The row of a reference token; undefined when it is unknown, revoked or not the one that was given out. */
  async verifyReference(token: string): Promise<TokenRow | undefined> {
    const id = referenceTokenId(token);
    if (id === undefined) return undefined;
    const row = await this.#principals.getToken(id);
    const hash = this.#hashReference(token);
    // An unknown id costs the same comparison as a wrong secret.
    const expected = row?.secret === undefined ? randomBytes(hash.length) : Buffer.from(row.secret, 'base64url');
    return expected.length === hash.length && timingSafeEqual(expected, hash) ? row : undefined;
  }

  /**
   * A token that proves to the audience who the caller is. It ends with the token it was obtained with; it gives no
   * right by itself. One registry token cannot be exchanged for another, or none would ever end.
   */
  async issueRegistry(request: RegistryTokenRequest): Promise<IssuedToken> {
    const { principal, credential } = request;
    if (credential?.kind === 'registry') {
      throw new AppError('forbidden', 'A registry token cannot be exchanged for another one. Use your credentials.');
    }
    const now = this.#clock();
    let expiresAt = now + this.#registrySeconds * 1000;
    let identity: object = { sub: 'anonymous' };
    if (principal.kind === 'user') {
      const account = await this.#principals.getAccount(principal.id);
      if (!account) throw badCredentials();
      identity = { sub: this.subjectOf(account.name), uid: account.id, ver: account.version };
    }
    if (credential?.tokenId !== undefined) {
      const parent = await this.#principals.getToken(credential.tokenId);
      if (!parent) throw badCredentials();
      expiresAt = Math.min(expiresAt, parent.expiresAt ?? expiresAt);
      identity = { ...identity, cred: parent.id };
    }
    const iat = Math.floor(now / 1000);
    const exp = Math.floor(expiresAt / 1000);
    const common = { iss: this.issuer, aud: request.audience, iat, nbf: iat, exp, jti: randomUUID() };
    const token = await this.#sign('registry', { ...common, ...identity, access: request.access });
    if (token.length > MAX_TOKEN_BYTES) {
      throw new AppError('invalid', 'Too many scopes are asked for at once. Ask for fewer in one request.');
    }
    return { token, expiresInSeconds: exp - iat, issuedAt: new Date(iat * 1000) };
  }

  /** Notes that a token was used; cheap, and written only by `flushLastUsed`. */
  recordUse(tokenId: string): void {
    this.#lastUsed.set(tokenId, this.#clock());
  }

  /** Writes when tokens were last used, to the minute. What fails to be written is tried again the next time. */
  async flushLastUsed(): Promise<void> {
    const pending = [...this.#lastUsed];
    for (let start = 0; start < pending.length; start += FLUSH_CHUNK) {
      const chunk = pending.slice(start, start + FLUSH_CHUNK);
      const write = chunk.map(([id, at]) => [id, at - (at % LAST_USED_RESOLUTION_MS)] as const);
      await this.#database.transaction(
        async (tx) => {
          for (const [id, at] of write) await updateTokenLastUsed(tx, id, at);
        },
        { durable: false },
      );
      for (const [id, at] of chunk) if (this.#lastUsed.get(id) === at) this.#lastUsed.delete(id);
    }
  }

  /** Removes rows of tokens that expired before the moment; returns how many. */
  async purgeExpired(before: number): Promise<number> {
    let total = 0;
    for (;;) {
      const removed = await this.#database.transaction((tx) => deleteExpiredTokens(tx, before, PURGE_CHUNK), {
        durable: false,
      });
      total += removed;
      if (removed < PURGE_CHUNK) return total;
    }
  }

  #signAccess(token: NewToken, row: PreparedToken['row']): Promise<string> {
    const iat = Math.floor(row.createdAt / 1000);
    // Every signed token ends some day; whether it may be used longer than its row says is never asked.
    const exp = row.expiresAt === undefined ? iat + HUNDRED_YEARS_SECONDS : Math.floor(row.expiresAt / 1000);
    return this.#sign('access', {
      iss: this.issuer,
      sub: this.subjectOf(token.user.name),
      aud: this.issuer,
      scp: renderTokenScope(token.scope),
      iat,
      exp,
      jti: row.id,
    });
  }

  async #sign(typ: Type, claims: object): Promise<string> {
    const key = await this.#keys.current();
    return new CompactSign(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg: key.algorithm, kid: key.id, typ })
      .sign(key.privateKey);
  }

  /** The payload of a token with a good signature of a key of ours; undefined otherwise. */
  async #verify(token: string, type: Type): Promise<unknown> {
    const header = parseHeader(token);
    if (!header) return undefined;
    const key = await this.#keys.get(header.kid);
    if (!key || header.alg !== key.algorithm) return undefined;
    try {
      const { payload } = await compactVerify(token, key.publicKey, { algorithms: [key.algorithm] });
      if (header.typ !== type) return undefined;
      return JSON.parse(Buffer.from(payload).toString()) as unknown;
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  #isTimely(claims: { readonly iat: number; readonly nbf?: number; readonly exp: number }): boolean {
    const now = this.#clock() / 1000;
    return (
      claims.iat <= now + LEEWAY_SECONDS &&
      (claims.nbf ?? 0) <= now + LEEWAY_SECONDS &&
      claims.exp > now - LEEWAY_SECONDS &&
      claims.exp >= claims.iat &&
      claims.exp - claims.iat <= HUNDRED_YEARS_SECONDS
    );
  }

  #hashReference(token: string): Buffer {
    return this.#secrets.hmac('reference-token', token);
  }
}

/** Three parts, each in the one spelling its bytes have, with a header of exactly the members it should have. */
function parseHeader(token: string): z.infer<typeof headerSchema> | undefined {
  if (token.length > MAX_TOKEN_BYTES) return undefined;
  const parts = token.split('.', 4);
  if (parts.length !== 3 || !parts.every(isCanonical)) return undefined;
  try {
    const header: unknown = JSON.parse(Buffer.from(parts[0] ?? '', 'base64url').toString());
    return headerSchema.safeParse(header).data;
  } catch {
    return undefined;
  }
}

function isCanonical(part: string): boolean {
  return part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part;
}

function makeReference(): string {
  const body = REFERENCE_PREFIX + base62(randomBytes(8), ID_LENGTH) + base62(randomBytes(32), SECRET_LENGTH);
  return body + checksum(body);
}

function checksum(text: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(text));
  return base62(bytes, CRC_LENGTH);
}

function base62(bytes: Buffer, length: number): string {
  let number = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let i = 0; i < length; i++) {
    text = (BASE62[Number(number % 62n)] ?? '0') + text;
    number /= 62n;
  }
  return text;
}
