/** Key blocks of OpenPGP (RFC 4880): whether a private key can be used, and belongs to a public one. */
import { createDecipheriv, createHash, timingSafeEqual } from 'node:crypto';

/** Why a key is of no use; the message is for whoever sent it. */
export class PgpProblem extends Error {}

const PUBLIC_KEY = 6;
const SECRET_KEY = 5;
const MAX_BYTES = 64 * 1024;
const HASHES = new Map([
  [2, { name: 'sha1', bytes: 20 }],
  [8, { name: 'sha256', bytes: 32 }],
  [9, { name: 'sha384', bytes: 48 }],
  [10, { name: 'sha512', bytes: 64 }],
  [11, { name: 'sha224', bytes: 28 }],
]);
const CIPHERS = new Map([
  [7, { name: 'aes-128-cfb', keyBytes: 16 }],
  [8, { name: 'aes-192-cfb', keyBytes: 24 }],
  [9, { name: 'aes-256-cfb', keyBytes: 32 }],
]);
const BLOCK_BYTES = 16;
/** What is hashed before others get a turn: less than a millisecond of work. */
const HASH_CHUNK = 256 * 1024;

export interface PgpKeyPair {
  /** Both as armoured blocks. */
  readonly privateKey: string;
  readonly publicKey: string;
  readonly passphrase: string;
}

/** Throws a PgpProblem unless the private key belongs to the public key and the passphrase opens it. */
export async function verifyPgpKeyPair({ privateKey, publicKey, passphrase }: PgpKeyPair): Promise<void> {
  const shared = firstPacket(publicKey, 'PUBLIC', PUBLIC_KEY);
  const secret = firstPacket(privateKey, 'PRIVATE', SECRET_KEY);
  if (shared[0] !== 4) throw new PgpProblem('The public key is not of version 4, which all clients understand.');
  if (!secret.subarray(0, shared.length).equals(shared)) {
    throw new PgpProblem('The private key does not belong to the public key.');
  }
  await requireOpened(secret.subarray(shared.length), passphrase);
}

/** The body of the first packet of an armoured block. */
function firstPacket(armored: string, kind: 'PUBLIC' | 'PRIVATE', tag: number): Buffer {
  const bytes = disarm(armored, kind);
  const what = `The ${kind.toLowerCase()} key`;
  const [first = 0, second = 0] = bytes;
  const isNew = (first & 0x40) !== 0;
  const found = isNew ? first & 0x3f : (first >> 2) & 0x0f;
  if ((first & 0x80) === 0 || found !== tag) throw new PgpProblem(`${what} does not begin with one.`);
  const { start, length } = isNew ? newLength(bytes, second) : oldLength(bytes, first & 3);
  if (length === undefined || start + length > bytes.length || length < 10) throw new PgpProblem(`${what} is cut off.`);
  return bytes.subarray(start, start + length);
}

interface Extent {
  readonly start: number;
  readonly length: number | undefined;
}

function newLength(bytes: Buffer, first: number): Extent {
  if (first < 192) return { start: 2, length: first };
  if (first < 224) return { start: 3, length: ((first - 192) << 8) + (bytes[2] ?? 0) + 192 };
  return { start: 6, length: first === 255 && bytes.length >= 6 ? bytes.readUInt32BE(2) : undefined };
}

function oldLength(bytes: Buffer, type: number): Extent {
  const size = [1, 2, 4][type];
  if (size === undefined || bytes.length < 1 + size) return { start: 1, length: undefined };
  return { start: 1 + size, length: bytes.readUIntBE(1, size) };
}

/** Takes the armour off, with its checksum where it has one. */
function disarm(text: string, kind: 'PUBLIC' | 'PRIVATE'): Buffer {
  const what = `The ${kind.toLowerCase()} key`;
  const lines = text.trim().split(/\r?\n/);
  const begin = `-----BEGIN PGP ${kind} KEY BLOCK-----`;
  const end = `-----END PGP ${kind} KEY BLOCK-----`;
  if (text.length > 2 * MAX_BYTES || lines[0]?.trim() !== begin || lines.at(-1)?.trim() !== end) {
    throw new PgpProblem(`${what} must be one armoured block that begins with "${begin}".`);
  }
  const body = lines.slice(1, -1).map((line) => line.trim());
  const blank = body.indexOf('');
  const data = body.slice(blank + 1).filter((line) => line !== '');
  const sum = data.at(-1)?.startsWith('=') ? data.pop() : undefined;
  const encoded = data.join('');
  if (blank < 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) throw new PgpProblem(`${what} is not base64.`);
  const bytes = Buffer.from(encoded, 'base64');
  if (sum !== undefined && Buffer.from(sum.slice(1), 'base64').toString('hex') !== crc24(bytes)) {
    throw new PgpProblem(`${what} is damaged: its checksum does not fit.`);
  }
  return bytes;
}

function crc24(bytes: Buffer): string {
  let crc = 0xb704ce;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit++) {
      crc <<= 1;
      if (crc & 0x1000000) crc ^= 0x1864cfb;
    }
  }
  return (crc & 0xffffff).toString(16).padStart(6, '0');
}

/** What follows the public part: how the secret part is locked, and that part. */
async function requireOpened(locked: Buffer, passphrase: string): Promise<void> {
  const [usage = 0] = locked;
  if (usage === 0) return requireSum(locked.subarray(1));
  const cipher = CIPHERS.get(locked[1] ?? 0);
  if ((usage !== 254 && usage !== 255) || !cipher) {
    throw new PgpProblem('The private key is locked in a way that is not understood. Lock it with AES, or not at all.');
  }
  const [, , type = -1, hashId = 0] = locked;
  const hash = HASHES.get(hashId);
  const saltBytes = type === 0 ? 0 : 8;
  const start = 4 + saltBytes + (type === 3 ? 1 : 0);
  if (![0, 1, 3].includes(type) || !hash || locked.length < start + BLOCK_BYTES + 20) {
    throw new PgpProblem(
      'The private key holds no secret part, or one that is locked in a way that is not understood.',
    );
  }
  const salt = locked.subarray(4, 4 + saltBytes);
  const coded = locked[4 + saltBytes] ?? 0;
  const count = type === 3 ? (16 + (coded & 15)) << ((coded >> 4) + 6) : 0;
  const key = await derive(
    { ...hash, keyBytes: cipher.keyBytes, count },
    Buffer.concat([salt, Buffer.from(passphrase)]),
  );
  const decipher = createDecipheriv(cipher.name, key, locked.subarray(start, start + BLOCK_BYTES));
  const opened = Buffer.concat([decipher.update(locked.subarray(start + BLOCK_BYTES)), decipher.final()]);
  const fits = usage === 254 ? hasDigest(opened) : hasSum(opened);
  if (!fits) throw new PgpProblem('The passphrase does not open the private key.');
}

/** A key out of salt and passphrase, as section 3.7.1 makes it. */
async function derive(
  { name, bytes, keyBytes, count }: { name: string; bytes: number; keyBytes: number; count: number },
  secret: Buffer,
): Promise<Buffer> {
  const total = Math.max(count, secret.length);
  const chunk = Buffer.alloc(Math.ceil(HASH_CHUNK / Math.max(secret.length, 1)) * Math.max(secret.length, 1));
  if (secret.length > 0) for (let at = 0; at < chunk.length; at += secret.length) secret.copy(chunk, at);
  const parts: Buffer[] = [];
  for (let i = 0; i * bytes < keyBytes; i++) {
    const hash = createHash(name).update(Buffer.alloc(i));
    for (let left = secret.length === 0 ? 0 : total; left > 0; left -= chunk.length) {
      hash.update(chunk.subarray(0, Math.min(left, chunk.length)));
      await new Promise(setImmediate);
    }
    parts.push(hash.digest());
  }
  return Buffer.concat(parts).subarray(0, keyBytes);
}

function hasDigest(opened: Buffer): boolean {
  if (opened.length < 20) return false;
  return timingSafeEqual(createHash('sha1').update(opened.subarray(0, -20)).digest(), opened.subarray(-20));
}

function hasSum(opened: Buffer): boolean {
  if (opened.length < 2) return false;
  const sum = opened.subarray(0, -2).reduce((before, byte) => (before + byte) & 0xffff, 0);
  return sum === opened.readUInt16BE(opened.length - 2);
}

function requireSum(plain: Buffer): void {
  if (!hasSum(plain)) throw new PgpProblem('The private key is damaged: its checksum does not fit.');
}
