/** User accounts through the REST API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUser, expectAdminOnly, expectStatus, getJson, onEachStorage, PASSWORD, sendJson } from './api-world.ts';

const ALL = '/artifactory/api/security/users';
const CHANGE = `${ALL}/authorization/changePassword`;

onEachStorage('users', (world) => {
  test('need an administrator to be listed, made, changed and deleted', async () => {
    await expectAdminOnly(world(), [
      ['GET', ALL],
      ['PUT', `${ALL}/eve`, { email: 'eve@example.com', password: PASSWORD, admin: true }],
      ['POST', `${ALL}/ann`, { admin: true }],
      ['PUT', `${ALL}/ann`, { password: PASSWORD, admin: true }],
      ['DELETE', `${ALL}/admin`],
      ['GET', `${ALL}/admin`],
      ['POST', '/artifactory/api/security/unlockUsers/ann'],
    ]);
    const ann = (await getJson(world().app.admin, `${ALL}/ann`)) as Record<string, unknown>;
    assert.equal(ann['admin'], false);
  });

  test('are shown to themselves, in the fields clients compare', async () => {
    assert.deepEqual(await getJson(world().app.as('ANN', PASSWORD), `${ALL}/ANN`).then(withoutTimes), {
      name: 'ann',
      email: 'ann@example.com',
      admin: false,
      profileUpdatable: true,
      disableUIAccess: false,
      internalPasswordDisabled: false,
      realm: 'internal',
      shouldInvite: false,
      watchManager: false,
      reportsManager: false,
      policyManager: false,
    });
  });

  test('are made, listed, changed and deleted', async () => {
    const { app } = world();
    const bob = await createUser(app, 'Bob');
    assert.equal((await bob.request('GET', `${ALL}/bob`)).status, 200);
    const list = (await getJson(app.admin, ALL)) as Record<string, unknown>[];
    assert.deepEqual(
      list.find(({ name }) => name === 'bob'),
      { name: 'bob', uri: `${app.url}${ALL}/bob`, realm: 'internal', status: 'enabled' },
    );
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/bob`, { email: 'new@example.com', admin: 'true' }), 200);
    const changed = (await getJson(app.admin, `${ALL}/bob`)) as Record<string, unknown>;
    assert.deepEqual([changed['email'], changed['admin']], ['new@example.com', true]);
    const deleted = await expectStatus(app.admin.request('DELETE', `${ALL}/bob`), 200);
    assert.equal(deleted.text, "The user: 'bob' has been removed successfully.");
    assert.equal((await bob.request('GET', `${ALL}/bob`)).status, 401);
    await expectStatus(app.admin.request('DELETE', `${ALL}/bob`), 404);
    await expectStatus(app.admin.request('GET', `${ALL}/bob`), 404);
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/bob`, {}), 404);
  });

  test('that exist are replaced by what is put over them, except the password', async () => {
    const { app } = world();
    const carl = await createUser(app, 'carl', { admin: true });
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/carl`, { email: 'c@example.com' }), 201);
    assert.equal(((await getJson(carl, `${ALL}/carl`)) as { admin: boolean }).admin, false);
    assert.equal((await carl.request('GET', ALL)).status, 403);
  });

  test('refuse bad names, bad addresses, weak passwords and groups that are not there, and change nothing then', async () => {
    const { admin } = world().app;
    const bad = [
      ['anonymous', { password: PASSWORD }],
      ['a%20b', { password: PASSWORD }],
      ['dora', {}],
      ['dora', { password: 'short' }],
      ['dora', { password: 'password1' }],
      ['dora', { password: PASSWORD, email: 'nowhere' }],
      ['dora', { password: PASSWORD, groups: ['missing'] }],
      ['dora', { name: 'other', password: PASSWORD }],
    ] as const;
    for (const [name, body] of bad) await expectStatus(sendJson(admin, 'PUT', `${ALL}/${name}`, body), 400);
    await expectStatus(admin.request('GET', `${ALL}/dora`), 404);
    const half = { email: 'half@example.com', password: 'short' };
    await expectStatus(sendJson(admin, 'POST', `${ALL}/ann`, half), 400);
    assert.equal(((await getJson(admin, `${ALL}/ann`)) as { email: string }).email, 'ann@example.com');
  });

  test('without a password can do nothing with one', async () => {
    const { app } = world();
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/robot`, { internalPasswordDisabled: true }), 201);
    const robot = (await getJson(app.admin, `${ALL}/robot`)) as Record<string, unknown>;
    assert.equal(robot['internalPasswordDisabled'], true);
    assert.equal((await app.as('robot', '').request('GET', `${ALL}/robot`)).status, 401);
  });

  test('never lose the last administrator', async () => {
    const { admin } = world().app;
    await expectStatus(sendJson(admin, 'POST', `${ALL}/admin`, { admin: false }), 403);
    await expectStatus(sendJson(admin, 'PUT', `${ALL}/admin`, { email: 'a@example.com' }), 403);
    const own = await expectStatus(admin.request('DELETE', `${ALL}/admin`), 403);
    assert.match(own.text, /your own account/);
    assert.equal((await admin.request('GET', ALL)).status, 200);
  });

  test('change their own password with the current one, administrators too', async () => {
    const { app } = world();
    const old = await createUser(app, 'erik');
    const change = (userName: string, oldPassword: string, newPassword1: string, newPassword2 = newPassword1) =>
      sendJson(old, 'POST', CHANGE, { userName, oldPassword, newPassword1, newPassword2 });
    await expectStatus(change('erik', 'not-the-password', 'green-kettle-18'), 400);
    await expectStatus(change('erik', PASSWORD, 'green-kettle-18', 'green-kettle-19'), 400);
    await expectStatus(change('erik', PASSWORD, 'short'), 400);
    await expectStatus(change('ann', PASSWORD, 'green-kettle-18'), 403);
    const changed = await expectStatus(change('erik', PASSWORD, 'green-kettle-18'), 200);
    assert.equal(changed.text, 'Password has been successfully changed');
    assert.equal((await old.request('GET', `${ALL}/erik`)).status, 401);
    assert.equal((await app.as('erik', 'green-kettle-18').request('GET', `${ALL}/erik`)).status, 200);

    const stolen = { userName: 'admin', newPassword1: 'green-kettle-18', newPassword2: 'green-kettle-18' };
    await expectStatus(sendJson(app.admin, 'POST', CHANGE, { ...stolen, oldPassword: 'a-wrong-guess' }), 400);
    assert.equal((await app.anonymous.request('POST', CHANGE)).status, 401);
  });
});

function withoutTimes(user: unknown): Record<string, unknown> {
  const { lastLoggedIn: _, lastLoggedInMillis: __, ...rest } = user as Record<string, unknown>;
  return rest;
}
