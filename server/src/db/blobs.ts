/** Rows of blobs, their other names, and what is to be collected. */
import { sql } from 'kysely';
import type { Checksums, Digest, Sha256 } from '../core/ids.ts';
import { type Db, isPostgres, nowMs, type Tx } from './database.ts';

export interface BlobRow {
  readonly sha256: Sha256;
  readonly sha1: string | undefined;
  readonly md5: string | undefined;
  readonly size: number;
  /** Undefined when the bytes are held in the database. */
  readonly storeKey: string | undefined;
}

export interface NewBlob {
  readonly sha256: Sha256;
  readonly sha1: string | undefined;
  readonly md5: string | undefined;
  readonly size: number;
  readonly storeKey: string | undefined;
  readonly bytes: Buffer | undefined;
}

export async function getBlob(db: Db, sha256: Sha256): Promise<BlobRow | undefined> {
  const row = await db
    .selectFrom('blob')
    .select(['sha1', 'md5', 'size', 'store_key'])
    .where('sha256', '=', sha256)
    .executeTakeFirst();
  return (
    row && {
      sha256,
      sha1: row.sha1 ?? undefined,
      md5: row.md5 ?? undefined,
      size: row.size,
      storeKey: row.store_key ?? undefined,
    }
  );
}

export async function getInlineBytes(db: Db, sha256: Sha256): Promise<Buffer | undefined> {
  const row = await db.selectFrom('blob_content').select('bytes').where('sha256', '=', sha256).executeTakeFirst();
  return row && Buffer.from(row.bytes.buffer, row.bytes.byteOffset, row.bytes.byteLength);
}

/**
 * Those of the blobs that exist, kept from being collected until the transaction ends. Locks are taken in the order
 * of the digests, so that two transactions cannot wait for each other.
 */
export async function holdBlobs(tx: Tx, digests: readonly Sha256[]): Promise<Set<string>> {
  const held = new Set<string>();
  for (const chunk of chunks([...digests].sort())) {
    let query = tx.selectFrom('blob').select('sha256').where('sha256', 'in', chunk).orderBy('sha256');
    if (isPostgres(tx)) query = query.forKeyShare();
    for (const row of await query.execute()) held.add(row.sha256);
  }
  return held;
}

/** Inserts the row; false when the blob is there already, and then nothing is changed. */
export async function insertBlob(tx: Tx, blob: NewBlob, at: number): Promise<boolean> {
  const inserted = await tx
    .insertInto('blob')
    .values({
      sha256: blob.sha256,
      sha1: blob.sha1 ?? null,
      md5: blob.md5 ?? null,
      size: blob.size,
      store_key: blob.storeKey ?? null,
      created_at: at,
    })
    .onConflict((conflict) => conflict.column('sha256').doNothing())
    .returning('sha256')
    .executeTakeFirst();
  if (!inserted) return false;
  if (blob.bytes) await tx.insertInto('blob_content').values({ sha256: blob.sha256, bytes: blob.bytes }).execute();
  return true;
}

/** Gives a blob other bytes to stand for it than the object `from`, which is of no use; false when it has others. */
export async function replaceObject(tx: Tx, blob: NewBlob, from: string): Promise<boolean> {
  const replaced = await tx
    .updateTable('blob')
    .set({ store_key: blob.storeKey ?? null })
    .where('sha256', '=', blob.sha256)
    .where('store_key', '=', from)
    .executeTakeFirst();
  if (replaced.numUpdatedRows === 0n) return false;
  if (blob.bytes) await tx.insertInto('blob_content').values({ sha256: blob.sha256, bytes: blob.bytes }).execute();
  await trashObjects(tx, [from], 0);
  return true;
}

export async function addAlias(tx: Tx, digest: Digest, sha256: Sha256): Promise<void> {
  await tx
    .insertInto('blob_alias')
    .values({ algorithm: digest.algorithm, value: digest.hex, sha256 })
    .onConflict((conflict) => conflict.columns(['algorithm', 'value']).doNothing())
    .execute();
}

/** What the digest's bytes are called by SHA-256; undefined when no such bytes are known. */
export async function resolveDigest(db: Db, digest: Digest): Promise<Sha256 | undefined> {
  if (digest.algorithm === 'sha256') return digest.hex as Sha256;
  const row = await db
    .selectFrom('blob_alias')
    .select('sha256')
    .where('algorithm', '=', digest.algorithm)
    .where('value', '=', digest.hex)
    .executeTakeFirst();
  return row?.sha256 as Sha256 | undefined;
}

/** The blob with this SHA-1; undefined if there is none, or more than one, since then it does not tell which. */
export async function resolveSha1(db: Db, sha1: string): Promise<Sha256 | undefined> {
  const rows = await db.selectFrom('blob').select('sha256').where('sha1', '=', sha1).limit(2).execute();
  return rows.length === 1 ? (rows[0]?.sha256 as Sha256) : undefined;
}

export async function setChecksums(tx: Tx, checksums: Checksums): Promise<void> {
  await tx
    .updateTable('blob')
    .set({ sha1: checksums.sha1, md5: checksums.md5 })
    .where('sha256', '=', checksums.sha256)
    .execute();
}

/** Blobs whose SHA-1 and MD5 nobody has computed yet, oldest first. */
export async function listUnsummed(db: Db, createdBefore: number, limit: number): Promise<Sha256[]> {
  const rows = await db
    .selectFrom('blob')
    .select('sha256')
    .where('sha1', 'is', null)
    .where('created_at', '<', createdBefore)
    .limit(limit)
    .execute();
  return rows.map((row) => row.sha256 as Sha256);
}

/** Has the blobs looked at after the given time; a later time wins over an earlier one. */
export async function reviewBlobs(tx: Tx, digests: readonly string[], reviewAfter: number): Promise<void> {
  for (const chunk of chunks([...new Set(digests)].sort())) {
    await tx
      .insertInto('blob_review')
      .values(chunk.map((sha256) => ({ sha256, review_after: reviewAfter })))
      .onConflict((conflict) =>
        conflict.column('sha256').doUpdateSet((eb) => ({
          review_after: sql<number>`case when ${eb.ref('excluded.review_after')} > blob_review.review_after then ${eb.ref('excluded.review_after')} else blob_review.review_after end`,
        })),
      )
      .execute();
  }
}

/** Digests due for review, in the order in which their rows may be locked. */
export async function listDueReviews(db: Db, now: number, limit: number): Promise<Sha256[]> {
  const rows = await db
    .selectFrom('blob_review')
    .select('sha256')
    .where('review_after', '<=', now)
    .orderBy('review_after')
    .limit(limit)
    .execute();
  return rows.map((row) => row.sha256 as Sha256).sort();
}

/**
 * Removes those of the blobs that no node names, together with their reviews, and leaves their objects in the trash.
 * Those whose review was put off beyond `dueBy` since they were listed are left alone.
 * After the commit nobody can resolve the digest; the same bytes deposited again get an object of their own. Blobs that
 * a writer holds stay due; `settled` counts the others.
 */
export async function condemnUnreferenced(
  tx: Tx,
  due: readonly Sha256[],
  objectsNotBefore: number,
  dueBy = Number.MAX_SAFE_INTEGER,
): Promise<{ condemned: number; bytes: number; settled: number }> {
  const free = await lockReviews(tx, due);
  const putOff = await listPutOff(tx, free, dueBy);
  const digests = free.filter((digest) => !putOff.has(digest));
  if (digests.length === 0) return { condemned: 0, bytes: 0, settled: putOff.size };
  let lock = tx
    .selectFrom('blob')
    .select(['sha256', 'store_key', 'size'])
    .where('sha256', 'in', digests)
    .orderBy('sha256');
  // Waiting for a writer here could only find that the blob is referenced now: it is reviewed again next time.
  if (isPostgres(tx)) lock = lock.forUpdate().skipLocked();
  const locked = await lock.execute();
  // Asked after the locks are held, so that whoever names a blob from now on finds it gone.
  const referenced = await tx
    .selectFrom('blob')
    .select('sha256')
    .where('sha256', 'in', digests)
    .where((eb) => eb.exists(eb.selectFrom('node').select('node.id').whereRef('node.sha256', '=', 'blob.sha256')))
    .execute();
  const keep = new Set(referenced.map((row) => row.sha256));
  const gone = locked.filter((row) => !keep.has(row.sha256));
  const objects = gone.flatMap((row) => (row.store_key === null ? [] : [row.store_key]));
  if (objects.length > 0) await trashObjects(tx, objects, objectsNotBefore);
  if (gone.length > 0)
    await tx
      .deleteFrom('blob')
      .where(
        'sha256',
        'in',
        gone.map((row) => row.sha256),
      )
      .execute();
  const lockedDigests = new Set(locked.map((row) => row.sha256));
  const settled = await tx.selectFrom('blob').select('sha256').where('sha256', 'in', digests).execute();
  const skipped = new Set(settled.filter((row) => !lockedDigests.has(row.sha256)).map((row) => row.sha256));
  const reviewed = digests.filter((digest) => !skipped.has(digest));
  if (reviewed.length > 0) await tx.deleteFrom('blob_review').where('sha256', 'in', reviewed).execute();
  const settledNow = reviewed.length + putOff.size;
  return { condemned: gone.length, bytes: gone.reduce((sum, row) => sum + row.size, 0), settled: settledNow };
}

async function listPutOff(tx: Tx, digests: readonly Sha256[], dueBy: number): Promise<Set<string>> {
  if (digests.length === 0) return new Set();
  const later = tx.selectFrom('blob_review').select('sha256').where('sha256', 'in', digests);
  return new Set((await later.where('review_after', '>', dueBy).execute()).map((row) => row.sha256));
}

/**
 * Those of the digests whose reviews nobody is changing. A change that takes the last name off a blob asks for a review
 * before it ends: were that request removed here, nobody would look at the blob again.
 */
async function lockReviews(tx: Tx, digests: readonly Sha256[]): Promise<Sha256[]> {
  if (digests.length === 0 || !isPostgres(tx)) return [...digests];
  const reviews = tx.selectFrom('blob_review').select('sha256').where('sha256', 'in', digests).orderBy('sha256');
  const locked = new Set((await reviews.forUpdate().skipLocked().execute()).map((row) => row.sha256));
  const busy = new Set((await reviews.execute()).map((row) => row.sha256).filter((sha256) => !locked.has(sha256)));
  return digests.filter((digest) => !busy.has(digest));
}

export async function trashObjects(tx: Tx, storeKeys: readonly string[], notBefore: number): Promise<void> {
  await tx
    .insertInto('object_trash')
    .values(storeKeys.map((store_key) => ({ store_key, not_before: notBefore, attempts: 0 })))
    .execute();
}

export async function listTrash(
  db: Db,
  now: number,
  limit: number,
): Promise<{ id: number; storeKey: string; attempts: number }[]> {
  const rows = await db
    .selectFrom('object_trash')
    .select(['id', 'store_key', 'attempts'])
    .where('not_before', '<=', now)
    .orderBy('not_before')
    .limit(limit)
    .execute();
  return rows.map((row) => ({ id: row.id, storeKey: row.store_key, attempts: row.attempts }));
}

/**
 * Begins to remove objects that are due at the moment: from the commit on nobody can adopt them any more, whatever the
 * clock does. Returns the ids of those that are still to be removed.
 */
export async function claimTrash(tx: Tx, ids: readonly number[], now: number): Promise<Set<number>> {
  if (ids.length === 0) return new Set();
  const claimed = await tx
    .updateTable('object_trash')
    .set((eb) => ({ attempts: eb('attempts', '+', 1) }))
    .where('id', 'in', ids)
    .where('not_before', '<=', now)
    .returning('id')
    .execute();
  return new Set(claimed.map(({ id }) => id));
}

export async function deleteTrash(tx: Tx, ids: readonly number[]): Promise<void> {
  if (ids.length > 0) await tx.deleteFrom('object_trash').where('id', 'in', ids).execute();
}

/** Leaves an object alone for a while, by the clock that tells when it is due. */
export async function postponeTrash(tx: Tx, id: number, forMs: number): Promise<void> {
  await tx
    .updateTable('object_trash')
    .set({ not_before: sql<number>`${nowMs(tx)} + ${forMs}` })
    .where('id', '=', id)
    .execute();
}

/** Which of the objects some row still knows: a blob's, or one waiting in the trash. */
export async function knownObjects(db: Db, storeKeys: readonly string[]): Promise<Set<string>> {
  const known = new Set<string>();
  for (const chunk of chunks(storeKeys)) {
    const blobs = await db.selectFrom('blob').select('store_key').where('store_key', 'in', chunk).execute();
    const trash = await db.selectFrom('object_trash').select('store_key').where('store_key', 'in', chunk).execute();
    for (const row of [...blobs, ...trash]) if (row.store_key !== null) known.add(row.store_key);
  }
  return known;
}

/** All blobs in the order of their digests, for whoever checks them against the store. */
export async function listBlobs(db: Db, after: string, limit: number): Promise<BlobRow[]> {
  const rows = await db
    .selectFrom('blob')
    .selectAll()
    .where('sha256', '>', after)
    .orderBy('sha256')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    sha256: row.sha256 as Sha256,
    sha1: row.sha1 ?? undefined,
    md5: row.md5 ?? undefined,
    size: row.size,
    storeKey: row.store_key ?? undefined,
  }));
}

const CHUNK = 200;

/** Long lists of values go to the database in pieces. */
export function* chunks<T>(values: readonly T[]): Generator<T[]> {
  for (let start = 0; start < values.length; start += CHUNK) yield values.slice(start, start + CHUNK);
}

/** Notes an object that is about to be made, to be removed after `forMs` unless a change adopts it before. */
export async function announceObject(tx: Tx, storeKey: string, forMs: number): Promise<void> {
  await tx
    .insertInto('object_trash')
    .values({ store_key: storeKey, not_before: sql<number>`${nowMs(tx)} + ${forMs}`, attempts: 0 })
    .execute();
}

/**
 * Takes the note of an announced object away because a blob owns it now. False when it is due within `marginMs`, or
 * was, or when somebody has begun to remove it: then the object may be gone by the time the transaction ends, and must
 * not be relied on.
 */
export async function adoptObject(tx: Tx, storeKey: string, marginMs: number): Promise<boolean> {
  const result = await tx
    .deleteFrom('object_trash')
    .where('store_key', '=', storeKey)
    .where('attempts', '=', 0)
    .where('not_before', '>', sql<number>`${nowMs(tx)} + ${marginMs}`)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Makes an announced object due at once, so that nobody can adopt it any more; false when somebody has. */
export async function disownObject(tx: Tx, storeKey: string): Promise<boolean> {
  const result = await tx
    .updateTable('object_trash')
    .set({ not_before: 0 })
    .where('store_key', '=', storeKey)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Takes an object out of the trash: it is gone. */
export async function deleteTrashOf(tx: Tx, storeKey: string): Promise<void> {
  await tx.deleteFrom('object_trash').where('store_key', '=', storeKey).execute();
}
