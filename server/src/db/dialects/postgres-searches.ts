/** Searches on PostgreSQL: a cursor in a transaction of its own, on connections of their own. */
import type pg from 'pg';
import type { CompiledSearch } from '../search/compile.ts';
import { type Batch, batchSize, type Row, type SearchReader } from '../search/reader.ts';

export class PostgresSearches implements SearchReader {
  readonly #open: () => pg.Pool;
  #pool: pg.Pool | undefined;

  constructor(open: () => pg.Pool) {
    this.#open = open;
  }

  async *run(search: CompiledSearch, signal: AbortSignal): AsyncGenerator<Batch> {
    const [alternative] = search.alternatives;
    if (!alternative) throw new Error('a search has at least one statement');
    this.#pool ??= this.#open();
    const pool = this.#pool;
    signal.throwIfAborted();
    const client = await pool.connect();
    const cancel = () => void cancelOn(pool, client);
    signal.addEventListener('abort', cancel, { once: true });
    let clean = false;
    try {
      signal.throwIfAborted();
      // Plans are made for all the rows, since all of them are read; compiling them takes longer than most searches.
      await client.query(
        "begin isolation level repeatable read read only; set local cursor_tuple_fraction = 1; set local jit = off; set local work_mem = '32MB'",
      );
      const { sql, params } = alternative.statement;
      await client.query(`declare found no scroll cursor for ${sql}`, [...params]);
      for (let n = 0; ; n++) {
        const size = batchSize(n);
        const rows = await rowsOf(client, `fetch ${size} from found`, []);
        const lookups: Row[][] = [];
        for (const { parent, statement } of search.lookups) {
          const above = parent < 0 ? rows.map((row) => row[0]) : (lookups[parent] ?? []).map((row) => row[1]);
          const ids = [...new Set(above)];
          lookups.push(ids.length === 0 ? [] : await rowsOf(client, statement.sql, [ids, ...statement.params]));
        }
        signal.throwIfAborted();
        if (rows.length > 0) yield { rows, lookups };
        if (rows.length < size) break;
      }
      await client.query('commit');
      clean = true;
    } catch (error) {
      // The cancelled statement fails with an error of its own; the reason is what matters.
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
      if (!clean && !signal.aborted) clean = await rolledBack(client);
      client.release(!clean);
    }
  }

  async close(): Promise<void> {
    await this.#pool?.end();
  }
}

async function rowsOf(client: pg.PoolClient, text: string, values: readonly unknown[]): Promise<Row[]> {
  const { rows } = await client.query<unknown[]>({ text, values: [...values], rowMode: 'array' });
  return rows;
}

async function rolledBack(client: pg.PoolClient): Promise<boolean> {
  return client.query('rollback').then(
    () => true,
    () => false,
  );
}

/** Ends the statement that runs on the connection, if one does. */
async function cancelOn(pool: pg.Pool, client: pg.PoolClient): Promise<void> {
  const { processID } = client as unknown as { readonly processID: number | null };
  if (processID === null) return;
  await pool.query('select pg_cancel_backend($1)', [processID]).catch(() => undefined);
}
