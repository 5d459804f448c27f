/** Rows that count failed logins. A key is a subject and a slice of time, so a sliding window is a sum over a range. */
import type { Db, Tx } from './database.ts';

export interface LoginFailureRow {
  readonly key: string;
  readonly failures: number;
  readonly windowStart: number;
  readonly blockedUntil: number;
}

const MAX_ROWS = 1000;

export async function getLoginFailure(db: Db, key: string): Promise<LoginFailureRow | undefined> {
  const row = await db.selectFrom('login_failure').selectAll().where('key', '=', key).executeTakeFirst();
  return row && failureRow(row);
}

/** Rows whose key starts with the prefix and whose window began at or after the moment, oldest window first. */
export async function listLoginFailures(db: Db, prefix: string, since: number): Promise<LoginFailureRow[]> {
  const rows = await db
    .selectFrom('login_failure')
    .selectAll()
    .where('key', '>=', prefix)
    .where('key', '<', `${prefix}~`)
    .where('window_start', '>=', since)
    .orderBy('window_start')
    .orderBy('key')
    .limit(MAX_ROWS)
    .execute();
  return rows.map(failureRow);
}

/** Counts one more; a block lasts until the later of the two moments. */
export async function addLoginFailure(tx: Tx, row: Omit<LoginFailureRow, 'failures'>): Promise<void> {
  await tx
    .insertInto('login_failure')
    .values({ key: row.key, failures: 1, window_start: row.windowStart, blocked_until: row.blockedUntil })
    .onConflict((conflict) =>
      conflict.column('key').doUpdateSet((set) => ({
        failures: set('login_failure.failures', '+', 1),
        window_start: row.windowStart,
        blocked_until: set
          .case()
          .when('login_failure.blocked_until', '>', row.blockedUntil)
          .then(set.ref('login_failure.blocked_until'))
          .else(row.blockedUntil)
          .end(),
      })),
    )
    .execute();
}

/** Removes every row whose key starts with the prefix. */
export async function deleteLoginFailures(tx: Tx, prefix: string): Promise<void> {
  await tx.deleteFrom('login_failure').where('key', '>=', prefix).where('key', '<', `${prefix}~`).execute();
}

/** Removes rows whose key starts with the prefix and whose window began before the moment. */
export async function deleteOldLoginFailures(tx: Tx, prefix: string, before: number): Promise<void> {
  await tx
    .deleteFrom('login_failure')
    .where('key', '>=', prefix)
    .where('key', '<', `${prefix}~`)
    .where('window_start', '<', before)
    .execute();
}

function failureRow(row: { key: string; failures: number; window_start: number; blocked_until: number }) {
  return {
    key: row.key,
    failures: row.failures,
    windowStart: row.window_start,
    blockedUntil: row.blocked_until,
  };
}
