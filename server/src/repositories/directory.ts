/** Finds repositories by key and binds them to their caller. */
import { cacheKeyOf } from '../core/cache-keys.ts';
import type { Format } from '../core/format.ts';
import { clip, type RepoKey, ROOT } from '../core/ids.ts';
import { type Layout, layoutOf } from '../core/layouts.ts';
import { isAdmin, nameOf, type Principal } from '../core/principal.ts';
import type { SearchableRepository } from '../core/read-rule.ts';
import type { Repository, Wanted } from '../core/repository.ts';
import { TRASH_KEY } from '../core/system-repositories.ts';
import type { Database } from '../db/database.ts';
import { listRepositories, type RepositoryRow } from '../db/repositories.ts';
import { traceStep } from '../lib/trace.ts';
import { type AccessOptions, accessOf, authorise, type PermissionChecks } from './authorise.ts';
import type { Access, LeafRepository } from './leaf.ts';
import { type Limits, limitsOf, readLimitsOf, writesOf } from './limits.ts';
import { LocalRepository } from './local.ts';
import type { ReadOnly } from './read-only.ts';
import { fillingByRead, RemoteCache, withoutDeploys } from './remote/cache.ts';
import type { RemoteDeps } from './remote/kept-fetches.ts';
import { RemoteRepository } from './remote/remote-repository.ts';
import { settingOf } from './settings.ts';
import { isOfflineMode, type SystemConfiguration } from './system-configuration.ts';
import type { BindMember, BoundMember } from './virtual/bound.ts';
import type { Step } from './virtual/explain.ts';
import { GuardedNames, type ShadowingNotes } from './virtual/guard.ts';
import { type Plan, planOf, planOfOne } from './virtual/plan.ts';
import {
  bindVirtual,
  explainVirtual,
  noDeployment,
  unknownTarget,
  type VirtualBinding,
  VirtualMemory,
} from './virtual/repository.ts';

export interface DirectoryDeps extends RemoteDeps {
  readonly database: Database;
  readonly permissions: PermissionChecks;
  readonly access: AccessOptions;
  readonly configuration: SystemConfiguration;
  readonly readOnly: ReadOnly;
  readonly shadowing: ShadowingNotes;
  /** Whether there is a repository that stands for all of them. */
  readonly globalRepo: boolean;
}

const GLOBAL_KEY = 'repo' as RepoKey;

/** Narrows what a caller may do beyond its permissions, such as by the scope of a short-lived token. */
export type Narrowing = (access: Access, repo: RepoKey) => Access;

interface Held {
  /** The cache of a remote repository has that one's row under a key of its own. */
  readonly row: RepositoryRow;
  /** The cache of a remote repository: rights and the read-only switch are those of this one. */
  readonly cacheOf?: RepoKey;
  /** Undefined for classes that are configured but not served, and for virtual repositories, which hold nothing. */
  readonly leaf: LeafRepository | undefined;
  readonly limits: Limits | undefined;
  /** How the members of a virtual repository are asked. */
  readonly plan: Plan | undefined;
}

/** What holds the files of a repository, bound to one caller. */
export interface Holders {
  readonly row: RepositoryRow;
  readonly format: Format | undefined;
  readonly members: readonly BoundMember[];
  /** What a member may not show because others have its name. */
  readonly names: GuardedNames;
}

export interface GetOptions {
  /** The request comes from another server on behalf of its clients. */
  readonly relayed?: boolean;
}

/** A repository as its administrator made it, whatever its class. */
export type RepositoryDescription = Pick<RepositoryRow, 'key' | 'rclass' | 'packageType' | 'config'>;

export class RepositoryDirectory {
  readonly #deps: DirectoryDeps;
  #held = new Map<string, Held>();
  /** What remote repositories hold, under keys that no other repository can have. */
  #caches = new Map<string, Held>();
  /** Stands for all others; found by its key, but in no list. */
  #global: Held | undefined;
  #virtualMemory: VirtualMemory;
  #started = 0;
  #applied = 0;

  constructor(deps: DirectoryDeps) {
    this.#deps = deps;
    this.#virtualMemory = new VirtualMemory(deps.database);
  }

  /** Reads the repositories again; called at start and whenever one was created, changed or deleted. */
  async reload(): Promise<void> {
    const turn = ++this.#started;
    const rows = await this.#deps.database.read((db) => listRepositories(db));
    // What a reading that began later has found must not be undone by this one.
    if (turn < this.#applied) return;
    this.#applied = turn;
    const held = new Map(
      rows.map((row) => [
        row.key as string,
        { row, leaf: this.#leaf(row), limits: limitsOf(row.key, row.config, this.#layout(row)) },
      ]),
    );
    const withPlan = (each: Omit<Held, 'plan'>): Held => ({
      ...each,
      plan: each.row.rclass === 'virtual' ? planOf(each, (key) => held.get(key)) : undefined,
    });
    this.#held = new Map([...held].map(([key, each]) => [key, withPlan(each)]));
    this.#global = this.#deps.globalRepo ? withPlan(globalOf(rows)) : undefined;
    // What was remembered is of members that may be others by now.
    this.#virtualMemory = new VirtualMemory(this.#deps.database);
    this.#caches = new Map(rows.flatMap((row) => (row.rclass === 'remote' ? [this.#cache(row)] : [])));
  }

  /** Where what the remote repository holds is found; undefined for other keys. */
  cacheKeyOf(key: string): RepoKey | undefined {
    const row = this.#held.get(key)?.row;
    return row?.rclass === 'remote' ? cacheKeyOf(row.key) : undefined;
  }

  classOf(key: RepoKey): RepositoryRow['rclass'] | undefined {
    return this.#find(key)?.row.rclass;
  }

  /** What its rows are found by, whoever asks. */
  idOf(key: RepoKey): number | undefined {
    return this.#find(key)?.row.id;
  }

  /** Whether there is such a repository, whoever asks: for decisions that show nothing to callers. */
  has(key: string): boolean {
    return this.#find(key) !== undefined;
  }

  /** The repository for this caller; undefined when there is none, or none it may know of. */
  get(key: string, principal: Principal, narrow?: Narrowing, options?: GetOptions): Repository | undefined {
    const held = this.#find(key);
    if (!held) traceStep(`There is no repository "${clip(key)}".`, 'admin');
    return held && this.#bind(held, principal, narrow, options);
  }

  /**
   * The repository that takes what is put into this one: itself, or for a virtual one the target of its settings, within
   * its patterns. Throws what the caller may be told where there is none.
   */
  target(repo: Repository, principal: Principal, narrow?: Narrowing): Repository {
    const held = this.#held.get(repo.key);
    if (!held?.plan) return repo;
    const { deployment } = held.plan;
    if (!deployment) throw noDeployment(repo.key);
    const bound = this.#memberBinder(held.row, principal, narrow)(deployment);
    if (!bound) throw unknownTarget(repo.key, principal.kind === 'anonymous');
    return bound.repo;
  }

  /**
   * What would become of a request of the principal, member by member, without asking an upstream; `full` tells also of
   * members that it may not know. A repository that has no members is its own only one.
   */
  async explain(
    key: string,
    principal: Principal,
    wanted: Wanted,
    options: { readonly full: boolean; readonly relayed: boolean },
  ): Promise<readonly Step[]> {
    const held = this.#find(key);
    if (!held || !(options.full || this.#isKnownTo(held.row, principal))) return [];
    const plan = held.plan ?? planOfOne(held);
    if (!plan) return [];
    const binding = this.#virtualBinding(held.row, plan, principal, options);
    return explainVirtual(this.#virtualDeps(), binding, wanted, options.full);
  }

  /**
   * The repositories that hold what lies under the key, as the caller may see them, in the order in which they are asked;
   * in the place of a remote one what it keeps. Undefined as with `get`.
   */
  holders(key: string, principal: Principal): Holders | undefined {
    const held = this.#find(key);
    const plan = held && (held.plan ?? planOfOne(held));
    if (!held || !plan) return undefined;
    const members = plan.members.map(this.#memberBinder(held.row, principal, undefined, false));
    const found = members.filter((bound) => bound !== undefined);
    if (found.length === 0 && !(held.plan && this.#isKnownTo(held.row, principal))) return undefined;
    const format = this.#formatOf(held.row);
    return { row: held.row, format, members: found, names: new GuardedNames(this.#virtualDeps(), format) };
  }

  /** The order in which the members of a virtual repository are asked, whoever asks; undefined for others. */
  planOf(key: string): Plan | undefined {
    return this.#held.get(key)?.plan;
  }

  /** The repositories of these package types that the caller may know of, by key. */
  list(packageTypes: readonly string[], principal: Principal, narrow?: Narrowing): Repository[] {
    const found: Repository[] = [];
    for (const held of this.#held.values()) {
      if (!packageTypes.includes(held.row.packageType)) continue;
      const repo = this.#bind(held, principal, narrow);
      if (repo) found.push(repo);
    }
    return found;
  }

  /**
   * A leaf repository's row with what the caller may do in it, for what works on rows; undefined as with `get`. The rows
   * of a remote repository are those of its cache.
   */
  open(key: string, principal: Principal): { readonly row: RepositoryRow; readonly access: Access } | undefined {
    const held = this.#find(this.cacheKeyOf(key) ?? key);
    const access = held && this.#accessTo(held, principal);
    return held && access && { row: held.row, access };
  }

  /** What is configured under the key; undefined when the caller may not know of it. */
  describe(key: string, principal: Principal): RepositoryDescription | undefined {
    const held = this.#held.get(key);
    return held && this.#isKnownTo(held.row, principal) ? held.row : undefined;
  }

  /** All repositories of all classes that the caller may know of, by key. */
  describeAll(principal: Principal): RepositoryDescription[] {
    return [...this.#held.values()].flatMap(({ row }) => (this.#isKnownTo(row, principal) ? [row] : []));
  }

  /** The repositories with files of which the caller may see some, with what it may read there. */
  searchable(principal: Principal): SearchableRepository[] {
    const all = this.#holding().length;
    const found = this.#searchable(principal);
    const left = all - found.length;
    traceStep(
      `Of ${all} repositories with files ${found.length} are searched; ${left} are left out, since "${nameOf(principal)}" may read nothing in them.`,
      'admin',
    );
    return found;
  }

  /** Those with files of their own; what a remote repository holds is found once, in its cache. */
  #holding(): Held[] {
    return [...this.#held.values(), ...this.#caches.values()].filter(
      ({ row, leaf, cacheOf }) => leaf && (row.rclass !== 'remote' || cacheOf !== undefined),
    );
  }

  #searchable(principal: Principal): SearchableRepository[] {
    return this.#holding().flatMap(({ row, leaf, cacheOf }) => {
      if (!leaf || (row.key === TRASH_KEY && !isAdmin(principal))) return [];
      const permitted = this.#deps.permissions.readRule(principal, cacheOf ?? row.key);
      if (!permitted) return [];
      const { rule, files } = readLimitsOf(row.config);
      const veil = this.#deps.veils.ruleOf(row.id);
      return [
        {
          id: row.id,
          key: row.key,
          packageType: row.packageType,
          layout: this.#layout(row),
          rule: { layers: [...permitted.layers, ...(rule ? [[rule]] : []), ...(veil ? [[veil]] : [])], files },
        },
      ];
    });
  }

  /** Keys of the virtual repositories that the caller may know of. */
  virtualKeys(principal: Principal): RepoKey[] {
    return [...this.#held.values()].flatMap(({ row }) =>
      row.rclass === 'virtual' && this.#isKnownTo(row, principal) ? [row.key] : [],
    );
  }

  /**
   * The leaf repositories that hold what lies under the key, in the order in which they are asked; whoever asks. In the
   * place of a remote one its cache.
   */
  expand(key: string): readonly RepoKey[] {
    const found = new Set<RepoKey>();
    const seen = new Set<string>();
    const visit = (name: string) => {
      const held = this.#find(this.cacheKeyOf(name) ?? name);
      if (!held || seen.has(name)) return;
      seen.add(name);
      if (held.leaf) found.add(held.row.key);
      else for (const member of membersOf(held.row)) visit(member);
    };
    visit(key);
    return [...found];
  }

  /** How the paths of the repository read; undefined where there is none such. */
  layoutOf(key: string): Layout | undefined {
    const row = this.#find(key)?.row;
    return row && this.#layout(row);
  }

  /** The keys of those that have the layout, whoever asks. */
  usersOfLayout(name: string): readonly RepoKey[] {
    return [...this.#held.values()].flatMap(({ row }) => (settingOf('repoLayoutRef', row) === name ? [row.key] : []));
  }

  #layout(row: RepositoryRow): Layout | undefined {
    const name = settingOf('repoLayoutRef', row);
    return typeof name === 'string' ? layoutOf(name, this.#deps.configuration.layouts) : undefined;
  }

  #isKnownTo(row: RepositoryRow, principal: Principal): boolean {
    if (row.key === TRASH_KEY) return isAdmin(principal);
    if (isVisible(accessOf(this.#deps.permissions, principal, row.key, this.#deps.access))) return true;
    return this.expand(row.key).some(
      (leaf) => leaf !== row.key && isVisible(accessOf(this.#deps.permissions, principal, leaf, this.#deps.access)),
    );
  }

  #bind(
    held: Held,
    principal: Principal,
    narrow: Narrowing | undefined,
    options: GetOptions = {},
  ): Repository | undefined {
    if (held.plan) return this.#bindVirtual(held.row, held.plan, principal, narrow, options);
    const access = this.#accessTo(held, principal, narrow);
    if (!access || !held.leaf) return undefined;
    return authorise(held.leaf, access, this.#formatOf(held.row));
  }

  #find(key: string): Held | undefined {
    return this.#held.get(key) ?? this.#caches.get(key) ?? (key === GLOBAL_KEY ? this.#global : undefined);
  }

  #formatOf({ packageType }: RepositoryRow): Format | undefined {
    return this.#deps.formats.find(({ packageTypes }) => packageTypes.includes(packageType));
  }

  #bindVirtual(
    row: RepositoryRow,
    plan: Plan,
    principal: Principal,
    narrow: Narrowing | undefined,
    { relayed = false }: GetOptions,
  ): Repository | undefined {
    const { permissions, access } = this.#deps;
    const isSeen = ({ key }: { readonly key: RepoKey }) => isVisible(accessOf(permissions, principal, key, access));
    if (!plan.members.some(isSeen) && !this.#isKnownTo(row, principal)) {
      traceStep(`"${nameOf(principal)}" may neither read nor deploy anything in any member of "${row.key}".`, 'admin');
      return undefined;
    }
    return bindVirtual(this.#virtualDeps(), this.#virtualBinding(row, plan, principal, { narrow, relayed }));
  }

  #virtualDeps() {
    return { database: this.#deps.database, notes: this.#deps.shadowing };
  }

  #virtualBinding(
    row: RepositoryRow,
    plan: Plan,
    principal: Principal,
    { narrow, relayed }: { readonly narrow?: Narrowing | undefined; readonly relayed: boolean },
  ): VirtualBinding {
    return {
      plan,
      format: this.#formatOf(row),
      memory: this.#virtualMemory,
      bind: this.#memberBinder(row, principal, narrow, !relayed || plan.asksForServers),
      relayed,
      anonymous: principal.kind === 'anonymous',
    };
  }

  /** Binds members of a virtual repository to the caller. */
  #memberBinder(virtual: RepositoryRow, principal: Principal, narrow: Narrowing | undefined, asks = true): BindMember {
    // A token names the repository that its holder asked for, and covers the members through it.
    const narrowed = narrow && ((access: Access) => narrow(access, virtual.key));
    return (member) => {
      // Where no upstream may be asked, what is held of it stands in its place.
      const held = this.#find((asks ? undefined : this.cacheKeyOf(member.key)) ?? member.key);
      const access = held && this.#accessTo(held, principal, narrowed, member.passage);
      if (!access || !held.leaf) return undefined;
      return { member, access, repo: authorise(held.leaf, access, this.#formatOf(held.row)) };
    };
  }

  #accessTo(
    { row, leaf, limits, cacheOf }: Held,
    principal: Principal,
    narrow?: Narrowing,
    passage: readonly Limits[] = [],
  ): Access | undefined {
    // What was deleted may have come from places that the caller must not see.
    if (!leaf || (row.key === TRASH_KEY && !isAdmin(principal))) return undefined;
    const owner = cacheOf ?? row.key;
    const permitted = accessOf(this.#deps.permissions, principal, owner, this.#deps.access);
    // A token that does not cover the repository is told so when something is asked of it.
    if (!isVisible(permitted)) {
      traceStep(`"${nameOf(principal)}" may neither read nor deploy anything in "${owner}".`, 'admin');
      return undefined;
    }
    const narrowed = narrow ? narrowedTo(row, permitted, narrow) : permitted;
    const writing = writesOf(this.#deps.readOnly, owner)(narrowed);
    const limited = [...(limits ? [limits] : []), ...passage].reduce((inner, limit) => limit(inner), writing);
    const access = this.#deps.veils.over(row.id, limited);
    return cacheOf ? withoutDeploys(access, row.key) : access;
  }

  #cache(remote: RepositoryRow): [RepoKey, Held] {
    const row = { ...remote, key: cacheKeyOf(remote.key) };
    const leaf = new RemoteCache(this.#deps, row, 'remote');
    // A repository that is blacked out says so by the name that its administrator knows.
    const limits = limitsOf(remote.key, remote.config, this.#layout(remote));
    return [row.key, { row, leaf, limits, plan: undefined, cacheOf: remote.key }];
  }

  #leaf(row: RepositoryRow): LeafRepository | undefined {
    if (row.rclass === 'remote') return new RemoteRepository(this.#deps, this.#unlessOffline(row));
    if (row.rclass !== 'local' && row.rclass !== 'federated') return undefined;
    return new LocalRepository(this.#deps, row, row.rclass);
  }

  /** The repository with its settings in force: no upstream is asked while the whole server is set offline. */
  #unlessOffline(row: RepositoryRow): RepositoryRow {
    if (!isOfflineMode(this.#deps.configuration)) return row;
    return { ...row, config: { ...row.config, offline: true } };
  }
}

function membersOf({ config }: RepositoryRow): readonly string[] {
  const members = config['repositories'];
  return Array.isArray(members) ? members.filter((member) => typeof member === 'string') : [];
}

/** Everything that was deployed or fetched, but for what is deleted. */
function globalOf(rows: readonly RepositoryRow[]): Omit<Held, 'plan'> {
  const repositories = rows
    .filter(({ key, rclass }) => rclass !== 'virtual' && key !== TRASH_KEY)
    .map(({ key }) => key);
  const row: RepositoryRow = {
    id: 0,
    key: GLOBAL_KEY,
    rclass: 'virtual',
    packageType: 'generic',
    config: { repositories },
    createdAt: 0,
  };
  return { row, leaf: undefined, limits: undefined };
}

/** Who may neither read nor deploy anything in a repository does not learn that it exists. */
function isVisible(access: Access): boolean {
  return access.mayList(ROOT) || access.mayWrite;
}

function narrowedTo(row: RepositoryRow, permitted: Access, narrow: Narrowing): Access {
  const narrowed = narrow(permitted, row.key);
  return row.rclass === 'remote' ? fillingByRead(narrowed, permitted) : narrowed;
}
