/**
 * Every format in every class of repository: what clients read of a local repository they read just so of a remote one
 * over it, of virtual ones over either, and of the remote one when its upstream is gone.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ADMIN_PASSWORD, STORAGES, startTestApp, type TestApp } from '../../support/test-app.ts';
import { DOCKER_SAMPLE } from './docker-sample.ts';
import { GENERIC_SAMPLE } from './generic-sample.ts';
import { HELM_SAMPLE } from './helm-sample.ts';
import { MAVEN_SAMPLE } from './maven-sample.ts';
import { NPM_SAMPLE } from './npm-sample.ts';
import { PYPI_SAMPLE } from './pypi-sample.ts';
import type { FormatSample, Place } from './sample.ts';

const SAMPLES: readonly FormatSample[] = [
  GENERIC_SAMPLE,
  DOCKER_SAMPLE,
  PYPI_SAMPLE,
  HELM_SAMPLE,
  MAVEN_SAMPLE,
  NPM_SAMPLE,
];
const ALLOWED = { ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8' };

async function create(app: TestApp, key: string, settings: Readonly<Record<string, unknown>>): Promise<Place> {
  const answer = await app.admin.request('PUT', `/artifactory/api/repositories/${key}`, {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ key, ...settings }),
  });
  assert.equal(answer.status, 200, answer.text);
  return { caller: app.admin, origin: app.url, key };
}

for (const storage of STORAGES) {
  for (const sample of SAMPLES) {
    describe(`${sample.packageType} in every class on ${storage}`, () => {
      const { packageType } = sample;
      let upstream: TestApp;
      let app: TestApp;
      let isUp = true;
      let places: Readonly<Record<string, Place>>;
      const expected = new Map<string, unknown>();

      before(async () => {
        upstream = await startTestApp(storage, ALLOWED);
        app = await startTestApp(storage, ALLOWED);
        const source = await create(upstream, 's-local', { rclass: 'local', packageType });
        await sample.publish(source);
        for (const { name, read } of sample.reads) expected.set(name, await read(source));
        await create(upstream, 's-empty', { rclass: 'local', packageType });
        await create(app, 's-empty', { rclass: 'local', packageType });
        const remote = {
          rclass: 'remote',
          packageType,
          url: sample.upstreamUrl(source),
          username: 'admin',
          password: ADMIN_PASSWORD,
        };
        places = {
          remote: await create(app, 's-remote', remote),
          'remote that a virtual one asks': await create(app, 's-other', remote),
          'virtual over locals': await create(upstream, 's-virtual', {
            rclass: 'virtual',
            packageType,
            repositories: ['s-empty', 's-local'],
          }),
          'virtual over a local and a remote': await create(app, 's-virtual', {
            rclass: 'virtual',
            packageType,
            repositories: ['s-empty', 's-other'],
          }),
          'virtual over a virtual': await create(app, 's-nested', {
            rclass: 'virtual',
            packageType,
            repositories: ['s-virtual'],
          }),
        };
      });
      after(async () => {
        await app?.stop();
        if (isUp) await upstream?.stop();
      });

      for (const kind of [
        'virtual over locals',
        'virtual over a local and a remote',
        'virtual over a virtual',
        'remote',
      ]) {
        for (const { name, read } of sample.reads) {
          test(`${kind}: ${name}`, async () => {
            assert.deepEqual(await read(places[kind] as Place), expected.get(name));
          });
        }
      }

      test('what was deployed through a virtual one is read there', async () => {
        const target = await create(app, 's-target', { rclass: 'local', packageType });
        const virtual = await create(app, 's-entry', {
          rclass: 'virtual',
          packageType,
          repositories: ['s-target'],
          defaultDeploymentRepo: target.key,
        });
        await sample.publish(virtual);
        for (const { name, read } of sample.reads) assert.deepEqual(await read(virtual), expected.get(name), name);
      });

      test('what was pulled once is still there when the upstream is gone', async () => {
        isUp = false;
        await upstream.stop();
        for (const kind of ['remote', 'virtual over a local and a remote']) {
          for (const { name, read } of sample.reads) {
            if (name.includes('not there')) continue;
            assert.deepEqual(await read(places[kind] as Place), expected.get(name), `${kind}: ${name}`);
          }
        }
      });
    });
  }
}
