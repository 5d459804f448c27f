/** User accounts. */

import { z } from 'zod';
import {
  type AccountDeps,
  createUser,
  deleteUser,
  setPassword,
  unknownUser,
  unlockUser,
  updateUser,
} from '../auth/accounts.ts';
import { foldUserName } from '../auth/user-names.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import { isAdmin } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import { getUserGroupByName, listUserGroups, listUserGroupsOf } from '../db/user-groups.ts';
import { getUserByName, listUsers, type UserRow } from '../db/users.ts';
import { type ApiRequest, bodyRoute, flag, READ, type Route, route, typed } from './route.ts';

export interface UserDeps {
  readonly accounts: AccountDeps;
}

const ALL = 'artifactory/api/security/users';
const ONE = `${ALL}/{name}`;
const PAGE = 500;

/** What Artifactory's clients send beside these they also read back; what this server does not have, it drops. */
const userBody = z.object({
  name: z.string().optional(),
  email: z.string().optional(),
  password: z.string().optional(),
  admin: flag.optional(),
  groups: z.array(z.string()).max(1000).optional(),
  internalPasswordDisabled: flag.optional(),
  shouldInvite: flag.optional(),
});
type UserBody = z.infer<typeof userBody>;

const passwordBody = z.object({
  userName: z.string(),
  oldPassword: z.string(),
  newPassword1: z.string(),
  newPassword2: z.string(),
});

export function userRoutes(deps: UserDeps): readonly Route[] {
  const { accounts } = deps;
  return [
    bodyRoute({
      methods: ['POST'],
      pattern: `${ALL}/authorization/changePassword`,
      right: 'user',
      body: passwordBody,
      handle: (request) => changePassword(accounts, request),
    }),
    route({
      methods: ['POST'],
      pattern: 'artifactory/api/security/unlockUsers/{name}',
      right: 'admin',
      async handle({ params, caller }) {
        await unlockUser(accounts, params['name'] ?? '', caller.principal);
        return { status: 200 };
      },
    }),
    route({ methods: READ, pattern: ALL, right: 'admin', handle: (request) => list(accounts, request) }),
    route({ methods: READ, pattern: ONE, right: 'user', handle: (request) => get(accounts, request) }),
    bodyRoute({
      methods: ['PUT'],
      pattern: ONE,
      right: 'admin',
      body: userBody,
      handle: (request) => put(accounts, request),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: ONE,
      right: 'admin',
      body: userBody,
      handle: (request) => update(accounts, request),
    }),
    route({ methods: ['DELETE'], pattern: ONE, right: 'admin', handle: (request) => remove(accounts, request) }),
  ];
}

async function list({ database }: AccountDeps, { root }: ApiRequest): Promise<Reply> {
  const rows: unknown[] = [];
  for (let after = ''; ; ) {
    const page = await database.read((db) => listUsers(db, { after, limit: PAGE }));
    for (const { name, enabled } of page) {
      const uri = `${root}/api/security/users/${encodeURIComponent(name)}`;
      rows.push({ name, uri, realm: 'internal', status: enabled ? 'enabled' : 'disabled' });
    }
    after = page.at(-1)?.name ?? '';
    if (page.length < PAGE) return typed('security.Users', rows);
  }
}

/** Administrators see everybody, others themselves. */
async function get({ database }: AccountDeps, { params, caller: { principal } }: ApiRequest): Promise<Reply> {
  const name = foldUserName(params['name'] ?? '') ?? '';
  if (!isAdmin(principal) && (principal.kind !== 'user' || principal.name !== name)) {
    throw new AppError('forbidden', 'Only an administrator may see other users.');
  }
  const found = await database.read(async (db) => {
    const user = await getUserByName(db, name);
    return user && { user, groups: (await listUserGroupsOf(db, user.id)).map((group) => group.name) };
  });
  if (!found) throw unknownUser(params['name'] ?? '');
  return typed('security.User', renderUser(found.user, found.groups));
}

function renderUser(user: UserRow, groups: readonly string[]) {
  return {
    name: user.name,
    email: user.email ?? '',
    admin: user.admin,
    profileUpdatable: true,
    disableUIAccess: false,
    internalPasswordDisabled: user.password === undefined,
    ...(user.lastLoginAt !== undefined && { lastLoggedIn: new Date(user.lastLoginAt).toISOString() }),
    lastLoggedInMillis: user.lastLoginAt ?? 0,
    realm: 'internal',
    ...(groups.length > 0 && { groups }),
    shouldInvite: false,
    watchManager: false,
    reportsManager: false,
    policyManager: false,
  };
}

/** Makes the user, or gives one that exists the state it would have if it were made now; a password stays. */
async function put(accounts: AccountDeps, request: ApiRequest<UserBody>): Promise<Reply> {
  const { body, caller } = request;
  const name = nameOf(request);
  await requireGroups(accounts, body.groups ?? []);
  const existing = await accounts.database.read((db) => getUserByName(db, foldUserName(name) ?? ''));
  const { email, password } = body;
  if (existing) {
    const groups = body.groups ?? (await autoJoinGroups(accounts));
    const fields = { email, admin: body.admin ?? false, groups, ...passwordEdit(body) };
    await updateUser(accounts, name, fields, caller.principal);
  } else {
    const tokensOnly = body.internalPasswordDisabled === true || body.shouldInvite === true;
    if (password === undefined && !tokensOnly) {
      throw new AppError('invalid', 'A new user needs a password, or "internalPasswordDisabled" for tokens alone.');
    }
    await createUser(
      accounts,
      {
        name,
        email,
        password: body.internalPasswordDisabled ? undefined : password,
        admin: body.admin ?? false,
        ...(body.groups && { groups: body.groups, autoJoin: false }),
      },
      caller.principal,
    );
  }
  return { status: 201 };
}

async function update(accounts: AccountDeps, request: ApiRequest<UserBody>): Promise<Reply> {
  const { body, caller } = request;
  const name = nameOf(request);
  await requireGroups(accounts, body.groups ?? []);
  await updateUser(
    accounts,
    name,
    {
      ...(body.email !== undefined && { email: body.email }),
      ...(body.admin !== undefined && { admin: body.admin }),
      ...(body.groups !== undefined && { groups: body.groups }),
      ...passwordEdit(body),
    },
    caller.principal,
  );
  return { status: 200 };
}

async function remove(accounts: AccountDeps, { params, caller }: ApiRequest): Promise<Reply> {
  const name = params['name'] ?? '';
  await deleteUser(accounts, name, caller.principal);
  return { status: 200, text: `The user: '${foldUserName(name) ?? ''}' has been removed successfully.` };
}

/** One's own password, with the current one: what an administrator's client is signed in with must not suffice to take it over. */
async function changePassword(
  accounts: AccountDeps,
  { body, caller: { principal }, exchange }: ApiRequest<z.infer<typeof passwordBody>>,
): Promise<Reply> {
  if (body.newPassword1 !== body.newPassword2) {
    throw new AppError('invalid', 'The new password and its repetition differ.');
  }
  const self = principal.kind === 'user' ? { ...principal, admin: false } : principal;
  try {
    await setPassword(
      accounts,
      { name: body.userName, password: body.newPassword1, current: body.oldPassword, peer: exchange.peer },
      self,
    );
  } catch (error) {
    // A 401 would tell the client that its own credentials are wrong.
    if (isAppError(error, 'unauthenticated')) throw new AppError('invalid', 'The current password is wrong.');
    throw error;
  }
  return { status: 200, text: 'Password has been successfully changed' };
}

function nameOf({ params, body }: ApiRequest<UserBody>): string {
  const name = params['name'] ?? '';
  if (body.name !== undefined && body.name.toLowerCase() !== name.toLowerCase()) {
    throw new AppError('invalid', `The body is for the user "${clip(body.name)}", the address for "${clip(name)}".`);
  }
  return name;
}

function passwordEdit(body: UserBody): { readonly password?: string | undefined } {
  if (body.internalPasswordDisabled === true) return { password: undefined };
  return body.password === undefined ? {} : { password: body.password };
}

/** A group that is not there is a fault of the body, not of the address. */
async function requireGroups({ database }: AccountDeps, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const group = await database.read((db) => getUserGroupByName(db, name));
    if (!group) throw new AppError('invalid', `There is no group "${clip(name)}".`);
  }
}

async function autoJoinGroups({ database }: AccountDeps): Promise<string[]> {
  const names: string[] = [];
  for (let after = ''; ; ) {
    const page = await database.read((db) => listUserGroups(db, { after, limit: PAGE }));
    names.push(...page.filter((group) => group.autoJoin).map((group) => group.name));
    after = page.at(-1)?.name ?? '';
    if (page.length < PAGE) return names;
  }
}
