/**
 * Objects in a bucket: `blobs/<2 hex>/…`, what is on its way in under `uploads/<stage>/`. S3 can neither rename nor
 * append, so an object gets its final key before its digest may be known: keys of large objects tell nothing.
 */
import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { AppError } from '../../core/errors.ts';
import type { ByteRange } from '../../core/repository.ts';
import type { BlobDriver, SpoolFile, Stage, StoredObject } from '../driver.ts';
import { troubleOf } from './fs-files.ts';
import { S3Bucket, type S3Connection } from './s3-bucket.ts';
import { S3Stage, type S3StageDeps, sealedKey, statePrefix, uploadPrefix } from './s3-stage.ts';

export interface S3Options extends S3Connection {
  /** What is buffered before it is sent, and the largest object that goes in one request. */
  readonly partSizeBytes?: number | undefined;
  /** Parts of one upload that are sent at a time; an upload holds at most one more in memory. */
  readonly concurrency?: number | undefined;
  /** Parts that all uploads together send at a time. */
  readonly maxPartsInFlight?: number | undefined;
  /** Where bytes that are read while they arrive wait for being sent to the bucket. */
  readonly spoolFolder?: string | undefined;
}

/** S3 refuses smaller parts, but for the last. */
const MIN_PART_BYTES = 5 * 1024 * 1024;
const PART_BYTES = 8 * 1024 * 1024;
const CONCURRENCY = 3;
const MAX_PARTS_IN_FLIGHT = 16;
const KEY = /^blobs\/[0-9a-f]{2}\/[0-9a-f-]+\.[0-9a-f]{8}$/;
const COPY_BYTES = 1024 * 1024;
const STAGE_ID = /^[0-9a-f-]{36}$/;

/** Keeps blobs in a bucket of an S3 service; refuses parts smaller than S3 takes. */
export function openS3Driver(options: S3Options): BlobDriver {
  return new S3Driver(options);
}

class S3Driver implements BlobDriver {
  readonly name = 's3';
  readonly #bucket: S3Bucket;
  readonly #stageDeps: S3StageDeps;
  readonly #spoolFolder: string;

  constructor(options: S3Options) {
    const partSizeBytes = options.partSizeBytes ?? PART_BYTES;
    if (partSizeBytes < MIN_PART_BYTES)
      throw new Error(`Parts of less than ${MIN_PART_BYTES} bytes are refused by S3.`);
    this.#bucket = new S3Bucket(options);
    this.#spoolFolder = options.spoolFolder ?? join(tmpdir(), 'entrepot-spool');
    this.#stageDeps = {
      bucket: this.#bucket,
      partSizeBytes,
      concurrency: options.concurrency ?? CONCURRENCY,
      acquire: placesFor(options.maxPartsInFlight ?? MAX_PARTS_IN_FLIGHT),
    };
  }

  start(): Promise<void> {
    return this.#bucket.start();
  }

  async open(key: string, range?: ByteRange): Promise<Readable> {
    const body = await this.#bucket.get(requireKey(key), range);
    if (body) return body;
    throw new AppError('unavailable', 'The stored bytes of this file are missing. An administrator has to look.', {
      missing: true,
    });
  }

  async pump(key: string, range: ByteRange | undefined, write: (chunk: Buffer) => Promise<void>): Promise<void> {
    // Leaving the loop, also by an error of `write`, ends the request.
    for await (const chunk of (await this.open(key, range)) as AsyncIterable<Buffer>) await write(chunk);
  }

  size(key: string): Promise<number | undefined> {
    return this.#bucket.size(requireKey(key));
  }

  async stage(): Promise<Stage> {
    return new S3Stage(this.#stageDeps, randomUUID());
  }

  /** A file without a name: whatever happens to this process, nothing of it stays. */
  async spool(): Promise<SpoolFile> {
    let handle: FileHandle;
    try {
      await mkdir(this.#spoolFolder, { recursive: true, mode: 0o700 });
      const path = join(this.#spoolFolder, randomUUID());
      handle = await open(path, 'wx+', 0o600);
      await rm(path);
    } catch (error) {
      throw troubleOf(error);
    }
    return {
      handle,
      toStage: async (size) => {
        const stage = await this.stage();
        try {
          for (let at = 0; at < size; ) {
            // The stage keeps what it is given until a part is full.
            const buffer = Buffer.allocUnsafeSlow(Math.min(COPY_BYTES, size - at));
            const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
            if (bytesRead === 0) throw new AppError('unavailable', 'The received bytes are gone. Ask again.');
            await stage.write(buffer.subarray(0, bytesRead));
            at += bytesRead;
          }
          return stage;
        } catch (error) {
          await stage.abort().catch(() => undefined);
          throw troubleOf(error);
        }
      },
      remove: async () => undefined,
    };
  }

  async resume(stageId: string): Promise<Stage | undefined> {
    return STAGE_ID.test(stageId) ? await S3Stage.resume(this.#stageDeps, stageId) : undefined;
  }

  remove(key: string): Promise<void> {
    return this.#bucket.delete(requireKey(key));
  }

  async *list(): AsyncIterable<StoredObject> {
    for await (const object of this.#bucket.list('blobs/')) {
      if (KEY.test(object.key)) yield object;
    }
  }

  /** Stages with a saved state, and multipart uploads of stages that never saved one. */
  async *staged(): AsyncIterable<{ id: string; modifiedAt: Date }> {
    const uploads = await this.#uploadsByStage();
    let current: { id: string; modifiedAt: Date } | undefined;
    for await (const { key, modifiedAt } of this.#bucket.list('uploads/')) {
      const id = key.split('/')[1];
      if (id === undefined || !STAGE_ID.test(id)) continue;
      if (current && current.id !== id) yield current;
      const earlier = current?.id === id ? current.modifiedAt : uploads.get(id);
      uploads.delete(id);
      current = { id, modifiedAt: latest([modifiedAt, earlier]) };
    }
    if (current) yield current;
    for (const [id, modifiedAt] of uploads) yield { id, modifiedAt };
  }

  /** When each stage with an unfinished multipart upload last got a part. */
  async #uploadsByStage(): Promise<Map<string, Date>> {
    const found = new Map<string, Date>();
    for await (const upload of this.#bucket.listUploads('blobs/')) {
      const id = upload.key.slice('blobs/00/'.length).split('.')[0] ?? '';
      if (!STAGE_ID.test(id)) continue;
      const held = await this.#bucket.listParts(upload);
      if (!held) continue;
      found.set(id, latest([held.modifiedAt, upload.startedAt, found.get(id)]));
    }
    return found;
  }

  async removeStage(stageId: string): Promise<void> {
    if (!STAGE_ID.test(stageId)) return;
    for await (const upload of this.#bucket.listUploads(uploadPrefix(stageId))) await this.#bucket.abortUpload(upload);
    for await (const { key } of this.#bucket.list(statePrefix(stageId))) {
      // A source before the marker that tells of it.
      const source = sealedKey(stageId, key);
      if (source !== undefined) await this.#bucket.delete(source);
      await this.#bucket.delete(key);
    }
  }

  sign(key: string, options: { readonly expiresInMs: number; readonly fileName: string }): Promise<URL> {
    const disposition = attachment(options.fileName);
    return this.#bucket.sign(requireKey(key), { expiresInMs: options.expiresInMs, disposition });
  }

  async stop(): Promise<void> {
    this.#bucket.stop();
  }
}

function latest(moments: readonly (Date | undefined)[]): Date {
  return new Date(Math.max(...moments.map((moment) => moment?.getTime() ?? 0)));
}

function requireKey(key: string): string {
  if (!KEY.test(key)) throw new Error(`"${key}" is no store key of this driver`);
  return key;
}

/** RFC 6266: a plain name for old clients and the exact one, encoded as RFC 8187 wants. */
function attachment(fileName: string): string {
  const plain = fileName.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  const exact = encodeURIComponent(fileName.toWellFormed()).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`;
}

/** Hands out a number of places, first come, first served. */
function placesFor(count: number): () => Promise<() => void> {
  let free = count;
  const waiting: (() => void)[] = [];
  const release = () => {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  };
  return async () => {
    if (free > 0) {
      free -= 1;
    } else {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push(resolve);
      await promise;
    }
    return release;
  };
}
