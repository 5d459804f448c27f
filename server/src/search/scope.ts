/** What one caller's searches see: which repositories, which paths in them, which builds. */
import type { RepoKey } from '../core/ids.ts';
import { isAdmin, type Principal } from '../core/principal.ts';
import type { SearchableRepository } from '../core/read-rule.ts';
import { TRASH_KEY } from '../core/system-repositories.ts';
import type { SearchScope } from '../db/search/criteria.ts';
import { traceStep } from '../lib/trace.ts';

/** The repositories as searches know them. */
export interface SearchedRepositories {
  searchable(principal: Principal): readonly SearchableRepository[];
  expand(key: string): readonly RepoKey[];
  /** Where what a remote repository holds is found. */
  cacheKeyOf(key: string): RepoKey | undefined;
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
  /** Only these, and the members of those that are virtual. */
  readonly only?: readonly string[];
}

export function scopeOf(repositories: SearchedRepositories, principal: Principal, options: ScopeOptions): CallerScope {
  const wanted = options.only && new Set(options.only.flatMap((key) => repositories.expand(key)));
  const all = repositories.searchable(principal);
  const found = all.filter(({ key }) => (options.withTrash || key !== TRASH_KEY) && (!wanted || wanted.has(key)));
  if (wanted) {
    traceStep(`The search names repositories; ${found.length} of those that may be read are among them.`, 'admin');
  }
  const byId = new Map(found.map((repository) => [repository.id, repository]));
  const byKey = new Map(found.map((repository) => [repository.key, repository.id]));
  let virtuals: ReadonlyMap<RepoKey, ReadonlySet<RepoKey>> | undefined;
  const knownVirtuals = () => {
    virtuals ??= new Map(repositories.virtualKeys(principal).map((key) => [key, new Set(repositories.expand(key))]));
    return virtuals;
  };
  const unlimited = isAdmin(principal);
  return {
    repositories: byId,
    readable: all,
    everyBuild: unlimited,
    // A virtual repository that the caller may not know of stands for nothing.
    expand: (name) => {
      const own = byKey.get(repositories.cacheKeyOf(name) ?? (name as RepoKey));
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
