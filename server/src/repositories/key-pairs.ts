/** Key pairs that repositories are signed with: the private key is kept encrypted and never shown. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { Secrets } from '../auth/secrets.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { lockScope, type Tx } from '../db/database.ts';
import { listRepositories } from '../db/repositories.ts';
import { PgpProblem, verifyPgpKeyPair } from '../lib/pgp-keys.ts';
import { readConfiguration, type SystemConfiguration } from './system-configuration.ts';

export interface KeyPair {
  readonly name: string;
  readonly type: 'GPG' | 'RSA';
  readonly alias: string;
  readonly publicKey: string;
}

/** What somebody sends to have a pair made. */
export interface NewKeyPair extends KeyPair {
  readonly privateKey: string;
  readonly passphrase: string;
}

type StoredPair = Omit<KeyPair, 'name'> & { readonly secret: { readonly sealed: string } };
type StoredPairs = Readonly<Record<string, StoredPair>>;

/** Beside the sections of the descriptor, in which private keys have no business. */
const SECTION = 'signing-key-pairs';
const PURPOSE = 'key-pair';
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const MAX_STORED = 200;
const MIN_RSA_BITS = 2048;
/** More rounds than any tool makes would stop the server while it derives the key. */
const MAX_ROUNDS = 10_000_000;
/** Settings of repositories that name a pair. */
export const KEY_PAIR_FIELDS = ['primaryKeyPairRef', 'secondaryKeyPairRef', 'keyPair'] as const;

export class KeyPairs {
  readonly #configuration: SystemConfiguration;
  readonly #secrets: Secrets;

  constructor(deps: { readonly configuration: SystemConfiguration; readonly secrets: Secrets }) {
    this.#configuration = deps.configuration;
    this.#secrets = deps.secrets;
  }

  /** Ordered by name. */
  list(): readonly KeyPair[] {
    return Object.entries(pairsIn(this.#configuration.document.sections))
      .map(([name, pair]) => shown(name, pair))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get(name: string): KeyPair | undefined {
    const pair = pairOf(pairsIn(this.#configuration.document.sections), name);
    return pair && shown(name, pair);
  }

  /** The private key in the clear, with what unlocks it, for whoever signs with it. */
  open(name: string): { readonly privateKey: string; readonly passphrase: string } | undefined {
    const pair = pairOf(pairsIn(this.#configuration.document.sections), name);
    return pair && JSON.parse(this.#secrets.open(PURPOSE, pair.secret.sealed, name).toString('utf8'));
  }

  /** Stores a pair that can be used; `conflict` if there is one of the name. */
  async create(pair: NewKeyPair, by: string): Promise<void> {
    const stored = await this.#prepare(pair);
    await this.#change(by, (before) => {
      if (pairOf(before, pair.name))
        throw new AppError('conflict', `There is a key pair "${clip(pair.name)}" already.`);
      return { ...before, [pair.name]: stored };
    });
  }

  /** Puts other keys in the place of those the pair has; `not_found` if there is none of the name. */
  async replace(pair: NewKeyPair, by: string): Promise<void> {
    const stored = await this.#prepare(pair);
    await this.#change(by, (before) => {
      if (!pairOf(before, pair.name)) throw unknownPair(pair.name);
      return { ...before, [pair.name]: stored };
    });
  }

  /** `conflict` while a repository refers to it, `not_found` if there is none. */
  async delete(name: string, by: string): Promise<void> {
    const along = async (tx: Tx) => {
      await lockScope(tx, 'repositories');
      const user = (await listRepositories(tx)).find(({ config }) =>
        KEY_PAIR_FIELDS.some((field) => config[field] === name),
      );
      if (user) {
        throw new AppError('conflict', `The key pair "${clip(name)}" is used by the repository "${user.key}".`);
      }
    };
    const remove = (before: StoredPairs) => {
      if (!pairOf(before, name)) throw unknownPair(name);
      const { [name]: _gone, ...rest } = before;
      return rest;
    };
    await this.#change(by, remove, along);
  }

  async #prepare(pair: NewKeyPair): Promise<StoredPair> {
    await verifyKeyPair(pair);
    const { name, type, alias, publicKey, privateKey, passphrase } = pair;
    const sealed = this.#secrets.seal(PURPOSE, JSON.stringify({ privateKey, passphrase }), name);
    return { type, alias, publicKey, secret: { sealed } };
  }

  async #change(by: string, change: (before: StoredPairs) => StoredPairs, along?: (tx: Tx) => Promise<void>) {
    await this.#configuration.change(
      by,
      (sections) => {
        const after = change(pairsIn(sections));
        if (Object.keys(after).length > MAX_STORED) {
          throw new AppError('invalid', `There can be at most ${MAX_STORED} key pairs. Delete one first.`);
        }
        return { ...sections, [SECTION]: after };
      },
      along && { along },
    );
  }
}

/** The names of the pairs as the transaction sees them. */
export async function keyPairNames(tx: Tx): Promise<ReadonlySet<string>> {
  return new Set(Object.keys(pairsIn((await readConfiguration(tx)).sections)));
}

/** Refuses, as `invalid`, keys that do not belong together or that the passphrase does not open. */
export async function verifyKeyPair({ name, type, privateKey, publicKey, passphrase }: NewKeyPair): Promise<void> {
  if (!NAME.test(name)) {
    throw new AppError(
      'invalid',
      `"${clip(name)}" cannot be the name of a key pair: use up to 64 letters, digits, ".", "_" or "-", starting with a letter or digit.`,
    );
  }
  if (type === 'RSA') return verifyRsa({ privateKey, publicKey, passphrase });
  try {
    await verifyPgpKeyPair({ privateKey, publicKey, passphrase });
  } catch (error) {
    if (error instanceof PgpProblem) throw new AppError('invalid', error.message);
    throw error;
  }
}

function verifyRsa({ privateKey, publicKey, passphrase }: Pick<NewKeyPair, 'privateKey' | 'publicKey' | 'passphrase'>) {
  requireFewRounds(privateKey);
  const opened = read(
    () => createPrivateKey({ key: privateKey, format: 'pem', passphrase }),
    'The private key cannot be read: it must be PEM, and the passphrase must open it.',
  );
  const shared = read(() => createPublicKey(publicKey), 'The public key cannot be read: it must be PEM.');
  if (/PRIVATE KEY/.test(publicKey)) throw new AppError('invalid', 'The public key is a private one.');
  if (opened.asymmetricKeyType !== 'rsa' || shared.asymmetricKeyType !== 'rsa') {
    throw new AppError('invalid', 'The keys are not of the type RSA.');
  }
  if ((shared.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS) {
    throw new AppError('invalid', `An RSA key must have at least ${MIN_RSA_BITS} bits.`);
  }
  if (!createPublicKey(opened).equals(shared)) {
    throw new AppError('invalid', 'The private key does not belong to the public key.');
  }
}

function read(attempt: () => KeyObject, problem: string): KeyObject {
  try {
    return attempt();
  } catch {
    throw new AppError('invalid', problem);
  }
}

/** Looks at the numbers in front of a locked key (RFC 8018): how often the passphrase is hashed is one of them. */
function requireFewRounds(pem: string): void {
  const [, body] = /-----BEGIN ENCRYPTED PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(pem) ?? [];
  if (body === undefined) return;
  const bytes = Buffer.from(body, 'base64');
  for (let at = 0, left = 40; at + 2 < bytes.length && left > 0; left--) {
    const [tag = 0, size = 0] = bytes.subarray(at, at + 2);
    const long = size > 0x80 ? size & 0x7f : 0;
    const start = at + 2 + long;
    const length =
      long === 0 ? size : long > 4 ? bytes.length : bytes.readUIntBE(at + 2, Math.min(long, bytes.length - at - 2));
    const number = bytes.subarray(start, start + length);
    if (tag === 0x02 && number.length > 0 && (number.length > 6 || number.readUIntBE(0, number.length) > MAX_ROUNDS)) {
      throw new AppError('invalid', 'The private key takes too long to unlock: lock it with fewer rounds.');
    }
    // Into sequences, past everything else.
    at = (tag & 0x20) === 0 ? start + length : start;
  }
}

function shown(name: string, { type, alias, publicKey }: StoredPair): KeyPair {
  return { name, type, alias, publicKey };
}

function pairsIn(sections: Readonly<Record<string, unknown>>): StoredPairs {
  return (sections[SECTION] ?? {}) as StoredPairs;
}

function pairOf(pairs: StoredPairs, name: string): StoredPair | undefined {
  return Object.hasOwn(pairs, name) ? pairs[name] : undefined;
}

export function unknownPair(name: string): AppError {
  return new AppError('not_found', `There is no key pair "${clip(name)}".`);
}
