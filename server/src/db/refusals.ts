/** Rows of requests that were refused or missed. */
import type { TraceStep } from '../lib/trace.ts';
import { chunks } from './blobs.ts';
import type { Db, Tx } from './database.ts';

export interface RefusalRow {
  readonly requestId: string;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly principal: string;
  readonly method: string;
  /** Without its query. */
  readonly address: string;
  readonly repo: string | undefined;
  readonly status: number;
  readonly message: string;
  readonly steps: readonly TraceStep[];
}

/** The first of several requests with one id stays: ids can come from clients. */
export async function insertRefusals(tx: Tx, rows: readonly RefusalRow[]): Promise<void> {
  for (const chunk of chunks(rows)) {
    await tx
      .insertInto('refusal')
      .values(
        chunk.map(({ requestId, repo, steps, ...row }) => ({
          ...row,
          request_id: requestId,
          repo: repo ?? null,
          path: null,
          steps: JSON.stringify(steps),
        })),
      )
      .onConflict((conflict) => conflict.column('request_id').doNothing())
      .execute();
  }
}

export async function getRefusal(db: Db, requestId: string): Promise<RefusalRow | undefined> {
  const row = await db.selectFrom('refusal').selectAll().where('request_id', '=', requestId).executeTakeFirst();
  return (
    row && {
      requestId: row.request_id,
      at: row.at,
      principal: row.principal,
      method: row.method,
      address: row.address,
      repo: row.repo ?? undefined,
      status: row.status,
      message: row.message,
      steps: JSON.parse(row.steps) as RefusalRow['steps'],
    }
  );
}

/** Removes up to `limit` of those before the moment, oldest first; returns how many. */
export async function deleteRefusalsBefore(tx: Tx, before: number, limit: number): Promise<number> {
  const rows = await tx
    .selectFrom('refusal')
    .select('request_id')
    .where('at', '<', before)
    .orderBy('at')
    .limit(limit)
    .execute();
  const ids = rows.map((row) => row.request_id);
  for (const chunk of chunks(ids)) await tx.deleteFrom('refusal').where('request_id', 'in', chunk).execute();
  return ids.length;
}

/** When the newest but `keep` of them happened, if there are more. */
export async function refusalsBeyond(db: Db, keep: number): Promise<number | undefined> {
  const row = await db
    .selectFrom('refusal')
    .select('at')
    .orderBy('at', 'desc')
    .offset(keep)
    .limit(1)
    .executeTakeFirst();
  return row?.at;
}
