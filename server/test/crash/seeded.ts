/** Chance that can be repeated: everything a run chooses follows from one seed, which a failure prints. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto';

/** The seed of this run: given as ENTREPOT_TEST_SEED to repeat one, otherwise new. */
export function runSeed(): string {
  return process.env['ENTREPOT_TEST_SEED'] ?? randomBytes(4).toString('hex');
}

export class Seeded {
  readonly seed: string;
  #state: number;

  constructor(seed: string) {
    this.seed = seed;
    this.#state = createHash('sha256').update(seed).digest().readUInt32LE();
  }

  /** At least 0, less than 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from `low` up to and without `high`. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low));
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(values: readonly T[]): T {
    if (values.length === 0) throw new Error('there is nothing to pick from');
    return values[this.int(0, values.length)]!;
  }

  /** A generator of its own, so that what one part of a run chooses does not move the choices of another. */
  fork(name: string): Seeded {
    return new Seeded(`${this.seed}/${name}`);
  }
}

/** Incompressible bytes that the name alone determines. */
export function bytesFor(name: string, size: number): Buffer {
  const key = createHash('sha256').update(name).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}
