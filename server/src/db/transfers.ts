/** Copying and moving rows of the tree with their properties and versions, a page at a time. */
import { joinPath, type Properties, type RepoPath, splitPath } from '../core/ids.ts';
import { chunks } from './blobs.ts';
import { moveBuilds } from './builds.ts';
import type { Tx } from './database.ts';
import { changeProperties } from './properties.ts';
import type { SubtreeNode } from './subtrees.ts';

export interface TransferredFile {
  readonly row: SubtreeNode;
  readonly to: RepoPath;
  readonly package: string | undefined;
  /** What its release is called at the new place, if it leads one. */
  release(name: string, version: string): { readonly name: string; readonly version: string };
  /** Set at the new place, over what it brings along. */
  readonly properties: Properties;
}

export interface TransferredFolder {
  readonly row: SubtreeNode;
  readonly to: RepoPath;
}

export interface TransferStamp {
  readonly toRepoId: number;
  readonly by: string;
  readonly at: number;
}

/** Makes the folders that are missing, with the properties and times of those they come from; returns how many. */
export async function copyFolders(
  tx: Tx,
  stamp: TransferStamp,
  folders: readonly TransferredFolder[],
): Promise<number> {
  let made = 0;
  for (const chunk of chunks(folders)) {
    const sources = new Map(chunk.map(({ row, to }) => [to as string, row.id]));
    const rows = await tx
      .insertInto('node')
      .values(
        chunk.map(({ row, to }) => ({
          repo_id: stamp.toRepoId,
          ...splitPath(to),
          folder: 1,
          sha256: null,
          size: 0,
          media_type: null,
          package: null,
          etag: null,
          created_at: row.createdAt,
          created_by: row.createdBy,
          modified_at: row.modifiedAt,
          modified_by: row.modifiedBy,
        })),
      )
      .onConflict((conflict) => conflict.columns(['repo_id', 'parent', 'name']).doNothing())
      .returning(['id', 'parent', 'name'])
      .execute();
    made += rows.length;
    const ids = new Map<number, number>();
    for (const row of rows) {
      const source = sources.get(joinPath(row.parent, row.name));
      if (source !== undefined) ids.set(source, row.id);
    }
    await copyProperties(tx, ids);
  }
  return made;
}

/** Puts copies at free paths whose folders exist. */
export async function copyFiles(tx: Tx, stamp: TransferStamp, files: readonly TransferredFile[]): Promise<void> {
  for (const chunk of chunks(files)) {
    const rows = await tx
      .insertInto('node')
      .values(
        chunk.map(({ row, to, package: packageName }) => ({
          repo_id: stamp.toRepoId,
          ...splitPath(to),
          folder: 0,
          sha256: row.sha256 ?? null,
          size: row.size,
          media_type: row.mediaType ?? null,
          package: packageName ?? null,
          etag: row.etag ?? null,
          created_at: stamp.at,
          created_by: stamp.by,
          modified_at: row.modifiedAt,
          modified_by: row.modifiedBy,
          original_sha1: row.originalSha1,
          original_md5: row.originalMd5,
        })),
      )
      .returning(['id', 'parent', 'name'])
      .execute();
    const byPath = new Map(rows.map((row) => [joinPath(row.parent, row.name) as string, row.id]));
    const ids = new Map<number, number>();
    for (const { row, to } of chunk) {
      const id = byPath.get(to);
      if (id !== undefined) ids.set(row.id, id);
    }
    await copyProperties(tx, ids);
    await copyReleases(tx, stamp, chunk, ids);
    for (const { row, properties } of chunk) {
      const id = ids.get(row.id);
      if (id !== undefined && Object.keys(properties).length > 0) await changeProperties(tx, id, { set: properties });
    }
  }
}

async function copyProperties(tx: Tx, ids: ReadonlyMap<number, number>): Promise<void> {
  if (ids.size === 0) return;
  const rows = await tx
    .selectFrom('property')
    .select(['node_id', 'key', 'value'])
    .where('node_id', 'in', [...ids.keys()])
    .execute();
  const copies = rows.flatMap(({ node_id, key, value }) => {
    const id = ids.get(node_id);
    return id === undefined ? [] : [{ node_id: id, key, value }];
  });
  for (const chunk of chunks(copies)) await tx.insertInto('property').values(chunk).execute();
}

async function copyReleases(
  tx: Tx,
  stamp: TransferStamp,
  files: readonly TransferredFile[],
  ids: ReadonlyMap<number, number>,
): Promise<void> {
  const byId = new Map(files.map((file) => [file.row.id, file]));
  for (const release of await releasesOf(tx, [...ids.keys()])) {
    const [file, id] = [byId.get(release.node_id), ids.get(release.node_id)];
    if (!file || id === undefined) continue;
    const named = file.release(release.name, release.version);
    await freeRelease(tx, stamp.toRepoId, named);
    await tx
      .insertInto('package_version')
      .values({
        node_id: id,
        repo_id: stamp.toRepoId,
        ...named,
        metadata: release.metadata,
        created_at: release.created_at,
      })
      .execute();
  }
}

function releasesOf(tx: Tx, ids: readonly number[]) {
  if (ids.length === 0) return Promise.resolve([]);
  return tx
    .selectFrom('package_version')
    .select(['node_id', 'name', 'version', 'metadata', 'created_at'])
    .where('node_id', 'in', ids)
    .execute();
}

/** A release has one lead file: the one that comes takes the place of the one that was. */
async function freeRelease(tx: Tx, repoId: number, named: { readonly name: string; readonly version: string }) {
  await tx
    .deleteFrom('package_version')
    .where('repo_id', '=', repoId)
    .where('name', '=', named.name)
    .where('version', '=', named.version)
    .execute();
}

/** Takes files to free paths whose folders exist; whoever refers to them by their rows finds them there. */
export async function moveFiles(tx: Tx, stamp: TransferStamp, files: readonly TransferredFile[]): Promise<void> {
  for (const chunk of chunks(files)) {
    const byParent = Map.groupBy(chunk, ({ to }) => splitPath(to).parent);
    for (const [parent, siblings] of byParent) {
      const kept = siblings.filter(({ row, to }) => splitPath(row.path).name === splitPath(to).name);
      const ids = kept.map(({ row }) => row.id);
      if (ids.length > 0) {
        await tx.updateTable('node').set({ repo_id: stamp.toRepoId, parent }).where('id', 'in', ids).execute();
      }
      for (const { row, to } of siblings.filter((file) => !kept.includes(file))) {
        await tx
          .updateTable('node')
          .set({ repo_id: stamp.toRepoId, ...splitPath(to) })
          .where('id', '=', row.id)
          .execute();
      }
    }
    await moveReleases(tx, stamp, chunk);
    await moveBuilds(
      tx,
      chunk.map(({ row }) => row.id),
      stamp.toRepoId,
    );
    const renamed = chunk.filter(({ row, package: packageName }) => row.package !== packageName);
    for (const [packageName, rows] of Map.groupBy(renamed, (file) => file.package)) {
      await tx
        .updateTable('node')
        .set({ package: packageName ?? null })
        .where(
          'id',
          'in',
          rows.map(({ row }) => row.id),
        )
        .execute();
    }
    for (const { row, properties } of chunk) {
      if (Object.keys(properties).length > 0) await changeProperties(tx, row.id, { set: properties });
    }
  }
}

async function moveReleases(tx: Tx, stamp: TransferStamp, files: readonly TransferredFile[]): Promise<void> {
  const byId = new Map(files.map((file) => [file.row.id, file]));
  const releases = await releasesOf(tx, [...byId.keys()]);
  for (const release of releases) {
    const named = byId.get(release.node_id)?.release(release.name, release.version);
    if (!named) continue;
    await tx
      .deleteFrom('package_version')
      .where('repo_id', '=', stamp.toRepoId)
      .where('name', '=', named.name)
      .where('version', '=', named.version)
      .where('node_id', '!=', release.node_id)
      .execute();
    await tx
      .updateTable('package_version')
      .set({ repo_id: stamp.toRepoId, ...named })
      .where('node_id', '=', release.node_id)
      .execute();
  }
}

/** Takes properties whose keys begin with the prefix off the nodes. */
export async function dropProperties(tx: Tx, ids: readonly number[], prefix: string): Promise<void> {
  for (const chunk of chunks(ids)) {
    await tx
      .deleteFrom('property')
      .where('node_id', 'in', chunk)
      .where('key', '>=', prefix)
      .where('key', '<', `${prefix}\u{10ffff}`)
      .execute();
  }
}
