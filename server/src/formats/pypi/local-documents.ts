/** The documents of a local repository, built of its rows: at first of all of them, then of those that changed. */
import type { DocumentSource } from '../../core/document.ts';
import { splitPath } from '../../core/ids.ts';
import type { PackageVersion } from '../../core/repository.ts';
import { sortInTurns } from '../../lib/sort-in-turns.ts';
import { Spell } from '../../lib/spell.ts';
import { homeOf } from './names.ts';
import { type Project, type ProjectFile, type ProjectList, projectInTurns } from './project.ts';
import type { ReleaseFile } from './release.ts';

/** The rows of a project as they were read, with the number of the last: what is read next are those after it. */
interface ReadRows {
  readonly rows: ReadonlyMap<string, ProjectFile>;
  readonly last: number;
}

const readRows = new WeakMap<Project, ReadRows>();

/** Of what was read for the previous one, and what was written since. */
export async function buildProject(
  source: DocumentSource,
  name: string,
  previous: Project | undefined,
): Promise<Project | undefined> {
  const before = previous && readRows.get(previous);
  const rows = new Map(before?.rows);
  let last = before?.last ?? 0;
  const changes = source.changes(name, last);
  for await (const row of changes.written) {
    rows.set(row.version, fileOf(row));
    last = row.revision;
  }
  const remaining = await changes.remaining(rows.size);
  if (remaining) for (const version of rows.keys()) if (!remaining.has(version)) rows.delete(version);
  const project = await projectInTurns(name, await oneOfEach(name, rows.values()));
  if (project) readRows.set(project, { rows, last });
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
  if (!previous?.marks) return { names: await Array.fromAsync(source.packages()), marks };
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
