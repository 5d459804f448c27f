/** Copies, moves, deletions and deployments at the same places at once: nothing is lost, nothing is left without a folder. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { expectStatus, getJson, onEachStorage } from './api-world.ts';

const STORAGE = '/artifactory/api/storage';
const SWEEPING = {
  ENTREPOT_SWEEP__INTERVAL_MS: '50',
  ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
  ENTREPOT_SWEEP__READER_GRACE_MS: '0',
};
const WRITERS = 4;
const FILES = 40;
/** What may be answered to who loses a race; all else is a fault. */
const LOST = new Set([404, 409]);

onEachStorage(
  'races in the tree',
  (world) => {
    const admin = () => world().app.admin;
    const send = async (method: string, path: string, body?: string) => {
      const answer = await admin().request(method, path, body === undefined ? {} : { body });
      assert.ok(answer.status < 300 || LOST.has(answer.status), `${method} ${path}: ${answer.status} ${answer.text}`);
      return answer.status;
    };
    const list = async (path: string) =>
      ((await getJson(admin(), `${STORAGE}/${path}?list&deep=1`)) as { files: { uri: string }[] }).files.map(
        ({ uri }) => uri,
      );
    async function requireSound(): Promise<void> {
      const rows = await world().app.core.database.read((db) =>
        db.selectFrom('node').select(['repo_id', 'parent', 'name', 'folder', 'sha256']).execute(),
      );
      const folders = new Set(
        rows
          .filter(({ folder }) => folder === 1)
          .map(({ repo_id, parent, name }) => `${repo_id} ${parent === '' ? name : `${parent}/${name}`}`),
      );
      const orphans = rows.filter(({ repo_id, parent }) => parent !== '' && !folders.has(`${repo_id} ${parent}`));
      assert.deepEqual(orphans, []);
      assert.ok(rows.every(({ folder, sha256 }) => (folder === 1) === (sha256 === null)));
    }

    test('loses no deployment to moves to and fro', async () => {
      const deployed = new Map<string, string>();
      const writers = Array.from({ length: WRITERS }, async (_, writer) => {
        for (let i = 0; i < FILES; i++) {
          const [name, body] = [`w${writer}/f${i}`, `${writer} ${i} ${Math.random()}`];
          await expectStatus(admin().request('PUT', `/artifactory/generic-local/ball/${name}`, { body }), 201);
          deployed.set(name, body);
        }
      });
      let writing = true;
      const movers = ['a', 'b'].map(async (name) => {
        for (let i = 0; writing; i++) {
          await send('POST', `/artifactory/api/move/generic-local/ball?to=/generic-local/court-${name}/${i}`);
          await send(
            'POST',
            `/artifactory/api/copy/generic-local/court-${name}/${i}?to=/generic-local/gallery/${name}${i}`,
          );
          await send('PUT', `${STORAGE}/generic-local/court-${name}?properties=turn=${i}`);
        }
      });
      await Promise.all(writers);
      writing = false;
      await Promise.all(movers);
      const found = new Map<string, string>();
      for (const place of ['ball', 'court-a', 'court-b']) {
        const answer = await admin().request('GET', `${STORAGE}/generic-local/${place}?list&deep=1`);
        if (answer.status === 404) continue;
        for (const { uri } of (answer.json() as { files: { uri: string }[] }).files) {
          const [, name = ''] = /(w\d+\/f\d+)$/.exec(uri) ?? [];
          assert.ok(!found.has(name), `${name} is at two places`);
          const file = await admin().request('GET', `/artifactory/generic-local/${place}${uri}`);
          found.set(name, file.text);
        }
      }
      assert.deepEqual([...found].sort(), [...deployed].sort());
      await requireSound();
    });

    test('keeps or deletes as a whole what is deployed, copied, restored and deleted at once', async () => {
      const put = (i: number) => send('PUT', `/artifactory/generic-local/arena/d${i % 3}/f${i}`, `content ${i}`);
      for (let i = 0; i < FILES; i++) await put(i);
      const rounds = Array.from({ length: 6 }, (_, i) => i);
      const work: (() => Promise<unknown>)[] = [
        ...rounds.flatMap((i) => [
          () => put(i),
          () => send('DELETE', `/artifactory/generic-local/arena/d${i % 3}`),
          () => send('POST', `/artifactory/api/copy/generic-local/arena?to=/generic-local/stand${i}`),
          () => send('POST', `/artifactory/api/trash/restore/generic-local/arena/d${i % 3}`),
          () => send('POST', `/artifactory/api/move/generic-local/stand${i}?to=/generic-local/arena`),
          () => send('DELETE', '/artifactory/generic-local/arena'),
        ]),
        () => send('POST', '/artifactory/api/trash/empty'),
        () => send('POST', '/artifactory/api/system/storage/gc'),
      ];
      await Promise.all(work.map((run) => run()));
      await put(1);
      await requireSound();
      for (const uri of await list('generic-local/arena')) {
        const file = await admin().request('GET', `/artifactory/generic-local/arena${uri}`);
        const [, number] = /f(\d+)$/.exec(uri) ?? [];
        assert.equal(file.status, 200);
        assert.equal(file.text, `content ${number}`);
      }
      await eventually(async () => {
        const { tasks } = (await getJson(admin(), '/artifactory/api/tasks')) as { tasks: { type: string }[] };
        assert.ok(tasks.every(({ type }) => type !== 'tree-operation'));
      });
    });

    test('gives one final file to a hundred deployments at one path', async () => {
      const bodies = Array.from({ length: 100 }, (_, i) => `body ${i}`);
      const answers = await Promise.all(
        bodies.map((body) => admin().request('PUT', '/artifactory/generic-local/one/f', { body })),
      );
      assert.ok(answers.every(({ status }) => status === 201));
      const last = await admin().request('GET', '/artifactory/generic-local/one/f');
      assert.ok(bodies.includes(last.text));
      await requireSound();
    });
  },
  SWEEPING,
);
