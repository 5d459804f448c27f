/** The versions of packages as one caller may see them, made of the rows of the repositories that hold them. */
import { setImmediate as turn } from 'node:timers/promises';
import type { RepoPath } from '../../core/ids.ts';
import { type PackageView, versionOfRow } from '../../core/package-view.ts';
import type { Database } from '../../db/database.ts';
import {
  type ListedPackage,
  listPackagesNamed,
  listVersionRows,
  listVersionRowsOf,
  type VersionRow,
} from '../../db/package-listings.ts';
import { sortInTurns } from '../../lib/sort-in-turns.ts';
import type { Holders } from '../directory.ts';
import type { BoundMember } from '../virtual/bound.ts';

/** A version as the rows of one repository make it. */
interface Folded {
  readonly version: string;
  /** At least one. */
  readonly rows: readonly VersionRow[];
  /** When the last of its rows came. */
  readonly publishedAt: number;
}

/** A version with the repository that has it, and those of its rows that the caller may read. */
export interface ShownVersion extends Folded {
  readonly holder: BoundMember;
}

const PAGE = 1000;
/** Rows of small packages are read many at once. */
const SMALL = 100;
const TOGETHER = 500;
/** Rows of large packages are kept between requests, up to so many of them all. */
const MAX_KEPT = 200_000;

export class PackageVersions {
  readonly #database: Database;
  /** What large packages are for those who may read all of them, with those asked for last at the end. */
  readonly #kept = new Map<
    string,
    { readonly revision: number; readonly files: number; readonly all: readonly Folded[] }
  >();
  #keptRows = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  /** For each of the packages its versions, the newest first; absent where the caller may see none. */
  async of(
    { members, names: guarded, format }: Holders,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, readonly ShownVersion[]>> {
    const view = format?.view;
    const found = new Map<string, readonly ShownVersion[]>();
    if (!view) return found;
    /** Names that a member with priority has: nobody behind those is asked for them. */
    const settled = new Set<string>();
    for (const bound of members) {
      const { member } = bound;
      const open: string[] = [];
      for (const name of names) {
        if (!(settled.has(name) && !member.priority) && (await guarded.allows(member, name))) open.push(name);
      }
      for (const [name, own] of await this.#heldBy(view, bound, open)) {
        if (member.priority) settled.add(name);
        const before = found.get(name);
        const shown = own.map(
          ({ version, rows, publishedAt }): ShownVersion => ({ version, rows, publishedAt, holder: bound }),
        );
        if (shown.length > 0) found.set(name, before ? await joined(view, before, shown) : shown);
      }
    }
    return found;
  }

  /** The packages that the member has, with the versions that may be read: none where all may not. */
  async #heldBy(
    view: PackageView,
    { member, access }: BoundMember,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, readonly Folded[]>> {
    const found = new Map<string, readonly Folded[]>();
    const repoId = member.leaf.id;
    const isReadable = access.readsAll ? undefined : (path: RepoPath) => access.allows('read', path);
    const listed = await this.#database.read((db) => listPackagesNamed(db, repoId, names));
    let together: string[] = [];
    let count = 0;
    const read = async () => {
      const batch = together;
      [together, count] = [[], 0];
      for (const [name, rows] of await this.#database.read((db) => listVersionRowsOf(db, repoId, batch))) {
        found.set(name, await folded(view, rows, isReadable));
      }
    };
    for (const each of listed.values()) {
      if (each.files > SMALL) {
        // Rights are asked for the path that a file has now, not for one that was kept.
        const own = isReadable
          ? await folded(view, await this.#read(repoId, each.name), isReadable)
          : await this.#large(view, repoId, each);
        found.set(each.name, own);
        continue;
      }
      together.push(each.name);
      count += each.files;
      if (count < TOGETHER) continue;
      await read();
      await turn();
    }
    if (together.length > 0) await read();
    return found;
  }

  /** A package that has many rows; what is kept is as old as the number that grows with every change. */
  async #large(
    view: PackageView,
    repoId: number,
    { name, revision, files }: ListedPackage,
  ): Promise<readonly Folded[]> {
    const key = `${repoId}\n${name}`;
    const kept = this.#kept.get(key);
    const all = kept?.revision === revision ? kept.all : await folded(view, await this.#read(repoId, name));
    this.#forget(key);
    this.#kept.set(key, { revision, files, all });
    this.#keptRows += files;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptRows <= MAX_KEPT) break;
      this.#forget(oldest);
    }
    return all;
  }

  #forget(key: string): void {
    this.#keptRows -= this.#kept.get(key)?.files ?? 0;
    this.#kept.delete(key);
  }

  async #read(repoId: number, name: string): Promise<VersionRow[]> {
    const rows: VersionRow[] = [];
    for (;;) {
      const after = rows.at(-1)?.row;
      const page = await this.#database.read((db) => listVersionRows(db, repoId, name, { after, limit: PAGE }));
      rows.push(...page);
      if (page.length < PAGE) return rows;
      await turn();
    }
  }
}

/** The versions that readable rows are of, the newest first. */
async function folded(
  view: PackageView,
  rows: readonly VersionRow[],
  isReadable?: (path: RepoPath) => boolean,
): Promise<Folded[]> {
  const found = new Map<string, { readonly version: string; readonly rows: VersionRow[]; publishedAt: number }>();
  for (const row of rows) {
    const version = versionOfRow(view, row.row);
    if (version === undefined || (isReadable && !isReadable(row.path))) continue;
    const known = found.get(version);
    if (!known) found.set(version, { version, rows: [row], publishedAt: row.createdAt });
    else {
      known.rows.push(row);
      known.publishedAt = Math.max(known.publishedAt, row.createdAt);
    }
  }
  return newestFirst(view, [...found.values()]);
}

/** Of a version that both have, that of the first. */
async function joined(
  view: PackageView,
  first: readonly ShownVersion[],
  second: readonly ShownVersion[],
): Promise<readonly ShownVersion[]> {
  const known = new Set(first.map(({ version }) => version));
  const more = second.filter(({ version }) => !known.has(version));
  return more.length === 0 ? first : newestFirst(view, [...first, ...more]);
}

async function newestFirst<T extends Folded>({ order }: PackageView, versions: readonly T[]): Promise<T[]> {
  if (!order) {
    return sortInTurns(
      versions,
      (one, other) => other.publishedAt - one.publishedAt || (one.version < other.version ? -1 : 1),
    );
  }
  const keyed: { readonly each: T; readonly key: unknown }[] = [];
  for (const each of versions) {
    keyed.push({ each, key: order.key(each.version) });
    if (keyed.length % PAGE === 0) await turn();
  }
  const sorted = await sortInTurns(
    keyed,
    (one, other) => order.compare(other.key, one.key) || (one.each.version < other.each.version ? 1 : -1),
  );
  return sorted.map(({ each }) => each);
}

/** What a package is at its newest: the last that is finished, or where nothing is, the last there is. */
export function latestOf({ isPreliminary }: PackageView, versions: readonly ShownVersion[]): ShownVersion | undefined {
  return versions.find(({ version }) => !isPreliminary?.(version)) ?? versions[0];
}

/** When something of the package came last. */
export function lastPublished(versions: readonly ShownVersion[]): number {
  return versions.reduce((last, { publishedAt }) => Math.max(last, publishedAt), 0);
}
