import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ErrorCode, isAppError } from '../core/errors.ts';
import type { RepoKey, RepoPath } from '../core/ids.ts';
import { ACTIONS, type Action, ANONYMOUS, type Principal } from '../core/principal.ts';
import { getPermissionTarget } from '../db/permission-targets.ts';
import { getToken } from '../db/tokens.ts';
import { listMemberNames, listUserGroupsOf } from '../db/user-groups.ts';
import { getUserByName, listUsers } from '../db/users.ts';
import { createToken, listTokens, revokeToken } from './account-tokens.ts';
import {
  bootstrapAdmin,
  createUser,
  deleteUser,
  forgetRepository,
  SYSTEM,
  setPassword,
  updateUser,
} from './accounts.ts';
import { changeMembers, createGroup, deleteGroup, updateGroup } from './groups.ts';
import { deletePermissionTarget, type PermissionTargetEdit, putPermissionTarget } from './permission-targets.ts';
import { basic, bearer, PASSWORD, testIdentity } from './test-identity.ts';

const PEER = '192.0.2.1';

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isAppError(error, code);
}

function targetOf(
  name: string,
  repositories: string[],
  grants: PermissionTargetEdit['grants'] = [],
): PermissionTargetEdit {
  return { name, repositories, includes: ['**'], excludes: [], grants };
}

function grant(name: string, actions: readonly Action[], kind: 'user' | 'group' = 'user') {
  return { kind, name, actions };
}

describe('bootstrapAdmin', () => {
  it('makes an administrator once, with a password of its own', async () => {
    await using identity = await testIdentity();
    const [one, two] = await Promise.all([bootstrapAdmin(identity.deps), bootstrapAdmin(identity.deps)]);
    const made = [one, two].filter((outcome) => outcome.created);
    assert.equal(made.length, 1);
    const password = made[0]?.generatedPassword ?? '';
    assert.match(password, /^[A-Za-z0-9]{24}$/);
    const { principal } = await identity.authenticator.authenticate(basic('admin', password), PEER);
    assert.equal(principal.kind === 'user' && principal.admin, true);
    assert.deepEqual(await bootstrapAdmin(identity.deps), { created: false });
    assert.deepEqual(identity.events, ['user.created admin by _system_']);
  });

  it('takes a given password and does not repeat it', async () => {
    await using identity = await testIdentity();
    assert.deepEqual(await bootstrapAdmin(identity.deps, { password: PASSWORD }), { created: true });
    await identity.authenticator.authenticate(basic('admin', PASSWORD), PEER);
  });

  for (const password of ['password', 'Admin123!', 'changeme', 'Entrepot1', '12345678', 'aaaaaaaa', 'short', '']) {
    it(`refuses the password "${password}"`, async () => {
      await using identity = await testIdentity();
      await assert.rejects(bootstrapAdmin(identity.deps, { password }), refused('invalid'));
    });
  }
});

describe('users', () => {
  it('are made, changed and deleted, each with its event', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    const made = await createUser(deps, { name: 'Ann', email: 'ann@example.com', password: PASSWORD }, SYSTEM);
    assert.deepEqual([made.name, made.email, made.version], ['ann', 'ann@example.com', 1]);
    assert.match(made.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const changed = await updateUser(deps, 'ANN', { email: undefined }, SYSTEM);
    assert.deepEqual([changed.email, changed.version], [undefined, 2]);
    await deleteUser(deps, 'ann', SYSTEM);
    assert.deepEqual(await listUsers(identity.database.kysely, { limit: 10 }), []);
    assert.deepEqual(
      identity.events,
      ['created', 'updated', 'deleted'].map((what) => `user.${what} ann by _system_`),
    );
  });

  it('cannot have a name that is taken, reserved or strange', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    await assert.rejects(createUser(identity.deps, { name: 'ANN' }, SYSTEM), refused('conflict'));
    for (const name of [
      '',
      'anonymous',
      'Token',
      '_internal_',
      '../x',
      'a b',
      'a'.repeat(65),
      '<b>',
      '\u212aim',
      'a\n',
    ]) {
      await assert.rejects(createUser(identity.deps, { name }, SYSTEM), refused('invalid'));
    }
    for (const email of ['x', 'a@b@c', 'a b@c', '<a@b>', `${'a'.repeat(260)}@b`]) {
      await assert.rejects(createUser(identity.deps, { name: 'bob', email }, SYSTEM), refused('invalid'));
    }
  });

  it('cannot have a password that is short, long, trivial or like a token', async () => {
    await using identity = await testIdentity();
    for (const password of [
      '1234567',
      'x'.repeat(1025),
      'qwertyui',
      'bobbobbob1',
      'etp_something',
      'eyJhbGciOiJub25lIn0.e30.',
      'with\0nul byte',
    ]) {
      const request = { name: 'bobbobbob', password };
      await assert.rejects(createUser(identity.deps, request, SYSTEM), (error) => {
        return isAppError(error, 'invalid') && !error.message.includes(password);
      });
    }
    await createUser(identity.deps, { name: 'bobbobbob', password: '🔑🔑🔑🔑wörter' }, SYSTEM);
  });

  it('are changed by administrators only, and not with a narrowed token', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const narrowed: Principal = { ...ann, admin: true, scope: [] };
    for (const [by, code] of [
      [ANONYMOUS, 'unauthenticated'],
      [ann, 'forbidden'],
      [narrowed, 'forbidden'],
    ] as const) {
      await assert.rejects(createUser(identity.deps, { name: 'x' }, by), refused(code));
      await assert.rejects(updateUser(identity.deps, 'ann', { admin: true }, by), refused(code));
      await assert.rejects(deleteUser(identity.deps, 'ann', by), refused(code));
      await assert.rejects(createGroup(identity.deps, { name: 'x' }, by), refused(code));
      await assert.rejects(changeMembers(identity.deps, { group: 'x', add: ['ann'] }, by), refused(code));
    }
  });

  it('set their own password with the current one, and nobody else’s', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann');
    const bob = await identity.user('bob');
    const password = 'a better password';
    const set = (current: string, by: Principal) => setPassword(identity.deps, { name: 'ann', password, current }, by);
    await assert.rejects(set('wrong password', ann), refused('unauthenticated'));
    await assert.rejects(set(PASSWORD, bob), refused('forbidden'));
    await assert.rejects(set(PASSWORD, { ...ann, scope: [] }), refused('forbidden'));
    await identity.authenticator.authenticate(basic('ann', PASSWORD), PEER);
    await set(PASSWORD, ann);
    await assert.rejects(identity.authenticator.authenticate(basic('ann', PASSWORD), PEER), refused('unauthenticated'));
    await identity.authenticator.authenticate(basic('ann', password), PEER);
    for (let i = 0; i < 5; i++) await assert.rejects(set(`wrong ${i}`, ann), refused('unauthenticated'));
    await assert.rejects(set('wrong', ann), refused('rate_limited'));
  });

  it('lose grants with their account, so that their name does not inherit them', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    await putPermissionTarget(identity.deps, targetOf('t', ['libs'], [grant('ann', ['read'])]), SYSTEM);
    await deleteUser(identity.deps, 'ann', SYSTEM);
    const again = await identity.user('ann');
    await identity.permissions.refresh();
    assert.equal(identity.permissions.allows(again, 'read', 'libs' as RepoKey, 'a' as RepoPath), false);
    assert.deepEqual((await getPermissionTarget(identity.database.kysely, 't'))?.grants, []);
  });
});

describe('the last administrator', () => {
  it('cannot be deleted, disabled or demoted, directly or through a group', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    await createGroup(deps, { name: 'admins', admin: true }, SYSTEM);
    await identity.user('ann', { groups: ['admins'] });
    await identity.user('off', { admin: true, enabled: false });
    const attempts = [
      () => deleteUser(deps, 'ann', SYSTEM),
      () => updateUser(deps, 'ann', { enabled: false }, SYSTEM),
      () => updateUser(deps, 'ann', { groups: [] }, SYSTEM),
      () => changeMembers(deps, { group: 'admins', remove: ['ann'] }, SYSTEM),
      () => updateGroup(deps, 'admins', { admin: false }, SYSTEM),
      () => deleteGroup(deps, 'admins', SYSTEM),
    ];
    for (const attempt of attempts) await assert.rejects(attempt(), refused('forbidden'));
    assert.equal((await getUserByName(identity.database.kysely, 'ann'))?.enabled, true);
    await identity.user('bob', { admin: true });
    await deleteGroup(deps, 'admins', SYSTEM);
    await assert.rejects(updateUser(deps, 'bob', { admin: false }, SYSTEM), refused('forbidden'));
  });

  it('cannot delete the account it acts with', async () => {
    await using identity = await testIdentity();
    const ann = await identity.user('ann', { admin: true });
    await identity.user('bob', { admin: true });
    await assert.rejects(deleteUser(identity.deps, 'ann', ann), refused('forbidden'));
  });
});

describe('groups', () => {
  it('take new users by themselves if they should, and give their rights to members', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    await createGroup(deps, { name: 'readers', autoJoin: true }, SYSTEM);
    await createGroup(deps, { name: 'dev team' }, SYSTEM);
    const ann = await identity.user('ann', { groups: ['dev team'] });
    const names = async () => (await listUserGroupsOf(identity.database.kysely, ann.id)).map((group) => group.name);
    assert.deepEqual(await names(), ['dev team', 'readers']);
    await updateUser(deps, 'ann', { groups: ['readers'] }, SYSTEM);
    assert.deepEqual(await names(), ['readers']);
    await changeMembers(deps, { group: 'dev team', add: ['ann'] }, SYSTEM);
    const { groups } = (await identity.principals.getAccount(ann.id))!.principal;
    assert.equal(groups.length, 2);
    const held = await listUserGroupsOf(identity.database.kysely, ann.id);
    assert.deepEqual(await listMemberNames(identity.database.kysely, held[0]!.id, { limit: 10 }), ['ann']);
  });

  it('make administrators of their members at once', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    await createGroup(deps, { name: 'ops' }, SYSTEM);
    const ann = await identity.user('ann', { groups: ['ops'] });
    assert.equal(ann.admin, false);
    await updateGroup(deps, 'ops', { admin: true }, SYSTEM);
    assert.equal((await identity.principals.getAccount(ann.id))?.principal.admin, true);
  });

  it('cannot both take new users and make administrators', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    await assert.rejects(createGroup(deps, { name: 'x', admin: true, autoJoin: true }, SYSTEM), refused('invalid'));
    await createGroup(deps, { name: 'x', autoJoin: true }, SYSTEM);
    await assert.rejects(updateGroup(deps, 'x', { admin: true }, SYSTEM), refused('invalid'));
    await assert.rejects(createGroup(deps, { name: 'x' }, SYSTEM), refused('conflict'));
    await assert.rejects(deleteGroup(deps, 'unknown', SYSTEM), refused('not_found'));
    for (const name of ['', 'a/b', 'anonymous', 'end ', 'x'.repeat(65)]) {
      await assert.rejects(createGroup(deps, { name }, SYSTEM), refused('invalid'));
    }
    await assert.rejects(updateGroup(deps, 'x', { description: 'x'.repeat(1025) }, SYSTEM), refused('invalid'));
  });
});

describe('permission targets', () => {
  it('are set by whoever manages all their repositories and holds what is given', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    for (const repo of ['libs', 'images', 'part']) identity.classes.set(repo, 'local');
    const ann = await identity.user('ann');
    await identity.user('bob');
    const held: Action[] = ['read', 'deploy', 'manage'];
    await putPermissionTarget(deps, targetOf('own', ['libs'], [grant('ann', held)]), SYSTEM);
    const partly = { ...targetOf('partly', ['part'], [grant('ann', held)]), excludes: ['secret/**'] };
    await putPermissionTarget(deps, partly, SYSTEM);
    await putPermissionTarget(deps, targetOf('mine', ['libs'], [grant('bob', ['read', 'deploy'])]), ann);
    for (const edit of [
      targetOf('more', ['libs'], [grant('bob', ['delete'])]),
      targetOf('other', ['libs', 'images'], [grant('bob', ['read'])]),
      targetOf('any', ['ANY'], [grant('bob', ['read'])]),
      targetOf('wider', ['part'], [grant('ann', ['read'])]),
      targetOf('empty', []),
      targetOf('probe', ['images'], [grant('nobody', ['read'])]),
    ]) {
      await assert.rejects(putPermissionTarget(deps, edit, ann), refused('forbidden'));
    }
    await assert.rejects(putPermissionTarget(deps, targetOf('x', ['libs']), ANONYMOUS), refused('unauthenticated'));
    const scoped: Principal = { ...ann, scope: [{ actions: ACTIONS, repos: ['libs'], paths: ['a/**'] }] };
    await assert.rejects(putPermissionTarget(deps, targetOf('s', ['libs']), scoped), refused('forbidden'));
    await putPermissionTarget(deps, targetOf('admins', ['libs'], [grant('bob', ACTIONS)]), SYSTEM);
    await assert.rejects(putPermissionTarget(deps, targetOf('admins', ['libs']), ann), refused('forbidden'));
    await assert.rejects(deletePermissionTarget(deps, 'admins', ann), refused('forbidden'));
    await deletePermissionTarget(deps, 'mine', ann);
    await assert.rejects(deletePermissionTarget(deps, 'mine', SYSTEM), refused('not_found'));
  });

  it('are refused with unknown people, bad patterns or subjects named twice', async () => {
    await using identity = await testIdentity();
    await identity.user('ann');
    const base = targetOf('t', ['libs']);
    for (const [edit, code] of [
      [{ ...base, grants: [grant('nobody', ['read'])] }, 'not_found'],
      [{ ...base, grants: [grant('nobody', ['read'], 'group')] }, 'not_found'],
      [{ ...base, grants: [grant('ann', ['read']), grant('Ann', ['deploy'])] }, 'invalid'],
      [{ ...base, includes: ['a/../b'] }, 'invalid'],
      [{ ...base, excludes: ['a\0'] }, 'invalid'],
      [{ ...base, repositories: ['../x'] }, 'invalid'],
      [{ ...base, name: '<b>' }, 'invalid'],
      [{ ...base, includes: Array.from({ length: 1001 }, () => '**') }, 'invalid'],
    ] as const) {
      await assert.rejects(putPermissionTarget(identity.deps, edit, SYSTEM), refused(code));
    }
  });

  it('and token scopes forget a deleted repository, so that its namesake inherits nothing', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    const ann = await identity.user('ann');
    const actions: Action[] = ['read'];
    await putPermissionTarget(deps, targetOf('t', ['libs', 'images'], [grant('ann', actions)]), SYSTEM);
    const scope = [{ actions, repos: ['libs', 'images'], paths: ['**'] }];
    const { accessToken = '', tokenId } = await createToken(deps, { scope }, ann);
    await identity.authenticator.authenticate(bearer(accessToken), PEER);
    await identity.database.transaction((tx) => forgetRepository(deps, tx, 'libs' as RepoKey));
    await identity.permissions.refresh();
    const { principal } = await identity.authenticator.authenticate(bearer(accessToken), PEER);
    const reads = (who: Principal, repo: string) =>
      identity.permissions.allows(who, 'read', repo as RepoKey, 'a' as RepoPath);
    assert.deepEqual([reads(ann, 'libs'), reads(ann, 'images')], [false, true]);
    const admin: Principal = { ...principal, admin: true } as Principal;
    assert.deepEqual([reads(admin, 'libs'), reads(admin, 'images')], [false, true]);
    assert.deepEqual((await getToken(identity.database.kysely, tokenId))?.scope?.[0]?.repos, ['images']);
  });
});

describe('tokens', () => {
  it('are made for oneself, and for others by administrators', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    const ann = await identity.user('ann');
    await identity.user('off', { enabled: false });
    const root = await identity.user('root', { admin: true });
    assert.equal((await createToken(deps, {}, ann)).userName, 'ann');
    assert.equal((await createToken(deps, { userName: 'ann' }, root)).userName, 'ann');
    await assert.rejects(createToken(deps, { userName: 'root' }, ann), refused('forbidden'));
    await assert.rejects(createToken(deps, { userName: 'nobody' }, ann), refused('forbidden'));
    await assert.rejects(createToken(deps, { userName: 'nobody' }, root), refused('not_found'));
    await assert.rejects(createToken(deps, { userName: 'off' }, root), refused('not_found'));
    await assert.rejects(createToken(deps, {}, ANONYMOUS), refused('unauthenticated'));
  });

  it('have a life within limits', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    const ann = await identity.user('ann');
    assert.equal((await createToken(deps, {}, ann)).expiresInSeconds, 3600);
    assert.equal(
      (await createToken(deps, { userName: 'ann', expiresInSeconds: 0 }, SYSTEM)).expiresInSeconds,
      undefined,
    );
    for (const expiresInSeconds of [-1, 1.5, Number.NaN, 1e12, Number.POSITIVE_INFINITY]) {
      await assert.rejects(createToken(deps, { userName: 'ann', expiresInSeconds }, SYSTEM), refused('invalid'));
    }
    for (const expiresInSeconds of [0, 400 * 86_400]) {
      await assert.rejects(createToken(deps, { expiresInSeconds }, ann), refused('forbidden'));
    }
    await assert.rejects(createToken(deps, { description: 'x'.repeat(1025) }, ann), refused('invalid'));
    await assert.rejects(createToken(deps, { signed: false }, ann), refused('invalid'));
  });

  it('never do more, nor live longer, than the token they are made with', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    const root = await identity.user('root', { admin: true });
    const scope = [{ actions: ['read' as const], repos: ['libs'], paths: ['a/**'] }];
    const { accessToken = '' } = await createToken(deps, { scope, expiresInSeconds: 600 }, root);
    const caller = await identity.authenticator.authenticate(bearer(accessToken), PEER);
    const parentTokenId = caller.credential?.tokenId;
    const child = await createToken(deps, { parentTokenId, expiresInSeconds: 3600 }, caller.principal);
    assert.deepEqual([child.scope, child.expiresInSeconds], [scope, 600]);
    for (const wider of [
      [{ ...scope[0]!, actions: ['read', 'deploy'] as const }],
      [{ ...scope[0]!, repos: ['*'] }],
      [{ ...scope[0]!, paths: ['**'] }],
      [...scope, { ...scope[0]!, repos: ['images'] }],
    ]) {
      await assert.rejects(createToken(deps, { scope: wider }, caller.principal), refused('forbidden'));
    }
    await assert.rejects(createToken(deps, { userName: 'admin' }, caller.principal), refused('forbidden'));
    await assert.rejects(createToken(deps, { scope: [{ ...scope[0]!, paths: ['..'] }] }, root), refused('invalid'));
  });

  it('are listed and revoked by their owner and by administrators', async () => {
    await using identity = await testIdentity();
    const { deps } = identity;
    const ann = await identity.user('ann');
    const bob = await identity.user('bob');
    const root = await identity.user('root', { admin: true });
    const anns = await createToken(deps, { description: 'laptop' }, ann);
    await createToken(deps, {}, bob);
    const names = async (by: Principal, userName?: string) =>
      (await listTokens(deps, { userName }, by)).map((t) => t.userName);
    assert.deepEqual(await names(ann), ['ann']);
    assert.deepEqual(await names(ann, 'bob'), []);
    assert.deepEqual((await names(root)).sort(), ['ann', 'bob']);
    assert.deepEqual(await names(root, 'bob'), ['bob']);
    await assert.rejects(listTokens(deps, {}, ANONYMOUS), refused('unauthenticated'));
    await assert.rejects(revokeToken(deps, anns.tokenId, bob), refused('not_found'));
    await assert.rejects(revokeToken(deps, "' or 1=1 --", ann), refused('not_found'));
    await revokeToken(deps, anns.tokenId, root);
    assert.deepEqual(await names(ann), []);
    assert.deepEqual(
      identity.events.filter((event) => event.startsWith('token.')).map((event) => event.split(' ')[0]),
      ['token.created', 'token.created', 'token.revoked'],
    );
  });
});
