/** A project as an index lists it, and the list of all projects, neutral of how either is rendered. */
import type { DocumentKind, DocumentSource } from '../../core/document.ts';
import { type RepoPath, splitPath } from '../../core/ids.ts';
import type { PackageVersion } from '../../core/repository.ts';
import { homeOf } from './names.ts';
import type { ReleaseFile } from './release.ts';
import { renderProjectPage, renderRootPage } from './simple.ts';
import { sortVersions } from './versions.ts';

export interface ProjectFile {
  readonly filename: string;
  readonly path: RepoPath;
  /** In the normal form; undefined where an upstream's name of the file does not tell. */
  readonly version: string | undefined;
  readonly hashes: Readonly<Record<string, string>>;
  readonly size?: number;
  /** ISO 8601. */
  readonly uploadedAt?: string;
  readonly requiresPython?: string;
  /** The reason, or an empty text where none was given. */
  readonly yanked?: string;
  /** Whether its METADATA can be had by itself, with its SHA-256 where that is known. */
  readonly metadata?: string | true;
  readonly signed?: boolean;
  readonly attested?: boolean;
  readonly summary?: string;
  readonly python?: string;
  /** Where an upstream has it. */
  readonly link?: string;
  readonly attestationLink?: string;
}

export interface Project {
  readonly name: string;
  readonly files: readonly ProjectFile[];
  /** In the order of age. */
  readonly versions: readonly string[];
  readonly status?: { readonly status: string; readonly reason?: string };
}

/** Names of projects, normalised, in order. */
export interface ProjectList {
  readonly names: readonly string[];
}

export const PROJECT = 'project';
export const ROOT_LIST = 'simple';

/** The format's folder, in which nothing of a user's lies. */
export const FOLDER = '.pypi';

export const projectKind: DocumentKind<Project> = {
  package: (name) => name,
  path: (name) => name as RepoPath,
  async build(source, name) {
    return projectOf(name, await filesOf(source, name));
  },
  merge: mergeProjects,
  filter(project, accepts) {
    const files = project.files.filter(({ path }) => accepts(path));
    if (files.length === 0) return undefined;
    // Versions without a file would tell of files that may not be seen.
    return { ...project, files, versions: versionsOf(files) };
  },
  render: (project, { base }) => renderProjectPage(project, base),
};

export const rootKind: DocumentKind<ProjectList> = {
  package: () => undefined,
  path: () => `${FOLDER}/simple.html` as RepoPath,
  async build(source) {
    return { names: await Array.fromAsync(source.packages()) };
  },
  merge(lists) {
    return { names: [...new Set(lists.flatMap(({ names }) => names))].sort() };
  },
  filter({ names }, accepts) {
    return { names: names.filter((name) => accepts(name as RepoPath)) };
  },
  render: (list, { base }) => renderRootPage(list, `${base}/${FOLDER}`),
};

/** Undefined for a project without files. */
export function projectOf(name: string, files: readonly ProjectFile[]): Project | undefined {
  if (files.length === 0) return undefined;
  const versions = versionsOf(files);
  const ranks = new Map(versions.map((version, rank) => [version, rank]));
  const rankOf = ({ version }: ProjectFile) => ranks.get(version ?? '') ?? -1;
  const sorted = files.toSorted((a, b) => rankOf(a) - rankOf(b) || (a.filename < b.filename ? -1 : 1));
  return { name, files: sorted, versions };
}

/** The union by the names of the files; of equal ones the first stays. */
export function mergeProjects(projects: readonly Project[]): Project {
  const [first] = projects;
  const files = new Map<string, ProjectFile>();
  for (const project of projects) {
    for (const file of project.files) if (!files.has(file.filename)) files.set(file.filename, file);
  }
  const merged = projectOf(first?.name ?? '', [...files.values()]);
  const versions = sortVersions(projects.flatMap((project) => project.versions));
  return {
    name: first?.name ?? '',
    files: merged?.files ?? [],
    versions,
    ...(first?.status && { status: first.status }),
  };
}

function versionsOf(files: readonly ProjectFile[]): readonly string[] {
  return sortVersions(files.flatMap(({ version }) => version ?? []));
}

/** One file for each name: what was put by plain path may lie in several places. */
async function filesOf(source: DocumentSource, project: string): Promise<ProjectFile[]> {
  const files = new Map<string, ProjectFile>();
  for await (const row of source.versions(project)) {
    const file = fileOf(row);
    const { filename, version = '', path } = file;
    if (!files.has(filename) || path === homeOf({ project, version, filename })) files.set(filename, file);
  }
  return [...files.values()];
}

function fileOf(row: PackageVersion): ProjectFile {
  const release = row.metadata as ReleaseFile;
  const { requiresPython, yanked, metadata, signed, attested, summary, md5 } = release;
  return {
    filename: splitPath(row.path).name,
    path: row.path,
    version: release.version,
    hashes: { sha256: row.sha256, ...(md5 !== undefined && { md5 }) },
    size: row.size,
    uploadedAt: row.createdAt.toISOString(),
    python: release.python,
    ...(requiresPython !== undefined && { requiresPython }),
    ...(yanked !== undefined && { yanked }),
    ...(metadata !== undefined && { metadata }),
    ...(signed && { signed }),
    ...(attested && { attested }),
    ...(summary !== undefined && { summary }),
  };
}
