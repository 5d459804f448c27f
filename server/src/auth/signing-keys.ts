/** The key pairs tokens are signed with: made at first use, private part sealed, shared by all nodes. */
import type { KeyObject } from 'node:crypto';
import { createPublicKey } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { type Database, lockScope } from '../db/database.ts';
import { createSigningKey, listSigningKeys, type SigningKeyRow } from '../db/signing-keys.ts';
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

/** Holds the keys in force; nothing outside the table is ever trusted or fetched. */
export class SigningKeys {
  readonly #database: Database;
  readonly #secrets: Secrets;
  readonly #clock: () => number;
  #keys: ReadonlyMap<string, SigningKey> = new Map();
  #current: Promise<SigningKey> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(deps: { readonly database: Database; readonly secrets: Secrets; readonly clock?: () => number }) {
    this.#database = deps.database;
    this.#secrets = deps.secrets;
    this.#clock = deps.clock ?? Date.now;
  }

  /** The key to sign with; makes one if there is none. */
  current(): Promise<SigningKey> {
    this.#current ??= this.#findOrCreate().catch((error: unknown) => {
      this.#current = undefined;
      throw error;
    });
    return this.#current;
  }

  /** The key of that id, unless it is unknown or retired. */
  async get(id: string): Promise<SigningKey | undefined> {
    const key = this.#keys.get(id);
    if (key || this.#clock() - this.#readAt < REREAD_MS) return key;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
    return this.#keys.get(id);
  }

  /** Forgets what was read, after a key was made or retired. */
  invalidate(): void {
    this.#keys = new Map();
    this.#current = undefined;
    this.#readAt = Number.NEGATIVE_INFINITY;
  }

  async #findOrCreate(): Promise<SigningKey> {
    await this.#read();
    if (this.#keys.size === 0) {
      const made = await this.#make();
      await this.#database.transaction(async (tx) => {
        await lockScope(tx, 'signing-key');
        const rows = await listSigningKeys(tx);
        if (!rows.some((row) => row.retiredAt === undefined)) await createSigningKey(tx, made);
      });
      await this.#read();
    }
    const [oldest] = this.#keys.values();
    if (!oldest) throw new Error('There is no signing key although one was just made.');
    return oldest;
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
