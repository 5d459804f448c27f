/** Stars of packages, as `npm star`, `npm unstar` and `npm stars` ask for them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { makePackage, publish, publishDocument } from '../../formats/npm-samples.ts';
import { type Caller, STORAGES } from '../../support/test-app.ts';
import { grant } from '../../support/wire-world.ts';
import { BASE, type NpmWorld, startNpmWorld } from './npm-world.ts';

const OTHER = '/artifactory/api/npm/npm-other';
const BOTH = '/artifactory/api/npm/npm-both';

for (const storage of STORAGES) {
  describe(`npm, stars on ${storage}`, () => {
    let world: NpmWorld;
    before(async () => {
      world = await startNpmWorld(storage, {
        async prepare(core) {
          const packageType = 'npm';
          await core.administration.create({ key: 'npm-other', rclass: 'local', packageType }, '_system_');
          const config = { repositories: ['npm-other', 'npm-local'], defaultDeploymentRepo: 'npm-local' };
          await core.administration.create({ key: 'npm-both', rclass: 'virtual', packageType, config }, '_system_');
          const rights = ['read', 'annotate', 'deploy', 'delete'] as const;
          await grant(core, 'npm-other', ['npm-other'], [{ kind: 'user', name: 'owner', actions: rights }]);
          const reader = { kind: 'user', name: 'reader', actions: ['read'] } as const;
          await grant(core, 'npm-open', ['npm-other'], [reader], ['open/**']);
        },
      });
    });
    after(() => world.stop());

    const make = async (base: string, name: string, versions = ['1.0.0']) => {
      for (const version of versions) {
        const answer = await publish(world.owner, base, publishDocument(await makePackage(name, version)));
        assert.equal(answer.status, 201, answer.text);
      }
    };
    const put = (caller: Caller, base: string, name: string, users: object) =>
      caller.request('PUT', `${base}/${name}`, { body: JSON.stringify({ _id: name, _rev: '1-0', users }) });
    const set = async (caller: Caller, base: string, name: string, users: object) => {
      const answer = await put(caller, base, name, users);
      assert.equal(answer.status, 201, answer.text);
    };
    const usersOf = async (base: string, name: string) =>
      ((await world.owner.request('GET', `${base}/${name}?write=true`)).json() as { users: object }).users;
    const starred = async (caller: Caller, base: string, user: string) => {
      const key = encodeURIComponent(JSON.stringify(user));
      const answer = await caller.request('GET', `${base}/-/_view/starredByUser?key=${key}`);
      assert.equal(answer.status, 200, answer.text);
      return (answer.json() as { rows: { value: string }[] }).rows.map(({ value }) => value);
    };

    test('a star is given and taken, whatever was published meanwhile', async () => {
      await make(BASE, '@sky/vega');
      await make(BASE, 'sirius');
      await set(world.writer, BASE, '@sky%2fvega', { writer: true });
      await set(world.writer, BASE, 'sirius', { writer: true });
      assert.deepEqual(await usersOf(BASE, 'sirius'), { writer: true });
      await make(BASE, 'sirius', ['2.0.0']);
      assert.deepEqual(await usersOf(BASE, 'sirius'), { writer: true });
      assert.deepEqual(await starred(world.reader, BASE, 'writer'), ['@sky/vega', 'sirius']);
      assert.deepEqual(await starred(world.reader, BASE, 'nobody'), []);
      await set(world.writer, BASE, 'sirius', {});
      assert.deepEqual(await usersOf(BASE, 'sirius'), {});
      assert.deepEqual(await starred(world.writer, BASE, 'writer'), ['@sky/vega']);
    });

    test('of a document the stars of others are not taken, so that two at once do not undo each other', async () => {
      await make(BASE, 'rigel');
      await Promise.all([
        set(world.writer, BASE, 'rigel', { writer: true }),
        set(world.owner, BASE, 'rigel', { owner: true, reader: true }),
      ]);
      assert.deepEqual(await usersOf(BASE, 'rigel'), { owner: true, writer: true });
      assert.deepEqual(await starred(world.reader, BASE, 'reader'), []);
      await set(world.owner, BASE, 'rigel', {});
      assert.deepEqual(await usersOf(BASE, 'rigel'), { writer: true });
    });

    test('a virtual repository has the stars of all its members, and nobody hears of what they may not read', async () => {
      for (const name of ['open', 'closed']) {
        await make(OTHER, name);
        await set(world.owner, OTHER, name, { owner: true });
      }
      await make(BASE, 'deneb');
      await set(world.owner, BOTH, 'deneb', { owner: true });
      assert.deepEqual(await starred(world.owner, BOTH, 'owner'), ['closed', 'deneb', 'open']);
      assert.deepEqual(await starred(world.reader, BOTH, 'owner'), ['deneb', 'open']);
      assert.deepEqual(await starred(world.writer, BOTH, 'owner'), ['deneb']);
      assert.deepEqual(await starred(world.reader, OTHER, 'owner'), ['open']);
    });

    test('what the repository that takes changes does not hold gets no star, and says why', async () => {
      await make(OTHER, 'altair');
      const answer = await put(world.owner, BOTH, 'altair', { owner: true });
      assert.equal(answer.status, 400, answer.text);
      assert.match((answer.json() as { error: string }).error, /altair@1\.0\.0.*does not hold it\.$/);
      assert.equal((await put(world.reader, BASE, 'sirius', { reader: true })).status, 403);
    });

    test('a property that somebody sets by hand is no star', async () => {
      await make(BASE, 'fake');
      const path = '/artifactory/api/storage/npm-local/fake/-/fake-1.0.0.tgz?properties=npm.starredBy=outsider';
      assert.equal((await world.writer.request('PUT', path)).status, 204);
      assert.deepEqual(await starred(world.reader, BASE, 'outsider'), []);
    });

    test('whose stars are asked for must be said', async () => {
      for (const query of ['', '?key=', '?key=ann', '?key=%7B%7D', '?key=%22%22', '?key=%22%5Cu0000%22']) {
        const answer = await world.reader.request('GET', `${BASE}/-/_view/starredByUser${query}`);
        assert.equal(answer.status, 400, query);
        assert.match((answer.json() as { error: string }).error, /key="name"/);
      }
    });
  });
}
