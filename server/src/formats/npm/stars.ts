/** Stars that users give packages. Like tags they are kept in rows of versions, and repeated in a property. */
import { AppError } from '../../core/errors.ts';
import type { ProtocolContext, ProtocolRequest, Reply } from '../../core/protocol.ts';
import type { Tree } from '../../core/repository.ts';
import { notHeld } from './errors.ts';
import { readRow } from './release.ts';
import { describe, rowsOf, STAR_PROPERTY } from './tags.ts';

const MAX_USER = 255;
/** So many users' stars the row of one version holds. */
const MAX_STARS = 1000;
/** More rows with the star of one user in a package mean that something else goes on. */
const HOLDERS = 1000;
const PAGE = 250;
/** So many rows are looked at for one list. */
const MAX_ROWS = 10_000;

/** Takes the user's star from the package; false if there was none. */
export async function takeStar(tree: Tree, name: string, user: string): Promise<boolean> {
  let isTaken = false;
  for (const holder of await tree.versionsWith(name, { key: STAR_PROPERTY, value: user }, HOLDERS)) {
    const row = readRow(holder);
    if (!row?.stars?.includes(user)) continue;
    await describe(tree, holder, { ...row, stars: row.stars.filter((one) => one !== user) });
    isTaken = true;
  }
  return isTaken;
}

/** Gives the package the user's star, which the row of its latest version holds. */
export async function giveStar(tree: Tree, name: string, latest: string, user: string): Promise<void> {
  await takeStar(tree, name, user);
  const [target] = await rowsOf(tree, name, latest);
  const row = target && readRow(target);
  if (!row) throw notHeld(name, latest);
  const stars = row.stars ?? [];
  if (stars.length >= MAX_STARS) {
    throw new AppError('conflict', `"${name}" has the stars of ${MAX_STARS} users, and no more are kept.`);
  }
  await describe(tree, target, { ...row, stars: [...stars, user] });
}

/** Answers the names of the packages with the user's star that the caller may read, as `npm stars` asks. */
export async function starredByUser(request: ProtocolRequest, { repo }: ProtocolContext): Promise<Reply> {
  const user = parseKey(request.query.get('key'));
  const names = new Set<string>();
  let after: number | undefined;
  for (let seen = 0; seen < MAX_ROWS; ) {
    const page = { limit: PAGE, ...(after !== undefined && { after }) };
    const found = await repo.versionsWith(undefined, { key: STAR_PROPERTY, value: user }, page);
    // What the property alone says somebody has set by hand.
    for (const version of found) if (readRow(version)?.stars?.includes(user)) names.add(version.package);
    after = found.at(-1)?.sequence;
    seen += found.length;
    if (found.length < PAGE) break;
  }
  const rows = [...names].sort().map((value) => ({ value }));
  return { status: 200, json: { rows }, headers: { 'Cache-Control': 'private, max-age=0, must-revalidate' } };
}

/** The name comes as a JSON text: `key="ann"`. */
function parseKey(key: string | null): string {
  try {
    const user: unknown = JSON.parse(key ?? '');
    if (typeof user === 'string' && user !== '' && user.length <= MAX_USER && !user.includes('\0')) return user;
  } catch {
    // The sentence below says what it should be.
  }
  throw new AppError('invalid', 'Say whose stars are asked for, as a JSON text: ?key="name".');
}
