/** A registry token grants at most what it was issued for; permissions are asked besides. */
import { AppError } from '../core/errors.ts';
import { joinPath, type RepoKey, type RepoPath, ROOT } from '../core/ids.ts';
import type { Action } from '../core/principal.ts';
import type { TokenAccess } from '../core/protocol.ts';
import { traceStep } from '../lib/trace.ts';
import { AccessWithin } from '../repositories/access.ts';
import type { Narrowing } from '../repositories/directory.ts';
import type { Access } from '../repositories/leaf.ts';

/**
 * What each right may be covered by. Clients ask for push when they overwrite and delete, so a token with push does
 * not stand in the way of what the permissions allow.
 */
const COVERS: Readonly<Record<Action, readonly string[]>> = {
  read: ['pull', '*'],
  annotate: ['push', '*'],
  deploy: ['push', '*'],
  delete: ['push', 'delete', '*'],
  manage: ['*'],
};

export function narrowByToken(granted: readonly TokenAccess[]): Narrowing {
  return (access: Access, repo: RepoKey): Access => new Granted(access, granted, repo);
}

class Granted extends AccessWithin {
  readonly #granted: readonly TokenAccess[];
  readonly #repo: RepoKey;

  constructor(inner: Access, granted: readonly TokenAccess[], repo: RepoKey) {
    super(inner);
    this.#granted = granted;
    this.#repo = repo;
  }

  override get readsAll(): boolean {
    return this.#covers('read', ROOT) && this.inner.readsAll;
  }

  override allows(action: Action, path: RepoPath): boolean {
    return this.#covers(action, path) && this.inner.allows(action, path);
  }

  override require(action: Action, path: RepoPath): void {
    if (!this.#covers(action, path)) {
      traceStep(`The token was not issued for ${action} at "${joinPath(this.#repo, path)}".`, 'caller');
      throw new AppError(
        'unauthenticated',
        'The token does not cover this. Ask for a token with the scope of the challenge.',
        { insufficientScope: true },
      );
    }
    this.inner.require(action, path);
  }

  /** Where the token was asked for the folder, for one above it, or for something in it. */
  override mayList(folder: RepoPath): boolean {
    return (this.#covers('read', folder) || this.#reachesBelow(folder)) && this.inner.mayList(folder);
  }

  #covers(action: Action, path: RepoPath): boolean {
    const full = joinPath(this.#repo, path);
    return this.#granted.some(
      ({ type, name, actions }) =>
        type === 'repository' && (full === name || full.startsWith(`${name}/`)) && isCovered(action, actions),
    );
  }

  #reachesBelow(folder: RepoPath): boolean {
    const above = `${joinPath(this.#repo, folder)}/`;
    return this.#granted.some(
      ({ type, name, actions }) => type === 'repository' && name.startsWith(above) && isCovered('read', actions),
    );
  }
}

function isCovered(action: Action, granted: readonly string[]): boolean {
  return granted.some((right) => COVERS[action].includes(right));
}
