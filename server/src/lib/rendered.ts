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
}

/** A rendered document. The tag names its bytes. */
export class Rendered {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly etag: string;
  #compressed: Promise<Buffer> | undefined;

  constructor({ bytes, mediaType, etag }: RenderedBody) {
    this.bytes = bytes;
    this.mediaType = mediaType;
    this.etag = etag ?? createHash('sha1').update(bytes).digest('hex');
  }

  /** The bytes for clients that take gzip, compressed at the first of them. */
  gzip(): Promise<Buffer> {
    this.#compressed ??= compress(this.bytes);
    return this.#compressed;
  }
}
