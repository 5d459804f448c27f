/** Rows of the file tree. Paths are joined from `parent` and `name`; the root folder has no row. */
import { sql } from 'kysely';
import type { BuildRecord } from '../core/build.ts';
import { AppError } from '../core/errors.ts';
import {
  type ChecksumAlgorithm,
  joinPath,
  type Properties,
  type RepoPath,
  type Sha256,
  splitPath,
} from '../core/ids.ts';
import type { DeclaredChecksums, Entry, Page, Stamps, TreeNode } from '../core/repository.ts';
import { chunks } from './blobs.ts';
import { putBuild } from './builds.ts';
import { type Db, lockTree, type Tx } from './database.ts';
import { endsKey, gathered } from './gathered.ts';
import { replaceProperties } from './properties.ts';

export interface NodeRow extends TreeNode {
  readonly id: number;
}

export interface NewFile {
  readonly path: RepoPath;
  readonly sha256: Sha256;
  readonly size: number;
  readonly mediaType: string;
  readonly package: string | undefined;
  readonly etag: string | undefined;
  readonly properties: Properties | undefined;
  readonly declared: DeclaredChecksums | undefined;
  readonly stamps: Stamps | undefined;
  readonly version: { readonly package: string; readonly version: string; readonly metadata: unknown } | undefined;
  readonly build?: BuildRecord | undefined;
}

const NODE_COLUMNS = [
  'id',
  'parent',
  'name',
  'folder',
  'sha256',
  'size',
  'media_type',
  'package',
  'created_at',
  'created_by',
  'modified_at',
  'modified_by',
] as const;

function nodes(db: Db, repoId: number) {
  return db.selectFrom('node').select(NODE_COLUMNS).where('repo_id', '=', repoId);
}

type NodeRecord = NonNullable<Awaited<ReturnType<ReturnType<typeof nodes>['executeTakeFirst']>>>;

function nodeRow(row: NodeRecord): NodeRow {
  return {
    id: row.id,
    path: joinPath(row.parent, row.name),
    folder: row.folder === 1,
    sha256: (row.sha256 ?? undefined) as Sha256 | undefined,
    size: row.size,
    mediaType: row.media_type ?? undefined,
    package: row.package ?? undefined,
    createdAt: new Date(row.created_at),
    createdBy: row.created_by,
    modifiedAt: new Date(row.modified_at),
    modifiedBy: row.modified_by,
  };
}

const selectNode = gathered(['bigint', 'text', 'text'], (db, repoId: number, parent: string, name: string) =>
  nodes(db, repoId)
    .where('parent', '=', parent)
    .where(endsKey(db, 'name', name)),
);

export async function getNode(db: Db, repoId: number, path: RepoPath): Promise<NodeRow | undefined> {
  const { parent, name } = splitPath(path);
  const row = await selectNode.one(db, repoId, parent, name);
  return row && nodeRow(row);
}

/** For each of the digests a file of the package that holds it. */
export async function listHolders(
  db: Db,
  repoId: number,
  packageName: string,
  digests: readonly Sha256[],
): Promise<Map<Sha256, NodeRow & { sha256: Sha256 }>> {
  const holders = new Map<Sha256, NodeRow & { sha256: Sha256 }>();
  for (const chunk of chunks(digests)) {
    // One look-up per digest: a base layer may be held by a hundred thousand tags.
    const ids = await db
      .selectFrom('blob')
      .select((eb) =>
        eb
          .selectFrom('node')
          .select('node.id')
          .whereRef('node.sha256', '=', 'blob.sha256')
          .where('node.repo_id', '=', repoId)
          .where('node.package', '=', packageName)
          .limit(1)
          .as('id'),
      )
      .where('blob.sha256', 'in', chunk)
      .execute();
    const found = ids.flatMap((row) => (row.id === null ? [] : [row.id]));
    if (found.length === 0) continue;
    const rows = await nodes(db, repoId).where('id', 'in', found).execute();
    for (const row of rows.map(nodeRow)) if (row.sha256) holders.set(row.sha256, { ...row, sha256: row.sha256 });
  }
  return holders;
}

/** What lies directly in a folder, by name. */
export async function listChildren(db: Db, repoId: number, folder: RepoPath, page: Page): Promise<Entry[]> {
  let query = db
    .selectFrom('node')
    .select(['name', 'folder', 'size'])
    .where('repo_id', '=', repoId)
    .where('parent', '=', folder)
    .orderBy('name')
    .limit(page.limit);
  if (page.after !== undefined) query = query.where('name', '>', page.after);
  return (await query.execute()).map((row) => ({ name: row.name, folder: row.folder === 1, size: row.size }));
}

export async function listChildNodes(db: Db, repoId: number, folder: RepoPath): Promise<NodeRow[]> {
  const rows = await nodes(db, repoId).where('parent', '=', folder).orderBy('name').execute();
  return rows.map(nodeRow);
}

/** The nodes at these paths, by path. */
export async function getNodes(db: Db, repoId: number, paths: readonly RepoPath[]): Promise<Map<string, NodeRow>> {
  const byParent = Map.groupBy(paths, (path) => splitPath(path).parent);
  const found = new Map<string, NodeRow>();
  for (const [parent, siblings] of byParent) {
    for (const chunk of chunks(siblings.map((path) => splitPath(path).name))) {
      const rows = await nodes(db, repoId).where('parent', '=', parent).where('name', 'in', chunk).execute();
      for (const row of rows.map(nodeRow)) found.set(row.path, row);
    }
  }
  return found;
}

/** Makes the folders above these paths. A file where a folder is needed is a `conflict`. */
export async function ensureFolders(
  tx: Tx,
  repoId: number,
  paths: readonly RepoPath[],
  by: string,
  at: number,
): Promise<void> {
  const wanted = new Set<RepoPath>();
  for (const path of paths) {
    for (let folder = splitPath(path).parent; folder !== '' && !wanted.has(folder); folder = splitPath(folder).parent) {
      wanted.add(folder);
    }
  }
  if (wanted.size === 0) return;
  await lockTree(tx, repoId, 'shared');
  const existing = await getNodes(tx, repoId, [...wanted]);
  for (const node of existing.values()) {
    if (!node.folder) throw fileInTheWay(node.path);
  }
  const missing = [...wanted].filter((path) => !existing.has(path)).map(splitPath);
  for (const chunk of chunks(missing)) {
    const rows = await tx
      .insertInto('node')
      .values(
        chunk.map(({ parent, name }) => ({
          repo_id: repoId,
          parent,
          name,
          folder: 1,
          sha256: null,
          size: 0,
          media_type: null,
          package: null,
          etag: null,
          created_at: at,
          created_by: by,
          modified_at: at,
          modified_by: by,
        })),
      )
      // Another change may have put something there meanwhile: the update changes nothing but shows what it is.
      .onConflict((conflict) =>
        conflict.columns(['repo_id', 'parent', 'name']).doUpdateSet((eb) => ({ folder: eb.ref('node.folder') })),
      )
      .returning(['parent', 'name', 'folder'])
      .execute();
    for (const row of rows) if (row.folder !== 1) throw fileInTheWay(joinPath(row.parent, row.name));
  }
}

function fileInTheWay(path: RepoPath): AppError {
  return new AppError('conflict', `"${path}" is a file, so nothing can be put below it.`);
}

/** Writes files over whatever files were at their paths, with their properties and versions. */
export async function putFiles(
  tx: Tx,
  repoId: number,
  files: readonly NewFile[],
  by: string,
  at: number,
): Promise<void> {
  for (const chunk of chunks(files)) {
    const rows = await tx
      .insertInto('node')
      .values(
        chunk.map((file) => ({
          repo_id: repoId,
          ...splitPath(file.path),
          folder: 0,
          sha256: file.sha256,
          size: file.size,
          media_type: file.mediaType,
          package: file.package ?? null,
          etag: file.etag ?? null,
          ...stampColumns(file.stamps, by, at),
          original_sha1: file.declared?.sha1 ?? null,
          original_md5: file.declared?.md5 ?? null,
        })),
      )
      .onConflict((conflict) =>
        conflict
          .columns(['repo_id', 'parent', 'name'])
          .doUpdateSet((eb) => ({
            sha256: eb.ref('excluded.sha256'),
            size: eb.ref('excluded.size'),
            media_type: eb.ref('excluded.media_type'),
            package: eb.ref('excluded.package'),
            etag: eb.ref('excluded.etag'),
            modified_at: eb.ref('excluded.modified_at'),
            modified_by: eb.ref('excluded.modified_by'),
            original_sha1: eb.ref('excluded.original_sha1'),
            original_md5: eb.ref('excluded.original_md5'),
          }))
          .where('node.folder', '=', 0),
      )
      .returning(['id', 'parent', 'name'])
      .execute();
    const ids = new Map(rows.map((row) => [joinPath(row.parent, row.name), row.id]));
    for (const file of chunk) {
      const id = ids.get(file.path);
      if (id === undefined)
        throw new AppError('conflict', `"${file.path}" is a folder, so no file can be put in its place.`);
      if (file.properties) await replaceProperties(tx, id, file.properties);
      if (file.stamps) await stampCreation(tx, id, file.stamps);
      if (file.version) await putVersion(tx, repoId, id, file.version, at);
      if (file.build) await putBuild(tx, repoId, id, file.build, { by, at });
    }
  }
}

function stampColumns(stamps: Stamps | undefined, by: string, at: number) {
  return {
    created_at: stamps?.createdAt?.getTime() ?? at,
    created_by: stamps?.createdBy ?? by,
    modified_at: stamps?.modifiedAt?.getTime() ?? at,
    modified_by: stamps?.modifiedBy ?? by,
  };
}

/** A file that is overwritten keeps who made it, unless its deploy says otherwise. */
async function stampCreation(tx: Tx, id: number, { createdAt, createdBy }: Stamps): Promise<void> {
  if (createdAt === undefined && createdBy === undefined) return;
  await tx
    .updateTable('node')
    .set({
      ...(createdAt !== undefined && { created_at: createdAt.getTime() }),
      ...(createdBy !== undefined && { created_by: createdBy }),
    })
    .where('id', '=', id)
    .execute();
}

/** What the blob of a file is by the algorithm, and the id of the file's row; undefined if there is no file. */
export async function getChecksumOf(
  db: Db,
  repoId: number,
  path: RepoPath,
  algorithm: ChecksumAlgorithm,
): Promise<{ readonly id: number; readonly hex: string | undefined; readonly modifiedBy: string } | undefined> {
  const { parent, name } = splitPath(path);
  const row = await db
    .selectFrom('node')
    .innerJoin('blob', 'blob.sha256', 'node.sha256')
    .select(['node.id', 'node.modified_by', 'blob.sha256', 'blob.sha1', 'blob.md5'])
    .where('node.repo_id', '=', repoId)
    .where('node.parent', '=', parent)
    .where('node.name', '=', name)
    .executeTakeFirst();
  return row && { id: row.id, hex: row[algorithm] ?? undefined, modifiedBy: row.modified_by };
}

/** Notes what the client declared. */
export async function setDeclared(tx: Tx, id: number, { sha1, md5 }: DeclaredChecksums): Promise<void> {
  await tx
    .updateTable('node')
    .set({ ...(sha1 !== undefined && { original_sha1: sha1 }), ...(md5 !== undefined && { original_md5: md5 }) })
    .where('id', '=', id)
    .execute();
}

async function putVersion(
  tx: Tx,
  repoId: number,
  nodeId: number,
  version: NonNullable<NewFile['version']>,
  at: number,
): Promise<void> {
  await tx
    .insertInto('package_version')
    .values({
      node_id: nodeId,
      repo_id: repoId,
      name: version.package,
      version: version.version,
      metadata: JSON.stringify(version.metadata),
      created_at: at,
    })
    .onConflict((conflict) =>
      conflict.column('node_id').doUpdateSet((eb) => ({
        name: eb.ref('excluded.name'),
        version: eb.ref('excluded.version'),
        metadata: eb.ref('excluded.metadata'),
        created_at: at,
      })),
    )
    .execute();
}

export async function touchNode(tx: Tx, id: number, at: number): Promise<void> {
  await tx.updateTable('node').set({ modified_at: at }).where('id', '=', id).execute();
}

/** Files in folders of the given name that nobody touched since, in repositories of these package types. */
export async function listStaleIn(
  db: Db,
  { folderName, packageTypes }: { readonly folderName: string; readonly packageTypes: readonly string[] },
  touchedBefore: number,
  limit: number,
): Promise<{ repoId: number; path: RepoPath; id: number }[]> {
  const rows = await db
    .selectFrom('node as folder')
    .innerJoin('repository', 'repository.id', 'folder.repo_id')
    .innerJoin('node', (join) =>
      join
        .onRef('node.repo_id', '=', 'folder.repo_id')
        .on(
          'node.parent',
          '=',
          sql<string>`case when folder.parent = '' then folder.name else folder.parent || '/' || folder.name end`,
        ),
    )
    .select(['node.repo_id', 'node.parent', 'node.name', 'node.id'])
    .where('repository.package_type', 'in', packageTypes)
    .where('folder.name', '=', folderName)
    .where('folder.folder', '=', 1)
    .where('node.folder', '=', 0)
    .where('node.modified_at', '<', touchedBefore)
    .limit(limit)
    .execute();
  return rows.map((row) => ({ repoId: row.repo_id, path: joinPath(row.parent, row.name), id: row.id }));
}

/** Removes up to `limit` nodes of a repository; returns how many, and the digests that lost a reference. */
export async function deleteAllNodes(
  tx: Tx,
  repoId: number,
  limit: number,
): Promise<{ readonly nodes: number; readonly sha256: Sha256[] }> {
  const rows = await tx
    .selectFrom('node')
    .select(['id', 'sha256'])
    .where('repo_id', '=', repoId)
    .limit(limit)
    .execute();
  for (const chunk of chunks(rows.map((row) => row.id))) await tx.deleteFrom('node').where('id', 'in', chunk).execute();
  return { nodes: rows.length, sha256: rows.flatMap((row) => (row.sha256 === null ? [] : [row.sha256 as Sha256])) };
}
