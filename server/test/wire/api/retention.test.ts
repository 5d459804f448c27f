/** What a repository takes by kind of revision, and how many snapshots and tags it keeps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SYSTEM } from '../../../src/auth/accounts.ts';
import type { RepoPath } from '../../../src/core/ids.ts';
import { removeOldTags } from '../../../src/formats/docker/old-tags.ts';
import { removeOldSnapshots } from '../../../src/repositories/retention.ts';
import { eventually } from '../../support/eventually.ts';
import { ImageClient, makeImage, makeIndex, sha256, TYPES } from '../../support/oci.ts';
import { createUser, expectStatus, getJson, grant, onEachStorage, sendJson } from './api-world.ts';

const ALL = '/artifactory/api/repositories';
const FOLDER = 'com/acme/app/1.0-SNAPSHOT';
/** The files of these tests are no real ones, and keep the names they are given. */
const AS_DEPLOYED = { packageType: 'maven', suppressPomConsistencyChecks: true, snapshotVersionBehavior: 'deployer' };

onEachStorage('retention', (world) => {
  const put = (path: string, status = 201) =>
    expectStatus(world().app.admin.request('PUT', `/artifactory/${path}`, { body: path }), status);
  const status = async (path: string) => (await world().app.admin.request('GET', `/artifactory/${path}`)).status;

  test('refuses releases or snapshots where a repository does not handle them', async () => {
    const { admin } = world().app;
    const make = (key: string, body: object) =>
      expectStatus(sendJson(admin, 'PUT', `${ALL}/${key}`, { rclass: 'local', ...AS_DEPLOYED, ...body }), 200);
    await make('releases', { handleSnapshots: false });
    await make('snapshots', { handleReleases: false });
    const release = 'com/acme/app/1.0/app-1.0.jar';
    for (const snapshot of ['app-1.0-SNAPSHOT.jar', 'app-1.0-20260102.030405-1.pom']) {
      const refused = await put(`releases/${FOLDER}/${snapshot}`, 409);
      assert.ok(
        refused.text.includes(
          `The repository 'releases' rejected the resolution of an artifact 'releases:${FOLDER}/${snapshot}' due to conflict in the snapshot release handling policy.`,
        ),
      );
      await put(`snapshots/${FOLDER}/${snapshot}`);
    }
    await put(`releases/${release}`);
    await put(`snapshots/${release}`, 409);
    for (const key of ['releases', 'snapshots']) {
      await put(`${key}/com/acme/app/readme.txt`);
      await put(`${key}/archetype-catalog.xml`);
    }
    await expectStatus(sendJson(admin, 'POST', `${ALL}/snapshots`, { handleReleases: true }), 200);
    await put(`snapshots/${release}`);
  });

  test('keeps only so many unique snapshots, whoever deploys', async () => {
    const { app } = world();
    const body = { rclass: 'local', ...AS_DEPLOYED, maxUniqueSnapshots: 2 };
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/few`, body), 200);
    const dora = await createUser(app, 'dora');
    await grant(app, 'dora-deploys', ['few'], { dora: ['r', 'w'] });
    const file = (build: number, rest = '.jar') => `few/${FOLDER}/app-1.0-20260102.0304${10 + build}-${build}${rest}`;
    await put('few/com/acme/app/1.0/app-1.0.jar');
    await put(`few/${FOLDER}/app-1.0-SNAPSHOT.jar`);
    for (const build of [9, 10, 8, 11]) {
      for (const rest of ['.jar', '-sources.jar', '.pom']) {
        await expectStatus(dora.request('PUT', `/artifactory/${file(build, rest)}`, { body: `${build}${rest}` }), 201);
      }
    }
    await eventually(async () => {
      for (const build of [8, 9])
        for (const rest of ['.jar', '-sources.jar', '.pom']) assert.equal(await status(file(build, rest)), 404);
    });
    for (const build of [10, 11])
      for (const rest of ['.jar', '-sources.jar', '.pom']) assert.equal(await status(file(build, rest)), 200);
    assert.equal(await status(`few/${FOLDER}/app-1.0-SNAPSHOT.jar`), 200);
    assert.equal(await status('few/com/acme/app/1.0/app-1.0.jar'), 200);
    // A smaller number takes effect with the next deploy.
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/few`, { maxUniqueSnapshots: 0 }), 200);
    await put(file(12));
    await put(file(13));
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/few`, { maxUniqueSnapshots: 1 }), 200);
    await put(file(14));
    await eventually(async () => {
      for (const build of [10, 11, 12, 13]) assert.equal(await status(file(build)), 404);
    });
    assert.equal(await status(file(14)), 200);
  });

  test('keeps the older snapshots where the newest are deleted meanwhile', async () => {
    const { app } = world();
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/last`, { rclass: 'local', ...AS_DEPLOYED }), 200);
    const file = (build: number) => `last/${FOLDER}/app-1.0-20260102.03040${build}-${build}.jar`;
    for (const build of [1, 2, 3]) await put(file(build));
    const bound = app.core.repositories.get('last', SYSTEM)!;
    const repo = { ...bound, settings: { ...bound.settings, maxUniqueSnapshots: 1 } };
    const layout = app.core.repositories.layoutOf(bound.key)!;
    let deleted = false;
    const proceed = async () => {
      if (deleted) return;
      deleted = true;
      await expectStatus(app.admin.request('DELETE', `/artifactory/${file(3)}`), 204);
    };
    await removeOldSnapshots(repo, FOLDER as RepoPath, { layout, proceed });
    assert.equal(deleted, true);
    for (const build of [1, 2]) assert.equal(await status(file(build)), 200);
    await removeOldSnapshots(repo, FOLDER as RepoPath, { layout, proceed });
    assert.deepEqual([await status(file(1)), await status(file(2))], [404, 200]);
  });

  test('keeps only so many tags of an image, those pushed last', async () => {
    const { app } = world();
    const body = { rclass: 'local', packageType: 'docker', maxUniqueTags: 2 };
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/few-tags`, body), 200);
    const dirk = await createUser(app, 'dirk');
    await grant(app, 'dirk-pushes', ['few-tags'], { dirk: ['r', 'w', 'd'] });
    const client = new ImageClient(dirk, '/v2/few-tags/team/app');
    for (const tag of ['1', '2', '3', '4']) await client.push(tag, makeImage());
    await new ImageClient(dirk, '/v2/few-tags/team/other').push('1', makeImage());
    const tags = async (image: string) =>
      ((await getJson(app.admin, `/v2/few-tags/${image}/tags/list`)) as { tags: string[] }).tags;
    await eventually(async () => assert.deepEqual(await tags('team/app'), ['3', '4']));
    assert.deepEqual(await tags('team/other'), ['1']);
    await client.push('1', makeImage());
    await eventually(async () => assert.deepEqual(await tags('team/app'), ['1', '4']));
  });

  test('goes by the settings of the moment, also when they change while it is at work', async () => {
    const { app } = world();
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/turned`, { rclass: 'local', packageType: 'docker' }), 200);
    const client = new ImageClient(app.admin, '/v2/turned/app');
    for (const tag of ['1', '2', '3']) await client.push(tag, makeImage());
    const keep = (maxUniqueTags: number) => sendJson(app.admin, 'POST', `${ALL}/turned`, { maxUniqueTags });
    await expectStatus(keep(1), 200);
    const context = {
      signal: new AbortController().signal,
      fence: 1,
      heartbeat: async () => void (await expectStatus(keep(0), 200)),
      requireLease: async () => undefined,
    };
    await app.core.retention.job.run({ repo: 'turned', kind: 'format', scope: 'app' }, context);
    for (const tag of ['1', '2', '3']) assert.equal(await client.statusOf(`/manifests/${tag}`), 200);
  });

  test('keeps the images that a kept index names, and a tag that is pushed again meanwhile', async () => {
    const { app } = world();
    const body = { rclass: 'local', packageType: 'docker' };
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/named`, body), 200);
    const client = new ImageClient(app.admin, '/v2/named/app');
    const [part, again] = [makeImage(), makeImage()];
    const named = await client.push('amd64', part);
    for (const tag of ['old', 'again', 'older']) await client.push(tag, makeImage());
    await client.pushManifest('latest', makeIndex([named]), TYPES.index);
    const bound = app.core.repositories.get('named', SYSTEM)!;
    // The server itself is to remove nothing here.
    const repo = { ...bound, settings: { ...bound.settings, maxUniqueTags: 1 } };
    let pushed = false;
    await removeOldTags(repo, 'app', async () => {
      if (pushed) return;
      pushed = true;
      await client.push('again', again);
    });
    assert.equal(pushed, true);
    assert.equal((await client.request('GET', '/manifests/again')).text, again.bytes.toString());
    for (const tag of ['amd64', 'old', 'older']) assert.equal(await client.statusOf(`/manifests/${tag}`), 404);
    for (const reference of ['latest', part.digest]) {
      assert.equal(await client.statusOf(`/manifests/${reference}`), 200);
    }
    for (const layer of part.layers) assert.equal(await client.statusOf(`/blobs/${sha256(layer)}`), 200);
  });
});
