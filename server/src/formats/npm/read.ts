/** Packuments, single versions and tarballs. */
import { AppError } from '../../core/errors.ts';
import { clip, parseRepoPath, type RepoPath } from '../../core/ids.ts';
import type { Links, PlainReply, ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import { type RenderedDocuments, renderedReply } from '../../core/rendered.ts';
import type { Arriving, Asset, Repository } from '../../core/repository.ts';
import { unknownPackage, unknownVersion } from './errors.ts';
import { isName, otherSpelling, parseName, readTarballPath } from './names.ts';
import { type Packument, tagsOf } from './packument.ts';
import { renderPackument, renderRelease, type Style } from './render.ts';

const SHORT = 'application/vnd.npm.install-v1+json';
const FOREVER = 'max-age=31536000, immutable';
const SECONDS = 300;

/** The address of the repository, to which the addresses in its documents belong. */
export function baseOf(links: Links): string {
  return links.origin + links.mount.replace(/\/-$/, '');
}

/** Documents as they were rendered, for all repositories. */
export type Packuments = RenderedDocuments;

/** Answers for whatever stands behind the repository's address: a package, one of its versions, or a tarball. */
export async function getAnything(
  asked: string,
  request: ProtocolRequest,
  context: ProtocolContext,
  packuments: Packuments,
): Promise<Reply> {
  const path = asked.replace(/^(@[^/%]+)%2F/i, '$1/');
  const [, name = '', selector] = /^((?:@[^/]+\/)?[^/]+)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (path.endsWith('.tgz')) {
    const found = await serveTarball(context.repo, parseRepoPath(path), request.method);
    if (found) return tarballReply(found, context);
    if (name === '' || !isName(name)) throw noFile(path);
  }
  if (path.endsWith('.sigstore')) return getFile(parseRepoPath(path), context);
  if (name === '') throw noFile(path);
  if (selector !== undefined) return getVersion(parseName(name), selector, context);
  return getPackument(parseName(name), request, context, packuments);
}

function noFile(path: string): AppError {
  return new AppError('not_found', `There is no package or tarball "${clip(path, 300)}" here.`);
}

async function getPackument(
  name: string,
  request: ProtocolRequest,
  { repo, links, authenticated }: ProtocolContext,
  packuments: Packuments,
): Promise<Reply> {
  const held = await repo.document('packument', name);
  if (!held) throw unknownPackage(name);
  const isForWriting = request.query.get('write') === 'true';
  const style: Style = !isForWriting && wantsShort(request.headers.accept) ? 'short' : 'full';
  const base = baseOf(links);
  const rendered = await packuments.of<Packument>(held, `${name}\n${style}\n${base}`, (doc, previous) =>
    renderPackument(doc, { style, base, previous }),
  );
  const isBrief = isForWriting || held.partial;
  const cacheControl = isBrief ? 'no-cache' : `${authenticated ? 'private' : 'public'}, max-age=${SECONDS}`;
  return renderedReply(request, rendered, { 'Cache-Control': cacheControl });
}

/** Whether the client prefers the abbreviated form, or takes it as gladly. */
export function wantsShort(accept: string | undefined): boolean {
  if (!accept?.includes(SHORT)) return false;
  const quality = (type: string) => {
    for (const item of accept.split(',')) {
      const [media = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
      if (media !== type) continue;
      const q = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
      return q === undefined ? 1 : Number(q) || 0;
    }
    return 0;
  };
  const short = quality(SHORT);
  return short > 0 && short >= quality('application/json');
}

/** One version, by itself or by a tag that points to it. */
export async function getVersion(
  name: string,
  selector: string,
  { repo, links }: ProtocolContext,
): Promise<PlainReply> {
  const held = await repo.document('packument', name);
  if (!held) throw unknownPackage(name);
  const doc = (await held.read()) as unknown as Packument;
  const tags = tagsOf(doc);
  const version = Object.hasOwn(tags, selector) ? tags[selector] : selector;
  const release = doc.releases.get(version ?? '');
  if (!release) throw unknownVersion(name, clip(selector));
  return {
    status: 200,
    bytes: Buffer.from(renderRelease(name, release, 'full', baseOf(links))),
    headers: { 'Content-Type': 'application/json' },
  };
}

/** The tarball at the path, in either spelling; or wherever the version has it that the path names. */
async function serveTarball(repo: Repository, path: RepoPath, method: string): Promise<Asset | Arriving | undefined> {
  const purpose = method === 'HEAD' ? 'headers' : 'bytes';
  // What is here never changes, so nobody needs to be asked.
  const held = await repo.get(path);
  if (held) return held;
  const read = readTarballPath(path);
  const at = read && (await pathOfVersion(repo, read));
  if (at !== undefined) return repo.serve({ path: at }, purpose);
  const found = await repo.serve({ path }, purpose);
  if (found) return found;
  const other = otherSpelling(path);
  return other && repo.serve({ path: other }, purpose);
}

async function pathOfVersion(
  repo: Repository,
  { name, version }: { readonly name: string; readonly version: string },
): Promise<RepoPath | undefined> {
  const held = await repo.document('packument', name);
  if (!held) return undefined;
  const doc = (await held.read()) as unknown as Packument;
  return doc.releases.get(version)?.path;
}

function tarballReply(asset: Asset | Arriving, { authenticated }: ProtocolContext): Reply {
  return {
    asset,
    mediaType: 'application/octet-stream',
    ranges: true,
    lastModified: true,
    disposition: 'attachment',
    redirectable: true,
    headers: { 'Cache-Control': `${authenticated ? 'private' : 'public'}, ${FOREVER}` },
  };
}

async function getFile(path: RepoPath, { repo }: ProtocolContext): Promise<Reply> {
  const asset = await repo.serve({ path }, 'bytes');
  if (!asset) throw noFile(path);
  return { asset, mediaType: 'application/json', uncounted: true };
}
