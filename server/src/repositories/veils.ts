/**
 * Hides what is on its way out. A deletion of many files is true from one moment on: a row says so, and from then on
 * nobody sees what lies at the path, although the rows go a page at a time.
 */
import { AppError } from '../core/errors.ts';
import type { RepoPath } from '../core/ids.ts';
import type { Action } from '../core/principal.ts';
import type { PathRule } from '../core/read-rule.ts';
import type { Database, Tx } from '../db/database.ts';
import { listHidden, listRunningOperations } from '../db/tree-operations.ts';
import { AccessWithin } from './access.ts';
import type { Access } from './leaf.ts';

/** Something lies, or is to be put, where an operation is taking everything away. */
export class Veiled extends Error {
  readonly operation: number;
  constructor(operation: number) {
    super('what lies there is being deleted');
    this.name = 'Veiled';
    this.operation = operation;
  }
}

/** How long a change waits for a deletion to be out of its way. */
const MAX_WAIT_MS = 30_000;
const POLL_MS = 20;

export class Veils {
  readonly #database: Database;
  #byRepository = new Map<number, Map<number, RepoPath>>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Whether nobody may see what lies at the path. */
  hides(repoId: number, path: RepoPath): boolean {
    const veils = this.#byRepository.get(repoId);
    if (!veils) return false;
    for (const veil of veils.values()) if (covers(veil, path)) return true;
    return false;
  }

  /** What is hidden in the repository, as a rule of what may be read; undefined where nothing is. */
  ruleOf(repoId: number): PathRule | undefined {
    const veils = this.#byRepository.get(repoId);
    if (!veils) return undefined;
    return { includes: ['**'], excludes: [], hides: [...veils.values()] };
  }

  /** Whether something is hidden in the repository. */
  hidesIn(repoId: number): boolean {
    return this.#byRepository.has(repoId);
  }

  /** The access without what is hidden: it reads as if it were gone. */
  over(repoId: number, access: Access): Access {
    return new VeiledAccess(access, this, repoId);
  }

  add(id: number, repoId: number, path: RepoPath): void {
    const veils = this.#byRepository.get(repoId) ?? new Map<number, RepoPath>();
    this.#byRepository.set(repoId, veils.set(id, path));
  }

  remove(id: number, repoId: number): void {
    const veils = this.#byRepository.get(repoId);
    veils?.delete(id);
    if (veils?.size === 0) this.#byRepository.delete(repoId);
  }

  /** Reads them again: at start, and now and then where other nodes delete too. */
  async load(): Promise<void> {
    const running = await this.#database.read(listRunningOperations);
    this.#byRepository = new Map();
    for (const { id, repoId, path, hides } of running) if (hides) this.add(id, repoId, path);
  }

  /**
   * Throws `Veiled` where one of the paths lies under a deletion, other than the one named. What a transaction asks
   * under the lock of the tree is true until it ends.
   */
  async requireFree(tx: Tx, repoId: number, paths: Iterable<RepoPath>, except?: number): Promise<void> {
    const known = await listHidden(tx, repoId);
    // What is put where a deletion has just ended must be seen at once by who put it.
    for (const id of this.#byRepository.get(repoId)?.keys() ?? []) {
      if (!known.some((each) => each.id === id)) this.remove(id, repoId);
    }
    const hidden = known.filter(({ id }) => id !== except);
    if (hidden.length === 0) return;
    for (const path of paths) {
      const veil = hidden.find((each) => covers(each.path, path));
      if (veil) throw new Veiled(veil.id);
    }
  }

  /** Runs `work` again when a deletion that was in its way is done; `unavailable` when that takes too long. */
  async behind<T>(work: () => Promise<T>): Promise<T> {
    const until = Date.now() + MAX_WAIT_MS;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Veiled)) throw error;
        if (!(await this.#gone(error.operation, until))) {
          throw new AppError('unavailable', 'What lies there is still being deleted. Try again in a minute.', {
            headers: { 'Retry-After': '60' },
          });
        }
      }
    }
  }

  async #gone(id: number, until: number): Promise<boolean> {
    while (Date.now() < until) {
      const running = await this.#database.read(listRunningOperations);
      if (!running.some((operation) => operation.id === id)) return true;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return false;
  }
}

class VeiledAccess extends AccessWithin {
  readonly #veils: Veils;
  readonly #repoId: number;

  constructor(inner: Access, veils: Veils, repoId: number) {
    super(inner);
    this.#veils = veils;
    this.#repoId = repoId;
  }

  override get readsAll(): boolean {
    return !this.#veils.hidesIn(this.#repoId) && this.inner.readsAll;
  }

  override allows(action: Action, path: RepoPath): boolean {
    return !(action === 'read' && this.#veils.hides(this.#repoId, path)) && this.inner.allows(action, path);
  }

  override require(action: Action, path: RepoPath): void {
    this.inner.require(action, path);
    if (action === 'read' && this.#veils.hides(this.#repoId, path))
      throw new AppError('not_found', 'Unable to find item');
  }

  override mayList(folder: RepoPath): boolean {
    return !(folder !== '' && this.#veils.hides(this.#repoId, folder)) && this.inner.mayList(folder);
  }
}

function covers(veil: RepoPath, path: RepoPath): boolean {
  return veil === '' || path === veil || path.startsWith(`${veil}/`);
}
