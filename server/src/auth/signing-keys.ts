/** The key pairs tokens are signed with: made at first use, private part sealed, shared by all nodes. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { type Database, lockScope } from '../db/database.ts';
import { createSigningKey, listSigningKeys, type SigningKeyRow } from '../db/signing-keys.ts';
import { singleflight } from '../lib/singleflight.ts';
import type { Secrets } from './secrets.ts';

export const SIGNING_ALGORITHM = 'ES256';

export interface SigningKey {
  readonly id: string;
  readonly algorithm: typeof SIGNING_ALGORITHM;
  readonly publicKey: KeyObject;
  readonly privateKey: CryptoKey;
}

const PURPOSE = 'signing key';
/** How often at most an unknown key id makes this node look for keys another node made. */
const REREAD_MS = 5000;
/** How long a key another node retired may go on here. */
const MAX_AGE_MS = 60_000;

/** Holds the keys in force; nothing outside the table is ever trusted or fetched. */
export class SigningKeys {
  readonly #database: Database;
  readonly #secrets: Secrets;
  readonly #clock: () => number;
  #keys: ReadonlyMap<string, SigningKey> = new Map();
  readonly #once = singleflight<void>();
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(deps: { readonly database: Database; readonly secrets: Secrets; readonly clock?: () => number }) {
    this.#database = deps.database;
    this.#secrets = deps.secrets;
    this.#clock = deps.clock ?? Date.now;
  }

  /** The key to sign with; makes one if there is none. */
  async current(): Promise<SigningKey> {
    await this.#refresh(MAX_AGE_MS);
    const [held] = this.#keys.values();
    if (held) return held;
    await this.#once('create', () => this.#create());
    const [made] = this.#keys.values();
    if (!made) throw new Error('There is no signing key although one was just made.');
    return made;
  }

  /** The key of that id, unless it is unknown or retired. */
  async get(id: string): Promise<SigningKey | undefined> {
    await this.#refresh(this.#keys.has(id) ? MAX_AGE_MS : REREAD_MS);
    return this.#keys.get(id);
  }

  /** Forgets what was read, after a key was made or retired. */
  invalidate(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
  }

  async #refresh(maxAgeMs: number): Promise<void> {
    if (this.#clock() - this.#readAt >= maxAgeMs) await this.#once('read', () => this.#read());
  }

  async #create(): Promise<void> {
    const made = await this.#make();
    await this.#database.transaction(async (tx) => {
      await lockScope(tx, 'signing-key');
      const rows = await listSigningKeys(tx);
      if (!rows.some((row) => row.retiredAt === undefined)) await createSigningKey(tx, made);
    });
    await this.#read();
  }

  async #make(): Promise<Omit<SigningKeyRow, 'retiredAt'>> {
    const pair = await generateKeyPair(SIGNING_ALGORITHM, { extractable: true });
    const publicJwk = await exportJWK(pair.publicKey);
    const id = await calculateJwkThumbprint(publicJwk);
    const privateJwk = JSON.stringify(await exportJWK(pair.privateKey));
    return {
      id,
      publicJwk: JSON.stringify(publicJwk),
      sealedPrivate: this.#secrets.seal(PURPOSE, privateJwk, contextOf(id)),
      createdAt: this.#clock(),
    };
  }

  async #read(): Promise<void> {
    const readAt = this.#clock();
    const rows = await this.#database.read((db) => listSigningKeys(db));
    const keys = new Map<string, SigningKey>();
    for (const row of rows) if (row.retiredAt === undefined) keys.set(row.id, await this.#open(row));
    this.#keys = keys;
    this.#readAt = readAt;
  }

  async #open(row: SigningKeyRow): Promise<SigningKey> {
    const known = this.#keys.get(row.id);
    if (known) return known;
    const privateJwk = JSON.parse(this.#secrets.open(PURPOSE, row.sealedPrivate, contextOf(row.id)).toString()) as JWK;
    const privateKey = await importJWK(privateJwk, SIGNING_ALGORITHM);
    if (privateKey instanceof Uint8Array) throw new Error('The stored signing key is no key pair.');
    return {
      id: row.id,
      algorithm: SIGNING_ALGORITHM,
      publicKey: createPublicKey({ key: JSON.parse(row.publicJwk), format: 'jwk' }),
      privateKey,
    };
  }
}

function contextOf(id: string): string {
  return `signing_key sealed_private ${id}`;
}
