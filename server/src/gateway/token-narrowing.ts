/** A registry token grants at most what it was issued for; permissions are asked besides. */
import { AppError } from '../core/errors.ts';
import { joinPath, type RepoKey, type RepoPath, ROOT } from '../core/ids.ts';
import type { Action } from '../core/principal.ts';
import type { TokenAccess } from '../core/protocol.ts';
import { traceStep } from '../lib/trace.ts';
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
  return (access: Access, repo: RepoKey): Access => {
    const covers = (action: Action, path: RepoPath) => {
      const full = joinPath(repo, path);
      return granted.some(
        ({ type, name, actions }) =>
          type === 'repository' &&
          (full === name || full.startsWith(`${name}/`)) &&
          actions.some((granted) => COVERS[action].includes(granted)),
      );
    };
    /** Whether the token was asked for the folder, for one above it, or for something in it. */
    const reaches = (folder: RepoPath) =>
      covers('read', folder) ||
      granted.some(
        ({ type, name, actions }) =>
          type === 'repository' &&
          name.startsWith(`${joinPath(repo, folder)}/`) &&
          actions.some((granted) => COVERS.read.includes(granted)),
      );
    return {
      ...access,
      mayList: (folder) => reaches(folder) && access.mayList(folder),
      get mayWrite() {
        return access.mayWrite;
      },
      get readsAll() {
        return covers('read', ROOT) && access.readsAll;
      },
      get readablePrefixes() {
        return access.readablePrefixes;
      },
      allows: (action, path) => covers(action, path) && access.allows(action, path),
      require(action, path) {
        if (!covers(action, path)) {
          traceStep(`The token was not issued for ${action} at "${joinPath(repo, path)}".`, 'caller');
          throw new AppError(
            'unauthenticated',
            'The token does not cover this. Ask for a token with the scope of the challenge.',
            { insufficientScope: true },
          );
        }
        access.require(action, path);
      },
    };
  };
}
