/** Rows of uploads in parts. */
import type { Sha256 } from '../core/ids.ts';
import type { Db, Tx } from './database.ts';
import type { MultipartUploadTable } from './schema.ts';

export type MultipartState = MultipartUploadTable['state'];

export interface MultipartRow {
  readonly id: string;
  readonly repo: string;
  readonly path: string;
  readonly principal: string;
  readonly partBytes: number;
  readonly state: MultipartState;
  readonly sha1: string | undefined;
  readonly sha256: Sha256 | undefined;
  readonly progress: number;
  readonly error: string | undefined;
}

export interface PartRow {
  readonly number: number;
  readonly stageId: string;
  readonly size: number;
}

export async function createMultipart(
  tx: Tx,
  upload: Pick<MultipartRow, 'id' | 'repo' | 'path' | 'principal' | 'partBytes'>,
  at: number,
): Promise<void> {
  await tx
    .insertInto('multipart_upload')
    .values({
      id: upload.id,
      repo: upload.repo,
      path: upload.path,
      principal: upload.principal,
      part_bytes: upload.partBytes,
      state: 'parts',
      sha1: null,
      sha256: null,
      progress: 0,
      error: null,
      created_at: at,
      touched_at: at,
    })
    .execute();
}

export async function getMultipart(db: Db, id: string): Promise<MultipartRow | undefined> {
  const row = await db.selectFrom('multipart_upload').selectAll().where('id', '=', id).executeTakeFirst();
  return (
    row && {
      id: row.id,
      repo: row.repo,
      path: row.path,
      principal: row.principal,
      partBytes: row.part_bytes,
      state: row.state,
      sha1: row.sha1 ?? undefined,
      sha256: (row.sha256 ?? undefined) as Sha256 | undefined,
      progress: row.progress,
      error: row.error ?? undefined,
    }
  );
}

/** Moves the upload on if it is in one of these states; false when it is not. */
export async function moveMultipart(
  tx: Tx,
  id: string,
  from: readonly MultipartState[],
  to: {
    readonly state?: MultipartState;
    readonly sha1?: string;
    readonly sha256?: Sha256;
    readonly progress?: number;
    readonly error?: string | null;
  },
  at: number,
): Promise<boolean> {
  const result = await tx
    .updateTable('multipart_upload')
    .set({ ...to, touched_at: at })
    .where('id', '=', id)
    .where('state', 'in', from)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Notes where a part is, in place of an earlier one of this number; returns the stage of that one. */
export async function putPart(tx: Tx, uploadId: string, part: PartRow): Promise<string | undefined> {
  const earlier = await tx
    .selectFrom('multipart_part')
    .select('stage_id')
    .where('upload_id', '=', uploadId)
    .where('number', '=', part.number)
    .executeTakeFirst();
  await tx
    .insertInto('multipart_part')
    .values({ upload_id: uploadId, number: part.number, stage_id: part.stageId, size: part.size })
    .onConflict((conflict) =>
      conflict.columns(['upload_id', 'number']).doUpdateSet({ stage_id: part.stageId, size: part.size }),
    )
    .execute();
  return earlier?.stage_id;
}

/** In the order in which they make the whole. */
export async function listParts(db: Db, uploadId: string): Promise<PartRow[]> {
  const rows = await db
    .selectFrom('multipart_part')
    .select(['number', 'stage_id', 'size'])
    .where('upload_id', '=', uploadId)
    .orderBy('number')
    .execute();
  return rows.map((row) => ({ number: row.number, stageId: row.stage_id, size: row.size }));
}

export async function deleteParts(tx: Tx, uploadId: string): Promise<void> {
  await tx.deleteFrom('multipart_part').where('upload_id', '=', uploadId).execute();
}

/** Gives up the upload, if nobody touched it since; returns the stages that its parts leave. */
export async function deleteStaleMultipart(tx: Tx, id: string, touchedBefore: number): Promise<string[] | undefined> {
  const parts = await listParts(tx, id);
  const { numDeletedRows } = await tx
    .deleteFrom('multipart_upload')
    .where('id', '=', id)
    .where('touched_at', '<', touchedBefore)
    .executeTakeFirst();
  return numDeletedRows > 0n ? parts.map(({ stageId }) => stageId) : undefined;
}

/** How many uploads of this principal still take parts; counting stops at the limit. */
export async function countOpenMultiparts(db: Db, principal: string, limit: number): Promise<number> {
  const rows = await db
    .selectFrom('multipart_upload')
    .select('id')
    .where('principal', '=', principal)
    .where('state', 'not in', ['finished', 'aborted', 'failed'])
    .limit(limit)
    .execute();
  return rows.length;
}

/** Uploads that nobody touched since. */
export async function listStaleMultiparts(db: Db, touchedBefore: number, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('multipart_upload')
    .select('id')
    .where('touched_at', '<', touchedBefore)
    .orderBy('touched_at')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}
