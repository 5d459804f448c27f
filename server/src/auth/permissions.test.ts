import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RepoKey, RepoPath } from '../core/ids.ts';
import { ACTIONS, type Action, ANONYMOUS, type Principal, type TokenScope } from '../core/principal.ts';
import { Database } from '../db/database.ts';
import type { PermissionTargetRow } from '../db/permission-targets.ts';
import { SYSTEM } from './accounts.ts';
import { PermissionIndex } from './permission-index.ts';
import { putPermissionTarget } from './permission-targets.ts';
import {
  CompiledPermissions,
  type PermissionOptions,
  parseActions,
  parseTargetRepository,
  type RepositoryClass,
} from './permissions.ts';
import { testIdentity } from './test-identity.ts';

const CLASSES: Readonly<Record<string, RepositoryClass>> = {
  libs: 'local',
  images: 'local',
  hub: 'remote',
  all: 'virtual',
  shared: 'federated',
};
const REPOS = [...Object.keys(CLASSES), 'gone'];
const SEGMENTS = ['a', 'b', 'ab', 'x.jar'];

function options(anonymousAccess = true): PermissionOptions {
  return { anonymousAccess, classOf: (repo) => CLASSES[repo] };
}

function user(fields: Partial<Extract<Principal, { kind: 'user' }>> = {}): Principal {
  return { kind: 'user', id: 'u1', name: 'ann', groups: [], admin: false, ...fields };
}

function target(fields: Partial<PermissionTargetRow>): PermissionTargetRow {
  return { id: 1, name: 'test', repositories: ['libs'], includes: ['**'], excludes: [], grants: [], ...fields };
}

const read = (subject: string, kind: 'user' | 'group' = 'user') => ({ kind, subject, actions: ['read' as const] });

function allows(permissions: CompiledPermissions, who: Principal, action: Action, repo: string, path: string): boolean {
  return permissions.allows(who, action, repo as RepoKey, path as RepoPath);
}

describe('CompiledPermissions', () => {
  it('gives nobody anything without a grant, and an administrator everything', () => {
    const none = new CompiledPermissions([], options());
    assert.equal(allows(none, user(), 'read', 'libs', 'a'), false);
    assert.equal(allows(none, ANONYMOUS, 'read', 'libs', 'a'), false);
    assert.equal(allows(none, user({ admin: true }), 'manage', 'libs', 'a'), true);
  });

  it('gives callers without credentials their grants only while they are let in', () => {
    const rows = [target({ grants: [read('anonymous')] })];
    assert.equal(allows(new CompiledPermissions(rows, options(true)), ANONYMOUS, 'read', 'libs', 'a'), true);
    assert.equal(allows(new CompiledPermissions(rows, options(false)), ANONYMOUS, 'read', 'libs', 'a'), false);
    assert.equal(allows(new CompiledPermissions(rows, options(true)), user(), 'read', 'libs', 'a'), false);
  });

  it('does not take a user for the group of the same id, or for nobody', () => {
    const rows = [target({ grants: [read('u1', 'group'), read('anonymous', 'group')] })];
    const permissions = new CompiledPermissions(rows, options());
    assert.equal(allows(permissions, user(), 'read', 'libs', 'a'), false);
    assert.equal(allows(permissions, ANONYMOUS, 'read', 'libs', 'a'), false);
    assert.equal(allows(permissions, user({ id: 'u2', groups: ['u1'] }), 'read', 'libs', 'a'), true);
  });

  it('narrows an administrator by the scope of the token', () => {
    const permissions = new CompiledPermissions([], options());
    const scope: TokenScope = [{ actions: ['read'], repos: ['libs'], paths: ['a/**'] }];
    const admin = user({ admin: true, scope });
    assert.equal(allows(permissions, admin, 'read', 'libs', 'a/b'), true);
    assert.equal(allows(permissions, admin, 'deploy', 'libs', 'a/b'), false);
    assert.equal(allows(permissions, admin, 'read', 'libs', 'b'), false);
    assert.equal(allows(permissions, admin, 'read', 'hub', 'a/b'), false);
    assert.deepEqual(permissions.readablePrefixes(admin, 'libs' as RepoKey), ['a']);
    assert.equal(permissions.holds(admin, 'read', 'libs' as RepoKey), false);
    assert.equal(allows(permissions, user({ admin: true, scope: [] }), 'read', 'libs', 'a'), false);
  });

  it('shows the folders on the way to what may be read', () => {
    const rows = [
      target({ includes: ['a/b/**', 'lib/*.jar'], excludes: ['a/b/secret/**'], grants: [read('u1')] }),
      target({ id: 2, repositories: ['images'], includes: ['**/x'], grants: [read('u1')] }),
    ];
    const permissions = new CompiledPermissions(rows, options());
    const lists = (repo: string, folder: string) => permissions.mayList(user(), repo as RepoKey, folder as RepoPath);
    for (const folder of ['', 'a', 'a/b', 'a/b/c', 'lib']) assert.equal(lists('libs', folder), true, folder);
    for (const folder of ['b', 'a/c', 'a/b/secret', 'a/b/secret/x', 'lib/sub'])
      assert.equal(lists('libs', folder), false, folder);
    assert.equal(lists('images', 'any/where'), true);
    assert.equal(lists('hub', ''), false);
    assert.equal(permissions.mayAnywhere(user(), 'read', 'libs' as RepoKey), true);
    assert.equal(permissions.mayAnywhere(user(), 'deploy', 'libs' as RepoKey), false);
  });

  it('names the least prefixes of what may be read', () => {
    const grants = [read('u1')];
    const rows = [
      target({ includes: ['a/b/**', 'a/**', 'c/x*'], grants }),
      target({ id: 2, includes: ['c/xy/**'], grants }),
      target({ id: 3, repositories: ['images'], grants }),
      target({ id: 4, includes: ['d/**'], grants: [{ ...grants[0]!, actions: ['deploy'] }] }),
    ];
    const permissions = new CompiledPermissions(rows, options());
    const prefixes = (who: Principal, repo: string) => permissions.readablePrefixes(who, repo as RepoKey);
    assert.deepEqual(prefixes(user(), 'libs'), ['a', 'c/x']);
    assert.deepEqual(prefixes(user(), 'images'), ['']);
    assert.deepEqual(prefixes(user(), 'hub'), []);
    assert.deepEqual(prefixes(user({ admin: true }), 'hub'), ['']);
    const scope: TokenScope = [{ actions: ['read'], repos: ['*'], paths: ['a/b/c/**', 'c/**', 'z/**'] }];
    assert.deepEqual(prefixes(user({ scope }), 'libs'), ['a/b/c', 'c/x']);
  });

  it('decides as the rules read, for any targets, principals and scopes', () => {
    const segment = fc.constantFrom(...SEGMENTS);
    const path = fc.array(segment, { maxLength: 4 }).map((segments) => segments.join('/'));
    const pattern = fc.oneof(
      fc.constantFrom('**', 'a/**', '**/x.jar', 'a/*', '*', 'a/b', '?', 'a*/**', '**/b/**', 'a/'),
      fc
        .array(fc.oneof(segment, fc.constantFrom('*', '**', '?')), { minLength: 1, maxLength: 4 })
        .map((s) => s.join('/')),
    );
    const actions = fc.subarray([...ACTIONS]);
    const grant = fc.oneof(
      fc.record({ kind: fc.constant('user' as const), subject: fc.constantFrom('u1', 'u2', 'anonymous'), actions }),
      fc.record({ kind: fc.constant('group' as const), subject: fc.constantFrom('g1', 'g2'), actions }),
    );
    const row = fc.record({
      id: fc.nat(),
      name: fc.constant('t'),
      repositories: fc.subarray([...REPOS, 'ANY', 'ANY LOCAL', 'ANY REMOTE']),
      includes: fc.array(pattern, { minLength: 1, maxLength: 3 }),
      excludes: fc.array(pattern, { maxLength: 2 }),
      grants: fc.uniqueArray(grant, { maxLength: 4, selector: (g) => `${g.kind} ${g.subject}` }),
    });
    const scope = fc.array(
      fc.record({
        actions,
        repos: fc.subarray([...REPOS, '*']),
        paths: fc.array(pattern, { maxLength: 2 }),
      }),
      { maxLength: 2 },
    );
    const principal: fc.Arbitrary<Principal> = fc.oneof(
      fc.constant(ANONYMOUS),
      fc.record({
        kind: fc.constant('user' as const),
        id: fc.constantFrom('u1', 'u2', 'u3'),
        name: fc.constant('x'),
        groups: fc.subarray(['g1', 'g2']),
        admin: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
        scope: fc.option(scope, { nil: undefined, freq: 2 }),
      }) as fc.Arbitrary<Principal>,
    );
    let decisions = 0;
    let allowed = 0;
    fc.assert(
      fc.property(
        fc.array(row, { maxLength: 4 }),
        fc.array(principal, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        fc.array(path, { minLength: 1, maxLength: 4 }),
        (rows, principals, anonymousAccess, paths) => {
          const permissions = new CompiledPermissions(rows, options(anonymousAccess));
          for (const who of principals) {
            for (const repo of REPOS as RepoKey[]) {
              const prefixes = permissions.readablePrefixes(who, repo);
              for (const at of ['', ...paths] as RepoPath[]) {
                for (const action of ACTIONS) {
                  const expected = oracle(rows, who, { action, repo, path: at, anonymousAccess });
                  assert.equal(permissions.allows(who, action, repo, at), expected);
                  decisions += 1;
                  if (!expected) {
                    assert.equal(permissions.holds(who, action, repo), false);
                    continue;
                  }
                  allowed += 1;
                  assert.ok(permissions.mayAnywhere(who, action, repo));
                  if (action !== 'read') continue;
                  assert.ok(prefixes.some((prefix) => at.startsWith(prefix)));
                  for (let folder: string = at; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('/'), 0))) {
                    assert.ok(permissions.mayList(who, repo, folder as RepoPath));
                    if (folder === '') break;
                  }
                }
              }
            }
          }
        },
      ),
      { numRuns: 300 },
    );
    assert.ok(decisions >= 10_000 && allowed >= 1000, `${decisions} decisions, ${allowed} allowed`);
  });
});

interface Question {
  readonly action: Action;
  readonly repo: string;
  readonly path: string;
  readonly anonymousAccess: boolean;
}

/** The rules once more, without any index and with patterns matched by trying everything. */
function oracle(rows: readonly PermissionTargetRow[], who: Principal, question: Question): boolean {
  const { action, repo, path } = question;
  if (who.kind === 'anonymous' && !question.anonymousAccess) return false;
  if (who.kind === 'user' && who.scope) {
    const covered = who.scope.some(
      (entry) =>
        entry.actions.includes(action) &&
        (entry.repos.includes('*') || entry.repos.includes(repo)) &&
        entry.paths.some((pattern) => matches(pattern, path)),
    );
    if (!covered) return false;
  }
  if (who.kind === 'user' && who.admin) return true;
  return rows.some((row) => {
    const rclass = CLASSES[repo];
    const named =
      row.repositories.includes(repo) ||
      row.repositories.includes('ANY') ||
      (row.repositories.includes('ANY LOCAL') && (rclass === 'local' || rclass === 'federated')) ||
      (row.repositories.includes('ANY REMOTE') && rclass === 'remote');
    const granted = row.grants.some((grant) => {
      const meant =
        who.kind === 'anonymous'
          ? grant.kind === 'user' && grant.subject === 'anonymous'
          : grant.kind === 'user'
            ? grant.subject === who.id
            : who.groups.includes(grant.subject);
      return meant && grant.actions.includes(action);
    });
    const included = row.includes.some((pattern) => matches(pattern, path));
    return named && granted && included && !row.excludes.some((pattern) => matches(pattern, path));
  });
}

function matches(pattern: string, path: string): boolean {
  const full = pattern.endsWith('/') ? `${pattern}**` : pattern;
  return matchAll(full.split('/'), path === '' ? [] : path.split('/'));
}

function matchAll(pattern: readonly string[], path: readonly string[]): boolean {
  const [head, ...rest] = pattern;
  if (head === undefined) return path.length === 0;
  if (head === '**')
    return Array.from({ length: path.length + 1 }, (_, i) => i).some((i) => matchAll(rest, path.slice(i)));
  const [name, ...below] = path;
  return name !== undefined && matchName(head, name) && matchAll(rest, below);
}

function matchName(pattern: string, name: string): boolean {
  if (pattern === '') return name === '';
  if (pattern.startsWith('*')) {
    return Array.from({ length: name.length + 1 }, (_, i) => i).some((i) => matchName(pattern.slice(1), name.slice(i)));
  }
  return name !== '' && (pattern[0] === '?' || pattern[0] === name[0]) && matchName(pattern.slice(1), name.slice(1));
}

describe('PermissionIndex', () => {
  it('has new rights in force when the change returns', async () => {
    await using identity = await testIdentity();
    const { permissions, deps } = identity;
    identity.classes.set('libs', 'local');
    const ann = await identity.user('ann');
    const libs = 'libs' as RepoKey;
    await permissions.refresh();
    assert.equal(permissions.allows(ann, 'read', libs, 'a' as RepoPath), false);
    const grants = [{ kind: 'user' as const, name: 'ann', actions: ['read' as const] }];
    const edit = { name: 'readers', repositories: ['ANY LOCAL'], includes: [], excludes: [], grants };
    await putPermissionTarget(deps, edit, SYSTEM);
    assert.ok(permissions.isFresh);
    assert.equal(permissions.allows(ann, 'read', libs, 'a' as RepoPath), true);
    assert.equal(permissions.mayList(ann, libs, 'a' as RepoPath), true);
    assert.equal(permissions.mayAnywhere(ann, 'read', libs), true);
    assert.equal(permissions.holds(ann, 'read', libs), true);
    assert.deepEqual(permissions.readablePrefixes(ann, libs), ['']);
    await putPermissionTarget(deps, { ...edit, excludes: ['a/**'] }, SYSTEM);
    assert.equal(permissions.allows(ann, 'read', libs, 'a' as RepoPath), false);
  });

  it('does not take for new what was read before a change', async () => {
    await using identity = await testIdentity();
    const { database, deps } = identity;
    const ann = await identity.user('ann');
    const gate = Promise.withResolvers<void>();
    const reading = Promise.withResolvers<void>();
    const slow = new Database(database.kysely, database.dialect);
    slow.read = async (work) => {
      const rows = await database.read(work);
      reading.resolve();
      await gate.promise;
      return rows;
    };
    const index = new PermissionIndex({ database: slow }, options());
    const refreshed = index.refresh();
    await reading.promise;
    const grants = [{ kind: 'user' as const, name: 'ann', actions: ['read' as const] }];
    await putPermissionTarget(deps, { name: 't', repositories: ['libs'], includes: [], excludes: [], grants }, SYSTEM);
    index.invalidate();
    gate.resolve();
    await refreshed;
    assert.equal(index.allows(ann, 'read', 'libs' as RepoKey, 'a' as RepoPath), true);
  });
});

describe('what a permission target names', () => {
  it('is actions this server knows', () => {
    assert.deepEqual(parseActions(['read', 'deploy', 'read']), ['read', 'deploy']);
    for (const text of ['write', '', '__proto__']) assert.throws(() => parseActions([text]), /no action/);
  });

  it('is repositories by key or by class', () => {
    for (const text of ['libs', 'ANY', 'ANY LOCAL', 'ANY REMOTE']) assert.equal(parseTargetRepository(text), text);
    for (const text of ['ANY VIRTUAL', 'any local', '', 'a/b']) assert.throws(() => parseTargetRepository(text));
  });
});
