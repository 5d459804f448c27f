/** Caches let go of what nobody has fetched for as long as the settings say, and of nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CleanOptions, cleanCaches } from '../../../src/repositories/remote/unused-files.ts';
import { ImageClient, makeImage, sha256 } from '../../support/oci.ts';
import type { TestApp } from '../../support/test-app.ts';
import { expectStatus, onEachStorage, sendJson } from '../api/api-world.ts';
import { downloadsCounted, handOver, hold } from './held-files.ts';

const ALL = '/artifactory/api/repositories';
const HOUR_MS = 3_600_000;

async function makeRemote(app: TestApp, key: string, settings: object): Promise<void> {
  const body = { rclass: 'remote', packageType: 'generic', url: 'http://upstream.invalid/files', ...settings };
  await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/${key}`, body), 200);
}

function clean({ core }: TestApp, hoursFromNow: number, proceed: CleanOptions['proceed'] = async () => undefined) {
  const deps = { ...core, reviewDelayMs: 0 };
  return cleanCaches(deps, { now: Date.now() + hoursFromNow * HOUR_MS, proceed });
}

async function heldIn(app: TestApp, key: string): Promise<string[]> {
  const path = `/artifactory/api/storage/${key}-cache?list&deep=1`;
  const { files } = (await expectStatus(app.admin.request('GET', path), 200)).json() as { files: { uri: string }[] };
  return files.map(({ uri }) => uri);
}

/** Has files look as if they had come, or been fetched, so long ago. */
async function age(app: TestApp, names: readonly string[], hours: number, what: 'came' | 'fetched'): Promise<void> {
  const database = await app.openDatabase();
  const at = Date.now() - hours * HOUR_MS;
  try {
    await database.transaction(async (tx) => {
      const nodes = await tx.selectFrom('node').select('id').where('name', 'in', names).execute();
      const ids = nodes.map(({ id }) => id);
      assert.equal(ids.length >= names.length, true);
      if (what === 'came') {
        await tx.updateTable('node').set({ created_at: at, modified_at: at }).where('id', 'in', ids).execute();
      } else {
        await tx.updateTable('statistic').set({ downloaded_at: at }).where('node_id', 'in', ids).execute();
      }
    });
  } finally {
    await database.close();
  }
}

onEachStorage('what nobody fetches from a cache', (world) => {
  test('is removed when its time is over', async () => {
    const { app } = world();
    await makeRemote(app, 'brief', { unusedArtifactsCleanupPeriodHours: 24 });
    await makeRemote(app, 'keeps', {});
    const files = { 'a/old.bin': '1', 'a/fetched.bin': '2', 'b/fetched-long-ago.bin': '3', 'c/new.bin': '4' };
    await hold(app, 'brief', files);
    await hold(app, 'keeps', { 'kept.bin': '5' });
    await hold(app, 'keeps', { 'old.bin': '6' });
    for (const name of ['a/fetched.bin', 'b/fetched-long-ago.bin']) {
      await expectStatus(app.admin.request('GET', `/artifactory/brief-cache/${name}`), 200);
    }
    await downloadsCounted(app, ['fetched.bin', 'fetched-long-ago.bin']);
    await age(app, ['old.bin', 'fetched.bin', 'fetched-long-ago.bin', 'kept.bin'], 25, 'came');
    await age(app, ['fetched-long-ago.bin'], 25, 'fetched');
    assert.equal(await clean(app, 0), 2);
    assert.deepEqual(await heldIn(app, 'brief'), ['/a/fetched.bin', '/c/new.bin']);
    assert.deepEqual(await heldIn(app, 'keeps'), ['/kept.bin', '/old.bin']);
    await expectStatus(app.admin.request('GET', '/artifactory/brief-cache/a/old.bin'), 404);
    const database = await app.openDatabase();
    try {
      const events = await database.read((db) =>
        db
          .selectFrom('event')
          .select(['repo', 'path', 'principal'])
          .where('type', '=', 'artifact.deleted')
          .orderBy('id')
          .execute(),
      );
      const paths = events.filter(({ repo }) => repo === 'brief-cache').map(({ path, principal }) => [path, principal]);
      assert.deepEqual(paths, [
        ['a/old.bin', '_system_'],
        ['b/fetched-long-ago.bin', '_system_'],
      ]);
    } finally {
      await database.close();
    }
  });

  test('stays where it is fetched while the cache is being cleaned', async () => {
    const { app } = world();
    await makeRemote(app, 'busy', { unusedArtifactsCleanupPeriodHours: 1 });
    await hold(app, 'busy', { 'wanted.bin': '1', 'unwanted.bin': '2' });
    await age(app, ['wanted.bin', 'unwanted.bin'], 5, 'came');
    await clean(app, 0, async () => {
      await expectStatus(app.admin.request('GET', '/artifactory/busy-cache/wanted.bin'), 200);
    });
    assert.deepEqual(await heldIn(app, 'busy'), ['/wanted.bin']);
  });

  test('stays where the settings say so while the cache is being cleaned', async () => {
    const { app } = world();
    await makeRemote(app, 'turned', { unusedArtifactsCleanupPeriodHours: 1 });
    await hold(app, 'turned', { 'a.bin': '1', 'b.bin': '2' });
    await age(app, ['a.bin', 'b.bin'], 5, 'came');
    await clean(app, 0, async () => {
      const settings = { unusedArtifactsCleanupPeriodHours: 0 };
      await expectStatus(sendJson(app.admin, 'POST', `${ALL}/turned`, settings), 200);
    });
    assert.deepEqual(await heldIn(app, 'turned'), ['/a.bin', '/b.bin']);
  });

  test('stays while nothing may be written', async () => {
    const { app } = world();
    await makeRemote(app, 'still', { unusedArtifactsCleanupPeriodHours: 1 });
    await hold(app, 'still', { 'still.bin': '1' });
    await age(app, ['still.bin'], 5, 'came');
    await app.core.readOnly.set('backup', 'admin', 'still');
    await clean(app, 0);
    await app.core.readOnly.clear('admin', 'still');
    assert.deepEqual(await heldIn(app, 'still'), ['/still.bin']);
  });

  test('is expected again beside a manifest that stays', async () => {
    const { app } = world();
    const local = { rclass: 'local', packageType: 'docker' };
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/images-staging`, local), 200);
    await makeRemote(app, 'images', { packageType: 'docker', unusedArtifactsCleanupPeriodHours: 1 });
    const image = makeImage({ layers: 2 });
    await new ImageClient(app.admin, '/v2/images-staging/team/app').push('1.0', image);
    await handOver(app, 'images-staging', 'images');
    const [first] = image.layers.map((layer) => sha256(layer).replace(':', '__'));
    await age(app, [String(first)], 2, 'came');
    await clean(app, 0);
    const left = await heldIn(app, 'images');
    assert.ok(left.includes('/team/app/1.0/manifest.json'));
    assert.ok(!left.includes(`/team/app/1.0/${first}`));
    const database = await app.openDatabase();
    try {
      const expected = await database.read((db) =>
        db.selectFrom('expected_file').select(['package', 'sha256', 'name', 'size']).execute(),
      );
      const hex = String(first).slice('sha256__'.length);
      const rows = expected.map((row) => ({ ...row }));
      assert.deepEqual(rows, [{ package: 'team/app', sha256: hex, name: first, size: image.layers[0]?.length }]);
    } finally {
      await database.close();
    }
  });
});
