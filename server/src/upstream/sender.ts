/** Sends single requests: not to a host that is to be left alone, and telling an observer of each. */
import { UpstreamFailure, type UpstreamPause, type UpstreamTrouble } from '../core/upstream.ts';
import { Lru } from '../lib/lru.ts';
import { Breaker } from './breaker.ts';
import type { Exchange, ExchangeAnswer, Transport } from './transport.ts';

/** One request that went out, whatever came of it. */
export interface UpstreamObservation {
  /** Of the repository. */
  readonly key: string;
  readonly host: string;
  readonly method: string;
  /** Undefined where no answer came. */
  readonly status: number | undefined;
  /** Why no answer came, or not all of it; `abandoned` is that we wanted no more of it. */
  readonly trouble: UpstreamTrouble | 'abandoned' | undefined;
  readonly millisecondsToHeaders: number | undefined;
  /** Of the body, as they were sent. */
  readonly bytes: number;
}

export type UpstreamObserver = (observation: UpstreamObservation) => void;

export interface SenderOptions {
  readonly key: string;
  readonly transport: Transport;
  readonly offlineMs: number;
  readonly observe?: UpstreamObserver | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const MAX_HOSTS = 200;
const DRAINED_BYTES = 64 * 1024;

export class Sender {
  readonly #options: SenderOptions;
  readonly #breakers = new Lru<string, Breaker>({ maxEntries: MAX_HOSTS });

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** Why an origin is not asked at present. */
  pauseOf(url: URL): UpstreamPause | undefined {
    return this.#breakers.get(url.origin)?.pause;
  }

  /** Throws at once what a request to the origin would be told, if it would not be sent. */
  checkPause(url: URL): void {
    const pause = this.pauseOf(url);
    if (!pause) return;
    const trouble = pause.reason === 'rate-limited' ? 'rate-limited' : 'paused';
    throw new UpstreamFailure(trouble, pause.message, { retryAfterMs: this.#msUntil(pause.until) });
  }

  /** Sends one request; redirects and refusals are answers like any other. */
  async send(exchange: Exchange): Promise<ExchangeAnswer> {
    this.checkPause(exchange.url);
    const breaker = this.#breakerOf(exchange.url);
    const startedAt = performance.now();
    breaker.begin();
    try {
      const answer = await this.#options.transport.exchange(exchange);
      const { status, headers } = answer;
      breaker.answered(status, headers['retry-after']);
      this.#observeAnswer(exchange, answer, performance.now() - startedAt);
      return answer;
    } catch (error) {
      note(breaker, error);
      this.#observe(exchange, {
        status: undefined,
        trouble: troubleOf(error),
        millisecondsToHeaders: undefined,
        bytes: 0,
      });
      throw this.#withRetry(error, breaker.pause);
    }
  }

  #breakerOf(url: URL): Breaker {
    const known = this.#breakers.get(url.origin);
    if (known) return known;
    const { offlineMs, now } = this.#options;
    const breaker = new Breaker({ host: url.host, offlineMs, now });
    this.#breakers.set(url.origin, breaker);
    return breaker;
  }

  #withRetry(error: unknown, pause: UpstreamPause | undefined): unknown {
    if (!(error instanceof UpstreamFailure) || !pause || error.retryAfterMs !== undefined) return error;
    const options = { cause: error.cause, retryAfterMs: this.#msUntil(pause.until) };
    return new UpstreamFailure(error.trouble, error.message, options);
  }

  #msUntil(until: Date): number {
    return Math.max(0, until.getTime() - this.#options.now());
  }

  #observeAnswer(exchange: Exchange, answer: ExchangeAnswer, millisecondsToHeaders: number): void {
    if (!this.#options.observe) return;
    answer.over.then(({ bytes, failure }) => {
      const trouble = failure && troubleOf(failure);
      this.#observe(exchange, { status: answer.status, trouble, millisecondsToHeaders, bytes });
    }, ignore);
  }

  #observe(exchange: Exchange, seen: Omit<UpstreamObservation, 'key' | 'host' | 'method'>): void {
    this.#options.observe?.({ key: this.#options.key, host: exchange.url.host, method: exchange.method, ...seen });
  }
}

/** Ends an answer that is not wanted; if little of it is left, in a way that keeps its connection. */
export function discard({ body }: ExchangeAnswer): void {
  let bytes = 0;
  body.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DRAINED_BYTES) body.destroy();
  });
}

function note(breaker: Breaker, error: unknown): void {
  const trouble = troubleOf(error);
  if (trouble === 'unreachable') breaker.unreachable();
  else if (trouble === 'timeout' || trouble === 'broken') breaker.cut();
  else breaker.abandoned();
}

function troubleOf(error: unknown): UpstreamTrouble | 'abandoned' {
  return error instanceof UpstreamFailure ? error.trouble : 'abandoned';
}

function ignore(): void {}
