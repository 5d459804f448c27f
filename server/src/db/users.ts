/** Rows of user accounts. */
import type { Selectable } from 'kysely';
import type { Db, Tx } from './database.ts';
import type { UserTable } from './schema.ts';

export interface UserRow {
  readonly id: string;
  readonly name: string;
  readonly email: string | undefined;
  /** Argon2id in the PHC string form; undefined for accounts that have none. */
  readonly password: string | undefined;
  readonly admin: boolean;
  readonly enabled: boolean;
  readonly tokensValidAfter: number;
  readonly version: number;
  readonly createdAt: number;
  readonly lastLoginAt: number | undefined;
}

export interface UserChange {
  readonly email?: string | undefined;
  readonly password?: string | undefined;
  readonly admin?: boolean;
  readonly enabled?: boolean;
  readonly tokensValidAfter?: number;
}

export async function getUser(db: Db, id: string): Promise<UserRow | undefined> {
  const row = await db.selectFrom('user').selectAll().where('id', '=', id).executeTakeFirst();
  return row && userRow(row);
}

export async function getUserByName(db: Db, name: string): Promise<UserRow | undefined> {
  const row = await db.selectFrom('user').selectAll().where('name', '=', name).executeTakeFirst();
  return row && userRow(row);
}

/** By name; `after` is the last name of the page before. */
export async function listUsers(db: Db, page: { readonly after?: string; readonly limit: number }): Promise<UserRow[]> {
  const rows = await db
    .selectFrom('user')
    .selectAll()
    .where('name', '>', page.after ?? '')
    .orderBy('name')
    .limit(page.limit)
    .execute();
  return rows.map(userRow);
}

/** Whether there is any account at all. */
export async function hasUsers(db: Db): Promise<boolean> {
  return (await db.selectFrom('user').select('id').limit(1).executeTakeFirst()) !== undefined;
}

/** Whether anybody can still administer the server: by their own flag or through a group. */
export async function hasEnabledAdmin(db: Db): Promise<boolean> {
  const row = await db
    .selectFrom('user')
    .leftJoin('user_group_member', 'user_group_member.user_id', 'user.id')
    .leftJoin('user_group', 'user_group.id', 'user_group_member.group_id')
    .select('user.id')
    .where('user.enabled', '=', 1)
    .where((where) => where.or([where('user.admin', '=', 1), where('user_group.admin', '=', 1)]))
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

export async function createUser(
  tx: Tx,
  user: Omit<UserRow, 'tokensValidAfter' | 'version' | 'lastLoginAt'>,
): Promise<void> {
  await tx
    .insertInto('user')
    .values({
      id: user.id,
      name: user.name,
      email: user.email ?? null,
      password: user.password ?? null,
      admin: user.admin ? 1 : 0,
      enabled: user.enabled ? 1 : 0,
      tokens_valid_after: 0,
      version: 1,
      created_at: user.createdAt,
      last_login_at: null,
    })
    .execute();
}

/** Changes what is named and makes everything that was proven for the old version of the account void. */
export async function updateUser(tx: Tx, id: string, change: UserChange): Promise<void> {
  await tx
    .updateTable('user')
    .set((set) => ({
      version: set('version', '+', 1),
      ...('email' in change && { email: change.email ?? null }),
      ...('password' in change && { password: change.password ?? null }),
      ...(change.admin !== undefined && { admin: change.admin ? 1 : 0 }),
      ...(change.enabled !== undefined && { enabled: change.enabled ? 1 : 0 }),
      ...(change.tokensValidAfter !== undefined && { tokens_valid_after: change.tokensValidAfter }),
    }))
    .where('id', '=', id)
    .execute();
}

/** Replaces the hash of an unchanged password, unless the password was changed meanwhile. */
export async function updatePasswordHash(tx: Tx, id: string, hashes: { readonly old: string; readonly new: string }) {
  await tx
    .updateTable('user')
    .set({ password: hashes.new })
    .where('id', '=', id)
    .where('password', '=', hashes.old)
    .execute();
}

export async function updateLastLogin(tx: Tx, id: string, at: number): Promise<void> {
  await tx.updateTable('user').set({ last_login_at: at }).where('id', '=', id).execute();
}

/** Removes the account with its tokens and memberships; grants to it are the caller's to remove. */
export async function deleteUser(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('user').where('id', '=', id).execute();
}

function userRow(row: Selectable<UserTable>): UserRow {
  return {
    id: row.id,
    name: row.name,
    email: row.email ?? undefined,
    password: row.password ?? undefined,
    admin: row.admin === 1,
    enabled: row.enabled === 1,
    tokensValidAfter: row.tokens_valid_after,
    version: row.version,
    createdAt: row.created_at,
    lastLoginAt: row.last_login_at ?? undefined,
  };
}
