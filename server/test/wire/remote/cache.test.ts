/** What a remote repository holds, as the repository `<key>-cache`: read, found, described, copied from and deleted there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestApp } from '../../support/test-app.ts';
import { createUser, expectStatus, getJson, grant, onEachStorage, sendJson } from '../api/api-world.ts';
import { hold } from './held-files.ts';

const ALL = '/artifactory/api/repositories';
const NOT_LOCAL = /Could not find a local repository named (far|far-cache) to deploy to\./;
/** Nothing is asked in these tests: what is read is what is held. */
const NOWHERE = 'http://upstream.invalid/files';

type Json = Record<string, unknown>;

async function makeRemote(app: TestApp, key: string, files: Readonly<Record<string, string>>): Promise<void> {
  const body = { rclass: 'remote', packageType: 'generic', url: NOWHERE };
  await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/${key}`, body), 200);
  await hold(app, key, files);
}

async function aql(app: TestApp, criteria: object, caller = app.admin): Promise<string[]> {
  const body = `items.find(${JSON.stringify(criteria)}).include("repo","path","name")`;
  const answer = await expectStatus(caller.request('POST', '/artifactory/api/search/aql', { body }), 200);
  const { results } = answer.json() as { results: { repo: string; path: string; name: string }[] };
  return results.map(({ repo, path, name }) => `${repo}/${path}/${name}`).sort();
}

async function found(app: TestApp, search: string): Promise<string[]> {
  const { results } = (await getJson(app.admin, `/artifactory/api/search/${search}`)) as { results: { uri: string }[] };
  return results.map(({ uri }) => uri.replace(/^.*\/api\/storage\//, '')).sort();
}

onEachStorage('the cache of a remote repository', (world) => {
  test('is read without asking upstream, and never listed among the repositories', async () => {
    const { app } = world();
    await makeRemote(app, 'far', { 'org/a/1/a.txt': 'alpha', 'org/b/1/b.txt': 'beta' });
    assert.equal((await app.admin.request('GET', '/artifactory/far-cache/org/a/1/a.txt')).text, 'alpha');
    await expectStatus(app.admin.request('GET', '/artifactory/far-cache/org/c.txt'), 404);
    const page = await expectStatus(app.admin.request('GET', '/artifactory/far-cache/org/'), 200);
    assert.match(page.text, /href="a\/"/);
    const keys = ((await getJson(app.admin, ALL)) as { key: string }[]).map(({ key }) => key);
    assert.ok(keys.includes('far') && !keys.includes('far-cache'));
    await expectStatus(app.admin.request('GET', `${ALL}/far-cache`), 400);
  });

  test('is described under its own key, whichever of the two is named', async () => {
    const { app } = world();
    for (const key of ['far', 'far-cache']) {
      const file = (await getJson(app.admin, `/artifactory/api/storage/${key}/org/a/1/a.txt`)) as Json;
      assert.equal(file['repo'], 'far-cache');
      assert.equal(file['uri'], `${app.url}/artifactory/api/storage/far-cache/org/a/1/a.txt`);
      const folder = (await getJson(app.admin, `/artifactory/api/storage/${key}/org`)) as Json;
      assert.equal(folder['repo'], 'far-cache');
      assert.deepEqual(folder['children'], [
        { uri: '/a', folder: true },
        { uri: '/b', folder: true },
      ]);
      const list = (await getJson(app.admin, `/artifactory/api/storage/${key}/org?list&deep=1`)) as { files: Json[] };
      assert.deepEqual(
        list.files.map(({ uri }) => uri),
        ['/a/1/a.txt', '/b/1/b.txt'],
      );
      await getJson(app.admin, `/artifactory/api/storage/${key}/org?lastModified`);
      const stats = (await getJson(app.admin, `/artifactory/api/storage/${key}/org/a/1/a.txt?stats`)) as Json;
      assert.equal(stats['downloadCount'], 1);
    }
  });

  test('has properties of its own, which are set under its own key', async () => {
    const { app } = world();
    const path = 'org/a/1/a.txt?properties=colour=red';
    await expectStatus(app.admin.request('PUT', `/artifactory/api/storage/far-cache/${path}`), 204);
    const refused = await expectStatus(app.admin.request('PUT', `/artifactory/api/storage/far/${path}`), 400);
    assert.match(refused.text, /Repository 'far' is not a local repository/);
    const got = (await getJson(app.admin, '/artifactory/api/storage/far/org/a/1/a.txt?properties')) as Json;
    assert.deepEqual(got['properties'], { colour: ['red'] });
  });

  test('is what searches find, by its key, by that of the remote and of virtual repositories', async () => {
    const { app } = world();
    const virtual = { rclass: 'virtual', packageType: 'generic', repositories: ['generic-local', 'far'] };
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/around`, virtual), 200);
    const a = 'far-cache/org/a/1/a.txt';
    const both = [a, 'far-cache/org/b/1/b.txt'];
    assert.deepEqual(await aql(app, { repo: 'far-cache' }), both);
    assert.deepEqual(await aql(app, { repo: 'far' }), both);
    assert.deepEqual(await aql(app, { repo: 'around' }), both);
    assert.deepEqual(await aql(app, { repo: { $match: 'far-c*' } }), both);
    assert.deepEqual(await aql(app, { repo: 'far-cache', '@colour': 'red' }), [a]);
    assert.deepEqual(await aql(app, { repo: { $ne: 'far' }, name: 'a.txt' }), []);
    for (const repos of ['far', 'far-cache', 'around']) {
      assert.deepEqual(await found(app, `artifact?name=a.txt&repos=${repos}`), [a]);
      assert.deepEqual(await found(app, `prop?colour=red&repos=${repos}`), [a]);
    }
    const sums = (await getJson(app.admin, '/artifactory/api/storage/far/org/a/1/a.txt')) as {
      checksums: { sha256: string };
    };
    assert.deepEqual(await found(app, `checksum?sha256=${sums.checksums.sha256}`), [a]);
  });

  test('is counted as a cache', async () => {
    const { app } = world();
    await app.admin.request('POST', '/artifactory/api/storageinfo/calculate');
    const { repositoriesSummaryList } = (await getJson(app.admin, '/artifactory/api/storageinfo')) as {
      repositoriesSummaryList: Json[];
    };
    const rows = repositoriesSummaryList.filter(({ repoKey }) => String(repoKey).startsWith('far'));
    assert.deepEqual(
      rows.map(({ repoKey, repoType }) => [repoKey, repoType]),
      [['far-cache', 'CACHE']],
    );
  });

  test('takes nothing from clients, under either key', async () => {
    const { app } = world();
    for (const key of ['far', 'far-cache']) {
      for (const path of ['new.txt', 'org/a/1/a.txt', 'folder/', 'org/a/1/a.txt.sha1']) {
        const put = await expectStatus(app.admin.request('PUT', `/artifactory/${key}/${path}`, { body: 'x' }), 404);
        assert.match(put.text, NOT_LOCAL);
      }
      const sum = { 'x-checksum-deploy': 'true', 'x-checksum-sha1': '0'.repeat(40) };
      await expectStatus(app.admin.request('PUT', `/artifactory/${key}/new.txt`, { headers: sum }), 404);
      await expectStatus(app.admin.request('MKCOL', `/artifactory/${key}/folder`), 404);
      for (const verb of ['copy', 'move']) {
        await expectStatus(app.admin.request('PUT', '/artifactory/generic-local/mine.txt', { body: 'x' }), 201);
        const to = `/artifactory/api/${verb}/generic-local/mine.txt?to=/${key}/mine.txt`;
        const refused = await expectStatus(app.admin.request('POST', to), 400);
        assert.match(refused.text, /is not a local repository/);
      }
    }
    assert.deepEqual(await aql(app, { repo: 'far-cache' }), ['far-cache/org/a/1/a.txt', 'far-cache/org/b/1/b.txt']);
    assert.equal((await app.admin.request('GET', '/artifactory/far-cache/org/a/1/a.txt')).text, 'alpha');
  });

  test('can be copied and moved from', async () => {
    const { app } = world();
    await makeRemote(app, 'giving', { 'a.txt': 'one', 'b.txt': 'two' });
    await expectStatus(
      app.admin.request('POST', '/artifactory/api/copy/giving-cache/a.txt?to=/generic-local/a.txt'),
      200,
    );
    await expectStatus(
      app.admin.request('POST', '/artifactory/api/move/giving-cache/b.txt?to=/generic-local/b.txt'),
      200,
    );
    assert.equal((await app.admin.request('GET', '/artifactory/generic-local/a.txt')).text, 'one');
    assert.equal((await app.admin.request('GET', '/artifactory/generic-local/b.txt')).text, 'two');
    assert.deepEqual(await aql(app, { repo: 'giving-cache' }), ['giving-cache/./a.txt']);
  });

  test('is deleted from for good, under either key', async () => {
    const { app } = world();
    await makeRemote(app, 'losing', { 'x/a.txt': 'one', 'x/b.txt': 'two', 'y/c.txt': 'three' });
    await expectStatus(app.admin.request('DELETE', '/artifactory/losing-cache/x/a.txt'), 204);
    await expectStatus(app.admin.request('DELETE', '/artifactory/losing/x/b.txt'), 204);
    await expectStatus(app.admin.request('DELETE', '/artifactory/losing-cache/y'), 204);
    for (const key of ['losing', 'losing-cache']) {
      const gone = await expectStatus(app.admin.request('DELETE', `/artifactory/${key}/x/a.txt`), 404);
      assert.match(gone.text, /Artifact deletion error: Item .* does not exist/);
    }
    assert.deepEqual(await aql(app, { repo: 'losing-cache' }), []);
    await hold(app, 'losing', { 'z/d.txt': 'four' });
    await expectStatus(app.admin.request('DELETE', '/artifactory/losing-cache/'), 204);
    assert.deepEqual(await aql(app, { repo: 'losing-cache' }), []);
    assert.deepEqual(await aql(app, { repo: 'auto-trashcan', path: { $match: 'losing*' } }), []);
    const database = await app.openDatabase();
    try {
      const events = await database.read((db) =>
        db.selectFrom('event').select(['repo', 'type']).where('repo', 'like', 'losing%').orderBy('id').execute(),
      );
      const deleted = events.filter(({ type }) => type === 'artifact.deleted').map(({ repo }) => repo);
      assert.deepEqual(deleted, Array(4).fill('losing-cache'));
    } finally {
      await database.close();
    }
  });

  test('is read-only with the remote repository, by whichever name that is switched', async () => {
    const { app } = world();
    await makeRemote(app, 'standing', { 'a.txt': 'one' });
    for (const key of ['standing', 'standing-cache']) {
      const path = `/artifactory/api/system/readonly/${key}`;
      await expectStatus(sendJson(app.admin, 'PUT', path, { reason: 'A backup runs.' }), 200);
      const refused = await expectStatus(app.admin.request('DELETE', '/artifactory/standing-cache/a.txt'), 503);
      assert.match(refused.text, /A backup runs\./);
      assert.equal((await app.admin.request('GET', '/artifactory/standing-cache/a.txt')).text, 'one');
      await expectStatus(app.admin.request('DELETE', path), 200);
    }
    await expectStatus(app.admin.request('DELETE', '/artifactory/standing-cache/a.txt'), 204);
  });

  test('is given to those who have rights to the remote repository, by whichever name', async () => {
    const { app } = world();
    const targets = { 'by-remote': 'far', 'by-cache': 'far-cache', 'by-class': 'ANY REMOTE' };
    for (const [name, repository] of Object.entries(targets)) {
      const caller = await createUser(app, name);
      for (const path of ['/artifactory/far-cache/org/a/1/a.txt', '/artifactory/api/storage/far/org/a/1/a.txt']) {
        const before = await caller.request('GET', path);
        assert.ok([403, 404].includes(before.status), `${name} without rights: ${before.status}`);
      }
      await grant(app, name, [repository], { [name]: ['r'] }, 'org/a/**');
      for (const path of ['/artifactory/far-cache/org/a/1/a.txt', '/artifactory/api/storage/far/org/a/1/a.txt']) {
        await expectStatus(caller.request('GET', path), 200);
      }
      const other = await caller.request('GET', '/artifactory/far-cache/org/b/1/b.txt');
      assert.ok([403, 404].includes(other.status));
      assert.deepEqual(await aql(app, { repo: 'far' }, caller), ['far-cache/org/a/1/a.txt']);
      const refused = await caller.request('DELETE', '/artifactory/far-cache/org/a/1/a.txt');
      assert.equal(refused.status, 403);
      const effective = (await getJson(app.admin, '/artifactory/api/storage/far-cache/org/a/1/a.txt?permissions')) as {
        principals: { users: Json };
      };
      assert.deepEqual(effective.principals.users[name], ['r']);
    }
  });

  test('is within the scope of a token that names it or the remote repository', async () => {
    const { app } = world();
    for (const name of ['far', 'far-cache']) {
      const scope = `artifact:${name}/org/a/**:r`;
      const answer = await expectStatus(
        sendJson(app.admin, 'POST', '/artifactory/api/security/token', { username: 'admin', scope }),
        200,
      );
      const token = (answer.json() as { access_token: string }).access_token;
      const get = (path: string) =>
        app.anonymous.request('GET', path, { headers: { authorization: `Bearer ${token}` } });
      assert.equal((await get('/artifactory/far-cache/org/a/1/a.txt')).status, 200);
      assert.notEqual((await get('/artifactory/far-cache/org/b/1/b.txt')).status, 200);
    }
  });

  test('has a key that no other repository can have', async () => {
    const { app } = world();
    const local = { rclass: 'local', packageType: 'generic' };
    const remote = { rclass: 'remote', packageType: 'generic', url: NOWHERE };
    for (const key of ['far-cache', 'FAR-Cache']) {
      const taken = await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/${key}`, local), 400);
      assert.match(taken.text, /remote repository/);
    }
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/build-cache`, local), 200);
    const second = await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/Build`, remote), 400);
    assert.match(second.text, /build-cache/);
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/build`, local), 200);
    // Rights to one of two repositories that only look like a pair say nothing of the other.
    const eve = await createUser(app, 'eve');
    await grant(app, 'eve', ['build-cache'], { eve: ['r'] });
    await expectStatus(app.admin.request('PUT', '/artifactory/build/a.txt', { body: 'x' }), 201);
    const refused = await eve.request('GET', '/artifactory/build/a.txt');
    assert.ok([403, 404].includes(refused.status));
  });

  test('goes with the remote repository, and so do rights and tokens that name it', async () => {
    const { app } = world();
    await makeRemote(app, 'passing', { 'a.txt': 'one' });
    const kim = await createUser(app, 'kim');
    await grant(app, 'kim', ['passing-cache'], { kim: ['r'] });
    await expectStatus(kim.request('GET', '/artifactory/passing-cache/a.txt'), 200);
    await expectStatus(app.admin.request('DELETE', `${ALL}/passing`), 200);
    await expectStatus(app.admin.request('GET', '/artifactory/passing-cache/a.txt'), 404);
    const local = { rclass: 'local', packageType: 'generic' };
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/passing-cache`, local), 200);
    await expectStatus(app.admin.request('PUT', '/artifactory/passing-cache/a.txt', { body: 'mine' }), 201);
    assert.notEqual((await kim.request('GET', '/artifactory/passing-cache/a.txt')).status, 200);
  });
});
