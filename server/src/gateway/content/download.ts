/** Reading files, their checksums and their properties, and what stands for a file: folders, latest versions. */
import { atRest } from '../../core/arriving.ts';
import { AppError } from '../../core/errors.ts';
import { clip, encodePath, joinPath, type Properties, type RepoPath } from '../../core/ids.ts';
import type { AssetReply, Reply } from '../../core/protocol.ts';
import type { Arriving, Asset } from '../../core/repository.ts';
import { propertiesXml } from '../../lib/properties-xml.ts';
import { adaptedChecksum, adaptedReply } from './adapted.ts';
import { entryReply } from './archive-entry.ts';
import type { ContentRequest } from './content-request.ts';
import { documentChecksum, documentReply } from './documents.ts';
import { asksForLatest, findLatest } from './latest.ts';
import { folderReply } from './listing.ts';
import { filtersOf, passes } from './matrix.ts';
import { isDeclared, requireUndisputed, sidecarReply } from './sidecars.ts';

/** Answers a GET or a HEAD. */
export async function get(request: ContentRequest): Promise<Reply> {
  const { repo, format, plain, exchange, query, caller } = request;
  const { path } = plain;
  if (query.has('properties') || query.has('propertiesXml')) return propertiesReply(request);
  if (!plain.folder && path !== '') {
    const method = exchange.request.method ?? 'GET';
    const withoutBytes = method === 'HEAD' || request.withoutBytes === true;
    const kind = format?.classify(path);
    if (kind?.kind === 'document') {
      const document = await documentReply(request, kind);
      if (document) return document;
    } else {
      const asset = await find(request, path, withoutBytes ? 'headers' : 'bytes');
      if (asset)
        return (request.withoutBytes ? undefined : await adaptedReply(request, asset)) ?? fileReply(asset, request);
    }
    if (kind?.kind === 'checksum') {
      const of = format?.classify(kind.of);
      const sum = of?.kind === 'document' ? await documentChecksum(request, of, kind.algorithm) : undefined;
      if (sum) return sum;
      const found = await find(request, kind.of, 'bytes');
      const adapted = found && (await adaptedChecksum(request, found, kind.algorithm));
      if (adapted) return adapted;
      const file = found && (await atRest(found));
      if (file && isDeclared(request, file, kind.algorithm))
        return sidecarReply(request, file, kind.algorithm, await fileReply(file, request));
    }
    const entry = path.includes('!/') ? await entryReply(request) : undefined;
    if (entry) return entry;
  }
  const folder = await repo.folder(path);
  const type = query.get('archiveType');
  if (folder && type !== null) {
    const withChecksums = isAsked(query, 'includeChecksumFiles');
    return request.folderArchives.reply(repo, path, { type, withChecksums, authenticated: caller.authenticated });
  }
  if (folder && (path === '' || format?.classify(path).kind !== 'reserved')) return folderReply(request, folder);
  throw notFound(request);
}

export function notFound({ repo, plain }: Pick<ContentRequest, 'repo' | 'plain'>): AppError {
  return new AppError('not_found', `File not found.; Path: '${repo.key}:${clip(plain.path, 300)}'`);
}

/** The bytes of a file with all that verifies them. */
export async function fileReply(asset: Asset | Arriving, { repo, query }: ContentRequest): Promise<AssetReply> {
  const sums = 'arriving' in asset ? { sha256: asset.sha256, ...asset.declared } : await asset.checksums();
  const { sha1, sha256, md5 } = sums;
  return {
    asset,
    ...(sha1 !== undefined && { etag: sha1 }),
    bareEtag: true,
    ranges: true,
    lastModified: true,
    disposition: repo.settings['archiveBrowsingEnabled'] === true ? 'inline' : 'attachment',
    redirectable: true,
    uncounted: isAsked(query, 'skipUpdateStats'),
    headers: {
      ...(sha1 !== undefined && { 'X-Checksum-Sha1': sha1 }),
      ...(sha256 !== undefined && { 'X-Checksum-Sha256': sha256 }),
      ...(md5 !== undefined && { 'X-Checksum-Md5': md5 }),
    },
  };
}

/** The file at the path, or the newest that the path stands for, if its properties are those that are asked for. */
async function find(
  request: ContentRequest,
  path: RepoPath,
  purpose: 'headers' | 'bytes',
): Promise<Asset | Arriving | undefined> {
  const { repo, layout, plain, format } = request;
  const filters = filtersOf(plain.parameters);
  const accept = async (asset: { readonly path: RepoPath }) =>
    filters.length === 0 || passes(await repo.properties(asset.path), filters);
  // Of several members of a virtual repository the first that has a file has not always the newest.
  const isSnapshot = format?.newest !== undefined && asksForLatest(path);
  const newer = isSnapshot && repo.rclass === 'virtual' ? await format?.newest?.(path, repo) : undefined;
  let asset = await repo.serve({ path: newer ?? path }, purpose);
  if (!asset && isSnapshot && newer === undefined) {
    const newest = await format?.newest?.(path, repo);
    asset = newest === undefined || newest === path ? undefined : await repo.serve({ path: newest }, purpose);
  }
  if (!asset) return layout && asksForLatest(path) ? findLatest(repo, layout, path, accept) : undefined;
  if (await accept(asset)) {
    if (!('arriving' in asset)) await requireUndisputed(request, asset);
    return asset;
  }
  throw notFound(request);
}

async function propertiesReply(request: ContentRequest): Promise<Reply> {
  const { repo, plain, query, exchange } = request;
  const { path } = plain;
  if (!(await repo.get(path)) && !(await repo.folder(path))) throw notFound(request);
  const wanted = (query.get('properties') ?? '').split(',').filter((key) => key !== '');
  const entries = Object.entries(await repo.properties(path)).filter(
    ([key]) => wanted.length === 0 || wanted.includes(key),
  );
  if (entries.length === 0) throw new AppError('not_found', 'No properties could be found.');
  const properties: Properties = Object.fromEntries(entries);
  if (query.has('propertiesXml')) {
    return { status: 200, text: propertiesXml(properties), headers: { 'Content-Type': 'application/xml' } };
  }
  const uri = `${exchange.origin}/artifactory/api/storage/${encodePath(joinPath(repo.key, path))}`;
  const headers = { 'Content-Type': 'application/vnd.org.jfrog.artifactory.storage.ItemProperties+json' };
  return { status: 200, json: { properties, uri }, headers };
}

/** Whether a switch of the query is on: by its bare name, or by any value that does not deny it. */
function isAsked(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value !== null && value !== 'false' && value !== '0';
}
