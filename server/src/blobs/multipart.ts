/**
 * Uploads of one file in parts that come in any order, several at once and perhaps again. Each part is a stage of its
 * own; a job puts them together. All that must outlast a restart is in rows.
 */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { chunksOf, isRequest } from '../core/bodies.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { UploadedBytes } from '../core/repository.ts';
import { getBlob, reviewBlobs } from '../db/blobs.ts';
import { lockScope, type Tx } from '../db/database.ts';
import {
  countOpenMultiparts,
  createMultipart,
  deleteParts,
  getMultipart,
  listParts,
  type MultipartRow,
  moveMultipart,
  type PartRow,
  putPart,
} from '../db/multipart-uploads.ts';
import { crashpoint } from '../lib/crashpoint.ts';
import { BlobVanished, type Landing } from './landing.ts';
import type { BlobStore } from './store.ts';

export interface MultipartOptions {
  readonly maxPerPrincipal: number;
  /** How long the whole is kept for its deploy. */
  readonly expireMs: number;
  /** Throws what the client may be told while nothing may be written to the repository. */
  requireWritable(repo: string): void;
}

export const MAX_PARTS = 10_000;
const MAX_PLACINGS = 5;
/** Bytes after which the row is told how far it is. */
const PROGRESS_BYTES = 64 * 1024 * 1024;

export class MultipartUploads {
  readonly #store: BlobStore;
  readonly #options: MultipartOptions;

  constructor(store: BlobStore, options: MultipartOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** Begins an upload and returns its id. */
  async create(upload: Pick<MultipartRow, 'repo' | 'path' | 'principal' | 'partBytes'>): Promise<string> {
    const id = randomUUID();
    const max = this.#options.maxPerPrincipal;
    await this.#database.transaction(async (tx) => {
      if ((await countOpenMultiparts(tx, upload.principal, max)) >= max) {
        throw new AppError('rate_limited', `You have ${max} unfinished uploads. Finish or abort some of them first.`, {
          retryAfterSeconds: 60,
        });
      }
      await createMultipart(tx, { id, ...upload }, Date.now());
    });
    return id;
  }

  /** The upload; `not_found` when it is unknown or has expired. */
  async require(id: string): Promise<MultipartRow> {
    const row = await this.#database.read((db) => getMultipart(db, id));
    if (!row) throw unknownUpload();
    return row;
  }

  /** Takes in one part, in place of an earlier one of its number. It is safe when this returns. */
  async putPart(id: string, number: number, body: Readable, signal: AbortSignal): Promise<void> {
    const { partBytes, state, repo } = await this.require(id);
    requireOpen(state);
    this.#options.requireWritable(repo);
    const stage = await this.#store.deps.driver.stage();
    let replaced: string | undefined;
    try {
      for await (const chunk of chunksOf(body)) {
        signal.throwIfAborted();
        if (stage.size + chunk.length > partBytes) {
          throw new AppError('too_large', `The part is larger than the ${partBytes} bytes the upload was begun with.`);
        }
        await stage.write(chunk, { owned: isRequest(body) });
      }
      await stage.sync();
      crashpoint('multipart.part-synced');
      replaced = await this.#database.transaction(async (tx) => {
        this.#options.requireWritable(repo);
        await lockScope(tx, scopeOf(id));
        // Parts that come late must not change what is being put together.
        if (!(await moveMultipart(tx, id, ['parts', 'interrupted'], {}, Date.now()))) {
          const now = await getMultipart(tx, id);
          if (!now) throw unknownUpload();
          requireOpen(now.state);
        }
        return putPart(tx, id, { number, stageId: stage.id, size: stage.size });
      });
    } catch (error) {
      await stage.abort().catch(() => undefined);
      throw error;
    }
    crashpoint('multipart.part-recorded');
    await stage.close();
    if (replaced !== undefined) await this.#removeStages([replaced]);
  }

  /**
   * Has the parts put together by what `enqueue` asks for in the same transaction. Asked again for the same whole, it
   * changes nothing, unless what went wrong may go well the next time.
   */
  async complete(id: string, sha1: string, enqueue: (tx: Tx) => Promise<void>): Promise<void> {
    await this.#database.transaction(async (tx) => {
      await lockScope(tx, scopeOf(id));
      const row = await getMultipart(tx, id);
      if (!row) throw unknownUpload();
      if (row.state === 'queued' || row.state === 'processing' || row.state === 'finished') {
        if (row.sha1 === sha1) return;
        throw new AppError('conflict', 'The upload is being completed with another SHA-1 already.');
      }
      requireOpen(row.state);
      this.#options.requireWritable(row.repo);
      requireWhole(await listParts(tx, id));
      await moveMultipart(tx, id, [row.state], { state: 'queued', sha1, progress: 0, error: null }, Date.now());
      await enqueue(tx);
    });
    crashpoint('multipart.queued');
  }

  /** Ends the upload and drops its parts; one that is finished stays so. */
  async abort(id: string): Promise<void> {
    const dropped = await this.#database.transaction(async (tx) => {
      await lockScope(tx, scopeOf(id));
      if (!(await getMultipart(tx, id))) throw unknownUpload();
      const isEnded = await moveMultipart(
        tx,
        id,
        ['parts', 'queued', 'processing', 'interrupted', 'failed'],
        { state: 'aborted' },
        Date.now(),
      );
      return isEnded ? this.#dropParts(tx, id) : [];
    });
    await this.#removeStages(dropped);
  }

  /** Puts the parts together; safe to run again, and at the same time. `alive` is called while there is progress. */
  async assemble(id: string, options: { readonly signal: AbortSignal; alive(): Promise<void> }): Promise<void> {
    const row = await this.#database.read((db) => getMultipart(db, id));
    if (row?.sha1 === undefined) return;
    const { sha1, repo } = row;
    const isOurs = await this.#database.transaction((tx) =>
      moveMultipart(tx, id, ['queued', 'processing'], { state: 'processing', progress: 0 }, Date.now()),
    );
    if (!isOurs) return;
    try {
      this.#options.requireWritable(repo);
      const parts = await this.#database.read((db) => listParts(db, id));
      const body = Readable.from(this.#bytesOf(id, parts, options), { objectMode: false });
      const landing = await this.#store.receive(body, {
        expected: { sha1 },
        allChecksums: true,
        signal: options.signal,
      });
      crashpoint('multipart.assembled');
      await this.#finish(id, landing);
    } catch (error) {
      // What a restart cuts short is done again by the same job.
      if (options.signal.aborted || !isAppError(error)) throw error;
      const state = error.code === 'invalid' ? 'failed' : 'interrupted';
      const dropped = await this.#database.transaction(async (tx) => {
        const isFailed = await moveMultipart(tx, id, ['processing'], { state, error: error.message }, Date.now());
        return isFailed && state === 'failed' ? this.#dropParts(tx, id) : [];
      });
      await this.#removeStages(dropped);
    }
  }

  /** What a finished upload of this principal ended with; undefined for every other. */
  async uploaded(id: string, principal: string): Promise<UploadedBytes | undefined> {
    return this.#database.read(async (db) => {
      const row = await getMultipart(db, id);
      if (row?.sha256 === undefined || row.state !== 'finished' || row.principal !== principal) return undefined;
      const blob = await getBlob(db, row.sha256);
      if (blob?.sha1 === undefined || blob.md5 === undefined) return undefined;
      return { sha256: blob.sha256, sha1: blob.sha1, md5: blob.md5, size: blob.size };
    });
  }

  get #database() {
    return this.#store.deps.database;
  }

  async *#bytesOf(
    id: string,
    parts: readonly PartRow[],
    { alive }: { alive(): Promise<void> },
  ): AsyncGenerator<Buffer> {
    const total = parts.reduce((sum, { size }) => sum + size, 0);
    let done = 0;
    let told = 0;
    for (const part of parts) {
      const stage = await this.#store.deps.driver.resume(part.stageId);
      if (stage?.size !== part.size) {
        await stage?.close();
        throw new AppError('invalid', `The part ${part.number} is lost. Upload the file again.`);
      }
      try {
        for await (const chunk of (await stage.read()) as AsyncIterable<Buffer>) {
          done += chunk.length;
          yield chunk;
          if (done - told < PROGRESS_BYTES) continue;
          told = done;
          await alive();
          const progress = Math.floor((done / total) * 100);
          await this.#database.transaction((tx) => moveMultipart(tx, id, ['processing'], { progress }, Date.now()), {
            durable: false,
          });
        }
      } finally {
        await stage.close();
      }
    }
  }

  /** Gives the whole its row. Nothing names it yet, so it is looked at again when the time for its deploy is over. */
  async #finish(id: string, landing: Landing): Promise<void> {
    for (let placings = 0; ; placings++) {
      try {
        const dropped = await this.#database.transaction(async (tx) => {
          await lockScope(tx, scopeOf(id));
          const at = Date.now();
          const to = { state: 'finished', sha256: landing.sha256, progress: 100 } as const;
          if (!(await moveMultipart(tx, id, ['processing'], to, at))) return undefined;
          await landing.adopt(tx, at);
          await reviewBlobs(tx, [landing.sha256], at + this.#options.expireMs);
          return this.#dropParts(tx, id);
        });
        crashpoint('multipart.finished');
        if (dropped) await landing.settle();
        else await landing.discard();
        await this.#removeStages(dropped ?? []);
        return;
      } catch (error) {
        if (error instanceof BlobVanished && placings < MAX_PLACINGS) {
          await landing.place();
          continue;
        }
        await landing.discard();
        throw error;
      }
    }
  }

  async #dropParts(tx: Tx, id: string): Promise<string[]> {
    const parts = await listParts(tx, id);
    await deleteParts(tx, id);
    return parts.map(({ stageId }) => stageId);
  }

  /** What cannot be removed now is removed with other leftovers. */
  async #removeStages(stageIds: readonly string[]): Promise<void> {
    for (const id of stageIds) await this.#store.deps.driver.removeStage(id).catch(() => undefined);
  }
}

function scopeOf(id: string): string {
  return `multipart ${id}`;
}

function requireOpen(state: MultipartRow['state']): void {
  if (state === 'parts' || state === 'interrupted') return;
  const why = state === 'failed' || state === 'aborted' ? 'has ended: begin another one' : 'is being put together';
  throw new AppError('conflict', `The upload takes no more parts, since it ${why}.`);
}

function requireWhole(parts: readonly PartRow[]): void {
  if (parts.length === 0) throw new AppError('invalid', 'The upload has no parts. Upload them first.');
  const missing = parts.findIndex(({ number }, i) => number !== i + 1);
  if (missing >= 0) throw new AppError('invalid', `The part ${missing + 1} is missing. Upload it first.`);
}

function unknownUpload(): AppError {
  return new AppError('not_found', 'This upload is unknown: it was aborted or has expired. Begin another one.');
}
