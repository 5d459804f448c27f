/** Rows of user groups and who belongs to them. */
import type { Selectable } from 'kysely';
import type { Db, Tx } from './database.ts';
import type { UserGroupTable } from './schema.ts';

export interface UserGroupRow {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  /** Whether new users become members by themselves. */
  readonly autoJoin: boolean;
  /** Whether members administer the server. */
  readonly admin: boolean;
  readonly createdAt: number;
}

export async function getUserGroup(db: Db, id: string): Promise<UserGroupRow | undefined> {
  const row = await db.selectFrom('user_group').selectAll().where('id', '=', id).executeTakeFirst();
  return row && groupRow(row);
}

export async function getUserGroupByName(db: Db, name: string): Promise<UserGroupRow | undefined> {
  const row = await db.selectFrom('user_group').selectAll().where('name', '=', name).executeTakeFirst();
  return row && groupRow(row);
}

/** By name; `after` is the last name of the page before. */
export async function listUserGroups(
  db: Db,
  page: { readonly after?: string; readonly limit: number },
): Promise<UserGroupRow[]> {
  const rows = await db
    .selectFrom('user_group')
    .selectAll()
    .where('name', '>', page.after ?? '')
    .orderBy('name')
    .limit(page.limit)
    .execute();
  return rows.map(groupRow);
}

/** The groups a user belongs to, by name. */
export async function listUserGroupsOf(db: Db, userId: string): Promise<UserGroupRow[]> {
  const rows = await db
    .selectFrom('user_group_member')
    .innerJoin('user_group', 'user_group.id', 'user_group_member.group_id')
    .selectAll('user_group')
    .where('user_group_member.user_id', '=', userId)
    .orderBy('user_group.name')
    .limit(1000)
    .execute();
  return rows.map(groupRow);
}

/** Names of the members, in order; `after` is the last name of the page before. */
export async function listMemberNames(
  db: Db,
  groupId: string,
  page: { readonly after?: string; readonly limit: number },
): Promise<string[]> {
  const rows = await db
    .selectFrom('user_group_member')
    .innerJoin('user', 'user.id', 'user_group_member.user_id')
    .select('user.name')
    .where('user_group_member.group_id', '=', groupId)
    .where('user.name', '>', page.after ?? '')
    .orderBy('user.name')
    .limit(page.limit)
    .execute();
  return rows.map((row) => row.name);
}

export async function createUserGroup(tx: Tx, group: UserGroupRow): Promise<void> {
  await tx
    .insertInto('user_group')
    .values({
      id: group.id,
      name: group.name,
      description: group.description,
      auto_join: group.autoJoin ? 1 : 0,
      admin: group.admin ? 1 : 0,
      created_at: group.createdAt,
    })
    .execute();
}

export async function updateUserGroup(
  tx: Tx,
  id: string,
  change: Pick<UserGroupRow, 'description' | 'autoJoin' | 'admin'>,
): Promise<void> {
  await tx
    .updateTable('user_group')
    .set({ description: change.description, auto_join: change.autoJoin ? 1 : 0, admin: change.admin ? 1 : 0 })
    .where('id', '=', id)
    .execute();
}

/** Removes the group with its memberships; grants to it are the caller's to remove. */
export async function deleteUserGroup(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('user_group').where('id', '=', id).execute();
}

/** Makes every member's earlier proofs void, as their rights change with the group's. */
export async function bumpMembers(tx: Tx, groupId: string): Promise<void> {
  await tx
    .updateTable('user')
    .set((set) => ({ version: set('version', '+', 1) }))
    .where('id', 'in', (members) =>
      members.selectFrom('user_group_member').select('user_id').where('group_id', '=', groupId),
    )
    .execute();
}

export async function addMember(tx: Tx, groupId: string, userId: string): Promise<void> {
  await tx
    .insertInto('user_group_member')
    .values({ group_id: groupId, user_id: userId })
    .onConflict((conflict) => conflict.columns(['group_id', 'user_id']).doNothing())
    .execute();
}

export async function removeMember(tx: Tx, groupId: string, userId: string): Promise<void> {
  await tx.deleteFrom('user_group_member').where('group_id', '=', groupId).where('user_id', '=', userId).execute();
}

export async function removeMembers(tx: Tx, groupId: string): Promise<void> {
  await tx.deleteFrom('user_group_member').where('group_id', '=', groupId).execute();
}

/** Enters a new user in every group that takes new users. */
export async function addToAutoJoinGroups(tx: Tx, userId: string): Promise<void> {
  await tx
    .insertInto('user_group_member')
    .columns(['group_id', 'user_id'])
    .expression((from) =>
      from
        .selectFrom('user_group')
        .select((select) => ['user_group.id', select.val(userId).as('user_id')])
        .where('auto_join', '=', 1),
    )
    .execute();
}

function groupRow(row: Selectable<UserGroupTable>): UserGroupRow {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    autoJoin: row.auto_join === 1,
    admin: row.admin === 1,
    createdAt: row.created_at,
  };
}
