/** What one caller's searches see: which repositories, which paths in them, which builds. */
import { encodeBuildName } from '../core/build-names.ts';
import { joinPath, type RepoKey } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import { compileReadRule, isEverything, type SearchableRepository } from '../core/read-rule.ts';
import { TRASH_KEY } from '../core/system-repositories.ts';
import type { Database } from '../db/database.ts';
import { listBuildNames } from '../db/search/build-names.ts';
import type { SearchScope } from '../db/search/criteria.ts';
import { EVERY_BUILD } from '../db/search/where.ts';

/** The repositories as searches know them. */
export interface SearchedRepositories {
  searchable(principal: Principal): readonly SearchableRepository[];
  expand(key: string): readonly RepoKey[];
  virtualKeys(principal: Principal): readonly RepoKey[];
}

export interface CallerScope extends SearchScope {
  /** Keys of the virtual repositories that the caller may know of and that hold the repository. */
  virtualsOf(id: number): readonly RepoKey[];
  isVirtual(key: string): boolean;
}

export interface ScopeOptions {
  /** What was deleted is searched only by those who ask for it by name. */
  readonly withTrash: boolean;
  /** Whether the search is about builds, so that it matters which of them may be read. */
  readonly withBuilds: boolean;
  /** Only these, and the members of those that are virtual. */
  readonly only?: readonly string[];
}

export async function scopeOf(
  deps: { readonly repositories: SearchedRepositories; readonly database: Database },
  principal: Principal,
  options: ScopeOptions,
): Promise<CallerScope> {
  const { repositories, database } = deps;
  const wanted = options.only && new Set(options.only.flatMap((key) => repositories.expand(key)));
  const all = repositories.searchable(principal);
  const found = all.filter(({ key }) => (options.withTrash || key !== TRASH_KEY) && (!wanted || wanted.has(key)));
  const byId = new Map(found.map((repository) => [repository.id, repository]));
  const byKey = new Map(found.map((repository) => [repository.key, repository.id]));
  let virtuals: ReadonlyMap<RepoKey, ReadonlySet<RepoKey>> | undefined;
  const knownVirtuals = () => {
    virtuals ??= new Map(repositories.virtualKeys(principal).map((key) => [key, new Set(repositories.expand(key))]));
    return virtuals;
  };
  const unlimited = principal.kind === 'user' && principal.admin && !principal.scope;
  return {
    repositories: byId,
    builds: options.withBuilds && !unlimited ? await readableBuilds(database, all) : EVERY_BUILD,
    // A virtual repository that the caller may not know of stands for nothing.
    expand: (name) => {
      const own = byKey.get(name as RepoKey);
      if (own !== undefined) return [own];
      return [...(knownVirtuals().get(name as RepoKey) ?? [])].flatMap((key) => byKey.get(key) ?? []);
    },
    nameOf: (id) => byId.get(id)?.key ?? '',
    virtualsOf: (id) => {
      const key = byId.get(id)?.key;
      return [...knownVirtuals()].flatMap(([virtual, members]) => (key && members.has(key) ? [virtual] : []));
    },
    isVirtual: (key) => knownVirtuals().has(key as RepoKey),
  };
}

/** A build may be read by who may read the files of its name in the repository that holds it. */
async function readableBuilds(
  database: Database,
  repositories: readonly SearchableRepository[],
): Promise<SearchScope['builds']> {
  const builds = new Map<number, 'all' | readonly string[]>();
  const partial = new Map<number, string[]>();
  const rules = new Map<number, ReturnType<typeof compileReadRule>>();
  for (const { id, rule } of repositories) {
    if (isEverything(rule)) builds.set(id, 'all');
    else {
      partial.set(id, []);
      rules.set(id, compileReadRule(rule));
    }
  }
  if (partial.size === 0) return builds;
  for (const { repoId, name } of await database.read((db) => listBuildNames(db, [...partial.keys()]))) {
    if (rules.get(repoId)?.(joinPath(encodeBuildName(name), 'build.json'), false)) partial.get(repoId)?.push(name);
  }
  for (const [id, names] of partial) builds.set(id, names);
  return builds;
}
