/**
 * Look-ups of one row by its key, on the hottest paths. On PostgreSQL those that are asked for at the same time go as
 * one statement, since most of what one costs is the way there and back (ADR 0016).
 */
import { type Compilable, type CompiledQuery, type RawBuilder, type SqlBool, sql } from 'kysely';
import { AppError } from '../core/errors.ts';
import { type Db, isPostgres } from './database.ts';
import { keepingPlan } from './dialects/postgres-plans.ts';
import { prepared } from './prepared.ts';

type Value = string | number;
/** The type of a key's column, as PostgreSQL calls it. */
type ColumnType = 'bigint' | 'text';

/** So many go in one statement: the first of them waits for the last. */
const MAX_TOGETHER = 100;
/** So many statements of one kind are under way at most: what is asked for meanwhile gathers. */
const MAX_UNDER_WAY = 4;
/** Who has waited so long for those to end is told that the database does not answer, as when no connection is free. */
const MAX_WAIT_MS = 5000;

export interface Gathered<A extends readonly Value[], R> {
  /** The row of the key. */
  one(db: Db, ...key: A): Promise<R | undefined>;
  /** The rows of the keys, in their order and all as of one moment. */
  all(db: Db, keys: readonly A[]): Promise<readonly (R | undefined)[]>;
}

/**
 * Looks for the one row that `build` finds by a key whose columns have these types; of more it finds any. What was
 * committed before a row is asked for is seen. An error reaches who asked for what it is about, or, where it is about
 * nothing of that, all whose keys went together. Within a transaction each look-up goes by itself.
 */
export function gathered<A extends readonly Value[], R>(
  types: { readonly [I in keyof A]: ColumnType },
  build: (db: Db, ...key: A) => Compilable<R>,
): Gathered<A, R> {
  const alone = prepared<A, R>(types.length, build);
  const gatherers = new WeakMap<Db, Gatherer<A, R>>();
  const gathererOf = (db: Db) => {
    let gatherer = gatherers.get(db);
    if (!gatherer) {
      const query = compile(db, types, build);
      gatherer = new Gatherer((keys) => run(db, query, keys));
      gatherers.set(db, gatherer);
    }
    return gatherer;
  };
  return {
    async one(db, ...key) {
      const [row] = goesAlone(db) ? await alone(db, ...key) : await gathererOf(db).ask([key]);
      return row;
    },
    async all(db, keys) {
      if (keys.length === 0) return [];
      if (!goesAlone(db)) return gathererOf(db).ask(keys);
      const rows: (R | undefined)[] = [];
      for (const key of keys) rows.push((await alone(db, ...key))[0]);
      return rows;
    },
  };
}

/**
 * Holds where the last column of a key has the value. PostgreSQL keeps the plan for all values, which could as well take
 * an index of fewer columns, as that of names alone: many thousand files may have one name. Such an index is of no use
 * to a range.
 */
export function endsKey(db: Db, column: string, value: string): RawBuilder<SqlBool> {
  const ref = sql.ref(column);
  return isPostgres(db) ? sql`${ref} between ${value} and ${value}` : sql`${ref} = ${value}`;
}

function goesAlone(db: Db): boolean {
  return !isPostgres(db) || db.isTransaction;
}

/** What somebody asked for at once. */
interface Asked<A, R> {
  readonly keys: readonly A[];
  readonly at: number;
  resolve(rows: readonly (R | undefined)[]): void;
  reject(error: unknown): void;
}

class Gatherer<A, R> {
  /** Finds the rows of the keys, in their order. */
  readonly #find: (keys: readonly A[]) => Promise<readonly (R | undefined)[]>;
  #waiting: Asked<A, R>[] = [];
  #underWay = 0;
  #isScheduled = false;

  constructor(find: (keys: readonly A[]) => Promise<readonly (R | undefined)[]>) {
    this.#find = find;
  }

  ask(keys: readonly A[]): Promise<readonly (R | undefined)[]> {
    const at = performance.now();
    if (this.#underWay >= MAX_UNDER_WAY) this.#giveUp(at - MAX_WAIT_MS);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ keys, at, resolve, reject });
      this.#schedule();
    });
  }

  /** So that not ever more wait for a database that does not answer. */
  #giveUp(askedBefore: number): void {
    while (this.#waiting[0] && this.#waiting[0].at < askedBefore) {
      this.#waiting
        .shift()
        ?.reject(new AppError('unavailable', 'The database does not answer at the moment. Try again.'));
    }
  }

  /** Sends at the end of this turn of the event loop, when all has been asked that came in with it. */
  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0 || this.#underWay >= MAX_UNDER_WAY) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#answer(this.#take());
      this.#schedule();
    });
  }

  /** Who go together; keys that were asked for at once are not parted. */
  #take(): readonly Asked<A, R>[] {
    let count = 0;
    const end = this.#waiting.findIndex(({ keys }, i) => {
      count += keys.length;
      return i > 0 && count > MAX_TOGETHER;
    });
    const taken = end < 0 ? this.#waiting : this.#waiting.slice(0, end);
    this.#waiting = end < 0 ? [] : this.#waiting.slice(end);
    return taken;
  }

  async #answer(asked: readonly Asked<A, R>[]): Promise<void> {
    this.#underWay += 1;
    try {
      const rows = await this.#find(asked.flatMap(({ keys }) => keys));
      let from = 0;
      for (const { keys, resolve } of asked) {
        resolve(rows.slice(from, from + keys.length));
        from += keys.length;
      }
    } catch (error) {
      if (asked.length > 1 && isAboutValues(error)) for (const one of asked) await this.#answer([one]);
      else for (const { reject } of asked) reject(error);
    } finally {
      this.#underWay -= 1;
      this.#schedule();
    }
  }
}

/** The statement could not take one of its values, such as a text with a zero byte. */
function isAboutValues(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('22');
}

/** Stands for the values of one column of the keys while the query is compiled. */
class Column {
  readonly index: number;
  constructor(index: number) {
    this.index = index;
  }
}

/** A row with the place of its key among those that were asked for, from 1. */
type Found<R> = R & { readonly asked_at: number };

function compile<A extends readonly Value[], R>(
  db: Db,
  types: { readonly [I in keyof A]: ColumnType },
  build: (db: Db, ...key: A) => Compilable<R>,
): CompiledQuery<Found<R>> {
  const columns = types.map((_, i) => `key_${i}`);
  // The query is built with the columns of the list where otherwise the values would stand.
  const key = columns.map((column) => sql.ref(`asked.${column}`)) as unknown as A;
  // Behind `select` the planner does not see how long the lists are, so one plan is as good to it as another.
  const lists = types.map((type, i) => sql`(select ${new Column(i)}::${sql.raw(type)}[])`);
  // It does not know that a key has one row at most either: the limit tells it.
  const query = sql<Found<R>>`select asked.asked_at, found.*
    from unnest(${sql.join(lists)}) with ordinality as asked(${sql.raw(columns.join(', '))}, asked_at)
    cross join lateral (select * from ${build(db, ...key)} as every limit 1) as found`;
  return keepingPlan(query.compile(db));
}

async function run<A extends readonly Value[], R>(
  db: Db,
  query: CompiledQuery<Found<R>>,
  keys: readonly A[],
): Promise<readonly (R | undefined)[]> {
  const parameters = query.parameters.map((value) =>
    value instanceof Column ? keys.map((key) => key[value.index]) : value,
  );
  const { rows } = await db.executeQuery<Found<R>>({ ...query, parameters });
  const found = new Array<R | undefined>(keys.length).fill(undefined);
  for (const row of rows) found[row.asked_at - 1] = row;
  return found;
}
