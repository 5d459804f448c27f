/**
 * Addresses of what is newest: `[RELEASE]` and `[INTEGRATION]` where a revision would stand, and snapshots by their
 * plain name in a folder that holds them by their time.
 */
import { joinPath, type RepoPath, splitPath } from '../../core/ids.ts';
import { type Layout, parseLayoutPath } from '../../core/layouts.ts';
import type { Asset, Repository } from '../../core/repository.ts';
import { compareVersions } from '../../core/version-order.ts';

const TOKEN = /\[(RELEASE|INTEGRATION)\]/;
const SNAPSHOT = '-SNAPSHOT';
const TIMED = /^\d{8}\.\d{6}-\d+$/;
const PAGE = 500;
/** A folder with more names than this is not looked through to its end. */
const MAX_NAMES = 20_000;
/** Of so many of the newest revisions one must have the file asked for. */
const MAX_TRIED = 200;

/** Whether a path can stand for another that is not known yet. */
export function asksForLatest(path: RepoPath): boolean {
  return TOKEN.test(path) || splitPath(path).name.includes(SNAPSHOT);
}

/** The file that the path stands for; `accept` chooses among the revisions. Undefined where there is none. */
export async function findLatest(
  repo: Repository,
  layout: Layout,
  path: RepoPath,
  accept: (asset: Asset) => Promise<boolean>,
): Promise<Asset | undefined> {
  const token = TOKEN.exec(path);
  if (!token) return findSnapshot(repo, layout, path, accept);
  const wantsIntegration = token[1] === 'INTEGRATION';
  const segments = path.split('/');
  const at = segments.findIndex((segment) => segment.includes(token[0]));
  const folder = segments.slice(0, at).join('/') as RepoPath;
  const [before = '', after = ''] = (segments[at] ?? '').split(token[0], 2);
  const revisions = await namesBetween(repo, folder, before, after, (name) => name !== '');
  for (const revision of revisions.sort((one, other) => compareVersions(other, one)).slice(0, MAX_TRIED)) {
    const candidate = path.replaceAll(token[0], revision) as RepoPath;
    const said = parseLayoutPath(layout, candidate);
    if (said?.integration !== wantsIntegration) continue;
    const asset = (await repo.get(candidate)) ?? (await findSnapshot(repo, layout, candidate, accept));
    if (asset && (await accept(asset))) return asset;
  }
  return undefined;
}

/** The newest of the snapshots that were deployed by their time. */
async function findSnapshot(
  repo: Repository,
  layout: Layout,
  path: RepoPath,
  accept: (asset: Asset) => Promise<boolean>,
): Promise<Asset | undefined> {
  const { parent, name } = splitPath(path);
  const at = name.indexOf(SNAPSHOT);
  if (at < 0) return undefined;
  const [before, after] = [name.slice(0, at + 1), name.slice(at + SNAPSHOT.length)];
  const times = await namesBetween(repo, parent, before, after, (middle) => TIMED.test(middle));
  for (const time of times.sort((one, other) => compareVersions(other, one)).slice(0, MAX_TRIED)) {
    const candidate = joinPath(parent, `${before}${time}${after}`);
    if (parseLayoutPath(layout, candidate)?.integration !== true) continue;
    const asset = await repo.get(candidate);
    if (asset && (await accept(asset))) return asset;
  }
  return undefined;
}

/** What stands between the beginning and the end in those names of a folder that have both. */
async function namesBetween(
  repo: Repository,
  folder: RepoPath,
  before: string,
  after: string,
  accept: (middle: string) => boolean,
): Promise<string[]> {
  const found: string[] = [];
  for (let last = before, count = 0; count < MAX_NAMES; ) {
    const children = await repo.children(folder, { ...(last !== '' && { after: last }), limit: PAGE });
    for (const { name } of children) {
      // Names are in the order of their bytes: those with this beginning stand together.
      if (!name.startsWith(before)) return found;
      if (!name.endsWith(after) || name.length < before.length + after.length) continue;
      const middle = name.slice(before.length, name.length - after.length);
      if (accept(middle)) found.push(middle);
    }
    if (children.length < PAGE) return found;
    last = children.at(-1)?.name ?? '';
    count += children.length;
  }
  return found;
}
