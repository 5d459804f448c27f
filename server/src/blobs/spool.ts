/**
 * Bytes on their way in that are read while they are written: by anybody, from any place, at any speed. They rest in
 * memory while they are few and in a file on this machine beyond that. Where nothing can be kept they are passed on to
 * whoever reads now, at the speed of the slowest.
 *
 * The last byte is held back until somebody says that all are right: wrong ones never end as if they were.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../core/errors.ts';
import type { ByteRange } from '../core/repository.ts';
import type { BlobDriver, SpoolFile } from './driver.ts';
import type { Held } from './landing.ts';

export interface SpoolOptions {
  readonly driver: BlobDriver;
  /** Up to this many bytes need no file. */
  readonly memoryBytes: number;
  /** False where nothing is to be kept. */
  readonly keeps: boolean;
}

interface Reader {
  position: number;
  /** The chunk that is being handed on: its memory is in use. */
  holds: Buffer | undefined;
}

/** What may wait to be written before whoever writes has to wait too. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
/** What is not kept waits so long for somebody to read it. */
const FIRST_READER_MS = 30_000;
const POLL_MS = 1000;
const READ_BYTES = 256 * 1024;
/** Written bytes after which the disk is asked to begin, so that the sync at the end finds little to do. */
const WRITEBACK_BYTES = 16 * 1024 * 1024;
/** Chunks are written together: many small pieces cost the kernel more than one large piece. */
const BATCH_BYTES = 512 * 1024;

export class Spool {
  readonly #options: SpoolOptions;
  readonly #readers = new Set<Reader>();
  /** Bytes from `#base` on that are in no file. */
  #waiting: Buffer[] = [];
  #base = 0;
  #size = 0;
  #handedOut = 0;
  /** Bytes in the file. */
  #written = 0;
  #file: SpoolFile | undefined;
  #writing: Promise<void> | undefined;
  /** Somebody waits for all that came to be in the file, however little it is. */
  #isFlushing = false;
  #syncedTo = 0;
  #state: 'memory' | 'file' | 'passing';
  #isVerified = false;
  #failure: unknown;
  #isDropped = false;
  #change = Promise.withResolvers<void>();
  /** Why nothing is kept, where that was not wanted. */
  #trouble: unknown;

  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#state = options.keeps ? 'memory' : 'passing';
  }

  get size(): number {
    return this.#size;
  }

  /** Whether all that came can still be kept. */
  get isKept(): boolean {
    return this.#state !== 'passing';
  }

  /** What kept the bytes from being kept. */
  get trouble(): unknown {
    return this.#trouble;
  }

  get hasReaders(): boolean {
    return this.#readers.size > 0;
  }

  /** Whether the bytes from the beginning on are still here for somebody who comes now. */
  get isOpen(): boolean {
    return this.#failure === undefined && !this.#isDropped && this.#base <= this.#written;
  }

  /** How far anybody has been given bytes. */
  get handedOut(): number {
    return this.#handedOut;
  }

  get isDropped(): boolean {
    return this.#isDropped;
  }

  /** Appends a chunk that nobody changes any more; the promise, if any, says when the next one may come. */
  write(chunk: Buffer): Promise<void> | undefined {
    this.#waiting.push(chunk);
    this.#size += chunk.length;
    if (this.#state === 'memory' && this.#size > this.#options.memoryBytes) this.#state = 'file';
    if (this.#state === 'file' && this.#size - this.#base >= BATCH_BYTES) this.#startWriting();
    this.#changed();
    if (this.#state === 'passing') {
      if (this.#readers.size === 0 && this.#handedOut > 0) throw nobodyLeft();
      this.#trim();
    }
    return this.#isFull() ? this.#drained() : undefined;
  }

  /** All bytes are here and right: the last one may go. */
  verified(): void {
    this.#isVerified = true;
    this.#changed();
  }

  /** No more bytes come: whoever reads is told why. */
  fail(error: unknown): void {
    if (this.#isVerified) return;
    this.#failure ??= error;
    this.#changed();
  }

  /** Forgets all bytes, to begin again; only as long as nobody has read any. */
  restart(): void {
    if (this.#handedOut > 0) throw new Error('bytes that somebody has read cannot be taken back');
    this.#waiting = [];
    this.#size = 0;
    this.#base = 0;
    // What the file holds is written over, and what is left beyond the end is cut off.
    this.#written = 0;
    this.#syncedTo = 0;
  }

  /** Waits until no write is under way, so that `restart` can be called. */
  async quiet(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async #flush(): Promise<void> {
    this.#isFlushing = true;
    if (this.#state === 'file') this.#startWriting();
    await this.quiet();
  }

  /** Hands on chunks as they come, up to the end; a chunk is valid only until the promise of `write` settles. */
  async pump(range: ByteRange | undefined, write: (chunk: Buffer) => Promise<void>): Promise<void> {
    const reader: Reader = { position: range?.start ?? 0, holds: undefined };
    const isPast = reader.position < this.#base && this.#written < this.#base;
    if (this.#failure === undefined && (this.#isDropped || isPast)) throw gone();
    const end = range ? range.end + 1 : Number.POSITIVE_INFINITY;
    const buffer = { bytes: undefined as Buffer | undefined };
    this.#readers.add(reader);
    try {
      for (;;) {
        const change = this.#change.promise;
        if (this.#failure !== undefined) throw this.#failure;
        // Of a part, too, the last byte waits: it would be taken for right.
        const here = Math.min(end, this.#size);
        const limit = this.#isVerified ? here : here === this.#size || here === end ? here - 1 : here;
        if (reader.position < limit) {
          const chunk = await this.#read(reader, limit, buffer);
          this.#handedOut = Math.max(this.#handedOut, reader.position + chunk.length);
          await write(chunk);
          reader.holds = undefined;
          reader.position += chunk.length;
          if (this.#state === 'passing') this.#trim();
        } else if (this.#isVerified) {
          return;
        } else {
          await change;
        }
      }
    } finally {
      this.#readers.delete(reader);
      if (this.#state === 'passing') this.#trim();
      this.#changed();
    }
  }

  /** All bytes as the store takes them in; readers go on reading. */
  async held(): Promise<Held> {
    if (this.#state === 'memory') return { buffer: Buffer.concat(this.#waiting) };
    await this.#flush();
    const file = this.#file;
    if (!this.isKept || !file || this.#written !== this.#size) throw this.#trouble ?? gone();
    if ((await file.handle.stat()).size > this.#size) await file.handle.truncate(this.#size);
    return { stage: await file.toStage(this.#size) };
  }

  /** Frees everything once the last reader is gone; nobody can begin to read any more. */
  async drop(): Promise<void> {
    if (this.#isDropped) return;
    this.#isDropped = true;
    while (this.#readers.size > 0) await this.#change.promise;
    await this.quiet();
    this.#waiting = [];
    const file = this.#file;
    this.#file = undefined;
    await file?.remove().catch(() => undefined);
    await file?.handle.close().catch(() => undefined);
  }

  async #read(reader: Reader, limit: number, own: { bytes: Buffer | undefined }): Promise<Buffer> {
    const { position } = reader;
    if (position >= this.#base) {
      let at = this.#base;
      for (const chunk of this.#waiting) {
        if (position < at + chunk.length) {
          reader.holds = chunk;
          return chunk.subarray(position - at, Math.min(chunk.length, limit - at));
        }
        at += chunk.length;
      }
    }
    const file = this.#file;
    if (!file || position >= this.#written) throw gone();
    own.bytes ??= Buffer.allocUnsafeSlow(READ_BYTES);
    const wanted = Math.min(own.bytes.length, this.#written - position, limit - position);
    const { bytesRead } = await file.handle.read(own.bytes, 0, wanted, position);
    if (bytesRead === 0) throw gone();
    return own.bytes.subarray(0, bytesRead);
  }

  #startWriting(): void {
    if (this.#writing !== undefined) return;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
      this.#changed();
    });
  }

  async #writeAll(): Promise<void> {
    try {
      this.#file ??= await this.#options.driver.spool();
      while (this.#state === 'file' && this.#hasBatch()) {
        const batch = [...this.#waiting];
        const bytes = batch.reduce((sum, chunk) => sum + chunk.length, 0);
        await writeWhole(this.#file, batch, bytes, this.#written);
        this.#waiting.splice(0, batch.length);
        this.#written += bytes;
        this.#base = this.#written;
        this.#changed();
        this.#writeBack();
        this.#release(batch);
      }
    } catch (error) {
      // Clients still get their bytes; nothing of them is kept.
      this.#trouble = error;
      this.#state = 'passing';
      this.#trim();
    }
  }

  #hasBatch(): boolean {
    return this.#size - this.#base >= (this.#isFlushing ? 1 : BATCH_BYTES);
  }

  /**
   * Gives the memory of chunks back at once that nobody is handing on. Left to the collector, the chunks of fast
   * upstreams pile up and make it run over everything again and again.
   */
  #release(batch: readonly Buffer[]): void {
    const held = new Set<ArrayBufferLike>();
    for (const { holds } of this.#readers) if (holds) held.add(holds.buffer);
    for (const { buffer, byteLength } of batch) {
      if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && !held.has(buffer)) buffer.transfer(0);
    }
  }

  #writeBack(): void {
    if (this.#written - this.#syncedTo < WRITEBACK_BYTES) return;
    this.#syncedTo = this.#written;
    this.#file?.handle.datasync().catch(() => undefined);
  }

  /** Lets go of what everybody who reads has read. */
  #trim(): void {
    let least = Number.POSITIVE_INFINITY;
    for (const { position } of this.#readers) least = Math.min(least, position);
    // Somebody who is about to read finds it from the beginning on.
    if (this.#readers.size === 0 && this.#handedOut === 0) return;
    while (this.#waiting[0] && this.#base + this.#waiting[0].length <= least && this.#isFull()) {
      this.#base += this.#waiting[0].length;
      this.#waiting.shift();
      this.#changed();
    }
  }

  #isFull(): boolean {
    return this.#size - this.#base > MAX_WAITING_BYTES;
  }

  async #drained(): Promise<void> {
    const giveUpAt = performance.now() + FIRST_READER_MS;
    while (this.#isFull() && this.#failure === undefined) {
      const change = this.#change.promise;
      if (this.#state === 'passing') {
        this.#trim();
        if (!this.#isFull()) return;
        if (this.#readers.size === 0 && performance.now() > giveUpAt) throw nobodyLeft();
      }
      await (this.#readers.size > 0 ? change : Promise.race([change, delay(POLL_MS, undefined, { ref: false })]));
    }
  }

  #changed(): void {
    const { resolve } = this.#change;
    this.#change = Promise.withResolvers();
    resolve();
  }
}

async function writeWhole(file: SpoolFile, batch: Buffer[], bytes: number, position: number): Promise<void> {
  const { bytesWritten } = await file.handle.writev(batch, position);
  if (bytesWritten === bytes) return;
  const rest = Buffer.concat(batch);
  for (let done = bytesWritten; done < bytes; ) {
    const more = await file.handle.write(rest, done, bytes - done, position + done);
    if (more.bytesWritten === 0) throw Object.assign(new Error('nothing could be written'), { code: 'ENOSPC' });
    done += more.bytesWritten;
  }
}

function gone(): AppError {
  return new AppError('unavailable', 'These bytes were passed on and not kept. Ask again.');
}

/** Nothing is kept, and nobody wants it any more. */
function nobodyLeft(): AppError {
  return new AppError('unavailable', 'Nobody waits for these bytes any more.', { abandoned: true });
}
