/**
 * Bytes on their way into the S3 driver. Up to one part they wait in memory and go in one request; beyond, full parts
 * of a multipart upload are sent while more arrive. What must survive this process is the upload's parts and one
 * object, `uploads/<stage>/state`, with their list and the bytes after the last full part.
 *
 * The parts of an unfinished upload can be neither read nor cut. Both are rarely wanted: then the upload is finished
 * into an object that serves only as a source (it is "sealed") and never becomes anybody's blob, and whatever goes on
 * does so in a new upload that copies from it.
 */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { AppError } from '../../core/errors.ts';
import type { Sha256 } from '../../core/ids.ts';
import { crashpoint } from '../../lib/crashpoint.ts';
import type { Stage } from '../driver.ts';
import type { MultipartUpload, S3Bucket, UploadedPart } from './s3-bucket.ts';

export interface S3StageDeps {
  readonly bucket: S3Bucket;
  readonly partSizeBytes: number;
  /** Parts of one stage that are sent at a time. */
  readonly concurrency: number;
  /** Waits until this process may hold one more part in flight and returns how to give the place back. */
  acquire(): Promise<() => void>;
}

/** What the state object holds before the tail: one line of JSON. */
interface SavedState {
  readonly upload: MultipartUpload | undefined;
  readonly parts: readonly UploadedPart[];
}

const MAX_PARTS = 10_000;

export function statePrefix(stageId: string): string {
  return `uploads/${stageId}/`;
}

function stateKey(stageId: string): string {
  return `${statePrefix(stageId)}state`;
}

/** Multipart uploads of a stage aim at keys that tell the stage, so that one left behind can be traced to it. */
export function uploadPrefix(stageId: string): string {
  return `blobs/${stageId.slice(0, 2)}/${stageId}.`;
}

/** The key of the source object that this marker stands for; undefined for the stage's other objects. */
export function sealedKey(stageId: string, markerKey: string): string | undefined {
  const start = `${statePrefix(stageId)}sealed.`;
  return markerKey.startsWith(start) ? uploadPrefix(stageId) + markerKey.slice(start.length) : undefined;
}

export class S3Stage implements Stage {
  readonly id: string;
  readonly #deps: S3StageDeps;
  #upload: MultipartUpload | undefined;
  #parts: UploadedPart[] = [];
  #partBytes = 0;
  /** Numbers are not used twice within an upload: stores differ in what they make of a part that comes again. */
  #lastNumber = 0;
  #tail: Buffer[] = [];
  #tailBytes = 0;
  readonly #sending = new Set<Promise<void>>();
  #failure: unknown;
  /** Whether the state object says what this stage holds. */
  #isSaved = false;
  #hasState = false;
  /** The finished source that holds all bytes; then there are no parts and no tail. */
  #sealed: { readonly key: string; readonly size: number } | undefined;
  /** Sources that are no longer needed once the state is saved again. */
  #leftovers: string[] = [];

  constructor(deps: S3StageDeps, id: string) {
    this.#deps = deps;
    this.id = id;
  }

  /** Reopens what `sync` saved; undefined if there is nothing or it cannot be continued. */
  static async resume(deps: S3StageDeps, id: string): Promise<S3Stage | undefined> {
    const { bucket } = deps;
    const saved = await bucket.get(stateKey(id));
    if (!saved) return undefined;
    const bytes = await collect(saved);
    const lineEnd = bytes.indexOf(10);
    const { upload, parts } = JSON.parse(bytes.toString('utf8', 0, lineEnd)) as SavedState;
    const tail = bytes.subarray(lineEnd + 1);
    const stage = new S3Stage(deps, id);
    stage.#isSaved = true;
    stage.#hasState = true;
    stage.#upload = upload;
    stage.#parts = [...parts];
    stage.#partBytes = parts.reduce((sum, part) => sum + part.size, 0);
    stage.#setTail([tail]);
    if (upload) {
      const held = await bucket.listParts(upload);
      if (!held) return (await stage.#resumeSealed(upload.key)) ? stage : undefined;
      if (!parts.every((part) => held.parts.get(part.number)?.etag === part.etag)) return undefined;
      stage.#lastNumber = Math.max(0, ...held.parts.keys());
    }
    await stage.#abortOtherUploads();
    return stage;
  }

  async #resumeSealed(key: string): Promise<boolean> {
    const { bucket } = this.#deps;
    const { size } = this;
    if ((await bucket.size(this.#marker(key))) === undefined) return false;
    // More bytes may have followed before the upload was sealed.
    if (((await bucket.size(key)) ?? -1) < size) return false;
    this.#forget();
    this.#sealed = { key, size };
    await this.#abortOtherUploads();
    return true;
  }

  /** Whoever wrote last was gone before it saved what it did: its uploads would be in nobody's care. */
  async #abortOtherUploads(): Promise<void> {
    const { bucket } = this.#deps;
    for await (const upload of bucket.listUploads(uploadPrefix(this.id))) {
      if (upload.uploadId !== this.#upload?.uploadId) await bucket.abortUpload(upload);
    }
  }

  get size(): number {
    return (this.#sealed?.size ?? this.#partBytes) + this.#tailBytes;
  }

  async write(chunk: Buffer): Promise<void> {
    this.#requireSound();
    if (this.#sealed) await this.#unseal(this.#sealed.size);
    if (chunk.length === 0) return;
    this.#isSaved = false;
    this.#tail.push(chunk);
    this.#tailBytes += chunk.length;
    while (this.#tailBytes >= this.#deps.partSizeBytes) await this.#sendPart(this.#deps.partSizeBytes);
  }

  async sync(): Promise<void> {
    await this.#settle();
    if (this.#isSaved) return;
    const state: SavedState = { upload: this.#upload, parts: this.#parts };
    const line = Buffer.from(`${JSON.stringify(state)}\n`);
    // One object, so that the list of parts and the bytes after them can never be of different moments.
    await this.#deps.bucket.put(stateKey(this.id), Buffer.concat([line, ...this.#tail]));
    this.#isSaved = true;
    this.#hasState = true;
    for (const key of this.#leftovers.splice(0)) await this.#removeSource(key);
  }

  async truncate(size: number): Promise<void> {
    if (size > this.size) throw lost();
    await this.#settle();
    if (size === this.size) return;
    this.#isSaved = false;
    if (size === 0) {
      if (this.#sealed) this.#leftovers.push(this.#sealed.key);
      this.#sealed = undefined;
      this.#parts = [];
      this.#partBytes = 0;
      this.#setTail([]);
    } else if (this.#sealed) {
      await this.#unseal(size);
    } else if (size >= this.#partBytes) {
      this.#setTail([Buffer.concat(this.#tail).subarray(0, size - this.#partBytes)]);
    } else {
      await this.#unseal(size, await this.#seal());
    }
  }

  async read(): Promise<Readable> {
    await this.#settle();
    if (this.#parts.length === 0 && !this.#sealed) return Readable.from(this.#tail, { objectMode: false });
    await this.sync();
    const { key, size } = this.#sealed ?? (await this.#seal());
    const body = await this.#deps.bucket.get(key, { start: 0, end: size - 1 });
    if (!body) throw lost();
    return body;
  }

  async commit(sha256: Sha256, announce: (key: string) => Promise<void>): Promise<string> {
    if (this.#sealed) await this.#unseal(this.#sealed.size);
    await this.#settle();
    const key = this.#parts.length > 0 ? await this.#commitParts(announce) : await this.#commitWhole(sha256, announce);
    crashpoint('blob.renamed');
    // What is left of the stage cannot hurt: a resume finds no upload, and the sweep of stages removes it.
    await this.#removeRest().catch(() => undefined);
    this.#forget();
    return key;
  }

  async #commitParts(announce: (key: string) => Promise<void>): Promise<string> {
    if (this.#tailBytes > 0) await this.#sendPart(this.#tailBytes);
    await this.#settle();
    const upload = this.#upload;
    if (!upload) throw new Error('a stage has parts but no upload');
    crashpoint('blob.synced');
    await announce(upload.key);
    await this.#deps.bucket.complete(upload, this.#parts);
    this.#upload = undefined;
    return upload.key;
  }

  async #commitWhole(sha256: Sha256, announce: (key: string) => Promise<void>): Promise<string> {
    const { bucket } = this.#deps;
    const key = `blobs/${sha256.slice(0, 2)}/${sha256}.${randomBytes(4).toString('hex')}`;
    const body = Buffer.concat(this.#tail);
    crashpoint('blob.synced');
    await announce(key);
    try {
      await bucket.put(key, body);
    } catch (error) {
      // The answer may have been lost on its way, not the request.
      const found = await bucket.size(key).catch(() => undefined);
      if (found !== body.length) throw error;
    }
    return key;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#sending);
    this.#setTail([]);
    this.#failure ??= new Error('the stage is closed');
  }

  async abort(): Promise<void> {
    await Promise.allSettled(this.#sending);
    if (this.#sealed) this.#leftovers.push(this.#sealed.key);
    this.#sealed = undefined;
    await this.#removeRest();
    this.#forget();
  }

  #requireSound(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits for the parts on their way. */
  async #settle(): Promise<void> {
    await Promise.all(this.#sending);
    this.#requireSound();
  }

  #setTail(tail: Buffer[]): void {
    this.#tail = tail;
    this.#tailBytes = tail.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  #forget(): void {
    this.#upload = undefined;
    this.#lastNumber = 0;
    this.#parts = [];
    this.#partBytes = 0;
    this.#setTail([]);
  }

  /** Starts sending the first bytes of the tail as the next part; waits while too many are on their way. */
  async #sendPart(size: number): Promise<void> {
    if (this.#lastNumber >= MAX_PARTS) {
      const limit = Math.floor((MAX_PARTS * this.#deps.partSizeBytes) / 1024 ** 3);
      throw new AppError('too_large', `The object store takes no file larger than ${limit} GiB in parts of this size.`);
    }
    const upload = await this.#ensureUpload();
    const number = ++this.#lastNumber;
    const place = this.#parts.length;
    while (this.#sending.size >= this.#deps.concurrency) await Promise.race(this.#sending);
    const release = await this.#deps.acquire();
    if (this.#failure !== undefined) {
      release();
      throw this.#failure;
    }
    const body = this.#cut(size);
    // The place in the list is taken at once, so that parts stay in order whichever arrives first.
    this.#parts.push({ number, size, etag: '' });
    this.#partBytes += size;
    const sending = this.#deps.bucket
      .uploadPart(upload, number, body)
      .then(
        (part) => {
          this.#parts[place] = part;
        },
        (error: unknown) => {
          this.#failure ??= error;
        },
      )
      .finally(() => {
        release();
        this.#sending.delete(sending);
      });
    this.#sending.add(sending);
  }

  async #ensureUpload(): Promise<MultipartUpload> {
    this.#upload ??= await this.#deps.bucket.createUpload(this.#newKey());
    return this.#upload;
  }

  #newKey(): string {
    return uploadPrefix(this.id) + randomBytes(4).toString('hex');
  }

  /** Takes the first bytes off the tail, in one buffer. */
  #cut(size: number): Buffer {
    const all = this.#tail;
    const taken: Buffer[] = [];
    let missing = size;
    let next = 0;
    for (; missing > 0; next++) {
      const chunk = all[next] as Buffer;
      taken.push(chunk.length > missing ? chunk.subarray(0, missing) : chunk);
      if (chunk.length > missing) break;
      missing -= chunk.length;
    }
    const rest = all.slice(next);
    if (missing > 0 && rest[0]) rest[0] = rest[0].subarray(missing);
    this.#tail = rest;
    this.#tailBytes -= size;
    return taken.length === 1 && taken[0] ? taken[0] : Buffer.concat(taken, size);
  }

  #marker(key: string): string {
    return `${statePrefix(this.id)}sealed.${key.slice(uploadPrefix(this.id).length)}`;
  }

  /** Finishes the upload into a source object. The marker comes first: it is what gets the source removed. */
  async #seal(): Promise<{ key: string; size: number }> {
    const { bucket } = this.#deps;
    const upload = await this.#ensureUpload();
    await bucket.put(this.#marker(upload.key), Buffer.alloc(0));
    this.#hasState = true;
    const parts = [...this.#parts];
    if (this.#tailBytes > 0) {
      parts.push(await bucket.uploadPart(upload, ++this.#lastNumber, Buffer.concat(this.#tail)));
    }
    await bucket.complete(upload, parts);
    this.#sealed = { key: upload.key, size: this.size };
    this.#forget();
    return this.#sealed;
  }

  /** Goes on with the first `size` bytes of the source in a new upload. */
  async #unseal(size: number, source = this.#sealed): Promise<void> {
    if (!source) throw new Error('the stage is not sealed');
    const { bucket, partSizeBytes } = this.#deps;
    const whole = size - (size % partSizeBytes);
    const rest = size > whole ? await bucket.get(source.key, { start: whole, end: size - 1 }) : Readable.from([]);
    if (!rest) throw lost();
    const tail = await collect(rest);
    const copied = whole > 0 ? await this.#copy(source.key, whole) : { upload: undefined, parts: [] };
    this.#leftovers.push(source.key);
    this.#sealed = undefined;
    this.#isSaved = false;
    this.#upload = copied.upload;
    this.#parts = copied.parts;
    this.#lastNumber = copied.parts.length;
    this.#partBytes = whole;
    this.#setTail([tail]);
  }

  /** Starts an upload whose parts are the first bytes of an object. */
  async #copy(source: string, size: number): Promise<{ upload: MultipartUpload; parts: UploadedPart[] }> {
    const { bucket, partSizeBytes } = this.#deps;
    const upload = await bucket.createUpload(this.#newKey());
    try {
      const parts: UploadedPart[] = [];
      for (let start = 0; start < size; start += partSizeBytes) {
        parts.push(await bucket.copyPart(upload, parts.length + 1, source, { start, end: start + partSizeBytes - 1 }));
      }
      return { upload, parts };
    } catch (error) {
      await bucket.abortUpload(upload).catch(() => undefined);
      throw error;
    }
  }

  async #removeSource(key: string): Promise<void> {
    await this.#deps.bucket.delete(key);
    await this.#deps.bucket.delete(this.#marker(key));
  }

  /** Removes whatever the stage has in the store beside a committed object. */
  async #removeRest(): Promise<void> {
    const { bucket } = this.#deps;
    if (this.#upload) await bucket.abortUpload(this.#upload);
    this.#upload = undefined;
    for (const key of this.#leftovers) await this.#removeSource(key);
    this.#leftovers = [];
    if (this.#hasState) await bucket.delete(stateKey(this.id));
    this.#hasState = false;
  }
}

function lost(): AppError {
  return new AppError('unavailable', 'Part of this upload is lost. Start it again.', { lost: true });
}

async function collect(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
