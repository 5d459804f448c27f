/** Rows of the event log and the cursors of its consumers. */
import { sql } from 'kysely';
import { chunks } from './blobs.ts';
import { type Db, isPostgres, nowMs, type Tx } from './database.ts';

export interface NewEventRow {
  readonly type: string;
  readonly repo: string | null;
  readonly path: string | null;
  readonly principal: string;
  readonly payload: string;
}

export interface EventRow extends NewEventRow {
  readonly id: number;
  readonly at: number;
}

/** Upper 16 bits of the advisory locks that tell from which id on a transaction writes events. */
const FLOOR_LOCK = 0x4556;
const FLOOR_BITS = 48;

/** Appends the rows in order and returns each one's id and time. */
export async function insertEvents(
  tx: Tx,
  rows: readonly NewEventRow[],
): Promise<{ readonly id: number; readonly at: number }[]> {
  if (isPostgres(tx)) await announceEvents(tx);
  const written: { id: number; at: number }[] = [];
  for (const chunk of chunks(rows)) {
    const inserted = await tx
      .insertInto('event')
      .values(chunk.map((row) => ({ ...row, at: nowMs(tx) })))
      .returning(['id', 'at'])
      .execute();
    written.push(...inserted.sort((one, other) => one.id - other.id));
  }
  return written;
}

/**
 * Ids are given out before the commit, so with several writers a lower id can become visible after a higher one, and
 * a reader who has passed the higher would miss the lower. Therefore a transaction says, before it takes its first
 * id, from where on its ids will be, and `settledEventId` stays below that until it has ended. A shared advisory lock
 * whose key holds the last id given out says so: it blocks nobody, everyone can see it, and it goes with the
 * transaction, after what the transaction wrote has become visible.
 */
async function announceEvents(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock_shared((${FLOOR_LOCK}::bigint << ${FLOOR_BITS}::int)
    + last_value - case when is_called then 0 else 1 end) from event_id_seq`.execute(tx);
}

/**
 * The id up to which the log is complete: no event with this id or a lower one can still appear. Holds for statements
 * that begin afterwards. SQLite has one writer, so there the log is always complete.
 */
export async function settledEventId(db: Db): Promise<number> {
  // The rows are seen as they were when the statement began, the locks later: a transaction with an id up to `top`
  // is either in the list of locks or has ended.
  const { rows } = isPostgres(db)
    ? await sql<{ settled: number }>`
        select least(
          coalesce((select max(id) from event), 0),
          coalesce((
            select min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << ${FLOOR_BITS}::int) - 1))
            from pg_locks
            where locktype = 'advisory' and objsubid = 1 and mode = 'ShareLock' and granted
              and classid::bigint >> 16 = ${FLOOR_LOCK}
              and database = (select oid from pg_database where datname = current_database())
          ), ${Number.MAX_SAFE_INTEGER}::bigint)) as settled`.execute(db)
    : await sql<{ settled: number }>`select coalesce(max(id), 0) as settled from event`.execute(db);
  return rows[0]?.settled ?? 0;
}

/** Events after one id and up to another, in order. */
export async function listEvents(
  db: Db,
  range: { readonly after: number; readonly upTo: number; readonly limit: number },
): Promise<EventRow[]> {
  return await db
    .selectFrom('event')
    .selectAll()
    .where('id', '>', range.after)
    .where('id', '<=', range.upTo)
    .orderBy('id')
    .limit(range.limit)
    .execute();
}

/** Up to `limit` events before one id, newest first. */
export async function listEventsBefore(
  db: Db,
  range: { readonly before: number; readonly limit: number },
): Promise<EventRow[]> {
  return await db
    .selectFrom('event')
    .selectAll()
    .where('id', '<', range.before)
    .orderBy('id', 'desc')
    .limit(range.limit)
    .execute();
}

/** Makes the cursor of a consumer that has none. */
export async function createCursor(tx: Tx, consumer: string, eventId: number): Promise<void> {
  await tx
    .insertInto('cursor')
    .values({ consumer, event_id: eventId })
    .onConflict((conflict) => conflict.column('consumer').doNothing())
    .execute();
}

export async function getCursor(db: Db, consumer: string): Promise<number | undefined> {
  const row = await db.selectFrom('cursor').select('event_id').where('consumer', '=', consumer).executeTakeFirst();
  return row?.event_id;
}

/** The cursor, kept from other processes until the transaction ends; undefined while one of them has it. */
export async function claimCursor(tx: Tx, consumer: string): Promise<number | undefined> {
  let query = tx.selectFrom('cursor').select('event_id').where('consumer', '=', consumer);
  if (isPostgres(tx)) query = query.forUpdate().skipLocked();
  return (await query.executeTakeFirst())?.event_id;
}

export async function moveCursor(tx: Tx, consumer: string, eventId: number): Promise<void> {
  await tx.updateTable('cursor').set({ event_id: eventId }).where('consumer', '=', consumer).execute();
}
