/** What is done to permission targets, and by whom it may be. */
import { compileAntPattern } from '../core/ant-pattern.ts';
import { AppError } from '../core/errors.ts';
import { clip, type RepoKey } from '../core/ids.ts';
import { ACTIONS, type Action, isAdmin, type Principal } from '../core/principal.ts';
import { afterCommit, lockScope, type Tx } from '../db/database.ts';
import {
  createPermissionTarget,
  deletePermissionTarget as deletePermissionTargetRow,
  type GrantRow,
  getPermissionTarget,
  type PermissionTargetRow,
  updatePermissionTarget,
} from '../db/permission-targets.ts';
import { type AccountDeps, type Append, change, requireGroup, requireUser } from './accounts.ts';
import type { PermissionIndex } from './permission-index.ts';
import { ANONYMOUS_SUBJECT, isWordForMany, parseTargetRepository } from './permissions.ts';

/** A permission target with users and groups by name. */
export interface PermissionTargetEdit {
  readonly name: string;
  readonly repositories: readonly string[];
  readonly includes: readonly string[];
  readonly excludes: readonly string[];
  readonly grants: readonly {
    readonly kind: 'user' | 'group';
    readonly name: string;
    readonly actions: readonly Action[];
  }[];
  /** Whether one of this name is refused; by default it is replaced. */
  readonly mustBeNew?: boolean;
}

const MAX_LIST = 1000;

/**
 * Makes or replaces a permission target. Besides administrators, whoever manages all its repositories may, before and
 * after the change, give what they hold there themselves.
 */
export async function putPermissionTarget(
  deps: AccountDeps,
  edit: PermissionTargetEdit,
  by: Principal,
): Promise<{ readonly created: boolean }> {
  const name = parseTargetName(edit.name);
  const fields = parseTarget(edit);
  return changeRights(deps, by, async (tx, append) => {
    // Before any name is looked up: who may not grant learns nothing about who exists.
    requireMayGrant(deps.permissions, by, { repositories: fields.repositories, grants: edit.grants });
    const before = await getPermissionTarget(tx, name);
    if (before) requireMayGrant(deps.permissions, by, before);
    if (edit.mustBeNew && before) {
      throw new AppError('conflict', `There is a permission target "${name}" already.`);
    }
    const grants: GrantRow[] = [];
    for (const grant of edit.grants) grants.push(await resolveGrant(tx, grant));
    requireDistinctSubjects(grants);
    const target = { name, ...fields, grants };
    if (before) await updatePermissionTarget(tx, before.id, target);
    else await createPermissionTarget(tx, target);
    await append(before ? 'permission.updated' : 'permission.created', name);
    return { created: !before };
  });
}

/** Removes a permission target; who may change it may. */
export async function deletePermissionTarget(deps: AccountDeps, name: string, by: Principal): Promise<void> {
  await changeRights(deps, by, async (tx, append) => {
    const target = await getPermissionTarget(tx, name);
    if (!target) throw unknownTarget(name);
    requireMayGrant(deps.permissions, by, target);
    await deletePermissionTargetRow(tx, target.id);
    await append('permission.deleted', name);
  });
}

/**
 * Nobody grants what they do not hold: throws `forbidden` unless the principal is an administrator without a narrowing
 * token, or may manage every repository of the target and holds there every action it gives.
 */
export function requireMayGrant(
  permissions: PermissionIndex,
  by: Principal,
  target: {
    readonly repositories: readonly string[];
    readonly grants: readonly { readonly actions: readonly Action[] }[];
  },
): void {
  if (by.kind === 'anonymous') throw new AppError('unauthenticated', 'Authentication is required to set permissions.');
  if (isAdmin(by)) return;
  if (target.repositories.length === 0) {
    throw new AppError('forbidden', 'Only an administrator may set permissions that name no repository.');
  }
  const actions = new Set<Action>(['manage', ...target.grants.flatMap((grant) => grant.actions)]);
  for (const repository of target.repositories) {
    // A word for many repositories also stands for those to come, so nobody can hold it but an administrator.
    const holds =
      !isWordForMany(repository) &&
      [...actions].every((action) => permissions.holds(by, action, repository as RepoKey));
    if (!holds) {
      throw new AppError(
        'forbidden',
        `You may not set permissions on "${clip(repository)}": you need to manage it and to hold every right you give.`,
      );
    }
  }
}

/** Changes permission targets, one change at a time; the new rights are in force when it returns. */
async function changeRights<T>(
  deps: AccountDeps,
  by: Principal,
  work: (tx: Tx, append: Append) => Promise<T>,
): Promise<T> {
  await deps.permissions.refresh();
  const result = await change(deps, by, async (tx, append) => {
    await lockScope(tx, 'accounts');
    afterCommit(tx, () => deps.permissions.invalidate());
    return work(tx, append);
  });
  await deps.permissions.refresh();
  return result;
}

async function resolveGrant(tx: Tx, grant: PermissionTargetEdit['grants'][number]): Promise<GrantRow> {
  const actions = ACTIONS.filter((action) => grant.actions.includes(action));
  if (grant.kind === 'group') return { kind: 'group', subject: (await requireGroup(tx, grant.name)).id, actions };
  if (grant.name === ANONYMOUS_SUBJECT) return { kind: 'user', subject: ANONYMOUS_SUBJECT, actions };
  return { kind: 'user', subject: (await requireUser(tx, grant.name)).id, actions };
}

function requireDistinctSubjects(grants: readonly GrantRow[]): void {
  const subjects = new Set(grants.map((grant) => `${grant.kind} ${grant.subject}`));
  if (subjects.size !== grants.length) {
    throw new AppError('invalid', 'A permission target names a user or group twice.');
  }
}

function unknownTarget(name: string): AppError {
  return new AppError('not_found', `There is no permission target "${clip(name)}".`);
}

function parseTargetName(text: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9._@+ -]{0,127}$/.test(text)) {
    throw new AppError(
      'invalid',
      `"${clip(text)}" cannot be the name of a permission target: use up to 128 letters, digits, spaces, ".", "_", "@", "+" or "-".`,
    );
  }
  return text;
}

function parseTarget(edit: PermissionTargetEdit): Pick<PermissionTargetRow, 'repositories' | 'includes' | 'excludes'> {
  const { repositories, includes, excludes, grants } = edit;
  if ([repositories, includes, excludes, grants].some((list) => list.length > MAX_LIST)) {
    throw new AppError('invalid', `A permission target has more than ${MAX_LIST} repositories, patterns or grants.`);
  }
  for (const pattern of [...includes, ...excludes]) compileAntPattern(pattern);
  return {
    repositories: [...new Set(repositories.map(parseTargetRepository))],
    includes: includes.length === 0 ? ['**'] : [...new Set(includes)],
    excludes: [...new Set(excludes)],
  };
}
