/** Finds repositories by key and binds them to their caller. */
import { AppError } from '../core/errors.ts';
import { type RepoKey, ROOT } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Repository } from '../core/repository.ts';
import type { Database } from '../db/database.ts';
import { listRepositories, type RepositoryRow } from '../db/repositories.ts';
import { type AccessOptions, accessOf, authorise, type PermissionChecks } from './authorise.ts';
import type { Access, LeafRepository } from './leaf.ts';
import { type LocalDeps, LocalRepository } from './local.ts';

export interface DirectoryDeps extends LocalDeps {
  readonly database: Database;
  readonly permissions: PermissionChecks;
  readonly access: AccessOptions;
}

/** Narrows what a caller may do beyond its permissions, such as by the scope of a short-lived token. */
export type Narrowing = (access: Access, repo: RepoKey) => Access;

export class RepositoryDirectory {
  readonly #deps: DirectoryDeps;
  #leaves = new Map<string, LeafRepository>();

  constructor(deps: DirectoryDeps) {
    this.#deps = deps;
  }

  /** Reads the repositories again; called at start and whenever one was created, changed or deleted. */
  async reload(): Promise<void> {
    const rows = await this.#deps.database.read((db) => listRepositories(db));
    this.#leaves = new Map(rows.map((row) => [row.key, this.#leaf(row)]));
  }

  classOf(key: RepoKey): LeafRepository['rclass'] | undefined {
    return this.#leaves.get(key)?.rclass;
  }

  /** Whether there is such a repository, whoever asks: for decisions that show nothing to callers. */
  has(key: string): boolean {
    return this.#leaves.has(key);
  }

  /** The repository for this caller; undefined when there is none, or none it may know of. */
  get(key: string, principal: Principal, narrow?: Narrowing): Repository | undefined {
    const leaf = this.#leaves.get(key);
    if (!leaf) return undefined;
    const access = this.#access(principal, leaf.key, narrow);
    return isVisible(access) ? authorise(leaf, access) : undefined;
  }

  /** The repositories of these package types that the caller may know of, by key. */
  list(packageTypes: readonly string[], principal: Principal, narrow?: Narrowing): Repository[] {
    const found: Repository[] = [];
    for (const leaf of this.#leaves.values()) {
      if (!packageTypes.includes(leaf.packageType)) continue;
      const access = this.#access(principal, leaf.key, narrow);
      if (isVisible(access)) found.push(authorise(leaf, access));
    }
    return found;
  }

  #access(principal: Principal, key: RepoKey, narrow: Narrowing | undefined): Access {
    const access = accessOf(this.#deps.permissions, principal, key, this.#deps.access);
    return narrow ? narrow(access, key) : access;
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
