/** Searches on PostgreSQL: a cursor in a transaction of its own, on connections of their own. */
import type pg from 'pg';
import type { CompiledSearch } from '../search/compile.ts';
import { type Batch, batchSize, type Row, type SearchReader } from '../search/reader.ts';

/** A cancellation that comes before its statement has begun does nothing, so it is repeated until the search ends. */
const CANCEL_EVERY_MS = 200;

export class PostgresSearches implements SearchReader {
  readonly #open: () => pg.Pool;
  readonly #cancel: (processId: number) => Promise<unknown>;
  #pool: pg.Pool | undefined;

  /** `cancel` ends the statement of a connection, by one that searches cannot have taken all of. */
  constructor(open: () => pg.Pool, cancel: (processId: number) => Promise<unknown>) {
    this.#open = open;
    this.#cancel = cancel;
  }

  async *run(search: CompiledSearch, signal: AbortSignal): AsyncGenerator<Batch> {
    const [alternative] = search.alternatives;
    if (!alternative) throw new Error('a search has at least one statement');
    this.#pool ??= this.#open();
    const pool = this.#pool;
    signal.throwIfAborted();
    const client = await pool.connect();
    let repeating: NodeJS.Timeout | undefined;
    const cancel = () => void this.#cancelOn(client);
    const abort = () => {
      cancel();
      repeating = setInterval(cancel, CANCEL_EVERY_MS);
    };
    signal.addEventListener('abort', abort, { once: true });
    let clean = false;
    try {
      signal.throwIfAborted();
      // Plans are made for all the rows, since all of them are read; compiling them takes longer than most searches.
      await client.query(
        "begin isolation level repeatable read read only; set local cursor_tuple_fraction = 1; set local jit = off; set local work_mem = '32MB'",
      );
      signal.throwIfAborted();
      const { sql, params } = alternative.statement;
      await client.query(`declare found no scroll cursor for ${sql}`, [...params]);
      for (let n = 0; ; n++) {
        signal.throwIfAborted();
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
      signal.removeEventListener('abort', abort);
      clearInterval(repeating);
      if (!clean && !signal.aborted) clean = await rolledBack(client);
      client.release(!clean);
    }
  }

  async #cancelOn(client: pg.PoolClient): Promise<void> {
    const { processID } = client as unknown as { readonly processID: number | null };
    if (processID !== null) await this.#cancel(processID).catch(() => undefined);
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
