/** Whether objects hold what their rows say: found out when they are read, so that no other bytes pass for them. */
import { createHash } from 'node:crypto';
import { AppError } from '../core/errors.ts';
import type { Sha256 } from '../core/ids.ts';
import type { ByteRange } from '../core/repository.ts';
import { Lru } from '../lib/lru.ts';

type Write = (chunk: Buffer) => Promise<void>;

interface Stored {
  readonly key: string;
  readonly sha256: Sha256;
  readonly size: number;
}

/** An object that was read and found right is believed for this long: hashing it again each time would cost much. */
const BELIEVED_MS = 60 * 60 * 1000;
const MAX_REMEMBERED = 100_000;

export class Soundness {
  readonly #sound = new Lru<string, true>({ maxEntries: MAX_REMEMBERED, ttlMs: BELIEVED_MS });
  readonly #damaged = new Lru<string, true>({ maxEntries: MAX_REMEMBERED });

  /** Whether a reader found the object to hold other bytes than its row says. */
  isDamaged(key: string): boolean {
    return this.#damaged.get(key) === true;
  }

  /** Remembers that the object holds other bytes than its row says, and returns what a reader is told. */
  damage(key: string): AppError {
    this.#damaged.set(key, true);
    return new AppError('unavailable', 'The stored bytes of this file are damaged. An administrator has to look.', {
      damaged: true,
    });
  }

  /**
   * Reads an object by `pump`, handing its chunks to `write`. Fails, before the last of them is handed on, when the
   * object ends early or late or, where all of it is read, has another hash.
   */
  async read(
    stored: Stored,
    range: ByteRange | undefined,
    write: Write,
    pump: (write: Write) => Promise<void>,
  ): Promise<void> {
    const { key, sha256, size } = stored;
    const wanted = range ? range.end - range.start + 1 : size;
    const hash = wanted === size && !this.#sound.get(key) ? createHash('sha256') : undefined;
    let seen = 0;
    await pump(async (chunk) => {
      seen += chunk.length;
      hash?.update(chunk);
      if (seen > wanted || (seen === wanted && hash && hash.digest('hex') !== sha256)) throw this.damage(key);
      await write(chunk);
    });
    if (seen < wanted) throw this.damage(key);
    if (hash) this.#sound.set(key, true);
  }
}
