/** The database handle: one query text for SQLite and PostgreSQL, transactions that are durable when they return. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { type Kysely, PostgresAdapter, type SqlBool, sql, type Transaction } from 'kysely';
import { AppError } from '../core/errors.ts';
import { crashpoint } from '../lib/crashpoint.ts';
import type { Schema } from './schema.ts';
import type { SearchReader } from './search/reader.ts';

export type Tx = Transaction<Schema>;
/** Functions that only read take either; functions that must be atomic with their caller take a Tx. */
export type Db = Kysely<Schema> | Tx;

/** All that differs between SQLite and PostgreSQL outside the query builder. */
export interface Dialect {
  readonly name: 'sqlite' | 'postgres';
  /**
   * Whether no other server writes, so what this one remembers stays true; commands beside it may, now and then, and
   * `changedElsewhere` tells.
   */
  readonly exclusive: boolean;
  /** Whether another process committed something since the last call; always true where that cannot be known. */
  changedElsewhere(): boolean;
  isUniqueViolation(error: unknown): boolean;
  isForeignKeyViolation(error: unknown): boolean;
  /** Whether to try the transaction again: serialisation failure, deadlock, busy. */
  isRetryable(error: unknown): boolean;
  /** The failure a client may be told of when the database itself is in trouble; undefined for other errors. */
  troubleOf(error: unknown): AppError | undefined;
  /** Resolves when everything committed before the call is on disk. */
  flush(): Promise<void>;
  /** Searches, which may take long, apart from everything else. */
  readonly searches: SearchReader;
  /** Upkeep that must not happen inside a request. */
  maintain?(): Promise<void>;
  close(): Promise<void>;
}

export interface TransactionOptions {
  /** False for rows whose loss at a power cut only makes a client start over, such as upload sessions. */
  readonly durable?: boolean;
}

const MAX_ATTEMPTS = 6;

interface Scope {
  readonly afterCommit: (() => void)[];
}
const scopes = new WeakMap<object, Scope>();
const inTransaction = new AsyncLocalStorage<true>();

export class Database {
  readonly kysely: Kysely<Schema>;
  readonly dialect: Dialect;

  constructor(kysely: Kysely<Schema>, dialect: Dialect) {
    this.kysely = kysely;
    this.dialect = dialect;
  }

  /**
   * Runs `work` atomically and returns when the result is durable. `work` awaits nothing but SQL and may run again
   * after a conflict with another transaction.
   */
  async transaction<T>(work: (tx: Tx) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    if (inTransaction.getStore()) throw new Error('a transaction was started inside another one');
    for (let attempt = 1; ; attempt++) {
      const scope: Scope = { afterCommit: [] };
      try {
        const result = await this.kysely.transaction().execute((tx) => {
          scopes.set(tx, scope);
          return inTransaction.run(true, () => work(tx));
        });
        if (options.durable !== false) {
          crashpoint('change.committed');
          await this.dialect.flush();
        }
        for (const run of scope.afterCommit) run();
        return result;
      } catch (error) {
        if (this.dialect.isRetryable(error) && attempt < MAX_ATTEMPTS) {
          await delay(Math.random() * 10 * 2 ** attempt);
          continue;
        }
        throw this.translate(error);
      }
    }
  }

  /** Runs a read; trouble of the database becomes the `unavailable` a client may be told. */
  async read<T>(work: (db: Kysely<Schema>) => Promise<T>): Promise<T> {
    try {
      return await work(this.kysely);
    } catch (error) {
      throw this.translate(error);
    }
  }

  async close(): Promise<void> {
    await this.kysely.destroy();
    await this.dialect.close();
  }

  private translate(error: unknown): unknown {
    if (error instanceof AppError) return error;
    if (this.dialect.isRetryable(error)) {
      return new AppError('unavailable', 'The database is busy with other changes. Try again.', {}, { cause: error });
    }
    return this.dialect.troubleOf(error) ?? error;
  }
}

/** Calls `run` once the transaction is durable; never if it fails. */
export function afterCommit(tx: Tx, run: () => void): void {
  const scope = scopes.get(tx);
  if (!scope) throw new Error('afterCommit needs a transaction started by Database.transaction');
  scope.afterCommit.push(run);
}

export function isPostgres(db: Db): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}

/** The database's own clock, so that nodes with different clocks agree about leases. */
export function nowMs(db: Db) {
  return isPostgres(db)
    ? sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`
    : sql<number>`cast(unixepoch('subsec') * 1000 as integer)`;
}

/** Makes transactions that name the same scope happen one after another. SQLite has one writer anyway. */
export async function lockScope(tx: Tx, scope: string): Promise<void> {
  if (isPostgres(tx)) await sql`select pg_advisory_xact_lock(hashtextextended(${scope}, 0))`.execute(tx);
}

/**
 * Keeps folders where they are until the transaction ends, or, exclusively, keeps others from putting anything into
 * folders that are about to go. SQLite has one writer anyway.
 */
export async function lockTree(tx: Tx, repoId: number, mode: 'shared' | 'exclusive'): Promise<void> {
  if (!isPostgres(tx)) return;
  const lock = sql.raw(mode === 'shared' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock');
  await sql`select ${lock}(hashtextextended(${`tree ${repoId}`}, 0))`.execute(tx);
}

/** `column` is the folder `path` or lies below it, at any depth; every folder does for the root. */
export function below(column: string, path: string) {
  if (path === '') return sql<SqlBool>`1 = 1`;
  const folder = sql.ref(column);
  // The range is what an index can search; between the folder and what is in it sort names such as `folder-2`.
  return sql<SqlBool>`(${folder} >= ${path} and ${folder} < ${`${path}0`} and (${folder} = ${path} or ${folder} > ${`${path}/`}))`;
}

/** What the database's clock says. */
export async function databaseTime(db: Db): Promise<number> {
  const row = await db.selectNoFrom(nowMs(db).as('now')).executeTakeFirstOrThrow();
  return Number(row.now);
}
