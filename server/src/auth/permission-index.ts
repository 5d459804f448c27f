/** The rights in force on this server, kept up to date with the database. */
import type { RepoKey, RepoPath } from '../core/ids.ts';
import type { Action, Permissions, Principal } from '../core/principal.ts';
import type { ReadRule } from '../core/read-rule.ts';
import type { Database } from '../db/database.ts';
import { listPermissionTargets } from '../db/permission-targets.ts';
import { CompiledPermissions, type PermissionOptions } from './permissions.ts';

const MAX_AGE_MS = 5000;

/** The rights in force, read again when they changed or, where other nodes may change them, grew old. */
export class PermissionIndex implements Permissions {
  readonly #database: Database;
  readonly #options: PermissionOptions;
  readonly #clock: () => number;
  readonly #maxAgeMs: number;
  #current: CompiledPermissions;
  #staleAt = Number.NEGATIVE_INFINITY;
  #generation = 0;
  #reading: Promise<boolean> | undefined;

  constructor(deps: { readonly database: Database; readonly clock?: () => number }, options: PermissionOptions) {
    this.#database = deps.database;
    this.#options = options;
    this.#clock = deps.clock ?? Date.now;
    this.#maxAgeMs = deps.database.dialect.exclusive ? Number.POSITIVE_INFINITY : MAX_AGE_MS;
    this.#current = new CompiledPermissions([], options);
  }

  /** Whether `refresh` has nothing to do. */
  get isFresh(): boolean {
    return this.#clock() < this.#staleAt;
  }

  /** Brings the rights up to date; to be awaited before the first check of each request. Before the first one, only admins have any. */
  async refresh(): Promise<void> {
    if (this.isFresh) return;
    let current = false;
    while (!current) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      current = await this.#reading;
    }
  }

  /** Has the rights read again: targets, users or groups changed, or a repository was made or deleted. */
  invalidate(): void {
    this.#generation += 1;
    this.#staleAt = Number.NEGATIVE_INFINITY;
  }

  /** See `CompiledPermissions`. */
  allows(principal: Principal, action: Action, repo: RepoKey, path: RepoPath): boolean {
    return this.#current.allows(principal, action, repo, path);
  }

  /** See `CompiledPermissions`. */
  explain(principal: Principal, action: Action, repo: RepoKey, path: RepoPath): readonly string[] {
    return this.#current.explain(principal, action, repo, path);
  }

  /** See `CompiledPermissions`. */
  mayList(principal: Principal, repo: RepoKey, folder: RepoPath): boolean {
    return this.#current.mayList(principal, repo, folder);
  }

  /** See `CompiledPermissions`. */
  mayAnywhere(principal: Principal, action: Action, repo: RepoKey): boolean {
    return this.#current.mayAnywhere(principal, action, repo);
  }

  /** See `CompiledPermissions`. */
  holds(principal: Principal, action: Action, repo: RepoKey): boolean {
    return this.#current.holds(principal, action, repo);
  }

  /** See `CompiledPermissions`. */
  readablePrefixes(principal: Principal, repo: RepoKey): readonly string[] {
    return this.#current.readablePrefixes(principal, repo);
  }

  /** See `CompiledPermissions`. */
  readRule(principal: Principal, repo: RepoKey): ReadRule | undefined {
    return this.#current.readRule(principal, repo);
  }

  async #read(): Promise<boolean> {
    const generation = this.#generation;
    const readAt = this.#clock();
    const rows = await this.#database.read((db) => listPermissionTargets(db));
    const compiled = new CompiledPermissions(rows, this.#options);
    // Changed while it was read: what was read may be from before, and is read again.
    if (generation !== this.#generation) return false;
    this.#current = compiled;
    this.#staleAt = readAt + this.#maxAgeMs;
    return true;
  }
}
