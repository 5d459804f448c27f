/** Virtual repositories over local ones: what is served, from where, and what is put where. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { ImageClient, makeImage, sha256, TYPES } from '../../support/oci.ts';
import type { Answer, Caller, TestApp } from '../../support/test-app.ts';
import { createUser, expectStatus, getJson, grant, onEachStorage, sendJson } from '../api/api-world.ts';

const FILES = '/artifactory';
type Settings = Record<string, unknown>;

async function make(app: TestApp, key: string, body: Settings, status = 200): Promise<void> {
  const path = `/artifactory/api/repositories/${key}`;
  await expectStatus(sendJson(app.admin, 'PUT', path, { packageType: 'generic', ...body }), status);
}

const local = (app: TestApp, key: string, body: Settings = {}) => make(app, key, { rclass: 'local', ...body });
const virtual = (app: TestApp, key: string, repositories: readonly string[], body: Settings = {}) =>
  make(app, key, { rclass: 'virtual', repositories, ...body });

async function put(app: TestApp, path: string, body: string): Promise<Answer> {
  return expectStatus(app.admin.request('PUT', `${FILES}/${path}`, { body }), 201);
}

const get = (caller: Caller, path: string, method = 'GET') => caller.request(method, `${FILES}/${path}`);

onEachStorage(
  'virtual repositories over local ones',
  (world) => {
    test('give files of their members, the first in order, with what verifies them', async () => {
      const { app } = world();
      await local(app, 'g1');
      await local(app, 'g2');
      await virtual(app, 'g-all', ['g1', 'g2']);
      await put(app, 'g2/only/second.txt', 'second');
      await put(app, 'g1/both.txt', 'from one');
      await put(app, 'g2/both.txt', 'from two');
      const second = await get(app.admin, 'g-all/only/second.txt');
      assert.equal(second.text, 'second');
      assert.equal(second.headers['x-checksum-sha256'], sha256('second').slice(7));
      assert.equal((await get(app.admin, 'g-all/both.txt')).text, 'from one');
      assert.equal((await get(app.admin, 'g-all/both.txt', 'HEAD')).headers['content-length'], '8');
      assert.equal((await get(app.admin, 'g-all/both.txt.sha256')).text, sha256('from one').slice(7));
      assert.equal((await get(app.admin, 'g-all/missing.txt')).status, 404);
      await expectStatus(app.admin.request('DELETE', `${FILES}/g1/both.txt`), 204);
      assert.equal((await get(app.admin, 'g-all/both.txt')).text, 'from two');
    });

    test('list what their members hold, each name once', async () => {
      const { app } = world();
      const page = await get(app.admin, 'g-all/');
      assert.deepEqual(
        [...page.text.matchAll(/<a href="([^"]+)"/g)].map(([, name]) => name),
        ['both.txt', 'only/'],
      );
      const info = (await getJson(app.admin, '/artifactory/api/storage/g-all')) as { children: { uri: string }[] };
      assert.deepEqual(
        info.children.map(({ uri }) => uri),
        ['/both.txt', '/only'],
      );
      await put(app, 'g1/only/first.txt', 'first');
      const list = (await getJson(app.admin, '/artifactory/api/storage/g-all?list&deep=1&listFolders=1')) as {
        files: { uri: string }[];
      };
      assert.deepEqual(
        list.files.map(({ uri }) => uri),
        ['/both.txt', '/only', '/only/first.txt', '/only/second.txt'],
      );
      const file = (await getJson(app.admin, '/artifactory/api/storage/g-all/only/second.txt')) as { size: string };
      assert.equal(file.size, '6');
    });

    test('put what is deployed into the repository of their settings, and delete there only', async () => {
      const { app } = world();
      const refused = await expectStatus(app.admin.request('PUT', `${FILES}/g-all/new.txt`, { body: 'x' }), 405);
      assert.match(refused.text, /No local repository was configured as local deployment repository for the \(g-all\)/);
      await virtual(app, 'g-into', ['g1', 'g2'], { defaultDeploymentRepo: 'g2', excludesPattern: 'secret/**' });
      const answer = await expectStatus(app.admin.request('PUT', `${FILES}/g-into/new.txt`, { body: 'new' }), 201);
      assert.equal((answer.json() as { repo: string }).repo, 'g2');
      assert.equal((await get(app.admin, 'g2/new.txt')).text, 'new');
      assert.equal((await get(app.admin, 'g1/new.txt')).status, 404);
      assert.equal((await get(app.admin, 'g-into/new.txt')).text, 'new');
      await expectStatus(app.admin.request('PUT', `${FILES}/g-into/secret/x`, { body: 'x' }), 409);
      await put(app, 'g1/held-by-one.txt', 'one');
      await expectStatus(app.admin.request('DELETE', `${FILES}/g-into/held-by-one.txt`), 404);
      await expectStatus(app.admin.request('DELETE', `${FILES}/g-all/held-by-one.txt`), 404);
      assert.equal((await get(app.admin, 'g1/held-by-one.txt')).text, 'one');
      await expectStatus(app.admin.request('DELETE', `${FILES}/g-into/new.txt`), 204);
      assert.equal((await get(app.admin, 'g2/new.txt')).status, 404);
    });

    test('tell the properties and downloads of who has a file, and change those of where they deploy', async () => {
      const { app } = world();
      const STORAGE = '/artifactory/api/storage';
      await put(app, 'g2/props.txt;colour=red', 'p');
      const read = async (key: string) =>
        (await getJson(app.admin, `${STORAGE}/${key}/props.txt?properties`)) as { properties: object };
      assert.deepEqual((await read('g-all')).properties, { colour: ['red'] });
      await expectStatus(app.admin.request('PUT', `${STORAGE}/g-into/props.txt?properties=size=big`), 204);
      assert.deepEqual((await read('g2')).properties, { colour: ['red'], size: ['big'] });
      await expectStatus(app.admin.request('PUT', `${STORAGE}/g-all/props.txt?properties=size=small`), 400);
      assert.equal((await get(app.admin, 'g-all/props.txt')).text, 'p');
      await eventually(async () => {
        const stats = (await getJson(app.admin, `${STORAGE}/g-all/props.txt?stats`)) as { downloadCount: number };
        assert.equal(stats.downloadCount, 1);
      });
    });

    test('take tokens for what was asked of them, and for nothing else', async () => {
      const { app } = world();
      for (const key of ['k1', 'k2']) await local(app, key, { packageType: 'docker' });
      await virtual(app, 'k-all', ['k1', 'k2'], { packageType: 'docker', defaultDeploymentRepo: 'k1' });
      const image = makeImage();
      for (const name of ['app', 'other']) await new ImageClient(app.admin, `/v2/k2/${name}`).push('1', image);
      const scope = encodeURIComponent('repository:k-all/app:pull,push');
      const { token } = (await getJson(app.admin, `/v2/token?scope=${scope}`)) as { token: string };
      const headers = { authorization: `Bearer ${token}` };
      const status = async (method: string, path: string) =>
        (await app.anonymous.request(method, `/v2/${path}`, { headers })).status;
      assert.equal(await status('GET', 'k-all/app/manifests/1'), 200);
      assert.equal(await status('POST', 'k-all/app/blobs/uploads/'), 202);
      assert.equal(await status('GET', 'k-all/other/manifests/1'), 401);
      assert.equal(await status('GET', 'k2/app/manifests/1'), 401);
      assert.equal(await status('POST', 'k1/app/blobs/uploads/'), 401);
    });

    test('keep to their own patterns and to those of members and of nested ones', async () => {
      const { app } = world();
      await local(app, 'p1', { excludesPattern: 'b/**' });
      await local(app, 'p2');
      await virtual(app, 'p-inner', ['p1', 'p2'], { includesPattern: 'a/**,b/**' });
      await virtual(app, 'p-outer', ['p-inner'], { excludesPattern: 'a/no.txt' });
      for (const repo of ['p1', 'p2'])
        for (const path of ['a/yes.txt', 'a/no.txt', 'c/x.txt']) await put(app, `${repo}/${path}`, repo);
      await put(app, 'p2/b/x.txt', 'p2');
      assert.equal((await get(app.admin, 'p-outer/a/yes.txt')).text, 'p1');
      assert.equal((await get(app.admin, 'p-outer/a/no.txt')).status, 404);
      assert.equal((await get(app.admin, 'p-inner/a/no.txt')).text, 'p1');
      assert.equal((await get(app.admin, 'p-outer/b/x.txt')).text, 'p2');
      assert.equal((await get(app.admin, 'p-outer/c/x.txt')).status, 404);
      const page = await get(app.admin, 'p-outer/');
      assert.deepEqual(
        [...page.text.matchAll(/<a href="([^"]+)"/g)].map(([, name]) => name),
        ['a/', 'b/'],
      );
    });

    test('ask members with priority first, and pass over those that are blacked out', async () => {
      const { app } = world();
      await local(app, 'q1');
      await local(app, 'q2', { priorityResolution: true });
      await local(app, 'q3', { blackedOut: true });
      await virtual(app, 'q-all', ['q3', 'q1', 'q2']);
      await put(app, 'q1/x.txt', 'q1');
      await put(app, 'q2/x.txt', 'q2');
      assert.equal((await get(app.admin, 'q-all/x.txt')).text, 'q2');
      await expectStatus(app.admin.request('DELETE', `${FILES}/q2/x.txt`), 204);
      assert.equal((await get(app.admin, 'q-all/x.txt')).text, 'q1');
    });

    test('give each caller what it may read, and tell nothing of the rest', async () => {
      const { app } = world();
      await local(app, 'r1');
      await local(app, 'r2');
      await virtual(app, 'r-all', ['r1', 'r2']);
      await virtual(app, 'r-hiding', ['r1', 'r2'], { hideUnauthorizedResources: true });
      await put(app, 'r1/same.txt', 'one');
      await put(app, 'r2/same.txt', 'two');
      await put(app, 'r1/mine.txt', 'one');
      const bea = await createUser(app, 'bea');
      await createUser(app, 'cyd');
      await grant(app, 'r2-bea', ['r2'], { bea: ['r'] });
      await grant(app, 'r2-cyd', ['r2'], { cyd: ['r'] }, 'sub/**');
      assert.equal((await get(bea, 'r-all/same.txt')).text, 'two');
      const missing = await get(bea, 'r-all/nothing.txt');
      const hidden = await get(bea, 'r-all/mine.txt');
      assert.equal(hidden.status, 404);
      assert.equal(hidden.text.replaceAll('mine', 'nothing'), missing.text);
      assert.equal((await get(bea, 'r-all/')).text.includes('mine.txt'), false);
      const cyd = app.as('cyd', 'blue-teapot-17');
      const refused = await get(cyd, 'r-all/same.txt');
      assert.equal(refused.status, 403);
      assert.equal(/r1|r2/.test(refused.text), false, refused.text);
      assert.equal((await get(cyd, 'r-hiding/same.txt')).status, 404);
      const unknown = await get(world().ann, 'r-all/same.txt');
      assert.equal(unknown.status, 404);
      assert.match(unknown.text, /there is none, or you may not use it/);
      assert.equal((await get(app.anonymous, 'r-all/same.txt')).status, 401);
    });

    test('serve images of their members, and take pushes', async () => {
      const { app } = world();
      for (const key of ['d1', 'd2']) await local(app, key, { packageType: 'docker' });
      await virtual(app, 'd-all', ['d1', 'd2'], { packageType: 'docker', defaultDeploymentRepo: 'd1' });
      const image = makeImage();
      const second = new ImageClient(app.admin, '/v2/d2/team/app');
      await second.push('1.0', image);
      const all = new ImageClient(app.admin, '/v2/d-all/team/app');
      const byTag = await expectStatus(all.request('GET', '/manifests/1.0'), 200);
      assert.deepEqual(byTag.bytes, image.bytes);
      assert.equal(byTag.headers['docker-content-digest'], image.digest);
      assert.deepEqual((await all.request('GET', `/manifests/${image.digest}`)).bytes, image.bytes);
      const layer = image.layers[0]!;
      assert.deepEqual((await all.request('GET', `/blobs/${sha256(layer)}`)).bytes, layer);
      assert.equal(await all.statusOf('/manifests/2.0'), 404);
      assert.equal(await all.statusOf(`/blobs/${sha256('nothing')}`), 404);
      // The client finds the layer through the virtual repository and does not send it again.
      for (const blob of [image.config, layer]) {
        await expectStatus(all.request('HEAD', `/blobs/${sha256(blob)}`), 200);
      }
      await all.pushManifest('2.0', image.bytes, TYPES.manifest);
      assert.deepEqual((await app.admin.request('GET', '/v2/d1/team/app/manifests/2.0')).bytes, image.bytes);
      assert.equal((await app.admin.request('GET', '/v2/d2/team/app/manifests/2.0')).status, 404);
      const tags = (await all.request('GET', '/tags/list')).json();
      assert.deepEqual(tags, { name: 'd-all/team/app', tags: ['1.0', '2.0'] });
      const first = (await all.request('GET', '/tags/list?n=1')).json();
      assert.deepEqual(first, { name: 'd-all/team/app', tags: ['1.0'] });
      const catalogue = await app.admin.request('GET', '/artifactory/api/docker/d-all/v2/_catalog');
      assert.deepEqual(catalogue.json(), { repositories: ['team/app'] });
    });

    test('give the newest of equal tags where that is asked for', async () => {
      const { app } = world();
      const images = [makeImage(), makeImage()];
      for (const [i, key] of ['t2', 't1'].entries()) {
        await local(app, key, { packageType: 'docker' });
        await new ImageClient(app.admin, `/v2/${key}/app`).push('latest', images[i]!);
      }
      await virtual(app, 't-first', ['t2', 't1'], { packageType: 'docker' });
      await virtual(app, 't-newest', ['t2', 't1'], { packageType: 'docker', resolveDockerTagsByTimestamp: true });
      const digestOf = async (key: string) =>
        (await app.admin.request('HEAD', `/v2/${key}/app/manifests/latest`)).headers['docker-content-digest'];
      assert.equal(await digestOf('t-first'), images[0]!.digest);
      assert.equal(await digestOf('t-newest'), images[1]!.digest);
    });

    test('list referrers of all members once', async () => {
      const { app } = world();
      for (const key of ['f1', 'f2']) await local(app, key, { packageType: 'docker' });
      await virtual(app, 'f-all', ['f1', 'f2'], { packageType: 'docker' });
      const image = makeImage();
      const subject = { mediaType: TYPES.manifest, digest: image.digest, size: image.bytes.length };
      const signatures = [makeImage({ extra: { subject } }), makeImage({ extra: { subject } })];
      for (const [key, own] of [
        ['f1', [signatures[0]!]],
        ['f2', signatures],
      ] as const) {
        const client = new ImageClient(app.admin, `/v2/${key}/app`);
        await client.push('1', image);
        for (const [i, signature] of own.entries()) await client.push(`sig${i}`, signature);
      }
      const answer = (await app.admin.request('GET', `/v2/f-all/app/referrers/${image.digest}`)).json();
      const { manifests } = answer as { manifests: { digest: string }[] };
      assert.deepEqual(manifests.map(({ digest }) => digest).sort(), signatures.map(({ digest }) => digest).sort());
    });

    test('of generic files have members of any type, and deploy only to their own', async () => {
      const { app } = world();
      await local(app, 'x-docker', { packageType: 'docker' });
      await local(app, 'x-generic');
      const image = makeImage();
      await new ImageClient(app.admin, '/v2/x-docker/app').push('1', image);
      await virtual(app, 'x-all', ['x-docker', 'x-generic']);
      assert.deepEqual((await get(app.admin, 'x-all/app/1/manifest.json')).bytes, image.bytes);
      const body = { rclass: 'virtual', repositories: ['x-docker'], defaultDeploymentRepo: 'x-docker' };
      await make(app, 'x-bad', body, 400);
      await make(app, 'x-worse', { rclass: 'virtual', packageType: 'docker', repositories: ['x-generic'] }, 400);
    });
  },
  { ENTREPOT_SECURITY__HIDE_UNAUTHORIZED: 'false' },
);
