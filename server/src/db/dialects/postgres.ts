/** PostgreSQL through a pool. */
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { AppError } from '../../core/errors.ts';
import { Database, type Dialect } from '../database.ts';
import type { Schema } from '../schema.ts';
import { KeptPlans } from './postgres-plans.ts';
import { PostgresSearches } from './postgres-searches.ts';

/** Eight-byte integers come as text by default; ours are ids, sizes and times, all below 2^53. */
const INT8 = 20;
const SEARCH_CONNECTIONS = 6;

export interface PostgresOptions {
  readonly url: string;
  readonly poolSize: number;
  onError(error: Error): void;
}

/** Opens a pool; the first connection is made by the first query. */
export function openPostgres(options: PostgresOptions): Database {
  const pool = openPool(options, {
    max: options.poolSize,
    statement_timeout: 60_000,
    // A server that answers nothing at all does not end its statements either.
    query_timeout: 65_000,
    idle_in_transaction_session_timeout: 60_000,
  });
  const kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  // Searches have connections of their own: however many wait for slow readers, the others go on.
  const searches = new PostgresSearches(
    () => openPool(options, { max: SEARCH_CONNECTIONS, idleTimeoutMillis: 30_000 }),
    (processId) => pool.query('select pg_cancel_backend($1)', [processId]),
  );
  return new Database(kysely, {
    ...POSTGRES,
    searches,
    close: () => searches.close(),
  });
}

function openPool(options: PostgresOptions, settings: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    connectionTimeoutMillis: 5000,
    types: {
      getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
        oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
    },
    ...settings,
  });
  // Without a listener a restart of the server would end this process.
  pool.on('error', (error) => options.onError(error));
  const plans = new KeptPlans();
  pool.on('connect', (client) => {
    client.on('error', (error) => options.onError(error));
    plans.keep(client);
  });
  return pool;
}

const POSTGRES: Omit<Dialect, 'searches' | 'close'> = {
  name: 'postgres',
  exclusive: false,
  changedElsewhere: () => true,
  isUniqueViolation: (error) => codeOf(error) === '23505',
  isForeignKeyViolation: (error) => codeOf(error) === '23503',
  isRetryable: (error) => codeOf(error) === '40001' || codeOf(error) === '40P01',
  troubleOf(error) {
    const code = codeOf(error);
    if (code === '53100') {
      return new AppError(
        'quota_exceeded',
        'The disk of the database is full. Free some space and try again.',
        {},
        { cause: error },
      );
    }
    // Connection failures (08), shutdown and restart (57P), too many connections (53), read-only standby (25006).
    if (/^(08|57P|53)/.test(code) || code === '25006' || code === '57014' || isConnectionLoss(error)) {
      return new AppError(
        'unavailable',
        'The database cannot be reached at the moment. Try again.',
        {},
        { cause: error },
      );
    }
    return undefined;
  },
  async flush() {},
};

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function isConnectionLoss(error: unknown): boolean {
  if (/^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EHOSTUNREACH)/.test(codeOf(error))) return true;
  return (
    error instanceof Error &&
    /Connection terminated|timeout exceeded when trying to connect|not queryable/.test(error.message)
  );
}
