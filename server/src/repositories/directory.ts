/** Finds repositories by key and binds them to their caller. */
import { AppError } from '../core/errors.ts';
import { type RepoKey, ROOT } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Repository } from '../core/repository.ts';
import type { Database } from '../db/database.ts';
import { listRepositories, type RepositoryRow } from '../db/repositories.ts';
import { type AccessOptions, accessOf, authorise, type PermissionChecks } from './authorise.ts';
import type { Access, LeafRepository } from './leaf.ts';
import { type Limits, limitsOf } from './limits.ts';
import { type LocalDeps, LocalRepository } from './local.ts';

export interface DirectoryDeps extends LocalDeps {
  readonly database: Database;
  readonly permissions: PermissionChecks;
  readonly access: AccessOptions;
}

/** Narrows what a caller may do beyond its permissions, such as by the scope of a short-lived token. */
export type Narrowing = (access: Access, repo: RepoKey) => Access;

interface Held {
  readonly leaf: LeafRepository;
  readonly limits: Limits | undefined;
}

export class RepositoryDirectory {
  readonly #deps: DirectoryDeps;
  #held = new Map<string, Held>();
  #started = 0;
  #applied = 0;

  constructor(deps: DirectoryDeps) {
    this.#deps = deps;
  }

  /** Reads the repositories again; called at start and whenever one was created, changed or deleted. */
  async reload(): Promise<void> {
    const turn = ++this.#started;
    const rows = await this.#deps.database.read((db) => listRepositories(db));
    // What a reading that began later has found must not be undone by this one.
    if (turn < this.#applied) return;
    this.#applied = turn;
    this.#held = new Map(
      rows.map((row) => [row.key, { leaf: this.#leaf(row), limits: limitsOf(row.key, row.config) }]),
    );
  }

  classOf(key: RepoKey): LeafRepository['rclass'] | undefined {
    return this.#held.get(key)?.leaf.rclass;
  }

  /** Whether there is such a repository, whoever asks: for decisions that show nothing to callers. */
  has(key: string): boolean {
    return this.#held.has(key);
  }

  /** The repository for this caller; undefined when there is none, or none it may know of. */
  get(key: string, principal: Principal, narrow?: Narrowing): Repository | undefined {
    const held = this.#held.get(key);
    return held && this.#bind(held, principal, narrow);
  }

  /** The repositories of these package types that the caller may know of, by key. */
  list(packageTypes: readonly string[], principal: Principal, narrow?: Narrowing): Repository[] {
    const found: Repository[] = [];
    for (const held of this.#held.values()) {
      if (!packageTypes.includes(held.leaf.packageType)) continue;
      const repo = this.#bind(held, principal, narrow);
      if (repo) found.push(repo);
    }
    return found;
  }

  #bind({ leaf, limits }: Held, principal: Principal, narrow: Narrowing | undefined): Repository | undefined {
    const permitted = accessOf(this.#deps.permissions, principal, leaf.key, this.#deps.access);
    // A token that does not cover the repository is told so when something is asked of it.
    if (!isVisible(permitted)) return undefined;
    const narrowed = narrow ? narrow(permitted, leaf.key) : permitted;
    return authorise(leaf, limits ? limits(narrowed) : narrowed);
  }

  #leaf(row: RepositoryRow): LeafRepository {
    if (row.rclass !== 'local') {
      throw new AppError('not_supported', `Repositories of the class "${row.rclass}" are not served yet.`);
    }
    return new LocalRepository(this.#deps, row);
  }
}

/** Who may neither read nor deploy anything in a repository does not learn that it exists. */
function isVisible(access: Access): boolean {
  return access.mayList(ROOT) || access.mayWrite;
}
