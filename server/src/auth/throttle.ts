/**
 * Slows down whoever guesses passwords. Failures are counted in the database, so all nodes count together; what has
 * been proven already, tokens above all, is never slowed down, so a stranger cannot stop anybody's builds.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { AppError } from '../core/errors.ts';
import { type Database, type Db, lockScope, type Tx } from '../db/database.ts';
import {
  addLoginFailure,
  deleteLoginFailures,
  deleteOldLoginFailures,
  getLoginFailure,
  type LoginFailureRow,
  listLoginFailures,
} from '../db/login-failures.ts';
import { badCredentials } from './principals.ts';

export interface ThrottleLimits {
  readonly sourceFailures: number;
  readonly sourceWindowMs: number;
  readonly maxDelayMs: number;
  readonly accountFailures: number;
  readonly accountWindowMs: number;
  readonly accountHardStop: number;
  readonly addressFailures: number;
  readonly addressWindowMs: number;
  readonly addressAccounts: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

export const DEFAULT_THROTTLE: ThrottleLimits = {
  sourceFailures: 5,
  sourceWindowMs: 15 * MINUTE_MS,
  maxDelayMs: 15 * MINUTE_MS,
  accountFailures: 30,
  accountWindowMs: 60 * MINUTE_MS,
  accountHardStop: 100,
  addressFailures: 10,
  addressWindowMs: 5 * MINUTE_MS,
  addressAccounts: 100,
};

/** A window is counted in this many slices: none of its length ever holds more failures than the limit. */
const SLICES = 5;
/** How long an address from which an account logged in is exempt from what strangers do to that account. */
const KNOWN_MS = 90 * DAY_MS;
const MAX_KNOWN_PENDING = 10_000;

interface Standing {
  /** When the next attempt is allowed; 0 when it is now. */
  readonly blockedUntil: number;
  readonly hardStopped: boolean;
  readonly sourceFailures: number;
  readonly streak: number;
}

/** Who tries, as it is counted: the folded account name, undefined if it cannot be one, and the address range. */
interface Attempt {
  readonly account: string | undefined;
  readonly range: string;
}

/** The limits of failed logins, over the rows that count them. */
export class LoginThrottle {
  readonly #database: Database;
  readonly #limits: ThrottleLimits;
  readonly #clock: () => number;
  /** Successes to be remembered, by key of the known address. */
  readonly #known = new Map<string, number>();

  constructor(deps: { readonly database: Database; readonly limits?: ThrottleLimits; readonly clock?: () => number }) {
    this.#database = deps.database;
    this.#limits = deps.limits ?? DEFAULT_THROTTLE;
    this.#clock = deps.clock ?? Date.now;
  }

  /**
   * Lets an attempt pass or throws `rate_limited` with `retryAfterSeconds`; an account that was guessed at too often
   * in a row takes no password from unknown addresses, right or wrong.
   */
  async admit(account: string | undefined, address: string): Promise<void> {
    const attempt = { account, range: addressRange(address) };
    this.#refuse(await this.#database.read((db) => this.#standing(db, attempt)));
  }

  /**
   * Counts how an attempt ended. Throws like `admit` when others used up the limit while this one was checked: of
   * many guesses at once only as many count as would have one after another.
   */
  async settle(account: string | undefined, address: string, succeeded: boolean): Promise<void> {
    const attempt = { account, range: addressRange(address) };
    if (succeeded) return this.#succeed(attempt);
    await this.#database.transaction(
      async (tx) => {
        await lockScope(tx, `login from ${attempt.range}`);
        if (account !== undefined) await lockScope(tx, `login to ${account}`);
        const standing = await this.#standing(tx, attempt);
        this.#refuse(standing);
        await this.#count(tx, attempt, standing);
      },
      { durable: false },
    );
  }

  /** Forgets the failures of an account, as after an administrator reset it. */
  async unlock(tx: Tx, account: string): Promise<void> {
    await deleteLoginFailures(tx, `source|${account}|`);
    await deleteLoginFailures(tx, `account|${account}|`);
    await deleteLoginFailures(tx, `streak|${account}|`);
  }

  /** Writes from where accounts logged in. */
  async flush(): Promise<void> {
    const pending = [...this.#known];
    if (pending.length === 0) return;
    await this.#database.transaction(
      async (tx) => {
        for (const [key, at] of pending) await addLoginFailure(tx, { key, windowStart: at, blockedUntil: 0 });
      },
      { durable: false },
    );
    for (const [key, at] of pending) if (this.#known.get(key) === at) this.#known.delete(key);
  }

  /** Removes what no limit looks at any more. */
  async purge(): Promise<void> {
    const now = this.#clock();
    await this.#database.transaction(
      async (tx) => {
        for (const kind of ['source|', 'account|', 'address|', 'distinct|']) {
          await deleteOldLoginFailures(tx, kind, now - 2 * DAY_MS);
        }
        for (const kind of ['streak|', 'known|']) await deleteOldLoginFailures(tx, kind, now - KNOWN_MS);
      },
      { durable: false },
    );
  }

  #refuse(standing: Standing): void {
    if (standing.hardStopped) throw badCredentials();
    const waitMs = standing.blockedUntil - this.#clock();
    if (waitMs <= 0) return;
    const retryAfterSeconds = Math.ceil(waitMs / 1000);
    throw new AppError('rate_limited', `Too many failed logins. Try again in ${retryAfterSeconds} seconds.`, {
      retryAfterSeconds,
    });
  }

  async #standing(db: Db, { account, range }: Attempt): Promise<Standing> {
    const now = this.#clock();
    const limits = this.#limits;
    // Who logged in from here before is held back by own failures only, not by those of neighbours and strangers.
    const known = account !== undefined && (await this.#isKnown(db, account, range));
    const address = known ? [] : await this.#window(db, `address|${range}|`, limits.addressWindowMs);
    const distinct = known ? [] : await listLoginFailures(db, `distinct|${range}|`, now - DAY_MS);
    const addressUntil = Math.max(
      until(address, limits.addressFailures, limits.addressWindowMs),
      distinct.length >= limits.addressAccounts ? (distinct[0]?.windowStart ?? now) + DAY_MS : 0,
    );
    if (account === undefined) {
      return { blockedUntil: addressUntil, hardStopped: false, sourceFailures: 0, streak: 0 };
    }
    const source = await this.#window(db, `source|${account}|${range}|`, limits.sourceWindowMs);
    const sourceUntil = Math.max(0, ...source.map((row) => row.blockedUntil));
    const all = known ? [] : await this.#window(db, `account|${account}|`, limits.accountWindowMs);
    const streak = (await getLoginFailure(db, `streak|${account}|`))?.failures ?? 0;
    return {
      blockedUntil: Math.max(addressUntil, sourceUntil, until(all, limits.accountFailures, limits.accountWindowMs)),
      hardStopped: !known && streak >= limits.accountHardStop,
      sourceFailures: sum(source),
      streak,
    };
  }

  async #isKnown(db: Db, account: string, range: string): Promise<boolean> {
    const key = `known|${account}|${range}`;
    if (this.#known.has(key)) return true;
    const row = await getLoginFailure(db, key);
    return row !== undefined && row.windowStart > this.#clock() - KNOWN_MS;
  }

  #window(db: Db, prefix: string, windowMs: number): Promise<LoginFailureRow[]> {
    return listLoginFailures(db, prefix, this.#clock() - windowMs - windowMs / SLICES + 1);
  }

  async #count(tx: Tx, { account, range }: Attempt, standing: Standing): Promise<void> {
    const now = this.#clock();
    const limits = this.#limits;
    const add = (prefix: string, windowMs: number, blockedUntil = 0) => {
      const slice = Math.floor(now / (windowMs / SLICES));
      const windowStart = Math.floor(slice * (windowMs / SLICES));
      return addLoginFailure(tx, { key: `${prefix}${slice}`, windowStart, blockedUntil });
    };
    await add(`address|${range}|`, limits.addressWindowMs);
    if (account === undefined) return;
    const excess = standing.sourceFailures + 1 - limits.sourceFailures;
    const delayMs = excess < 0 ? 0 : Math.min(1000 * 2 ** Math.min(excess, 30), limits.maxDelayMs);
    await add(`source|${account}|${range}|`, limits.sourceWindowMs, delayMs && now + delayMs);
    await add(`account|${account}|`, limits.accountWindowMs);
    await addLoginFailure(tx, { key: `distinct|${range}|${account}`, windowStart: now, blockedUntil: 0 });
    await addLoginFailure(tx, { key: `streak|${account}|`, windowStart: now, blockedUntil: 0 });
  }

  async #succeed(attempt: Attempt): Promise<void> {
    const { account, range } = attempt;
    const standing = await this.#database.read((db) => this.#standing(db, attempt));
    this.#refuse(standing);
    if (account === undefined) return;
    if (this.#known.size < MAX_KNOWN_PENDING) this.#known.set(`known|${account}|${range}`, this.#clock());
    if (standing.sourceFailures === 0 && standing.streak === 0) return;
    await this.#database.transaction(
      async (tx) => {
        await deleteLoginFailures(tx, `source|${account}|${range}|`);
        await deleteLoginFailures(tx, `streak|${account}|`);
      },
      { durable: false },
    );
  }
}

/** The part of an address that one customer of a provider usually has: /24 of IPv4, /56 of IPv6. */
export function addressRange(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (isIPv4(plain)) return plain.split('.').slice(0, 3).join('.');
  if (!isIPv6(plain)) return 'unknown';
  const [head = '', tail] = plain.toLowerCase().split('::');
  const first = head === '' ? [] : head.split(':');
  // An IPv4 tail stands for two groups and is never within the first 56 bits, unless the address has no gap.
  const last =
    tail === undefined || tail === '' ? [] : tail.split(':').flatMap((g) => (g.includes('.') ? ['0', '0'] : g));
  const gap = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const groups = [...first, ...Array.from({ length: gap }, () => '0'), ...last].map((group) =>
    Number.parseInt(group, 16),
  );
  const [a = 0, b = 0, c = 0, d = 0] = groups;
  return [a, b, c, d & 0xff00].map((group) => group.toString(16)).join(':');
}

function sum(rows: readonly LoginFailureRow[]): number {
  return rows.reduce((total, row) => total + row.failures, 0);
}

/** When enough slices have left the window for the count to be below the limit; 0 when it is. */
function until(rows: readonly LoginFailureRow[], limit: number, windowMs: number): number {
  let count = sum(rows);
  let moment = 0;
  for (const row of rows) {
    if (count < limit) break;
    count -= row.failures;
    moment = row.windowStart + windowMs + Math.ceil(windowMs / SLICES);
  }
  return moment;
}
