/** A project as an index lists it, and the list of all projects, neutral of how either is rendered. */
import type { RepoPath } from '../../core/ids.ts';
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

/** Those of the files, the oldest first. */
export function versionsOf(files: readonly ProjectFile[]): readonly string[] {
  return sortVersions(files.flatMap(({ version }) => version ?? []));
}
