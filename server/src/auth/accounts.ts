/**
 * What is done to users, groups, permission targets and tokens, by the API and by commands alike. Each operation is one
 * transaction with its event; caches forget what it changed before it returns.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { AppError } from '../core/errors.ts';
import { clip, type RepoKey } from '../core/ids.ts';
import { ACTIONS, type Action, nameOf, type Principal, type TokenScope } from '../core/principal.ts';
import { afterCommit, type Database, lockScope, type Tx } from '../db/database.ts';
import {
  createPermissionTarget,
  deleteGrantsTo,
  deletePermissionTarget as deletePermissionTargetRow,
  type GrantRow,
  getPermissionTarget,
  listPermissionTargets,
  type PermissionTargetRow,
  updatePermissionTarget,
} from '../db/permission-targets.ts';
import {
  createToken as createTokenRow,
  deleteToken,
  getToken,
  listTokens as listTokenRows,
  listTokensNaming,
  type TokenRow,
  updateTokenScope,
} from '../db/tokens.ts';
import {
  addMember,
  addToAutoJoinGroups,
  bumpMembers,
  createUserGroup,
  deleteUserGroup,
  getUserGroupByName,
  listUserGroupsOf,
  removeMember,
  type UserGroupRow,
  updateUserGroup,
} from '../db/user-groups.ts';
import {
  createUser as createUserRow,
  deleteUser as deleteUserRow,
  getUser,
  getUserByName,
  hasEnabledAdmin,
  hasUsers,
  type UserChange,
  type UserRow,
  updateUser as updateUserRow,
} from '../db/users.ts';
import { compileAntPattern } from '../lib/ant-pattern.ts';
import type { Passwords } from './passwords.ts';
import { ANONYMOUS_SUBJECT, type PermissionIndex, parseTargetRepository } from './permissions.ts';
import { badCredentials, type Principals } from './principals.ts';
import type { LoginThrottle } from './throttle.ts';
import { requireUsableScope } from './token-scopes.ts';
import { looksLikeToken, type Tokens } from './tokens.ts';
import { foldUserName, parseGroupName, parseUserName } from './user-names.ts';

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
  /** Names of all groups it belongs to from now on. */
  readonly groups?: readonly string[];
}

export interface GroupEdit {
  readonly description?: string;
  readonly autoJoin?: boolean;
  readonly admin?: boolean;
}

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
}

export interface TokenRequest {
  /** Whose token; the caller's own by default. Only an administrator makes others'. */
  readonly userName?: string | undefined;
  readonly scope?: TokenScope | undefined;
  readonly description?: string | undefined;
  /** 0 makes a token that does not expire, for administrators only. */
  readonly expiresInSeconds?: number | undefined;
  /** Whether the short form is made too; the default is the signed form alone. */
  readonly reference?: boolean;
  readonly signed?: boolean;
  /** The token the caller authenticated with: what is made of it lives no longer. */
  readonly parentTokenId?: string | undefined;
}

export interface CreatedToken {
  readonly tokenId: string;
  readonly userName: string;
  readonly accessToken?: string;
  readonly referenceToken?: string;
  readonly scope: TokenScope | undefined;
  /** Undefined for a token that does not expire. */
  readonly expiresInSeconds: number | undefined;
}

/** Acts for the server itself: commands on its machine and its first start. */
export const SYSTEM: Principal = { kind: 'user', id: '', name: '_system_', groups: [], admin: true };

export const DEFAULT_TOKEN_SECONDS = 3600;
/** The longest life of a token that is made without an administrator. */
export const MAX_TOKEN_SECONDS = 366 * 86_400;

const ADMIN_NAME = 'admin';
const GENERATED_LENGTH = 24;
/** Without those that are easily taken for one another. */
const GENERATED_ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789';
const MAX_PASSWORD_BYTES = 1024;
const MAX_DESCRIPTION = 1024;
const MAX_EMAIL = 254;
const MAX_LIST = 1000;
const MAX_SECONDS = 100 * 365 * 86_400;
const PAGE = 500;

/** Words that are tried first; a password may not be one of them with digits or signs around it. */
const TRIVIAL_WORDS = new Set(
  (
    'password passw0rd passwort admin administrator artifactory entrepot jfrog docker registry repository letmein ' +
    'welcome changeme secret qwerty qwertyui qwertyuiop qwertz asdfghjk iloveyou monkey dragon football baseball ' +
    'superman batman trustno sunshine princess default test tester testing guest root toor user login master access ' +
    'changeit hello helloworld abc abcd abcdef abcdefg abcdefgh'
  ).split(' '),
);

/** Creates the user `admin` if there is no user at all; returns the password if one was made up for it. */
export async function bootstrapAdmin(
  deps: AccountDeps,
  options: { readonly password?: string | undefined } = {},
): Promise<{ readonly created: boolean; readonly generatedPassword?: string }> {
  if (await deps.database.read((db) => hasUsers(db))) return { created: false };
  const generated = options.password === undefined ? generatePassword() : undefined;
  const chosen = generated ?? options.password ?? '';
  requirePassword(deps, chosen, ADMIN_NAME);
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
  if (request.password !== undefined) requirePassword(deps, request.password, name);
  const password = request.password === undefined ? undefined : await deps.passwords.hash(request.password);
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
  };
  return changeAccounts(deps, by, async (tx, append) => {
    const user = await requireUser(tx, name);
    await updateUserRow(tx, user.id, row);
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
  requirePassword(deps, request.password, user.name);
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
    await createUserGroup(tx, { id: makeId(deps), name, ...fields, createdAt: now(deps) });
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
    const before = await getPermissionTarget(tx, name);
    if (before) requireMayGrant(deps.permissions, by, before);
    const grants: GrantRow[] = [];
    for (const grant of edit.grants) grants.push(await resolveGrant(tx, grant));
    const target = { name, ...fields, grants };
    requireMayGrant(deps.permissions, by, target);
    requireDistinctSubjects(grants);
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
    if (!target) throw new AppError('not_found', `There is no permission target "${clip(name)}".`);
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
  target: Pick<PermissionTargetRow, 'repositories' | 'grants'>,
): void {
  if (isAdmin(by)) return;
  const actions = new Set<Action>(['manage', ...target.grants.flatMap((grant) => grant.actions)]);
  for (const repository of target.repositories) {
    // A word for many repositories also stands for those to come, so nobody can hold it but an administrator.
    const holds =
      !repository.startsWith('ANY') &&
      [...actions].every((action) => permissions.holds(by, action, repository as RepoKey));
    if (!holds) {
      throw new AppError(
        'forbidden',
        `You may not set permissions on "${clip(repository)}": you need to manage it and to hold every right you give.`,
      );
    }
  }
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

/**
 * Makes a token for the caller or, as an administrator, for another user. It never gives more than the caller has: a
 * narrowed caller makes only tokens narrowed in the same way, and none outlives the one it was made with.
 */
export async function createToken(deps: AccountDeps, request: TokenRequest, by: Principal): Promise<CreatedToken> {
  if (by.kind !== 'user') throw new AppError('unauthenticated', 'Authentication is required to make a token.');
  const owner = await deps.database.read((db) => getUserByName(db, foldUserName(request.userName ?? by.name) ?? ''));
  if (owner?.id !== by.id && !isAdmin(by)) {
    throw new AppError('forbidden', 'Only an administrator may make a token for another user.');
  }
  if (!owner?.enabled) throw unknownUser(request.userName ?? by.name);
  const scope = request.scope ?? by.scope;
  if (scope) requireUsableScope(scope);
  if (by.scope && !isWithin(scope ?? [], by.scope)) {
    throw new AppError('forbidden', 'A token cannot be used to make one that may do more than itself.');
  }
  const description = request.description ?? '';
  if (description.length > MAX_DESCRIPTION) {
    throw new AppError('invalid', `The description is longer than ${MAX_DESCRIPTION} characters.`);
  }
  const expiresInSeconds = await lifeOf(deps, request, by);
  const wanted = { user: owner, scope, description, expiresInSeconds };
  const forms = { signed: request.signed ?? true, reference: request.reference ?? false };
  if (!forms.signed && !forms.reference) throw new AppError('invalid', 'A token needs at least one form.');
  const prepared = await deps.tokens.prepare({ ...wanted, ...forms });
  await change(deps, by, async (tx, append) => {
    if (!(await getUser(tx, owner.id))?.enabled) throw unknownUser(owner.name);
    if (!(await createTokenRow(tx, prepared.row))) {
      throw new AppError('conflict', 'The token could not be made this time. Try again.');
    }
    await append('token.created', prepared.row.id);
  });
  const { accessToken, referenceToken } = prepared;
  return {
    tokenId: prepared.row.id,
    userName: owner.name,
    scope,
    expiresInSeconds,
    ...(accessToken !== undefined && { accessToken }),
    ...(referenceToken !== undefined && { referenceToken }),
  };
}

/** The caller's own tokens, or as an administrator those of a user or of all; by id, in pages. */
export async function listTokens(
  deps: AccountDeps,
  request: { readonly userName?: string | undefined; readonly after?: string | undefined; readonly limit?: number },
  by: Principal,
): Promise<readonly (TokenRow & { readonly userName: string })[]> {
  if (by.kind !== 'user') throw new AppError('unauthenticated', 'Authentication is required to list tokens.');
  return deps.database.read(async (db) => {
    const named =
      request.userName === undefined ? undefined : await getUserByName(db, foldUserName(request.userName) ?? '');
    if (request.userName !== undefined && !named) return [];
    if (!isAdmin(by) && named && named.id !== by.id) return [];
    const userId = isAdmin(by) ? named?.id : by.id;
    const rows = await listTokenRows(db, {
      userId,
      after: request.after,
      limit: Math.min(request.limit ?? MAX_LIST, MAX_LIST),
    });
    const names = new Map<string, string>();
    for (const row of rows) {
      if (!names.has(row.userId)) names.set(row.userId, (await getUser(db, row.userId))?.name ?? '');
    }
    return rows.map((row) => ({ ...row, userName: names.get(row.userId) ?? '' }));
  });
}

/** Revokes a token of the caller's or, as an administrator, any; `not_found` also for one the caller may not know. */
export async function revokeToken(deps: AccountDeps, id: string, by: Principal): Promise<void> {
  await change(deps, by, async (tx, append) => {
    const row = await getToken(tx, id);
    if (!row || by.kind !== 'user' || (row.userId !== by.id && !isAdmin(by))) {
      throw new AppError('not_found', `There is no token "${clip(id)}".`);
    }
    await deleteToken(tx, id);
    afterCommit(tx, () => deps.principals.invalidate());
    await append('token.revoked', id);
  });
}

type Append = (type: AccountEvent['type'], subject: string) => Promise<void>;

/**
 * Changes users or groups: one change at a time on all nodes, so that what is checked still holds when it is written,
 * and never one that leaves nobody to undo it.
 */
function changeAccounts<T>(deps: AccountDeps, by: Principal, work: (tx: Tx, append: Append) => Promise<T>): Promise<T> {
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

function change<T>(deps: AccountDeps, by: Principal, work: (tx: Tx, append: Append) => Promise<T>): Promise<T> {
  const principal = nameOf(by);
  return deps.database.transaction((tx) =>
    work(tx, (type, subject) => deps.events.append(tx, [{ type, subject }], principal)),
  );
}

function now(deps: AccountDeps): number {
  return (deps.clock ?? Date.now)();
}

/** Ordered by time, so that rows made one after another lie beside each other. */
function makeId(deps: AccountDeps): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now(deps), 0, 6);
  bytes.writeUInt8(((bytes[6] ?? 0) & 0x0f) | 0x70, 6);
  bytes.writeUInt8(((bytes[8] ?? 0) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function isAdmin(by: Principal): boolean {
  return by.kind === 'user' && by.admin && by.scope === undefined;
}

function requireAdmin(by: Principal): void {
  if (by.kind === 'anonymous') throw new AppError('unauthenticated', 'Authentication is required.');
  if (!isAdmin(by)) throw notAdmin();
}

function notAdmin(): AppError {
  return new AppError('forbidden', 'Only an administrator may do this, and not with a token of narrower scope.');
}

function unknownUser(name: string): AppError {
  return new AppError('not_found', `There is no user "${clip(name)}".`);
}

async function requireUser(tx: Tx, name: string): Promise<UserRow> {
  const user = await getUserByName(tx, foldUserName(name) ?? '');
  if (!user) throw unknownUser(name);
  return user;
}

async function requireGroup(tx: Tx, name: string): Promise<UserGroupRow> {
  const group = await getUserGroupByName(tx, name);
  if (!group) throw new AppError('not_found', `There is no group "${clip(name)}".`);
  return group;
}

async function replaceMemberships(tx: Tx, userId: string, names: readonly string[]): Promise<void> {
  const wanted = new Map<string, UserGroupRow>();
  for (const name of names) wanted.set(name, await requireGroup(tx, name));
  for (const held of await listUserGroupsOf(tx, userId)) {
    if (!wanted.delete(held.name)) await removeMember(tx, held.id, userId);
  }
  for (const group of wanted.values()) await addMember(tx, group.id, userId);
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

function parseEmail(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (text.length > MAX_EMAIL || !/^[^\s@\u0000-\u001f\u007f<>]+@[^\s@\u0000-\u001f\u007f<>]+$/.test(text)) {
    throw new AppError('invalid', `"${clip(text)}" is no e-mail address.`);
  }
  return text;
}

/** Refuses, as `invalid`, what anybody would try first. The words are never echoed. */
function requirePassword(deps: AccountDeps, password: string, name: string): void {
  const minimum = deps.passwordMinLength;
  if ([...password].length < minimum) {
    throw new AppError('invalid', `The password is too short: at least ${minimum} characters are needed.`);
  }
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    throw new AppError('invalid', `The password is longer than ${MAX_PASSWORD_BYTES} bytes.`);
  }
  if (/[\u0000-\u001f\u007f]/.test(password) || !password.isWellFormed()) {
    throw new AppError('invalid', 'The password holds a control character, which many clients cannot send.');
  }
  if (looksLikeToken(password)) {
    throw new AppError('invalid', 'The password has the form of a token. Choose another one.');
  }
  if (isTrivial(password.toLowerCase(), name)) {
    throw new AppError('invalid', 'The password is one that is tried first. Choose one that nobody would guess.');
  }
}

function isTrivial(password: string, name: string): boolean {
  if (new Set(password).size <= 2) return true;
  if ('01234567890123456789'.includes(password) || '98765432109876543210'.includes(password)) return true;
  const letters = password.replace(/[^\p{L}]/gu, '');
  const core = password.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, '');
  const words = [letters, core, password, letters.slice(0, letters.length / 2)];
  const doubled = letters === letters.slice(0, letters.length / 2).repeat(2);
  return words.some((word, i) => (i < 3 || doubled) && (TRIVIAL_WORDS.has(word) || word === name.toLowerCase()));
}

function generatePassword(): string {
  return Array.from({ length: GENERATED_LENGTH }, () => GENERATED_ALPHABET[randomInt(GENERATED_ALPHABET.length)]).join(
    '',
  );
}

/** Whether each entry of a scope lies within one entry of another; patterns count as within only if they are equal. */
function isWithin(inner: TokenScope, outer: TokenScope): boolean {
  return inner.every((entry) =>
    outer.some(
      (bound) =>
        entry.actions.every((action) => bound.actions.includes(action)) &&
        entry.repos.every((repo) => bound.repos.includes('*') || bound.repos.includes(repo)) &&
        entry.paths.every((path) => bound.paths.includes('**') || bound.paths.includes(path)),
    ),
  );
}

async function lifeOf(deps: AccountDeps, request: TokenRequest, by: Principal): Promise<number | undefined> {
  const asked = request.expiresInSeconds ?? DEFAULT_TOKEN_SECONDS;
  if (!Number.isSafeInteger(asked) || asked < 0 || asked > MAX_SECONDS) {
    throw new AppError('invalid', 'The life of a token must be a whole number of seconds, 0 or more.');
  }
  if (!isAdmin(by) && (asked === 0 || asked > MAX_TOKEN_SECONDS)) {
    throw new AppError(
      'forbidden',
      `Only an administrator may make a token that lives longer than ${MAX_TOKEN_SECONDS} seconds.`,
    );
  }
  const life = asked === 0 ? undefined : asked;
  if (request.parentTokenId === undefined) return life;
  const parentId = request.parentTokenId;
  const parent = await deps.database.read((db) => getToken(db, parentId));
  if (!parent) throw badCredentials();
  if (parent.expiresAt === undefined) return life;
  const left = Math.floor((parent.expiresAt - now(deps)) / 1000);
  if (left <= 0) throw badCredentials();
  return Math.min(life ?? left, left);
}
