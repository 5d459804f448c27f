/** The documents of a local repository, built of its rows: at first of all of them, then of those that changed. */
import type { DocumentSource } from '../../core/document.ts';
import { splitPath } from '../../core/ids.ts';
import { type ReadRows, readRows } from '../../core/read-rows.ts';
import type { PackageVersion } from '../../core/repository.ts';
import { sortInTurns } from '../../lib/sort-in-turns.ts';
import { Spell } from '../../lib/spell.ts';
import { homeOf } from './names.ts';
import { type Project, type ProjectFile, type ProjectList, projectInTurns } from './project.ts';
import type { ReleaseFile } from './release.ts';

const ofProjects = new WeakMap<Project, ReadRows<ProjectFile>>();

/** Of what was read for the previous one, and what was written since. */
export async function buildProject(
  source: DocumentSource,
  name: string,
  previous: Project | undefined,
): Promise<Project | undefined> {
  const read = await readRows(source, name, previous && ofProjects.get(previous), fileOf);
  const project = await projectInTurns(name, await oneOfEach(name, read.rows.values()));
  if (project) ofProjects.set(project, read);
  return project;
}

/** One file for each name: what was put by plain path may lie in several places. */
async function oneOfEach(project: string, rows: Iterable<ProjectFile>): Promise<ProjectFile[]> {
  const spell = new Spell();
  const files = new Map<string, ProjectFile>();
  for (const file of rows) {
    const known = files.get(file.filename);
    if (!known || comesBefore(project, file, known)) files.set(file.filename, file);
    if (spell.isOver) await spell.rest();
  }
  return [...files.values()];
}

/** Where uploads lie comes first, then what does by path. */
function comesBefore(project: string, file: ProjectFile, other: ProjectFile): boolean {
  const home = homeOf({ project, version: file.version ?? '', filename: file.filename });
  return file.path === home || (other.path !== home && file.path < other.path);
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
    ...(requiresPython !== undefined && { requiresPython }),
    ...(yanked !== undefined && { yanked }),
    ...(metadata !== undefined && { metadata }),
    ...(signed && { signed }),
    ...(attested && { attested }),
    ...(summary !== undefined && { summary }),
  };
}

/** Names of all projects. As long as none comes and none goes, the list is the same. */
export async function buildList(source: DocumentSource, previous: ProjectList | undefined): Promise<ProjectList> {
  const marks = await source.marks();
  if (!previous?.marks) return { names: await allNames(source), marks };
  const added: string[] = [];
  const gone = new Set<string>();
  for await (const name of source.changedPackages(previous.marks)) {
    const isKnown = isIn(previous.names, name);
    if ((await isThere(source, name)) === isKnown) continue;
    if (isKnown) gone.add(name);
    else added.push(name);
  }
  if (added.length === 0 && gone.size === 0) return { names: previous.names, marks };
  const names = [...previous.names, ...added].filter((name) => !gone.has(name));
  return { names: await sortInTurns(names, (a, b) => (a < b ? -1 : 1)), marks };
}

async function allNames(source: DocumentSource): Promise<string[]> {
  const spell = new Spell();
  const names: string[] = [];
  for await (const name of source.packages()) {
    names.push(name);
    if (spell.isOver) await spell.rest();
  }
  return names;
}

async function isThere(source: DocumentSource, name: string): Promise<boolean> {
  for await (const _row of source.versions(name)) return true;
  return false;
}

function isIn(names: readonly string[], name: string): boolean {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((names[middle] ?? '') < name) low = middle + 1;
    else high = middle;
  }
  return names[low] === name;
}
