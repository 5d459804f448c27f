/** Users and tokens as they are now, held in memory: what every proof of identity is checked against. */
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { ANONYMOUS, nameOf, type Principal } from '../core/principal.ts';
import type { Database } from '../db/database.ts';
import { getToken, type TokenRow } from '../db/tokens.ts';
import { listUserGroupsOf } from '../db/user-groups.ts';
import { getUser, getUserByName, type UserRow } from '../db/users.ts';
import { Lru } from '../lib/lru.ts';
import { foldUserName } from './user-names.ts';

export type UserPrincipal = Extract<Principal, { kind: 'user' }>;

/** An account that may act. Its principal names groups by their ids. */
export interface Account {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly tokensValidAfter: number;
  readonly passwordHash: string | undefined;
  readonly principal: UserPrincipal;
}

interface Held<T> {
  readonly value: T;
  readonly at: number;
}

/** How long a node may go on with what another node has changed. */
const MAX_AGE_MS = 5000;
const MAX_HELD = 10_000;

/** The same failure whatever was wrong, so that it tells nothing about which accounts exist. */
export function badCredentials(): AppError {
  return new AppError(
    'unauthenticated',
    'The credentials are wrong, expired or revoked. Check the user name and the password or token.',
    { badCredentials: true },
  );
}

/** Remembers without limit of time only while this process is the sole writer of the database. */
export class Principals {
  readonly #database: Database;
  readonly #clock: () => number;
  readonly #maxAgeMs: number;
  readonly #accounts = new Lru<string, Held<Account>>({ maxEntries: MAX_HELD });
  readonly #idsByName = new Lru<string, string>({ maxEntries: MAX_HELD });
  readonly #tokens = new Lru<string, Held<TokenRow>>({ maxEntries: MAX_HELD });
  #generation = 0;

  constructor(deps: { readonly database: Database; readonly clock?: () => number }) {
    this.#database = deps.database;
    this.#clock = deps.clock ?? Date.now;
    this.#maxAgeMs = deps.database.dialect.exclusive ? Number.POSITIVE_INFINITY : MAX_AGE_MS;
  }

  /** The account if it is held and fresh; undefined says nothing about whether it exists. */
  peekAccount(id: string): Account | undefined {
    return this.#fresh(this.#accounts.get(id));
  }

  /** The token's row if it is held and fresh; undefined says nothing about whether it exists. */
  peekToken(id: string): TokenRow | undefined {
    return this.#fresh(this.#tokens.get(id));
  }

  /** The enabled account of that id. */
  async getAccount(id: string): Promise<Account | undefined> {
    return this.peekAccount(id) ?? this.#load((db) => getUser(db, id));
  }

  /** The enabled account of that name, which must be folded already. */
  async getAccountByName(name: string): Promise<Account | undefined> {
    const id = this.#idsByName.get(name);
    const held = id === undefined ? undefined : this.peekAccount(id);
    return held?.name === name ? held : this.#load((db) => getUserByName(db, name));
  }

  /** Who a person means by a name, `anonymous` included; `not_found` when it is nobody's. */
  async named(name: string): Promise<Principal> {
    if (name === nameOf(ANONYMOUS)) return ANONYMOUS;
    const folded = foldUserName(name);
    const account = folded === undefined ? undefined : await this.getAccountByName(folded);
    if (!account) throw new AppError('not_found', `There is no enabled user "${clip(name)}".`);
    return account.principal;
  }

  async getToken(id: string): Promise<TokenRow | undefined> {
    const held = this.peekToken(id);
    if (held) return held;
    const generation = this.#generation;
    const at = this.#clock();
    const row = await this.#database.read((db) => getToken(db, id));
    if (row && generation === this.#generation) this.#tokens.set(id, { value: row, at });
    return row;
  }

  /** Forgets everything, because users, groups or tokens changed. */
  invalidate(): void {
    this.#generation += 1;
    this.#accounts.clear();
    this.#idsByName.clear();
    this.#tokens.clear();
  }

  #fresh<T>(held: Held<T> | undefined): T | undefined {
    if (!held || this.#clock() - held.at >= this.#maxAgeMs) return undefined;
    return held.value;
  }

  async #load(find: (db: Database['kysely']) => Promise<UserRow | undefined>): Promise<Account | undefined> {
    const generation = this.#generation;
    const at = this.#clock();
    const account = await this.#database.read(async (db) => {
      const user = await find(db);
      if (!user?.enabled) return undefined;
      const groups = await listUserGroupsOf(db, user.id);
      return accountOf(
        user,
        groups.map((group) => group.id),
        groups.some((group) => group.admin),
      );
    });
    // What was read before a change must not be remembered after it.
    if (account && generation === this.#generation) {
      this.#accounts.set(account.id, { value: account, at });
      this.#idsByName.set(account.name, account.id);
    }
    return account;
  }
}

function accountOf(user: UserRow, groups: readonly string[], admin: boolean): Account {
  return {
    id: user.id,
    name: user.name,
    version: user.version,
    tokensValidAfter: user.tokensValidAfter,
    passwordHash: user.password,
    principal: { kind: 'user', id: user.id, name: user.name, groups, admin: user.admin || admin },
  };
}
