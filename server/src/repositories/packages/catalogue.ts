/** Lists of packages as one caller may see them: of one repository, and of all that the caller may read. */
import { setImmediate as turn } from 'node:timers/promises';
import { z } from 'zod';
import { AppError } from '../../core/errors.ts';
import { clip } from '../../core/ids.ts';
import { packageTypeOf } from '../../core/package-types.ts';
import type { PackageView } from '../../core/package-view.ts';
import type { Principal } from '../../core/principal.ts';
import type { Database } from '../../db/database.ts';
import { type ListedPackage, listPackagePage, listPackagesNamed } from '../../db/package-listings.ts';
import { byBytes } from '../../lib/by-bytes.ts';
import type { Holders, RepositoryDirectory } from '../directory.ts';
import type { BoundMember } from '../virtual/bound.ts';
import type { PageMarks } from './page-mark.ts';
import { lastPublished, latestOf, type PackageVersions, type ShownVersion } from './versions.ts';

export interface CatalogueDeps {
  readonly database: Database;
  readonly repositories: RepositoryDirectory;
  readonly versions: PackageVersions;
  readonly marks: PageMarks;
}

export interface PackageQuery {
  /** A part of the name, in whatever case. */
  readonly text?: string | undefined;
  /** The beginning of the name, as it is. */
  readonly prefix?: string | undefined;
  readonly order: 'name' | 'published';
  readonly descending: boolean;
  readonly limit: number;
  /** The mark of the page before. */
  readonly after?: string | undefined;
}

export interface SearchQuery extends Pick<PackageQuery, 'text' | 'prefix' | 'limit' | 'after'> {
  /** Only of these types, or of any. */
  readonly types?: readonly string[] | undefined;
  readonly repositories?: readonly string[] | undefined;
}

/** A package as lists show it. */
export interface PackageLine {
  readonly repository: string;
  readonly name: string;
  readonly type: string;
  readonly latest: string;
  readonly versions: number;
  readonly publishedAt: string;
}

export interface PackageLines {
  readonly packages: readonly PackageLine[];
  /** What `after` has to be for the next page, which may hold nothing; undefined after the last. */
  readonly after?: string | undefined;
}

/** A repository whose packages can be shown. */
export type ShownHolders = Holders & { readonly view: PackageView };

const STEP = 500;
/** Packages whose rows are read at once. */
const TOGETHER = 100;
/** Names that are looked at for one answer: what is rare is found by asking on. */
const MAX_LOOKED_AT = 50_000;
/** The same where the rights to each of their files have to be asked for. */
const MAX_ASKED_FOR = 2000;

const place = z.object({ name: z.string(), publishedAt: z.number() });
const searchPlace = z.object({ repository: z.string(), name: z.string().optional() });
type Place = z.infer<typeof place>;

interface Line {
  readonly place: Place;
  readonly line: PackageLine;
}

interface Found {
  readonly lines: PackageLine[];
  /** Where to go on; undefined at the end. */
  readonly next: Place | undefined;
}

export class PackageCatalogue {
  readonly #deps: CatalogueDeps;

  constructor(deps: CatalogueDeps) {
    this.#deps = deps;
  }

  /** The repository with what holds its files; `not_found` or `invalid` says why its packages cannot be shown. */
  open(key: string, principal: Principal): ShownHolders {
    const holders = this.#deps.repositories.holders(key, principal);
    if (!holders) {
      throw new AppError('not_found', `There is no repository "${clip(key)}", or you may not see it.`);
    }
    const view = holders.format?.view;
    if (view) return { ...holders, view };
    const type = packageTypeOf(holders.row.packageType)?.displayName ?? holders.row.packageType;
    throw new AppError(
      'invalid',
      `The repository "${holders.row.key}" is of the type ${type}, of which no packages are shown. Browse its files instead.`,
    );
  }

  /** A page of the packages of one repository. */
  async list(key: string, principal: Principal, query: PackageQuery): Promise<PackageLines> {
    const holders = this.open(key, principal);
    const { text = '', prefix = '', order, descending } = query;
    const list = JSON.stringify(['list', key, text, prefix, order, descending]);
    const from = this.#deps.marks.read(list, query.after, place);
    const { lines, next } = await this.#collect(holders, query, from, { left: MAX_LOOKED_AT });
    return { packages: lines, after: next && this.#deps.marks.render(list, next) };
  }

  /** A page of the packages of all repositories that the caller may read, by repository and name. */
  async search(principal: Principal, query: SearchQuery): Promise<PackageLines> {
    const { repositories, marks } = this.#deps;
    const { text = '', prefix = '', types, limit } = query;
    const list = JSON.stringify(['search', text, prefix, types ?? [], query.repositories ?? []]);
    const from = marks.read(list, query.after, searchPlace);
    const keys = this.#searched(principal, query).filter((key) => !from || byBytes(key, from.repository) >= 0);
    const found: PackageLine[] = [];
    const budget = { left: MAX_LOOKED_AT };
    for (const key of keys) {
      const holders = repositories.holders(key, principal);
      const view = holders?.format?.view;
      if (!holders || !view) continue;
      if (found.length >= limit || budget.left <= 0) {
        return { packages: found, after: marks.render(list, { repository: key }) };
      }
      const start =
        from?.repository === key && from.name !== undefined ? { name: from.name, publishedAt: 0 } : undefined;
      const rest = { text, prefix, order: 'name', descending: false, limit: limit - found.length } as const;
      const { lines, next } = await this.#collect({ ...holders, view }, rest, start, budget);
      found.push(...lines);
      if (next) return { packages: found, after: marks.render(list, { repository: key, name: next.name }) };
    }
    return { packages: found };
  }

  /** Keys of those that hold files themselves, in order. */
  #searched(principal: Principal, { types, repositories: only }: SearchQuery): string[] {
    const wanted = only && new Set(only);
    return this.#deps.repositories
      .describeAll(principal)
      .filter(({ rclass, packageType, key }) => {
        return rclass !== 'virtual' && (!types || types.includes(packageType)) && (!wanted || wanted.has(key));
      })
      .map(({ key }) => key as string)
      .sort(byBytes);
  }

  async #collect(
    holders: ShownHolders,
    query: PackageQuery,
    from: Place | undefined,
    budget: { left: number },
  ): Promise<Found> {
    const stream = new NameStream(this.#deps.database, holders, query, from);
    const { prefix = '' } = query;
    const needle = query.text?.toLowerCase() ?? '';
    const lines: PackageLine[] = [];
    const isLimited = holders.members.some(({ access }) => !access.readsAll);
    let asked = 0;
    let last = from;
    for (;;) {
      // Of many names that may not be seen, one line after the other would be looked for otherwise.
      const wanted = isLimited ? Math.max(query.limit - lines.length, TOGETHER) : query.limit - lines.length;
      const names: Place[] = [];
      let isEnd = false;
      while (names.length < wanted && budget.left > 0 && !isEnd) {
        const next = await stream.next();
        isEnd = next === undefined;
        if (!next) break;
        budget.left -= 1;
        const fits = next.name.startsWith(prefix) && (needle === '' || next.name.toLowerCase().includes(needle));
        if (fits) names.push(next);
        else if (names.length === 0) last = next;
      }
      for (const { place: at, line } of await this.#lines(holders, names, query)) {
        if (lines.length === query.limit) return { lines, next: last };
        lines.push(line);
        last = at;
      }
      if (isEnd) return { lines, next: undefined };
      last = lines.length === query.limit ? last : (names.at(-1) ?? last);
      asked += names.length;
      const isOver = budget.left <= 0 || (isLimited && asked >= MAX_ASKED_FOR);
      if (lines.length === query.limit || isOver) return { lines, next: (await stream.next()) && last };
      await turn();
    }
  }

  async #lines(holders: ShownHolders, places: readonly Place[], query: PackageQuery): Promise<Line[]> {
    if (places.length === 0) return [];
    const names = places.map(({ name }) => name);
    const shown = await this.#deps.versions.of(holders, names);
    const isElsewhere = await this.#laterPlaces(holders, places, query);
    return places.flatMap((each) => {
      const versions = shown.get(each.name);
      return versions && !isElsewhere(each) ? [{ place: each, line: lineOf(holders, each.name, versions) }] : [];
    });
  }

  /** By time, a package that several members have stands where the first of them comes, and nowhere else. */
  async #laterPlaces(
    { members }: Holders,
    places: readonly Place[],
    { order, descending }: PackageQuery,
  ): Promise<(place: Place) => boolean> {
    if (order === 'name' || members.length < 2) return () => false;
    const first = new Map<string, number>();
    const names = places.map(({ name }) => name);
    for (const { member } of members) {
      const listed = await this.#deps.database.read((db) => listPackagesNamed(db, member.leaf.id, names));
      for (const { name, publishedAt } of listed.values()) {
        const known = first.get(name);
        if (known === undefined || (descending ? publishedAt > known : publishedAt < known))
          first.set(name, publishedAt);
      }
    }
    return ({ name, publishedAt }) => first.get(name) !== publishedAt;
  }
}

function lineOf({ row, view }: ShownHolders, name: string, versions: readonly ShownVersion[]): PackageLine {
  return {
    repository: row.key,
    name,
    type: row.packageType,
    latest: latestOf(view, versions)?.version ?? '',
    versions: versions.length,
    publishedAt: new Date(lastPublished(versions)).toISOString(),
  };
}

/** The packages of one member, read ahead. */
interface Source {
  readonly member: BoundMember['member'];
  /** With how many of them were given on. */
  buffer: readonly ListedPackage[];
  at: number;
  after: Place | undefined;
  isEnd: boolean;
}

/** The packages of all members in one order, each place once. */
class NameStream {
  readonly #database: Database;
  readonly #query: PackageQuery;
  readonly #sources: readonly Source[];
  #read = 0;

  constructor(database: Database, { members }: Holders, query: PackageQuery, after: Place | undefined) {
    this.#database = database;
    this.#query = query;
    this.#sources = members.map(({ member }) => ({ member, buffer: [], at: 0, after, isEnd: false }));
  }

  async next(): Promise<Place | undefined> {
    let least: Place | undefined;
    for (const source of this.#sources) {
      if (source.at === source.buffer.length && !source.isEnd) await this.#fill(source);
      const first = source.buffer[source.at];
      if (first && (!least || this.#compare(first, least) < 0)) least = first;
    }
    if (!least) return undefined;
    for (const source of this.#sources) {
      const first = source.buffer[source.at];
      if (first && this.#compare(first, least) === 0) source.at += 1;
    }
    return { name: least.name, publishedAt: least.publishedAt };
  }

  /** A step at a time, and the others are let in between. */
  async #fill(source: Source): Promise<void> {
    const { order, descending, prefix, limit, text } = this.#query;
    const isSieved = (text ?? '') !== '' || this.#read > 0;
    const page = { order, descending, prefix, after: source.after, limit: isSieved ? STEP : Math.min(limit + 1, STEP) };
    if (this.#read > 0) await turn();
    source.buffer = await this.#database.read((db) => listPackagePage(db, source.member.leaf.id, page));
    source.at = 0;
    source.after = source.buffer.at(-1);
    source.isEnd = source.buffer.length < page.limit;
    this.#read += 1;
  }

  #compare(one: Place, other: Place): number {
    const { order, descending } = this.#query;
    const difference = (order === 'published' && one.publishedAt - other.publishedAt) || byBytes(one.name, other.name);
    return descending ? -difference : difference;
  }
}
