/** Repositories and their settings through the REST API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageClient, makeImage } from '../../support/oci.ts';
import { createUser, expectAdminOnly, expectStatus, getJson, grant, onEachStorage, sendJson } from './api-world.ts';

const ALL = '/artifactory/api/repositories';

onEachStorage('repositories', (world) => {
  test('need an administrator to be made, changed and deleted', async () => {
    await expectAdminOnly(world(), [
      ['PUT', `${ALL}/mine`, { rclass: 'local', packageType: 'generic' }],
      ['POST', `${ALL}/generic-local`, { description: 'mine' }],
      ['DELETE', `${ALL}/generic-local`],
    ]);
    assert.equal((await world().app.anonymous.request('GET', ALL)).status, 401);
  });

  test('keep the settings they are made and changed with', async () => {
    const { admin } = world().app;
    const made = { key: 'kept', rclass: 'local', packageType: 'docker', description: 'images', maxUniqueTags: 7 };
    const created = await expectStatus(sendJson(admin, 'PUT', `${ALL}/kept`, made), 200);
    assert.equal(created.text, "Successfully created repository 'kept'\n");
    const changed = await expectStatus(
      sendJson(admin, 'POST', `${ALL}/kept`, { notes: 'n', environments: ['DEV'], xrayIndex: true }),
      200,
    );
    assert.equal(changed.text, 'Repository kept update successfully.\n');
    const settings = (await getJson(admin, `${ALL}/kept`)) as Record<string, unknown>;
    for (const [name, value] of Object.entries({ ...made, notes: 'n', environments: ['DEV'], xrayIndex: true })) {
      assert.deepEqual(settings[name], value, name);
    }
    assert.equal(settings['includesPattern'], '**/*');
    assert.equal(settings['dockerApiVersion'], 'V2');
  });

  test('are listed with the type spelt as Artifactory does, and filtered', async () => {
    const { app } = world();
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/charts`, { rclass: 'local', packageType: 'helmoci' }), 200);
    const rows = (await getJson(app.admin, `${ALL}?type=local&packageType=helmoci`)) as unknown[];
    assert.deepEqual(rows, [
      { key: 'charts', type: 'LOCAL', url: `${app.url}/artifactory/charts`, packageType: 'HelmOCI' },
    ]);
    assert.deepEqual(await getJson(app.admin, `${ALL}?type=remote`), []);
    assert.deepEqual(await getJson(app.admin, `${ALL}?packageType=nonsense`), []);
  });

  test('are shown only to those who may read or deploy something in them', async () => {
    const { app } = world();
    const rita = await createUser(app, 'rita');
    assert.deepEqual(await getJson(rita, ALL), []);
    assert.equal((await rita.request('GET', `${ALL}/generic-local`)).status, 400);
    await grant(app, 'rita-reads', ['generic-local'], { rita: ['r'] });
    assert.deepEqual(
      ((await getJson(rita, ALL)) as { key: string }[]).map(({ key }) => key),
      ['generic-local'],
    );
    assert.deepEqual(await getJson(rita, `${ALL}/generic-local`), {
      key: 'generic-local',
      packageType: 'generic',
      description: '',
      rclass: 'local',
    });
  });

  test('refuse keys that are taken in any case, reserved or no keys at all', async () => {
    const { admin } = world().app;
    const taken = await expectStatus(sendJson(admin, 'PUT', `${ALL}/Generic-Local`, { rclass: 'local' }), 400);
    assert.match(taken.text, /key already exists/);
    for (const key of ['api', 'v2', '.hidden', 'a%20b', 'a%2Fb', 'a'.repeat(65)]) {
      await expectStatus(sendJson(admin, 'PUT', `${ALL}/${key}`, { rclass: 'local' }), 400);
    }
    await expectStatus(sendJson(admin, 'PUT', `${ALL}/one`, { key: 'other', rclass: 'local' }), 400);
  });

  test('refuse classes and package types that are not served, and to change either', async () => {
    const { admin } = world().app;
    await expectStatus(sendJson(admin, 'PUT', `${ALL}/far`, { rclass: 'remote', packageType: 'docker' }), 400);
    await expectStatus(sendJson(admin, 'PUT', `${ALL}/odd`, { rclass: 'local', packageType: 'nonsense' }), 400);
    await expectStatus(sendJson(admin, 'POST', `${ALL}/generic-local`, { packageType: 'docker' }), 400);
    await expectStatus(sendJson(admin, 'POST', `${ALL}/generic-local`, { rclass: 'virtual' }), 400);
    await expectStatus(sendJson(admin, 'POST', `${ALL}/generic-local`, { includesPattern: 'a//b' }), 400);
    await expectStatus(sendJson(admin, 'POST', `${ALL}/missing`, {}), 400);
    await expectStatus(admin.request('DELETE', `${ALL}/missing`), 400);
  });

  test('drop fields nobody knows and take null for nothing said', async () => {
    const { admin } = world().app;
    const body = { rclass: 'local', packageType: 'generic', unheardOf: { a: 1 }, description: null };
    await expectStatus(sendJson(admin, 'PUT', `${ALL}/tolerant`, body), 200);
    const settings = (await getJson(admin, `${ALL}/tolerant`)) as Record<string, unknown>;
    assert.equal('unheardOf' in settings, false);
    assert.equal(settings['description'], '');
  });

  test('can be pushed to at once, and are gone with all they held when deleted', async () => {
    const { app } = world();
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/brief`, { rclass: 'local', packageType: 'docker' }), 200);
    await new ImageClient(app.admin, '/v2/brief/app').push('1.0', makeImage());
    await grant(app, 'brief-rights', ['brief', 'generic-local'], { ann: ['r'] });
    const deleted = await expectStatus(app.admin.request('DELETE', `${ALL}/brief`), 200);
    assert.equal(deleted.text, 'Repository brief and all its content have been removed successfully.');
    assert.equal((await app.admin.request('GET', `${ALL}/brief`)).status, 400);
    assert.equal((await app.admin.request('GET', '/v2/brief/app/manifests/1.0')).status, 404);
    const target = await getJson(app.admin, '/artifactory/api/security/permissions/brief-rights');
    assert.deepEqual((target as { repositories: string[] }).repositories, ['generic-local']);
  });

  test('take and give only what their patterns accept', async () => {
    const { admin } = world().app;
    const body = { rclass: 'local', packageType: 'generic', includesPattern: 'org/**', excludesPattern: '**/*.tmp' };
    await expectStatus(sendJson(admin, 'PUT', `${ALL}/picky`, body), 200);
    await expectStatus(admin.request('PUT', '/artifactory/picky/org/a.jar', { body: 'a' }), 201);
    const refused = await expectStatus(admin.request('PUT', '/artifactory/picky/com/a.jar', { body: 'a' }), 409);
    assert.match(refused.text, /include\/exclude pattern/);
    await expectStatus(admin.request('PUT', '/artifactory/picky/org/a.tmp', { body: 'a' }), 409);
    await expectStatus(sendJson(admin, 'POST', `${ALL}/picky`, { includesPattern: 'net/**' }), 200);
    await expectStatus(admin.request('GET', '/artifactory/picky/org/a.jar'), 404);
    await expectStatus(sendJson(admin, 'POST', `${ALL}/picky`, { includesPattern: '**/*', blackedOut: true }), 200);
    await expectStatus(admin.request('GET', '/artifactory/picky/org/a.jar'), 404);
    await expectStatus(admin.request('PUT', '/artifactory/picky/org/b.jar', { body: 'b' }), 404);
    await expectStatus(sendJson(admin, 'POST', `${ALL}/picky`, { blackedOut: false }), 200);
    await expectStatus(admin.request('GET', '/artifactory/picky/org/a.jar'), 200);
  });
});
