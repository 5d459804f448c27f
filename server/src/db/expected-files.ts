/** Rows of files that belong beside a lead file but were not fetched yet. */
import { joinPath, type RepoPath, type Sha256, splitPath } from '../core/ids.ts';
import type { Db, Tx } from './database.ts';

export interface ExpectedRow {
  readonly path: RepoPath;
  readonly size: number;
  readonly mediaType: string;
}

const BATCH = 500;

export interface NewExpected {
  readonly name: string;
  readonly sha256: Sha256;
  readonly size: number;
  readonly mediaType: string;
}

/** Sets what is expected beside a lead file; what was expected before is not any more. */
export async function setExpected(
  tx: Tx,
  lead: { readonly id: number; readonly repoId: number; readonly package: string },
  files: readonly NewExpected[],
): Promise<void> {
  await tx.deleteFrom('expected_file').where('lead_id', '=', lead.id).execute();
  // Databases take only so many values in a statement.
  for (let from = 0; from < files.length; from += BATCH)
    await insertExpected(tx, lead, files.slice(from, from + BATCH));
}

async function insertExpected(
  tx: Tx,
  lead: { readonly id: number; readonly repoId: number; readonly package: string },
  files: readonly NewExpected[],
): Promise<void> {
  await tx
    .insertInto('expected_file')
    .values(
      files.map(({ name, sha256, size, mediaType }) => ({
        lead_id: lead.id,
        repo_id: lead.repoId,
        package: lead.package,
        sha256,
        name,
        size,
        media_type: mediaType,
      })),
    )
    .execute();
}

/** Notes that a file which is to be removed belongs beside the lead files in its folder, where there are any. */
export async function expectAgain(
  tx: Tx,
  repoId: number,
  file: {
    readonly id: number;
    readonly path: RepoPath;
    readonly package: string;
    readonly sha256: Sha256;
    readonly size: number;
    readonly mediaType: string;
  },
): Promise<void> {
  const { parent, name } = splitPath(file.path);
  const leads = await tx
    .selectFrom('node')
    .innerJoin('package_version', 'package_version.node_id', 'node.id')
    .select('node.id')
    .where('node.repo_id', '=', repoId)
    .where('node.parent', '=', parent)
    .where('node.package', '=', file.package)
    .orderBy('node.id')
    .limit(1000)
    .execute();
  if (leads.length === 0 || leads.some(({ id }) => id === file.id)) return;
  const row = { repo_id: repoId, package: file.package, sha256: file.sha256, name, size: file.size };
  await tx
    .insertInto('expected_file')
    .values(leads.map(({ id }) => ({ lead_id: id, media_type: file.mediaType, ...row })))
    .onConflict((conflict) => conflict.columns(['lead_id', 'name']).doNothing())
    .execute();
}

/** Where files with these bytes belong in a package, beside the lead files that name them. */
export async function listExpected(
  db: Db,
  repoId: number,
  packageName: string,
  sha256: Sha256,
): Promise<ExpectedRow[]> {
  const rows = await db
    .selectFrom('expected_file')
    .innerJoin('node', 'node.id', 'expected_file.lead_id')
    .select(['node.parent', 'expected_file.name', 'expected_file.size', 'expected_file.media_type'])
    .where('expected_file.repo_id', '=', repoId)
    .where('expected_file.package', '=', packageName)
    .where('expected_file.sha256', '=', sha256)
    .orderBy('expected_file.lead_id')
    .limit(1000)
    .execute();
  return rows.map((row) => ({ path: joinPath(row.parent, row.name), size: row.size, mediaType: row.media_type }));
}
