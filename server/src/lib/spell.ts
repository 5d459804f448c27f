/** Sharing the one thread: loops over many things let others in between them. */
import { setImmediate as turn } from 'node:timers/promises';

/** So long others can well wait. */
const SPELL_MS = 4;

/** Some milliseconds of work: `if (spell.isOver) await spell.rest();` between two things lets others in. */
export class Spell {
  #since = performance.now();

  get isOver(): boolean {
    return performance.now() - this.#since >= SPELL_MS;
  }

  /** Resolves after others had their turn, and begins anew. */
  async rest(): Promise<void> {
    await turn();
    this.#since = performance.now();
  }
}
