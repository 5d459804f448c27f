/** Lists of what an upstream has: its own where it gives one, else of what is kept of it. */

import { AppError, isAppError } from '../../core/errors.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { ListedVersion, ListingFetch, RemoteFacts, RemoteRules } from '../../core/remote.ts';
import type { PackageVersion, Page, PropertyValue, VersionName } from '../../core/repository.ts';
import { byBytes } from '../../lib/by-bytes.ts';
import { traceStep } from '../../lib/trace.ts';
import type { Access, NumberedPage } from '../leaf.ts';
import type { LocalRepository } from '../local.ts';
import type { UpstreamDocuments } from './upstream-documents.ts';

export interface ListingsDeps {
  readonly local: LocalRepository;
  readonly documents: UpstreamDocuments;
  readonly rules: RemoteRules | undefined;
  readonly facts: RemoteFacts | undefined;
  readonly hardFail: boolean;
}

export class RemoteListings {
  readonly #deps: ListingsDeps;

  constructor(deps: ListingsDeps) {
    this.#deps = deps;
  }

  async packages(page: Page, access: Access): Promise<readonly string[]> {
    const { local, rules, facts } = this.#deps;
    const names = await this.#listed(facts && rules?.packages?.(facts), access, sortedNames);
    // Registries without a list have what was found in them.
    return names ? cut(names, page, (name) => name) : local.packages(page);
  }

  async versionNames(packageName: string, page: Page, access: Access): Promise<readonly VersionName[]> {
    const { local, rules, facts } = this.#deps;
    const names = await this.#listed(facts && rules?.versionNames?.(packageName, facts), access, sortedNames);
    if (!names) return local.versionNames(packageName, page);
    return cut(names, page, (name) => name).flatMap((version) => {
      const path = this.#pathOf({ package: packageName, version });
      return path === undefined ? [] : [{ version, path }];
    });
  }

  async versionsWith(
    packageName: string | undefined,
    property: PropertyValue,
    page: NumberedPage,
    access: Access,
  ): Promise<readonly PackageVersion[]> {
    const { local, rules, facts } = this.#deps;
    if (packageName === undefined) return local.versionsWith(undefined, property, page);
    const listing = facts && rules?.versionsWith?.(packageName, property, facts);
    const found = await this.#listed(listing, access, (versions) => versions);
    if (!found) return local.versionsWith(packageName, property, page);
    const { after = 0, limit } = page;
    return found.slice(after, after + limit).flatMap((listed, i) => this.#version(packageName, listed, after + i + 1));
  }

  #version(packageName: string, listed: ListedVersion, sequence: number): PackageVersion[] {
    const digest = { algorithm: 'sha256', hex: listed.sha256 } as const;
    const path = this.#pathOf({ package: packageName, digest, lead: true });
    return path === undefined ? [] : [{ ...listed, package: packageName, path, createdAt: new Date(0), sequence }];
  }

  #pathOf(wanted: Parameters<RemoteRules['fetch']>[0]): RepoPath | undefined {
    const { rules, facts } = this.#deps;
    return facts && rules?.fetch(wanted, facts)?.path;
  }

  /** The upstream's list; undefined where it gives none, or cannot be asked and none is kept. */
  async #listed<T>(
    listing: ListingFetch<T> | undefined,
    access: Access,
    order: (items: readonly T[]) => readonly T[],
  ): Promise<readonly T[] | undefined> {
    if (!listing) return undefined;
    try {
      const found = await this.#deps.documents.find(listing.fetch, access, (bytes) => order(listing.parse(bytes)));
      return await found?.read();
    } catch (error) {
      if (!isAppError(error)) throw error;
      traceStep(`${error.message} What is kept is listed.`, 'caller');
      if (this.#deps.hardFail && !(error instanceof AppError && REFUSED.has(error.code))) throw error;
      return undefined;
    }
  }
}

/** Callers who may not have anything fetched see what is kept. */
const REFUSED: ReadonlySet<string> = new Set(['unauthenticated', 'forbidden', 'not_found']);

function sortedNames(names: readonly string[]): readonly string[] {
  return [...new Set(names)].sort(byBytes);
}

/** The items of a page out of all of them, which are in the order of their names. */
function cut<T>(items: readonly T[], { after, before, limit }: Page, nameOf: (item: T) => string): readonly T[] {
  let [low, high] = [0, items.length];
  while (after !== undefined && low < high) {
    const middle = (low + high) >>> 1;
    if (byBytes(nameOf(items[middle] as T), after) <= 0) low = middle + 1;
    else high = middle;
  }
  const page = items.slice(low, low + limit);
  return before === undefined ? page : page.filter((item) => byBytes(nameOf(item), before) < 0);
}
