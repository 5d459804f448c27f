/**
 * Rendered documents: pieces behind one another, each hashed and compressed once, so that a document that changes in one
 * place is made anew of the pieces that stayed as they were and one that did not.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, crc32, deflateRaw, inflateRawSync } from 'node:zlib';
import { joinedCrc, type Shift, shiftOver } from './crc-joined.ts';
import { Spell } from './spell.ts';

const compress = promisify(deflateRaw);
/** A piece of this size takes a fraction of a millisecond. */
const PIECE_BYTES = 256 * 1024;
/** Fewer bytes are sent from one buffer. */
const JOINED_BYTES = 64 * 1024;
/** The header of a gzip file without a name and a time, and the empty last block of its content. */
const GZIP_HEAD = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
const LAST_BLOCK = Buffer.from([3, 0]);
const EMPTY = Buffer.alloc(0);

/** Bytes that stand in one or more documents. Whoever makes one keeps it to some hundred KB. */
export class Piece {
  readonly size: number;
  readonly sha1: Buffer;
  /** Undefined while only the compressed form is kept, which is all that most clients ask for. */
  #bytes: Buffer | undefined;
  #compressed: Buffer | undefined;
  #compressing: Promise<Buffer> | undefined;
  #crc: { readonly sum: number; readonly shift: Shift } | undefined;

  constructor(content: string | Buffer) {
    this.#bytes = typeof content === 'string' ? Buffer.from(content) : content;
    this.size = this.#bytes.length;
    this.sha1 = createHash('sha1').update(this.#bytes).digest();
  }

  /** What was asked for again after it was compressed is kept in both forms. */
  get bytes(): Buffer {
    this.#bytes ??= inflateRawSync(this.#compressed ?? EMPTY, { finishFlush: constants.Z_SYNC_FLUSH });
    return this.#bytes;
  }

  /** Ends at a byte and refers to nothing before it, so that it can stand behind any other. */
  async deflated(): Promise<Buffer> {
    if (this.#compressed) return this.#compressed;
    this.#compressing ??= this.#deflate().finally(() => {
      this.#compressing = undefined;
    });
    return this.#compressing;
  }

  /** Has the compressed form stand in a buffer that is kept anyway, where it has been copied to. */
  moveDeflated(copy: Buffer): void {
    this.#compressed = copy;
  }

  async #deflate(): Promise<Buffer> {
    const { bytes } = this;
    this.#crc ??= { sum: crc32(bytes), shift: shiftOver(bytes.length) };
    const compressed = alone([await compress(bytes, { finishFlush: constants.Z_SYNC_FLUSH })]);
    this.#compressed = compressed;
    this.#bytes = undefined;
    return compressed;
  }

  /** The CRC-32 of what has the sum `before` with the piece behind it. */
  crcAfter(before: number): number {
    this.#crc ??= { sum: crc32(this.bytes), shift: shiftOver(this.size) };
    return joinedCrc(before, this.#crc.sum, this.#crc.shift);
  }
}

/** What a document is rendered to. */
export type RenderedBody = { readonly mediaType: string } & (
  | { readonly bytes: Buffer }
  | { readonly pieces: readonly Piece[] }
);

/** A rendered document. The tag names its bytes. */
export class Rendered {
  readonly pieces: readonly Piece[];
  readonly mediaType: string;
  readonly size: number;
  readonly etag: string;
  readonly #sums = new Map<string, Promise<string>>();
  #gzipped: Promise<readonly Buffer[]> | undefined;

  constructor(pieces: readonly Piece[], mediaType: string) {
    this.pieces = pieces;
    this.mediaType = mediaType;
    this.size = pieces.reduce((sum, { size }) => sum + size, 0);
    const [only] = pieces;
    const sums =
      pieces.length === 1 && only
        ? only.sha1
        : createHash('sha1')
            .update(Buffer.concat(pieces.map(({ sha1 }) => sha1)))
            .digest();
    this.etag = sums.toString('hex');
  }

  /** Cuts what comes in one piece, and lets others in while it does. */
  static async of(body: RenderedBody): Promise<Rendered> {
    if ('pieces' in body) return new Rendered(body.pieces, body.mediaType);
    const { bytes, mediaType } = body;
    const spell = new Spell();
    const pieces: Piece[] = [];
    for (let at = 0; at < bytes.length || at === 0; at += PIECE_BYTES) {
      pieces.push(new Piece(bytes.subarray(at, at + PIECE_BYTES)));
      if (spell.isOver) await spell.rest();
    }
    return new Rendered(pieces, mediaType);
  }

  /** The bytes behind one another. */
  async chunks(): Promise<readonly Buffer[]> {
    const spell = new Spell();
    const chunks: Buffer[] = [];
    for (const piece of this.pieces) {
      chunks.push(piece.bytes);
      if (spell.isOver) await spell.rest();
    }
    return chunks;
  }

  /** The bytes in one buffer, which for large documents takes its time. */
  get bytes(): Buffer {
    return joined(this.pieces.map(({ bytes }) => bytes));
  }

  /** The bytes for clients that take gzip, compressed at the first of them. */
  gzip(): Promise<readonly Buffer[]> {
    this.#gzipped ??= this.#compressed().catch((error: unknown) => {
      this.#gzipped = undefined;
      throw error;
    });
    return this.#gzipped;
  }

  /** The checksum in hex. */
  sum(algorithm: 'sha512' | 'sha256' | 'sha1' | 'md5'): Promise<string> {
    let sum = this.#sums.get(algorithm);
    if (!sum) {
      sum = this.#summed(algorithm);
      this.#sums.set(algorithm, sum);
    }
    return sum;
  }

  async #summed(algorithm: string): Promise<string> {
    const spell = new Spell();
    const hash = createHash(algorithm);
    for (const { bytes } of this.pieces) {
      hash.update(bytes);
      if (spell.isOver) await spell.rest();
    }
    return hash.digest('hex');
  }

  async #compressed(): Promise<readonly Buffer[]> {
    const spell = new Spell();
    const parts: Buffer[] = [GZIP_HEAD];
    let sum = 0;
    // One after another, so that compressing takes one thread of few.
    for (const piece of this.pieces) {
      parts.push(await piece.deflated());
      sum = piece.crcAfter(sum);
      if (spell.isOver) await spell.rest();
    }
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(sum >>> 0, 0);
    trailer.writeUInt32LE(this.size % 2 ** 32, 4);
    parts.push(LAST_BLOCK, trailer);
    if (lengthOf(parts) > JOINED_BYTES) return parts;
    const whole = alone(parts);
    let at = GZIP_HEAD.length;
    for (const [i, piece] of this.pieces.entries()) {
      const end = at + (parts[i + 1]?.length ?? 0);
      piece.moveDeflated(whole.subarray(at, end));
      at = end;
    }
    return [whole];
  }
}

/** The bytes in a buffer of their own: what is kept for long must not keep a larger one that others share. */
function alone(parts: readonly Buffer[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow(lengthOf(parts));
  let at = 0;
  for (const part of parts) at += part.copy(bytes, at);
  return bytes;
}

function lengthOf(parts: readonly Buffer[]): number {
  return parts.reduce((length, part) => length + part.length, 0);
}

function joined(parts: readonly Buffer[]): Buffer {
  const [only] = parts;
  return parts.length === 1 && only ? only : Buffer.concat(parts);
}
