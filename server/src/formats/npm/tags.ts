/** Tags that point to versions. Each is kept in the rows of the versions, with the moment of its setting. */
import { AppError } from '../../core/errors.ts';
import type { Properties } from '../../core/ids.ts';
import type { PackageVersion, Tree } from '../../core/repository.ts';
import { unknownVersion } from './errors.ts';
import { type ReleaseRow, readRow } from './release.ts';

/** The tags of a tarball, as other tools set and search them. */
export const TAG_PROPERTY = 'npm.disttag';
/** Users whose stars a tarball's row holds. */
export const STAR_PROPERTY = 'npm.starredBy';
export const NAME_PROPERTY = 'npm.name';
export const VERSION_PROPERTY = 'npm.version';
/** More of them means that something else goes on. */
const HOLDERS = 1000;

/** The rows of a version, wherever its tarballs lie. */
export async function rowsOf(tree: Tree, name: string, version: string): Promise<readonly PackageVersion[]> {
  const lead = await tree.version(name, version);
  return lead ? [lead] : tree.versionsWith(name, { key: VERSION_PROPERTY, value: version }, HOLDERS);
}

/** Takes a tag from whatever has it; returns the moment at which it may be set again. */
export async function releaseTag(tree: Tree, name: string, tag: string): Promise<number> {
  let at = Date.now();
  for (const holder of await tree.versionsWith(name, { key: TAG_PROPERTY, value: tag }, HOLDERS)) {
    const row = readRow(holder);
    if (!row) continue;
    // Clocks of several servers differ: what is set later counts as later.
    at = Math.max(at, (row.tags[tag] ?? 0) + 1);
    await describe(tree, holder, {
      ...row,
      tags: Object.fromEntries(Object.entries(row.tags).filter(([key]) => key !== tag)),
    });
  }
  return at;
}

/** Points a tag to a version, and to no other any more. */
export async function setTag(tree: Tree, name: string, tag: string, version: string): Promise<void> {
  const at = await releaseTag(tree, name, tag);
  const [target] = await rowsOf(tree, name, version);
  const row = target && readRow(target);
  if (!row) throw unknownVersion(name, version);
  await describe(tree, target, { ...row, tags: { ...row.tags, [tag]: at } });
}

/** Writes the row anew, whose tags and stars stay. */
export async function rewrite(
  tree: Tree,
  { path }: PackageVersion,
  row: ReleaseRow,
  properties?: Properties,
): Promise<void> {
  await tree.describe(path, { ...row, changedAt: Date.now() } satisfies ReleaseRow, properties);
}

/** Writes the row anew, and the properties that repeat its tags and stars. */
export async function describe(tree: Tree, holder: PackageVersion, row: ReleaseRow): Promise<void> {
  await rewrite(tree, holder, row, {
    [TAG_PROPERTY]: Object.keys(row.tags).sort(),
    [STAR_PROPERTY]: row.stars ?? [],
  });
}

export function refuseRemovalOfLatest(tag: string): void {
  if (tag !== 'latest') return;
  throw new AppError('invalid', 'The tag "latest" cannot be removed. Point it to another version instead.');
}
