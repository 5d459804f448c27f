/** The master key and what is derived from it: sealing of secrets at rest, and keyed hashes. */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { chmod, link, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Database } from '../db/database.ts';
import { createSetting, getSetting } from '../db/settings.ts';

/** Either the key itself, or the folder in which it is kept and, at the first start, made. */
export type MasterKeySource = { readonly key: Buffer } | { readonly folder: string };

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_FILE = 'master.key';
const CHECK_SETTING = 'master-key-check';
/** Names the layout of what is sealed, so that another can follow. */
const VERSION = 'v1';

/** Takes 32 bytes in hex or base64, as a configuration gives them; fails on anything else. */
export function parseMasterKey(text: string): Buffer {
  const trimmed = text.trim();
  const key = /^[0-9a-fA-F]{64}$/.test(trimmed) ? Buffer.from(trimmed, 'hex') : decodeBase64(trimmed);
  if (key?.length !== KEY_BYTES) {
    throw new Error(`The master key must be ${KEY_BYTES} bytes, given as 64 hex digits or as base64.`);
  }
  if (key.every((byte) => byte === key[0])) {
    throw new Error('The master key is one byte repeated, so it is no secret. Make one with "openssl rand -hex 32".');
  }
  return key;
}

/** Opens the secrets of a database; fails when its secrets were sealed with another key, or with one now missing. */
export async function openSecrets(database: Database, source: MasterKeySource): Promise<Secrets> {
  const known = await database.read((db) => getSetting(db, CHECK_SETTING));
  const secrets = new Secrets('key' in source ? source.key : await loadKey(source.folder, known === undefined));
  const check = secrets.hmac('key-check', 'entrepot');
  const stored =
    known ?? (await database.transaction((tx) => createSetting(tx, CHECK_SETTING, check.toString('base64url'))));
  const expected = Buffer.from(stored, 'base64url');
  if (expected.length !== check.length || !timingSafeEqual(expected, check)) {
    throw new Error(
      'The master key is not the one this database was made with. Start with that key; without it, sealed secrets and tokens are lost.',
    );
  }
  return secrets;
}

/** Seals, opens and hashes under keys that are each good for one purpose only. */
export class Secrets {
  readonly #master: KeyObject;
  readonly #keys = new Map<string, KeyObject>();

  constructor(master: Buffer) {
    if (master.length !== KEY_BYTES) throw new Error(`The master key must be ${KEY_BYTES} bytes.`);
    this.#master = createSecretKey(master);
  }

  /** Encrypts; `context` says where the result will be kept, and must be the same to open it. */
  seal(purpose: string, plain: string | Buffer, context: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key(`seal ${purpose}`), nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(`${VERSION}\n${purpose}\n${context}`));
    const body = Buffer.concat([cipher.update(plain), cipher.final()]);
    return `${VERSION}.${Buffer.concat([nonce, body, cipher.getAuthTag()]).toString('base64url')}`;
  }

  /** Decrypts; fails when the text was changed, moved from another place or sealed with another key. */
  open(purpose: string, sealed: string, context: string): Buffer {
    const bytes = sealed.startsWith(`${VERSION}.`) ? Buffer.from(sealed.slice(VERSION.length + 1), 'base64url') : null;
    if (!bytes || bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error(`A sealed ${purpose} is damaged.`);
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', this.#key(`seal ${purpose}`), nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(`${VERSION}\n${purpose}\n${context}`));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    } catch (cause) {
      throw new Error(`A sealed ${purpose} cannot be opened: it was changed or sealed with another key.`, { cause });
    }
  }

  /** HMAC-SHA-256 under a key of its own for the purpose. */
  hmac(purpose: string, text: string): Buffer {
    return createHmac('sha256', this.#key(`hmac ${purpose}`))
      .update(text)
      .digest();
  }

  #key(info: string): KeyObject {
    let key = this.#keys.get(info);
    if (!key) {
      const salt = Buffer.alloc(0);
      key = createSecretKey(Buffer.from(hkdfSync('sha256', this.#master, salt, `entrepot ${info}`, KEY_BYTES)));
      this.#keys.set(info, key);
    }
    return key;
  }
}

function decodeBase64(text: string): Buffer | undefined {
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}

async function loadKey(folder: string, mayCreate: boolean): Promise<Buffer> {
  const file = join(folder, KEY_FILE);
  try {
    return await readKey(file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  if (!mayCreate) {
    throw new Error(
      `The master key ${file} is missing, but the database holds secrets sealed with it. Restore the file from a backup.`,
    );
  }
  await createKey(file);
  return readKey(file);
}

async function readKey(file: string): Promise<Buffer> {
  const { mode } = await stat(file);
  // Windows has no such bits and reports all of them.
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new Error(`The master key ${file} can be read by other users of this machine. Run "chmod 600" on it.`);
  }
  return parseMasterKey(await readFile(file, 'utf8'));
}

/** The file appears whole or not at all; whoever comes second keeps the first one's key. */
async function createKey(file: string): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(`${randomBytes(KEY_BYTES).toString('hex')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await chmod(temporary, 0o600);
  try {
    await link(temporary, file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  const parent = await open(dirname(file), 'r');
  await parent.sync();
  await parent.close();
}
