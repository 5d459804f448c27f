/** Names of projects and of the files they consist of. */
import { joinPath, type RepoPath, splitPath } from '../../core/ids.ts';
import { normalizeVersion, parseVersion } from './versions.ts';

const NAME = /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/i;
const MAX_NAME = 200;

/** The name under which all spellings of a project are one (PEP 503); undefined for what can name none. */
export function normalizeName(text: string): string | undefined {
  if (text.length > MAX_NAME || !NAME.test(text)) return undefined;
  return text.toLowerCase().replace(/[-_.]+/g, '-');
}

/** What the name of a file says it is. */
export interface DistributionName {
  readonly filename: string;
  readonly kind: 'wheel' | 'sdist' | 'egg';
  /** Of the project, normalised. */
  readonly project: string;
  /** In the normal form. */
  readonly version: string;
  /** As the name of the file has them: what the folder inside an archive is called. */
  readonly spelled: { readonly project: string; readonly version: string };
  /** What it is for: `py3`, `cp311`, `source`. */
  readonly python: string;
}

const SDIST = /\.(?:tar\.gz|tgz|zip|tar\.bz2|tar\.xz|tar\.z|tar)$/i;
const TAG = /^[a-z0-9_.]+$/i;
const BUILD = /^\d[a-z0-9_.]*$/i;
const FILENAME = /^[a-z0-9][a-z0-9._+!-]*$/i;

/** Undefined for names that no distribution of a project has. */
export function parseFilename(filename: string): DistributionName | undefined {
  if (filename.length > 250 || !FILENAME.test(filename)) return undefined;
  if (/\.whl$/i.test(filename)) return parseWheel(filename);
  if (/\.egg$/i.test(filename)) return parseEgg(filename);
  const ending = SDIST.exec(filename)?.[0];
  return ending === undefined ? undefined : parseSdist(filename, filename.slice(0, -ending.length));
}

/** `{name}-{version}(-{build})?-{python}-{abi}-{platform}.whl` (PEP 427). */
function parseWheel(filename: string): DistributionName | undefined {
  const parts = filename.slice(0, -'.whl'.length).split('-');
  const [name = '', version = ''] = parts;
  const tags = parts.slice(-3);
  if (parts.length !== 5 && parts.length !== 6) return undefined;
  if (parts.length === 6 && !BUILD.test(parts[2] ?? '')) return undefined;
  if (tags.some((tag) => !TAG.test(tag))) return undefined;
  return named(filename, 'wheel', { name, version: version.replaceAll('_', '-'), python: tags[0] ?? '' }, version);
}

/** `{name}-{version}.tar.gz` (PEP 625); names of older ones hold dashes, so the last that begins a version divides. */
function parseSdist(filename: string, stem: string): DistributionName | undefined {
  for (let dash = stem.lastIndexOf('-'); dash > 0; dash = stem.lastIndexOf('-', dash - 1)) {
    const version = stem.slice(dash + 1);
    if (parseVersion(version))
      return named(filename, 'sdist', { name: stem.slice(0, dash), version, python: 'source' });
  }
  return undefined;
}

function parseEgg(filename: string): DistributionName | undefined {
  const [name = '', version = '', python = ''] = filename.slice(0, -'.egg'.length).split('-');
  return named(filename, 'egg', { name, version: version.replaceAll('_', '-'), python }, version);
}

function named(
  filename: string,
  kind: DistributionName['kind'],
  { name, version, python }: { readonly name: string; readonly version: string; readonly python: string },
  spelled = version,
): DistributionName | undefined {
  const project = normalizeName(name);
  // Before wheels were normalised, dashes of a version were written as underscores.
  const normal = normalizeVersion(version) ?? normalizeVersion(spelled);
  if (project === undefined || normal === undefined) return undefined;
  return { filename, kind, project, version: normal, spelled: { project: name, version: spelled }, python };
}

/** Files that belong to a distribution and lie beside it. */
const SIDECAR = /\.(?:metadata|provenance|asc)$/;

export const METADATA_ENDING = '.metadata';
export const PROVENANCE_ENDING = '.provenance';
export const SIGNATURE_ENDING = '.asc';

/** The path of the distribution that a file beside it belongs to; undefined for paths of other files. */
export function distributionOf(path: RepoPath): RepoPath | undefined {
  return SIDECAR.test(path) ? (path.replace(SIDECAR, '') as RepoPath) : undefined;
}

/** The distribution at the path, as its name and its folders tell. */
export function distributionAt(path: RepoPath): DistributionName | undefined {
  const { parent, name } = splitPath(path);
  const [project, version, ...deeper] = parent.split('/');
  const parsed = parseFilename(name);
  if (!parsed || project === undefined || parsed.project === project || deeper.length > 0) return parsed;
  // Where dashes could divide a name in several ways, the folders say which it is.
  const stem = parsed.filename.slice(0, project.length + 1);
  if (version === undefined || normalizeName(project) !== project || !/[-_.]$/.test(stem)) return parsed;
  if (normalizeName(stem.slice(0, -1)) !== project) return parsed;
  return { ...parsed, project, version: normalizeVersion(version) ?? parsed.version };
}

/** Where an upload of the distribution lies. */
export function homeOf({
  project,
  version,
  filename,
}: Omit<DistributionName, 'kind' | 'python' | 'spelled'>): RepoPath {
  return joinPath(project, version, filename);
}

const MAX_INDEXED_PATH = 1024;

/** The name of a file's row within its project, behind the version; undefined for paths too long to be indexed. */
export function releaseName(distribution: DistributionName, path: RepoPath): string | undefined {
  if (path === homeOf(distribution)) return `${distribution.version}/${distribution.filename}`;
  return path.length > MAX_INDEXED_PATH ? undefined : `${distribution.version}/@/${path}`;
}

/** What two spellings of one distribution have in common. */
export function sameDistributionKey({ filename, kind, project, version, spelled }: DistributionName): string {
  const rest = filename.slice(spelled.project.length + 1 + spelled.version.length);
  return `${kind} ${project} ${version} ${rest.toLowerCase()}`;
}
