/** What counts as a download: a file that was fetched to its end, by whatever protocol, once. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const FILES = '/artifactory/generic-local';

interface Stats {
  readonly downloadCount: number;
  readonly lastDownloadedBy?: string;
}

for (const storage of STORAGES) {
  describe(`counting downloads on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage);
    });
    after(() => world.stop());

    test('only what a client has in the end is counted', async () => {
      const bytes = Buffer.alloc(100_000, 'x');
      await world.admin.request('PUT', `${FILES}/counted.bin`, { body: bytes });
      const { headers } = await world.admin.request('HEAD', `${FILES}/counted.bin`);
      const get = (more: Record<string, string>, query = '') =>
        world.as('reader').request('GET', `${FILES}/counted.bin${query}`, { headers: more });
      const statuses = [];
      for (const [more, query] of [
        [{}, ''],
        [{ range: 'bytes=0-9' }, ''],
        [{ range: 'bytes=10-' }, ''],
        [{ 'if-none-match': String(headers.etag) }, ''],
        [{ range: 'bytes=100000-' }, ''],
        [{}, '?skipUpdateStats=true'],
        [{}, ''],
      ] as const) {
        statuses.push((await get(more, query)).status);
      }
      assert.deepEqual(statuses, [200, 206, 206, 304, 416, 200, 200]);
      await world.admin.request('GET', `${FILES}/counted.bin.sha1`);
      await eventually(async () => {
        const answer = await world.admin.request('GET', '/artifactory/api/storage/generic-local/counted.bin?stats');
        const stats = answer.json() as Stats;
        // Twice whole, and once in two parts of which the last came to the end.
        assert.equal(stats.downloadCount, 3);
        assert.equal(stats.lastDownloadedBy, 'reader');
      }, 10_000);
    });
  });
}
