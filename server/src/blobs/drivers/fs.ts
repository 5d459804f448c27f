/**
 * Objects as files: `objects/ab/<sha256>.<generation>`, staged in `staging/` on the same file system. A file appears
 * under its final name only when its bytes are on disk, and its name is on disk before anybody is told.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, lstat, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { AppError } from '../../core/errors.ts';
import type { Sha256 } from '../../core/ids.ts';
import type { ByteRange } from '../../core/repository.ts';
import { crashpoint } from '../../lib/crashpoint.ts';
import type { BlobDriver, Stage, StoredObject } from '../driver.ts';

export interface FsOptions {
  readonly root: string;
  /** Uploads are refused while less than this is free, so that deletes and the database still have room. */
  readonly freeSpaceFloorBytes: number;
}

/** Written to the file in pieces of this size; smaller ones cost more calls, larger ones more memory. */
const WRITE_BYTES = 1024 * 1024;
/** Bytes after which the disk is asked to start writing, so that the final sync finds little left to do. */
const WRITEBACK_BYTES = 16 * 1024 * 1024;
/** Measured best for loopback and local disks; see docs/adr/0005-byte-paths.md. */
const READ_BYTES = 512 * 1024;
const READ_BUFFERS_KEPT = 32;
const SPACE_CHECK_MS = 1000;
const KEY = /^[0-9a-f]{2}\/[0-9a-f]{64}\.[0-9a-f]{8}$/;
const STAGE_ID = /^[0-9a-f-]{36}$/;

export function openFsDriver(options: FsOptions): BlobDriver {
  return new FsDriver(options);
}

class FsDriver implements BlobDriver {
  readonly name = 'fs';
  readonly #root: string;
  readonly #objects: string;
  readonly #staging: string;
  readonly #floor: number;
  readonly #buffers: Buffer[] = [];
  #spaceCheckedAt = 0;

  constructor(options: FsOptions) {
    this.#root = options.root;
    this.#objects = join(options.root, 'objects');
    this.#staging = join(options.root, 'staging');
    this.#floor = options.freeSpaceFloorBytes;
  }

  async start(): Promise<void> {
    await mkdir(this.#staging, { recursive: true });
    await mkdir(this.#objects, { recursive: true });
    const present = new Set(await readdir(this.#objects));
    for (let shard = 0; shard < 256; shard++) {
      const name = shard.toString(16).padStart(2, '0');
      if (!present.has(name)) await mkdir(join(this.#objects, name), { recursive: true });
    }
    // No object is on disk before the names of its folders are. Whoever made them may have died before the sync.
    await syncFolder(this.#objects);
    await syncFolder(this.#root);
    await syncFolder(dirname(this.#root)).catch((error: unknown) => {
      // A folder that we may not even read was not changed by us.
      if (codeOf(error) !== 'EACCES') throw error;
    });
    await access(this.#staging, constants.W_OK);
    // Objects are renamed out of staging, which is atomic only within one file system.
    const [from, to] = await Promise.all([stat(this.#staging), stat(this.#objects)]);
    if (from.dev !== to.dev) throw new Error('The folders "staging" and "objects" must lie on one file system.');
  }

  async open(key: string, range?: ByteRange): Promise<Readable> {
    const handle = await this.#handle(key);
    return handle.createReadStream({ highWaterMark: 256 * 1024, ...(range && { start: range.start, end: range.end }) });
  }

  async pump(key: string, range: ByteRange | undefined, write: (chunk: Buffer) => Promise<void>): Promise<void> {
    const handle = await this.#handle(key);
    try {
      const start = range?.start ?? 0;
      const end = range ? range.end + 1 : (await handle.stat()).size;
      await this.#pumpFile(handle, start, end, write);
    } catch (error) {
      throw troubleOf(error);
    } finally {
      await handle.close();
    }
  }

  /** Reads the next piece while the last one is being written, with two buffers that are used over and over. */
  async #pumpFile(
    handle: FileHandle,
    start: number,
    end: number,
    write: (chunk: Buffer) => Promise<void>,
  ): Promise<void> {
    const pair = [this.#takeBuffer(end - start), end - start > READ_BYTES ? this.#takeBuffer(end - start) : undefined];
    let reading: Promise<Buffer> | undefined;
    try {
      let position = start;
      let turn = 0;
      const readNext = () => {
        const buffer = pair[turn % 2] ?? pair[0];
        turn += 1;
        return readPiece(handle, buffer as Buffer, position, end);
      };
      reading = position < end ? readNext() : undefined;
      while (reading !== undefined) {
        const piece: Buffer = await reading;
        position += piece.length;
        reading = position < end ? readNext() : undefined;
        await write(piece);
      }
    } finally {
      // A read that is still under way must not find its buffer in other hands.
      await reading?.catch(() => undefined);
      for (const buffer of pair) if (buffer) this.#giveBuffer(buffer);
    }
  }

  async size(key: string): Promise<number | undefined> {
    try {
      // What is not read, such as a link, does not count as there.
      const found = await lstat(this.#path(key));
      return found.isFile() ? found.size : undefined;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw troubleOf(error);
    }
  }

  async stage(): Promise<Stage> {
    await this.#requireSpace();
    const id = randomUUID();
    try {
      const handle = await open(join(this.#staging, id), 'wx+', 0o640);
      return new FsStage(id, handle, this.#staging, this.#objects, 0);
    } catch (error) {
      throw troubleOf(error);
    }
  }

  async resume(stageId: string): Promise<Stage | undefined> {
    if (!STAGE_ID.test(stageId)) return undefined;
    try {
      const handle = await open(join(this.#staging, stageId), 'r+');
      return new FsStage(stageId, handle, this.#staging, this.#objects, (await handle.stat()).size);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw troubleOf(error);
    }
  }

  async remove(key: string): Promise<void> {
    const path = this.#path(key);
    await removeFile(path);
    try {
      // Whoever asked forgets the key next: a loss of power must not bring its file back.
      await syncFolder(dirname(path));
    } catch (error) {
      throw troubleOf(error);
    }
  }

  async *list(): AsyncIterable<StoredObject> {
    for (const shard of (await readdir(this.#objects)).sort()) {
      for (const name of await readdir(join(this.#objects, shard))) {
        const key = `${shard}/${name}`;
        const found = await stat(join(this.#objects, key)).catch(() => undefined);
        if (found?.isFile()) yield { key, size: found.size, modifiedAt: found.mtime };
      }
    }
  }

  async *staged(): AsyncIterable<{ id: string; modifiedAt: Date }> {
    for (const id of await readdir(this.#staging)) {
      const found = await stat(join(this.#staging, id)).catch(() => undefined);
      if (found) yield { id, modifiedAt: found.mtime };
    }
  }

  async removeStage(stageId: string): Promise<void> {
    if (STAGE_ID.test(stageId)) await removeFile(join(this.#staging, stageId));
  }

  async stop(): Promise<void> {}

  #path(key: string): string {
    if (!KEY.test(key)) throw new Error(`"${key}" is no store key of this driver`);
    return join(this.#objects, key);
  }

  async #handle(key: string): Promise<FileHandle> {
    try {
      // A link in the store can only have been put there by somebody else: it is not followed.
      return await open(this.#path(key), constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') {
        throw new AppError(
          'unavailable',
          'The stored bytes of this file are missing. An administrator has to look.',
          { missing: true },
          { cause: error },
        );
      }
      throw troubleOf(error);
    }
  }

  async #requireSpace(): Promise<void> {
    const now = performance.now();
    if (now - this.#spaceCheckedAt < SPACE_CHECK_MS && this.#spaceCheckedAt > 0) return;
    const { bavail, bsize } = await statfs(this.#staging);
    if (bavail * bsize < this.#floor) {
      throw new AppError(
        'quota_exceeded',
        'The disk of the server is almost full, so nothing can be uploaded. Free some space and try again.',
      );
    }
    this.#spaceCheckedAt = now;
  }

  #takeBuffer(wanted: number): Buffer {
    if (wanted <= 64 * 1024) return Buffer.allocUnsafe(Math.max(wanted, 1));
    return this.#buffers.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES);
  }

  #giveBuffer(buffer: Buffer): void {
    if (buffer.length === READ_BYTES && this.#buffers.length < READ_BUFFERS_KEPT) this.#buffers.push(buffer);
  }
}

class FsStage implements Stage {
  readonly id: string;
  readonly #staging: string;
  readonly #objects: string;
  #handle: FileHandle | undefined;
  #size: number;
  #written: number;
  #synced: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** Those of the pending chunks whose memory is given back once they are written. */
  #owned: Buffer[] = [];
  #writing: Promise<void> = Promise.resolve();
  #writeback: Promise<void> | undefined;
  #writebackFrom: number;
  #failure: unknown;

  constructor(id: string, handle: FileHandle, staging: string, objects: string, size: number) {
    this.id = id;
    this.#handle = handle;
    this.#staging = staging;
    this.#objects = objects;
    this.#size = size;
    this.#written = size;
    this.#synced = size;
    this.#writebackFrom = size;
  }

  get size(): number {
    return this.#size;
  }

  write(chunk: Buffer, options: { readonly owned?: boolean } = {}): Promise<void> | undefined {
    if (this.#failure !== undefined) throw troubleOf(this.#failure);
    this.#pending.push(chunk);
    if (options.owned) this.#owned.push(chunk);
    this.#pendingBytes += chunk.length;
    this.#size += chunk.length;
    if (this.#pendingBytes < WRITE_BYTES) return undefined;
    return this.#writing.then(() => this.#writeOut());
  }

  async sync(): Promise<void> {
    await this.#writing;
    if (this.#pendingBytes > 0) this.#writeOut();
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
    return this.#open().createReadStream({ start: 0, autoClose: false, highWaterMark: READ_BYTES });
  }

  async commit(sha256: Sha256, announce: (key: string) => Promise<void>): Promise<string> {
    const shard = sha256.slice(0, 2);
    const key = `${shard}/${sha256}.${randomBytes(4).toString('hex')}`;
    await Promise.all([this.sync(), announce(key)]);
    crashpoint('blob.synced');
    try {
      await this.close();
      await rename(join(this.#staging, this.id), join(this.#objects, key));
      crashpoint('blob.renamed');
      await syncFolder(join(this.#objects, shard));
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
    await handle?.close();
  }

  async abort(): Promise<void> {
    await this.close().catch(() => undefined);
    await removeFile(join(this.#staging, this.id));
  }

  #open(): FileHandle {
    if (!this.#handle) throw new Error('the stage is closed');
    return this.#handle;
  }

  #writeOut(): void {
    const buffers = this.#pending;
    const owned = this.#owned;
    this.#owned = [];
    const position = this.#written;
    this.#pending = [];
    this.#written += this.#pendingBytes;
    this.#pendingBytes = 0;
    this.#writing = writeAll(this.#open(), buffers, position).then(
      () => {
        for (const buffer of owned) release(buffer);
        this.#startWriteback();
      },
      (error: unknown) => {
        this.#failure ??= error;
      },
    );
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

async function readPiece(handle: FileHandle, buffer: Buffer, position: number, end: number): Promise<Buffer> {
  const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, end - position), position);
  if (bytesRead === 0) {
    throw new AppError('unavailable', 'The stored bytes of this file end early. An administrator has to look.', {
      missing: true,
    });
  }
  return bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
}

async function writeAll(handle: FileHandle, buffers: Buffer[], position: number): Promise<void> {
  const wanted = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  const { bytesWritten } = await handle.writev(buffers, position);
  if (bytesWritten === wanted) return;
  // A short write leaves a rest, which is rare enough for one copy.
  const rest = Buffer.concat(buffers).subarray(bytesWritten);
  if (bytesWritten === 0) throw Object.assign(new Error('nothing could be written'), { code: 'ENOSPC' });
  await writeAll(handle, [rest], position + bytesWritten);
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function removeFile(path: string): Promise<void> {
  try {
    await rm(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw troubleOf(error);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

const TROUBLE = new Set(['EIO', 'EROFS', 'EMFILE', 'ENFILE', 'EACCES', 'EPERM', 'ENOENT', 'ELOOP', 'ESTALE', 'ENODEV']);

/** What a client may be told of a failed file operation; other errors are bugs and stay what they are. */
function troubleOf(error: unknown): unknown {
  const code = codeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new AppError(
      'quota_exceeded',
      'The disk of the server is full. Free some space and try again.',
      {},
      { cause: error },
    );
  }
  if (TROUBLE.has(code)) {
    return new AppError('unavailable', 'The storage of the server has trouble. Try again later.', {}, { cause: error });
  }
  return error;
}
