/** Names of snapshots: by their time or without, as the repository has it, whatever clients call them. */

import type { SettledIn } from '../../core/format.ts';
import { joinPath, type RepoPath, splitPath } from '../../core/ids.ts';
import type { Repository } from '../../core/repository.ts';
import type { MavenMetadata } from './metadata.ts';
import { type Coordinates, isSnapshot, parseMavenPath, SNAPSHOT, timeOf } from './paths.ts';

const PAGE = 500;
/** A folder with more names than this is not looked through to its end. */
const MAX_NAMES = 200_000;

/** Where a snapshot is kept by the setting `snapshotVersionBehavior`; any other file where it was put. */
export async function settle(
  path: RepoPath,
  repo: SettledIn,
): Promise<{ readonly path: RepoPath; readonly made: boolean }> {
  const at = parseMavenPath(path);
  const asItIs = { path, made: false };
  if (!at || !isSnapshot(at.version)) return asItIs;
  const isTimed = timeOf(at) !== undefined;
  switch (repo.settings['snapshotVersionBehavior'] ?? 'unique') {
    case 'non-unique':
      return isTimed ? { path: named(path, at, at.version), made: false } : asItIs;
    case 'unique':
      return isTimed ? asItIs : unique(path, at, repo);
    default:
      return asItIs;
  }
}

/** Files of one deploy share a build number: a file that the newest has not yet is of the same. */
async function unique(path: RepoPath, at: Coordinates, repo: SettledIn): Promise<{ path: RepoPath; made: boolean }> {
  const { parent } = splitPath(path);
  const base = at.version.slice(0, -SNAPSHOT.length);
  let newest: { readonly time: string; readonly build: number } | undefined;
  let last: typeof newest;
  const kinds = new Map<string, Set<string>>();
  for await (const found of snapshotsIn(repo, parent)) {
    const time = timeOf(found);
    if (time === undefined) continue;
    const known = { time, build: Number(time.slice(time.lastIndexOf('-') + 1)) };
    if (!newest || isNewer(known, newest)) newest = known;
    if (kindOf(found) === kindOf(at) && (!last || isNewer(known, last))) last = known;
    const set = kinds.get(time) ?? new Set<string>();
    kinds.set(time, set.add(kindOf(found)));
  }
  // What is there already is the newest of its kind.
  if (repo.stored) return { path: last ? named(path, at, base + last.time) : path, made: false };
  const shares = newest !== undefined && !kinds.get(newest.time)?.has(kindOf(at));
  const time = shares && newest ? newest.time : `${timestamp(new Date())}-${(newest?.build ?? 0) + 1}`;
  return { path: named(path, at, base + time), made: true };
}

function isNewer(
  one: { readonly time: string; readonly build: number },
  other: { readonly time: string; readonly build: number },
): boolean {
  const [a, b] = [one.time.slice(0, 15), other.time.slice(0, 15)];
  return a === b ? one.build > other.build : a > b;
}

function kindOf({ classifier, extension }: Coordinates): string {
  return `${classifier ?? ''}/${extension}`;
}

function named(path: RepoPath, { artifact, classifier, extension }: Coordinates, revision: string): RepoPath {
  const tail = classifier === undefined ? '' : `-${classifier}`;
  return joinPath(splitPath(path).parent, `${artifact}-${revision}${tail}.${extension}`);
}

/** In UTC, as in the names of snapshots: `20260102.030405`. */
function timestamp(date: Date): string {
  const digits = date.toISOString().replace(/\D/g, '');
  return `${digits.slice(0, 8)}.${digits.slice(8, 14)}`;
}

/** The files in a folder, and those that are just being put there. */
async function* snapshotsIn(repo: SettledIn, folder: RepoPath): AsyncGenerator<Coordinates> {
  for (const path of repo.together ?? []) {
    const at = splitPath(path).parent === folder ? parseMavenPath(path) : undefined;
    if (at) yield at;
  }
  for await (const name of namesIn(repo, folder)) {
    const at = parseMavenPath(joinPath(folder, name));
    if (at) yield at;
  }
}

async function* namesIn(repo: Pick<Repository, 'children'>, folder: RepoPath): AsyncGenerator<string> {
  for (let after: string | undefined, count = 0; count < MAX_NAMES; ) {
    const page = await repo.children(folder, { limit: PAGE, ...(after !== undefined && { after }) });
    for (const entry of page) if (!entry.folder) yield entry.name;
    after = page.at(-1)?.name;
    if (page.length < PAGE) return;
    count += page.length;
    await new Promise(setImmediate);
  }
}

/** The newest file that a snapshot's plain name stands for, as the metadata has it. */
export async function newestSnapshot(
  path: RepoPath,
  repo: Pick<Repository, 'document'>,
): Promise<RepoPath | undefined> {
  const at = parseMavenPath(path);
  if (!at || !isSnapshot(at.version) || at.revision !== at.version) return undefined;
  const { parent } = splitPath(path);
  const held = await repo.document('metadata', parent);
  if (!held) return undefined;
  const { files } = (await held.read()) as unknown as MavenMetadata;
  const file = files.find(
    ({ classifier, extension }) => classifier === (at.classifier ?? '') && extension === at.extension,
  );
  return file && named(path, at, file.value);
}
