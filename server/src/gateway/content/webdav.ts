/** The part of WebDAV (RFC 4918) that clients of repositories use: what is there, and making folders. */
import { readAll } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import { clip, encodePath, joinPath, type RepoPath } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import type { Asset, Descendant, Folder } from '../../core/repository.ts';
import { escapeXml } from '../../lib/xml-text.ts';
import type { ContentRequest } from './content-request.ts';
import { requireTaken } from './deploy-rules.ts';
import { mediaTypeOf } from './media-types.ts';

export const METHODS = 'GET, HEAD, PUT, DELETE, OPTIONS, PROPFIND, MKCOL, COPY, MOVE';

const PAGE = 500;
const MAX_BODY_BYTES = 64 * 1024;

/** What can be done with any address of this plane, whoever asks. */
export function options(): Reply {
  return { status: 200, headers: { Allow: METHODS, DAV: '1', 'MS-Author-Via': 'DAV' } };
}

/** Answers a PROPFIND with what is at the path and, at depth 1, directly in it. */
export async function propfind(request: ContentRequest): Promise<Reply> {
  const { repo, plain, exchange } = request;
  const depth = exchange.request.headers['depth'];
  if (depth !== '0' && depth !== '1') {
    throw new AppError('forbidden', 'PROPFIND is answered for "Depth: 0" and "Depth: 1" only.');
  }
  await requireHarmlessBody(request);
  const asset = plain.folder ? undefined : await repo.get(plain.path);
  const folder = asset ? undefined : await repo.folder(plain.path);
  if (!asset && !folder)
    throw new AppError('not_found', `File not found.; Path: '${repo.key}:${clip(plain.path, 300)}'`);
  const pieces = multistatus(request, { asset, folder, depth });
  return { status: 207, pieces, headers: { 'Content-Type': 'application/xml; charset=utf-8' } };
}

/** Makes a folder where nothing is. */
export async function makeCollection(request: ContentRequest): Promise<Reply> {
  const { repo, plain, exchange } = request;
  const { path } = plain;
  if (path !== '') {
    repo.require('deploy', path);
    requireTaken(request, path);
    const body = await readAll(exchange.body(), { limit: MAX_BODY_BYTES, what: 'body' });
    if (body.length > 0) {
      throw new AppError('invalid', 'A folder is made without a body: what this one says is not known.', {
        status: 415,
      });
    }
  }
  const isNew =
    path !== '' &&
    (await repo.change(path, async (tree) => {
      if (await tree.get(path)) return false;
      await tree.makeFolder(path);
      return true;
    }));
  if (isNew) return { status: 201 };
  throw new AppError('not_supported', `There is something at "${clip(joinPath(repo.key, path), 300)}" already.`, {
    headers: { Allow: METHODS },
  });
}

/** What a client asks for is not looked at: it is told all. But nothing that a parser would have to expand is taken. */
async function requireHarmlessBody({ exchange }: ContentRequest): Promise<void> {
  const text = (await readAll(exchange.body(), { limit: MAX_BODY_BYTES, what: 'body' })).toString('utf8').trim();
  if (text === '') return;
  if (!text.startsWith('<')) throw new AppError('invalid', 'The body of a PROPFIND must be XML.');
  if (/<!(DOCTYPE|ENTITY)/i.test(text)) {
    throw new AppError('invalid', 'The XML of a request must not have a document type.');
  }
}

async function* multistatus(
  { repo }: ContentRequest,
  { asset, folder, depth }: { asset: Asset | undefined; folder: Folder | undefined; depth: string },
): AsyncGenerator<string> {
  yield '<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">\n';
  if (asset) {
    const { sha1 } = await asset.checksums();
    yield fileResponse(repo.key, { ...asset, sha1 });
  }
  if (folder) {
    yield folderResponse(repo.key, folder);
    if (depth === '1') {
      for await (const child of childrenOf(repo, folder.path)) {
        yield child.folder ? folderResponse(repo.key, child) : fileResponse(repo.key, child);
      }
    }
  }
  yield '</D:multistatus>\n';
}

/** Listed by folder, so what lies deeper comes after. */
async function* childrenOf(repo: ContentRequest['repo'], folder: RepoPath): AsyncGenerator<Descendant> {
  const depth = folder === '' ? 1 : folder.split('/').length + 1;
  for (let after: RepoPath | undefined; ; ) {
    const { found, next } = await repo.descendants(folder, { ...(after !== undefined && { after }), limit: PAGE });
    for (const node of found) {
      if (node.path.split('/').length > depth) return;
      yield node;
    }
    if (next === undefined) return;
    after = next;
    await new Promise(setImmediate);
  }
}

function folderResponse(key: string, { path, modifiedAt }: Pick<Folder, 'path' | 'modifiedAt'>): string {
  const name = path === '' ? key : path.slice(path.lastIndexOf('/') + 1);
  return response(`${joinPath(key, path)}/`, name, modifiedAt, '<D:resourcetype><D:collection/></D:resourcetype>');
}

function fileResponse(
  key: string,
  { path, modifiedAt, size, sha1 }: { path: RepoPath; modifiedAt: Date; size: number; sha1: string | undefined },
): string {
  const more = [
    '<D:resourcetype/>',
    `<D:getcontentlength>${size}</D:getcontentlength>`,
    `<D:getcontenttype>${escapeXml(mediaTypeOf(path))}</D:getcontenttype>`,
    sha1 === undefined ? '' : `<D:getetag>"${sha1}"</D:getetag>`,
  ];
  return response(joinPath(key, path), path.slice(path.lastIndexOf('/') + 1), modifiedAt, more.join(''));
}

function response(address: string, name: string, modifiedAt: Date, more: string): string {
  return [
    `<D:response><D:href>/artifactory/${encodePath(address)}</D:href><D:propstat><D:prop>`,
    `<D:displayname>${escapeXml(name)}</D:displayname>`,
    `<D:getlastmodified>${modifiedAt.toUTCString()}</D:getlastmodified>${more}`,
    '</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n',
  ].join('');
}
