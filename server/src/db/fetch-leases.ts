/** Rows by which processes agree which of them asks an upstream for a thing. All times are the database's. */
import { sql } from 'kysely';
import { type Db, nowMs, type Tx } from './database.ts';

export interface LeaseRow {
  readonly owner: string;
  readonly isAlive: boolean;
  /** JSON, as its owner wrote it. */
  readonly description: string | undefined;
  readonly outcome: string | undefined;
}

/** How an outcome begins that is no failure: it is told to those who waited, and nobody has to wait to ask again. */
export const ABSENCE = '{"absent":';

/** Takes the lease unless somebody alive holds it, or has just failed; true where it is ours now. */
export async function takeLease(
  tx: Tx,
  lease: { readonly repoId: number; readonly key: string; readonly owner: string; readonly ttlMs: number },
): Promise<boolean> {
  const now = nowMs(tx);
  const values = {
    owner: lease.owner,
    expires_at: sql<number>`${now} + ${sql.lit(lease.ttlMs)}`,
    description: null,
    outcome: null,
  };
  const result = await tx
    .insertInto('fetch_lease')
    .values({ repo_id: lease.repoId, key: lease.key, ...values })
    .onConflict((conflict) =>
      conflict
        .columns(['repo_id', 'key'])
        .doUpdateSet(values)
        .where((eb) =>
          eb.or([eb('fetch_lease.expires_at', '<', now), eb('fetch_lease.outcome', 'like', `${ABSENCE}%`)]),
        ),
    )
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** The lease as it is now; undefined where nobody has one. */
export async function getLease(db: Db, repoId: number, key: string): Promise<LeaseRow | undefined> {
  const row = await db
    .selectFrom('fetch_lease')
    .select(['owner', 'expires_at', 'description', 'outcome', nowMs(db).as('now')])
    .where('repo_id', '=', repoId)
    .where('key', '=', key)
    .executeTakeFirst();
  return (
    row && {
      owner: row.owner,
      isAlive: Number(row.expires_at) >= Number(row.now),
      description: row.description ?? undefined,
      outcome: row.outcome ?? undefined,
    }
  );
}

/** Shows that the owner is alive and what it knows by now; false where the lease is somebody else's. */
export async function renewLease(
  tx: Tx,
  lease: { readonly repoId: number; readonly key: string; readonly owner: string; readonly ttlMs: number },
  known: { readonly description?: string; readonly outcome?: string } = {},
): Promise<boolean> {
  const result = await tx
    .updateTable('fetch_lease')
    .set({ expires_at: sql<number>`${nowMs(tx)} + ${sql.lit(lease.ttlMs)}`, ...known })
    .where('repo_id', '=', lease.repoId)
    .where('key', '=', lease.key)
    .where('owner', '=', lease.owner)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

export async function dropLease(tx: Tx, repoId: number, key: string, owner: string): Promise<void> {
  await tx
    .deleteFrom('fetch_lease')
    .where('repo_id', '=', repoId)
    .where('key', '=', key)
    .where('owner', '=', owner)
    .execute();
}

/** Removes leases that ended long ago: of processes that died, and outcomes that nobody asked for again. */
export async function purgeLeases(tx: Tx, olderThanMs: number): Promise<void> {
  await tx
    .deleteFrom('fetch_lease')
    .where('expires_at', '<', sql<number>`${nowMs(tx)} - ${sql.lit(olderThanMs)}`)
    .execute();
}
