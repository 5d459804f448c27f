/** Permission targets compiled into an index: whether somebody may do something at a path is a pure question to it. */

import { type AntPattern, compileAntPattern } from '../core/ant-pattern.ts';
import { cacheKeyOf, remoteKeyOf } from '../core/cache-keys.ts';
import { AppError } from '../core/errors.ts';
import { clip, joinPath, parseRepoKey, type RepoKey, type RepoPath } from '../core/ids.ts';
import { ACTIONS, type Action, nameOf, type Permissions, type Principal, type TokenScope } from '../core/principal.ts';
import type { PathRule, ReadRule } from '../core/read-rule.ts';
import type { PermissionTargetRow } from '../db/permission-targets.ts';

export type RepositoryClass = 'local' | 'remote' | 'virtual' | 'federated';

export interface PermissionOptions {
  /** Whether callers without credentials have the rights granted to `anonymous`. */
  readonly anonymousAccess: boolean;
  /** The class of a repository; undefined for one that does not exist, to which only `ANY` and its key apply. */
  classOf(repo: RepoKey): RepositoryClass | undefined;
}

/** Stands in grants for callers without credentials. */
export const ANONYMOUS_SUBJECT = 'anonymous';
const ANY = 'ANY';
const ANY_LOCAL = 'ANY LOCAL';
const ANY_REMOTE = 'ANY REMOTE';
const ANY_WORDS: readonly string[] = [ANY, ANY_LOCAL, ANY_REMOTE];

/** One bit for each action, so that a set of actions is a number. */
const BIT = Object.fromEntries(ACTIONS.map((action, i) => [action, 1 << i])) as Readonly<Record<Action, number>>;

interface CompiledTarget {
  readonly name: string;
  readonly repositories: ReadonlySet<string>;
  readonly includes: readonly AntPattern[];
  readonly excludes: readonly AntPattern[];
  /** Bits by `user:<id>` or `group:<id>`. */
  readonly grants: ReadonlyMap<string, number>;
}

interface PartialRight {
  readonly bits: number;
  readonly includes: readonly AntPattern[];
  readonly excludes: readonly AntPattern[];
}

/** What one principal may do in one repository. */
interface Rights {
  /** Actions allowed at every path. */
  readonly everywhere: number;
  readonly partial: readonly PartialRight[];
}

interface CompiledScopeEntry {
  readonly bits: number;
  readonly repos: ReadonlySet<string>;
  readonly paths: readonly AntPattern[];
}

/** Takes what a permission target can name as a repository: a key, `ANY`, `ANY LOCAL` or `ANY REMOTE`. */
export function parseTargetRepository(text: string): string {
  return isWordForMany(text) ? text : parseRepoKey(text);
}

/** Whether it is `ANY`, `ANY LOCAL` or `ANY REMOTE`. */
export function isWordForMany(text: string): boolean {
  return ANY_WORDS.includes(text);
}

/** Takes actions as they come from outside, refuses unknown ones as `invalid`. */
export function parseActions(texts: readonly string[]): readonly Action[] {
  return [...new Set(texts)].map((text) => {
    const action = ACTIONS.find((known) => known === text);
    if (!action) {
      throw new AppError('invalid', `"${clip(text)}" is no action: use ${ACTIONS.map((a) => `"${a}"`).join(', ')}.`);
    }
    return action;
  });
}

/** The rights as they were when the rows were read. Immutable, so what is looked up once is kept with it. */
export class CompiledPermissions implements Permissions {
  readonly #options: PermissionOptions;
  readonly #byKey = new Map<string, CompiledTarget[]>();
  readonly #byPrincipal = new WeakMap<Principal, Map<string, Rights>>();

  constructor(rows: readonly PermissionTargetRow[], options: PermissionOptions) {
    this.#options = options;
    for (const row of rows) {
      const target = compileTarget(row);
      for (const repository of target.repositories) {
        const list = this.#byKey.get(repository);
        if (list) list.push(target);
        else this.#byKey.set(repository, [target]);
      }
    }
  }

  /** Whether the action is allowed at the path: by the token's scope, and by being admin or by some target. */
  allows(principal: Principal, action: Action, repo: RepoKey, path: RepoPath): boolean {
    const bit = BIT[action];
    if (principal.kind === 'user') {
      if (principal.scope && !scopeCovers(principal.scope, bit, this.#namesOf(repo), path)) return false;
      if (principal.admin) return true;
    }
    const rights = this.#rightsOf(principal, repo);
    if ((rights.everywhere & bit) !== 0) return true;
    return rights.partial.some(
      (right) => (right.bits & bit) !== 0 && matchesAny(right.includes, path) && !matchesAny(right.excludes, path),
    );
  }

  /** In sentences, why `allows` decides as it does: for administrators, since targets of others are named. */
  explain(principal: Principal, action: Action, repo: RepoKey, path: RepoPath): readonly string[] {
    const who = nameOf(principal);
    const bit = BIT[action];
    const steps: string[] = [];
    if (principal.kind === 'user') {
      if (principal.scope && !scopeCovers(principal.scope, bit, this.#namesOf(repo), path)) {
        return [`The scope of the token does not cover ${action} at "${joinPath(repo, path)}".`];
      }
      if (principal.admin) return [`"${who}" is an administrator and may do everything.`];
    }
    const subjects = this.#subjectsOf(principal);
    if (subjects.length === 0) return ['Anonymous access is off, so callers without credentials have no rights.'];
    for (const target of this.#targetsOf(repo)) {
      const bits = subjects.reduce((sum, subject) => sum | (target.grants.get(subject) ?? 0), 0);
      const name = `The permission target "${target.name}"`;
      if ((bits & bit) === 0) {
        const given = ACTIONS.filter((known) => (bits & BIT[known]) !== 0).join(', ');
        steps.push(`${name} names the repository and gives "${who}" ${given || 'no right'}, not ${action}.`);
        continue;
      }
      const excluded = target.excludes.find((pattern) => pattern.matches(path));
      if (excluded) steps.push(`${name} gives ${action}, but excludes the path by "${excluded.text}".`);
      else if (matchesAny(target.includes, path)) steps.push(`${name} gives "${who}" the right to ${action}.`);
      else
        steps.push(`${name} gives ${action}, but none of its patterns (${quoted(target.includes)}) matches the path.`);
    }
    if (steps.length === 0) steps.push(`No permission target names the repository "${repo}".`);
    return steps;
  }

  /**
   * Whether a folder may be shown: it, or something that could lie below it, may be read. Where includes and excludes
   * overlap in part this can say yes although everything that exists below is excluded; files have their own check.
   */
  mayList(principal: Principal, repo: RepoKey, folder: RepoPath): boolean {
    if (principal.kind === 'user') {
      if (principal.scope && !scopeReaches(principal.scope, BIT.read, this.#namesOf(repo), folder)) return false;
      if (principal.admin) return true;
    }
    const rights = this.#rightsOf(principal, repo);
    if ((rights.everywhere & BIT.read) !== 0) return true;
    return rights.partial.some(
      (right) =>
        (right.bits & BIT.read) !== 0 &&
        right.includes.some((pattern) => pattern.mayMatchBelow(folder)) &&
        !right.excludes.some((pattern) => pattern.coversBelow(folder)),
    );
  }

  /** Whether the action is allowed at every path of the repository: what one must hold to pass it on. */
  holds(principal: Principal, action: Action, repo: RepoKey): boolean {
    const bit = BIT[action];
    if (principal.kind === 'user') {
      const { scope } = principal;
      const entries = scope && scopeEntries(scope, bit, this.#namesOf(repo));
      if (entries && !entries.some((e) => e.paths.some((p) => p.coversBelow('')))) return false;
      if (principal.admin) return true;
    }
    return (this.#rightsOf(principal, repo).everywhere & bit) !== 0;
  }

  /** Whether the action is allowed at some path of the repository: what decides if it is shown in a list. */
  mayAnywhere(principal: Principal, action: Action, repo: RepoKey): boolean {
    if (principal.kind === 'user') {
      if (principal.scope && !scopeReaches(principal.scope, BIT[action], this.#namesOf(repo), '' as RepoPath))
        return false;
      if (principal.admin) return true;
    }
    const rights = this.#rightsOf(principal, repo);
    const all = rights.partial.reduce((bits, right) => bits | right.bits, rights.everywhere);
    return (all & BIT[action]) !== 0;
  }

  /**
   * Every path the principal may read starts, character by character, with one of these; none of them with another.
   * `['']` means any path, `[]` none. A folder above such a path may be a proper prefix of one.
   */
  readablePrefixes(principal: Principal, repo: RepoKey): readonly string[] {
    const scope = principal.kind === 'user' ? principal.scope : undefined;
    const scoped = scope ? scopePrefixes(scope, BIT.read, this.#namesOf(repo)) : [''];
    if (principal.kind === 'user' && principal.admin) return minimal(scoped);
    const rights = this.#rightsOf(principal, repo);
    const granted =
      (rights.everywhere & BIT.read) !== 0
        ? ['']
        : rights.partial
            .filter((right) => (right.bits & BIT.read) !== 0)
            .flatMap((right) => right.includes.map((pattern) => pattern.prefix));
    return minimal(granted.flatMap((a) => scoped.flatMap((b) => intersection(a, b))));
  }

  /** What the principal may read, as data that decides as `allows` and `mayList` do; undefined for nothing at all. */
  readRule(principal: Principal, repo: RepoKey): ReadRule | undefined {
    const layers: (readonly PathRule[])[] = [];
    if (principal.kind === 'user' && principal.scope) {
      const entries = scopeEntries(principal.scope, BIT.read, this.#namesOf(repo));
      if (entries.length === 0) return undefined;
      if (!entries.some((entry) => entry.paths.some((pattern) => pattern.coversBelow('')))) {
        layers.push(entries.map((entry) => ({ includes: entry.paths.map(patternOf), excludes: [] })));
      }
    }
    if (principal.kind === 'user' && principal.admin) return { layers, files: true };
    const rights = this.#rightsOf(principal, repo);
    if ((rights.everywhere & BIT.read) !== 0) return { layers, files: true };
    const partial = rights.partial.filter((right) => (right.bits & BIT.read) !== 0);
    if (partial.length === 0) return undefined;
    layers.push(
      partial.map(({ includes, excludes }) => ({
        includes: includes.map(patternOf),
        excludes: excludes.map(patternOf),
      })),
    );
    return { layers, files: true };
  }

  #rightsOf(principal: Principal, repo: RepoKey): Rights {
    let byRepo = this.#byPrincipal.get(principal);
    if (!byRepo) {
      byRepo = new Map();
      this.#byPrincipal.set(principal, byRepo);
    }
    let rights = byRepo.get(repo);
    if (!rights) {
      rights = this.#collect(principal, repo);
      // What does not exist today may be made tomorrow as something else, and must not fill the memory either.
      if (this.#options.classOf(repo) !== undefined) byRepo.set(repo, rights);
    }
    return rights;
  }

  #collect(principal: Principal, repo: RepoKey): Rights {
    const subjects = this.#subjectsOf(principal);
    let everywhere = 0;
    const partial: PartialRight[] = [];
    for (const target of this.#targetsOf(repo)) {
      const bits = subjects.reduce((sum, subject) => sum | (target.grants.get(subject) ?? 0), 0);
      if (bits === 0) continue;
      const { includes, excludes } = target;
      if (excludes.length === 0 && includes.some((pattern) => pattern.coversBelow(''))) everywhere |= bits;
      else partial.push({ bits, includes, excludes });
    }
    return { everywhere, partial };
  }

  #subjectsOf(principal: Principal): readonly string[] {
    if (principal.kind === 'user') return [`user:${principal.id}`, ...principal.groups.map((id) => `group:${id}`)];
    return this.#options.anonymousAccess ? [`user:${ANONYMOUS_SUBJECT}`] : [];
  }

  /** What a remote repository and its cache are called: rights to the one are rights to the other. */
  #namesOf(repo: RepoKey): readonly RepoKey[] {
    const { classOf } = this.#options;
    if (classOf(repo) !== 'remote') return [repo];
    const remote = remoteKeyOf(repo);
    return remote !== undefined && classOf(remote) === 'remote' ? [remote, repo] : [repo, cacheKeyOf(repo)];
  }

  #targetsOf(repo: RepoKey): ReadonlySet<CompiledTarget> {
    const keys: string[] = [...this.#namesOf(repo), ANY];
    const rclass = this.#options.classOf(repo);
    if (rclass === 'local' || rclass === 'federated') keys.push(ANY_LOCAL);
    if (rclass === 'remote') keys.push(ANY_REMOTE);
    return new Set(keys.flatMap((key) => this.#byKey.get(key) ?? []));
  }
}

function compileTarget(row: PermissionTargetRow): CompiledTarget {
  return {
    name: row.name,
    repositories: new Set(row.repositories),
    includes: row.includes.map((pattern) => compileAntPattern(pattern)),
    excludes: row.excludes.map((pattern) => compileAntPattern(pattern)),
    grants: new Map(row.grants.map((grant) => [`${grant.kind}:${grant.subject}`, bitsOf(grant.actions)])),
  };
}

function quoted(patterns: readonly AntPattern[]): string {
  return patterns.map(({ text }) => `"${clip(text)}"`).join(', ');
}

function bitsOf(actions: readonly Action[]): number {
  return actions.reduce((bits, action) => bits | BIT[action], 0);
}

function patternOf(pattern: AntPattern): string {
  return pattern.text;
}

function matchesAny(patterns: readonly AntPattern[], path: string): boolean {
  return patterns.some((pattern) => pattern.matches(path));
}

const compiledScopes = new WeakMap<TokenScope, readonly CompiledScopeEntry[]>();

function compileScope(scope: TokenScope): readonly CompiledScopeEntry[] {
  let compiled = compiledScopes.get(scope);
  if (!compiled) {
    compiled = scope.map((entry) => ({
      bits: bitsOf(entry.actions),
      repos: new Set(entry.repos),
      paths: entry.paths.map((path) => compileAntPattern(path)),
    }));
    compiledScopes.set(scope, compiled);
  }
  return compiled;
}

function scopeEntries(scope: TokenScope, bit: number, repos: readonly RepoKey[]): readonly CompiledScopeEntry[] {
  const names = ['*', ...repos];
  return compileScope(scope).filter((e) => (e.bits & bit) !== 0 && names.some((name) => e.repos.has(name)));
}

function scopeCovers(scope: TokenScope, bit: number, repos: readonly RepoKey[], path: RepoPath): boolean {
  return scopeEntries(scope, bit, repos).some((entry) => matchesAny(entry.paths, path));
}

function scopeReaches(scope: TokenScope, bit: number, repos: readonly RepoKey[], folder: RepoPath): boolean {
  return scopeEntries(scope, bit, repos).some((entry) => entry.paths.some((pattern) => pattern.mayMatchBelow(folder)));
}

function scopePrefixes(scope: TokenScope, bit: number, repos: readonly RepoKey[]): string[] {
  return scopeEntries(scope, bit, repos).flatMap((entry) => entry.paths.map((pattern) => pattern.prefix));
}

function intersection(a: string, b: string): string[] {
  if (a.startsWith(b)) return [a];
  return b.startsWith(a) ? [b] : [];
}

/** Without those that start with another one. */
function minimal(prefixes: readonly string[]): string[] {
  const kept: string[] = [];
  for (const prefix of [...new Set(prefixes)].sort()) {
    const last = kept.at(-1);
    if (last === undefined || !prefix.startsWith(last)) kept.push(prefix);
  }
  return kept;
}
