/** Packages of a repository in pages, with the rows and files of their versions: what people are shown. */
import { type SqlBool, sql } from 'kysely';
import { joinPath, type RepoPath, type Sha256, splitPath } from '../core/ids.ts';
import { chunks } from './blobs.ts';
import type { Db } from './database.ts';

/** Sorts behind every text that begins with what stands before it. */
const END = '\u{10ffff}';

/** A package as lists have it. */
export interface ListedPackage {
  readonly name: string;
  /** Grows with every change of its versions. */
  readonly revision: number;
  /** How many rows of versions it has. */
  readonly files: number;
  readonly publishedAt: number;
}

export interface PackagePage {
  readonly order: 'name' | 'published';
  readonly descending: boolean;
  /** The last that was read. */
  readonly after?: Pick<ListedPackage, 'name' | 'publishedAt'> | undefined;
  /** The beginning of the names; only in the order of names. */
  readonly prefix?: string | undefined;
  readonly limit: number;
}

/** What an index of its own holds; as a parameter the number would keep the databases from using that index. */
const HAS_FILES = sql<SqlBool>`files > 0 and name <> ''`;

export function packagePageQuery(db: Db, repoId: number, { order, descending, after, prefix, limit }: PackagePage) {
  const direction = descending ? 'desc' : 'asc';
  let query = db
    .selectFrom('package_revision')
    .select(['name', 'revision', 'files', 'published_at as publishedAt'])
    .where('repo_id', '=', repoId)
    .where(HAS_FILES)
    .limit(sql.lit(limit));
  if (order === 'name') {
    query = query.orderBy('name', direction);
    if (after) query = query.where('name', descending ? '<' : '>', after.name);
    if (prefix) query = query.where('name', '>=', prefix).where('name', '<=', prefix + END);
    return query;
  }
  query = query.orderBy('published_at', direction).orderBy('name', direction);
  if (!after) return query;
  const than = sql.raw(descending ? '<' : '>');
  return query.where(sql<SqlBool>`(published_at, name) ${than} (${after.publishedAt}, ${after.name})`);
}

/** A page of the packages that have versions. */
export async function listPackagePage(db: Db, repoId: number, page: PackagePage): Promise<ListedPackage[]> {
  return packagePageQuery(db, repoId, page).execute();
}

/** Those of the packages that have versions here. */
export async function listPackagesNamed(
  db: Db,
  repoId: number,
  names: readonly string[],
): Promise<ReadonlyMap<string, ListedPackage>> {
  const found = new Map<string, ListedPackage>();
  for (const chunk of chunks(names)) {
    const packages = await db
      .selectFrom('package_revision')
      .select(['name', 'revision', 'files', 'published_at as publishedAt'])
      .where('repo_id', '=', repoId)
      .where('name', 'in', chunk)
      .where(HAS_FILES)
      .execute();
    for (const each of packages) found.set(each.name, each);
  }
  return found;
}

/** A row of a version without what its format says of it. */
export interface VersionRow {
  readonly nodeId: number;
  /** As the row is called, which can be more than the version. */
  readonly row: string;
  readonly path: RepoPath;
  readonly size: number;
  readonly createdAt: number;
}

interface Listed {
  readonly nodeId: number;
  readonly row: string;
  readonly parent: string;
  readonly file: string;
  readonly size: number;
  readonly createdAt: number;
}

function rows(db: Db, repoId: number) {
  return db
    .selectFrom('package_version')
    .innerJoin('node', 'node.id', 'package_version.node_id')
    .select([
      'package_version.node_id as nodeId',
      'package_version.version as row',
      'package_version.created_at as createdAt',
      'node.parent',
      'node.name as file',
      'node.size',
    ])
    .where('package_version.repo_id', '=', repoId);
}

function versionRow({ nodeId, row, parent, file, size, createdAt }: Listed): VersionRow {
  return { nodeId, row, path: joinPath(parent, file), size, createdAt };
}

export function versionRowsQuery(
  db: Db,
  repoId: number,
  name: string,
  page: { readonly after?: string | undefined; readonly limit: number },
) {
  const query = rows(db, repoId)
    .where('package_version.name', '=', name)
    .orderBy('package_version.version')
    .limit(sql.lit(page.limit));
  return page.after === undefined ? query : query.where('package_version.version', '>', page.after);
}

/** Rows of a package by their names, byte by byte. */
export async function listVersionRows(
  db: Db,
  repoId: number,
  name: string,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<VersionRow[]> {
  return (await versionRowsQuery(db, repoId, name, page).execute()).map(versionRow);
}

export function versionRowsOfQuery(db: Db, repoId: number, names: readonly string[]) {
  return rows(db, repoId)
    .select('package_version.name as package')
    .where('package_version.name', 'in', names)
    .orderBy('package_version.name')
    .orderBy('package_version.version');
}

/** All rows of packages that have few, by package. */
export async function listVersionRowsOf(
  db: Db,
  repoId: number,
  names: readonly string[],
): Promise<ReadonlyMap<string, VersionRow[]>> {
  if (names.length === 0) return new Map();
  const found = new Map<string, VersionRow[]>(names.map((name) => [name, []]));
  for (const row of await versionRowsOfQuery(db, repoId, names).execute()) {
    found.get(row.package)?.push(versionRow(row));
  }
  return found;
}

/** The rows called `version`, and those whose names begin with `prefix`, with what their format says of them. */
export async function listVersionParts(
  db: Db,
  repoId: number,
  name: string,
  { version, prefix, limit }: { readonly version: string; readonly prefix: string; readonly limit: number },
): Promise<(VersionRow & { readonly metadata: unknown })[]> {
  const some = () => rows(db, repoId).select('package_version.metadata').where('package_version.name', '=', name);
  const own = await some().where('package_version.version', '=', version).execute();
  const others = await some()
    .where('package_version.version', '>=', prefix)
    .where('package_version.version', '<=', prefix + END)
    .where('package_version.version', '<>', version)
    .orderBy('package_version.version')
    .limit(limit)
    .execute();
  return [...own, ...others].map((row) => ({
    ...versionRow(row),
    metadata: JSON.parse(row.metadata) as unknown,
  }));
}

/** Values of a property on the nodes, each with its node. */
export async function listPropertyValues(
  db: Db,
  nodeIds: readonly number[],
  key: string,
): Promise<{ readonly nodeId: number; readonly value: string }[]> {
  const found: { nodeId: number; value: string }[] = [];
  for (const chunk of chunks(nodeIds)) {
    const values = await db
      .selectFrom('property')
      .select(['node_id as nodeId', 'value'])
      .where('node_id', 'in', chunk)
      .where('key', '=', key)
      .execute();
    found.push(...values);
  }
  return found;
}

/** How often each of the nodes was fetched; absent for those that never were. */
export async function listDownloads(db: Db, nodeIds: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const found = new Map<number, number>();
  for (const chunk of chunks(nodeIds)) {
    const counts = await db
      .selectFrom('statistic')
      .select(['node_id', 'downloads'])
      .where('node_id', 'in', chunk)
      .execute();
    for (const { node_id, downloads } of counts) found.set(node_id, downloads);
  }
  return found;
}

/** How many bytes lie directly in each of the folders. */
export async function listFolderSizes(
  db: Db,
  repoId: number,
  folders: readonly RepoPath[],
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const chunk of chunks(folders)) {
    const sums = await db
      .selectFrom('node')
      .select(({ fn }) => ['parent', fn.sum<number | string>('size').as('size')])
      .where('repo_id', '=', repoId)
      .where('parent', 'in', chunk)
      .groupBy('parent')
      .execute();
    for (const { parent, size } of sums) found.set(parent, Number(size));
  }
  return found;
}

/** A file of a version as people are shown it. */
export interface FileFacts {
  readonly nodeId: number;
  readonly path: RepoPath;
  readonly size: number;
  readonly mediaType: string | undefined;
  readonly sha256: Sha256;
  /** Undefined while nobody asked for it. */
  readonly sha1: string | undefined;
  readonly md5: string | undefined;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly downloads: number;
}

function files(db: Db) {
  return db
    .selectFrom('node')
    .innerJoin('blob', 'blob.sha256', 'node.sha256')
    .leftJoin('statistic', 'statistic.node_id', 'node.id')
    .select([
      'node.id as nodeId',
      'node.parent',
      'node.name',
      'node.size',
      'node.media_type as mediaType',
      'node.created_at as createdAt',
      'node.created_by as createdBy',
      'blob.sha256',
      'blob.sha1',
      'blob.md5',
      'statistic.downloads',
    ]);
}

function factsOf(row: Awaited<ReturnType<ReturnType<typeof files>['execute']>>[number]): FileFacts {
  const { parent, name, mediaType, sha256, sha1, md5, downloads, ...rest } = row;
  return {
    ...rest,
    path: joinPath(parent, name),
    mediaType: mediaType ?? undefined,
    sha256: sha256 as Sha256,
    sha1: sha1 ?? undefined,
    md5: md5 ?? undefined,
    downloads: downloads ?? 0,
  };
}

/** Facts of the files, in the order of their nodes. */
export async function listFileFacts(db: Db, nodeIds: readonly number[]): Promise<FileFacts[]> {
  const found: FileFacts[] = [];
  for (const chunk of chunks(nodeIds)) {
    found.push(...(await files(db).where('node.id', 'in', chunk).orderBy('node.id').execute()).map(factsOf));
  }
  return found;
}

/** Facts of the file at the path. */
export async function getFileFacts(db: Db, repoId: number, path: RepoPath): Promise<FileFacts | undefined> {
  const { parent, name } = splitPath(path);
  const row = await files(db)
    .where('node.repo_id', '=', repoId)
    .where('node.parent', '=', parent)
    .where('node.name', '=', name)
    .executeTakeFirst();
  return row && factsOf(row);
}

/** Facts of the files that lie directly in a folder, by name. */
export async function listFolderFacts(db: Db, repoId: number, folder: RepoPath, limit: number): Promise<FileFacts[]> {
  const found = await files(db)
    .where('node.repo_id', '=', repoId)
    .where('node.parent', '=', folder)
    .orderBy('node.name')
    .limit(limit)
    .execute();
  return found.map(factsOf);
}
