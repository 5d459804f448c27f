/** Permission targets, in the two forms in which Artifactory has them. */
import { z } from 'zod';
import type { AccountDeps } from '../auth/accounts.ts';
import {
  deletePermissionTarget,
  type PermissionTargetEdit,
  putPermissionTarget,
  requireMayGrant,
} from '../auth/permission-targets.ts';
import { ANONYMOUS_SUBJECT } from '../auth/permissions.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Action, Principal } from '../core/principal.ts';
import type { Reply } from '../core/protocol.ts';
import { getPermissionTarget, listPermissionTargets, type PermissionTargetRow } from '../db/permission-targets.ts';
import { getUserGroup } from '../db/user-groups.ts';
import { getUser } from '../db/users.ts';
import { type ApiRequest, bodyRoute, READ, type Route, route, typed } from './route.ts';

export interface PermissionTargetDeps {
  readonly accounts: AccountDeps;
}

const V1 = 'artifactory/api/security/permissions';
const V2 = 'artifactory/api/v2/security/permissions';

/** Each right by its letter in the first form and its word in the second. */
const WORDS: readonly { readonly letter: string; readonly word: string; readonly action: Action }[] = [
  { letter: 'r', word: 'read', action: 'read' },
  { letter: 'n', word: 'annotate', action: 'annotate' },
  { letter: 'w', word: 'write', action: 'deploy' },
  { letter: 'd', word: 'delete', action: 'delete' },
  { letter: 'm', word: 'manage', action: 'manage' },
];
/** Rights over services this server does not have: naming them gives nothing and is no error. */
const WITHOUT_MEANING = new Set(['mxm', 'x', 'managedXrayMeta', 'distribute']);

const names = z.array(z.string().max(1000)).max(1000);
const grants = z.record(z.string().max(128), z.array(z.string().max(32)).max(20));
/** Clients send what they have nothing for as null. */
const maybe = <Schema extends z.ZodType>(schema: Schema) => schema.nullish().transform((value) => value ?? undefined);
const subjects = z.object({ users: maybe(grants), groups: maybe(grants) });

const bodyV1 = z.object({
  name: z.string().optional(),
  includesPattern: maybe(z.string().max(100_000)),
  excludesPattern: maybe(z.string().max(100_000)),
  repositories: names,
  principals: maybe(subjects),
});

const section = z.object({
  'include-patterns': maybe(names),
  'exclude-patterns': maybe(names),
  repositories: maybe(names),
  actions: maybe(subjects),
});
const bodyV2 = z.object({
  name: z.string().optional(),
  repo: maybe(section),
  build: maybe(section),
  releaseBundle: maybe(section),
});

export function permissionTargetRoutes({ accounts }: PermissionTargetDeps): readonly Route[] {
  return [...routesV1(accounts), ...routesV2(accounts)];
}

function routesV1(accounts: AccountDeps): readonly Route[] {
  const one = `${V1}/{name}`;
  return [
    route({ methods: READ, pattern: V1, right: 'admin', handle: (request) => list(accounts, request, V1) }),
    route({
      methods: READ,
      pattern: one,
      right: 'admin',
      handle: async (request) =>
        typed('security.PermissionTarget', await renderV1(accounts, await find(accounts, request))),
    }),
    bodyRoute({
      methods: ['PUT'],
      pattern: one,
      right: 'admin',
      body: bodyV1,
      async handle({ params, body, caller }) {
        const name = nameOf(params, body.name);
        const edit = {
          name,
          repositories: body.repositories,
          includes: patternsOf(body.includesPattern?.split(',')),
          excludes: patternsOf(body.excludesPattern?.split(',')),
          grants: grantsOf(body.principals, 'letter'),
        };
        await put(accounts, edit, caller.principal);
        return { status: 201 };
      },
    }),
    route({ methods: ['DELETE'], pattern: one, right: 'admin', handle: (request) => remove(accounts, request) }),
  ];
}

/** Whoever manages all repositories of a target may see and change it; `putPermissionTarget` asks. */
function routesV2(accounts: AccountDeps): readonly Route[] {
  const one = `${V2}/{name}`;
  const write = (method: 'POST' | 'PUT') =>
    bodyRoute({
      methods: [method],
      pattern: one,
      right: 'user',
      body: bodyV2,
      async handle({ params, body, caller }) {
        const edit = editOfV2(nameOf(params, body.name), body);
        await put(accounts, { ...edit, mustBeNew: method === 'POST' }, caller.principal);
        return { status: 200 };
      },
    });
  return [
    route({ methods: READ, pattern: V2, right: 'user', handle: (request) => list(accounts, request, V2) }),
    route({
      methods: READ,
      pattern: one,
      right: 'user',
      handle: async (request) =>
        typed('security.PermissionTargetV2', await renderV2(accounts, await find(accounts, request))),
    }),
    write('POST'),
    write('PUT'),
    route({ methods: ['DELETE'], pattern: one, right: 'user', handle: (request) => remove(accounts, request) }),
  ];
}

/** Those the caller may change. */
async function list(accounts: AccountDeps, { root, caller }: ApiRequest, area: string): Promise<Reply> {
  const rows = await accounts.database.read(listPermissionTargets);
  const base = root.replace(/artifactory$/, area);
  return typed(
    'security.PermissionTargets',
    rows
      .filter((row) => mayChange(accounts, caller.principal, row))
      .map(({ name }) => ({ name, uri: `${base}/${encodeURIComponent(name)}` })),
  );
}

async function find(accounts: AccountDeps, { params, caller }: ApiRequest): Promise<PermissionTargetRow> {
  const name = params['name'] ?? '';
  const row = await accounts.database.read((db) => getPermissionTarget(db, name));
  if (!row || !mayChange(accounts, caller.principal, row)) {
    throw new AppError('not_found', `There is no permission target "${clip(name)}", or you may not see it.`);
  }
  return row;
}

function mayChange(accounts: AccountDeps, by: Principal, row: PermissionTargetRow): boolean {
  try {
    requireMayGrant(accounts.permissions, by, row);
    return true;
  } catch (error) {
    if (isAppError(error, 'forbidden')) return false;
    throw error;
  }
}

/** A user or group who is not there is a fault of the body, not of the address. */
async function put(accounts: AccountDeps, edit: PermissionTargetEdit, by: Principal): Promise<void> {
  try {
    await putPermissionTarget(accounts, edit, by);
  } catch (error) {
    if (isAppError(error, 'not_found') && !error.message.includes('permission target')) {
      throw new AppError('invalid', error.message);
    }
    throw error;
  }
}

async function remove(accounts: AccountDeps, { params, caller }: ApiRequest): Promise<Reply> {
  const name = params['name'] ?? '';
  await deletePermissionTarget(accounts, name, caller.principal);
  return { status: 200, text: `Permission Target '${name}' has been removed successfully.` };
}

async function renderV1(accounts: AccountDeps, row: PermissionTargetRow) {
  return {
    name: row.name,
    includesPattern: row.includes.join(','),
    excludesPattern: row.excludes.join(','),
    repositories: row.repositories,
    principals: await renderGrants(accounts, row, 'letter'),
  };
}

async function renderV2(accounts: AccountDeps, row: PermissionTargetRow) {
  return {
    name: row.name,
    repo: {
      'include-patterns': row.includes,
      'exclude-patterns': row.excludes,
      repositories: row.repositories,
      actions: await renderGrants(accounts, row, 'word'),
    },
  };
}

async function renderGrants(accounts: AccountDeps, row: PermissionTargetRow, form: 'letter' | 'word') {
  const found = { user: new Map<string, readonly string[]>(), group: new Map<string, readonly string[]>() };
  for (const { kind, subject, actions } of row.grants) {
    const name = await nameOfSubject(accounts, kind, subject);
    if (name === undefined) continue;
    found[kind].set(
      name,
      WORDS.filter((right) => actions.includes(right.action)).map((right) => right[form]),
    );
  }
  return {
    ...(found.user.size > 0 && { users: Object.fromEntries(found.user) }),
    ...(found.group.size > 0 && { groups: Object.fromEntries(found.group) }),
  };
}

async function nameOfSubject(
  { database }: AccountDeps,
  kind: 'user' | 'group',
  subject: string,
): Promise<string | undefined> {
  if (subject === ANONYMOUS_SUBJECT) return subject;
  return database.read(async (db) =>
    kind === 'user' ? (await getUser(db, subject))?.name : (await getUserGroup(db, subject))?.name,
  );
}

function editOfV2(name: string, body: z.infer<typeof bodyV2>): PermissionTargetEdit {
  for (const kind of ['build', 'releaseBundle'] as const) {
    if (grantsOf(body[kind]?.actions, 'word').length > 0) {
      throw new AppError('invalid', `Rights over builds and release bundles do not exist here. Leave out "${kind}".`);
    }
  }
  return {
    name,
    repositories: body.repo?.repositories ?? [],
    includes: patternsOf(body.repo?.['include-patterns']),
    excludes: patternsOf(body.repo?.['exclude-patterns']),
    grants: grantsOf(body.repo?.actions, 'word'),
  };
}

/** Clients write "no pattern" as an empty one. */
function patternsOf(patterns: readonly string[] | undefined): readonly string[] {
  return (patterns ?? []).map((pattern) => pattern.trim()).filter((pattern) => pattern !== '');
}

function grantsOf(
  given: z.infer<typeof subjects> | undefined,
  form: 'letter' | 'word',
): PermissionTargetEdit['grants'] {
  const of = (kind: 'user' | 'group', byName: Readonly<Record<string, readonly string[]>> = {}) =>
    Object.entries(byName).map(([name, words]) => ({ kind, name, actions: actionsOf(words, form) }));
  return [...of('user', given?.users), ...of('group', given?.groups)];
}

function actionsOf(words: readonly string[], form: 'letter' | 'word'): readonly Action[] {
  return words.flatMap((word) => {
    const right = WORDS.find((known) => known[form] === word);
    if (right) return [right.action];
    if (WITHOUT_MEANING.has(word)) return [];
    const known = WORDS.map((each) => `"${each[form]}"`).join(', ');
    throw new AppError('invalid', `"${clip(word)}" is no right: use ${known}.`);
  });
}

function nameOf(params: Readonly<Record<string, string>>, given: string | undefined): string {
  const name = params['name'] ?? '';
  if (given !== undefined && given !== name) {
    throw new AppError('invalid', `The body is for "${clip(given)}", the address for "${clip(name)}".`);
  }
  return name;
}
