/** Bytes with the tag that names them, compressed when somebody takes them so. */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const compress = promisify(gzip);

export interface RenderedBody {
  readonly bytes: Buffer;
  readonly mediaType: string;
  /** The SHA-1 of the bytes in hex, where it was computed while they were made. */
  readonly etag?: string;
  /** The bytes in the form of gzip, where they were made with them. */
  readonly gzipped?: Buffer;
}

/** A rendered document. The tag names its bytes. */
export class Rendered {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly etag: string;
  #compressed: Promise<Buffer> | undefined;

  constructor({ bytes, mediaType, etag, gzipped }: RenderedBody) {
    this.bytes = bytes;
    this.mediaType = mediaType;
    if (gzipped) this.#compressed = Promise.resolve(gzipped);
    this.etag = etag ?? createHash('sha1').update(bytes).digest('hex');
  }

  /** The bytes for clients that take gzip, compressed at the first of them. */
  gzip(): Promise<Buffer> {
    this.#compressed ??= compress(this.bytes);
    return this.#compressed;
  }
}
