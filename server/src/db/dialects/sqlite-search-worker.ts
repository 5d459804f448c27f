/** The thread behind `SqliteSearches`: each open search has a connection, and so a view of the data, of its own. */
import { setPriority } from 'node:os';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { joinPath } from '../../core/ids.ts';
import { compileReadRule, type SearchableRepository } from '../../core/read-rule.ts';
import type { Statement } from '../search/compile.ts';
import type { Row } from '../search/reader.ts';
import type { SearchRequest } from './sqlite-searches.ts';

// Only on Linux does a priority belong to a thread. Searches can wait for those who fetch and deploy.
if (process.platform === 'linux') setPriority(5);

const { file } = workerData as { readonly file: string };
/** Beginning with more rows than this is worse than following the order that is asked for. */
const MANY = 20_000;
/** Where there is no such order, it is worth finding out which of many is the least, up to here. */
const VERY_MANY = 200_000;
const KEPT_CONNECTIONS = 1;
/** Pages are kept by the connections that stay; many searches at once must not fill the memory. */
const KEPT_CACHE_KIB = 65_536;
const PASSING_CACHE_KIB = 2048;

/** What the functions of a connection work with: those of the search that has it. */
interface Connection {
  readonly sqlite: DatabaseSync;
  /** Whether it stays for the next search. */
  readonly stays: boolean;
  rules: ReadonlyMap<number, () => ReturnType<typeof compileReadRule>>;
  stop: Int32Array;
}

type OpenRequest = Extract<SearchRequest, { type: 'open' }>;

interface OpenSearch {
  readonly connection: Connection;
  readonly request: OpenRequest;
  rows: Iterator<unknown> | undefined;
}

const searches = new Map<number, OpenSearch>();
const idle: Connection[] = [];

parentPort?.on('message', (request: SearchRequest) => {
  try {
    if (request.type === 'open') open(request);
    else if (request.type === 'close') close(request.id);
    else parentPort?.postMessage({ id: request.id, batch: next(request.id, request.size) });
  } catch (error) {
    const { message, errcode } = error as Error & { readonly errcode?: number };
    parentPort?.postMessage({ id: request.id, error: message, errcode });
  }
});

function open(request: OpenRequest): void {
  const connection = idle.pop() ?? connect();
  connection.stop = new Int32Array(request.stop);
  connection.rules = new Map(request.repositories.map((repository) => [repository.id, lazyRule(repository)]));
  searches.set(request.id, { connection, request, rows: undefined });
}

function lazyRule({ rule }: Pick<SearchableRepository, 'rule'>): () => ReturnType<typeof compileReadRule> {
  let compiled: ReturnType<typeof compileReadRule> | undefined;
  return () => {
    compiled ??= compileReadRule(rule);
    return compiled;
  };
}

function connect(): Connection {
  const sqlite = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
  const stays = searches.size < KEPT_CONNECTIONS;
  sqlite.exec(`pragma cache_size = -${stays ? KEPT_CACHE_KIB : PASSING_CACHE_KIB}`);
  const connection: Connection = { sqlite, stays, rules: new Map(), stop: new Int32Array(1) };
  sqlite.function('may_read', { deterministic: true }, (repoId, parent, name, folder) => {
    const decide = connection.rules.get(Number(repoId))?.();
    const path = name === '.' ? joinPath(String(parent)) : joinPath(String(parent), String(name));
    return decide?.(path, folder === 1) ? 1 : 0;
  });
  sqlite.function('still_wanted', () => {
    if (Atomics.load(connection.stop, 0) === 1) throw new Error('the search was given up');
    return 1;
  });
  return connection;
}

function next(id: number, size: number): { rows: Row[]; lookups: Row[][] } {
  const search = searches.get(id);
  if (!search) throw new Error('the search was given up');
  const { connection, request } = search;
  search.rows ??= begin(connection.sqlite, request);
  const rows: Row[] = [];
  while (rows.length < size) {
    const { done, value } = search.rows.next();
    if (done) break;
    rows.push(value as Row);
  }
  const lookups: Row[][] = [];
  for (const { parent, statement } of request.lookups) {
    const above = parent < 0 ? rows.map((row) => row[0]) : (lookups[parent] ?? []).map((row) => row[1]);
    lookups.push(above.length === 0 ? [] : lookUp(connection.sqlite, statement, [...new Set(above)]));
  }
  return { rows, lookups };
}

function begin(sqlite: DatabaseSync, request: OpenRequest): Iterator<unknown> {
  sqlite.exec('begin');
  const { sql, params } = choose(sqlite, request);
  const statement = sqlite.prepare(sql);
  statement.setReturnArrays(true);
  return statement.iterate(...(params as SQLInputValue[]));
}

/** SQLite knows nothing of how often a value occurs, so it is asked to count first, as far as it matters. */
function choose(sqlite: DatabaseSync, { alternatives, ordered }: OpenRequest): Statement {
  const first = leastOf(sqlite, alternatives, MANY);
  if (first.count < MANY || alternatives.length === 1) return first.statement;
  return ordered ?? leastOf(sqlite, alternatives, VERY_MANY).statement;
}

function leastOf(sqlite: DatabaseSync, alternatives: OpenRequest['alternatives'], limit: number) {
  let least: { readonly count: number; readonly statement: Statement } | undefined;
  for (const { probe, statement } of alternatives) {
    if (least && least.count <= 1) break;
    const count = probe ? countUpTo(sqlite, probe, limit) : 0;
    if (!least || count < least.count) least = { count, statement };
  }
  if (!least) throw new Error('a search has at least one statement');
  return least;
}

function countUpTo(sqlite: DatabaseSync, { sql, params }: Statement, limit: number): number {
  const statement = sqlite.prepare(`select count(*) from (${sql} limit ${limit})`);
  statement.setReturnArrays(true);
  return (statement.get(...(params as SQLInputValue[])) as unknown as [number])[0];
}

function lookUp(sqlite: DatabaseSync, { sql, params }: Statement, ids: readonly unknown[]): Row[] {
  const statement = sqlite.prepare(sql);
  statement.setReturnArrays(true);
  return statement.all(JSON.stringify(ids), ...(params as SQLInputValue[])) as unknown as Row[];
}

function close(id: number): void {
  const search = searches.get(id);
  if (!search) return;
  searches.delete(id);
  const { connection, rows } = search;
  try {
    rows?.return?.();
    if (connection.sqlite.isTransaction) connection.sqlite.exec('rollback');
    if (connection.stays && idle.length < KEPT_CONNECTIONS) idle.push(connection);
    else connection.sqlite.close();
  } catch {
    connection.sqlite.close();
  }
}
