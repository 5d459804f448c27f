/** Tags, referrers and the catalogue of upstream registries (distribution-spec, "Content Discovery"). */

import type { IncomingHttpHeaders } from 'node:http';
import { AppError } from '../../core/errors.ts';
import { type Digest, joinPath, parseDigest, parseSha256, type RepoPath } from '../../core/ids.ts';
import type { DocumentFetch, ListedVersion, ListingFetch, RemoteFacts } from '../../core/remote.ts';
import type { PropertyValue } from '../../core/repository.ts';
import type { Ask } from '../../core/upstream.ts';
import { byBytes } from '../../lib/by-bytes.ts';
import { parseJson } from '../../lib/json.ts';
import { DOCKER_LIST, OCI_INDEX, parseMediaType } from './media-types.ts';
import { isName, isTag } from './names.ts';
import { askOf, imagePrefix, UNKNOWN } from './upstream-names.ts';
import type { VersionMetadata } from './version.ts';

/** No registry refuses so many; some give fewer. */
const PAGE = 1000;
const MAX_PAGES = 100;
const MAX_REFERRER_PAGES = 20;
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_DEPTH = 32;
/** Signatures are looked for right after they are pushed. */
const REFERRERS_MISS_SECONDS = 60;
/** Registries without a catalogue say it in all these ways. */
const NO_SUCH_API = [400, 401, 403, 405, 501];

export function tagsListing(name: string, remote: RemoteFacts): ListingFetch<string> | undefined {
  if (!isName(name)) return undefined;
  return {
    fetch: {
      key: `tags:${name}`,
      path: placeOf(name, 'tags.json'),
      package: name,
      ask: { ...askOf(remote, name, 'tags/list'), query: { n: String(PAGE) } },
      maxBytes: MAX_BYTES,
      mediaType: 'application/json',
      missing: UNKNOWN,
      pages: pagesOf(askOf(remote, name, 'tags/list'), MAX_PAGES, 'tags'),
    },
    parse: (bytes) => sorted(textsOf(readObject(bytes), 'tags').filter(isTag)),
  };
}

export function catalogListing(remote: RemoteFacts): ListingFetch<string> {
  const ask: Ask = { path: 'v2/_catalog', scope: 'registry:catalog:*' };
  const prefix = imagePrefix(remote.url);
  return {
    fetch: {
      key: 'catalog',
      path: placeOf('', 'catalog.json'),
      ask: { ...ask, query: { n: String(PAGE) } },
      maxBytes: MAX_BYTES,
      mediaType: 'application/json',
      missing: NO_SUCH_API,
      pages: pagesOf(ask, MAX_PAGES, 'repositories'),
    },
    parse(bytes) {
      const names = textsOf(readObject(bytes), 'repositories').filter((name) => name.startsWith(prefix));
      return sorted(names.map((name) => name.slice(prefix.length)).filter(isName));
    },
  };
}

/** What refers to a manifest; from registries that do not tell, what clients of old keep under a tag. */
export function referrersListing(
  name: string,
  property: PropertyValue,
  remote: RemoteFacts,
): ListingFetch<ListedVersion> | undefined {
  const subject = property.key === 'oci.subject' ? parseDigest(property.value) : undefined;
  if (!subject || !isName(name)) return undefined;
  const digest = `${subject.algorithm}:${subject.hex}`;
  const ask = askOf(remote, name, `referrers/${digest}`);
  const common = {
    package: name,
    maxBytes: MAX_BYTES,
    mediaType: OCI_INDEX,
    missSeconds: REFERRERS_MISS_SECONDS,
  };
  return {
    fetch: {
      ...common,
      key: `referrers:${name}@${digest}`,
      path: placeOf(name, `referrers-${subject.algorithm}-${subject.hex}.json`),
      ask: { ...ask, headers: { Accept: OCI_INDEX } },
      missing: NO_SUCH_API,
      pages: pagesOf(ask, MAX_REFERRER_PAGES, 'manifests'),
      otherwise: {
        ...common,
        key: `referrers-tag:${name}@${digest}`,
        path: placeOf(name, `referrers-tag-${subject.algorithm}-${subject.hex}.json`),
        ask: {
          ...askOf(remote, name, `manifests/${fallbackTag(subject)}`),
          headers: { Accept: `${OCI_INDEX}, ${DOCKER_LIST}` },
        },
        missing: UNKNOWN,
      },
    },
    parse: (bytes) => listOf(readObject(bytes), 'manifests').flatMap((entry) => referrerOf(entry, digest)),
  };
}

/** The tag under which clients keep an index of referrers where there is no API (distribution-spec, "Referrers Tag Schema"). */
function fallbackTag({ algorithm, hex }: Digest): string {
  return `${algorithm}-${hex.slice(0, 64)}`;
}

/** No tag and no image begins with a dot. */
function placeOf(name: string, file: string): RepoPath {
  return joinPath(name, '.upstream', file);
}

/** Pages by their links. A link gives the query of the next request and nothing else: the path is the same one. */
function pagesOf(ask: Ask, max: number, field: string): NonNullable<DocumentFetch['pages']> {
  return {
    max,
    next(headers) {
      const query = nextQuery(headers);
      return query && { ...ask, query };
    },
    join(pages) {
      const [first = {}, ...rest] = pages.map(readObject);
      const items = [first, ...rest].flatMap((page) => listOf(page, field));
      return Buffer.from(JSON.stringify({ ...first, [field]: items }));
    },
  };
}

function nextQuery(headers: IncomingHttpHeaders): Readonly<Record<string, string>> | undefined {
  const link = String(headers['link'] ?? '');
  const target = /<([^<>]{1,4096})>\s*;[^<]*\brel="?next"?/i.exec(link)?.[1];
  const url = target === undefined ? null : URL.parse(target, 'http://upstream.invalid/');
  if (!url || url.searchParams.size === 0) return undefined;
  return Object.fromEntries(url.searchParams);
}

type Json = Readonly<Record<string, unknown>>;

function readObject(bytes: Buffer): Json {
  const result = parseJson(bytes, { maxDepth: MAX_DEPTH });
  const value = 'value' in result ? result.value : undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AppError('invalid', 'The upstream registry answered with something that is no list.');
  }
  return value as Json;
}

/** Some registries say `null` where they have none. */
function listOf(document: Json, field: string): readonly unknown[] {
  const list = document[field] ?? [];
  if (!Array.isArray(list)) throw new AppError('invalid', `The upstream registry's "${field}" are no list.`);
  return list;
}

function textsOf(document: Json, field: string): string[] {
  return listOf(document, field).filter((item) => typeof item === 'string');
}

/** Without doubles, byte by byte. */
function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort(byBytes);
}

/** Nothing for an entry that cannot be a manifest of ours. */
function referrerOf(entry: unknown, subject: string): ListedVersion[] {
  if (typeof entry !== 'object' || entry === null) return [];
  const { mediaType, digest, size, artifactType, annotations } = entry as Json;
  const type = typeof mediaType === 'string' ? parseMediaType(mediaType) : undefined;
  const parsed = typeof digest === 'string' ? parseDigest(digest) : undefined;
  if (type === undefined || parsed?.algorithm !== 'sha256') return [];
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return [];
  const metadata: VersionMetadata = {
    sizeBytes: size,
    subject,
    ...(typeof artifactType === 'string' && { artifactType }),
    ...(isTexts(annotations) && { annotations }),
  };
  return [{ version: `sha256:${parsed.hex}`, sha256: parseSha256(parsed.hex), size, mediaType: type, metadata }];
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((each) => typeof each === 'string');
}
