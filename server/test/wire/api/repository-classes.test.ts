/** Remote, virtual and federated repositories, batches, and what configurations must not contradict. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestApp } from '../../support/test-app.ts';
import { createUser, expectAdminOnly, expectStatus, getJson, grant, onEachStorage, sendJson } from './api-world.ts';

const ALL = '/artifactory/api/repositories';
const BATCH = '/artifactory/api/v2/repositories/batch';
type Settings = Record<string, unknown>;

function make(app: TestApp, key: string, body: Settings, status = 200) {
  return expectStatus(sendJson(app.admin, 'PUT', `${ALL}/${key}`, { packageType: 'generic', ...body }), status);
}

function change(app: TestApp, key: string, body: Settings, status = 200) {
  return expectStatus(sendJson(app.admin, 'POST', `${ALL}/${key}`, body), status);
}

const read = (app: TestApp, key: string) => getJson(app.admin, `${ALL}/${key}`) as Promise<Settings>;

onEachStorage('classes of repositories', (world) => {
  test('are told apart in lists, with where a remote one fetches from', async () => {
    const { app } = world();
    await make(app, 'far', { rclass: 'remote', url: 'https://upstream.example/a', description: 'away' });
    await make(app, 'both', { rclass: 'virtual', repositories: ['generic-local', 'far'] });
    await make(app, 'spread', { rclass: 'federated' });
    const rows = (await getJson(app.admin, `${ALL}?packageType=generic`)) as Settings[];
    const row = (key: string) => rows.find((each) => each['key'] === key);
    assert.deepEqual(row('far'), {
      key: 'far',
      description: 'away',
      type: 'REMOTE',
      url: 'https://upstream.example/a',
      packageType: 'Generic',
    });
    assert.equal(row('both')?.['type'], 'VIRTUAL');
    assert.equal(row('spread')?.['url'], `${app.url}/artifactory/spread`);
    assert.deepEqual((await read(app, 'spread'))['members'], [{ url: `${app.url}/artifactory/spread`, enabled: true }]);
  });

  test('say that what they would fetch or gather is not served', async () => {
    const { app } = world();
    const got = await expectStatus(app.admin.request('GET', '/artifactory/far/x'), 503);
    assert.match(got.text, /The upstream of \\"far\\" could not be asked/);
    const put = await expectStatus(app.admin.request('PUT', '/artifactory/far/x', { body: 'x' }), 404);
    assert.match(put.text, /Could not find a local repository named far to deploy to/);
    const virtual = await expectStatus(app.admin.request('PUT', '/artifactory/both/x', { body: 'x' }), 405);
    assert.match(virtual.text, /No local repository was configured/);
    assert.equal(virtual.headers['allow'], 'GET');
    await expectStatus(app.anonymous.request('PUT', '/artifactory/far/x', { body: 'x' }), 401);
  });

  test('behave as local ones when they are federated', async () => {
    const { app } = world();
    await expectStatus(app.admin.request('PUT', '/artifactory/spread/a.txt', { body: 'a' }), 201);
    assert.equal((await app.admin.request('GET', '/artifactory/spread/a.txt')).text, 'a');
    await make(app, 'to-spread', { rclass: 'local' });
    await expectStatus(app.admin.request('PUT', '/artifactory/to-spread/a.txt', { body: 'b' }), 201);
    await expectStatus(app.admin.request('POST', '/artifactory/api/federation/migrate/to-spread'), 200);
    assert.equal((await read(app, 'to-spread'))['rclass'], 'federated');
    assert.equal((await app.admin.request('GET', '/artifactory/to-spread/a.txt')).text, 'b');
    await expectStatus(app.admin.request('POST', '/artifactory/api/federation/migrate/far'), 400);
  });

  test('lose a member that is deleted', async () => {
    const { app } = world();
    await make(app, 'brief', { rclass: 'local' });
    const body = { rclass: 'virtual', repositories: ['brief', 'generic-local'], defaultDeploymentRepo: 'brief' };
    await make(app, 'keeps', body);
    await expectStatus(app.admin.request('DELETE', `${ALL}/brief`), 200);
    const left = await read(app, 'keeps');
    assert.deepEqual(left['repositories'], ['generic-local']);
    assert.equal('defaultDeploymentRepo' in left, false);
  });

  test('refuse members that are not there, of another type, or that lead back', async () => {
    const { app } = world();
    await make(app, 'docker-member', { rclass: 'local', packageType: 'docker' });
    await make(app, 'm-maven', { rclass: 'local', packageType: 'maven' });
    await make(app, 'm-gradle', { rclass: 'local', packageType: 'gradle' });
    for (const repositories of [['nowhere'], ['ring'], ['far', 'far'], Array(10_000).fill('far')]) {
      await make(app, 'ring', { rclass: 'virtual', repositories }, 400);
    }
    await make(app, 'ring', { rclass: 'virtual', packageType: 'maven', repositories: ['docker-member'] }, 400);
    await make(app, 'mixed', { rclass: 'virtual', packageType: 'maven', repositories: ['m-maven', 'm-gradle'] });
    await make(app, 'ring-c', { rclass: 'virtual' });
    await make(app, 'ring-b', { rclass: 'virtual', repositories: ['ring-c'] });
    await make(app, 'ring-a', { rclass: 'virtual', repositories: ['ring-b'] });
    await change(app, 'ring-c', { repositories: ['ring-a'] }, 400);
    await change(app, 'ring-a', { defaultDeploymentRepo: 'generic-local' }, 400);
    await change(app, 'both', { defaultDeploymentRepo: 'far' }, 400);
    await change(app, 'both', { defaultDeploymentRepo: 'generic-local' });
    await change(app, 'both', { repositories: ['far'] }, 400);
  });

  test('refuse what contradicts itself', async () => {
    const { app } = world();
    const remote = { rclass: 'remote', url: 'https://upstream.example' };
    for (const body of [
      { rclass: 'remote' },
      { ...remote, packageType: 'docker', storeArtifactsLocally: false },
      { ...remote, proxy: 'corporate', disableProxy: true },
      { rclass: 'local', primaryKeyPairRef: 'a', secondaryKeyPairRef: 'a' },
      { rclass: 'local', repoLayoutRef: 'no-such-layout' },
      { rclass: 'local', projectKey: 'other' },
      { rclass: 'local', projectKey: 'Not A Key' },
      { rclass: 'local', dockerApiVersion: 'V3' },
      { rclass: 'virtual', packageType: 'cargo' },
      { rclass: 'local', packageType: 'vcs' },
      { rclass: 'local', packageType: 'trash' },
      { rclass: 'cache' },
      { rclass: 'local', maxUniqueTags: -1 },
      { rclass: 'local', maxUniqueTags: 1e99 },
      { rclass: 'local', xrayIndex: 'perhaps' },
      { rclass: 'local', environments: 'DEV' },
      { rclass: 'local', description: 'a\u0000b' },
      { ...remote, customHttpHeaders: [{ name: 'X-A', value: 'a\r\nHost: b' }] },
      { ...remote, customHttpHeaders: [{ name: 'X A', value: 'a' }] },
    ]) {
      await make(app, 'odd', body, 400);
    }
    assert.equal((await app.admin.request('GET', `${ALL}/odd`)).status, 400);
    // Clients send it for repositories of every type.
    await make(app, 'old-client', { rclass: 'local', dockerApiVersion: 'V1' });
    const old = (await getJson(app.admin, `${ALL}/old-client`)) as Record<string, unknown>;
    assert.equal(old['dockerApiVersion'], 'V1');
    await make(app, 'old-images', { rclass: 'local', packageType: 'docker', dockerApiVersion: 'V1' });
    await change(app, 'old-images', { dockerApiVersion: 'V1', description: 'still' });
    const images = (await getJson(app.admin, `${ALL}/old-images`)) as Record<string, unknown>;
    assert.deepEqual([images['dockerApiVersion'], images['description']], ['V2', 'still']);
    await make(app, 'apps-odd', { rclass: 'local', projectKey: 'apps' });
    await change(app, 'apps-odd', { key: 'renamed' }, 400);
  });

  test('refuse addresses that are none, or lead back to the server', async () => {
    const { app } = world();
    for (const url of [
      'file:///etc/passwd',
      'gopher://upstream.example',
      'ftp://upstream.example',
      'javascript:alert(1)',
      'upstream.example',
      '',
      'https://',
      'https://ann:secret@upstream.example',
      `${app.url}/artifactory/generic-local`,
    ]) {
      await make(app, 'loop', { rclass: 'remote', url }, 400);
    }
    await change(app, 'far', { url: 'file:///etc/passwd' }, 400);
    await make(app, 'loop', { rclass: 'federated', members: [{ url: 'file:///etc' }] }, 400);
  });

  test('refuse keys and patterns that cannot be', async () => {
    const { app } = world();
    const keys = ['1st', '..', '.', 'api', 'v2', 'ui', 'access', 'simple', 'far-cache', 'FAR', '%F0%9F%98%80', 'a%2Fb'];
    for (const key of [...keys, 'a'.repeat(65), '&', 'a%3Ab', 'auto-trashcan', 'Artifactory-Build-Info']) {
      const answer = await sendJson(app.admin, 'PUT', `${ALL}/${key}`, { rclass: 'local' });
      assert.ok([400, 404].includes(answer.status), `${key}: ${answer.status}`);
    }
    for (const includesPattern of ['a/../b', 'a\u0000', '[', 'x'.repeat(10_001), 'a//b', `${'**/a/'.repeat(300)}b`]) {
      if (includesPattern === '[') continue;
      await make(app, 'patterned', { rclass: 'local', includesPattern }, 400);
    }
  });

  test('keep secrets, and never show them', async () => {
    const { app } = world();
    const secret = 'canary-of-the-upstream';
    await make(app, 'private', {
      rclass: 'remote',
      url: 'https://upstream.example/a',
      username: 'ann',
      password: secret,
      customHttpHeaders: [
        { name: 'X-Token', value: secret, sensitive: true },
        { name: 'X-Team', value: 'tools', sensitive: false },
      ],
    });
    await make(app, 'peer', {
      rclass: 'federated',
      members: [{ url: 'https://other.example/a', accessToken: secret }],
    });
    const stored = async () =>
      (await app.core.administration.list()).find(({ key }) => key === 'private')?.config ?? {};
    const sealed = (await stored())['password'];
    assert.ok(!JSON.stringify(await app.core.administration.list()).includes(secret));
    const shown = await read(app, 'private');
    assert.equal(shown['password'], '********');
    await change(app, 'private', { ...shown, description: 'again' });
    assert.deepEqual((await stored())['password'], sealed);
    await change(app, 'private', { url: 'https://upstream.example/b' });
    assert.deepEqual((await stored())['password'], sealed, 'another path of the same host');
    await change(app, 'private', { url: 'https://elsewhere.example', password: '********' });
    assert.equal((await stored())['password'], '', 'another host must not get the password of the old one');
    assert.equal((await read(app, 'private'))['password'], '');
    for (const path of [ALL, `${ALL}/private`, `${ALL}/peer`, `${ALL}/configurations`, `${BATCH}?names=private`]) {
      assert.ok(!(await app.admin.request('GET', path)).text.includes(secret), path);
    }
    const events = await app.openDatabase();
    try {
      const rows = await events.read((db) => db.selectFrom('event').select('payload').execute());
      assert.ok(!JSON.stringify(rows).includes(secret));
    } finally {
      await events.close();
    }
  });

  test('are audited with what changed and by whom', async () => {
    const { app } = world();
    await make(app, 'audited', { rclass: 'local', description: 'one' });
    await change(app, 'audited', { description: 'two', xrayIndex: true });
    const database = await app.openDatabase();
    try {
      const rows = await database.read((db) =>
        db.selectFrom('event').selectAll().where('repo', '=', 'audited').orderBy('id').execute(),
      );
      assert.deepEqual(
        rows.map(({ type, principal }) => [type, principal]),
        [
          ['repository.created', 'admin'],
          ['repository.updated', 'admin'],
        ],
      );
      assert.deepEqual(JSON.parse(rows[1]?.payload ?? '{}'), {
        changes: { description: { from: 'one', to: 'two' }, xrayIndex: { to: true } },
      });
    } finally {
      await database.close();
    }
  });

  test('answer by media type, and refuse that of another class', async () => {
    const { app } = world();
    const type = (name: string) =>
      `application/vnd.org.jfrog.artifactory.repositories.${name}RepositoryConfiguration+json`;
    const got = await app.admin.request('GET', `${ALL}/far`, { headers: { accept: type('Remote') } });
    assert.equal(got.headers['content-type'], type('Remote'));
    const wrong = await app.admin.request('GET', `${ALL}/far`, { headers: { accept: type('Local') } });
    assert.equal(wrong.status, 406);
    const put = (name: string, body: Settings) =>
      app.admin.request('PUT', `${ALL}/typed`, { headers: { 'content-type': type(name) }, body: JSON.stringify(body) });
    assert.equal((await put('Virtual', { rclass: 'local', packageType: 'generic' })).status, 406);
    assert.equal((await put('Virtual', { packageType: 'generic' })).status, 200);
    assert.equal((await read(app, 'typed'))['rclass'], 'virtual');
  });

  test('are created, changed and deleted in batches, all or none', async () => {
    const { app } = world();
    const send = (method: string, body: unknown) => sendJson(app.admin, method, BATCH, body);
    const local = (key: string) => ({ key, rclass: 'local', packageType: 'generic' });
    await expectStatus(send('PUT', [local('b-one'), local('far')]), 400);
    assert.equal((await app.admin.request('GET', `${ALL}/b-one`)).status, 400);
    await expectStatus(send('PUT', [local('b-one'), local('B-One')]), 400);
    const missing = await expectStatus(send('PUT', [{ rclass: 'local' }]), 400);
    assert.match(missing.text, /Repository key are missing in configuration/);
    assert.equal((await expectStatus(send('PUT', []), 201)).text, '');
    const virtual = { key: 'b-all', rclass: 'virtual', packageType: 'generic', repositories: ['b-two'] };
    await expectStatus(send('PUT', [virtual, local('b-one'), local('b-two')]), 201);
    const unknown = await expectStatus(
      send('POST', [
        { key: 'b-one', description: 'x' },
        { key: 'nowhere', notes: 'y' },
      ]),
      404,
    );
    assert.equal(unknown.text, 'No repositories found for the following keys: nowhere');
    assert.equal((await read(app, 'b-one'))['description'], '');
    const updated = await expectStatus(send('POST', [{ key: 'b-one', description: 'x' }]), 200);
    assert.equal(updated.text, 'Repositories updated successfully.');
    const both = (await getJson(app.admin, `${BATCH}?names=b-one&names=b-two&names=nowhere`)) as Record<
      string,
      Settings
    >;
    assert.deepEqual(Object.keys(both), ['b-one', 'b-two']);
    assert.equal(both['b-one']?.['description'], 'x');
    await expectStatus(app.admin.request('GET', BATCH), 400);
    const nothing = await expectStatus(send('DELETE', []), 400);
    assert.deepEqual(nothing.json(), { statusMessage: 'No repository keys were provided for deletion' });
    const some = await expectStatus(send('DELETE', ['b-one', 'auto-trashcan']), 207);
    assert.deepEqual(
      (some.json() as { reports: { success: boolean }[] }).reports.map(({ success }) => success),
      [true, false],
    );
    await expectStatus(send('DELETE', ['b-two', 'b-all', 'nowhere']), 200);
    assert.equal((await app.admin.request('GET', `${ALL}/b-all`)).status, 400);
  });

  test('are all there in one answer for administrators, and counted for others', async () => {
    const { app, ann } = world();
    const groups = (await getJson(app.admin, `${ALL}/configurations?repoType=remote`)) as Record<string, Settings[]>;
    assert.deepEqual(Object.keys(groups), ['REMOTE']);
    assert.ok(groups['REMOTE']?.some(({ key }) => key === 'far'));
    assert.deepEqual(await getJson(app.admin, `${ALL}/configurations?packageType=nonsense`), {});
    assert.deepEqual(await getJson(app.admin, `${ALL}/existence?type=local&type=virtual`), {
      exists: true,
      matchingRepoTypes: ['LOCAL', 'VIRTUAL'],
      projectKey: 'default',
    });
    const odd = await expectStatus(app.admin.request('GET', `${ALL}/existence?type=local,remote`), 400);
    assert.match(odd.text, /Invalid repository type: local,remote/);
    assert.equal(((await getJson(ann, `${ALL}/existence`)) as Settings)['exists'], false);
    const gone = await expectStatus(app.admin.request('GET', '/artifactory/api/v2/repositories/nowhere'), 404);
    assert.match(gone.text, /The repository nowhere was not found/);
  });

  test('show others the mere facts of what they may read', async () => {
    const { app } = world();
    const vera = await createUser(app, 'vera');
    await make(app, 'gathers', { rclass: 'virtual', repositories: ['generic-local', 'spread'] });
    await grant(app, 'vera-reads', ['generic-local'], { vera: ['r'] });
    const facts = { key: 'gathers', packageType: 'generic', description: '', repositories: ['generic-local'] };
    assert.deepEqual(await getJson(vera, `${ALL}/gathers`), { ...facts, rclass: 'virtual' });
    assert.deepEqual(await getJson(vera, `${BATCH}?names=gathers&names=spread`), {
      gathers: { ...facts, rclass: 'virtual' },
    });
    assert.equal((await vera.request('GET', `${ALL}/spread`)).status, 400);
  });

  test('need an administrator in batches too', async () => {
    await expectAdminOnly(world(), [
      ['GET', `${ALL}/configurations`],
      ['PUT', BATCH, []],
      ['POST', BATCH, []],
      ['DELETE', BATCH, ['far']],
      ['POST', '/artifactory/api/federation/migrate/generic-local'],
      ['POST', '/artifactory/api/localgenerated/filter/paths', { repoKey: 'a', pathsInRepo: [] }],
    ]);
  });
});
