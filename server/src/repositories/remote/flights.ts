/** The things that are being asked for now, so that each is asked for once, and those that have just failed. */
import { AppError } from '../../core/errors.ts';
import type { Database } from '../../db/database.ts';
import { Lru } from '../../lib/lru.ts';
import { type Errand, Flight } from './flight.ts';
import { Leases } from './leases.ts';

/** A failure is everybody's answer for so long: a crowd that tries again does not reach the upstream. */
const BACK_OFF_MS = 1000;
const MAX_FAILED = 1000;

export class Flights {
  readonly #flying = new Map<string, Flight>();
  readonly #failed = new Lru<string, AppError>({ maxEntries: MAX_FAILED, ttlMs: BACK_OFF_MS });
  readonly #leases: Leases;
  readonly #end = new AbortController();

  constructor(database: Database) {
    this.#leases = new Leases(database);
  }

  /** Whether the thing is being asked for by this process. */
  has(repoId: number, key: string): boolean {
    return this.#flying.has(`${repoId}\n${key}`);
  }

  /** Joins the flight of the errand's key, or begins it; throws what one that has just ended failed with. */
  join(errand: Errand): Flight {
    const name = `${errand.repoId}\n${errand.key}`;
    const found = this.#flying.get(name);
    if (found?.isOpen) return found;
    const failure = this.#failed.get(name);
    if (failure) throw new AppError(failure.code, failure.message, { ...failure.detail }, { cause: failure });
    const flight = new Flight(errand, this.#leases, this.#end.signal);
    this.#flying.set(name, flight);
    void flight.over.then(() => {
      const { failure: reason } = flight;
      if (reason instanceof AppError && reason.detail['abandoned'] !== true) this.#failed.set(name, reason);
      if (this.#flying.get(name) === flight) this.#flying.delete(name);
    });
    return flight;
  }

  /** Ends everything that is under way. */
  async stop(): Promise<void> {
    this.#end.abort(new AppError('unavailable', 'The server is stopping. Ask again in a moment.'));
    await Promise.allSettled([...this.#flying.values()].map(({ over }) => over));
  }
}
