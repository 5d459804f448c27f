/** Tags, the catalogue and referrers (distribution-spec, "Content Discovery"). */

import { AppError } from '../../core/errors.ts';
import { clip, type RepoPath, renderDigest } from '../../core/ids.ts';
import type { Links, ProtocolContext, ProtocolRequest, Reply, ServiceContext } from '../../core/protocol.ts';
import type { PackageVersion, Repository } from '../../core/repository.ts';
import { ociError } from './errors.ts';
import { addressOf } from './links.ts';
import { OCI_INDEX } from './media-types.ts';
import { parseName, requireDigest } from './names.ts';
import { metadataOf } from './version.ts';

/** Many clients follow no links, so a page without a wish is large. */
const DEFAULT_TAGS = 10_000;
const MAX_TAGS = 10_000;
const DEFAULT_CATALOG = 100;
const MAX_CATALOG = 1000;
const MAX_REFERRERS = 1000;
const MAX_REFERRERS_BYTES = 4_000_000;
const MAX_LAST = 1024;

/** Manifests without a tag are versions too, called by their digest; no tag lies between these two. */
const DIGESTS_FROM = 'sha256:';
const DIGESTS_TO = 'sha256;';

export async function listTags(request: ProtocolRequest, { repo, links }: ProtocolContext): Promise<Reply> {
  const name = parseName(request.params['name'] ?? '', false);
  const limit = Math.min(pageSize(request.query, DEFAULT_TAGS), MAX_TAGS);
  const last = lastOf(request.query);
  const tags = await tagsAfter(repo, name, last, Math.max(limit, 1) + 1);
  if (tags.length === 0 && !(await isImage(repo, name))) {
    throw ociError('NAME_UNKNOWN', `There is no image "${name}" in the repository "${repo.key}".`, {
      detail: { name },
    });
  }
  return page(links, `${name}/tags/list`, tags, limit, (items) => ({
    name: nameAsAsked(links, name),
    tags: items,
  }));
}

/** Whether anything of it is held here, or its upstream knows of a tag. */
async function isImage(repo: Repository, name: string): Promise<boolean> {
  return (await repo.isFolder(name as RepoPath)) || (await repo.versionNames(name, { limit: 1 })).length > 0;
}

/** Clients compare the name with what they asked for, which includes the repository's key where they wrote it. */
function nameAsAsked(links: Links, name: string): string {
  const key = /^\/v2\/(.+)$/.exec(links.mount)?.[1];
  return key === undefined ? name : `${key}/${name}`;
}

async function tagsAfter(repo: Repository, name: string, last: string | undefined, limit: number): Promise<string[]> {
  const tags: string[] = [];
  const take = async (range: { after?: string; before?: string }) => {
    const found = await repo.versionNames(name, { ...range, limit: limit - tags.length });
    tags.push(...found.map(({ version }) => version));
  };
  if (last === undefined || last < DIGESTS_FROM) {
    await take({ before: DIGESTS_FROM, ...(last !== undefined && { after: last }) });
  }
  if (tags.length < limit) await take({ after: last !== undefined && last > DIGESTS_TO ? last : DIGESTS_TO });
  return tags;
}

/** The catalogue of one repository: what the caller may read, since no token names all the images that has. */
export async function listImages(request: ProtocolRequest, context: ProtocolContext): Promise<Reply> {
  const { links } = context;
  const repo = (await context.repositoriesOfCaller()).find(({ key }) => key === context.repo.key) ?? context.repo;
  const limit = catalogSize(request.query);
  const last = lastOf(request.query);
  const names =
    limit === 0 ? [] : await repo.packages({ limit: limit + 1, ...(last !== undefined && { after: last }) });
  return page(links, '_catalog', names, limit, (repositories) => ({ repositories }));
}

/** The catalogue of all repositories, each name with its repository's key before it. */
export async function listAllImages(request: ProtocolRequest, context: ServiceContext): Promise<Reply> {
  const limit = catalogSize(request.query);
  const last = lastOf(request.query);
  const names: string[] = [];
  const visible = await context.repositories();
  if (visible.length === 0 && !context.authenticated)
    throw new AppError('unauthenticated', 'Authentication is required.');
  const repositories = [...visible].sort((a, b) => (`${a.key}/` < `${b.key}/` ? -1 : 1));
  for (const repo of repositories) {
    if (names.length > limit || limit === 0) break;
    const prefix = `${repo.key}/`;
    if (last !== undefined && last >= `${repo.key}0`) continue;
    const after = last?.startsWith(prefix) ? last.slice(prefix.length) : undefined;
    const found = await repo.packages({ limit: limit + 1 - names.length, ...(after !== undefined && { after }) });
    names.push(...found.map((name) => prefix + name));
  }
  return page(context.links, '_catalog', names, limit, (items) => ({ repositories: items }));
}

function catalogSize(query: URLSearchParams): number {
  const size = pageSize(query, DEFAULT_CATALOG);
  if (size > MAX_CATALOG) throw badPageSize(String(size), `between 0 and ${MAX_CATALOG}`);
  return size;
}

function pageSize(query: URLSearchParams, fallback: number): number {
  const text = query.get('n');
  if (text === null) return fallback;
  if (!/^\d{1,30}$/.test(text)) throw badPageSize(text, 'a whole number that is not negative');
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER);
}

function badPageSize(text: string, wanted: string) {
  return ociError('PAGINATION_NUMBER_INVALID', `The page size "n=${clip(text, 40)}" must be ${wanted}.`);
}

function lastOf(query: URLSearchParams): string | undefined {
  const last = query.get('last');
  if (last !== null && last.length > MAX_LAST) {
    throw ociError('PAGINATION_NUMBER_INVALID', `The parameter "last" is longer than ${MAX_LAST} characters.`);
  }
  return last?.replaceAll('\u0000', '') || undefined;
}

/** One page; `items` holds one more than the page if there is more, and then the answer links to it. */
function page(
  links: Links,
  path: string,
  items: readonly string[],
  limit: number,
  body: (items: readonly string[]) => unknown,
): Reply {
  const shown = items.slice(0, limit);
  const last = shown.at(-1);
  const more = items.length > limit && last !== undefined;
  return {
    status: 200,
    json: body(shown),
    headers: more ? { Link: `<${addressOf(links, path, { last, n: String(limit) })}>; rel="next"` } : {},
  };
}

interface ReferrersQuery {
  readonly subject: string;
  readonly artifactType: string | undefined;
  readonly after: number | undefined;
}

/** A number that a page of ours ended with; anything else is no place to go on from. */
function cursorOf(query: URLSearchParams): number | undefined {
  const text = query.get('after') ?? '';
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Always 200, also for a subject or an image nobody knows: a 404 makes clients believe that the API is missing. */
export async function listReferrers(request: ProtocolRequest, { repo, links }: ProtocolContext): Promise<Reply> {
  const name = parseName(request.params['name'] ?? '', false);
  const query: ReferrersQuery = {
    subject: renderDigest(requireDigest(request.params['digest'] ?? '')),
    artifactType: rawParameter(request.rawQuery, 'artifactType'),
    after: cursorOf(request.query),
  };
  const { manifests, next } = await referrers(repo, name, query);
  const more = {
    after: String(next),
    ...(query.artifactType !== undefined && { artifactType: query.artifactType }),
  };
  return {
    status: 200,
    json: { schemaVersion: 2, mediaType: OCI_INDEX, manifests },
    headers: {
      'Content-Type': OCI_INDEX,
      ...(query.artifactType !== undefined && { 'OCI-Filters-Applied': 'artifactType' }),
      ...(next !== undefined && {
        Link: `<${addressOf(links, `${name}/referrers/${query.subject}`, more)}>; rel="next"`,
      }),
    },
  };
}

/** In the order of creation; the newest is the last, as signature tools expect. */
async function referrers(
  repo: Repository,
  name: string,
  { subject, artifactType, after }: ReferrersQuery,
): Promise<{ manifests: unknown[]; next: number | undefined }> {
  const manifests: unknown[] = [];
  const seen = new Set<string>();
  let bytes = 0;
  let cursor = after;
  for (;;) {
    const found = await repo.versionsWith(
      name,
      { key: 'oci.subject', value: subject },
      { limit: MAX_REFERRERS, ...(cursor !== undefined && { after: cursor }) },
    );
    for (const version of found) {
      const entry = referrer(version);
      const size = JSON.stringify(entry).length;
      if (manifests.length > 0 && (manifests.length === MAX_REFERRERS || bytes + size > MAX_REFERRERS_BYTES)) {
        return { manifests, next: cursor };
      }
      cursor = version.sequence;
      // One manifest may carry several tags.
      if (seen.has(version.sha256) || (artifactType !== undefined && entry.artifactType !== artifactType)) continue;
      seen.add(version.sha256);
      manifests.push(entry);
      bytes += size;
    }
    if (found.length < MAX_REFERRERS) return { manifests, next: undefined };
  }
}

function referrer(version: PackageVersion) {
  const { artifactType, annotations } = metadataOf(version);
  return {
    mediaType: version.mediaType,
    digest: `sha256:${version.sha256}`,
    size: version.size,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  };
}

/** A parameter in which a plus is a plus: media types hold them, and not every client encodes them. */
function rawParameter(rawQuery: string, name: string): string | undefined {
  for (const pair of rawQuery.split('&')) {
    if (!pair.startsWith(`${name}=`)) continue;
    try {
      return decodeURIComponent(pair.slice(name.length + 1)) || undefined;
    } catch {
      return undefined;
    }
  }
  return undefined;
}
