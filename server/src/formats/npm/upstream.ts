/** What upstream registries are asked for, and how their documents read. */
import { createHash } from 'node:crypto';
import type { DocumentKind } from '../../core/document.ts';
import { AppError } from '../../core/errors.ts';
import type { Digest, RepoPath } from '../../core/ids.ts';
import type { DocumentFetch, Fetch, RemoteFacts, RemoteRules } from '../../core/remote.ts';
import type { Wanted } from '../../core/repository.ts';
import type { Ask } from '../../core/upstream.ts';
import { attestationsPath, packumentPath, readTarballPath, tarballPath } from './names.ts';
import type { Packument } from './packument.ts';
import { recordOf } from './release.ts';

const MAX_PACKUMENT = 256 * 1024 * 1024;
const MAX_SMALL = 4 * 1024 * 1024;
const JSON_TYPE = 'application/json';
/** How long a search that found nothing is not asked again. */
const SEARCH_MISS_SECONDS = 60;

type Json = Readonly<Record<string, unknown>>;

export const REMOTE: RemoteRules = { fetch: fetchOf };

/** Tarballs and attestations never change once they are there. */
function fetchOf(wanted: Wanted, remote: RemoteFacts): Fetch | undefined {
  const path = pathOf(wanted);
  if (path === undefined || path === '' || path.startsWith('.npm/')) return undefined;
  const attested = /^(.+)\.sigstore$/.exec(path)?.[1];
  const release = readTarballPath(attested === undefined ? path : `${attested}.tgz`);
  const common = { key: path, path, ...(release && { package: release.name }) };
  if (attested !== undefined) {
    if (!release || path !== attestationsPath(release.name, release.version)) return undefined;
    const ask = askFor(remote, `-/npm/v1/attestations/`, `${release.name}@${release.version}`);
    return { ...common, ask, mutable: false, mediaType: JSON_TYPE };
  }
  const isTarball = path.endsWith('.tgz');
  if (!isTarball) return { ...common, ask: { path }, mutable: true };
  const plain = { ...common, ask: { path }, mutable: false, mediaType: 'application/octet-stream' };
  if (!release) return plain;
  const find = (doc: unknown) => said(doc as Packument, path);
  // Registries have their tarballs where the document of the package says, and it says what they must be.
  return { ...plain, listed: { document: 'packument', name: release.name, optional: true, find } };
}

function pathOf(wanted: Wanted): RepoPath | undefined {
  if ('path' in wanted) return wanted.path;
  return 'version' in wanted ? tarballPath(wanted.package, wanted.version) : undefined;
}

/** What a packument says of the tarball at a path. */
function said(doc: Packument, path: RepoPath): { readonly digest?: Digest; readonly link?: URL } | undefined {
  for (const release of doc.releases.values()) {
    if (release.path !== path) continue;
    const link = release.link === undefined ? null : URL.parse(release.link);
    const digest = digestOf(release.integrity);
    return { ...(digest && { digest }), ...(link && { link }) };
  }
  return undefined;
}

function digestOf(integrity: string | undefined): Digest | undefined {
  for (const item of integrity?.split(/\s+/) ?? []) {
    const [, algorithm, base64 = ''] = /^(sha512|sha256)-([A-Za-z0-9+/]+={0,2})(?:\?.*)?$/.exec(item) ?? [];
    const hex = Buffer.from(base64, 'base64').toString('hex');
    if (algorithm === 'sha512' && hex.length === 128) return { algorithm, hex };
    if (algorithm === 'sha256' && hex.length === 64) return { algorithm, hex };
  }
  return undefined;
}

/** Registries take a scoped name with its slash encoded, and not all of them otherwise. */
function askFor({ url }: RemoteFacts, folder: string, name: string): Ask {
  const path = folder + name;
  if (!name.includes('/')) return { path, headers: { Accept: JSON_TYPE } };
  const link = new URL(url);
  link.pathname = `${url.pathname.replace(/\/+$/, '')}/${folder}${encodeURIComponent(name).replace('%40', '@').replace('%2F', '%2f').replaceAll('%40', '@')}`;
  return { path, link, headers: { Accept: JSON_TYPE } };
}

/** The full document, of which the abbreviated one is made: only it has times. */
export function packumentFetch(name: string, remote: RemoteFacts): DocumentFetch {
  return {
    key: `packument ${name}`,
    path: packumentPath(name),
    package: name,
    ask: askFor(remote, '', name),
    maxBytes: MAX_PACKUMENT,
    mediaType: JSON_TYPE,
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, 1024) : undefined;
}

function parseObject(bytes: Buffer, what: string): Json {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  } catch {
    // What it is instead helps nobody.
  }
  throw new AppError('invalid', `The ${what} is not a JSON object.`);
}

export interface Keys {
  readonly keys: readonly unknown[];
}

/** Keys are named only where everything is signed: clients refuse what they find unsigned beside them. */
export const KEYS: DocumentKind<Keys> = {
  package: () => undefined,
  path: () => '.npm/-/keys.json' as RepoPath,
  // What is published here carries no signature of a registry.
  build: async () => ({ keys: [] }),
  fetch: () => ({
    key: 'keys',
    path: '.npm/-/keys.json' as RepoPath,
    ask: { path: '-/npm/v1/keys', headers: { Accept: JSON_TYPE } },
    maxBytes: MAX_SMALL,
    mediaType: JSON_TYPE,
    missing: [400],
  }),
  parse(bytes) {
    const { keys } = parseObject(bytes, 'list of keys');
    return { keys: Array.isArray(keys) ? keys : [] };
  },
  merge(docs) {
    const all = docs.flatMap(({ keys }) => keys);
    return { keys: docs.every(({ keys }) => keys.length > 0) ? all : [] };
  },
  render: (doc) => ({ bytes: Buffer.from(JSON.stringify(doc)), mediaType: JSON_TYPE }),
  filter: (doc) => doc,
};

export interface SearchResults {
  readonly found: readonly { readonly name: string; readonly entry: unknown }[];
}

/** What an upstream finds; the name of the document is the query. What is here is searched where it is asked for. */
export const SEARCH: DocumentKind<SearchResults> = {
  package: () => undefined,
  path: searchPath,
  build: async () => undefined,
  fetch: (name) => ({
    key: `search ${name}`,
    path: searchPath(name),
    ask: { path: '-/v1/search', query: Object.fromEntries(new URLSearchParams(name)), headers: { Accept: JSON_TYPE } },
    maxBytes: MAX_SMALL,
    mediaType: JSON_TYPE,
    missing: [400, 405, 501],
    missSeconds: SEARCH_MISS_SECONDS,
  }),
  parse(bytes) {
    const { objects } = parseObject(bytes, 'answer of a search');
    const entries = Array.isArray(objects) ? (objects as unknown[]) : [];
    const found = entries.flatMap((entry) => {
      const name = textOf(recordOf(recordOf(entry)['package'])['name']);
      return name === undefined ? [] : [{ name, entry }];
    });
    return { found };
  },
  merge(docs) {
    const found = new Map(docs.toReversed().flatMap((doc) => doc.found.map((one) => [one.name, one] as const)));
    return { found: [...found.values()] };
  },
  render: (doc) => ({ bytes: Buffer.from(JSON.stringify(doc)), mediaType: JSON_TYPE }),
  filter: (doc) => doc,
};

function searchPath(name: string): RepoPath {
  return `.npm/-/search/${createHash('sha256').update(name).digest('hex')}.json` as RepoPath;
}
