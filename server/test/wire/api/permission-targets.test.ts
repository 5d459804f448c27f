/** Permission targets through the REST API, and what they make of a user. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageClient, makeImage } from '../../support/oci.ts';
import { createUser, expectAdminOnly, expectStatus, getJson, grant, onEachStorage, sendJson } from './api-world.ts';

const V1 = '/artifactory/api/security/permissions';
const V2 = '/artifactory/api/v2/security/permissions';

onEachStorage('permission targets', (world) => {
  test('need an administrator, or in the second form somebody who manages all of the repositories', async () => {
    const mine = { repo: { repositories: ['generic-local'], actions: { users: { ann: ['read', 'manage'] } } } };
    await expectAdminOnly(world(), [
      ['GET', V1],
      ['GET', `${V1}/any`],
      ['PUT', `${V1}/any`, { repositories: ['ANY'], principals: { users: { ann: ['m'] } } }],
      ['DELETE', `${V1}/any`],
      ['POST', `${V2}/mine`, mine],
    ]);
    assert.deepEqual(await getJson(world().ann, V2), []);
    assert.equal((await world().app.anonymous.request('GET', V2)).status, 401);
  });

  test('round-trip in both forms', async () => {
    const { admin, url } = world().app;
    await expectStatus(sendJson(admin, 'PUT', '/artifactory/api/security/groups/dev', {}), 201);
    const v1 = {
      name: 'both',
      includesPattern: 'org/**,com/acme/**',
      excludesPattern: '**/secret/**',
      repositories: ['generic-local', 'ANY LOCAL'],
      principals: { users: { ann: ['r', 'n', 'w'], anonymous: ['r'] }, groups: { dev: ['r', 'w', 'd', 'm'] } },
    };
    await expectStatus(sendJson(admin, 'PUT', `${V1}/both`, v1), 201);
    const read = (await getJson(admin, `${V1}/both`)) as typeof v1;
    assert.deepEqual(read.principals.groups, { dev: ['r', 'w', 'd', 'm'] });
    assert.deepEqual(read, v1);
    assert.deepEqual(await getJson(admin, `${V2}/both`), {
      name: 'both',
      repo: {
        'include-patterns': ['org/**', 'com/acme/**'],
        'exclude-patterns': ['**/secret/**'],
        repositories: ['generic-local', 'ANY LOCAL'],
        actions: {
          users: { ann: ['read', 'annotate', 'write'], anonymous: ['read'] },
          groups: { dev: ['read', 'write', 'delete', 'manage'] },
        },
      },
    });
    const list = (await getJson(admin, V2)) as { name: string; uri: string }[];
    assert.deepEqual(
      list.find(({ name }) => name === 'both'),
      { name: 'both', uri: `${url}${V2}/both` },
    );
    await expectStatus(admin.request('DELETE', `${V1}/both`), 200);
    await expectStatus(admin.request('GET', `${V1}/both`), 404);
    await expectStatus(admin.request('HEAD', `${V2}/both`), 404);
  });

  test('are taken with nulls for what there is nothing of', async () => {
    const { admin } = world().app;
    const principals = { users: { ann: ['w'] }, groups: null };
    const v1 = { name: 'nulls', repositories: ['generic-local'], includesPattern: null, principals };
    await expectStatus(sendJson(admin, 'PUT', `${V1}/nulls`, v1), 201);
    const actions = { users: { ann: ['read'] }, groups: null };
    const v2 = { name: 'nulls', repo: { repositories: ['generic-local'], actions }, build: null, releaseBundle: null };
    await expectStatus(sendJson(admin, 'PUT', `${V2}/nulls`, v2), 200);
    const read = (await getJson(admin, `${V1}/nulls`)) as { principals: unknown; includesPattern: string };
    assert.deepEqual([read.principals, read.includesPattern], [{ users: { ann: ['r'] } }, '**']);
    await expectStatus(admin.request('DELETE', `${V1}/nulls`), 200);
  });

  test('of the second form are created by POST, and created or replaced by PUT', async () => {
    const { admin } = world().app;
    const body = { repo: { 'exclude-patterns': [''], repositories: ['generic-local'] } };
    await expectStatus(sendJson(admin, 'PUT', `${V2}/strict`, body), 200);
    await expectStatus(admin.request('DELETE', `${V2}/strict`), 200);
    await expectStatus(sendJson(admin, 'POST', `${V2}/strict`, body), 200);
    await expectStatus(sendJson(admin, 'POST', `${V2}/strict`, body), 409);
    const users = { ann: ['read', 'managedXrayMeta', 'distribute'] };
    await expectStatus(sendJson(admin, 'PUT', `${V2}/strict`, { repo: { ...body.repo, actions: { users } } }), 200);
    assert.deepEqual(await getJson(admin, `${V2}/strict`), {
      name: 'strict',
      repo: {
        'include-patterns': ['**'],
        'exclude-patterns': [],
        repositories: ['generic-local'],
        actions: { users: { ann: ['read'] } },
      },
    });
    await expectStatus(admin.request('DELETE', `${V2}/strict`), 200);
    await expectStatus(admin.request('DELETE', `${V2}/strict`), 404);
  });

  test('refuse rights, subjects, patterns and repositories that do not exist', async () => {
    const { admin } = world().app;
    const base = { repositories: ['generic-local'] };
    for (const body of [
      { ...base, principals: { users: { ann: ['q'] } } },
      { ...base, principals: { users: { nobody: ['r'] } } },
      { ...base, principals: { groups: { nobody: ['r'] } } },
      { ...base, includesPattern: 'a//b' },
      { repositories: ['../x'] },
      { principals: {} },
      { ...base, name: 'other' },
    ]) {
      await expectStatus(sendJson(admin, 'PUT', `${V1}/bad`, body), 400);
    }
    const build = { build: { actions: { users: { ann: ['read'] } } } };
    await expectStatus(sendJson(admin, 'POST', `${V2}/bad`, build), 400);
    await expectStatus(admin.request('GET', `${V1}/bad`), 404);
  });

  test('let a user pull but not push, then push, then nothing', async () => {
    const { app } = world();
    const paul = await createUser(app, 'paul');
    const image = makeImage();
    await new ImageClient(app.admin, '/v2/docker-local/tool').push('1.0', image);
    const client = new ImageClient(paul, '/v2/docker-local/tool');
    assert.equal(await client.statusOf('/manifests/1.0'), 404);
    await grant(app, 'pull', ['docker-local'], { paul: ['r'] });
    assert.equal(await client.statusOf('/manifests/1.0'), 200);
    assert.equal((await client.request('POST', '/blobs/uploads/')).status, 403);
    assert.equal((await client.putManifest('1.1', image.bytes)).status, 403);
    await grant(app, 'pull', ['docker-local'], { paul: ['r', 'w'] });
    await client.push('1.1', image);
    assert.equal((await client.request('DELETE', '/manifests/1.1')).status, 403);
    await expectStatus(app.admin.request('DELETE', `${V1}/pull`), 200);
    assert.equal(await client.statusOf('/manifests/1.1'), 404);
  });

  test('can be changed by who manages the repository, who cannot give more than that', async () => {
    const { app } = world();
    const maya = await createUser(app, 'maya');
    await grant(app, 'maya-manages', ['generic-local'], { maya: ['r', 'm'] });
    const body = (repositories: string[], actions: string[]) => ({
      repo: { repositories, actions: { users: { ann: actions } } },
    });
    await expectStatus(sendJson(maya, 'POST', `${V2}/of-maya`, body(['generic-local'], ['read'])), 200);
    await expectStatus(sendJson(maya, 'PUT', `${V2}/of-maya`, body(['generic-local'], ['read', 'write'])), 403);
    await expectStatus(sendJson(maya, 'PUT', `${V2}/of-maya`, body(['docker-local'], ['read'])), 403);
    await expectStatus(sendJson(maya, 'PUT', `${V2}/of-maya`, body(['ANY'], ['read'])), 403);
    const names = ((await getJson(maya, V2)) as { name: string }[]).map(({ name }) => name);
    assert.deepEqual(names, ['maya-manages', 'of-maya']);
    await expectStatus(maya.request('DELETE', `${V2}/of-maya`), 200);
  });
});
