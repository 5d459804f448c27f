/**
 * One thing being asked of an upstream, by this process or by another one. Whoever wants it meanwhile joins: all hear the
 * same outcome, and read the same bytes while they come. It goes on when everybody who wanted it has left.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Spool } from '../../blobs/spool.ts';
import { AppError } from '../../core/errors.ts';
import type { Asset, ByteRange } from '../../core/repository.ts';
import { type Announcement, parseOutcome, renderOutcome } from './announcement.ts';
import type { Description } from './answers.ts';
import type { Lease, Leases } from './leases.ts';

/** How the thing is asked for and kept: what a flight does not know. */
export interface Errand {
  readonly repoId: number;
  readonly key: string;
  /** Asks, tells what is known as soon as it is, and returns when everything is stored. */
  run(told: Told): Promise<Announcement>;
  /** What is here since `startedAt`, as another process may have left it; undefined where there is nothing new. */
  look(startedAt: number): Promise<Announcement | undefined>;
  /** The file at rest. */
  held(): Promise<Asset | undefined>;
  /** What callers may be told of the error; what is none of theirs is passed on. */
  troubleOf(error: unknown): unknown;
}

/** How an errand tells of what it finds before it is over. */
export interface Told {
  readonly signal: AbortSignal;
  arriving(description: Description, spool: Spool): Promise<void>;
}

const POLL_MS = 100;

export class Flight {
  /** What came of asking, as soon as that is known. */
  readonly announced: Promise<Announcement>;
  /** The file once it is stored. */
  readonly settled: Promise<Asset>;
  /** When nothing more happens. */
  readonly over: Promise<void>;
  readonly #errand: Errand;
  readonly #leases: Leases;
  readonly #signal: AbortSignal;
  readonly #announce = Promise.withResolvers<Announcement>();
  readonly #source = Promise.withResolvers<Spool | undefined>();
  readonly #settle = Promise.withResolvers<Asset>();
  #failure: unknown;
  #spool: Spool | undefined;

  constructor(errand: Errand, leases: Leases, signal: AbortSignal) {
    this.#errand = errand;
    this.#leases = leases;
    this.#signal = signal;
    this.announced = this.#announce.promise;
    this.settled = this.#settle.promise;
    for (const promise of [this.announced, this.settled, this.#source.promise]) promise.catch(() => undefined);
    this.over = this.#run();
  }

  /** Why nothing came of it. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Whether somebody who comes now can still read all of it. */
  get isOpen(): boolean {
    return this.#spool === undefined || this.#spool.isKept || this.#spool.isOpen;
  }

  /** Hands on the bytes as they come, or from the store where they are by now. */
  async pump(range: ByteRange | undefined, write: (chunk: Buffer) => Promise<void>): Promise<void> {
    const spool = await this.#source.promise;
    if (spool && !spool.isDropped) return spool.pump(range, write);
    const asset = await this.settled;
    return asset.content.pump(range, write);
  }

  async #run(): Promise<void> {
    const startedAt = Date.now();
    try {
      const lease = await this.#leases.take(this.#errand.repoId, this.#errand.key);
      if (lease) await this.#lead(lease);
      else await this.#follow(startedAt);
    } catch (error) {
      this.#fail(error);
    } finally {
      // Who reads goes on to the end; the place in the store is known by now, if there is one.
      void this.#spool?.drop();
    }
  }

  async #lead(lease: Lease): Promise<void> {
    try {
      const announcement = await this.#errand.run({
        signal: this.#signal,
        arriving: async (description, spool) => {
          this.#spool = spool;
          this.#source.resolve(spool);
          this.#announce.resolve({ kind: 'arriving', description });
          await lease.describe(JSON.stringify(description)).catch(() => undefined);
        },
      });
      if (announcement.kind === 'absent') await lease.fail(renderOutcome(announcement));
      else await lease.release();
      await this.#arrive(announcement);
    } catch (error) {
      const trouble = this.#errand.troubleOf(error);
      // What was only passed on is no failure for those who come later: they ask themselves.
      const isOutcome = trouble instanceof AppError && trouble.detail['abandoned'] !== true;
      const told = isOutcome ? lease.fail(renderOutcome(trouble)) : lease.release();
      await told.catch(() => undefined);
      throw trouble;
    }
  }

  async #arrive(announcement: Announcement): Promise<void> {
    this.#announce.resolve(announcement);
    this.#source.resolve(undefined);
    const asset = announcement.kind === 'absent' ? undefined : await this.#errand.held();
    if (asset) this.#settle.resolve(asset);
    else this.#settle.reject(new AppError('not_found', 'Nothing of it is kept.'));
  }

  /** Waits for the process that asks, and takes over when it dies. */
  async #follow(startedAt: number): Promise<void> {
    const { repoId, key } = this.#errand;
    for (;;) {
      this.#signal.throwIfAborted();
      const row = await this.#leases.look(repoId, key);
      if (row?.isAlive && row.outcome !== undefined) {
        await this.#arrive(parseOutcome(row.outcome));
        return;
      }
      if (row?.isAlive) {
        if (row.description !== undefined) {
          this.#announce.resolve({ kind: 'arriving', description: JSON.parse(row.description) as Description });
        }
        await delay(POLL_MS, undefined, { signal: this.#signal });
        continue;
      }
      const found = await this.#errand.look(startedAt);
      if (found) return this.#arrive(found);
      const lease = await this.#leases.take(repoId, key);
      if (lease) return this.#lead(lease);
    }
  }

  #fail(error: unknown): void {
    this.#failure = error;
    this.#spool?.fail(error);
    this.#announce.reject(error);
    this.#source.reject(error);
    this.#settle.reject(error);
  }
}
