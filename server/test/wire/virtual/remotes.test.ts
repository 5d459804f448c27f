/** Virtual repositories over remote ones: who is asked in which order, who is not asked at all, and what trouble means. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RepoKey } from '../../../src/core/ids.ts';
import { getRemoteItem } from '../../../src/db/remote-items.ts';
import { eventually } from '../../support/eventually.ts';
import { type Image, ImageClient, makeImage, sha256, TYPES } from '../../support/oci.ts';
import { createUser, expectStatus, getJson, grant, sendJson } from '../api/api-world.ts';
import { onEachRemoteStorage } from '../remote/remote-world.ts';

const API = '/artifactory/api/v1';
type Settings = Readonly<Record<string, unknown>>;

onEachRemoteStorage('virtual repositories over remote ones', (world) => {
  const make = (key: string, body: Settings) =>
    expectStatus(
      sendJson(world().app.admin, 'PUT', `/artifactory/api/repositories/${key}`, { packageType: 'generic', ...body }),
      200,
    );
  const change = (key: string, body: Settings) =>
    expectStatus(sendJson(world().app.admin, 'POST', `/artifactory/api/repositories/${key}`, body), 200);
  const local = (key: string, body: Settings = {}) => make(key, { rclass: 'local', ...body });
  const virtual = (key: string, repositories: readonly string[], body: Settings = {}) =>
    make(key, { rclass: 'virtual', repositories, ...body });
  /** A remote repository over a folder of the upstream that is its own. */
  const remote = (key: string, body: Settings = {}) =>
    world().remote(key, { url: `${world().upstream.url}/${key}`, ...body });
  const put = (path: string, body: string) =>
    expectStatus(world().app.admin.request('PUT', `/artifactory/${path}`, { body }), 201);
  const get = (path: string, headers = {}) => world().get(`/artifactory/${path}`, headers);
  const asked = (path: string) => world().upstream.count(path) + world().upstream.count(path, 'HEAD');

  /** Waits until a file is kept and known to be fresh: what the upstream said of it is noted last. */
  async function noted(key: string, path: string): Promise<void> {
    const { database, repositories } = world().app.core;
    const id = repositories.idOf(key as RepoKey) ?? assert.fail();
    await eventually(async () => assert.ok(await database.read((db) => getRemoteItem(db, id, path))));
  }

  function publish(key: string, name: string, tag: string, image: Image = makeImage()): Image {
    const { upstream } = world();
    const headers = { 'Content-Type': TYPES.manifest, 'Docker-Content-Digest': image.digest };
    for (const reference of [tag, image.digest]) {
      upstream.serve(`/${key}/v2/${name}/manifests/${reference}`, image.bytes, headers);
    }
    for (const blob of [image.config, ...image.layers])
      upstream.serve(`/${key}/v2/${name}/blobs/${sha256(blob)}`, blob);
    return image;
  }

  test('ask local members first, then what is held, then upstreams in their order', async () => {
    const { upstream } = world();
    await local('o-local');
    await remote('o-one');
    await remote('o-two');
    await virtual('o-all', ['o-one', 'o-two', 'o-local']);
    for (const key of ['o-one', 'o-two']) upstream.serve(`/${key}/x.txt`, `from ${key}`);
    upstream.serve('/o-two/two.txt', 'only two');
    await put('o-local/own.txt', 'own');
    upstream.serve('/o-one/own.txt', 'not own');
    assert.equal((await get('o-all/own.txt')).text, 'own');
    assert.equal(asked('/o-one/own.txt'), 0);
    // What the second holds comes before the upstream of the first.
    assert.equal((await get('o-two/x.txt')).text, 'from o-two');
    await noted('o-two', 'x.txt');
    assert.equal((await get('o-all/x.txt')).text, 'from o-two');
    assert.equal(asked('/o-one/x.txt'), 0);
    assert.equal((await get('o-all/two.txt')).text, 'only two');
    assert.ok(asked('/o-one/two.txt') > 0);
    const order = (await getJson(world().app.admin, `${API}/repositories/o-all/resolution-order`)) as {
      members: { repository: string; stage: string }[];
    };
    assert.deepEqual(
      order.members.map(({ repository, stage }) => `${repository} ${stage}`),
      ['o-local local', 'o-one cache', 'o-two cache', 'o-one remote', 'o-two remote'],
    );
  });

  test('send nothing where a pattern of theirs, of a member or of a nested one forbids it', async () => {
    const { upstream } = world();
    await remote('p-far', { excludesPattern: 'theirs/**' });
    await virtual('p-inner', ['p-far'], { excludesPattern: 'inner/**' });
    await virtual('p-outer', ['p-inner'], { excludesPattern: 'outer/**' });
    for (const path of ['theirs/x', 'inner/x', 'outer/x', 'open/x']) upstream.serve(`/p-far/${path}`, path);
    for (const path of ['theirs/x', 'inner/x', 'outer/x']) {
      assert.equal((await get(`p-outer/${path}`)).status, 404, path);
      assert.equal(asked(`/p-far/${path}`), 0, path);
    }
    assert.equal((await get('p-outer/open/x')).text, 'open/x');
  });

  test('do not take trouble for absence, nor let it hide what another has', async () => {
    const { upstream } = world();
    await remote('t-broken', { assumedOfflinePeriodSecs: 0 });
    await remote('t-sound');
    await remote('t-hard', { hardFail: true, assumedOfflinePeriodSecs: 0 });
    await virtual('t-all', ['t-broken', 't-sound']);
    await virtual('t-hard-all', ['t-hard', 't-sound']);
    for (const key of ['t-broken', 't-hard']) {
      for (const path of ['there.txt', 'fresh.txt', 'nowhere.txt'])
        upstream.on(`/${key}/${path}`, ({ send }) => send(500));
    }
    for (const path of ['there.txt', 'fresh.txt']) upstream.serve(`/t-sound/${path}`, 'sound');
    assert.equal((await get('t-all/there.txt')).text, 'sound');
    await noted('t-sound', 'there.txt');
    assert.equal((await get('t-all/nowhere.txt')).status, 503);
    assert.equal((await get('t-all/unknown.txt')).status, 404);
    assert.equal((await get('t-hard-all/fresh.txt')).status, 503);
    // What is held is looked for first.
    assert.equal((await get('t-hard-all/there.txt')).text, 'sound');
    await change('t-broken', { blackedOut: true });
    assert.equal((await get('t-all/nowhere.txt')).status, 404);
  });

  test('serve from the cache alone what is offline, and fall through for the rest', async () => {
    const { upstream } = world();
    await remote('f-off');
    await remote('f-on');
    await virtual('f-all', ['f-off', 'f-on']);
    upstream.serve('/f-off/held.txt', 'held');
    assert.equal((await get('f-all/held.txt')).text, 'held');
    await noted('f-off', 'held.txt');
    await change('f-off', { offline: true });
    upstream.serve('/f-off/new.txt', 'off');
    upstream.serve('/f-on/new.txt', 'on');
    assert.equal((await get('f-all/new.txt')).text, 'on');
    assert.equal(asked('/f-off/new.txt'), 0);
    assert.equal((await get('f-all/held.txt')).text, 'held');
  });

  test('ask no upstream for another server, unless that is set', async () => {
    const { upstream } = world();
    await remote('r-far');
    await virtual('r-all', ['r-far']);
    upstream.serve('/r-far/x.txt', 'x');
    const originated = { 'x-artifactory-originated': 'true' };
    assert.equal((await get('r-all/x.txt', originated)).status, 404);
    assert.equal(asked('/r-far/x.txt'), 0);
    await change('r-all', { artifactoryRequestsCanRetrieveRemoteArtifacts: true });
    assert.equal((await get('r-all/x.txt', originated)).text, 'x');
  });

  test('list what upstreams have with what is local, but not for another server', async () => {
    const { app } = world();
    const docker = { packageType: 'docker' };
    await local('l-local', docker);
    await remote('l-far', docker);
    await virtual('l-all', ['l-far', 'l-local'], docker);
    await new ImageClient(app.admin, '/v2/l-local/team/own').push('mine', makeImage());
    const names = { name: 'team/far', tags: ['a', 'b', 'c'] };
    const json = { 'Content-Type': 'application/json' };
    world().upstream.serve('/l-far/v2/team/far/tags/list', JSON.stringify(names), json);
    publish('l-far', 'team/far', 'b');
    assert.equal((await world().get('/v2/l-all/team/far/manifests/b')).status, 200);
    const tags = async (headers = {}) =>
      ((await world().get('/v2/l-all/team/far/tags/list', headers)).json() as { tags: string[] }).tags;
    await eventually(async () => assert.deepEqual(await tags({ 'x-artifactory-originated': 'true' }), ['b']));
    assert.equal(asked('/l-far/v2/team/far/tags/list'), 0);
    assert.deepEqual(await tags(), ['a', 'b', 'c']);
    assert.deepEqual(((await world().get('/v2/l-all/team/own/tags/list')).json() as { tags: string[] }).tags, ['mine']);
    assert.equal(asked('/l-far/v2/team/own/tags/list'), 0);
  });

  test('keep upstreams from answering for images that are local, and say so', async () => {
    const { app, upstream } = world();
    const docker = { packageType: 'docker' };
    await local('g-local', docker);
    await remote('g-far', docker);
    await virtual('g-all', ['g-far', 'g-local'], docker);
    const own = makeImage();
    await new ImageClient(app.admin, '/v2/g-local/corp/app').push('1', own);
    publish('g-far', 'corp/app', '1');
    const foreign = publish('g-far', 'corp/app', '99');
    const other = publish('g-far', 'corp/other', '1');
    const all = new ImageClient(app.admin, '/v2/g-all/corp/app');
    assert.deepEqual((await all.request('GET', '/manifests/1')).bytes, own.bytes);
    assert.equal(await all.statusOf('/manifests/99'), 404);
    assert.equal(await all.statusOf(`/manifests/${foreign.digest}`), 404);
    assert.equal(await all.statusOf(`/blobs/${sha256(foreign.layers[0]!)}`), 404);
    assert.equal(upstream.asked.filter(({ target }) => target.startsWith('/g-far/v2/corp/app/')).length, 0);
    const pulled = await app.admin.request('GET', '/v2/g-all/corp/other/manifests/1');
    assert.deepEqual(pulled.bytes, other.bytes);
    // A refusal can be looked up by the id of its request.
    const refused = await all.request('GET', '/manifests/99');
    const why = (await getJson(app.admin, `/artifactory/api/explain/${String(refused.headers['x-request-id'])}`)) as {
      steps: string[];
    };
    assert.ok(why.steps.some((step) => /guard against name shadowing of "g-all" keeps "g-far"/.test(step)));
    const explained = (await getJson(
      app.admin,
      `${API}/explain/resolution?repo=g-all&package=corp/app&version=99`,
    )) as {
      steps: { repository: string; stage: string; decision: string; reasons: string[] }[];
    };
    assert.deepEqual(
      explained.steps.map(({ repository, stage, decision }) => `${repository} ${stage} ${decision}`),
      ['g-local local has it not', 'g-far cache skipped', 'g-far remote skipped'],
    );
    // Who may not know of the local repository is refused as well, and is not told of it.
    await createUser(app, 'gil');
    await grant(app, 'gil-far', ['g-far'], { gil: ['r', 'w'] });
    const gil = app.as('gil', 'blue-teapot-17');
    assert.equal((await gil.request('GET', '/v2/g-all/corp/app/manifests/99')).status, 404);
    const forGil = await gil.request('GET', `${API}/explain/resolution?repo=g-all&package=corp/app&version=99`);
    assert.equal(forGil.status, 200);
    assert.equal(forGil.text.includes('g-local'), false, forGil.text);
    assert.match(forGil.text, /guard against name shadowing/);
  });

  test('do not serve what a cache got before the name was local, not by a plain path either', async () => {
    const { app } = world();
    const docker = { packageType: 'docker' };
    await local('c-local', docker);
    await remote('c-far', docker);
    await virtual('c-all', ['c-far', 'c-local'], docker);
    const foreign = publish('c-far', 'corp/app', '99');
    const all = new ImageClient(app.admin, '/v2/c-all/corp/app');
    assert.deepEqual((await all.request('GET', '/manifests/99')).bytes, foreign.bytes);
    await eventually(async () => assert.equal((await get('c-far-cache/corp/app/99/manifest.json')).status, 200));
    assert.equal((await get('c-all/corp/app/99/manifest.json')).status, 200);
    await new ImageClient(app.admin, '/v2/c-local/corp/app').push('1', makeImage());
    assert.equal(await all.statusOf('/manifests/99'), 404);
    assert.equal(await all.statusOf(`/manifests/${foreign.digest}`), 404);
    assert.equal((await get('c-all/corp/app/99/manifest.json')).status, 404);
    const tags = (await all.request('GET', '/tags/list')).json() as { tags: string[] };
    assert.deepEqual(tags.tags, ['1']);
    const report = await getJson(app.admin, `${API}/shadowing/c-all`);
    assert.deepEqual(report, {
      repository: 'c-all',
      asked: [],
      cached: [{ name: 'corp/app', remote: 'c-far', locals: ['c-local'] }],
    });
  });

  test('let a name pass that an administrator allows, or all with a warning, and report it', async () => {
    const { app } = world();
    const docker = { packageType: 'docker' };
    await local('w-local', docker);
    await remote('w-far', docker);
    await virtual('w-all', ['w-far', 'w-local'], {
      ...docker,
      localNameShadowingExceptions: ['corp/allowed', 'open/**'],
    });
    for (const name of ['corp/allowed', 'open/app', 'corp/app']) {
      await new ImageClient(app.admin, `/v2/w-local/${name}`).push('1', makeImage());
      publish('w-far', name, '2');
    }
    const status = (name: string) => new ImageClient(app.admin, `/v2/w-all/${name}`).statusOf('/manifests/2');
    assert.equal(await status('corp/allowed'), 200);
    assert.equal(await status('open/app'), 200);
    assert.equal(await status('corp/app'), 404);
    await change('w-all', { localNameShadowing: 'warn' });
    assert.equal(await status('corp/app'), 200);
    const report = (await getJson(app.admin, `${API}/shadowing/w-all`)) as {
      asked: { name: string; remote: string; reason: string }[];
    };
    assert.deepEqual(
      report.asked.map(({ name, remote: key, reason }) => `${name} ${key} ${reason}`),
      ['corp/allowed w-far exception', 'corp/app w-far warn', 'open/app w-far exception'],
    );
    const page = (await getJson(app.admin, `${API}/shadowing/w-all?limit=1`)) as { asked: object[]; next: string };
    assert.equal(page.asked.length, 1);
    assert.equal(page.next, 'corp/allowed');
    await change('w-all', { localNameShadowing: 'off' });
    publish('w-far', 'corp/app', '3');
    assert.equal(await new ImageClient(app.admin, '/v2/w-all/corp/app').statusOf('/manifests/3'), 200);
  });

  test('do not fall through to others where one with priority fails', async () => {
    const { upstream } = world();
    await remote('y-first', { priorityResolution: true, assumedOfflinePeriodSecs: 0 });
    await remote('y-second');
    await virtual('y-all', ['y-second', 'y-first']);
    upstream.on('/y-first/x.txt', ({ send }) => send(500));
    upstream.serve('/y-second/x.txt', 'second');
    upstream.serve('/y-second/y.txt', 'second');
    assert.equal((await get('y-all/x.txt')).status, 503);
    assert.equal((await get('y-all/y.txt')).text, 'second');
  });

  test('ask no upstream where a local member fails', async () => {
    const { app } = world();
    const docker = { packageType: 'docker' };
    await local('z-local', docker);
    await remote('z-far', docker);
    await virtual('z-all', ['z-far', 'z-local'], { ...docker, localNameShadowing: 'off' });
    const own = makeImage();
    await new ImageClient(app.admin, '/v2/z-local/app').push('1', own);
    publish('z-far', 'app', '1');
    const pull = () => app.admin.request('GET', '/v2/z-all/app/manifests/1');
    const database = await app.openDatabase();
    const rename = (from: string, to: string) => database.kysely.schema.alterTable(from).renameTo(to).execute();
    try {
      await rename('package_version', 'package_version_away');
      const failed = await pull();
      assert.ok(failed.status >= 500, failed.text);
    } finally {
      await rename('package_version_away', 'package_version');
      await database.close();
    }
    assert.equal(asked('/z-far/v2/app/manifests/1'), 0);
    assert.deepEqual((await pull()).bytes, own.bytes);
  });

  test('pass over members that the caller may not have filled', async () => {
    const { app, upstream } = world();
    await remote('u-one');
    await remote('u-two');
    await virtual('u-all', ['u-one', 'u-two']);
    for (const key of ['u-one', 'u-two']) upstream.serve(`/${key}/x.txt`, key);
    const uma = await createUser(app, 'uma');
    await grant(app, 'uma-one', ['u-one'], { uma: ['r'] });
    await grant(app, 'uma-two', ['u-two'], { uma: ['r', 'w'] });
    assert.equal((await uma.request('GET', '/artifactory/u-all/x.txt')).text, 'u-two');
    assert.equal(asked('/u-one/x.txt'), 0);
  });

  test('take pushes of images whose layers upstreams have', async () => {
    const { app } = world();
    const docker = { packageType: 'docker' };
    await local('d-local', docker);
    await remote('d-far', docker);
    await virtual('d-all', ['d-far', 'd-local'], { ...docker, defaultDeploymentRepo: 'd-local' });
    const base = publish('d-far', 'team/app', 'base');
    const all = new ImageClient(app.admin, '/v2/d-all/team/app');
    assert.deepEqual((await all.request('GET', '/manifests/base')).bytes, base.bytes);
    for (const blob of [base.config, base.layers[0]!]) {
      if ((await all.request('HEAD', `/blobs/${sha256(blob)}`)).status !== 200) await all.pushBlob(blob);
    }
    await all.pushManifest('mine', base.bytes);
    const pulled = await app.admin.request('GET', '/v2/d-local/team/app/manifests/mine');
    assert.deepEqual(pulled.bytes, base.bytes);
    const layer = await app.admin.request('GET', `/v2/d-local/team/app/blobs/${sha256(base.layers[0]!)}`);
    assert.deepEqual(layer.bytes, base.layers[0]);
  });
});
