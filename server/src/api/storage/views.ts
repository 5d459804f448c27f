/** Views of an item beside its description: properties, statistics, permissions, where its bytes are. */

import { listEffectivePermissions } from '../../auth/effective-permissions.ts';
import { AppError } from '../../core/errors.ts';
import type { Action } from '../../core/principal.ts';
import type { Reply } from '../../core/protocol.ts';
import { getBlob } from '../../db/blobs.ts';
import type { Database } from '../../db/database.ts';
import { getStatistic } from '../../db/statistics.ts';
import { getSubtreeNode } from '../../db/subtrees.ts';
import { escapeXml } from '../../lib/xml-text.ts';
import type { RepositoryDirectory } from '../../repositories/directory.ts';
import { type ApiRequest, typed } from '../route.ts';
import { type Place, requireFolder } from './place.ts';

export interface ViewDeps {
  readonly repositories: RepositoryDirectory;
  readonly database: Database;
  /** What was counted and is not written yet is written before statistics are read. */
  readonly downloads: { flush(): Promise<void> };
  readonly driver: { readonly name: string };
}

export async function propertiesReply(place: Place, wanted: string): Promise<Reply> {
  return typed('storage.ItemProperties', { properties: await findProperties(place, wanted), uri: place.uri });
}

export async function propertiesXmlReply(place: Place): Promise<Reply> {
  const properties = await findProperties(place, '');
  const rows = Object.entries(properties).flatMap(([key, values]) => {
    const name = xmlName(key);
    return values.map((value) => `<${name}>${escapeXml(value)}</${name}>`);
  });
  const text = `<properties>${rows.join('')}</properties>`;
  return { status: 200, text, headers: { 'Content-Type': 'application/xml', 'Cache-Control': 'no-store' } };
}

async function findProperties(place: Place, wanted: string) {
  const { repo, path } = place;
  if (!(await repo.get(path))) await requireFolder(place);
  const all = await repo.properties(path);
  const keys = wanted.split(',').filter((key) => key !== '');
  const entries = Object.entries(all).filter(([key]) => keys.length === 0 || keys.includes(key));
  if (entries.length === 0) throw new AppError('not_found', 'No properties could be found.');
  return Object.fromEntries(entries);
}

/** A key can hold what the name of an element cannot. */
function xmlName(key: string): string {
  const name = key.replace(/[^\p{L}\p{N}._-]/gu, '_');
  return /^[\p{L}_]/u.test(name) ? name : `_${name}`;
}

export async function statsReply(deps: ViewDeps, place: Place): Promise<Reply> {
  const { repo, path, downloadUri } = place;
  const asset = await repo.get(path);
  if (!asset) await requireFolder(place);
  await deps.downloads.flush();
  const nodeId = asset?.nodeId ?? (await nodeIdOf(deps, place));
  const found = await deps.database.read((db) => getStatistic(db, nodeId ?? -1));
  return typed('storage.StatsInfo', {
    uri: downloadUri,
    downloadCount: found.downloads,
    lastDownloaded: found.downloadedAt,
    ...(found.downloadedBy !== undefined && { lastDownloadedBy: found.downloadedBy }),
    remoteDownloadCount: found.remoteDownloads,
    remoteLastDownloaded: found.remoteDownloadedAt,
  });
}

async function nodeIdOf({ repositories, database }: ViewDeps, { repo, path }: Place): Promise<number | undefined> {
  const repoId = repositories.idOf(repo.key);
  return repoId === undefined ? undefined : (await database.read((db) => getSubtreeNode(db, repoId, path)))?.id;
}

const LETTERS: Readonly<Record<Action, string>> = { read: 'r', annotate: 'n', deploy: 'w', delete: 'd', manage: 'm' };

/** For who manages the item: everybody else need not know who has rights. */
export async function permissionsReply(deps: ViewDeps, place: Place): Promise<Reply> {
  const { repo, path, uri } = place;
  if (!(await repo.get(path))) await requireFolder(place);
  repo.require('manage', path);
  if (repo.rclass === 'virtual') {
    throw new AppError('invalid', `Repository '${repo.key}' is not a local repository`);
  }
  const { rclass } = repo;
  const found = await deps.database.read((db) => listEffectivePermissions(db, { repo: repo.key, rclass, path }));
  const letters = (held: ReadonlyMap<string, readonly Action[]>) =>
    Object.fromEntries([...held].map(([name, actions]) => [name, actions.map((action) => LETTERS[action])]));
  return typed('storage.ItemPermissions', {
    uri,
    principals: { users: letters(found.users), groups: letters(found.groups) },
  });
}

/** Where the bytes of a file are kept, for administrators. */
export async function storageInfoReply(deps: ViewDeps, place: Place, { caller }: ApiRequest): Promise<Reply> {
  const { principal } = caller;
  if (principal.kind !== 'user' || !principal.admin || principal.scope) {
    throw new AppError('forbidden', 'Only an administrator may see where things are stored.');
  }
  const { repo, path, uri } = place;
  const asset = await repo.get(path);
  if (!asset) {
    const folder = await requireFolder(place);
    return typed('storage.StorageInfo', { uri, repo: repo.key, path: `/${folder.path}`, folder: true });
  }
  const blob = await deps.database.read((db) => getBlob(db, asset.sha256));
  const { sha1, md5, sha256 } = await asset.checksums();
  return typed('storage.StorageInfo', {
    uri,
    repo: repo.key,
    path: `/${path}`,
    folder: false,
    size: String(asset.size),
    checksums: { sha1, md5, sha256 },
    binaryProvider: blob?.storeKey === undefined ? 'database' : deps.driver.name,
    ...(blob?.storeKey !== undefined && { objectKey: blob.storeKey }),
  });
}
