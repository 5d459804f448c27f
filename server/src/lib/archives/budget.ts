/** What may come out of an archive, and what is said of one that would let out more. */
import type { Readable } from 'node:stream';

/** Bytes that can be read from any place; offsets are inclusive, as in HTTP. */
export interface ByteSource {
  readonly size: number;
  open(range?: { readonly start: number; readonly end: number }): Promise<Readable>;
}

export interface ArchiveLimits {
  readonly maxEntries: number;
  /** Bytes that come out of the archive, all together. */
  readonly maxTotalBytes: number;
  /** How many times larger than the archive what comes out of it may be, beyond a size at which nobody minds. */
  readonly maxRatio: number;
}

export interface ArchiveEntry {
  /** As the archive has it: it can say anything. */
  readonly name: string;
  readonly type: 'file' | 'folder' | 'other';
  /** What the archive says; the bytes are counted when they come. */
  readonly size: number;
  /** The bytes, once, before the next entry is asked for. */
  open(): Promise<AsyncIterable<Buffer>>;
}

/** Something is wrong with the archive; the message ends a sentence that says with which. */
export class ArchiveProblem extends Error {}

/** An archive of which less comes out harms nobody, however well it is compressed. */
const HARMLESS_BYTES = 64 * 1024 * 1024;

/** Counts what comes out of an archive. */
export class Budget {
  readonly #archiveBytes: number;
  readonly #limits: ArchiveLimits;
  #bytes = 0;

  constructor(archiveBytes: number, limits: ArchiveLimits) {
    this.#archiveBytes = archiveBytes;
    this.#limits = limits;
  }

  /** Throws as soon as it is too much. */
  spend(bytes: number): void {
    this.#bytes += bytes;
    const { maxTotalBytes, maxRatio } = this.#limits;
    if (this.#bytes > maxTotalBytes) throw new ArchiveProblem(`it unpacks to more than ${maxTotalBytes} bytes`);
    if (this.#bytes > HARMLESS_BYTES && this.#bytes > this.#archiveBytes * maxRatio) {
      throw new ArchiveProblem(`it unpacks to more than ${maxRatio} times its size`);
    }
  }
}
