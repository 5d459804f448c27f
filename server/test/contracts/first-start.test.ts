/** What a first start makes, on each database: once, whole, by one of several servers, and never again. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import type { Machine } from '../../src/core/public-upstream.ts';
import type { Database } from '../../src/db/database.ts';
import { deleteRepository, listRepositories } from '../../src/db/repositories.ts';
import { EventLog } from '../../src/events/event-log.ts';
import { defineFormats } from '../../src/formats/index.ts';
import { FirstStart, type FirstStartDeps, type RemoteOutcome } from '../../src/repositories/first-start.ts';
import { eachDatabase, type TestDatabase } from '../support/databases.ts';

const FORMATS = defineFormats({ docker: { ...readSettings().docker, graceMs: 0 } });
const NPM = 'https://npm.example/all';
const LOCALS = ['docker-local', 'generic-local', 'helm-local', 'maven-local', 'npm-local', 'pypi-local'];
const VIRTUALS = ['docker', 'helm', 'maven', 'npm', 'pypi'];

/** A machine with an npm and nothing else. */
const WITH_NPM: Machine = {
  node: '/nowhere/bin/node',
  home: '/nowhere',
  env: {},
  locate: async (program) => (program === 'npm' ? '/nowhere/npm' : undefined),
  run: async (program, args) => (program === 'npm' && args.includes('registry') ? `${NPM}/\n` : undefined),
  read: async () => undefined,
  list: async () => [],
};

eachDatabase(({ name, create }) => {
  describe(`a first start on ${name}`, () => {
    let place: TestDatabase;
    let database: Database;
    let told: RemoteOutcome[];
    beforeEach(async () => {
      place = await create();
      database = await place.open();
      told = [];
    });
    afterEach(() => place.close());

    function prepare(changes: Partial<FirstStartDeps> = {}): FirstStart {
      return new FirstStart({
        database,
        events: new EventLog(),
        formats: FORMATS,
        repositories: { reload: async () => undefined },
        readOnly: { of: () => undefined },
        upstreams: {},
        ownOrigins: [],
        openMachine: () => WITH_NPM,
        ...changes,
      });
    }
    /** Starts, looks to the end, and ends. */
    async function run(changes: Partial<FirstStartDeps> = {}, bootstrap: 'default' | 'minimal' | 'none' = 'default') {
      const firstStart = prepare(changes);
      await firstStart.begin(bootstrap);
      await look(firstStart);
    }
    async function look(firstStart: FirstStart): Promise<void> {
      firstStart.start((outcome) => told.push(outcome), assert.ifError);
      await firstStart.settled();
      await firstStart.stop();
    }
    const rows = () => database.read((db) => listRepositories(db));
    const keys = async () => (await rows()).map(({ key }) => key).sort();
    const configOf = async (key: string) => (await rows()).find((row) => row.key === key)?.config;
    const remove = async (key: string) => {
      const row = (await rows()).find((each) => each.key === key);
      await database.transaction((tx) => deleteRepository(tx, row?.id ?? 0));
    };
    const all = (...remotes: readonly string[]) => [...LOCALS, ...VIRTUALS, ...remotes].sort();

    test('makes locals and virtuals at once, and remotes as upstreams are found', async () => {
      const firstStart = prepare();
      await firstStart.begin('default');
      assert.deepEqual(await keys(), all('docker-remote'));
      assert.deepEqual(await configOf('npm'), { repositories: ['npm-local'], defaultDeploymentRepo: 'npm-local' });
      await look(firstStart);
      assert.deepEqual(await keys(), all('docker-remote', 'npm-remote'));
      assert.deepEqual(await configOf('npm-remote'), { url: NPM });
      assert.deepEqual(await configOf('npm'), {
        repositories: ['npm-local', 'npm-remote'],
        defaultDeploymentRepo: 'npm-local',
      });
      assert.deepEqual((await configOf('docker'))?.['repositories'], ['docker-local', 'docker-remote']);
      assert.deepEqual((await configOf('helm'))?.['repositories'], ['helm-local']);
      assert.deepEqual(told, [
        { packageType: 'docker', made: true, url: 'https://registry-1.docker.io' },
        { packageType: 'helm', made: false },
        { packageType: 'maven', made: false },
        { packageType: 'npm', made: true, url: NPM },
        { packageType: 'pypi', made: false },
      ]);
    });

    test('makes a remote of each type whose upstream the configuration says, and asks nobody for those', async () => {
      const upstreams = {
        docker: 'https://images.example',
        helm: 'https://charts.example',
        maven: 'https://maven.example',
        npm: 'https://npm.example',
        pypi: 'https://pypi.example/root/+simple',
      };
      const machine = { ...WITH_NPM, run: assert.fail, locate: assert.fail, read: assert.fail, list: assert.fail };
      await run({ upstreams, openMachine: () => machine });
      assert.deepEqual(await keys(), all(...VIRTUALS.map((type) => `${type}-remote`)));
      assert.deepEqual(await configOf('helm-remote'), { url: 'https://charts.example' });
      assert.deepEqual(await configOf('pypi-remote'), {
        url: 'https://pypi.example/root',
        pyPIRepositorySuffix: '+simple',
      });
      assert.deepEqual((await configOf('helm'))?.['repositories'], ['helm-local', 'helm-remote']);
    });

    test('can make less, or nothing, for ever', async () => {
      await run({}, 'none');
      assert.deepEqual(await keys(), []);
      await run({ upstreams: { npm: NPM } });
      assert.deepEqual(await keys(), []);
      assert.deepEqual(told, []);
    });

    test('makes two places for bytes and asks nobody when it is told to do little', async () => {
      await run({ openMachine: () => ({ ...WITH_NPM, run: assert.fail }) }, 'minimal');
      assert.deepEqual(await keys(), ['docker-local', 'generic-local']);
    });

    test('is not repeated: what is deleted stays away, and nobody is asked again', async () => {
      await run();
      for (const key of ['npm-remote', 'npm', 'docker-remote', 'maven-local']) await remove(key);
      const left = await keys();
      told = [];
      await run({ openMachine: () => ({ ...WITH_NPM, run: assert.fail, locate: assert.fail }) });
      await run({ upstreams: { npm: NPM, docker: 'https://images.example' } });
      assert.deepEqual(await keys(), left);
      assert.deepEqual(told, []);
    });

    test('takes an upstream that was missing from the configuration of a later start', async () => {
      await run();
      told = [];
      await run({ upstreams: { helm: 'https://charts.example' } });
      assert.deepEqual(told, [{ packageType: 'helm', made: true, url: 'https://charts.example' }]);
      assert.deepEqual((await configOf('helm'))?.['repositories'], ['helm-local', 'helm-remote']);
      await remove('helm-remote');
      await run({ upstreams: { helm: 'https://charts.example' } });
      assert.equal(await configOf('helm-remote'), undefined);
    });

    test('is made whole by the next start when it was cut at any place', async () => {
      const events = new EventLog();
      for (let cut = 0; cut < 13; cut++) {
        let left = cut;
        const cutting = Object.assign(Object.create(events) as EventLog, {
          append: (...args: Parameters<EventLog['append']>) => {
            if (left-- === 0) throw new Error('cut');
            return events.append(...args);
          },
        });
        await assert.rejects(prepare({ events: cutting }).begin('default'), /cut/);
        assert.deepEqual(await keys(), [], `cut at ${cut}`);
      }
      await run();
      assert.deepEqual(await keys(), all('docker-remote', 'npm-remote'));
    });

    test('goes on looking at the next start when it was stopped, and when nothing may be written', async () => {
      const begun = Promise.withResolvers<void>();
      const hanging = prepare({
        openMachine: (signal) => ({
          ...WITH_NPM,
          async run() {
            begun.resolve();
            await new Promise((resolve) => signal.addEventListener('abort', resolve));
            return undefined;
          },
        }),
      });
      await hanging.begin('default');
      hanging.start((outcome) => told.push(outcome), assert.ifError);
      await begun.promise;
      await hanging.stop();
      assert.deepEqual(await keys(), all('docker-remote'));
      await run({ readOnly: { of: () => ({ by: 'admin', at: 0 }) as never } });
      assert.deepEqual(await keys(), all('docker-remote'));
      await run();
      assert.deepEqual(await keys(), all('docker-remote', 'npm-remote'));
    });

    test('leaves to its owner a key that is taken, in whatever case', async () => {
      const administrator = prepare({ formats: FORMATS.filter(({ packageTypes }) => packageTypes.includes('npm')) });
      await administrator.begin('default');
      await database.transaction((tx) => tx.deleteFrom('setting').where('key', 'like', 'repositories.%').execute());
      await database.transaction((tx) =>
        tx.updateTable('repository').set({ key: 'NPM' }).where('key', '=', 'npm').execute(),
      );
      await run();
      const expected = all('docker-remote', 'npm-remote').map((key) => (key === 'npm' ? 'NPM' : key));
      assert.deepEqual(await keys(), expected.sort());
      assert.deepEqual((await configOf('NPM'))?.['repositories'], ['npm-local']);
    });

    test('makes no remote repository of this server itself, and says why', async () => {
      await run({ ownOrigins: ['https://npm.example'] });
      assert.equal(await configOf('npm-remote'), undefined);
      const outcome = told.find(({ packageType }) => packageType === 'npm');
      assert.match(outcome?.made === false ? (outcome.reason ?? '') : '', /names this server itself/);
    });

    test('of several servers at once makes each thing once', async () => {
      const others = name === 'postgres' ? [await place.open(), await place.open()] : [];
      const servers = [database, ...others].map((each) => prepare({ database: each }));
      await Promise.all(servers.map((server) => server.begin('default')));
      assert.deepEqual(await keys(), all('docker-remote'));
      await Promise.all(servers.map(look));
      assert.deepEqual(await keys(), all('docker-remote', 'npm-remote'));
      assert.deepEqual((await configOf('npm'))?.['repositories'], ['npm-local', 'npm-remote']);
      const events = await database.kysely.selectFrom('event').select('type').execute();
      assert.equal(events.filter(({ type }) => type === 'repository.created').length, all('1', '2').length);
      assert.equal(told.filter(({ made }) => made).length, 2);
    });
  });
});

function readSettings() {
  return loadConfig({}, () => {
    throw Object.assign(new Error('no file'), { code: 'ENOENT' });
  });
}
