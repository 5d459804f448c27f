/** What is done to groups and to who belongs to them. */
import { AppError } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import type { Tx } from '../db/database.ts';
import { deleteGrantsTo } from '../db/permission-targets.ts';
import {
  addMember,
  bumpMembers,
  createUserGroup,
  deleteUserGroup,
  getUserGroupByName,
  removeMember,
  removeMembers,
  type UserGroupRow,
  updateUserGroup,
} from '../db/user-groups.ts';
import { updateUser as updateUserRow } from '../db/users.ts';
import { type AccountDeps, changeAccounts, makeId, now, requireAdmin, requireGroup, requireUser } from './accounts.ts';
import { parseGroupName } from './user-names.ts';

export interface GroupEdit {
  readonly description?: string;
  readonly autoJoin?: boolean;
  readonly admin?: boolean;
  /** Names of all who belong to it from now on. */
  readonly members?: readonly string[];
}

const MAX_DESCRIPTION = 1024;

/** Makes a group; refuses a name that is taken as `conflict`. */
export async function createGroup(
  deps: AccountDeps,
  request: GroupEdit & { readonly name: string },
  by: Principal,
): Promise<UserGroupRow> {
  requireAdmin(by);
  const name = parseGroupName(request.name);
  return changeAccounts(deps, by, async (tx, append) => {
    if (await getUserGroupByName(tx, name)) throw new AppError('conflict', `There is a group "${name}" already.`);
    const fields = groupFields({ description: '', autoJoin: false, admin: false }, request);
    const id = makeId(deps);
    await createUserGroup(tx, { id, name, ...fields, createdAt: now(deps) });
    if (request.members) await replaceMembers(tx, id, request.members);
    await append('group.created', name);
    return requireGroup(tx, name);
  });
}

/** Changes what is named. */
export async function updateGroup(
  deps: AccountDeps,
  name: string,
  edit: GroupEdit,
  by: Principal,
): Promise<UserGroupRow> {
  requireAdmin(by);
  return changeAccounts(deps, by, async (tx, append) => {
    const group = await requireGroup(tx, name);
    const fields = groupFields(group, edit);
    await updateUserGroup(tx, group.id, fields);
    if (fields.admin !== group.admin) await bumpMembers(tx, group.id);
    if (edit.members) await replaceMembers(tx, group.id, edit.members);
    await append('group.updated', name);
    return requireGroup(tx, name);
  });
}

/** Removes a group with its memberships and grants. */
export async function deleteGroup(deps: AccountDeps, name: string, by: Principal): Promise<void> {
  requireAdmin(by);
  await changeAccounts(deps, by, async (tx, append) => {
    const group = await requireGroup(tx, name);
    await bumpMembers(tx, group.id);
    await deleteGrantsTo(tx, 'group', group.id);
    await deleteUserGroup(tx, group.id);
    await append('group.deleted', name);
  });
}

/** Adds users to and removes users from a group. */
export async function changeMembers(
  deps: AccountDeps,
  request: { readonly group: string; readonly add?: readonly string[]; readonly remove?: readonly string[] },
  by: Principal,
): Promise<void> {
  requireAdmin(by);
  await changeAccounts(deps, by, async (tx, append) => {
    const group = await requireGroup(tx, request.group);
    for (const name of request.add ?? []) {
      const user = await requireUser(tx, name);
      await addMember(tx, group.id, user.id);
      await updateUserRow(tx, user.id, {});
    }
    for (const name of request.remove ?? []) {
      const user = await requireUser(tx, name);
      await removeMember(tx, group.id, user.id);
      await updateUserRow(tx, user.id, {});
    }
    await append('group.updated', group.name);
  });
}

async function replaceMembers(tx: Tx, groupId: string, names: readonly string[]): Promise<void> {
  // Those who leave and those who come are different users afterwards; those who stay lose a proof or two.
  await bumpMembers(tx, groupId);
  await removeMembers(tx, groupId);
  for (const name of names) await addMember(tx, groupId, (await requireUser(tx, name)).id);
  await bumpMembers(tx, groupId);
}

function groupFields(
  group: Pick<UserGroupRow, 'description' | 'autoJoin' | 'admin'>,
  edit: GroupEdit,
): Pick<UserGroupRow, 'description' | 'autoJoin' | 'admin'> {
  const { description = group.description, autoJoin = group.autoJoin, admin = group.admin } = edit;
  if (autoJoin && admin) {
    throw new AppError('invalid', 'A group whose members are administrators cannot take new users by itself.');
  }
  if (description.length > MAX_DESCRIPTION) {
    throw new AppError('invalid', `The description is longer than ${MAX_DESCRIPTION} characters.`);
  }
  return { description, autoJoin, admin };
}
