/** Plans that connections to PostgreSQL keep, of statements that take longer to plan than to run. */
import { hash } from 'node:crypto';
import type { CompiledQuery } from 'kysely';

/** Stands before the statements that are meant: all that reaches a connection is their text. */
const MARK = '/* keep plan */ ';
/**
 * A plan was made for tables of a certain size. New statistics renew it, but they lag behind a table that grows from
 * nothing, and what reads a table of ten rows as a whole should not do so for long.
 */
const MAX_AGE_MS = 10_000;

/** The same query, planned once for each connection. It must be one whose plan is good for any values. */
export function keepingPlan<R>(query: CompiledQuery<R>): CompiledQuery<R> {
  return { ...query, sql: MARK + query.sql };
}

type Query = (...args: readonly unknown[]) => unknown;

export class KeptPlans {
  readonly #names = new Map<string, string>();
  readonly #clock: () => number;

  constructor(clock = () => performance.now()) {
    this.#clock = clock;
  }

  /** Has the connection keep the plans of what is marked. */
  keep(client: { query: unknown }): void {
    const query = (client.query as Query).bind(client);
    let renewedAt = this.#clock();
    const keeping: Query = (...args) => {
      const [text, values] = args;
      if (typeof text !== 'string' || !text.startsWith(MARK)) return query(...args);
      const statement = { name: this.#nameOf(text), text, values };
      if (this.#clock() - renewedAt < MAX_AGE_MS) return query(statement);
      renewedAt = this.#clock();
      return (query('discard plans') as Promise<unknown>).then(() => query(statement));
    };
    client.query = keeping;
  }

  #nameOf(text: string): string {
    let name = this.#names.get(text);
    if (name === undefined) {
      // The same everywhere: something between here and the database may share connections among servers.
      name = `kept_${hash('sha256', text).slice(0, 32)}`;
      this.#names.set(text, name);
    }
    return name;
  }
}
