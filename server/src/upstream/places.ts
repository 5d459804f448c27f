/** Lets only so many requests go to an upstream at once; the others wait, but not for ever and not without end. */
import { UpstreamFailure } from '../core/upstream.ts';

export interface PlacesOptions {
  /** For messages. */
  readonly host: string;
  readonly places: number;
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
}

interface Waiter {
  readonly go: () => void;
}

const RETRY_AFTER_MS = 2000;

export class Places {
  readonly #options: PlacesOptions;
  readonly #waiting = new Set<Waiter>();
  #taken = 0;

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /** Taken places; 0 is idle. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes a place when there is one; what comes back gives it up, and may be called more than once. */
  async enter(signal?: AbortSignal): Promise<() => void> {
    if (this.#taken < this.#options.places) this.#taken += 1;
    else await this.#wait(signal);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      this.#leave();
    };
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    const { host, maxWaiting, maxWaitMs } = this.#options;
    if (this.#waiting.size >= maxWaiting) {
      throw new UpstreamFailure('paused', `Too many requests wait for host "${host}"; try again later.`, {
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#waiting.delete(waiter);
      };
      const waiter: Waiter = {
        go: () => {
          end();
          resolve();
        },
      };
      const onAbort = () => {
        end();
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        end();
        const message = `The requests under way to host "${host}" take too long for another one; try again later.`;
        reject(new UpstreamFailure('timeout', message, { retryAfterMs: RETRY_AFTER_MS }));
      }, maxWaitMs);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  #leave(): void {
    const [next] = this.#waiting;
    // The place goes from one to the other without becoming free in between.
    if (next) next.go();
    else this.#taken -= 1;
  }
}
