/** Rows of resumable uploads. */
import type { ExpressionBuilder } from 'kysely';
import type { Db, Tx } from './database.ts';
import type { Schema } from './schema.ts';

export interface UploadRow {
  readonly id: string;
  readonly repoId: number;
  readonly package: string;
  /** Empty until bytes were staged. */
  readonly stageId: string;
  readonly received: number;
  readonly principal: string;
  /** `algorithm:hex` it ended with. */
  readonly digest: string | undefined;
}

export async function createUpload(
  tx: Tx,
  upload: Omit<UploadRow, 'digest' | 'received' | 'stageId'>,
  at: number,
): Promise<void> {
  await tx
    .insertInto('upload')
    .values({
      id: upload.id,
      repo_id: upload.repoId,
      package: upload.package,
      stage_id: '',
      received: 0,
      principal: upload.principal,
      digest: null,
      created_at: at,
      touched_at: at,
    })
    .execute();
}

export async function getUpload(db: Db, id: string): Promise<UploadRow | undefined> {
  const row = await db.selectFrom('upload').selectAll().where('id', '=', id).executeTakeFirst();
  return (
    row && {
      id: row.id,
      repoId: row.repo_id,
      package: row.package,
      stageId: row.stage_id,
      received: row.received,
      principal: row.principal,
      digest: row.digest ?? undefined,
    }
  );
}

/** Moves the upload on from `from` bytes; false when it is not there any more or somebody else moved it. */
export async function advanceUpload(
  tx: Tx,
  upload: { readonly id: string; readonly from: number; readonly received: number; readonly stageId: string },
  at: number,
): Promise<boolean> {
  const result = await tx
    .updateTable('upload')
    .set({ received: upload.received, stage_id: upload.stageId, touched_at: at })
    .where('id', '=', upload.id)
    .where('received', '=', upload.from)
    .where('digest', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Takes its bytes from an upload: they are about to become an object, and would not be found again after a crash. */
export async function emptyUpload(tx: Tx, id: string): Promise<void> {
  await tx.updateTable('upload').set({ received: 0, stage_id: '' }).where('id', '=', id).execute();
}

/** Remembers how the upload ended; it holds no bytes any more. */
export async function finishUpload(tx: Tx, id: string, digest: string, at: number): Promise<void> {
  await tx.updateTable('upload').set({ digest, stage_id: '', touched_at: at }).where('id', '=', id).execute();
}

export async function deleteUpload(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('upload').where('id', '=', id).execute();
}

/** How many uploads of this principal are open; counting stops at the limit. */
export async function countOpenUploads(db: Db, principal: string, limit: number): Promise<number> {
  const rows = await db
    .selectFrom('upload')
    .select('id')
    .where('principal', '=', principal)
    .where('digest', 'is', null)
    .limit(limit)
    .execute();
  return rows.length;
}

/** Times before which nobody touched an upload that is given up, or forgotten. */
export interface StaleBefore {
  readonly open: number;
  readonly ended: number;
}

/** Uploads nobody touched since. */
export async function listStaleUploads(db: Db, before: StaleBefore, limit: number): Promise<string[]> {
  const rows = await db.selectFrom('upload').select('id').where(isStale(before)).limit(limit).execute();
  return rows.map(({ id }) => id);
}

/** Gives up the upload; returns the stage that it leaves, '' for none, or undefined where it is stale no more. */
export async function deleteStaleUpload(tx: Tx, id: string, before: StaleBefore): Promise<string | undefined> {
  const [row] = await tx
    .deleteFrom('upload')
    .where('id', '=', id)
    .where(isStale(before))
    .returning('stage_id')
    .execute();
  return row?.stage_id;
}

function isStale({ open, ended }: StaleBefore) {
  return (eb: ExpressionBuilder<Schema, 'upload'>) =>
    eb.or([
      eb.and([eb('digest', 'is', null), eb('touched_at', '<', open)]),
      eb.and([eb('digest', 'is not', null), eb('touched_at', '<', ended)]),
    ]);
}

/** Which of the stages an open upload still uses. */
export async function usedStages(db: Db, stageIds: readonly string[]): Promise<Set<string>> {
  if (stageIds.length === 0) return new Set();
  const rows = await db.selectFrom('upload').select('stage_id').where('stage_id', 'in', stageIds).execute();
  const parts = await db.selectFrom('multipart_part').select('stage_id').where('stage_id', 'in', stageIds).execute();
  return new Set([...rows, ...parts].map((row) => row.stage_id));
}
