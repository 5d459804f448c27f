/** Queries of the hottest paths: compiled once for each database, filled in at each call. */
import type { Compilable, CompiledQuery } from 'kysely';
import { type Db, isPostgres } from './database.ts';

/** Stands in for an argument while the query is compiled. */
class Placeholder {
  readonly index: number;
  constructor(index: number) {
    this.index = index;
  }
}

/**
 * Compiles what `build` makes of placeholders and runs it with the arguments in their places. The arguments may only
 * become parameters: what shapes the query (columns, the number of values in a list) must be the same each time.
 */
export function prepared<A extends readonly (string | number)[], R>(
  arity: A['length'],
  build: (db: Db, ...args: A) => Compilable<R>,
): (db: Db, ...args: A) => Promise<R[]> {
  const compiled: Partial<Record<'sqlite' | 'postgres', CompiledQuery<R>>> = {};
  return async (db, ...args) => {
    const dialect = isPostgres(db) ? 'postgres' : 'sqlite';
    compiled[dialect] ??= build(db, ...(placeholders(arity) as unknown as A)).compile();
    const template = compiled[dialect];
    const parameters = template.parameters.map((value) => (value instanceof Placeholder ? args[value.index] : value));
    return (await db.executeQuery<R>({ ...template, parameters } as CompiledQuery<R>)).rows;
  };
}

function placeholders(count: number): Placeholder[] {
  return Array.from({ length: count }, (_, index) => new Placeholder(index));
}

/** So many ids fit into a statement that asks several repositories at once. */
const AT_ONCE = 8;
export type EightIds = readonly [number, number, number, number, number, number, number, number];
/** No row has this id: it fills the places that are left over. */
const NOBODY = -1;

/** The ids in eights. */
export function* inEights(ids: readonly number[]): Generator<EightIds> {
  for (let from = 0; from < ids.length; from += AT_ONCE) {
    yield Array.from({ length: AT_ONCE }, (_, i) => ids[from + i] ?? NOBODY) as unknown as EightIds;
  }
}
