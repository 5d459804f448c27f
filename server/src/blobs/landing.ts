/**
 * Bytes that are stored but that no row names yet. A change adopts them in its own transaction; bytes that nobody
 * adopts are removed.
 */
import { AppError } from '../core/errors.ts';
import type { Digest, Sha256 } from '../core/ids.ts';
import type { Content, Landed } from '../core/repository.ts';
import {
  addAlias,
  adoptObject,
  announceObject,
  type BlobRow,
  deleteTrashOf,
  disownObject,
  getBlob,
  holdBlobs,
  insertBlob,
  type NewBlob,
  replaceObject,
} from '../db/blobs.ts';
import type { Database, Tx } from '../db/database.ts';
import { crashpoint } from '../lib/crashpoint.ts';
import type { BlobDriver, Stage } from './driver.ts';
import { inlineContent } from './inline-content.ts';
import type { Soundness } from './soundness.ts';

/** The blob that the landed bytes were found equal to has been collected meanwhile: place the bytes and try again. */
export class BlobVanished extends Error {
  readonly landing: Landing;
  constructor(landing: Landing) {
    super('a blob vanished between landing and adoption');
    this.landing = landing;
  }
}

/** After this time an object that no change adopted counts as left behind by a crash. */
const ANNOUNCED_MS = 60 * 60 * 1000;
/** No change may adopt it this close to that moment: a process can be stopped at any point and go on much later. */
const ADOPTION_MARGIN_MS = ANNOUNCED_MS / 2;

interface Bytes {
  readonly sha256: Sha256;
  readonly sha1: string | undefined;
  readonly md5: string | undefined;
  readonly size: number;
  readonly aliases: readonly Digest[];
  readonly held: Held;
  /** What an upload row has to say before the bytes leave their stage; until then the stage is the upload's. */
  readonly alsoBeforePlacing?: ((tx: Tx) => Promise<void>) | undefined;
}

/** Where the bytes are now: in memory, perhaps with a stage that holds them too, or in a synced stage alone. */
export type Held =
  | { readonly buffer: Buffer; readonly stage?: Stage | undefined }
  | { readonly buffer?: undefined; readonly stage: Stage };

interface Deps {
  readonly database: Database;
  readonly driver: BlobDriver;
  readonly soundness: Soundness;
}

export class Landing implements Landed {
  readonly sha256: Sha256;
  readonly size: number;
  readonly aliases: readonly Digest[];
  readonly sha1: string | undefined;
  readonly md5: string | undefined;
  /** Further rows to be written by the transaction that adopts the bytes. */
  alsoInTransaction: ((tx: Tx) => Promise<void>) | undefined;
  readonly #bytes: Bytes;
  readonly #deps: Deps;
  #storeKey: string | undefined;
  /** The object of the blob that is there already, which turned out to be damaged. */
  #damaged: string | undefined;
  /** Somebody else stored the same bytes first. */
  #isSpare = false;
  #state: 'duplicate' | 'placed' | 'adopted' | 'discarded' = 'duplicate';

  private constructor(deps: Deps, bytes: Bytes) {
    this.#deps = deps;
    this.#bytes = bytes;
    this.sha256 = bytes.sha256;
    this.size = bytes.size;
    this.aliases = bytes.aliases;
    this.sha1 = bytes.sha1;
    this.md5 = bytes.md5;
  }

  /** Places verified bytes in the store, unless it holds the same already. */
  static async of(deps: Deps, bytes: Bytes): Promise<Landing> {
    const landing = new Landing(deps, bytes);
    const existing = await deps.database.read((db) => getBlob(db, bytes.sha256));
    if (existing) landing.#damaged = await landing.#damageOf(existing);
    if (!existing || landing.#damaged !== undefined) await landing.place();
    return landing;
  }

  /** Makes the bytes an object of their own. Small ones wait in memory for the transaction. */
  async place(): Promise<void> {
    if (this.#state !== 'duplicate') return;
    const { held, sha256 } = this.#bytes;
    if (!held.buffer) {
      const { database } = this.#deps;
      let noted: Promise<void> | undefined;
      this.#storeKey = await held.stage.commit(sha256, async (key) => {
        await database.transaction((tx) => this.#announce(tx, key), { durable: false });
        crashpoint('blob.announced');
        // Synced beside the object's name, not before it: under load each sync in turn waits for all others' bytes.
        noted = database.dialect.flush();
        noted.catch(() => undefined);
      });
      // A loss of power must not leave an object of which no row knows.
      await noted;
    }
    this.#state = 'placed';
  }

  async content(): Promise<Content> {
    const { held, size } = this.#bytes;
    if (held.buffer) return inlineContent(held.buffer);
    // The blob that is there already could be collected meanwhile: these bytes get an object of their own.
    await this.place();
    const key = this.#storeKey as string;
    const { driver } = this.#deps;
    return {
      size,
      open: (range) => driver.open(key, range),
      pump: (range, write) => driver.pump(key, range, write),
    };
  }

  /** Gives the bytes their row, in the transaction that names them. Throws BlobVanished to be placed first. */
  async adopt(tx: Tx, at: number): Promise<void> {
    const { sha256, sha1, md5, size, held } = this.#bytes;
    if (this.#state === 'duplicate') {
      if (!(await holdBlobs(tx, [sha256])).has(sha256)) throw new BlobVanished(this);
    } else {
      const blob = { sha256, sha1, md5, size, storeKey: this.#storeKey, bytes: held.buffer };
      const inserted = (await insertBlob(tx, blob, at)) || (await this.#repair(tx, blob));
      this.#isSpare = !inserted;
      // A sweep may have come between the insert and the hold: then the row can be inserted in the next attempt.
      if (!inserted && !(await holdBlobs(tx, [sha256])).has(sha256)) throw new BlobVanished(this);
      if (inserted && this.#storeKey !== undefined) await this.#claim(tx, this.#storeKey);
    }
    for (const alias of this.aliases) await addAlias(tx, alias, sha256);
    await this.alsoInTransaction?.(tx);
  }

  /** The change that adopted the bytes is durable; what it turned out not to need is removed. */
  async settle(): Promise<void> {
    const left = this.#leftStage();
    this.#state = 'adopted';
    try {
      await left?.abort();
      if (this.#isSpare && this.#storeKey !== undefined) await this.#removeObject(this.#storeKey);
    } catch (error) {
      // The change stands. What is left behind is removed with other leftovers.
      if (!(error instanceof AppError)) throw error;
    }
  }

  async discard(): Promise<void> {
    const state = this.#state;
    if (state === 'adopted' || state === 'discarded') return;
    const left = this.#leftStage();
    this.#state = 'discarded';
    if (this.#bytes.alsoBeforePlacing) await left?.close();
    else await left?.abort();
    if (state === 'placed' && this.#storeKey !== undefined) await this.#removeUnlessAdopted(this.#storeKey);
  }

  /** The stage, as long as it did not become an object. */
  #leftStage(): Stage | undefined {
    return this.#storeKey === undefined ? this.#bytes.held.stage : undefined;
  }

  /** The key of the blob's object if that is missing or not what the row says: trusting it would lose these bytes. */
  async #damageOf({ storeKey, size }: BlobRow): Promise<string | undefined> {
    if (storeKey === undefined) return undefined;
    const { driver, soundness } = this.#deps;
    return soundness.isDamaged(storeKey) || (await driver.size(storeKey)) !== size ? storeKey : undefined;
  }

  async #repair(tx: Tx, blob: NewBlob): Promise<boolean> {
    return this.#damaged !== undefined && (await replaceObject(tx, blob, this.#damaged));
  }

  async #announce(tx: Tx, key: string): Promise<void> {
    await announceObject(tx, key, ANNOUNCED_MS);
    await this.#bytes.alsoBeforePlacing?.(tx);
  }

  async #claim(tx: Tx, key: string): Promise<void> {
    if (await adoptObject(tx, key, ADOPTION_MARGIN_MS)) return;
    throw new AppError('unavailable', 'It took too long until the received bytes could be recorded. Send them again.');
  }

  /** A change that failed may have been committed all the same, when only its confirmation was lost. */
  async #removeUnlessAdopted(key: string): Promise<void> {
    const isOurs = await this.#deps.database.transaction((tx) => disownObject(tx, key), { durable: false });
    if (isOurs) await this.#removeObject(key);
  }

  /** Its note goes after it, so that a crash in between only removes it again. */
  async #removeObject(key: string): Promise<void> {
    await this.#deps.driver.remove(key);
    crashpoint('landing.object-removed');
    await this.#deps.database.transaction((tx) => deleteTrashOf(tx, key), { durable: false });
  }
}
