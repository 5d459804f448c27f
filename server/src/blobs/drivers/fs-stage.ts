/** The stage of the file driver. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { AppError } from '../../core/errors.ts';
import type { Sha256 } from '../../core/ids.ts';
import { crashpoint } from '../../lib/crashpoint.ts';
import type { Stage } from '../driver.ts';
import { BUFFER_BYTES, type BufferPool } from './buffer-pool.ts';
import { removeFile, syncFolder, troubleOf } from './fs-files.ts';

/** Bytes after which the disk is asked to start writing, so that the final sync finds little left to do. */
const WRITEBACK_BYTES = 16 * 1024 * 1024;

export interface StageFolders {
  readonly staging: string;
  readonly objects: string;
  readonly buffers: BufferPool;
}

/** Bytes in a file of their own until they become an object. */
export class FsStage implements Stage {
  readonly id: string;
  readonly #folders: StageFolders;
  #handle: FileHandle | undefined;
  #size: number;
  /** Bytes handed to the file, whether they have arrived there or not. */
  #written: number;
  #synced: number;
  /** Collects what comes next; undefined while nothing waits. */
  #buffer: Buffer | undefined;
  #filled = 0;
  #writing: Promise<void> | undefined;
  #writeback: Promise<void> | undefined;
  #writebackFrom: number;
  #failure: unknown;

  constructor(id: string, handle: FileHandle, folders: StageFolders, size: number) {
    this.id = id;
    this.#handle = handle;
    this.#folders = folders;
    this.#size = size;
    this.#written = size;
    this.#synced = size;
    this.#writebackFrom = size;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Chunks are gathered in one buffer: the kernel takes many small pieces at odd places at half the speed of one large
   * piece.
   */
  write(chunk: Buffer, options: { readonly owned?: boolean } = {}): Promise<void> | undefined {
    if (this.#failure !== undefined) throw troubleOf(this.#failure);
    this.#size += chunk.length;
    return this.#gather(chunk, 0, options.owned === true);
  }

  #gather(chunk: Buffer, from: number, owned: boolean): Promise<void> | undefined {
    let at = from;
    while (at < chunk.length) {
      this.#buffer ??= this.#folders.buffers.take();
      const copied = chunk.copy(this.#buffer, this.#filled, at);
      this.#filled += copied;
      at += copied;
      if (this.#filled < this.#buffer.length) break;
      if (this.#writing !== undefined) {
        return this.#writing.then(() => {
          this.#writeOut();
          return this.#gather(chunk, at, owned);
        });
      }
      this.#writeOut();
    }
    if (owned) release(chunk);
    return undefined;
  }

  async sync(): Promise<void> {
    await this.#writing;
    this.#writeOut();
    await this.#writing;
    await this.#writeback;
    if (this.#failure !== undefined) throw troubleOf(this.#failure);
    if (this.#synced === this.#written) return;
    try {
      await this.#open().datasync();
      this.#synced = this.#written;
    } catch (error) {
      this.#failure = error;
      throw troubleOf(error);
    }
  }

  async truncate(size: number): Promise<void> {
    await this.sync();
    if (size > this.#size)
      throw new AppError('unavailable', 'Part of this upload is lost. Start it again.', { lost: true });
    try {
      await this.#open().truncate(size);
    } catch (error) {
      throw troubleOf(error);
    }
    this.#size = size;
    this.#written = size;
    this.#synced = -1;
  }

  async read(): Promise<Readable> {
    await this.sync();
    return this.#open().createReadStream({ start: 0, autoClose: false, highWaterMark: BUFFER_BYTES });
  }

  async commit(sha256: Sha256, announce: (key: string) => Promise<void>): Promise<string> {
    const shard = sha256.slice(0, 2);
    const key = `${shard}/${sha256}.${randomBytes(4).toString('hex')}`;
    await Promise.all([this.sync(), announce(key)]);
    crashpoint('blob.synced');
    try {
      await this.close();
      await rename(join(this.#folders.staging, this.id), join(this.#folders.objects, key));
      crashpoint('blob.renamed');
      await syncFolder(join(this.#folders.objects, shard));
    } catch (error) {
      throw troubleOf(error);
    }
    crashpoint('blob.folder-synced');
    return key;
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#writeback;
    const handle = this.#handle;
    this.#handle = undefined;
    if (this.#buffer) this.#folders.buffers.give(this.#buffer);
    this.#buffer = undefined;
    this.#filled = 0;
    await handle?.close();
  }

  async abort(): Promise<void> {
    await this.close().catch(() => undefined);
    await removeFile(join(this.#folders.staging, this.id));
  }

  #open(): FileHandle {
    if (!this.#handle) throw new Error('the stage is closed');
    return this.#handle;
  }

  /** Hands what was gathered to the file; nothing else may be under way there. */
  #writeOut(): void {
    const buffer = this.#buffer;
    if (!buffer) return;
    const [length, position] = [this.#filled, this.#written];
    this.#buffer = undefined;
    this.#filled = 0;
    this.#written += length;
    this.#writing = writeAll(this.#open(), buffer, length, position)
      .then(
        () => this.#startWriteback(),
        (error: unknown) => {
          this.#failure ??= error;
        },
      )
      .finally(() => {
        this.#folders.buffers.give(buffer);
        this.#writing = undefined;
      });
  }

  #startWriteback(): void {
    if (this.#writeback || this.#written - this.#writebackFrom < WRITEBACK_BYTES) return;
    this.#writebackFrom = this.#written;
    this.#writeback = this.#open()
      .datasync()
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#writeback = undefined;
      });
  }
}

/**
 * Gives the memory of a buffer back at once. Left to the collector, the chunks of fast uploads pile up and make it run
 * over everything again and again.
 */
function release(buffer: Buffer): void {
  const memory = buffer.buffer;
  if (memory instanceof ArrayBuffer && buffer.byteLength === memory.byteLength) memory.transfer(0);
}

async function writeAll(handle: FileHandle, buffer: Buffer, length: number, position: number): Promise<void> {
  for (let done = 0; done < length; ) {
    const { bytesWritten } = await handle.write(buffer, done, length - done, position + done);
    if (bytesWritten === 0) throw Object.assign(new Error('nothing could be written'), { code: 'ENOSPC' });
    done += bytesWritten;
  }
}
