/** What the members of a virtual repository hold together: their folders, packages and versions, merged page by page. */

import type { Format } from '../../core/format.ts';
import { type RepoPath, splitPath } from '../../core/ids.ts';
import type {
  Descendant,
  DescendantPage,
  Entry,
  PackageVersion,
  Page,
  PropertyValue,
  VersionName,
} from '../../core/repository.ts';
import { byBytes } from '../../lib/by-bytes.ts';
import { Attempts, type BoundMember, type BoundMembers, unlessRefused } from './bound.ts';
import type { GuardedNames } from './guard.ts';
import { mergeStretches, type Stretch } from './merge.ts';
import type { Plan } from './plan.ts';
import type { Resolver } from './resolve.ts';

export interface ListingDeps {
  readonly plan: Plan;
  readonly members: BoundMembers;
  readonly format: Format | undefined;
  readonly names: GuardedNames;
  readonly resolver: Resolver;
}

export class MergedListings {
  readonly #deps: ListingDeps;

  constructor(deps: ListingDeps) {
    this.#deps = deps;
  }

  /** What lies in a folder of any member, by name; a name that several have is the first's. */
  async children(folder: RepoPath, page: Page): Promise<readonly Entry[]> {
    const read = async ({ member, repo }: BoundMember, next: Page) => {
      const found = await repo.children(folder, next);
      const kept = await this.#withoutShadowed(member, found, ({ name, folder: isFolder }) =>
        isFolder ? undefined : packagePath(folder, name),
      );
      return stretchOf(found, kept, next.limit);
    };
    return this.#filled(
      page,
      read,
      (one, other) => byBytes(one.name, other.name),
      ({ name }) => name,
    );
  }

  async descendants(
    folder: RepoPath,
    page: { readonly after?: RepoPath; readonly limit: number },
  ): Promise<DescendantPage> {
    const stretches: Stretch<Pick<Descendant, 'path'>>[] = [];
    for (const bound of this.#all()) {
      const found = await unlessRefused(() => bound.repo.descendants(folder, page));
      if (!found) continue;
      const items = await this.#withoutShadowed(bound.member, found.found, (node) =>
        node.folder ? undefined : node.path,
      );
      stretches.push({ items, upTo: found.next === undefined ? undefined : { path: found.next } });
    }
    const merged = mergeStretches(stretches, page.limit, (one, other) => byParentAndName(one.path, other.path));
    return { found: merged.items as Descendant[], next: merged.upTo?.path };
  }

  async packages(page: Page): Promise<readonly string[]> {
    const attempts = new Attempts();
    const read = async (bound: BoundMember, next: Page) => {
      const found = await this.#asked(bound, attempts, () => bound.repo.packages(next));
      // A name that is local is listed for that; only what is kept from others by its owner's name has to be left out.
      if (!this.#deps.format?.territory) return stretchOf(found, found, next.limit);
      const kept: string[] = [];
      for (const name of found) if (await this.#deps.names.allows(bound.member, name)) kept.push(name);
      return stretchOf(found, kept, next.limit);
    };
    return this.#filled(page, read, byBytes, (name) => name);
  }

  async versionNames(name: string, page: Page): Promise<readonly VersionName[]> {
    const attempts = new Attempts();
    const sources = await this.#sourcesOf(name);
    const read = async (bound: BoundMember, next: Page) => {
      const found = await this.#asked(bound, attempts, () => bound.repo.versionNames(name, next));
      return stretchOf(found, found, next.limit);
    };
    const merged = await this.#filled(
      page,
      read,
      (one, other) => byBytes(one.version, other.version),
      ({ version }) => version,
      sources,
    );
    if (merged.length === 0) attempts.finish();
    return merged;
  }

  /** Each release once, in the order of creation: the numbers of all repositories are of one row. */
  async versionsWith(
    name: string | undefined,
    property: PropertyValue,
    page: { readonly after?: number; readonly limit: number },
  ): Promise<readonly PackageVersion[]> {
    const attempts = new Attempts();
    const sources = name === undefined ? this.#all() : await this.#sourcesOf(name);
    const found: PackageVersion[] = [];
    const seen = new Set<string>();
    for (let after = page.after; ; ) {
      const stretches: Stretch<PackageVersion>[] = [];
      for (const bound of sources) {
        const next = { limit: page.limit, ...(after !== undefined && { after }) };
        const items = await this.#asked(bound, attempts, () => bound.repo.versionsWith(name, property, next));
        const kept: PackageVersion[] = [];
        for (const item of items)
          if (name !== undefined || (await this.#deps.names.allows(bound.member, item.package))) kept.push(item);
        stretches.push(stretchOf(items, kept, page.limit));
      }
      // Two members may give different releases the same number, so equal numbers are not taken for equal releases.
      const merged = mergeStretches(stretches, Number.POSITIVE_INFINITY, bySequenceAndDigest);
      for (const version of merged.items) {
        const last = found.at(-1);
        if (found.length >= page.limit && last?.sequence !== version.sequence) return found;
        const id = `${name ?? version.package}\n${version.version}\n${version.sha256}`;
        if (!seen.has(id)) found.push(version);
        seen.add(id);
      }
      if (merged.upTo === undefined) return found;
      after = merged.upTo.sequence;
    }
  }

  #all(): BoundMember[] {
    return this.#deps.members.of(this.#deps.plan.members);
  }

  /** The members that are consulted about a package, in their order. */
  async #sourcesOf(name: string): Promise<BoundMember[]> {
    const { plan, members, names, resolver } = this.#deps;
    const sources: BoundMember[] = [];
    for (const tier of plan.tiers) {
      for (const bound of members.of([...tier.locals, ...tier.remotes])) {
        if (await names.allows(bound.member, name)) sources.push(bound);
      }
      if (await resolver.endsWith(tier, name)) break;
    }
    return sources;
  }

  async #asked<T>(bound: BoundMember, attempts: Attempts, work: () => Promise<readonly T[]>): Promise<readonly T[]> {
    const isRemote = bound.member.leaf.rclass === 'remote';
    return (await (isRemote ? attempts.remote(bound, work) : unlessRefused(work))) ?? [];
  }

  /** A page as full as there is something for it, which a page of what members show need not be. */
  async #filled<T>(
    page: Page,
    read: (bound: BoundMember, page: Page) => Promise<Stretch<T>>,
    compare: (one: T, other: T) => number,
    nameOf: (item: T) => string,
    sources = this.#all(),
  ): Promise<readonly T[]> {
    const found: T[] = [];
    for (let after = page.after; ; ) {
      const next = { ...page, limit: page.limit - found.length, ...(after !== undefined && { after }) };
      const stretches: Stretch<T>[] = [];
      for (const bound of sources) {
        const stretch = await unlessRefused(() => read(bound, next));
        if (stretch) stretches.push(stretch);
      }
      const merged = mergeStretches(stretches, next.limit, compare);
      found.push(...merged.items);
      if (merged.upTo === undefined || found.length >= page.limit) return found;
      after = nameOf(merged.upTo);
    }
  }

  async #withoutShadowed<T>(
    member: BoundMember['member'],
    items: readonly T[],
    pathOf: (item: T) => RepoPath | undefined,
  ): Promise<readonly T[]> {
    const { format, names } = this.#deps;
    if (member.guards.length === 0 || !format?.packageOf) return items;
    const kept: T[] = [];
    for (const item of items) {
      const path = pathOf(item);
      if (path === undefined || (await names.allows(member, format.packageOf(path)))) kept.push(item);
    }
    return kept;
  }
}

function stretchOf<T>(found: readonly T[], kept: readonly T[], limit: number): Stretch<T> {
  return { items: kept, upTo: found.length < limit ? undefined : found.at(-1) };
}

function packagePath(folder: RepoPath, name: string): RepoPath {
  return (folder === '' ? name : `${folder}/${name}`) as RepoPath;
}

function bySequenceAndDigest(one: PackageVersion, other: PackageVersion): number {
  return one.sequence - other.sequence || byBytes(one.sha256, other.sha256) || byBytes(one.version, other.version);
}

function byParentAndName(one: RepoPath, other: RepoPath): number {
  const [a, b] = [splitPath(one), splitPath(other)];
  return byBytes(a.parent, b.parent) || byBytes(a.name, b.name);
}
