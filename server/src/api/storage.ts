/** What lies where: files, folders, listings and properties, as the caller may see them. */
import type { Authentication } from '../auth/authenticator.ts';
import { AppError } from '../core/errors.ts';
import { clip, encodePath, joinPath, type RepoPath } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import type { Asset, Descendant, Entry, Folder, Repository } from '../core/repository.ts';
import { type ApiRequest, isSwitchedOn, READ, type Route, route, typed } from './route.ts';
import { type Place, placeOf, requireFolder } from './storage/place.ts';
import { type PropertyDeps, propertyRoutes } from './storage/properties.ts';
import {
  permissionsReply,
  propertiesReply,
  propertiesXmlReply,
  statsReply,
  storageInfoReply,
  type ViewDeps,
} from './storage/views.ts';

export type StorageDeps = ViewDeps & PropertyDeps;

const ALL = 'artifactory/api/storage';
const PAGE = 500;

export function storageRoutes(deps: StorageDeps): readonly Route[] {
  const handle = (request: ApiRequest) => look(deps, request);
  return [
    ...propertyRoutes(deps),
    route({ methods: READ, pattern: `${ALL}/{repo}`, right: 'reader', handle }),
    route({ methods: READ, pattern: `${ALL}/{repo}/{path...}`, right: 'reader', handle }),
  ];
}

async function look(deps: StorageDeps, request: ApiRequest): Promise<Reply> {
  const { query } = request;
  const place = placeOf(deps.repositories, request);
  if (query.has('propertiesXml')) return propertiesXmlReply(place);
  if (query.has('stats')) return statsReply(deps, place);
  if (query.has('permissions')) return permissionsReply(deps, place);
  if (query.has('storageInfo')) return storageInfoReply(deps, place, request);
  if (query.has('properties')) return propertiesReply(place, query.get('properties') ?? '');
  if (query.has('list')) return listReply(place, query, request.caller);
  if (query.has('lastModified')) return lastModifiedReply(request.root, place);
  const asset = await place.repo.get(place.path);
  if (asset) return typed('storage.FileInfo', await renderFile(place, asset));
  return folderReply(place, await requireFolder(place));
}

async function renderFile({ repo, path, uri, downloadUri }: Place, asset: Asset) {
  const { sha1, md5, sha256 } = await asset.checksums();
  return {
    repo: repo.key,
    path: `/${path}`,
    ...renderTimes(asset),
    downloadUri,
    mimeType: asset.mediaType,
    size: String(asset.size),
    checksums: { sha1, md5, sha256 },
    originalChecksums: { sha256 },
    uri,
  };
}

function renderTimes(item: Pick<Asset, 'createdAt' | 'createdBy' | 'modifiedAt' | 'modifiedBy'>) {
  const modified = item.modifiedAt.toISOString();
  return {
    created: item.createdAt.toISOString(),
    createdBy: item.createdBy,
    lastModified: modified,
    modifiedBy: item.modifiedBy,
    lastUpdated: modified,
  };
}

/** A folder can hold a hundred thousand tags, so its children are sent as they are read. */
async function folderReply({ repo, path, uri, listing = repo }: Place, folder: Folder): Promise<Reply> {
  const head = { repo: repo.key, path: `/${path}`, ...renderTimes(folder) };
  const rows = mapped(childrenOf(listing, path), (child) => ({ uri: `/${child.name}`, folder: child.folder }));
  return {
    ...streamed('storage.FolderInfo', jsonWithList(head, { name: 'children', rows }, { uri })),
  };
}

/** Only for those who signed in, as Artifactory has it: a whole tree is much to ask for. */
async function listReply(place: Place, query: URLSearchParams, caller: Authentication): Promise<Reply> {
  if (!caller.authenticated) throw new AppError('unauthenticated', 'Authentication is required');
  const { repo, path, uri } = place;
  if (await repo.get(path)) {
    throw new AppError('invalid', `"${clip(path, 300)}" is a file: only folders can be listed.`);
  }
  const folder = await requireFolder(place);
  const deep = isSwitchedOn(query.get('deep'));
  const maxDepth = deep ? parseDepth(query.get('depth')) : 1;
  const withFolders = isSwitchedOn(query.get('listFolders'));
  const withRoot = isSwitchedOn(query.get('includeRootPath'));
  async function* rows() {
    if (withRoot) {
      yield { uri: '/', size: -1, lastModified: folder.modifiedAt.toISOString(), folder: true };
    }
    for await (const node of descendantsOf(repo, path)) {
      const inside = path === '' ? node.path : node.path.slice(path.length + 1);
      const depth = inside.split('/').length;
      // Sorted by parent: once the folder itself is through, everything is deeper.
      if (maxDepth === 1 && depth > 1) return;
      if (depth > maxDepth || (node.folder && !withFolders)) continue;
      yield renderListed(inside, node);
    }
  }
  const head = { uri, created: new Date().toISOString() };
  return streamed('storage.FileList', jsonWithList(head, { name: 'files', rows: rows() }, {}));
}

function parseDepth(text: string | null): number {
  const depth = Number(text ?? 0);
  if (!Number.isSafeInteger(depth) || depth < 0) {
    throw new AppError('invalid', `"${clip(text ?? '')}" is no depth: a whole number is needed.`);
  }
  return depth === 0 ? Number.POSITIVE_INFINITY : depth;
}

function renderListed(inside: string, node: Descendant) {
  const common = { uri: `/${inside}`, size: node.folder ? -1 : node.size };
  return {
    ...common,
    lastModified: node.modifiedAt.toISOString(),
    folder: node.folder,
    ...(node.sha1 !== undefined && { sha1: node.sha1 }),
    ...(node.sha256 !== undefined && { sha2: node.sha256 }),
  };
}

/** The file below the folder that changed last, or the file itself. */
async function lastModifiedReply(root: string, place: Place): Promise<Reply> {
  const { repo, path } = place;
  let newest: Pick<Descendant, 'path' | 'modifiedAt'> | undefined = await repo.get(path);
  if (!newest) {
    await requireFolder(place);
    for await (const node of descendantsOf(repo, path)) {
      if (!node.folder && (newest === undefined || node.modifiedAt > newest.modifiedAt)) newest = node;
    }
  }
  if (!newest) throw new AppError('not_found', 'Unable to find item');
  const address = encodePath(joinPath(repo.key, newest.path));
  const reply = typed('storage.ItemLastModified', {
    uri: `${root}/api/storage/${address}`,
    lastModified: newest.modifiedAt.toISOString(),
  });
  return { ...reply, headers: { ...reply.headers, 'Last-Modified': newest.modifiedAt.toUTCString() } };
}

async function* childrenOf(repo: Repository, folder: RepoPath): AsyncGenerator<Entry> {
  for (let after: string | undefined; ; ) {
    const page = await repo.children(folder, { ...(after !== undefined && { after }), limit: PAGE });
    yield* page;
    after = page.at(-1)?.name;
    if (page.length < PAGE) return;
    await otherRequests();
  }
}

async function* descendantsOf(repo: Repository, folder: RepoPath): AsyncGenerator<Descendant> {
  for (let after: RepoPath | undefined; ; ) {
    const { found, next } = await repo.descendants(folder, { ...(after !== undefined && { after }), limit: PAGE });
    yield* found;
    if (next === undefined) return;
    after = next;
    await otherRequests();
  }
}

/** Reading from a database in this process never waits, so the others have to be let in. */
function otherRequests(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function* mapped<T, U>(items: AsyncIterable<T>, map: (item: T) => U): AsyncGenerator<U> {
  for await (const item of items) yield map(item);
}

/** An object with one list of any length among its fields, in pieces. */
async function* jsonWithList(
  before: object,
  list: { readonly name: string; readonly rows: AsyncIterable<object> },
  after: object,
): AsyncGenerator<string> {
  yield `${JSON.stringify(before).slice(0, -1)},${JSON.stringify(list.name)}:[`;
  let first = true;
  for await (const row of list.rows) {
    yield `${first ? '' : ','}${JSON.stringify(row)}`;
    first = false;
  }
  const rest = JSON.stringify(after).slice(1);
  yield rest === '}' ? ']}' : `],${rest}`;
}

function streamed(type: string, pieces: AsyncIterable<string>): Reply {
  const mediaType = `application/vnd.org.jfrog.artifactory.${type}+json`;
  return { status: 200, pieces, headers: { 'Content-Type': mediaType, 'Cache-Control': 'no-store' } };
}
