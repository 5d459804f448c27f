/** Promoting builds, and finding the files they made. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUser, expectStatus, getJson, grant, onEachStorage, sendJson } from '../api/api-world.ts';
import { BUILD, deploy, getBuild, messageOf, publish, sums } from './build-world.ts';

const FILES = '/artifactory/api/builds/buildArtifacts';

interface Message {
  readonly level: string;
  readonly message: string;
}

onEachStorage('promoting builds', (world) => {
  async function createRepository(key: string): Promise<string> {
    const body = { rclass: 'local', packageType: 'generic' };
    await expectStatus(sendJson(world().app.admin, 'PUT', `/artifactory/api/repositories/${key}`, body), 200);
    return key;
  }
  async function promote(path: string, body: object): Promise<Message[]> {
    const answer = await expectStatus(sendJson(world().app.admin, 'POST', `${BUILD}/promote/${path}`, body), 200);
    assert.equal(answer.headers['content-type'], 'application/vnd.org.jfrog.artifactory.build.PromotionResult+json');
    return (answer.json() as { messages: Message[] }).messages;
  }
  async function statusOf(path: string): Promise<number> {
    return (await world().app.admin.request('GET', `/artifactory/${path}`)).status;
  }
  async function propertiesOf(path: string): Promise<unknown> {
    const found = await getJson(world().app.admin, `/artifactory/api/storage/${path}?properties`);
    return (found as { properties: unknown }).properties;
  }
  /** A build with two files and one dependency, in repositories of its own. */
  async function prepare(name: string, placed = true) {
    const { admin } = world().app;
    const run = { name, number: '1' };
    const [staging, release, libs] = [
      await createRepository(`${name}-staging`),
      await createRepository(`${name}-release`),
      await createRepository(`${name}-libs`),
    ];
    const files = [];
    for (const path of ['org/a.txt', 'org/b.txt']) {
      const file = await deploy(admin, { repo: staging, path, body: `${name} ${path}` }, run);
      if (!placed) delete file['originalDeploymentRepo'];
      files.push(file);
    }
    await deploy(admin, { repo: libs, path: 'dep.txt', body: `${name} dependency` });
    const dependencies = [
      { id: 'dep.txt', scopes: ['compile'], ...sums(`${name} dependency`) },
      { id: 'other.txt', scopes: ['test'], ...sums(`${name} elsewhere`) },
    ];
    await publish(admin, { ...run, modules: [{ id: 'm', artifacts: files, dependencies }] });
    return { staging, release, libs };
  }

  test('moves the files of a run, gives them properties and records the status', async () => {
    const { admin } = world().app;
    const { staging, release } = await prepare('move');
    const messages = await promote('move/1', {
      status: 'released',
      comment: 'fine',
      ciUser: 'builder',
      timestamp: '2026-05-06T07:08:09.123+0200',
      targetRepo: release,
      properties: { components: ['c1', 'c2'], 'release-name': ['fb'] },
    });
    assert.deepEqual(messages, []);
    for (const path of ['org/a.txt', 'org/b.txt']) {
      assert.equal(await statusOf(`${staging}/${path}`), 404);
      assert.equal(await statusOf(`${release}/${path}`), 200);
      assert.deepEqual(await propertiesOf(`${release}/${path}`), {
        'build.name': ['move'],
        'build.number': ['1'],
        components: ['c1', 'c2'],
        'release-name': ['fb'],
      });
    }
    assert.deepEqual((await getBuild(admin, 'move', '1'))['statuses'], [
      {
        status: 'released',
        timestamp: '2026-05-06T07:08:09.123+0200',
        timestampDate: Date.parse('2026-05-06T07:08:09.123+02:00'),
        user: 'admin',
        ciUser: 'builder',
        repository: release,
        comment: 'fine',
      },
    ]);
    // Again: what is in its place already is found there.
    assert.deepEqual(
      await promote('move/1', { status: 'again', targetRepo: release, properties: { late: ['yes'] } }),
      [],
    );
    assert.deepEqual(((await propertiesOf(`${release}/org/a.txt`)) as { late: unknown }).late, ['yes']);
    const { buildNumber: _, ...rest } = { buildNumber: 0, ...(await getBuild(admin, 'move', 'LATEST_AGAIN')) };
    assert.equal((rest as { number?: string }).number, '1');
  });

  test('copies files found by their bytes and properties', async () => {
    const { staging, release } = await prepare('copy', false);
    const body = { targetRepo: release, copy: true, status: 's' };
    assert.deepEqual(await promote('copy/1', body), []);
    assert.deepEqual(await promote('copy/1', body), []);
    assert.equal(await statusOf(`${staging}/org/a.txt`), 200);
    assert.equal(await statusOf(`${release}/org/a.txt`), 200);
    const answer = await expectStatus(world().app.admin.request('GET', `${FILES}/copy/1/artifactory-build-info`), 200);
    assert.deepEqual(answer.json(), [
      { repo: release, path: 'org', name: 'a.txt' },
      { repo: release, path: 'org', name: 'b.txt' },
    ]);
  });

  test('takes dependencies along, of the scopes that are wanted', async () => {
    const { staging, release, libs } = await prepare('scopes');
    const body = { targetRepo: release, copy: true, artifacts: false, dependencies: true, scopes: ['compile'] };
    assert.deepEqual(await promote('scopes/1', body), [
      { level: 'INFO', message: 'Skipping promotion status update: no status received.' },
    ]);
    assert.equal(await statusOf(`${release}/dep.txt`), 200);
    assert.equal(await statusOf(`${libs}/dep.txt`), 200);
    assert.equal(await statusOf(`${release}/org/a.txt`), 404);
    assert.equal(await statusOf(`${staging}/org/a.txt`), 200);
    const [warning] = await promote('scopes/1', { ...body, scopes: [] });
    assert.match(warning?.message ?? '', /^Unable to find the following dependencies .*other\.txt/);
  });

  test('changes nothing in a dry run', async () => {
    const { staging, release } = await prepare('dry');
    assert.deepEqual(
      await promote('dry/1', { status: 's', targetRepo: release, dryRun: true, properties: { a: ['b'] } }),
      [],
    );
    assert.equal(await statusOf(`${staging}/org/a.txt`), 200);
    assert.equal(await statusOf(`${release}/org/a.txt`), 404);
    assert.equal('statuses' in (await getBuild(world().app.admin, 'dry', '1')), false);
  });

  test('takes files from the source repository only, where one is named', async () => {
    const { staging, release, libs } = await prepare('source');
    const { admin } = world().app;
    const failed = await expectStatus(
      sendJson(admin, 'POST', `${BUILD}/promote/source/1`, { status: 's', sourceRepo: libs, targetRepo: release }),
      400,
    );
    assert.equal(
      messageOf(failed),
      "Unable to find artifacts of build 'source' #1 from artifactory-build-info repo: aborting promotion.",
    );
    assert.deepEqual(await promote('source/1', { status: 's', sourceRepo: staging, targetRepo: release }), []);
    assert.equal(await statusOf(`${release}/org/b.txt`), 200);
  });

  test('promotes what is there when it need not be all', async () => {
    const { admin } = world().app;
    const { staging, release } = await prepare('partly');
    await expectStatus(admin.request('DELETE', `/artifactory/${staging}/org/a.txt`), 204);
    const body = { status: 's', targetRepo: release };
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/promote/partly/1`, body), 400);
    assert.equal(await statusOf(`${release}/org/b.txt`), 404);
    assert.deepEqual(await promote('partly/1', { ...body, failFast: false }), [
      { level: 'WARNING', message: "Unable to find the following artifacts of build 'partly' #1: a.txt" },
    ]);
    assert.equal(await statusOf(`${release}/org/b.txt`), 200);
    assert.equal(((await getBuild(admin, 'partly', '1'))['statuses'] as unknown[]).length, 1);
  });

  test('says what was left out and what is wrong', async () => {
    const { admin } = world().app;
    await publish(admin, { name: 'words', number: '1' });
    const noTarget = { level: 'INFO', message: 'Skipping build item relocation: no target repository selected.' };
    const noStatus = { level: 'INFO', message: 'Skipping promotion status update: no status received.' };
    assert.deepEqual(await promote('words/1', {}), [noTarget, noStatus]);
    assert.deepEqual(await promote('words/1', { status: 'staged' }), [noTarget]);
    const send = (body: object, path = 'words/1') => sendJson(admin, 'POST', `${BUILD}/promote/${path}`, body);
    const target = await expectStatus(send({ targetRepo: 'x' }), 404);
    assert.equal(messageOf(target), "Cannot find target repository by the key 'x'");
    await expectStatus(send({}, 'words/99'), 404);
    const time = await expectStatus(send({ status: 's', timestamp: 'not-a-time' }), 400);
    assert.deepEqual(time.json(), {
      messages: [
        {
          level: 'ERROR',
          message: 'Skipping promotion status update: invalid\\unparsable timestamp not-a-time.',
        },
      ],
    });
    await expectStatus(send({ properties: 'none' }), 400);
    await expectStatus(send({ copy: 'perhaps' }), 400);
    assert.equal(((await getBuild(admin, 'words', '1'))['statuses'] as unknown[]).length, 1);
  });

  test('moves nothing without the rights at source and target, and shows no files one may not read', async () => {
    const { app } = world();
    const { staging, release } = await prepare('rights');
    const user = await createUser(app, 'promoter');
    await grant(app, 'promoter-builds', ['artifactory-build-info'], { promoter: ['r', 'w'] });
    const send = (body: object) => sendJson(user, 'POST', `${BUILD}/promote/rights/1`, { status: 's', ...body });
    // A target and files that may not be read are as if they were not there.
    await expectStatus(send({ targetRepo: release }), 404);
    assert.deepEqual(await getJson(user, `${FILES}/rights/1/artifactory-build-info`), []);
    await grant(app, 'promoter-target', [release], { promoter: ['r', 'w', 'n'] });
    await expectStatus(send({ targetRepo: release }), 400);
    await grant(app, 'promoter-source', [staging], { promoter: ['r'] });
    assert.equal(((await getJson(user, `${FILES}/rights/1/artifactory-build-info`)) as unknown[]).length, 2);
    await expectStatus(send({ targetRepo: release }), 403);
    assert.equal('statuses' in (await getBuild(app.admin, 'rights', '1')), false);
    await expectStatus(send({ targetRepo: release, copy: true }), 200);
    assert.equal(await statusOf(`${release}/org/a.txt`), 200);
  });

  test('finds the files of builds by patterns', async () => {
    const { admin, url } = world().app;
    const { staging } = await prepare('patterns');
    const patterns = [{ pattern: '*:org/*.txt' }, { pattern: `${staging}:**/b.*;status+=prod` }, { pattern: 'x:**' }];
    const body = [{ buildName: 'patterns', buildNumber: 'LATEST', patterns }];
    const answer = await expectStatus(sendJson(admin, 'POST', `${BUILD}/patternArtifacts`, body), 200);
    const [found] = answer.json() as {
      buildNumber: string;
      url: string;
      patternResults: { pattern: string; patternArtifacts: { artifactoryUrl: string; uri: string; sha1: string }[] }[];
    }[];
    assert.equal(found?.buildNumber, '1');
    assert.equal(found?.url, `${url}${BUILD}/patterns/1`);
    assert.deepEqual(
      found?.patternResults.map(({ patternArtifacts }) => patternArtifacts.map(({ uri }) => uri)),
      [[`${staging}/org/a.txt`, `${staging}/org/b.txt`], [`${staging}/org/b.txt`], []],
    );
    assert.equal(found?.patternResults[0]?.patternArtifacts[0]?.sha1, sums('patterns org/a.txt').sha1);
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/patternArtifacts`, [{ buildName: 'x' }]), 400);
    const none = [{ buildName: 'none', buildNumber: '1', patterns: [] }];
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/patternArtifacts`, none), 404);
  });
});
