/** Several checksums of one stream in one pass. */
import { createHash, type Hash } from 'node:crypto';

export type HashAlgorithm = 'sha256' | 'sha512' | 'sha1' | 'md5';

export class Hashes {
  readonly #hashes: readonly (readonly [HashAlgorithm, Hash])[];
  #bytes = 0;

  constructor(algorithms: Iterable<HashAlgorithm>) {
    this.#hashes = [...new Set(algorithms)].map((algorithm) => [algorithm, createHash(algorithm)]);
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(algorithm: HashAlgorithm): boolean {
    return this.#hashes.some(([name]) => name === algorithm);
  }

  update(chunk: Buffer): void {
    for (const [, hash] of this.#hashes) hash.update(chunk);
    this.#bytes += chunk.length;
  }

  /** The values so far, in lower-case hex. More bytes may follow. */
  values(): Partial<Record<HashAlgorithm, string>> {
    return Object.fromEntries(this.#hashes.map(([name, hash]) => [name, hash.copy().digest('hex')]));
  }
}
