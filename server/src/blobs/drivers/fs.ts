/**
 * Objects as files: `objects/ab/<sha256>.<generation>`, staged in `staging/` on the same file system. A file appears
 * under its final name only when its bytes are on disk, and its name is on disk before anybody is told.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, lstat, mkdir, open, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { AppError } from '../../core/errors.ts';
import type { ByteRange } from '../../core/repository.ts';
import type { BlobDriver, SpoolFile, Stage, StoredObject } from '../driver.ts';
import { BUFFER_BYTES, BufferPool } from './buffer-pool.ts';
import { codeOf, removeFile, syncFolder, troubleOf } from './fs-files.ts';
import { FsStage, type StageFolders } from './fs-stage.ts';

export interface FsOptions {
  readonly root: string;
  /** Uploads are refused while less than this is free, so that deletes and the database still have room. */
  readonly freeSpaceFloorBytes: number;
}

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
  readonly #buffers = new BufferPool();
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
    const pair = [
      this.#buffers.take(end - start),
      end - start > BUFFER_BYTES ? this.#buffers.take(end - start) : undefined,
    ];
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
      for (const buffer of pair) if (buffer) this.#buffers.give(buffer);
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
      return new FsStage(id, handle, this.#folders, 0);
    } catch (error) {
      throw troubleOf(error);
    }
  }

  /** A file among the stages, so that it becomes an object by its name alone. */
  async spool(): Promise<SpoolFile> {
    await this.#requireSpace();
    const id = randomUUID();
    const path = join(this.#staging, id);
    let handle: FileHandle;
    try {
      handle = await open(path, 'wx+', 0o640);
    } catch (error) {
      throw troubleOf(error);
    }
    let isStage = false;
    return {
      handle,
      toStage: async (size) => {
        try {
          await handle.datasync();
          const own = await open(path, 'r+');
          isStage = true;
          return new FsStage(id, own, this.#folders, size);
        } catch (error) {
          throw troubleOf(error);
        }
      },
      remove: async () => {
        if (!isStage) await removeFile(path);
      },
    };
  }

  async resume(stageId: string): Promise<Stage | undefined> {
    if (!STAGE_ID.test(stageId)) return undefined;
    try {
      const handle = await open(join(this.#staging, stageId), 'r+');
      return new FsStage(stageId, handle, this.#folders, (await handle.stat()).size);
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

  get #folders(): StageFolders {
    return { staging: this.#staging, objects: this.#objects, buffers: this.#buffers };
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
