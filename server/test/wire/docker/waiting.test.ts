/** The sweep ends what waits in the folders of images, and touches no other folder of that name. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { sweepOnce } from '../../../src/repositories/reclaim.ts';
import { STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const LONG_AGO = 1;

for (const storage of STORAGES) {
  describe(`files that wait, on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage);
    });
    after(() => world.stop());

    test('are removed; what is as old in a folder of that name elsewhere stays', async () => {
      const { admin, app, database } = world;
      const digest = createHash('sha256').update('waits').digest('hex');
      const pushed = await admin.request('POST', `/v2/docker-local/team/blobs/uploads/?digest=sha256:${digest}`, {
        body: 'waits',
      });
      assert.equal(pushed.status, 201);
      assert.equal((await admin.request('PUT', '/artifactory/generic-local/team/up/f', { body: 'stays' })).status, 201);
      // As servers before this one, which took such names, may have left it.
      await database.transaction(async (tx) => {
        await tx.updateTable('node').set({ name: '_uploads' }).where('name', '=', 'up').execute();
        await tx.updateTable('node').set({ parent: 'team/_uploads' }).where('parent', '=', 'team/up').execute();
        await tx.updateTable('node').set({ modified_at: LONG_AGO }).execute();
      });
      const waiting = async () => {
        const rows = await database.kysely
          .selectFrom('node')
          .select('name')
          .where('parent', '=', 'team/_uploads')
          .execute();
        return rows.map(({ name }) => name).sort();
      };
      assert.deepEqual(await waiting(), ['f', `sha256__${digest}`]);
      await sweepOnce(app.core, async () => undefined);
      assert.deepEqual(await waiting(), ['f']);
    });
  });
}
