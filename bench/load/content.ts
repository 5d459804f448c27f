import { createHash, type Hash, randomBytes } from 'node:crypto';

const blockBytes = 4 * 1024 * 1024;
// Go's HTTP client, so docker, sends a body of unknown length in chunks of its 32 KiB copy buffer.
const chunkBytes = 32 * 1024;
const trailerBytes = 64;
const chunkHead = Buffer.from(`${chunkBytes.toString(16)}\r\n`);
const crlf = Buffer.from('\r\n');

/** Unique bytes at the end of an otherwise shared content. */
export type Trailer = Buffer;

export type Blob = { readonly digest: string; readonly sizeBytes: number; readonly trailer: Trailer };

/**
 * Blobs of one size that differ in their last bytes only: the shared part is one random block repeated, hashed once,
 * so a new blob costs the hash of its trailer and no memory.
 */
export class BlobSource {
  readonly sizeBytes: number;
  readonly #block: Buffer;
  readonly #chunked: Buffer;
  readonly #prefixHash: Hash;

  constructor(sizeBytes: number) {
    if (sizeBytes < trailerBytes) throw new Error(`A blob has at least ${trailerBytes} bytes, not ${sizeBytes}`);
    this.sizeBytes = sizeBytes;
    this.#block = randomBytes(Math.min(blockBytes, sizeBytes));
    this.#chunked = encodeChunks(this.#block);
    this.#prefixHash = createHash('sha256');
    for (const part of this.#prefix()) this.#prefixHash.update(part);
  }

  /** A new blob whose digest no other blob has. */
  create(): Blob {
    const trailer = randomBytes(trailerBytes);
    const digest = `sha256:${this.#prefixHash.copy().update(trailer).digest('hex')}`;
    return { digest, sizeBytes: this.sizeBytes, trailer };
  }

  /** The bytes as they are. */
  *body(blob: Blob): Generator<Buffer> {
    yield* this.#prefix();
    yield blob.trailer;
  }

  /** The bytes in chunked transfer coding. */
  *chunkedBody(blob: Blob): Generator<Buffer> {
    let remaining = this.sizeBytes - trailerBytes;
    for (; remaining >= this.#block.length && this.#block.length === blockBytes; remaining -= blockBytes) {
      yield this.#chunked;
    }
    const wholeChunks = Math.floor(remaining / chunkBytes);
    yield this.#chunked.subarray(0, wholeChunks * (chunkHead.length + chunkBytes + crlf.length));
    const rest = this.#block.subarray(wholeChunks * chunkBytes, remaining);
    const last = Buffer.from(`${(rest.length + trailerBytes).toString(16)}\r\n`);
    yield Buffer.concat([last, rest, blob.trailer, Buffer.from('\r\n0\r\n\r\n')]);
  }

  *#prefix(): Generator<Buffer> {
    for (let remaining = this.sizeBytes - trailerBytes; remaining > 0; remaining -= this.#block.length) {
      yield remaining >= this.#block.length ? this.#block : this.#block.subarray(0, remaining);
    }
  }
}

function encodeChunks(block: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let start = 0; start + chunkBytes <= block.length; start += chunkBytes) {
    parts.push(chunkHead, block.subarray(start, start + chunkBytes), crlf);
  }
  return Buffer.concat(parts);
}
