/** The simple index of an upstream, as JSON or as a page, read into the one neutral form. */
import { Parser } from 'htmlparser2';
import { AppError } from '../../core/errors.ts';
import { parseRepoPath, type RepoPath } from '../../core/ids.ts';
import { distributionAt, homeOf, normalizeName, parseFilename } from './names.ts';
import { FOLDER, type Project, type ProjectFile, type ProjectList, projectOf } from './project.ts';
import { normalizeVersion, sortVersions } from './versions.ts';

/** A file as an upstream lists it, not yet judged. */
interface Listed {
  readonly filename: string;
  readonly url: string;
  readonly hashes: Readonly<Record<string, string>>;
  readonly size?: number | undefined;
  readonly uploadedAt?: string | undefined;
  readonly requiresPython?: string | undefined;
  readonly yanked?: string | undefined;
  readonly metadata?: string | true | undefined;
  readonly signed?: boolean | undefined;
  readonly provenance?: string | undefined;
}

interface Page {
  readonly files: readonly Listed[];
  readonly versions: readonly string[];
  readonly status: Project['status'];
  /** What links are relative to. */
  readonly base: URL;
}

const MAX_FILES = 200_000;
const MAX_PROJECTS = 5_000_000;
const HASH = /^(md5|sha1|sha224|sha256|sha384|sha512|blake2b_256)$/;
const HEX = /^[0-9a-f]{32,128}$/;
const SHA256 = /^[0-9a-f]{64}$/;

/** Reads the page of a project that lies at `page`. Throws `invalid` for what is none. */
export function parseProject(bytes: Buffer, name: string, page: URL): Project {
  const found = isJson(bytes) ? readJson(bytes, page) : readHtml(bytes, page);
  const files = new Map<string, ProjectFile>();
  const paths = new Set<string>();
  for (const listed of found.files) {
    const file = files.has(listed.filename) ? undefined : fileOf(listed, name, { base: found.base, page, paths });
    if (!file) continue;
    files.set(file.filename, file);
    paths.add(file.path);
  }
  const project = projectOf(name, [...files.values()]) ?? { name, files: [], versions: [] };
  const versions = found.versions.flatMap((version) => normalizeVersion(version) ?? []);
  return {
    ...project,
    versions: sortVersions([...project.versions, ...versions]),
    ...(found.status && { status: found.status }),
  };
}

/** Reads the list of all projects. Throws `invalid` for what is none. */
export function parseProjectList(bytes: Buffer): ProjectList {
  const names = new Set<string>();
  const add = (text: unknown) => {
    const name = typeof text === 'string' ? normalizeName(text.trim()) : undefined;
    if (name !== undefined) names.add(name);
  };
  if (isJson(bytes)) for (const project of listAt(objectOf(bytes), 'projects')) add(valueAt(project, 'name'));
  else for (const { text } of readAnchors(bytes.toString('utf8'), MAX_PROJECTS).anchors) add(text);
  return { names: [...names].sort() };
}

/** Undefined for what is no file of the project, or leads nowhere that may be asked. */
function fileOf(
  listed: Listed,
  project: string,
  { base, page, paths }: { readonly base: URL; readonly page: URL; readonly paths: ReadonlySet<string> },
): ProjectFile | undefined {
  const link = URL.parse(listed.url, base);
  if (!link || !/^https?:$/.test(link.protocol)) return undefined;
  const hashes = hashesOf({ ...fragmentOf(link), ...listed.hashes });
  link.hash = '';
  link.username = '';
  link.password = '';
  const { filename } = listed;
  const home = parseFilename(filename) && homeOf({ project, version: '_', filename });
  if (home === undefined) return undefined;
  const name = distributionAt(pathOf(link, page)) ?? distributionAt(home);
  const path = [pathOf(link, page), home].find(
    (each) => !paths.has(each) && each.endsWith(`/${filename}`) && distributionAt(each)?.project === project,
  );
  if (path === undefined || !name) return undefined;
  const attested = listed.provenance ? URL.parse(listed.provenance, page) : null;
  const { size, uploadedAt, requiresPython, yanked, metadata, signed } = listed;
  return {
    filename,
    path,
    version: name.version,
    hashes,
    link: link.href,
    ...(size !== undefined && { size }),
    ...(uploadedAt !== undefined && { uploadedAt }),
    ...(requiresPython !== undefined && { requiresPython }),
    ...(yanked !== undefined && { yanked }),
    ...(metadata !== undefined && { metadata }),
    ...(signed !== undefined && { signed }),
    ...(attested && /^https?:$/.test(attested.protocol) && { attested: true, attestationLink: attested.href }),
  };
}

/** The path of the address: below that of the index where the file lies there, else from the root of its host. */
function pathOf(link: URL, page: URL): RepoPath {
  const root = page.href.replace(/[^/]+\/[^/]+\/[^/]*$/, '');
  const below = link.href.startsWith(root) ? link.href.slice(root.length) : link.pathname.slice(1);
  try {
    const path = parseRepoPath(decodeURIComponent(below.replace(/[?#].*$/s, '')));
    return path.startsWith(`${FOLDER}/`) ? ('' as RepoPath) : path;
  } catch {
    return '' as RepoPath;
  }
}

function fragmentOf(link: URL): Record<string, string> {
  const [, algorithm, hex] = /^#([a-z0-9_]+)=([0-9a-f]+)/i.exec(link.hash) ?? [];
  return algorithm === undefined || hex === undefined ? {} : { [algorithm.toLowerCase()]: hex };
}

function hashesOf(given: Readonly<Record<string, unknown>>): Record<string, string> {
  const entries = Object.entries(given).flatMap(([name, hex]) => {
    const lower = typeof hex === 'string' ? hex.toLowerCase() : '';
    return HASH.test(name) && HEX.test(lower) ? [[name, lower] as const] : [];
  });
  return Object.fromEntries(entries);
}

function isJson(bytes: Buffer): boolean {
  return /^\s*\{/.test(bytes.toString('latin1', 0, 64));
}

function readJson(bytes: Buffer, page: URL): Page {
  const body = objectOf(bytes);
  const files = listAt(body, 'files').flatMap((file) => listedOf(file) ?? []);
  const status = valueAt(body, 'project-status');
  return {
    files,
    versions: versionsIn(body),
    status: statusOf(valueAt(status, 'status'), valueAt(status, 'reason')),
    base: page,
  };
}

/** The first version of the interface has no such list. */
function versionsIn(body: unknown): readonly string[] {
  const versions = valueAt(body, 'versions');
  return Array.isArray(versions) ? versions.filter((version) => typeof version === 'string') : [];
}

function listedOf(file: unknown): Listed | undefined {
  const [filename, url, hashes] = ['filename', 'url', 'hashes'].map((name) => valueAt(file, name));
  if (typeof filename !== 'string' || typeof url !== 'string') return undefined;
  const size = valueAt(file, 'size');
  const signed = valueAt(file, 'gpg-sig');
  const yanked = valueAt(file, 'yanked');
  const uploadedAt = valueAt(file, 'upload-time');
  const known = ['core-metadata', 'dist-info-metadata', 'data-dist-info-metadata'];
  const metadata = known.map((name) => valueAt(file, name)).find((value) => value !== undefined);
  const text = (name: string) => {
    const value = valueAt(file, name);
    return typeof value === 'string' ? value : undefined;
  };
  return {
    filename,
    url,
    hashes: typeof hashes === 'object' && hashes !== null ? (hashes as Record<string, string>) : {},
    size: typeof size === 'number' && size >= 0 ? size : undefined,
    uploadedAt: typeof uploadedAt === 'string' && !Number.isNaN(Date.parse(uploadedAt)) ? uploadedAt : undefined,
    requiresPython: text('requires-python'),
    yanked: typeof yanked === 'string' ? yanked : yanked === true ? '' : undefined,
    metadata: metadataOf(metadata),
    signed: typeof signed === 'boolean' ? signed : undefined,
    provenance: text('provenance'),
  };
}

function metadataOf(value: unknown): Listed['metadata'] {
  const sha256 = valueAt(value, 'sha256');
  if (typeof sha256 === 'string' && SHA256.test(sha256)) return sha256;
  return value === true || (typeof value === 'object' && value !== null) ? true : undefined;
}

function readHtml(bytes: Buffer, page: URL): Page {
  const { anchors, metas, base } = readAnchors(bytes.toString('utf8'), MAX_FILES);
  const files = anchors.flatMap(({ attributes }) => listedAt(attributes, page) ?? []);
  const status = statusOf(metas.get('pypi:project-status'), metas.get('pypi:project-status-reason'));
  return { files, versions: [], status, base: (base === undefined ? undefined : URL.parse(base, page)) ?? page };
}

function listedAt(attributes: Readonly<Record<string, string>>, page: URL): Listed | undefined {
  const { href } = attributes;
  const link = href === undefined ? undefined : URL.parse(href, page);
  if (href === undefined || !link) return undefined;
  const core = attributes['data-core-metadata'] ?? attributes['data-dist-info-metadata'];
  const signed = attributes['data-gpg-sig'];
  return {
    filename: lastSegment(link),
    url: href,
    hashes: {},
    requiresPython: attributes['data-requires-python'],
    yanked: attributes['data-yanked'],
    metadata:
      core === undefined ? undefined : SHA256.test(core.slice(7)) && core.startsWith('sha256=') ? core.slice(7) : true,
    signed: signed === undefined ? undefined : signed === 'true',
    provenance: attributes['data-provenance'],
  };
}

function lastSegment(link: URL): string {
  try {
    return decodeURIComponent(link.pathname.slice(link.pathname.lastIndexOf('/') + 1));
  } catch {
    return '';
  }
}

interface Anchor {
  readonly attributes: Readonly<Record<string, string>>;
  text: string;
}

function readAnchors(
  html: string,
  most: number,
): {
  readonly anchors: readonly Anchor[];
  readonly metas: ReadonlyMap<string, string>;
  readonly base: string | undefined;
} {
  const anchors: Anchor[] = [];
  const metas = new Map<string, string>();
  let base: string | undefined;
  let open: Anchor | undefined;
  let isPage = false;
  const parser = new Parser({
    onopentag(name, attributes) {
      isPage ||= name === 'html' || name === 'a' || name === 'body';
      if (name === 'base') base ??= attributes['href'];
      if (name === 'meta' && attributes['name'] !== undefined)
        metas.set(attributes['name'], attributes['content'] ?? '');
      if (name !== 'a') return;
      if (anchors.length >= most) throw new AppError('invalid', `The index has more than ${most} links.`);
      open = { attributes, text: '' };
      anchors.push(open);
    },
    ontext(text) {
      if (open && open.text.length < 300) open.text += text;
    },
    onclosetag(name) {
      if (name === 'a') open = undefined;
    },
  });
  parser.end(html);
  if (!isPage) throw new AppError('invalid', 'What it gave for an index is neither JSON nor a page.');
  return { anchors, metas, base };
}

function statusOf(status: unknown, reason: unknown): Project['status'] {
  if (typeof status !== 'string' || status === '') return undefined;
  return { status, ...(typeof reason === 'string' && reason !== '' && { reason }) };
}

function objectOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    throw new AppError('invalid', 'What it gave for an index is no JSON.');
  }
}

function listAt(value: unknown, name: string): readonly unknown[] {
  const list = valueAt(value, name);
  if (!Array.isArray(list)) throw new AppError('invalid', `What it gave for an index has no list "${name}".`);
  return list as readonly unknown[];
}

function valueAt(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
