/**
 * Resumable uploads: a row that tells how many bytes are safe, a stage that holds them, and in this process the
 * running hash. After a restart, or on another node, the row and the stage suffice: the hash is taken again.
 */
import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { drain, isRequest } from '../core/bodies.ts';
import { AppError } from '../core/errors.ts';
import { type Digest, parseDigest, renderDigest } from '../core/ids.ts';
import type { Landed, Upload } from '../core/repository.ts';
import {
  advanceUpload,
  countOpenUploads,
  createUpload,
  deleteUpload,
  emptyUpload,
  finishUpload,
  getUpload,
  type UploadRow,
} from '../db/uploads.ts';
import { crashpoint } from '../lib/crashpoint.ts';
import { type HashAlgorithm, Hashes } from '../lib/hashes.ts';
import type { Stage } from './driver.ts';
import type { Held, Landing } from './landing.ts';
import type { BlobStore } from './store.ts';

export interface UploadLimits {
  readonly maxPerPrincipal: number;
}

/** What this process knows of an upload beyond its row. */
interface Live {
  busy: boolean;
  stage: Stage | undefined;
  /** Undefined when the bytes before `received` did not pass through this process. */
  hashes: Hashes | undefined;
  /** All bytes so far, while they are few enough to be held in the database. */
  small: Buffer[] | undefined;
  usedAt: number;
}

export class UploadSessions {
  readonly #store: BlobStore;
  readonly #limits: UploadLimits;
  readonly #live = new Map<string, Live>();

  constructor(store: BlobStore, limits: UploadLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  /** Starts an upload; naming the algorithm of the final digest spares a second reading of the bytes. */
  async start(
    owner: { readonly repoId: number; readonly package: string; readonly principal: string },
    algorithm?: Digest['algorithm'],
  ): Promise<Upload> {
    const row = { id: randomUUID(), ...owner };
    await this.#store.deps.database.transaction(
      async (tx) => {
        const max = this.#limits.maxPerPrincipal;
        if ((await countOpenUploads(tx, owner.principal, max)) >= max) {
          throw new AppError(
            'rate_limited',
            `You have ${max} unfinished uploads. Finish or cancel some of them first.`,
            { retryAfterSeconds: 60 },
          );
        }
        await createUpload(tx, row, Date.now());
      },
      { durable: false },
    );
    crashpoint('upload.row-written');
    this.#live.set(row.id, {
      busy: false,
      stage: undefined,
      hashes: new Hashes(['sha256', algorithm ?? 'sha256']),
      small: [],
      usedAt: Date.now(),
    });
    return this.#upload({ ...row, stageId: '', received: 0, digest: undefined });
  }

  async open(repoId: number, packageName: string, id: string): Promise<Upload> {
    const row = /^[0-9a-f-]{36}$/.test(id)
      ? await this.#store.deps.database.read((db) => getUpload(db, id))
      : undefined;
    if (!row || row.repoId !== repoId || row.package !== packageName) {
      throw new AppError(
        'not_found',
        'This upload is unknown: it was finished, cancelled, or has expired. Start it again.',
        { upload: true },
      );
    }
    return this.#upload(row);
  }

  /** Closes the files of uploads that nobody touched for a while; their rows and bytes stay. */
  async closeIdle(idleMs: number): Promise<void> {
    for (const [id, live] of this.#live) {
      if (live.busy || Date.now() - live.usedAt < idleMs) continue;
      this.#live.delete(id);
      await live.stage?.close().catch(() => undefined);
    }
  }

  async stop(): Promise<void> {
    await this.closeIdle(0);
  }

  #upload(row: UploadRow): Upload {
    let received = row.received;
    const sessions = this;
    return {
      id: row.id,
      get received() {
        return received;
      },
      finished: row.digest === undefined ? undefined : parseDigest(row.digest),
      async append(body, signal) {
        received = await sessions.#exclusively(row, (live) => sessions.#append(row, live, body, signal));
      },
      finish: (digest, last) => sessions.#exclusively(row, (live) => sessions.#finish(row, live, digest, last)),
      abort: () => sessions.#exclusively(row, () => sessions.#remove(row)),
    };
  }

  async #exclusively<T>(row: UploadRow, work: (live: Live) => Promise<T>): Promise<T> {
    const live = this.#live.get(row.id) ?? {
      busy: false,
      stage: undefined,
      hashes: undefined,
      small: undefined,
      usedAt: 0,
    };
    if (live.busy) {
      throw new AppError('conflict', 'Another request is writing to this upload. Wait for it to end.', {
        received: row.received,
      });
    }
    this.#live.set(row.id, live);
    live.busy = true;
    try {
      return await work(live);
    } finally {
      live.busy = false;
      live.usedAt = Date.now();
    }
  }

  /** Brings the process's knowledge in line with the row: after a restart, or when another node wrote meanwhile. */
  async #reopen(row: UploadRow, live: Live): Promise<void> {
    if (live.hashes?.bytes === row.received && (live.stage || live.small)) return;
    await live.stage?.close();
    live.small = row.received === 0 ? [] : undefined;
    live.hashes = row.received === 0 ? new Hashes(['sha256']) : undefined;
    live.stage = row.stageId === '' ? undefined : await this.#store.deps.driver.resume(row.stageId);
    if (row.received > 0) {
      if (!live.stage) throw lost();
      if (live.stage.size !== row.received) await live.stage.truncate(row.received);
    } else if (live.stage) {
      await live.stage.truncate(0);
    }
  }

  async #append(row: UploadRow, live: Live, body: Readable, signal: AbortSignal | undefined): Promise<number> {
    await this.#reopen(row, live);
    live.stage ??= await this.#store.deps.driver.stage();
    const stage = live.stage;
    let aborted: unknown;
    try {
      aborted = await this.#pull(live, body, signal);
      await stage.sync();
    } catch (error) {
      // What is on disk beyond the row is unknown now: the next request starts from the row.
      await this.#forget(row, live);
      throw error;
    }
    crashpoint('upload.chunk-synced');
    const moved = await this.#store.deps.database.transaction(
      (tx) =>
        advanceUpload(tx, { id: row.id, from: row.received, received: stage.size, stageId: stage.id }, Date.now()),
      { durable: false },
    );
    if (!moved) {
      this.#live.delete(row.id);
      await stage.close();
      throw new AppError('conflict', 'Another request changed this upload at the same time. Ask for its state.', {
        received: row.received,
      });
    }
    crashpoint('upload.offset-written');
    if (aborted !== undefined) throw aborted;
    return stage.size;
  }

  /** Takes in the body; returns the error with which the client left in the middle of it, if it did. */
  async #pull(live: Live, body: Readable, signal: AbortSignal | undefined): Promise<unknown> {
    const { inlineBytes } = this.#store.deps;
    const isOwned = isRequest(body);
    const meter = this.#store.deps.quota?.meter(body);
    const take = (chunk: Buffer) => {
      meter?.take(chunk.length);
      live.hashes?.update(chunk);
      if (live.small) live.small.push(chunk);
      if (live.hashes && live.hashes.bytes > inlineBytes) live.small = undefined;
      return live.stage?.write(chunk, { owned: isOwned && !live.small });
    };
    return drain(body, take, signal).finally(() => meter?.end('kept'));
  }

  async #finish(
    row: UploadRow,
    live: Live,
    digest: Digest,
    last: { readonly body: Readable; readonly signal?: AbortSignal } | undefined,
  ): Promise<Landed> {
    await this.#reopen(row, live);
    if (last) await this.#takeLast(row, live, last);
    const held = this.#hold(live);
    let isEmptied = false;
    try {
      const hashes = await this.#hashesFor(live, digest, held);
      const landing: Landing = await this.#store.land(held, hashes, { [digest.algorithm]: digest.hex }, async (tx) => {
        await emptyUpload(tx, row.id);
        isEmptied = true;
      });
      landing.alsoInTransaction = (tx) => finishUpload(tx, row.id, renderDigest(digest), Date.now());
      live.stage = undefined;
      live.small = undefined;
      live.hashes = undefined;
      this.#live.delete(row.id);
      return landing;
    } catch (error) {
      // Bytes that are not what the client meant are of no use to it: the upload ends. After trouble of the store
      // the next request starts from what the row says is safe.
      if (error instanceof AppError && error.code === 'invalid') await this.#remove(row);
      else await this.#forget(isEmptied ? { ...row, stageId: '' } : row, live);
      throw error;
    }
  }

  /** Appends the body of the finishing request, which needs no sync of its own: the bytes are about to be placed. */
  async #takeLast(
    row: UploadRow,
    live: Live,
    last: { readonly body: Readable; readonly signal?: AbortSignal },
  ): Promise<void> {
    const { driver, inlineBytes } = this.#store.deps;
    const isOwned = isRequest(last.body);
    const meter = this.#store.deps.quota?.meter(last.body);
    const open = async () => {
      live.stage = await driver.stage();
      for (const earlier of live.small ?? []) await live.stage.write(earlier);
      live.small = undefined;
    };
    const take = (chunk: Buffer) => {
      meter?.take(chunk.length);
      live.hashes?.update(chunk);
      live.small?.push(chunk);
      const isLarge = (live.hashes?.bytes ?? Number.POSITIVE_INFINITY) > inlineBytes;
      if (!live.stage) return isLarge ? open() : undefined;
      const written = live.stage.write(chunk, { owned: isOwned && !live.small });
      if (isLarge) live.small = undefined;
      return written;
    };
    try {
      const cut = await drain(last.body, take, last.signal);
      if (cut !== undefined) throw cut;
      meter?.end('kept');
    } catch (error) {
      meter?.end('dropped');
      // The bytes before this request are still what the row says.
      await this.#forget(row, live);
      throw error;
    }
  }

  #hold(live: Live): Held {
    if (live.small) return { buffer: Buffer.concat(live.small), stage: live.stage };
    if (!live.stage) throw lost();
    return { stage: live.stage };
  }

  /** The running hash where it covers every byte with the algorithm asked for, else one more reading. */
  async #hashesFor(live: Live, digest: Digest, held: Held): Promise<Hashes> {
    if (live.hashes?.has(digest.algorithm)) return live.hashes;
    const algorithms: HashAlgorithm[] = ['sha256', digest.algorithm];
    const hashes = new Hashes(algorithms);
    if (held.buffer) {
      hashes.update(held.buffer);
      return hashes;
    }
    await held.stage.sync();
    for await (const chunk of (await held.stage.read()) as AsyncIterable<Buffer>) hashes.update(chunk);
    return hashes;
  }

  async #forget(row: Pick<UploadRow, 'id' | 'stageId' | 'received'>, live: Live): Promise<void> {
    this.#live.delete(row.id);
    if (row.stageId === '') {
      await live.stage?.abort().catch(() => undefined);
      return;
    }
    await live.stage?.close().catch(() => undefined);
    // What came after the acknowledged bytes would only fill a full disk further.
    await this.#cutBack(row).catch(() => undefined);
  }

  async #cutBack({ stageId, received }: Pick<UploadRow, 'stageId' | 'received'>): Promise<void> {
    const stage = await this.#store.deps.driver.resume(stageId);
    if (stage && stage.size > received) await stage.truncate(received);
    await stage?.close();
  }

  async #remove(row: UploadRow): Promise<void> {
    const live = this.#live.get(row.id);
    this.#live.delete(row.id);
    if (live?.stage) await live.stage.abort();
    else if (row.stageId !== '') await this.#store.deps.driver.removeStage(row.stageId);
    await this.#store.deps.database.transaction((tx) => deleteUpload(tx, row.id), { durable: false });
  }
}

function lost(): AppError {
  return new AppError('not_found', 'The bytes of this upload are lost. Start it again.', { upload: true });
}
