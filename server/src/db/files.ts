/** Files joined with their bytes: what serving them needs, in one query. */
import { sql } from 'kysely';
import { joinPath, type RepoKey, type RepoPath, type Sha256, splitPath } from '../core/ids.ts';
import { type Db, isPostgres } from './database.ts';
import { endsKey, gathered } from './gathered.ts';
import { type EightIds, inEights, prepared } from './prepared.ts';

/** Files that may carry the same bytes are looked through up to this many for one that may be read. */
const MAX_HOLDERS = 1000;

/** A file with all that is needed to serve it. */
export interface FileRow {
  readonly nodeId: number;
  readonly path: RepoPath;
  readonly package: string | undefined;
  readonly etag: string | undefined;
  readonly mediaType: string;
  readonly size: number;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly modifiedAt: number;
  readonly modifiedBy: string;
  readonly declaredSha1: string | undefined;
  readonly declaredMd5: string | undefined;
  readonly sha256: Sha256;
  readonly sha1: string | undefined;
  readonly md5: string | undefined;
  readonly storeKey: string | undefined;
  readonly bytes: Buffer | undefined;
}

const FILE_COLUMNS = [
  'node.id',
  'node.parent',
  'node.name',
  'node.package',
  'node.etag',
  'node.media_type',
  'node.size',
  'node.created_at',
  'node.created_by',
  'node.modified_at',
  'node.modified_by',
  'node.original_sha1',
  'node.original_md5',
  'blob.sha256',
  'blob.sha1',
  'blob.md5',
  'blob.store_key',
  'blob_content.bytes',
] as const;

function files(db: Db) {
  return db
    .selectFrom('node')
    .innerJoin('blob', 'blob.sha256', 'node.sha256')
    .leftJoin('blob_content', 'blob_content.sha256', 'blob.sha256')
    .select(FILE_COLUMNS);
}

type FileRecord = NonNullable<Awaited<ReturnType<ReturnType<typeof files>['executeTakeFirst']>>>;

function fileRow(row: FileRecord): FileRow {
  return {
    nodeId: row.id,
    path: joinPath(row.parent, row.name),
    package: row.package ?? undefined,
    etag: row.etag ?? undefined,
    mediaType: row.media_type ?? 'application/octet-stream',
    size: row.size,
    createdAt: row.created_at,
    createdBy: row.created_by,
    modifiedAt: row.modified_at,
    modifiedBy: row.modified_by,
    declaredSha1: row.original_sha1 ?? undefined,
    declaredMd5: row.original_md5 ?? undefined,
    sha256: row.sha256 as Sha256,
    sha1: row.sha1 ?? undefined,
    md5: row.md5 ?? undefined,
    storeKey: row.store_key ?? undefined,
    bytes: row.bytes === null ? undefined : Buffer.from(row.bytes.buffer, row.bytes.byteOffset, row.bytes.byteLength),
  };
}

const selectFile = gathered(['bigint', 'text', 'text'], (db, repoId: number, parent: string, name: string) =>
  files(db)
    .where('node.repo_id', '=', repoId)
    .where('node.parent', '=', parent)
    .where(endsKey(db, 'node.name', name)),
);

export async function getFile(db: Db, repoId: number, path: RepoPath): Promise<FileRow | undefined> {
  const { parent, name } = splitPath(path);
  const row = await selectFile.one(db, repoId, parent, name);
  return row && fileRow(row);
}

function holders(db: Db, sha256: string, repoId: number, packageName: string) {
  return files(db)
    .where('node.sha256', '=', sha256)
    .where('node.repo_id', '=', repoId)
    .where('node.package', '=', packageName);
}

/** The limits stand in the text: bound as parameters they make SQLite prepare the statement at every call. */
const selectHolder = gathered(['text', 'bigint', 'text'], (db, sha256: string, repoId: number, packageName: string) =>
  holders(db, sha256, repoId, packageName).limit(sql.lit(1)),
);
const selectHolders = prepared(3, (db, sha256: string, repoId: number, packageName: string) =>
  holders(db, sha256, repoId, packageName).limit(sql.lit(MAX_HOLDERS)),
);

/** Files with these bytes in no order, one or up to MAX_HOLDERS, of one package or, without a name, of any. */
export async function findFiles(
  db: Db,
  repoId: number,
  packageName: string | undefined,
  sha256: Sha256,
  count: 'one' | 'many',
): Promise<FileRow[]> {
  if (packageName !== undefined) {
    if (count === 'many') return (await selectHolders(db, sha256, repoId, packageName)).map(fileRow);
    const row = await selectHolder.one(db, sha256, repoId, packageName);
    return row ? [fileRow(row)] : [];
  }
  const anywhere = files(db)
    .where('node.sha256', '=', sha256)
    .where('node.repo_id', '=', repoId)
    .limit(count === 'one' ? 1 : MAX_HOLDERS);
  return (await anywhere.execute()).map(fileRow);
}

/** Where files with these bytes lie, in any repository. */
export async function listHolders(
  db: Db,
  sha256: Sha256,
  limit: number,
): Promise<{ readonly repo: RepoKey; readonly path: RepoPath }[]> {
  const rows = await db
    .selectFrom('node')
    .innerJoin('repository', 'repository.id', 'node.repo_id')
    .select(['repository.key', 'node.parent', 'node.name'])
    .where('node.sha256', '=', sha256)
    .orderBy('node.repo_id')
    .limit(limit)
    .execute();
  return rows.map((row) => ({ repo: row.key as RepoKey, path: joinPath(row.parent, row.name) }));
}

const selectVersionFile = gathered(['bigint', 'text', 'text'], (db, repoId: number, name: string, version: string) =>
  files(db)
    .innerJoin('package_version', 'package_version.node_id', 'node.id')
    .where('package_version.repo_id', '=', repoId)
    .where('package_version.name', '=', name)
    .where(endsKey(db, 'package_version.version', version)),
);

/** The lead file of a package version. */
export async function getVersionFile(
  db: Db,
  repoId: number,
  name: string,
  version: string,
): Promise<FileRow | undefined> {
  const row = await selectVersionFile.one(db, repoId, name, version);
  return row && fileRow(row);
}

/** A file with the repository that holds it. */
export interface MemberFile {
  readonly repoId: number;
  readonly file: FileRow;
}

const selectFileIn = prepared(10, (db, parent: string, name: string, ...ids: EightIds) =>
  files(db)
    .select('node.repo_id')
    .where('node.parent', '=', parent)
    .where('node.name', '=', name)
    .where('node.repo_id', 'in', ids),
);

/** The files at a path of any of the repositories, in no order. */
export function getFileIn(db: Db, repoIds: readonly number[], path: RepoPath): Promise<MemberFile[]> {
  const { parent, name } = splitPath(path);
  return ofMembers(db, repoIds, {
    all: () =>
      selectFile.all(
        db,
        repoIds.map((id) => [id, parent, name]),
      ),
    eight: (ids) => selectFileIn(db, parent, name, ...ids),
  });
}

const selectVersionFileIn = prepared(10, (db, name: string, version: string, ...ids: EightIds) =>
  files(db)
    .select('node.repo_id')
    .innerJoin('package_version', 'package_version.node_id', 'node.id')
    .where('package_version.name', '=', name)
    .where('package_version.version', '=', version)
    .where('package_version.repo_id', 'in', ids),
);

/** The lead files of a package version in any of the repositories, in no order. */
export function getVersionFileIn(
  db: Db,
  repoIds: readonly number[],
  name: string,
  version: string,
): Promise<MemberFile[]> {
  return ofMembers(db, repoIds, {
    all: () =>
      selectVersionFile.all(
        db,
        repoIds.map((id) => [id, name, version]),
      ),
    eight: (ids) => selectVersionFileIn(db, name, version, ...ids),
  });
}

/** One look-up per repository, all in one statement: each may have thousands of files with these bytes. */
const selectHolderIn = prepared(10, (db, sha256: string, packageName: string, ...ids: EightIds) =>
  files(db)
    .select('node.repo_id')
    .where((eb) =>
      eb(
        'node.id',
        'in',
        ids.map((id) =>
          eb
            .selectFrom('node as held')
            .select('held.id')
            .where('held.sha256', '=', sha256)
            .where('held.repo_id', '=', id)
            .where('held.package', '=', packageName)
            .limit(sql.lit(1)),
        ),
      ),
    ),
);

/** One file of the package with these bytes of each of the repositories that has any, in no order. */
export function findFileIn(
  db: Db,
  repoIds: readonly number[],
  packageName: string,
  sha256: Sha256,
): Promise<MemberFile[]> {
  return ofMembers(db, repoIds, {
    all: () =>
      selectHolder.all(
        db,
        repoIds.map((id) => [sha256, id, packageName]),
      ),
    eight: (ids) => selectHolderIn(db, sha256, packageName, ...ids),
  });
}

/** Two ways to ask: for the rows of all repositories in their order, and for those of eight of them. */
interface MemberLookup {
  all(): Promise<readonly (FileRecord | undefined)[]>;
  eight(ids: EightIds): Promise<readonly (FileRecord & { readonly repo_id: number })[]>;
}

async function ofMembers(db: Db, repoIds: readonly number[], lookup: MemberLookup): Promise<MemberFile[]> {
  const found: MemberFile[] = [];
  // On PostgreSQL they go together with what others ask for.
  if (isPostgres(db)) {
    const rows = await lookup.all();
    for (const [i, repoId] of repoIds.entries()) {
      const row = rows[i];
      if (row) found.push({ repoId, file: fileRow(row) });
    }
    return found;
  }
  for (const ids of inEights(repoIds)) {
    for (const row of await lookup.eight(ids)) found.push({ repoId: row.repo_id, file: fileRow(row) });
  }
  return found;
}
