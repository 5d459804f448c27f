/** A project as an index lists it, and the list of all projects, neutral of how either is rendered. */

import type { RepositoryMarks } from '../../core/document.ts';
import type { RepoPath } from '../../core/ids.ts';
import { sortInTurns } from '../../lib/sort-in-turns.ts';
import { Spell } from '../../lib/spell.ts';
import { compareRanks, rankOf, sortVersions, type VersionRank } from './versions.ts';

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
  /** What a local repository's was built from. */
  readonly marks?: RepositoryMarks;
}

export const PROJECT = 'project';
export const ROOT_LIST = 'simple';

/** The format's folder, in which nothing of a user's lies. */
export const FOLDER = '.pypi';

/** Undefined for a project without files. */
export function projectOf(name: string, files: readonly ProjectFile[]): Project | undefined {
  if (files.length === 0) return undefined;
  const sorted = files.toSorted(byVersion);
  return { name, files: sorted, versions: versionsOf(sorted) };
}

/** The same, letting others in where it takes its time. */
export async function projectInTurns(name: string, files: readonly ProjectFile[]): Promise<Project | undefined> {
  if (files.length === 0) return undefined;
  const spell = new Spell();
  for (const file of files) {
    orderOf(file);
    if (spell.isOver) await spell.rest();
  }
  const sorted = await sortInTurns(files, byVersion);
  return { name, files: sorted, versions: versionsOf(sorted) };
}

const NONE: VersionRank = { text: '', parsed: undefined };
const orders = new WeakMap<ProjectFile, VersionRank>();

/** What the file is sorted by; read once, since large projects are sorted with each new file. */
function orderOf(file: ProjectFile): VersionRank {
  let order = orders.get(file);
  if (!order) {
    order = file.version === undefined ? NONE : rankOf(file.version);
    orders.set(file, order);
  }
  return order;
}

function byVersion(a: ProjectFile, b: ProjectFile): number {
  return compareRanks(orderOf(a), orderOf(b)) || (a.filename < b.filename ? -1 : 1);
}

/** The union by the names of the files; of equal ones the first stays. */
export async function mergeProjects(projects: readonly Project[]): Promise<Project> {
  const [first] = projects;
  const files = new Map<string, ProjectFile>();
  const spell = new Spell();
  for (const project of projects) {
    for (const file of project.files) {
      if (!files.has(file.filename)) files.set(file.filename, file);
      if (spell.isOver) await spell.rest();
    }
  }
  const merged = await projectInTurns(first?.name ?? '', [...files.values()]);
  const known = new Set(merged?.versions);
  const others = new Set(projects.flatMap(({ versions }) => versions.filter((version) => !known.has(version))));
  return {
    name: first?.name ?? '',
    files: merged?.files ?? [],
    // Versions without files are few, and an upstream's.
    versions: others.size === 0 ? (merged?.versions ?? []) : sortVersions([...known, ...others]),
    ...(first?.status && { status: first.status }),
  };
}

/** Of files in the order of their versions. */
export function versionsOf(files: readonly ProjectFile[]): readonly string[] {
  return [...new Set(files.flatMap(({ version }) => version ?? []))];
}

interface MergedNames {
  readonly others: readonly string[];
  readonly names: readonly string[];
}

const merged = new WeakMap<readonly string[], MergedNames>();

/** The union of names that are each in order. The same two lists make the same list again. */
export async function mergeNames(some: readonly string[], others: readonly string[]): Promise<readonly string[]> {
  const kept = merged.get(some);
  if (kept?.others === others) return kept.names;
  const spell = new Spell();
  const names: string[] = [];
  for (let [i, j] = [0, 0]; i < some.length || j < others.length; ) {
    const [one, other] = [some[i], others[j]];
    const takesOne = other === undefined || (one !== undefined && one <= other);
    if (one === other || takesOne) i += 1;
    if (one === other || !takesOne) j += 1;
    names.push((takesOne ? one : other) as string);
    if (names.length % 1024 === 0 && spell.isOver) await spell.rest();
  }
  merged.set(some, { others, names });
  return names;
}
