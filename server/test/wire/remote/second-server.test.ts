/** One server as the upstream of another: what is listed, fetched by whom, kept, and still there when the upstream is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sweepOnce } from '../../../src/repositories/reclaim.ts';
import { cleanCaches } from '../../../src/repositories/remote/unused-files.ts';
import { eventually } from '../../support/eventually.ts';
import { ImageClient, makeImage, sha256, TYPES } from '../../support/oci.ts';
import { createUser, expectStatus, getJson, grant, sendJson } from '../api/api-world.ts';
import { downloadsCounted } from './held-files.ts';
import { deploy, onEachSecondServer, type SecondServer } from './second-server.ts';

type Json = Record<string, unknown>;

async function text({ app }: SecondServer, path: string): Promise<string> {
  return (await expectStatus(app.admin.request('GET', `/artifactory/${path}`), 200)).text;
}

/** What is kept under a path, which can take a moment after the last byte was sent. */
async function kept({ app }: SecondServer, path: string): Promise<void> {
  await eventually(async () => {
    await expectStatus(app.admin.request('GET', `/artifactory/api/storage/${path}`), 200);
  });
}

async function children({ app }: SecondServer, path: string): Promise<unknown> {
  return ((await getJson(app.admin, `/artifactory/api/storage/${path}`)) as Json)['children'];
}

onEachSecondServer('a second server', (world) => {
  test('is fetched from once, and what came is found by searches', async () => {
    const { app, upstream, remote } = world();
    await deploy(upstream, 'source', { 'org/a.txt': 'alpha' });
    await remote('copies', 'source');
    assert.equal(await text(world(), 'copies/org/a.txt'), 'alpha');
    await kept(world(), 'copies/org/a.txt');
    const info = (await getJson(app.admin, '/artifactory/api/storage/copies/org/a.txt')) as Json;
    assert.equal(info['repo'], 'copies-cache');
    const body = 'items.find({"repo":"copies"}).include("repo","name")';
    const found = await expectStatus(app.admin.request('POST', '/artifactory/api/search/aql', { body }), 200);
    assert.deepEqual((found.json() as Json)['results'], [{ repo: 'copies-cache', name: 'a.txt' }]);
    await expectStatus(app.admin.request('DELETE', '/artifactory/copies/org/a.txt'), 204);
    assert.equal(await text(world(), 'copies/org/a.txt'), 'alpha');
  });

  test('lists its folders where the settings say so, and what is not fetched yet says it', async () => {
    const { app, upstream, remote } = world();
    await deploy(upstream, 'listed', { 'a/one.txt': '1', 'a/two.txt': '2', 'b/deep/three.txt': '3' });
    await remote('silent', 'listed');
    await remote('telling', 'listed', { listRemoteFolderItems: true });
    await remote('by-page', 'listed', {
      listRemoteFolderItems: true,
      url: `${upstream.url}/artifactory/list/listed`,
    });
    const root = [
      { uri: '/a', folder: true },
      { uri: '/b', folder: true },
    ];
    assert.deepEqual(await children(world(), 'silent'), []);
    assert.deepEqual(await children(world(), 'telling'), root);
    assert.deepEqual(await children(world(), 'by-page'), root);
    assert.deepEqual(await children(world(), 'telling/b'), [{ uri: '/deep', folder: true }]);
    assert.deepEqual(await children(world(), 'telling-cache'), []);
    await expectStatus(app.admin.request('GET', '/artifactory/api/storage/telling/nowhere'), 404);
    await expectStatus(app.admin.request('GET', '/artifactory/api/storage/silent/a'), 404);

    assert.equal(await text(world(), 'telling/a/two.txt'), '2');
    await kept(world(), 'telling/a/two.txt');
    assert.deepEqual(await children(world(), 'telling/a'), [
      { uri: '/one.txt', folder: false },
      { uri: '/two.txt', folder: false },
    ]);
    const page = await text(world(), 'telling/a/');
    assert.match(page, /one\.txt<\/a> +not fetched yet/);
    assert.match(page, /two\.txt<\/a> +1 bytes/);
  });

  test('lists nothing that the patterns of the repository or the rights of the caller leave out', async () => {
    const { app, upstream, remote } = world();
    await deploy(upstream, 'mixed', { 'open/a.txt': '1', 'open/b.bin': '2', 'secret/c.txt': '3' });
    await remote('filtered', 'mixed', { listRemoteFolderItems: true, excludesPattern: '**/*.bin' });
    const kim = await createUser(app, 'kim');
    await grant(app, 'filtered', ['filtered'], { kim: ['r'] }, 'open/**');
    const seen = async (path: string) => {
      const answer = await expectStatus(kim.request('GET', `/artifactory/api/storage/${path}`), 200);
      return (answer.json() as Json)['children'];
    };
    assert.deepEqual(await seen('filtered'), [{ uri: '/open', folder: true }]);
    assert.deepEqual(await seen('filtered/open'), [{ uri: '/a.txt', folder: false }]);
    assert.notEqual((await kim.request('GET', '/artifactory/api/storage/filtered/secret')).status, 200);
  });

  test('fills the cache for those who may deploy, and the right to read alone gives what is there', async () => {
    const { app, upstream, remote } = world();
    await deploy(upstream, 'rights', { 'a.txt': 'alpha', 'b.txt': 'beta' });
    await remote('guarded', 'rights');
    const [reader, filler] = [await createUser(app, 'reader'), await createUser(app, 'filler')];
    await grant(app, 'guarded', ['guarded'], { reader: ['r'], filler: ['r', 'w'] });
    const get = (caller: typeof reader, path: string) => caller.request('GET', `/artifactory/guarded/${path}`);
    assert.equal((await get(reader, 'a.txt')).status, 403);
    const first = await get(filler, 'a.txt');
    assert.equal(first.text, 'alpha');
    await kept(world(), 'guarded/a.txt');
    assert.equal((await get(reader, 'a.txt')).text, 'alpha');
    assert.equal((await get(reader, 'b.txt')).status, 403);
    const deployed = await filler.request('PUT', '/artifactory/guarded/c.txt', { body: 'x' });
    assert.equal(deployed.status, 404);
    assert.match(deployed.text, /Could not find a local repository named guarded to deploy to/);
  });

  test('serves nothing where the repository is blacked out, and what is kept where it is offline', async () => {
    const { app, upstream, remote } = world();
    await deploy(upstream, 'states', { 'a.txt': 'alpha', 'b.txt': 'beta' });
    await remote('stated', 'states');
    assert.equal(await text(world(), 'stated/a.txt'), 'alpha');
    await kept(world(), 'stated/a.txt');
    const set = (settings: object) =>
      expectStatus(sendJson(app.admin, 'POST', '/artifactory/api/repositories/stated', settings), 200);
    await set({ offline: true });
    assert.equal(await text(world(), 'stated/a.txt'), 'alpha');
    assert.equal((await app.admin.request('GET', '/artifactory/stated/b.txt')).status, 404);
    await set({ offline: false, blackedOut: true });
    for (const path of ['stated/a.txt', 'stated-cache/a.txt', 'stated/b.txt']) {
      assert.equal((await app.admin.request('GET', `/artifactory/${path}`)).status, 404, path);
    }
    await set({ blackedOut: false });
    assert.equal(await text(world(), 'stated/b.txt'), 'beta');
  });

  test('gives layers of an image again that the cache let go of', async () => {
    const { app, upstream, remote } = world();
    const image = makeImage({ layers: 2 });
    await new ImageClient(upstream.admin, '/v2/docker-local/team/app').push('1.0', image);
    const settings = { packageType: 'docker', unusedArtifactsCleanupPeriodHours: 1 };
    await remote('images', 'docker-local', { ...settings, url: `${upstream.url}/v2/docker-local` });
    const client = new ImageClient(app.admin, '/v2/images/team/app');
    const pull = async () => {
      const manifest = await client.request('GET', '/manifests/1.0', { headers: { accept: TYPES.manifest } });
      assert.ok(manifest.bytes.equals(image.bytes), manifest.text);
      for (const bytes of [image.config, ...image.layers]) {
        assert.ok((await client.request('GET', `/blobs/${sha256(bytes)}`)).bytes.equals(bytes));
      }
    };
    const keptAll = () =>
      eventually(async () => {
        assert.equal(((await children(world(), 'images/team/app/1.0')) as unknown[]).length, 4);
      });
    await pull();
    await keptAll();
    const database = await app.openDatabase();
    try {
      const long = { created_at: 1, modified_at: 1 };
      const layers = image.layers.map((layer) => sha256(layer).replace(':', '__'));
      await downloadsCounted(app, layers);
      await database.transaction(async (tx) => {
        await tx.updateTable('node').set(long).where('name', 'in', layers).execute();
        await tx.updateTable('statistic').set({ downloaded_at: 1 }).execute();
      });
      await database.transaction((tx) =>
        tx
          .updateTable('statistic')
          .set({ downloaded_at: Date.now() })
          .where('node_id', 'not in', (of) => of.selectFrom('node').select('id').where('name', 'in', layers))
          .execute(),
      );
    } finally {
      await database.close();
    }
    const proceed = async () => undefined;
    assert.equal(await cleanCaches({ ...app.core, reviewDelayMs: 0 }, { now: Date.now(), proceed }), 2);
    assert.equal(((await children(world(), 'images/team/app/1.0')) as unknown[]).length, 2);
    await sweepOnce({ ...app.core }, async () => undefined);
    await pull();
    await keptAll();
  });

  test('may go: whatever was fetched from it is still served', async () => {
    const { app, upstream, remote } = world();
    const files = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`d${i % 4}/f${i}.bin`, `content ${i}`]));
    await deploy(upstream, 'doomed', { ...files, 'never.bin': 'never fetched' });
    await remote('survivor', 'doomed', { retrievalCachePeriodSecs: 0, listRemoteFolderItems: true });
    for (const [path, body] of Object.entries(files)) {
      assert.equal(await text(world(), `survivor/${path}`), body);
      await kept(world(), `survivor/${path}`);
    }
    await upstream.stop();
    await app.restart();
    for (const [path, body] of Object.entries(files)) {
      const answer = await expectStatus(app.admin.request('GET', `/artifactory/survivor/${path}`), 200);
      assert.equal(answer.text, body);
      assert.equal(await text(world(), `survivor-cache/${path}`), body);
    }
    assert.ok((await app.admin.request('GET', '/artifactory/survivor/never.bin')).status >= 500);
    assert.equal(((await children(world(), 'survivor')) as unknown[]).length, 4);
  });
});
