/** Groups of users. */
import { z } from 'zod';
import type { AccountDeps } from '../auth/accounts.ts';
import { createGroup, deleteGroup, updateGroup } from '../auth/groups.ts';
import { foldUserName } from '../auth/user-names.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Reply } from '../core/protocol.ts';
import { getUserGroupByName, listMemberNames, listUserGroups } from '../db/user-groups.ts';
import { getUserByName } from '../db/users.ts';
import { type ApiRequest, bodyRoute, flag, isSwitchedOn, READ, type Route, route, typed } from './route.ts';

export interface GroupDeps {
  readonly accounts: AccountDeps;
}

const ALL = 'artifactory/api/security/groups';
const ONE = `${ALL}/{name}`;
const PAGE = 500;

const groupBody = z.object({
  name: z.string().optional(),
  description: z.string().optional(),
  autoJoin: flag.optional(),
  adminPrivileges: flag.optional(),
  userNames: z.array(z.string()).max(10_000).optional(),
});
type GroupBody = z.infer<typeof groupBody>;

export function groupRoutes({ accounts }: GroupDeps): readonly Route[] {
  return [
    route({ methods: READ, pattern: ALL, right: 'admin', handle: (request) => list(accounts, request) }),
    route({ methods: READ, pattern: ONE, right: 'admin', handle: (request) => get(accounts, request) }),
    bodyRoute({
      methods: ['PUT'],
      pattern: ONE,
      right: 'admin',
      body: groupBody,
      handle: (request) => put(accounts, request),
    }),
    bodyRoute({
      methods: ['POST'],
      pattern: ONE,
      right: 'admin',
      body: groupBody,
      handle: (request) => update(accounts, request),
    }),
    route({ methods: ['DELETE'], pattern: ONE, right: 'admin', handle: (request) => remove(accounts, request) }),
  ];
}

async function list({ database }: AccountDeps, { root }: ApiRequest): Promise<Reply> {
  const rows: unknown[] = [];
  for (let after = ''; ; ) {
    const page = await database.read((db) => listUserGroups(db, { after, limit: PAGE }));
    for (const { name } of page) {
      rows.push({ name, uri: `${root}/api/security/groups/${encodeURIComponent(name)}` });
    }
    after = page.at(-1)?.name ?? '';
    if (page.length < PAGE) return typed('security.Groups', rows);
  }
}

async function get({ database }: AccountDeps, { params, query }: ApiRequest): Promise<Reply> {
  const group = await database.read((db) => getUserGroupByName(db, params['name'] ?? ''));
  if (!group) throw new AppError('not_found', `There is no group "${clip(params['name'] ?? '')}".`);
  const withUsers = isSwitchedOn(query.get('includeUsers'));
  return typed('security.Group', {
    name: group.name,
    description: group.description,
    autoJoin: group.autoJoin,
    adminPrivileges: group.admin,
    realm: 'internal',
    ...(withUsers && { userNames: await memberNames(database, group.id) }),
    watchManager: false,
    policyManager: false,
    reportsManager: false,
  });
}

async function memberNames(database: AccountDeps['database'], groupId: string): Promise<string[]> {
  const names: string[] = [];
  for (let after = ''; ; ) {
    const page = await database.read((db) => listMemberNames(db, groupId, { after, limit: PAGE }));
    names.push(...page);
    after = page.at(-1) ?? '';
    if (page.length < PAGE) return names;
  }
}

/** Makes the group, or gives one that exists the settings it would have if it were made now; members stay unless named. */
async function put(accounts: AccountDeps, request: ApiRequest<GroupBody>): Promise<Reply> {
  const { body, caller } = request;
  const name = nameOf(request);
  await requireUsers(accounts, body.userNames ?? []);
  const { description = '', autoJoin = false, adminPrivileges = false, userNames } = body;
  const fields = { description, autoJoin, admin: adminPrivileges, ...(userNames && { members: userNames }) };
  const existing = await accounts.database.read((db) => getUserGroupByName(db, name));
  if (existing) await updateGroup(accounts, name, fields, caller.principal);
  else await createGroup(accounts, { name, ...fields }, caller.principal);
  return { status: 201 };
}

async function update(accounts: AccountDeps, request: ApiRequest<GroupBody>): Promise<Reply> {
  const { body, caller } = request;
  const name = nameOf(request);
  await requireUsers(accounts, body.userNames ?? []);
  await updateGroup(
    accounts,
    name,
    {
      ...(body.description !== undefined && { description: body.description }),
      ...(body.autoJoin !== undefined && { autoJoin: body.autoJoin }),
      ...(body.adminPrivileges !== undefined && { admin: body.adminPrivileges }),
      ...(body.userNames !== undefined && { members: body.userNames }),
    },
    caller.principal,
  );
  return { status: 200 };
}

async function remove(accounts: AccountDeps, { params, caller }: ApiRequest): Promise<Reply> {
  const name = params['name'] ?? '';
  await deleteGroup(accounts, name, caller.principal);
  return { status: 200, text: `The group: '${name}' has been removed successfully.` };
}

function nameOf({ params, body }: ApiRequest<GroupBody>): string {
  const name = params['name'] ?? '';
  if (body.name !== undefined && body.name !== name) {
    throw new AppError('invalid', `The body is for the group "${clip(body.name)}", the address for "${clip(name)}".`);
  }
  return name;
}

/** A user who is not there is a fault of the body, not of the address. */
async function requireUsers({ database }: AccountDeps, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const user = await database.read((db) => getUserByName(db, foldUserName(name) ?? ''));
    if (!user) throw new AppError('invalid', `There is no user "${clip(name)}".`);
  }
}
