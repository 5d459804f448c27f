/** What upstreams last said of the things that were asked for. */
import type { Sha256 } from '../core/ids.ts';
import { chunks } from './blobs.ts';
import { below, type Db, type Tx } from './database.ts';

/** Times are those of our own clock: what an upstream's clock says decides nothing. */
export interface RemoteItem {
  /** The bytes that the validators are of. */
  readonly sha256: Sha256 | undefined;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  readonly checkedAt: number;
  /** Until when it counts as absent; 0 for what is there. */
  readonly absentUntil: number;
  /** Why it counts as absent, in a sentence. */
  readonly reason: string | undefined;
}

export async function getRemoteItem(db: Db, repoId: number, key: string): Promise<RemoteItem | undefined> {
  const row = await db
    .selectFrom('remote_item')
    .selectAll()
    .where('repo_id', '=', repoId)
    .where('key', '=', key)
    .executeTakeFirst();
  return (
    row && {
      sha256: (row.sha256 ?? undefined) as Sha256 | undefined,
      etag: row.etag ?? undefined,
      lastModified: row.last_modified ?? undefined,
      checkedAt: row.checked_at,
      absentUntil: row.absent_until,
      reason: row.reason ?? undefined,
    }
  );
}

/** Remembers what the upstream said, in the place of what it said before. */
export async function setRemoteItem(tx: Tx, repoId: number, key: string, item: RemoteItem): Promise<void> {
  const values = {
    sha256: item.sha256 ?? null,
    etag: item.etag ?? null,
    last_modified: item.lastModified ?? null,
    checked_at: item.checkedAt,
    absent_until: item.absentUntil,
    reason: item.reason ?? null,
  };
  await tx
    .insertInto('remote_item')
    .values({ repo_id: repoId, key, ...values })
    .onConflict((conflict) => conflict.columns(['repo_id', 'key']).doUpdateSet(values))
    .execute();
}

/** Forgets what was said of everything in a repository, so that all of it is asked for again. */
export async function forgetRemoteItems(tx: Tx, repoId: number): Promise<void> {
  await tx.deleteFrom('remote_item').where('repo_id', '=', repoId).execute();
}

/**
 * Has what was said of things in a repository, or of the paths at and below one, asked for again; what is held can
 * still be compared by what was said of it. A page at a time: returns where the next starts, undefined after the last.
 */
export async function expireRemoteItems(
  tx: Tx,
  repoId: number,
  { path, after, limit }: { readonly path: string; readonly after: string | undefined; readonly limit: number },
): Promise<string | undefined> {
  let query = tx
    .selectFrom('remote_item')
    .select('key')
    .where('repo_id', '=', repoId)
    .where(below('key', path))
    .orderBy('key')
    .limit(limit);
  if (after !== undefined) query = query.where('key', '>', after);
  const keys = (await query.execute()).map(({ key }) => key);
  for (const chunk of chunks(keys)) {
    const items = tx.updateTable('remote_item').set({ checked_at: 0, absent_until: 0 });
    await items.where('repo_id', '=', repoId).where('key', 'in', chunk).execute();
  }
  return keys.length < limit ? undefined : keys.at(-1);
}

/** Removes rows of absences that are over, up to `limit` of them; returns how many. */
export async function purgeAbsences(tx: Tx, before: number, limit: number): Promise<number> {
  const rows = await tx
    .selectFrom('remote_item')
    .select(['repo_id', 'key'])
    .where('absent_until', '>', 0)
    .where('absent_until', '<', before)
    .limit(limit)
    .execute();
  for (const row of rows) {
    await tx.deleteFrom('remote_item').where('repo_id', '=', row.repo_id).where('key', '=', row.key).execute();
  }
  return rows.length;
}
