/** Deleting, the trash can, and what is left of folders. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanTrash } from '../../../src/repositories/trash.ts';
import { eventually } from '../../support/eventually.ts';
import { ImageClient, makeImage, sha256 } from '../../support/oci.ts';
import type { Caller } from '../../support/test-app.ts';
import { createUser, expectAdminOnly, expectStatus, getJson, grant, onEachStorage } from './api-world.ts';

const STORAGE = '/artifactory/api/storage';
const TRASH = '/artifactory/api/trash';
const CONFIGURATION = '/artifactory/api/system/configuration';

const SWEEPING = {
  ENTREPOT_SWEEP__INTERVAL_MS: '50',
  ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
  ENTREPOT_SWEEP__READER_GRACE_MS: '0',
};

onEachStorage(
  'the trash can',
  (world) => {
    const admin = () => world().app.admin;
    const put = (path: string, body = 'text') =>
      expectStatus(admin().request('PUT', `/artifactory/${path}`, { body }), 201);
    const get = (path: string, caller: Caller = admin()) => caller.request('GET', `/artifactory/${path}`);
    const remove = (path: string, caller: Caller = admin()) => caller.request('DELETE', `/artifactory/${path}`);
    const info = (path: string, caller: Caller = admin()) => caller.request('GET', `${STORAGE}/${path}`);
    const restore = (path: string, to = '', caller: Caller = admin()) =>
      caller.request('POST', `${TRASH}/restore/${path}${to && `?to=${encodeURIComponent(to)}`}`);
    async function properties(path: string): Promise<Record<string, string[]>> {
      const answer = await admin().request('GET', `${STORAGE}/${path}?properties`);
      return answer.status === 404 ? {} : (answer.json() as { properties: Record<string, string[]> }).properties;
    }
    async function putMany(folder: string, count: number): Promise<void> {
      const names = Array.from({ length: count }, (_, i) => `${folder}/d${i % 3}/f${i}`);
      for (let i = 0; i < names.length; i += 50) await Promise.all(names.slice(i, i + 50).map((name) => put(name)));
    }

    test('takes what is deleted, says where it was, and gives it back as it was', async () => {
      await put('generic-local/bin/f;k=v', 'precious');
      const answer = await expectStatus(remove('generic-local/bin/f'), 204);
      assert.equal(answer.text, '');
      await expectStatus(get('generic-local/bin/f'), 404);
      const found = await properties('auto-trashcan/generic-local/bin/f');
      assert.match(found['trash.time']?.[0] ?? '', /^\d{13}$/);
      assert.deepEqual(found['trash.deletedBy'], ['admin']);
      assert.deepEqual(found['trash.originalRepository'], ['generic-local']);
      assert.deepEqual(found['trash.originalRepositoryType'], ['local']);
      assert.deepEqual(found['trash.originalPath'], ['bin/f']);
      assert.deepEqual(found['k'], ['v']);
      const restored = await expectStatus(restore('generic-local/bin/f'), 202);
      assert.equal(restored.text, 'Successfully restored trash items');
      assert.equal((await get('generic-local/bin/f')).text, 'precious');
      assert.deepEqual(await properties('generic-local/bin/f'), { k: ['v'] });
      await expectStatus(info('auto-trashcan/generic-local/bin/f'), 404);
      const again = await expectStatus(remove('generic-local/bin/none'), 404);
      assert.match(again.text, /Artifact deletion error: Item generic-local\/bin\/none does not exist/);
    });

    test('restores folders, elsewhere too, over nothing that is there', async () => {
      for (const name of ['a', 'sub/b']) await put(`generic-local/back/${name}`, name);
      await expectStatus(remove('generic-local/back'), 204);
      await expectStatus(restore('generic-local/back/sub/b', '/generic-local/elsewhere/b'), 202);
      assert.equal((await get('generic-local/elsewhere/b')).text, 'sub/b');
      await put('generic-local/back/a', 'newer');
      const conflict = await expectStatus(restore('generic-local/back'), 409);
      assert.match(conflict.text, /is there already/);
      assert.equal((await get('generic-local/back/a')).text, 'newer');
      await expectStatus(restore('generic-local/back', '/generic-local/back2'), 202);
      assert.equal((await get('generic-local/back2/a')).text, 'a');
      await expectStatus(restore('generic-local/none'), 404);
      await expectStatus(restore('generic-local/back', '/generic-local/../x'), 400);
    });

    test('keeps images whole, so that they can be pulled again', async () => {
      const client = new ImageClient(admin(), '/v2/docker-local/bin/app');
      const image = makeImage({ layers: 2 });
      await client.push('1.0', image);
      await expectStatus(remove('docker-local/bin/app/1.0'), 204);
      assert.equal(await client.statusOf('/manifests/1.0'), 404);
      assert.equal(await client.statusOf(`/manifests/${image.digest}`), 404);
      await client.push('1.0', makeImage());
      await expectStatus(remove('docker-local/bin/app'), 204);
      await expectStatus(info('auto-trashcan/docker-local/bin/app/_uploads'), 404);
      await expectStatus(restore('docker-local/bin/app/1.0'), 202);
      const manifest = await client.request('GET', '/manifests/1.0');
      assert.equal(manifest.status, 200);
      const tags = (await client.request('GET', '/tags/list')).json() as { tags: string[] };
      assert.deepEqual(tags.tags, ['1.0']);
    });

    test('deletes what was deleted under the same name before, and folders over files', async () => {
      await put('generic-local/twice', 'file');
      await expectStatus(remove('generic-local/twice'), 204);
      await put('generic-local/twice/inside', 'in a folder');
      await expectStatus(remove('generic-local/twice'), 204);
      await expectStatus(info('auto-trashcan/generic-local/twice/inside'), 200);
      await put('generic-local/twice', 'file again');
      await expectStatus(remove('generic-local/twice'), 204);
      await expectStatus(info('auto-trashcan/generic-local/twice/inside'), 200);
      await put('generic-local/twice', 'and again');
      await expectStatus(remove('generic-local/twice'), 204);
    });

    test('shows nothing of itself but to administrators', async () => {
      const { app, ann } = world();
      await put('generic-local/private/f');
      await expectStatus(remove('generic-local/private/f'), 204);
      await grant(app, 'ann-any', ['ANY'], { ann: ['r', 'w', 'd', 'n', 'm'] });
      for (const path of ['auto-trashcan', 'auto-trashcan/generic-local/private/f']) {
        await expectStatus(info(path, ann), 404);
        await expectStatus(get(path, ann), 404);
      }
      await expectStatus(restore('generic-local/private/f', '', ann), 202);
      await expectAdminOnly(world(), [
        ['POST', `${TRASH}/empty`],
        ['DELETE', `${TRASH}/clean/generic-local/private/f`],
        ['GET', '/artifactory/api/tasks'],
        ['POST', '/artifactory/api/system/storage/gc'],
        ['POST', '/artifactory/api/system/storage/prune/start'],
      ]);
      await expectStatus(app.anonymous.request('POST', `${TRASH}/restore/generic-local/a`), 401);
      await expectStatus(admin().request('DELETE', '/artifactory/api/security/permissions/ann-any'), 200);
    });

    test('restores only for who manages the repository and may deploy to the target', async () => {
      const { app } = world();
      await put('generic-local/guard/f');
      await expectStatus(remove('generic-local/guard/f'), 204);
      const max = await createUser(app, 'max');
      await grant(app, 'max-reads', ['generic-local'], { max: ['r'] });
      await expectStatus(restore('generic-local/guard/f', '', max), 403);
      await grant(app, 'max-manages', ['generic-local'], { max: ['m'] });
      await expectStatus(restore('generic-local/guard/f', '/generic-local/guard/f', max), 403);
      await grant(app, 'max-writes', ['generic-local'], { max: ['w'] });
      await expectStatus(restore('generic-local/guard/f', '', max), 202);
    });

    test('deletes a folder only for who may delete all of it, a repository only for who manages it', async () => {
      const { app } = world();
      for (const name of ['mine/a', 'theirs/b']) await put(`generic-local/del-rights/${name}`);
      const dan = await createUser(app, 'dan');
      await grant(app, 'dan-reads', ['generic-local'], { dan: ['r'] }, 'del-rights/**');
      await grant(app, 'dan-deletes', ['generic-local'], { dan: ['d'] }, 'del-rights,del-rights/mine/**');
      await expectStatus(remove('generic-local/del-rights', dan), 403);
      assert.equal((await get('generic-local/del-rights/mine/a')).status, 200);
      await expectStatus(remove('generic-local', dan), 403);
      await expectStatus(remove('generic-local/del-rights/mine/a', dan), 204);
    });

    test('empties at once, cleans one item, and gives the bytes back', async () => {
      const { core } = world().app;
      const body = 'x'.repeat(40_000) + Math.random();
      const digest = sha256(body).slice('sha256:'.length);
      await put('generic-local/empty/dir/f', body);
      await put('generic-local/empty/g', 'other');
      await expectStatus(remove('generic-local/empty/dir'), 204);
      await expectStatus(remove('generic-local/empty/g'), 204);
      await expectStatus(admin().request('DELETE', `${TRASH}/clean/generic-local/empty/g`), 204);
      await expectStatus(admin().request('DELETE', `${TRASH}/clean/generic-local/empty/g`), 404);
      await expectStatus(info('auto-trashcan/generic-local/empty/dir/f'), 200);
      await expectStatus(admin().request('POST', `${TRASH}/empty`), 202);
      await eventually(async () => {
        const folder = (await getJson(admin(), `${STORAGE}/auto-trashcan?list&deep=1`)) as { files: unknown[] };
        assert.deepEqual(folder.files, []);
      });
      await eventually(async () => {
        const rows = await core.database.read((db) =>
          db.selectFrom('blob').select('sha256').where('sha256', '=', digest).execute(),
        );
        assert.deepEqual(rows, []);
      });
    });

    /** Has an item of the trash can look as if it had been deleted so long ago. */
    async function age(folder: string, name: string, days = 15): Promise<void> {
      await world().app.core.database.transaction((tx) =>
        tx
          .updateTable('property')
          .set({ value: String(Date.now() - days * 24 * 3_600_000) })
          .where('key', '=', 'trash.time')
          .where('node_id', 'in', (eb) =>
            eb.selectFrom('node').select('id').where('parent', '=', folder).where('name', '=', name),
          )
          .execute(),
      );
    }
    const clean = (proceed = async () => {}) => cleanTrash(world().app.core.operations, { retentionDays: 14, proceed });

    test('lets go of what was there long enough, and keeps what came later into the same folder', async () => {
      await put('generic-local/aged/old/f');
      await expectStatus(remove('generic-local/aged/old'), 204);
      await age('generic-local/aged', 'old');
      await put('generic-local/aged/old/newer');
      await expectStatus(remove('generic-local/aged/old/newer'), 204);
      await clean();
      await expectStatus(info('auto-trashcan/generic-local/aged/old/f'), 404);
      await expectStatus(info('auto-trashcan/generic-local/aged/old/newer'), 200);
    });

    test('keeps what is deleted with a folder, of which something was deleted long ago', async () => {
      await put('generic-local/again/sub/old');
      await expectStatus(remove('generic-local/again/sub'), 204);
      await age('generic-local/again', 'sub');
      await put('generic-local/again/sub/new');
      await expectStatus(remove('generic-local/again'), 204);
      await clean();
      await expectStatus(info('auto-trashcan/generic-local/again/sub/new'), 200);
      await age('generic-local', 'again');
      await clean();
      await expectStatus(info('auto-trashcan/generic-local/again'), 404);
    });

    test('takes no word for the time of a deletion but its own', async () => {
      await put('generic-local/forged/f;trash.time=1;k=v');
      await put('generic-local/forged/sub/g');
      await expectStatus(
        admin().request('PUT', `${STORAGE}/generic-local/forged/sub?properties=trash.time=1&recursive=0`),
        204,
      );
      await expectStatus(remove('generic-local/forged'), 204);
      await clean();
      await expectStatus(restore('generic-local/forged'), 202);
      assert.deepEqual(await properties('generic-local/forged/f'), { k: ['v'] });
      await expectStatus(get('generic-local/forged/sub/g'), 200);
    });

    test('keeps what is deleted while older things are being let go', async () => {
      for (const name of ['f', 'empty/f']) await put(`generic-local/meanwhile/${name}`);
      await expectStatus(remove('generic-local/meanwhile'), 204);
      await age('generic-local', 'meanwhile');
      await put('generic-local/meanwhile/new');
      await put('generic-local/meanwhile/whole/deep/new');
      let calls = 0;
      await clean(async () => {
        // After what is due was listed, and before anything goes.
        if (++calls !== 2) return;
        for (const name of ['new', 'whole']) await expectStatus(remove(`generic-local/meanwhile/${name}`), 204);
      });
      assert.ok(calls > 2);
      await expectStatus(info('auto-trashcan/generic-local/meanwhile/f'), 404);
      for (const name of ['new', 'whole/deep/new']) {
        await expectStatus(info(`auto-trashcan/generic-local/meanwhile/${name}`), 200);
      }
    });

    test('keeps what an administrator says, for as long as they say, from the next deletion on', async () => {
      const { core } = world().app;
      const configure = async (text: string) => {
        const headers = { 'content-type': 'application/yaml' };
        await expectStatus(admin().request('PATCH', CONFIGURATION, { headers, body: text }), 200);
      };
      await put('generic-local/switched/first');
      await put('generic-local/switched/second');
      await configure('trashcanConfig: {enabled: false}');
      await expectStatus(remove('generic-local/switched/first'), 204);
      await expectStatus(info('auto-trashcan/generic-local/switched/first'), 404);
      await configure('trashcanConfig: {enabled: true, retentionPeriodDays: 2}');
      await expectStatus(remove('generic-local/switched/second'), 204);
      await expectStatus(info('auto-trashcan/generic-local/switched/second'), 200);
      assert.deepEqual({ ...core.trash }, { enabled: true, retentionDays: 2 });
      await configure('trashcanConfig: ~');
      assert.deepEqual({ ...core.trash }, { enabled: true, retentionDays: 14 });
    });

    test('is out of sight from the moment of the answer, however much there is, and free for what comes next', async () => {
      await putMany('generic-local/large', 700);
      await expectStatus(remove('generic-local/large'), 204);
      await expectStatus(info('generic-local/large'), 404);
      await expectStatus(get('generic-local/large/d1/f1'), 404);
      const root = (await getJson(admin(), `${STORAGE}/generic-local`)) as { children: { uri: string }[] };
      assert.ok(!root.children.some(({ uri }) => uri === '/large'));
      const all = (await getJson(admin(), `${STORAGE}/generic-local?list&deep=1&listFolders=1`)) as {
        files: { uri: string }[];
      };
      assert.deepEqual(
        all.files.filter(({ uri }) => uri.startsWith('/large')),
        [],
      );
      await expectStatus(remove('generic-local/large'), 404);
      // Waits for the deletion to be out of its way, and is not deleted by it.
      await put('generic-local/large/d1/f1', 'new');
      assert.equal((await get('generic-local/large/d1/f1')).text, 'new');
      await eventually(async () => {
        const trash = (await getJson(admin(), `${STORAGE}/auto-trashcan/generic-local/large?list&deep=1`)) as {
          files: unknown[];
        };
        assert.equal(trash.files.length, 700);
      });
      await expectStatus(restore('generic-local/large/d2', '/generic-local/large-back'), 202);
      await expectStatus(get('generic-local/large-back/f2'), 200);
      await expectStatus(admin().request('DELETE', `${TRASH}/clean/generic-local/large`), 204);
      await expectStatus(info('auto-trashcan/generic-local/large/d1/f1'), 404);
    });

    test('goes on with a large deletion after a restart', async () => {
      await putMany('generic-local/cut', 600);
      const { app } = world();
      await expectStatus(remove('generic-local/cut'), 204);
      await app.restart(SWEEPING);
      await expectStatus(info('generic-local/cut'), 404);
      await eventually(async () => {
        const { rows } = await app.core.database.read(async (db) => ({
          rows: await db.selectFrom('tree_operation').select('id').where('state', '=', 'running').execute(),
        }));
        assert.deepEqual(rows, []);
      }, 60_000);
      await expectStatus(info('auto-trashcan/generic-local/cut/d0/f0'), 200);
    });

    test('prunes folders that were left empty, not those that were made for their own sake', async () => {
      const { core } = world().app;
      await put('generic-local/prune/a/b/c/f');
      await expectStatus(admin().request('PUT', '/artifactory/generic-local/prune/kept/'), 201);
      await put('generic-local/prune/noted/f');
      await expectStatus(
        admin().request('PUT', `${STORAGE}/generic-local/prune/noted?properties=k=v&recursive=0`),
        204,
      );
      await expectStatus(remove('generic-local/prune/a/b/c/f'), 204);
      await expectStatus(remove('generic-local/prune/noted/f'), 204);
      const { pruneEmptyFolders } = await import('../../../src/repositories/prune.ts');
      await pruneEmptyFolders(core.database, async () => undefined);
      await expectStatus(info('generic-local/prune/a'), 404);
      await expectStatus(info('generic-local/prune/kept'), 200);
      await expectStatus(info('generic-local/prune/noted'), 200);
    });

    test('tells of its tasks and can be told to reclaim space', async () => {
      await expectStatus(admin().request('POST', '/artifactory/api/system/storage/gc'), 200);
      await expectStatus(admin().request('POST', '/artifactory/api/system/storage/prune/stop'), 412);
      const { tasks } = (await getJson(admin(), '/artifactory/api/tasks')) as { tasks: Record<string, unknown>[] };
      for (const task of tasks) {
        assert.deepEqual(Object.keys(task).sort(), ['description', 'id', 'nodeId', 'state', 'type']);
        assert.ok(['running', 'scheduled', 'stopped'].includes(String(task['state'])));
      }
    });
  },
  SWEEPING,
);
