/** Keeps a host from being asked while it cannot answer, or has asked for time. One per host and port, in memory. */
import type { UpstreamPause } from '../core/upstream.ts';

export interface BreakerOptions {
  readonly host: string;
  /** How long a host counts as offline; 0 never. */
  readonly offlineMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Time-outs and cuts in a row after which a host counts as offline; one refused connection is enough. */
const CUTS_UNTIL_OFFLINE = 3;
const DEFAULT_WAIT_MS = 60_000;
const MIN_WAIT_MS = 1000;
const MAX_WAIT_MS = 3_600_000;

export class Breaker {
  readonly #options: BreakerOptions;
  #offlineUntil: number | undefined;
  #isProbed = false;
  #cuts = 0;
  #limitedUntil = 0;
  #limitedInARow = 0;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** Why the host is not asked now. */
  get pause(): UpstreamPause | undefined {
    const now = this.#options.now();
    const { host } = this.#options;
    if (this.#limitedUntil > now) {
      const until = new Date(this.#limitedUntil);
      const message = `Host "${host}" has asked for time; it is asked again from ${until.toISOString()}.`;
      return { reason: 'rate-limited', until, message };
    }
    if (this.#offlineUntil === undefined || (this.#offlineUntil <= now && !this.#isProbed)) return undefined;
    const until = new Date(Math.max(this.#offlineUntil, now + MIN_WAIT_MS));
    const message = `Host "${host}" did not answer and is assumed to be offline until ${until.toISOString()}.`;
    return { reason: 'assumed-offline', until, message };
  }

  /**
   * Notes that a request is sent, which must be followed by one of the others. After a time offline this request is the
   * probe: until its outcome is known no other is sent.
   */
  begin(): void {
    if (this.#offlineUntil !== undefined) this.#isProbed = true;
  }

  /** No connection came about: the host is offline. */
  unreachable(): void {
    this.#goOffline();
  }

  /** A connection came about but no answer, or half of one: that happens to single requests too. */
  cut(): void {
    this.#cuts += 1;
    if (this.#cuts >= CUTS_UNTIL_OFFLINE || this.#offlineUntil !== undefined) this.#goOffline();
  }

  /** We gave up ourselves, which says nothing about the host. */
  abandoned(): void {
    this.#isProbed = false;
  }

  /** The host answered. */
  answered(status: number, retryAfter: string | undefined): void {
    this.#offlineUntil = undefined;
    this.#isProbed = false;
    this.#cuts = 0;
    if (status === 429 || (status === 503 && retryAfter !== undefined)) this.#limit(retryAfter);
    else if (status < 500 && this.#limitedUntil <= this.#options.now()) this.#limitedInARow = 0;
  }

  #limit(retryAfter: string | undefined): void {
    const now = this.#options.now();
    // Answers to what was sent before the pause began are no further steps of the back-off.
    const isNew = this.#limitedUntil <= now;
    const asked = parseRetryAfter(retryAfter, now);
    const wait = asked ?? DEFAULT_WAIT_MS * 2 ** Math.min(isNew ? this.#limitedInARow : this.#limitedInARow - 1, 6);
    if (isNew) this.#limitedInARow += 1;
    const until = now + Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, wait));
    this.#limitedUntil = Math.max(this.#limitedUntil, until);
  }

  #goOffline(): void {
    this.#isProbed = false;
    this.#cuts = 0;
    if (this.#options.offlineMs > 0) this.#offlineUntil = this.#options.now() + this.#options.offlineMs;
  }
}

/** Milliseconds from now that the field asks to wait (RFC 9110, section 10.2.3); undefined where it cannot be read. */
export function parseRetryAfter(field: string | undefined, now: number): number | undefined {
  const text = field?.trim() ?? '';
  if (/^\d{1,20}$/.test(text)) return Number(text) * 1000;
  if (!/[A-Za-z]/.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
