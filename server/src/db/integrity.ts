/** What a check of the stored state reads: the database's own opinion, and rows that could contradict the store. */
import { sql } from 'kysely';
import { joinPath, type RepoKey, type RepoPath, type Sha256 } from '../core/ids.ts';
import { type Db, isPostgres } from './database.ts';

const MAX_COMPLAINTS = 100;

/** What the database finds wrong with itself. PostgreSQL keeps its promises on every write and is not asked. */
export async function databaseComplaints(db: Db): Promise<string[]> {
  if (isPostgres(db)) return [];
  const integrity = await sql<{ integrity_check: string }>`pragma integrity_check(${sql.lit(MAX_COMPLAINTS)})`.execute(
    db,
  );
  const complaints = integrity.rows.map((row) => row.integrity_check).filter((text) => text !== 'ok');
  const { rows } = await sql<{ table: string; parent: string }>`pragma foreign_key_check`.execute(db);
  const broken = Map.groupBy(rows, ({ table, parent }) => `${table} names missing rows of ${parent}`);
  return [...complaints, ...[...broken].map(([text, all]) => `${all.length} rows of ${text}`)];
}

/** Those of the blobs that no file names and that no sweep is going to look at. */
export async function listForgotten(db: Db, digests: readonly Sha256[]): Promise<Sha256[]> {
  if (digests.length === 0) return [];
  const rows = await db
    .selectFrom('blob')
    .select('sha256')
    .where('sha256', 'in', digests)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('node').select('node.id').whereRef('node.sha256', '=', 'blob.sha256'))),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('blob_review').select('blob_review.sha256').whereRef('blob_review.sha256', '=', 'blob.sha256'),
        ),
      ),
    )
    .execute();
  return rows.map((row) => row.sha256 as Sha256);
}

/** Some of the files with these bytes, as `repository/path`. */
export async function listPathsOf(db: Db, sha256: Sha256, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('node')
    .innerJoin('repository', 'repository.id', 'node.repo_id')
    .select(['repository.key', 'node.parent', 'node.name'])
    .where('node.sha256', '=', sha256)
    .limit(limit)
    .execute();
  return rows.map((row) => joinPath(row.key, row.parent, row.name));
}

/** The lead file of a package version. */
export interface LeadFile {
  readonly nodeId: number;
  readonly repoId: number;
  readonly repo: RepoKey;
  readonly packageType: string;
  readonly package: string;
  readonly version: string;
  readonly path: RepoPath;
  readonly mediaType: string;
  readonly sha256: Sha256;
  readonly size: number;
}

/** By node; `after` is the last node of the page before. */
export async function listLeadFiles(db: Db, after: number, limit: number): Promise<LeadFile[]> {
  const rows = await db
    .selectFrom('package_version')
    .innerJoin('node', 'node.id', 'package_version.node_id')
    .innerJoin('repository', 'repository.id', 'node.repo_id')
    .select([
      'node.id',
      'node.repo_id',
      'node.parent',
      'node.name',
      'node.media_type',
      'node.sha256',
      'node.size',
      'repository.key',
      'repository.package_type',
      'package_version.name as package',
      'package_version.version',
    ])
    .where('package_version.node_id', '>', after)
    .orderBy('package_version.node_id')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    nodeId: row.id,
    repoId: row.repo_id,
    repo: row.key as RepoKey,
    packageType: row.package_type,
    package: row.package,
    version: row.version,
    path: joinPath(row.parent, row.name),
    mediaType: row.media_type ?? 'application/octet-stream',
    sha256: row.sha256 as Sha256,
    size: row.size,
  }));
}
