/** The versions of packages as one caller may see them, made of the rows of the repositories that hold them. */
import { setImmediate as turn } from 'node:timers/promises';
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

/** A version with the repository that has it. */
export interface ShownVersion {
  readonly version: string;
  readonly holder: BoundMember;
  /** Those the caller may read; at least one. */
  readonly rows: readonly VersionRow[];
  /** When the last of its rows came. */
  readonly publishedAt: number;
}

const PAGE = 1000;
/** Rows of small packages are read many at once. */
const SMALL = 100;
const TOGETHER = 500;
/** Rows of large packages are kept between requests, up to so many of them all. */
const MAX_KEPT = 300_000;

export class PackageVersions {
  readonly #database: Database;
  /** By repository and name, with those asked for last at the end. */
  readonly #kept = new Map<string, { readonly revision: number; readonly rows: readonly VersionRow[] }>();
  #keptRows = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  /** For each of the packages its versions, in no order; absent where the caller may see none. */
  async of(
    { members, names: guarded, format }: Holders,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, readonly ShownVersion[]>> {
    const view = format?.view;
    const found = new Map<string, Map<string, ShownVersion>>();
    if (!view) return new Map();
    /** Names that a member with priority has: nobody behind it is asked for them. */
    const settled = new Set<string>();
    let settling = new Set<string>();
    for (const bound of members) {
      const { member } = bound;
      if (!member.priority) for (const name of settling) settled.add(name);
      if (!member.priority) settling = new Set();
      const open: string[] = [];
      for (const name of names) {
        if (!settled.has(name) && (await guarded.allows(member, name))) open.push(name);
      }
      const rows = await this.#rowsOf(bound, open);
      for (const [name, all] of rows) {
        if (member.priority) settling.add(name);
        const own = versionsOf(view, bound, all);
        const before = found.get(name) ?? new Map<string, ShownVersion>();
        for (const [version, shown] of own) if (!before.has(version)) before.set(version, shown);
        if (before.size > 0) found.set(name, before);
      }
    }
    return new Map([...found].map(([name, versions]) => [name, [...versions.values()]]));
  }

  async #rowsOf(
    { member, access }: BoundMember,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, readonly VersionRow[]>> {
    // Rights are asked for the path that a file has now, not for one that was kept.
    const { readsAll } = access;
    const found = new Map<string, readonly VersionRow[]>();
    const repoId = member.leaf.id;
    const listed = await this.#database.read((db) => listPackagesNamed(db, repoId, names));
    let together: string[] = [];
    let count = 0;
    const read = async () => {
      const batch = together;
      [together, count] = [[], 0];
      for (const [name, rows] of await this.#database.read((db) => listVersionRowsOf(db, repoId, batch))) {
        found.set(name, rows);
      }
    };
    for (const each of listed.values()) {
      if (each.files > SMALL) {
        found.set(each.name, readsAll ? await this.#large(repoId, each) : await this.#read(repoId, each.name));
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

  /** The rows of a package that has many; what is kept is as old as the number that grows with every change. */
  async #large(repoId: number, { name, revision }: ListedPackage): Promise<readonly VersionRow[]> {
    const key = `${repoId}\n${name}`;
    const kept = this.#kept.get(key);
    this.#forget(key);
    const rows = kept?.revision === revision ? kept.rows : await this.#read(repoId, name);
    this.#kept.set(key, { revision, rows });
    this.#keptRows += rows.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptRows <= MAX_KEPT) break;
      this.#forget(oldest);
    }
    return rows;
  }

  #forget(key: string): void {
    this.#keptRows -= this.#kept.get(key)?.rows.length ?? 0;
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

function versionsOf(
  view: PackageView,
  holder: BoundMember,
  rows: readonly VersionRow[],
): ReadonlyMap<string, ShownVersion> {
  const { access } = holder;
  const readsAll = access.readsAll;
  const found = new Map<string, { rows: VersionRow[]; publishedAt: number }>();
  for (const row of rows) {
    const version = versionOfRow(view, row.row);
    if (version === undefined || !(readsAll || access.allows('read', row.path))) continue;
    const known = found.get(version);
    if (!known) found.set(version, { rows: [row], publishedAt: row.createdAt });
    else {
      known.rows.push(row);
      known.publishedAt = Math.max(known.publishedAt, row.createdAt);
    }
  }
  return new Map([...found].map(([version, shown]) => [version, { version, holder, ...shown }]));
}

/** The versions with the newest first, in the order that the format gives them. */
export async function newestFirst(view: PackageView, versions: readonly ShownVersion[]): Promise<ShownVersion[]> {
  const { order } = view;
  if (!order) {
    return sortInTurns(
      versions,
      (one, other) => other.publishedAt - one.publishedAt || (one.version < other.version ? -1 : 1),
    );
  }
  const keyed = versions.map((shown) => ({ shown, key: order.key(shown.version) }));
  const sorted = await sortInTurns(
    keyed,
    (one, other) => order.compare(other.key, one.key) || (one.shown.version < other.shown.version ? 1 : -1),
  );
  return sorted.map(({ shown }) => shown);
}

/** What a package is at its newest: the last that is finished, or where nothing is, the last there is. */
export function latestOf(view: PackageView, versions: readonly ShownVersion[]): ShownVersion | undefined {
  const { order, isPreliminary } = view;
  let best: { readonly shown: ShownVersion; readonly key: unknown; readonly isPreliminary: boolean } | undefined;
  for (const shown of versions) {
    const each = { shown, key: order?.key(shown.version), isPreliminary: isPreliminary?.(shown.version) ?? false };
    if (!best || isNewer(each, best)) best = each;
  }
  return best?.shown;

  function isNewer(one: NonNullable<typeof best>, other: NonNullable<typeof best>): boolean {
    if (one.isPreliminary !== other.isPreliminary) return other.isPreliminary;
    if (order) return order.compare(one.key, other.key) > 0;
    return one.shown.publishedAt > other.shown.publishedAt;
  }
}

/** When something of the package came last. */
export function lastPublished(versions: readonly ShownVersion[]): number {
  return versions.reduce((last, { publishedAt }) => Math.max(last, publishedAt), 0);
}
