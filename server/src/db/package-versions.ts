/** Rows of package versions: what indexes, tag lists and referrers are read from. */
import { sql } from 'kysely';
import { joinPath, type RepoPath, type Sha256 } from '../core/ids.ts';
import type { PackageVersion, Page, PropertyValue, VersionName } from '../core/repository.ts';
import { chunks } from './blobs.ts';
import type { Db, Tx } from './database.ts';

function leads(db: Db, repoId: number) {
  return db
    .selectFrom('package_version')
    .innerJoin('node', 'node.id', 'package_version.node_id')
    .select([
      'package_version.version',
      'package_version.metadata',
      'package_version.created_at',
      'node.id',
      'node.parent',
      'node.name',
      'node.size',
      'node.sha256',
      'node.media_type',
    ])
    .where('package_version.repo_id', '=', repoId);
}

function versions(db: Db, repoId: number, name: string) {
  return leads(db, repoId).where('package_version.name', '=', name);
}

type VersionRecord = NonNullable<Awaited<ReturnType<ReturnType<typeof versions>['executeTakeFirst']>>>;

function packageVersion(name: string, row: VersionRecord): PackageVersion {
  return {
    package: name,
    version: row.version,
    path: joinPath(row.parent, row.name),
    size: row.size,
    sha256: row.sha256 as Sha256,
    mediaType: row.media_type ?? 'application/octet-stream',
    createdAt: new Date(row.created_at),
    metadata: JSON.parse(row.metadata) as unknown,
    sequence: row.id,
  };
}

/** Versions and where their lead files lie, by version, byte by byte. */
export async function listVersionNames(db: Db, repoId: number, name: string, page: Page): Promise<VersionName[]> {
  let query = db
    .selectFrom('package_version')
    .innerJoin('node', 'node.id', 'package_version.node_id')
    .select(['package_version.version', 'node.parent', 'node.name'])
    .where('package_version.repo_id', '=', repoId)
    .where('package_version.name', '=', name)
    .orderBy('package_version.version')
    .limit(page.limit);
  if (page.after !== undefined) query = query.where('package_version.version', '>', page.after);
  if (page.before !== undefined) query = query.where('package_version.version', '<', page.before);
  return (await query.execute()).map((row) => ({ version: row.version, path: joinPath(row.parent, row.name) }));
}

/** Versions of the package, or of all, whose lead file carries the property, in the order of their nodes. */
export async function listVersionsWith(
  db: Db,
  repoId: number,
  name: string | undefined,
  property: PropertyValue,
  page: { readonly after?: number; readonly limit: number },
): Promise<PackageVersion[]> {
  const rows = await versionsWithQuery(db, repoId, name, property, page).execute();
  return rows.map((row) => packageVersion(row.package, row));
}

export function versionsWithQuery(
  db: Db,
  repoId: number,
  name: string | undefined,
  property: PropertyValue,
  page: { readonly after?: number; readonly limit: number },
) {
  let query = (name === undefined ? leads(db, repoId) : versions(db, repoId, name))
    .innerJoin('property', 'property.node_id', 'node.id')
    .select('package_version.name as package')
    .where('property.key', '=', property.key)
    .where('property.value', '=', property.value)
    .orderBy('property.node_id')
    .limit(page.limit);
  if (page.after !== undefined) query = query.where('property.node_id', '>', page.after);
  return query;
}

/** The version of this name. */
export async function getVersion(
  db: Db,
  repoId: number,
  name: string,
  version: string,
): Promise<PackageVersion | undefined> {
  const row = await versions(db, repoId, name).where('package_version.version', '=', version).executeTakeFirst();
  return row && packageVersion(name, row);
}

/** Versions whose rows were written after the number, in the order of writing. */
export async function listVersionsSince(
  db: Db,
  repoId: number,
  name: string,
  page: { readonly after: number; readonly limit: number },
): Promise<(PackageVersion & { readonly revision: number })[]> {
  const rows = await versions(db, repoId, name)
    .select('package_version.revision')
    .where('package_version.revision', '>', page.after)
    .orderBy('package_version.revision')
    .limit(page.limit)
    .execute();
  return rows.map((row) => ({ ...packageVersion(name, row), revision: row.revision }));
}

export async function countVersions(db: Db, repoId: number, name: string): Promise<number> {
  const row = await db
    .selectFrom('package_version')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('repo_id', '=', repoId)
    .where('name', '=', name)
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** All versions of a package, in the order of their nodes. */
export async function listVersions(
  db: Db,
  repoId: number,
  name: string,
  page: { readonly after?: number; readonly limit: number },
): Promise<PackageVersion[]> {
  let query = versions(db, repoId, name).orderBy('node.id').limit(page.limit);
  if (page.after !== undefined) query = query.where('node.id', '>', page.after);
  return (await query.execute()).map((row) => packageVersion(name, row));
}

/** All versions of a repository, by package and version, byte by byte. */
export async function listAllVersions(
  db: Db,
  repoId: number,
  page: { readonly after?: Pick<PackageVersion, 'package' | 'version'>; readonly limit: number },
): Promise<PackageVersion[]> {
  let query = leads(db, repoId)
    .select('package_version.name as package')
    .orderBy('package_version.name')
    .orderBy('package_version.version')
    .limit(page.limit);
  if (page.after) {
    const { package: name, version } = page.after;
    query = query.where(sql<boolean>`(package_version.name, package_version.version) > (${name}, ${version})`);
  }
  return (await query.execute()).map((row) => packageVersion(row.package, row));
}

/** Versions whose lead file has these bytes, up to `limit` of them. */
export async function listVersionsOf(
  db: Db,
  repoId: number,
  name: string,
  sha256: Sha256,
  limit: number,
): Promise<PackageVersion[]> {
  const rows = await versions(db, repoId, name)
    .where('node.sha256', '=', sha256)
    .where('node.repo_id', '=', repoId)
    .where('node.package', '=', name)
    .limit(limit)
    .execute();
  return rows.map((row) => packageVersion(name, row));
}

/** The lead files that lie directly in a folder, with the packages they belong to. */
export async function listLeadsIn(
  db: Db,
  repoId: number,
  folder: RepoPath,
): Promise<readonly { readonly path: RepoPath; readonly package: string }[]> {
  const rows = await db
    .selectFrom('node')
    .innerJoin('package_version', 'package_version.node_id', 'node.id')
    .select(['node.name', 'package_version.name as package'])
    .where('node.repo_id', '=', repoId)
    .where('node.parent', '=', folder)
    .limit(10)
    .execute();
  return rows.map((row) => ({ path: joinPath(folder, row.name), package: row.package }));
}

/** Names of packages, byte by byte. Each name costs one look-up, however many versions it has. */
export async function listPackages(db: Db, repoId: number, page: Page): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    with recursive found (name, n) as (
      select (select min(name) from package_version where repo_id = ${repoId} and name > ${page.after ?? ''}), 1
      union all
      select (select min(name) from package_version where repo_id = ${repoId} and name > found.name), n + 1
      from found where found.name is not null and n < ${page.limit}
    )
    select name from found where name is not null order by name`.execute(db);
  return rows.map((row) => row.name);
}

/** Gives the release of a lead file another version, such as when a tag moves away from it. */
export async function renameVersion(tx: Tx, nodeId: number, version: string): Promise<void> {
  await tx.updateTable('package_version').set({ version }).where('node_id', '=', nodeId).execute();
}

/** Changes what indexes say of the release that a file leads. */
export async function setVersionMetadata(tx: Tx, nodeId: number, metadata: unknown): Promise<void> {
  await tx
    .updateTable('package_version')
    .set({ metadata: JSON.stringify(metadata) })
    .where('node_id', '=', nodeId)
    .execute();
}

/** Files that lead no release any more. */
export async function deleteVersionsOf(tx: Tx, nodeIds: readonly number[]): Promise<void> {
  for (const chunk of chunks(nodeIds)) await tx.deleteFrom('package_version').where('node_id', 'in', chunk).execute();
}
