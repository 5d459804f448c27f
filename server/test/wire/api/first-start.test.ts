/** The first start of a server: what is there at once, what comes when the machine was asked, and what is said of the rest. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Machine } from '../../../src/core/public-upstream.ts';
import { eventually } from '../../support/eventually.ts';
import { STORAGES, startTestApp, type TestApp } from '../../support/test-app.ts';
import { expectStatus, getJson, sendJson } from './api-world.ts';

const REPOSITORIES = '/artifactory/api/repositories';
const DEFAULT = { ENTREPOT_BOOTSTRAP: 'default' };
const AT_ONCE = [
  'docker',
  'docker-local',
  'docker-remote',
  'generic-local',
  'helm',
  'helm-local',
  'maven',
  'maven-local',
  'npm',
  'npm-local',
  'pypi',
  'pypi-local',
];

/** Answers as soon as `may` does. */
function machine(may: Promise<void>, registry = 'https://npm.example'): Machine {
  return {
    node: '/nowhere/node',
    home: '/nowhere',
    env: {},
    locate: async (program) => (program === 'npm' ? '/nowhere/npm' : undefined),
    async run(program) {
      await may;
      return program === 'npm' ? registry : undefined;
    },
    read: async () => undefined,
    list: async () => [],
  };
}

async function keysOf(app: TestApp): Promise<string[]> {
  const all = (await getJson(app.admin, REPOSITORIES)) as { key: string; type: string }[];
  return all.map(({ key }) => key).filter((key) => !/^artifactory-|^auto-/.test(key));
}

function settingsOf(app: TestApp, key: string): Promise<unknown> {
  return getJson(app.admin, `${REPOSITORIES}/${key}`);
}

for (const storage of STORAGES) {
  describe(`the first start on ${storage}`, () => {
    test('serves before anybody was asked, and the rest when the machine has answered', async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      await using app = await startTestApp(storage, DEFAULT, { openMachine: () => machine(promise) });
      assert.deepEqual(await keysOf(app), AT_ONCE);
      const body = 'text';
      await expectStatus(app.admin.request('PUT', '/artifactory/maven/a/b/1/b-1.txt', { body }), 201);
      await expectStatus(app.admin.request('GET', '/artifactory/maven-local/a/b/1/b-1.txt'), 200);
      resolve();
      await eventually(async () => assert.deepEqual(await keysOf(app), [...AT_ONCE, 'npm-remote'].sort()));
      const { url, repositories, defaultDeploymentRepo } = {
        ...((await settingsOf(app, 'npm')) as { repositories: string[]; defaultDeploymentRepo: string }),
        ...{ url: ((await settingsOf(app, 'npm-remote')) as { url: string }).url },
      };
      assert.deepEqual(
        [url, repositories, defaultDeploymentRepo],
        ['https://npm.example', ['npm-local', 'npm-remote'], 'npm-local'],
      );
      await eventually(() => assert.match(app.news.join('\n'), /made .* npm-remote of https:\/\/npm\.example/));
    });

    test('says how to add what it left out, by a command that does', async () => {
      await using app = await startTestApp(storage, DEFAULT, { openMachine: () => machine(Promise.resolve()) });
      await eventually(() => {
        for (const type of ['helm', 'maven', 'pypi']) assert.ok(commandFor(app, type), app.news.join('\n'));
      });
      assert.equal(commandFor(app, 'npm'), undefined);
      for (const type of ['helm', 'maven', 'pypi']) {
        const { method, url, headers, body } = commandFor(app, type)!;
        assert.ok(url.startsWith(`${app.url}/`), url);
        await expectStatus(app.admin.request(method, url.slice(app.url.length), { headers, body }), 200);
        const remote = (await settingsOf(app, `${type}-remote`)) as { url: string; packageType: string };
        assert.deepEqual([remote.url, remote.packageType], [`https://${type}.example`, type]);
        const virtual = (await settingsOf(app, type)) as { repositories: string[]; defaultDeploymentRepo: string };
        assert.deepEqual(virtual.repositories, [`${type}-local`, `${type}-remote`]);
        assert.equal(virtual.defaultDeploymentRepo, `${type}-local`);
      }
      const said = app.news.length;
      await app.restart();
      await app.core.firstStart.settled();
      assert.equal(app.news.length, said, 'a second start says nothing of it');
    });

    test('says that an upstream on this machine must be allowed', async () => {
      const openMachine = () => machine(Promise.resolve(), 'http://localhost:4873/');
      await using app = await startTestApp(storage, DEFAULT, { openMachine });
      await eventually(() => assert.match(app.news.join('\n'), /localhost:4873.*ENTREPOT_REMOTES__ALLOWED_ADDRESSES/));
      const { url } = (await settingsOf(app, 'npm-remote')) as { url: string };
      assert.equal(url, 'http://localhost:4873');
    });

    test('happens once: what is deleted stays away, and nobody is asked again', async () => {
      let asked = 0;
      const openMachine = () => {
        const answering = machine(Promise.resolve());
        const run: Machine['run'] = (...args) => {
          asked += 1;
          return answering.run(...args);
        };
        return { ...answering, run };
      };
      const env = { ...DEFAULT, ENTREPOT_UPSTREAMS__PYPI: 'https://pypi.example/simple/' };
      await using app = await startTestApp(storage, env, { openMachine });
      await eventually(async () => assert.ok((await keysOf(app)).includes('npm-remote')));
      await app.core.firstStart.settled();
      assert.equal(asked, 1, 'npm alone is a program to be asked here');
      const { url, pyPIRepositorySuffix } = (await settingsOf(app, 'pypi-remote')) as Record<string, string>;
      assert.deepEqual([url, pyPIRepositorySuffix], ['https://pypi.example', 'simple']);
      for (const key of ['npm-remote', 'pypi', 'docker-local']) {
        await expectStatus(app.admin.request('DELETE', `${REPOSITORIES}/${key}`), 200);
      }
      const left = await keysOf(app);
      await app.restart();
      await app.core.firstStart.settled();
      assert.deepEqual(await keysOf(app), left);
      assert.equal(asked, 1);
    });

    test('makes nothing when it is told so, also later', async () => {
      const openMachine = () => ({ ...machine(Promise.resolve()), run: assert.fail });
      await using app = await startTestApp(storage, { ENTREPOT_BOOTSTRAP: 'none' }, { openMachine });
      assert.deepEqual(await keysOf(app), []);
      await app.restart({ ...DEFAULT, ENTREPOT_UPSTREAMS__NPM: 'https://npm.example' });
      assert.deepEqual(await keysOf(app), []);
      const body = { rclass: 'local', packageType: 'npm' };
      await expectStatus(sendJson(app.admin, 'PUT', `${REPOSITORIES}/npm-local`, body), 200);
      assert.deepEqual(app.news, []);
    });
  });
}

/** The parts of the command that was printed for a type, as a shell would read it. */
function commandFor(app: TestApp, type: string) {
  const message = app.news.find((each) => each.includes(` ${type}-remote yet`));
  const [, method = '', header = '', body = '', url = ''] =
    /: curl -u admin -X ([A-Z]+) -H '([^']+)' -d '([^'"]+)' (\S+)$/.exec(message ?? '') ?? [];
  if (message === undefined) return undefined;
  const [name = '', value = ''] = header.split(': ');
  return { method, url, body, headers: { [name]: value } };
}
