/**
 * What is done to users, groups, permission targets and tokens, by the API and by commands alike. Each operation is one
 * transaction with its event; caches forget what it changed before it returns.
 */
import { randomBytes } from 'node:crypto';
import { AppError } from '../core/errors.ts';
import { clip, type RepoKey } from '../core/ids.ts';
import { isAdmin, nameOf, type Principal } from '../core/principal.ts';
import { afterCommit, type Database, lockScope, type Tx } from '../db/database.ts';
import { deleteGrantsTo, listPermissionTargets, updatePermissionTarget } from '../db/permission-targets.ts';
import { listTokensNaming, updateTokenScope } from '../db/tokens.ts';
import {
  addMember,
  addToAutoJoinGroups,
  getUserGroupByName,
  listUserGroupsOf,
  removeMember,
  type UserGroupRow,
} from '../db/user-groups.ts';
import {
  createUser as createUserRow,
  deleteUser as deleteUserRow,
  getUserByName,
  hasEnabledAdmin,
  hasUsers,
  type UserChange,
  type UserRow,
  updateUser as updateUserRow,
} from '../db/users.ts';
import { generatePassword, requirePassword } from './password-rules.ts';
import type { Passwords } from './passwords.ts';
import type { PermissionIndex } from './permission-index.ts';
import { badCredentials, type Principals } from './principals.ts';
import type { LoginThrottle } from './throttle.ts';
import type { Tokens } from './tokens.ts';
import { foldUserName, parseUserName } from './user-names.ts';

type Change = 'created' | 'updated' | 'deleted';

export interface AccountEvent {
  readonly type: `user.${Change}` | `group.${Change}` | `permission.${Change}` | 'token.created' | 'token.revoked';
  /** Name of the user, group or permission target, or id of the token. */
  readonly subject: string;
}

/** What of the event log is needed here. */
export interface EventAppender {
  append(tx: Tx, events: readonly AccountEvent[], principalName: string): Promise<void>;
}

export interface AccountDeps {
  readonly database: Database;
  readonly passwords: Passwords;
  readonly principals: Principals;
  readonly permissions: PermissionIndex;
  readonly tokens: Tokens;
  readonly throttle: LoginThrottle;
  readonly events: EventAppender;
  readonly passwordMinLength: number;
  readonly clock?: () => number;
}

export interface NewUser {
  readonly name: string;
  readonly email?: string | undefined;
  /** Undefined makes an account that can only be used with tokens. */
  readonly password?: string | undefined;
  readonly admin?: boolean;
  readonly enabled?: boolean;
  readonly groups?: readonly string[];
  /** Whether it also joins the groups that take new users; the default is that it does. */
  readonly autoJoin?: boolean;
}

export interface UserEdit {
  readonly email?: string | undefined;
  readonly admin?: boolean;
  readonly enabled?: boolean;
  /** Undefined, where it is given, leaves an account that can only be used with tokens. */
  readonly password?: string | undefined;
  /** Names of all groups it belongs to from now on. */
  readonly groups?: readonly string[];
}

/** Acts for the server itself: commands on its machine and its first start. */
export const SYSTEM: Principal = { kind: 'user', id: '', name: '_system_', groups: [], admin: true };

const ADMIN_NAME = 'admin';
const MAX_EMAIL = 254;
const PAGE = 500;

/** Creates the user `admin` if there is no user at all; returns the password if one was made up for it. */
export async function bootstrapAdmin(
  deps: AccountDeps,
  options: { readonly password?: string | undefined } = {},
): Promise<{ readonly created: boolean; readonly generatedPassword?: string }> {
  if (await deps.database.read((db) => hasUsers(db))) return { created: false };
  const generated = options.password === undefined ? generatePassword() : undefined;
  const chosen = generated ?? options.password ?? '';
  requirePassword(chosen, { userName: ADMIN_NAME, minLength: deps.passwordMinLength });
  const password = await deps.passwords.hash(chosen);
  const created = await changeAccounts(deps, SYSTEM, async (tx, append) => {
    if (await hasUsers(tx)) return false;
    const user = { id: makeId(deps), name: ADMIN_NAME, email: undefined, password, admin: true, enabled: true };
    await createUserRow(tx, { ...user, createdAt: now(deps) });
    await addToAutoJoinGroups(tx, user.id);
    await append('user.created', ADMIN_NAME);
    return true;
  });
  return { created, ...(created && generated !== undefined && { generatedPassword: generated }) };
}

/** Makes an account; refuses a name that is taken as `conflict`. */
export async function createUser(deps: AccountDeps, request: NewUser, by: Principal): Promise<UserRow> {
  requireAdmin(by);
  const name = parseUserName(request.name);
  const email = parseEmail(request.email);
  const password = await newHash(deps, name, request.password);
  return changeAccounts(deps, by, async (tx, append) => {
    if (await getUserByName(tx, name)) throw new AppError('conflict', `There is a user "${name}" already.`);
    const user = { id: makeId(deps), name, email, password, createdAt: now(deps) };
    await createUserRow(tx, { ...user, admin: request.admin ?? false, enabled: request.enabled ?? true });
    if (request.autoJoin !== false) await addToAutoJoinGroups(tx, user.id);
    for (const group of request.groups ?? []) await addMember(tx, (await requireGroup(tx, group)).id, user.id);
    await append('user.created', name);
    return requireUser(tx, name);
  });
}

/** Changes what is named; disabling an account stops its passwords and tokens at once, and it can be enabled again. */
export async function updateUser(deps: AccountDeps, name: string, edit: UserEdit, by: Principal): Promise<UserRow> {
  requireAdmin(by);
  const row: UserChange = {
    ...('email' in edit && { email: parseEmail(edit.email) }),
    ...(edit.admin !== undefined && { admin: edit.admin }),
    ...(edit.enabled !== undefined && { enabled: edit.enabled }),
    ...('password' in edit && { password: await newHash(deps, name, edit.password) }),
  };
  return changeAccounts(deps, by, async (tx, append) => {
    const user = await requireUser(tx, name);
    await updateUserRow(tx, user.id, row);
    if ('password' in edit) await deps.throttle.unlock(tx, user.name);
    if (edit.groups) await replaceMemberships(tx, user.id, edit.groups);
    await append('user.updated', user.name);
    return requireUser(tx, name);
  });
}

/** Removes an account with its tokens, memberships and grants; its name does not get them back. */
export async function deleteUser(deps: AccountDeps, name: string, by: Principal): Promise<void> {
  requireAdmin(by);
  await changeAccounts(deps, by, async (tx, append) => {
    const user = await requireUser(tx, name);
    if (by.kind === 'user' && by.id === user.id) {
      throw new AppError('forbidden', 'You cannot delete your own account. Have another administrator do it.');
    }
    await deleteGrantsTo(tx, 'user', user.id);
    await deleteUserRow(tx, user.id);
    await deps.throttle.unlock(tx, user.name);
    await append('user.deleted', user.name);
  });
}

/**
 * Sets a password. An administrator may set anybody's; others their own, with the current one. What was proven with
 * the old one is void; tokens stay unless they are revoked too. Failed logins of the account are forgotten.
 */
export async function setPassword(
  deps: AccountDeps,
  request: {
    readonly name: string;
    readonly password: string;
    readonly current?: string | undefined;
    /** The client's address, by which wrong current passwords are counted. */
    readonly peer?: string;
    readonly revokeTokens?: boolean;
  },
  by: Principal,
): Promise<void> {
  const user = await deps.database.read((db) => getUserByName(db, foldUserName(request.name) ?? ''));
  if (!isAdmin(by)) {
    if (by.kind !== 'user' || by.id !== user?.id || by.scope) {
      throw new AppError('forbidden', 'Only an administrator may set the password of another user.');
    }
    const peer = request.peer ?? '';
    await deps.throttle.admit(user.name, peer);
    const matches = await deps.passwords.verify(user.password, request.current ?? '');
    await deps.throttle.settle(user.name, peer, matches);
    if (!matches) throw badCredentials();
  }
  if (!user) throw unknownUser(request.name);
  requirePassword(request.password, { userName: user.name, minLength: deps.passwordMinLength });
  const password = await deps.passwords.hash(request.password);
  await changeAccounts(deps, by, async (tx, append) => {
    const revoked = request.revokeTokens ? { tokensValidAfter: now(deps) } : {};
    await updateUserRow(tx, user.id, { password, ...revoked });
    await deps.throttle.unlock(tx, user.name);
    await append('user.updated', user.name);
  });
}

/** Makes every token of the account void that was made before. */
export async function revokeAllTokens(deps: AccountDeps, name: string, by: Principal): Promise<void> {
  await changeAccounts(deps, by, async (tx, append) => {
    const user = await requireUser(tx, name);
    if (!isAdmin(by) && (by.kind !== 'user' || by.id !== user.id)) throw notAdmin();
    await updateUserRow(tx, user.id, { tokensValidAfter: now(deps) });
    await append('user.updated', user.name);
  });
}

/** Forgets the failed logins of an account; nothing happens for an unknown one. */
export async function unlockUser(deps: AccountDeps, name: string, by: Principal): Promise<void> {
  requireAdmin(by);
  const folded = foldUserName(name);
  if (folded === undefined) return;
  await changeAccounts(deps, by, async (tx, append) => {
    await deps.throttle.unlock(tx, folded);
    await append('user.updated', folded);
  });
}

/**
 * Takes a deleted repository out of all permission targets and token scopes, so that its namesake inherits no rights.
 * To be called in the transaction that deletes the repository.
 */
export async function forgetRepository(deps: AccountDeps, tx: Tx, repo: RepoKey): Promise<void> {
  for (const target of await listPermissionTargets(tx)) {
    if (!target.repositories.includes(repo)) continue;
    const repositories = target.repositories.filter((key) => key !== repo);
    await updatePermissionTarget(tx, target.id, { ...target, repositories });
  }
  for (let after = ''; ; ) {
    const rows = await listTokensNaming(tx, repo, { after, limit: PAGE });
    for (const row of rows) {
      const scope = row.scope?.map((entry) => ({ ...entry, repos: entry.repos.filter((key) => key !== repo) }));
      if (scope) await updateTokenScope(tx, row.id, scope);
    }
    after = rows.at(-1)?.id ?? '';
    if (rows.length < PAGE) break;
  }
  afterCommit(tx, () => {
    deps.principals.invalidate();
    deps.permissions.invalidate();
  });
}

export type Append = (type: AccountEvent['type'], subject: string) => Promise<void>;

/**
 * Changes users or groups: one change at a time on all nodes, so that what is checked still holds when it is written,
 * and never one that leaves nobody to undo it.
 */
export function changeAccounts<T>(
  deps: AccountDeps,
  by: Principal,
  work: (tx: Tx, append: Append) => Promise<T>,
): Promise<T> {
  return change(deps, by, async (tx, append) => {
    await lockScope(tx, 'accounts');
    const hadAdmin = await hasEnabledAdmin(tx);
    const result = await work(tx, append);
    if (hadAdmin && !(await hasEnabledAdmin(tx))) {
      throw new AppError(
        'forbidden',
        'This would leave nobody to administer the server. Make another administrator first.',
      );
    }
    afterCommit(tx, () => deps.principals.invalidate());
    return result;
  });
}

export function change<T>(deps: AccountDeps, by: Principal, work: (tx: Tx, append: Append) => Promise<T>): Promise<T> {
  const principal = nameOf(by);
  return deps.database.transaction((tx) =>
    work(tx, (type, subject) => deps.events.append(tx, [{ type, subject }], principal)),
  );
}

export function now(deps: AccountDeps): number {
  return (deps.clock ?? Date.now)();
}

/** Ordered by time, so that rows made one after another lie beside each other. */
export function makeId(deps: AccountDeps): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now(deps), 0, 6);
  bytes.writeUInt8(((bytes[6] ?? 0) & 0x0f) | 0x70, 6);
  bytes.writeUInt8(((bytes[8] ?? 0) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export function requireAdmin(by: Principal): void {
  if (by.kind === 'anonymous') throw new AppError('unauthenticated', 'Authentication is required.');
  if (!isAdmin(by)) throw notAdmin();
}

function notAdmin(): AppError {
  return new AppError('forbidden', 'Only an administrator may do this, and not with a token of narrower scope.');
}

export function unknownUser(name: string): AppError {
  return new AppError('not_found', `There is no user "${clip(name)}".`);
}

export async function requireUser(tx: Tx, name: string): Promise<UserRow> {
  const user = await getUserByName(tx, foldUserName(name) ?? '');
  if (!user) throw unknownUser(name);
  return user;
}

export async function requireGroup(tx: Tx, name: string): Promise<UserGroupRow> {
  const group = await getUserGroupByName(tx, name);
  if (!group) throw new AppError('not_found', `There is no group "${clip(name)}".`);
  return group;
}

/** The hash of a password that may be chosen; undefined for none. */
async function newHash(deps: AccountDeps, userName: string, password: string | undefined): Promise<string | undefined> {
  if (password === undefined) return undefined;
  requirePassword(password, { userName, minLength: deps.passwordMinLength });
  return deps.passwords.hash(password);
}

async function replaceMemberships(tx: Tx, userId: string, names: readonly string[]): Promise<void> {
  const wanted = new Map<string, UserGroupRow>();
  for (const name of names) wanted.set(name, await requireGroup(tx, name));
  for (const held of await listUserGroupsOf(tx, userId)) {
    if (!wanted.delete(held.name)) await removeMember(tx, held.id, userId);
  }
  for (const group of wanted.values()) await addMember(tx, group.id, userId);
}

function parseEmail(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (text.length > MAX_EMAIL || !/^[^\s@\u0000-\u001f\u007f<>]+@[^\s@\u0000-\u001f\u007f<>]+$/.test(text)) {
    throw new AppError('invalid', `"${clip(text)}" is no e-mail address.`);
  }
  return text;
}
