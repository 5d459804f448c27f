/**
 * Rendered documents: pieces behind one another, each hashed and compressed once, so that a document that changes in one
 * place is made anew of the pieces that stayed as they were and one that did not.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, crc32, deflateRaw } from 'node:zlib';
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

/** Bytes that stand in one or more documents. Whoever makes one keeps it to some hundred KB. */
export class Piece {
  readonly bytes: Buffer;
  readonly sha1: Buffer;
  #deflated: Promise<Buffer> | undefined;
  #crc: { readonly sum: number; readonly shift: Shift } | undefined;

  constructor(content: string | Buffer) {
    this.bytes = typeof content === 'string' ? Buffer.from(content) : content;
    this.sha1 = createHash('sha1').update(this.bytes).digest();
  }

  /** Ends at a byte and refers to nothing before it, so that it can stand behind any other. */
  deflated(): Promise<Buffer> {
    this.#deflated ??= compress(this.bytes, { finishFlush: constants.Z_SYNC_FLUSH }).catch((error: unknown) => {
      this.#deflated = undefined;
      throw error;
    });
    return this.#deflated;
  }

  /** The CRC-32 of what has the sum `before` with the piece behind it. */
  crcAfter(before: number): number {
    this.#crc ??= { sum: crc32(this.bytes), shift: shiftOver(this.bytes.length) };
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
    this.size = pieces.reduce((sum, { bytes }) => sum + bytes.length, 0);
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

  get chunks(): readonly Buffer[] {
    return this.pieces.map(({ bytes }) => bytes);
  }

  /** The bytes in one buffer, which for large documents takes its time. */
  get bytes(): Buffer {
    return joined(this.chunks);
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
    return parts.reduce((length, part) => length + part.length, 0) <= JOINED_BYTES ? [Buffer.concat(parts)] : parts;
  }
}

function joined(parts: readonly Buffer[]): Buffer {
  const [only] = parts;
  return parts.length === 1 && only ? only : Buffer.concat(parts);
}
