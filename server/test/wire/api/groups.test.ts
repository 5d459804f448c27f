/** Groups through the REST API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUser, expectAdminOnly, expectStatus, getJson, onEachStorage, sendJson } from './api-world.ts';

const ALL = '/artifactory/api/security/groups';
const USERS = '/artifactory/api/security/users';

onEachStorage('groups', (world) => {
  test('need an administrator', async () => {
    await expectAdminOnly(world(), [
      ['GET', ALL],
      ['GET', `${ALL}/readers`],
      ['PUT', `${ALL}/mine`, { adminPrivileges: true, userNames: ['ann'] }],
      ['POST', `${ALL}/mine`, { userNames: ['ann'] }],
      ['DELETE', `${ALL}/mine`],
    ]);
  });

  test('are made, listed, changed and deleted', async () => {
    const { app } = world();
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/build%20team`, { description: 'builders' }), 201);
    const list = (await getJson(app.admin, ALL)) as { name: string; uri: string }[];
    assert.deepEqual(
      list.find(({ name }) => name === 'build team'),
      { name: 'build team', uri: `${app.url}${ALL}/build%20team` },
    );
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/build%20team`, { autoJoin: true }), 200);
    assert.deepEqual(await getJson(app.admin, `${ALL}/build%20team`), {
      name: 'build team',
      description: 'builders',
      autoJoin: true,
      adminPrivileges: false,
      realm: 'internal',
      watchManager: false,
      policyManager: false,
      reportsManager: false,
    });
    await createUser(app, 'joiner');
    assert.deepEqual(((await getJson(app.admin, `${USERS}/joiner`)) as { groups: string[] }).groups, ['build team']);
    await expectStatus(app.admin.request('DELETE', `${ALL}/build%20team`), 200);
    await expectStatus(app.admin.request('GET', `${ALL}/build%20team`), 404);
    await expectStatus(app.admin.request('DELETE', `${ALL}/build%20team`), 404);
    assert.equal('groups' in ((await getJson(app.admin, `${USERS}/joiner`)) as object), false);
  });

  test('have the members they are given', async () => {
    const { app } = world();
    for (const name of ['finn', 'gerd', 'hans']) await createUser(app, name);
    const members = async () =>
      ((await getJson(app.admin, `${ALL}/crew?includeUsers=true`)) as { userNames: string[] }).userNames;
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/crew`, { userNames: ['finn', 'GERD'] }), 201);
    assert.deepEqual(await members(), ['finn', 'gerd']);
    // As Python writes it.
    const python = (await getJson(app.admin, `${ALL}/crew?includeUsers=True`)) as { userNames?: string[] };
    assert.deepEqual(python.userNames, ['finn', 'gerd']);
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/crew`, { description: 'same people' }), 200);
    assert.deepEqual(await members(), ['finn', 'gerd']);
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/crew`, { userNames: ['hans', 'gerd'] }), 200);
    assert.deepEqual(await members(), ['gerd', 'hans']);
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/crew`, { userNames: ['nobody'] }), 400);
    assert.deepEqual(await members(), ['gerd', 'hans']);
  });

  test('make their members administrators, at once and only as long', async () => {
    const { app } = world();
    const ines = await createUser(app, 'ines');
    assert.equal((await ines.request('GET', USERS)).status, 403);
    await expectStatus(
      sendJson(app.admin, 'PUT', `${ALL}/chiefs`, { adminPrivileges: true, userNames: ['ines'] }),
      201,
    );
    assert.equal((await ines.request('GET', USERS)).status, 200);
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/chiefs`, { userNames: [] }), 200);
    assert.equal((await ines.request('GET', USERS)).status, 403);
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/loose`, { adminPrivileges: true, autoJoin: true }), 400);
  });
});
