/** The newest release, the newest integration, and snapshots by their plain name. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { STORAGES } from '../../support/test-app.ts';
import { grant, startWorld, type World } from '../../support/wire-world.ts';

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex');
const FILES = [
  'org/acme/1.9/acme-1.9.jar',
  'org/acme/1.10/acme-1.10.jar;status=tested',
  'org/acme/1.10/acme-1.10-sources.jar',
  'org/acme/1.11/acme-1.11.pom',
  'org/acme/2.0-SNAPSHOT/acme-2.0-20240102.030405-2.jar',
  'org/acme/2.0-SNAPSHOT/acme-2.0-20240102.030405-10.jar',
  'org/acme/2.0-SNAPSHOT/acme-2.0-20231231.235959-11.jar',
  'org/acme/2.0-SNAPSHOT/acme-2.0-20240102.030405-10-sources.jar',
  'org/acme/2.1-SNAPSHOT/acme-2.1-SNAPSHOT.jar',
  'org/acme/1.8-SNAPSHOT/acme-1.8-20250101.000000-1.jar',
  'org/snap/0.1-SNAPSHOT/snap-0.1-20240101.000000-1.jar',
];

for (const storage of STORAGES) {
  describe(`latest versions on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage, {
        prepare: async (core) => {
          // The files are no real ones, and keep the names they are given.
          const config = {
            suppressPomConsistencyChecks: true,
            snapshotVersionBehavior: 'deployer',
            checksumPolicyType: 'server-generated-checksums',
          };
          for (const key of ['jars', 'part']) {
            await core.administration.create({ key, rclass: 'local', packageType: 'maven', config }, '_system_');
          }
          const reader = [{ kind: 'user' as const, name: 'reader', actions: ['read' as const] }];
          await grant(core, 'part', ['part'], reader, ['org/acme/1.9/**']);
        },
      });
      for (const key of ['jars', 'part']) {
        for (const path of FILES) {
          const answer = await world.admin.request('PUT', `/artifactory/${key}/${path}`, { body: path.split(';')[0]! });
          assert.equal(answer.status, 201, answer.text);
        }
      }
      await world.admin.request('PUT', '/artifactory/generic-local/acme/tool/tool-1.2.zip', { body: 'old' });
      await world.admin.request('PUT', '/artifactory/generic-local/acme/tool/tool-1.12.zip', { body: 'new' });
      await world.admin.request('PUT', '/artifactory/generic-local/acme/tool/tools-9.9.zip', { body: 'other' });
    });
    after(() => world.stop());

    const get = (path: string, method = 'GET') => world.admin.request(method, `/artifactory/${path}`);

    for (const [path, resolved] of [
      ['org/acme/[RELEASE]/acme-[RELEASE].jar', 'org/acme/1.10/acme-1.10.jar'],
      ['org/acme/%5BRELEASE%5D/acme-%5BRELEASE%5D.pom', 'org/acme/1.11/acme-1.11.pom'],
      ['org/acme/[RELEASE]/acme-[RELEASE].jar;status+=tested', 'org/acme/1.10/acme-1.10.jar'],
      ['org/acme/[RELEASE]/acme-[RELEASE].jar;status-=tested', 'org/acme/1.9/acme-1.9.jar'],
      ['org/acme/[RELEASE]/acme-[RELEASE]-sources.jar', 'org/acme/1.10/acme-1.10-sources.jar'],
      ['org/acme/[INTEGRATION]/acme-[INTEGRATION].jar', 'org/acme/2.1-SNAPSHOT/acme-2.1-SNAPSHOT.jar'],
      ['org/acme/2.0-SNAPSHOT/acme-2.0-SNAPSHOT.jar', 'org/acme/2.0-SNAPSHOT/acme-2.0-20240102.030405-10.jar'],
      [
        'org/acme/2.0-SNAPSHOT/acme-2.0-SNAPSHOT-sources.jar',
        'org/acme/2.0-SNAPSHOT/acme-2.0-20240102.030405-10-sources.jar',
      ],
      ['org/acme/2.1-SNAPSHOT/acme-2.1-SNAPSHOT.jar', 'org/acme/2.1-SNAPSHOT/acme-2.1-SNAPSHOT.jar'],
      ['org/snap/[INTEGRATION]/snap-[INTEGRATION].jar', 'org/snap/0.1-SNAPSHOT/snap-0.1-20240101.000000-1.jar'],
    ] as const) {
      test(`${path} is ${resolved}`, async () => {
        const answer = await get(`jars/${path}`);
        assert.equal(answer.text, resolved);
        assert.equal(answer.headers.etag, sha1(resolved));
        assert.equal(answer.headers['x-artifactory-filename'], resolved.slice(resolved.lastIndexOf('/') + 1));
        if (path.includes(';')) return;
        assert.equal((await get(`jars/${path}.sha1`)).text, sha1(resolved));
        assert.equal((await get(`jars/${path}`, 'HEAD')).headers.etag, sha1(resolved));
      });
    }

    for (const path of [
      'org/snap/[RELEASE]/snap-[RELEASE].jar',
      'org/none/[RELEASE]/none-[RELEASE].jar',
      'org/acme/[RELEASE]/acme-[RELEASE].war',
      'org/acme/9-SNAPSHOT/acme-9-SNAPSHOT.jar',
      '[RELEASE]',
      '[RELEASE]/[RELEASE]/[RELEASE]',
    ]) {
      test(`${path} is nothing`, async () => assert.equal((await get(`jars/${path}`)).status, 404));
    }

    test('a layout without folders of versions has its newest file', async () => {
      assert.equal((await get('generic-local/acme/tool/tool-[RELEASE].zip')).text, 'new');
    });

    test('what the reader may not see is not the newest', async () => {
      const answer = await world.as('reader').request('GET', '/artifactory/part/org/acme/[RELEASE]/acme-[RELEASE].jar');
      assert.equal(answer.text, 'org/acme/1.9/acme-1.9.jar');
      const pom = await world.as('reader').request('GET', '/artifactory/part/org/acme/[RELEASE]/acme-[RELEASE].pom');
      assert.equal(pom.status, 404);
    });
  });
}
