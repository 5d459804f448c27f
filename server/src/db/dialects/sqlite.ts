/**
 * SQLite through Node's own driver. Commits do not sync by themselves: many transactions share one sync of the
 * write-ahead log, made off the main thread, and each returns only after it (see docs/adr/0003-group-commit.md).
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { AppError } from '../../core/errors.ts';
import { Database, type Dialect } from '../database.ts';
import type { Schema } from '../schema.ts';
import { SqliteSearches } from './sqlite-searches.ts';

/** Below this an old bug could corrupt the file when a writer and a checkpoint met (fixed in 3.51.3). */
const MIN_VERSION = [3, 51, 3];
const STATEMENT_CACHE = 500;
/** A log longer than this is moved into the database in passing. */
const CHECKPOINT_BYTES = 8 * 1024 * 1024;
/** Under steady writing the log never finds a moment to begin anew; beyond this it is given one. */
const RESTART_BYTES = 64 * 1024 * 1024;
/** The thread that moves it takes some 8 MB, and is needed every few seconds or hardly ever. */
const CHECKPOINTER_IDLE_MS = 10_000;

/** Opens the file, made if missing. Fails when this SQLite is too old to be trusted with it. */
export async function openSqlite(file: string): Promise<Database> {
  requireVersion(process.versions['sqlite']);
  const sqlite = new DatabaseSync(file, { timeout: 5000 });
  sqlite.exec(`
    pragma journal_mode = wal;
    pragma synchronous = normal;
    pragma foreign_keys = on;
    pragma wal_autocheckpoint = 0;
    pragma journal_size_limit = 67108864;
    pragma temp_store = memory;
    pragma cache_size = -65536;
  `);
  // The log must exist, and its name be on disk, before the first commit counts on it.
  sqlite.exec('create table if not exists boot (id integer primary key, at integer)');
  sqlite.exec('insert or replace into boot (id, at) values (1, unixepoch())');
  const wal = new LogSync(await open(`${file}-wal`, 'r+'));
  const folder = await open(dirname(file), 'r');
  await folder.sync();
  await folder.close();
  const checkpointer = new Checkpointer(file);
  const connection = new SqliteConnection(sqlite);
  const driver = new SqliteDriver(connection);
  const kysely = new Kysely<Schema>({
    dialect: {
      createAdapter: () => new QueueingAdapter(),
      createDriver: () => driver,
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  });
  return new Database(kysely, sqliteDialect(sqlite, connection, driver, wal, checkpointer));
}

function sqliteDialect(
  sqlite: DatabaseSync,
  connection: SqliteConnection,
  driver: SqliteDriver,
  wal: LogSync,
  checkpointer: Checkpointer,
): Dialect {
  let seen = dataVersion(sqlite);
  const searches = new SqliteSearches(sqlite.location() ?? '');
  return {
    name: 'sqlite',
    exclusive: true,
    changedElsewhere() {
      const version = dataVersion(sqlite);
      const changed = version !== seen;
      seen = version;
      return changed;
    },
    isUniqueViolation: (error) => extendedCode(error) === 2067 || extendedCode(error) === 1555,
    isForeignKeyViolation: (error) => extendedCode(error) === 787,
    isRetryable: (error) => (extendedCode(error) & 0xff) === 5,
    troubleOf(error) {
      const code = extendedCode(error) & 0xff;
      if (code === 13) {
        return new AppError(
          'quota_exceeded',
          'The disk that holds the metadata is full. Free some space and try again.',
          {},
          { cause: error },
        );
      }
      if (code === 10 || code === 8 || code === 14) {
        return new AppError(
          'unavailable',
          'The metadata cannot be written or read at the moment. Try again later.',
          {},
          { cause: error },
        );
      }
      return undefined;
    },
    flush: () => wal.sync(),
    searches,
    async maintain() {
      const { size } = await stat(`${sqlite.location()}-wal`);
      if (size > CHECKPOINT_BYTES) await checkpointer.run('passive');
      if (size <= RESTART_BYTES) return;
      // What was written during the first one is most of what this one moves, and little is written meanwhile.
      await checkpointer.run('passive');
      // Everybody waits for this one, without blocking the event loop: hardly anything is left for it to do.
      await driver.alone(() => checkpointer.run('restart'));
    },
    async close() {
      await searches.close();
      await checkpointer.stop();
      connection.clear();
      sqlite.exec('pragma wal_checkpoint(truncate)');
      sqlite.close();
      await wal.close();
    },
  };
}

/** Changes when another connection commits, and never by what this one does. */
function dataVersion(sqlite: DatabaseSync): unknown {
  return sqlite.prepare('pragma data_version').get()?.['data_version'];
}

/** SQLite's extended result code; 0 for errors that are not SQLite's. */
function extendedCode(error: unknown): number {
  if (!(error instanceof Error) || !('errcode' in error)) return 0;
  return typeof error.errcode === 'number' ? error.errcode : 0;
}

function requireVersion(version: string | undefined): void {
  const parts = (version ?? '0').split('.').map(Number);
  const older = MIN_VERSION.findIndex((needed, i) => (parts[i] ?? 0) !== needed);
  if (older >= 0 && (parts[older] ?? 0) < (MIN_VERSION[older] ?? 0)) {
    throw new Error(`SQLite ${version} is too old: ${MIN_VERSION.join('.')} or newer is needed. Use a newer Node.`);
  }
}

/** Syncs the log: whoever comes while a sync runs shares the next one. */
class LogSync {
  readonly #file: FileHandle;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #broken: unknown;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  sync(): Promise<void> {
    if (!this.#running) {
      this.#running = this.#once();
      return this.#running;
    }
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        this.#running = this.#once();
        return this.#running;
      });
    return this.#next;
  }

  async #once(): Promise<void> {
    try {
      // A failed sync is final: the kernel may have dropped the pages and would report success the next time.
      if (this.#broken !== undefined) throw this.#broken;
      await this.#file.datasync();
    } catch (error) {
      this.#broken ??= error;
      throw new AppError(
        'unavailable',
        'The metadata could not be written to disk. The server takes no more changes until it is restarted.',
        {},
        { cause: error },
      );
    } finally {
      this.#running = undefined;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Moves the log into the database file on a thread with a connection of its own, which ends when there is nothing to move. */
class Checkpointer {
  readonly #file: string;
  #worker: Worker | undefined;
  #resting: NodeJS.Timeout | undefined;
  #waiting: (() => void)[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /** Resolves when the attempt is over; what could not be moved waits for the next. */
  run(mode: 'passive' | 'restart'): Promise<void> {
    clearTimeout(this.#resting);
    this.#worker ??= this.#start();
    const worker = this.#worker;
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      worker.postMessage(mode);
    });
  }

  async stop(): Promise<void> {
    clearTimeout(this.#resting);
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(CHECKPOINT_WORKER, { eval: true, workerData: { file: this.#file } });
    const settle = () => {
      for (const done of this.#waiting.splice(0)) done();
    };
    const lose = () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      settle();
    };
    worker.on('message', () => {
      settle();
      clearTimeout(this.#resting);
      this.#resting = setTimeout(() => this.#end(), CHECKPOINTER_IDLE_MS).unref();
    });
    worker.on('error', lose);
    worker.on('exit', lose);
    worker.unref();
    return worker;
  }

  #end(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    // Told to end, it closes its connection first.
    worker?.postMessage('end');
  }
}

const CHECKPOINT_WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
const { DatabaseSync } = require('node:sqlite');
const db = new DatabaseSync(workerData.file, { timeout: 1000 });
db.exec('pragma synchronous = full; pragma wal_autocheckpoint = 0');
parentPort.on('message', (mode) => {
  if (mode === 'end') {
    db.close();
    return parentPort.close();
  }
  try {
    db.prepare('pragma wal_checkpoint(' + mode + ')').get();
  } catch {}
  parentPort.postMessage('done');
});
`;

class SqliteConnection implements DatabaseConnection {
  readonly #sqlite: DatabaseSync;
  readonly #statements = new Map<string, { readonly statement: StatementSync; readonly hasRows: boolean }>();

  constructor(sqlite: DatabaseSync) {
    this.#sqlite = sqlite;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { statement, hasRows } = this.#prepare(query.sql);
    const parameters = query.parameters as SQLInputValue[];
    if (hasRows) return { rows: statement.all(...parameters) as R[] };
    const { changes, lastInsertRowid } = statement.run(...parameters);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    for (const row of this.#prepare(query.sql).statement.iterate(...(query.parameters as SQLInputValue[]))) {
      yield { rows: [row as R] };
    }
  }

  get isInTransaction(): boolean {
    return this.#sqlite.isTransaction;
  }

  clear(): void {
    this.#statements.clear();
  }

  #prepare(text: string) {
    const known = this.#statements.get(text);
    if (known) return known;
    const statement = this.#sqlite.prepare(text);
    const prepared = { statement, hasRows: statement.columns().length > 0 };
    if (this.#statements.size >= STATEMENT_CACHE) this.#statements.clear();
    this.#statements.set(text, prepared);
    return prepared;
  }
}

/** Leaves it to the driver to hand on the connection: the query builder would wake all who wait for it each time. */
class QueueingAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

/** One connection, handed to one user at a time, in the order in which they asked. */
class SqliteDriver implements Driver {
  readonly #connection: SqliteConnection;
  #tail: Promise<void> = Promise.resolve();
  #release: (() => void) | undefined;

  constructor(connection: SqliteConnection) {
    this.#connection = connection;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    const turn = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = promise;
    await turn;
    this.#release = resolve;
    return this.#connection;
  }

  /** Runs `work` while nobody uses the connection. */
  async alone(work: () => Promise<void>): Promise<void> {
    await this.acquireConnection();
    try {
      await work();
    } finally {
      await this.releaseConnection();
    }
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // After some failures, such as that of a full disk, SQLite has done so by itself.
    if (this.#connection.isInTransaction) await connection.executeQuery(CompiledQuery.raw('rollback'));
  }

  async releaseConnection(): Promise<void> {
    this.#release?.();
  }

  async destroy(): Promise<void> {}
}
