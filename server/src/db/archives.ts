/** Rows of what lies in archives, by the digest of the archive. */
import type { Sha256 } from '../core/ids.ts';
import { chunks } from './blobs.ts';
import type { Db, Tx } from './database.ts';

export interface ArchiveEntryRow {
  /** Folder inside the archive, '' at its top. */
  readonly path: string;
  readonly name: string;
}

/** Whether the contents are known in full, or known not to be readable. */
export async function isArchiveIndexed(db: Db, sha256: Sha256): Promise<boolean> {
  const row = await db.selectFrom('archive').select('indexed_at').where('sha256', '=', sha256).executeTakeFirst();
  return (row?.indexed_at ?? 0) > 0;
}

/** Makes room for the entries of an archive; until `finishArchive` they count as incomplete. */
export async function beginArchive(tx: Tx, sha256: Sha256): Promise<void> {
  await tx
    .insertInto('archive')
    .values({ sha256, indexed_at: 0, problem: null })
    .onConflict((conflict) => conflict.column('sha256').doNothing())
    .execute();
}

/** Adds entries; those that are known already change nothing. */
export async function addArchiveEntries(tx: Tx, sha256: Sha256, entries: readonly ArchiveEntryRow[]): Promise<void> {
  for (const chunk of chunks(entries)) {
    await tx
      .insertInto('archive_entry')
      .values(chunk.map((entry) => ({ sha256, ...entry })))
      .onConflict((conflict) => conflict.columns(['sha256', 'path', 'name']).doNothing())
      .execute();
  }
}

export async function finishArchive(
  tx: Tx,
  sha256: Sha256,
  { at, problem }: { readonly at: number; readonly problem: string | undefined },
): Promise<void> {
  await tx
    .updateTable('archive')
    .set({ indexed_at: at, problem: problem ?? null })
    .where('sha256', '=', sha256)
    .execute();
}
