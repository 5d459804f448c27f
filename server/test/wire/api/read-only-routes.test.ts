/** Nothing that is asked of a server that is read-only changes what it holds, whichever road it takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Database } from '../../../src/db/database.ts';
import { ImageClient, makeImage } from '../../support/oci.ts';
import { BUILD, makeBuild, publish } from '../builds/build-world.ts';
import { expectStatus, getJson, onEachStorage, sendJson } from './api-world.ts';

const SWITCH = '/artifactory/api/system/readonly';
const REASON = 'A copy is being made.';
/** What users put here; tables of the server's own work may change. */
const TABLES = [
  'repository',
  'node',
  'property',
  'package_version',
  'build',
  'build_property',
  'build_promotion',
] as const;

async function contents(database: Database): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {};
  for (const table of TABLES) {
    const rows = await database.read((db) => db.selectFrom(table).selectAll().execute());
    all[table] = rows.map((row) => JSON.stringify(row)).sort();
  }
  return all;
}

onEachStorage('a server that is read-only', (world) => {
  test('keeps all that it holds, whatever is asked of it', async () => {
    const { app } = world();
    await new ImageClient(app.admin, '/v2/docker-local/app').push('1.0', makeImage());
    for (const path of ['a.txt', 'folder/b.txt']) {
      await expectStatus(app.admin.request('PUT', `/artifactory/generic-local/${path}`, { body: path }), 201);
    }
    await publish(app.admin, { name: 'kept', number: '1' });
    const database = await app.openDatabase();
    await expectStatus(sendJson(app.admin, 'PUT', SWITCH, { reason: REASON }), 200);
    try {
      const before = await contents(database);
      assert.ok((before['node']?.length ?? 0) > 5 && (before['build']?.length ?? 0) > 0);
      const file = '/artifactory/api/storage/generic-local/a.txt';
      const known: readonly (readonly [string, string, unknown?])[] = [
        ['PUT', `${file}?properties=a=1`],
        ['PATCH', `/artifactory/api/metadata/generic-local/a.txt`, { props: { a: '1' } }],
        ['DELETE', `${file}?properties=a`],
        ['PUT', '/artifactory/generic-local/a.txt;a=1'],
        ['POST', '/artifactory/api/copy/generic-local/a.txt?to=/generic-local/c.txt'],
        ['POST', '/artifactory/api/move/generic-local/a.txt?to=/generic-local/c.txt'],
        ['DELETE', '/artifactory/generic-local/folder'],
        ['PUT', BUILD, makeBuild({ name: 'kept', number: '2' })],
        ['POST', `${BUILD}/promote/kept/1`, { status: 'released', targetRepo: 'generic-local' }],
        ['POST', `${BUILD}/rename/kept?to=other`],
        ['POST', `${BUILD}/delete`, { buildName: 'kept', buildNumbers: ['1'] }],
        ['POST', `${BUILD}/retention/kept?async=false`, { count: 0, deleteBuildArtifacts: true }],
        ['DELETE', `${BUILD}/kept?deleteAll=1`],
        ['POST', '/artifactory/api/v1/uploads/create?repoKey=generic-local&repoPath=big'],
        ['POST', '/artifactory/api/v2/repositories/batch', [{ key: 'generic-local', notes: 'x' }]],
        ['DELETE', '/artifactory/api/v2/repositories/batch', ['generic-local']],
        ['POST', '/artifactory/api/federation/migrate/generic-local'],
        ['POST', '/artifactory/api/trash/empty'],
        ['DELETE', '/v2/docker-local/app/manifests/1.0'],
      ];
      for (const [method, path, body] of known) {
        const answer = await (body === undefined
          ? app.admin.request(method, path)
          : sendJson(app.admin, method, path, body));
        assert.notEqual(answer.status, 500, `${method} ${path}: ${answer.text}`);
      }
      // Whatever else the API has, asked for what there is.
      const { paths } = (await getJson(app.admin, '/artifactory/api/openapi.json')) as {
        paths: Record<string, Record<string, unknown>>;
      };
      const values: Record<string, string> = {
        key: 'generic-local',
        repo: 'generic-local',
        path: 'a.txt',
        name: 'kept',
        number: '1',
      };
      for (const [pattern, operations] of Object.entries(paths)) {
        if (pattern.startsWith(SWITCH)) continue;
        const path = pattern.replaceAll(/\{(\w+)\}/g, (_all, name: string) => values[name] ?? 'x');
        for (const method of Object.keys(operations)) {
          if (method === 'get' || method === 'head') continue;
          const answer = await sendJson(app.admin, method.toUpperCase(), path, {});
          assert.notEqual(answer.status, 500, `${method} ${path}: ${answer.text}`);
        }
      }
      assert.deepEqual(await contents(database), before);
    } finally {
      await app.admin.request('DELETE', SWITCH);
      await database.close();
    }
  });
});
