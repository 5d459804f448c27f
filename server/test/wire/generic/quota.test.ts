/** A quota of storage: what goes beyond is refused with the first byte too many, or before it when it was declared. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { expectStatus, onEachStorage } from '../api/api-world.ts';

const KIB = 1024;
const ENV = {
  ENTREPOT_STORAGE__QUOTA_BYTES: String(200 * KIB),
  ENTREPOT_SWEEP__INTERVAL_MS: '50',
  ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
  ENTREPOT_SWEEP__READER_GRACE_MS: '0',
};

onEachStorage(
  'the storage quota',
  (world) => {
    const bytes = (kib: number, fill: string) => Buffer.alloc(kib * KIB, fill);
    const put = (name: string, body: Buffer | Readable) =>
      world().app.admin.request('PUT', `/artifactory/generic-local/${name}`, { body });

    test('G04: refuses what declares too much, what turns out to be too much, and takes what fits', async () => {
      const { admin } = world().app;
      await expectStatus(put('first', bytes(120, 'a')), 201);
      const declared = await expectStatus(put('second', bytes(100, 'b')), 413);
      assert.match(declared.text, /storage quota of 204800 bytes/);
      // Nobody knows how long it is until it is there.
      const chunks = Readable.from(Array.from({ length: 100 }, () => bytes(1, 'c')));
      await expectStatus(put('third', chunks), 413);
      await expectStatus(admin.request('GET', '/artifactory/generic-local/second'), 404);
      await expectStatus(admin.request('GET', '/artifactory/generic-local/third'), 404);
      await expectStatus(put('fourth', bytes(70, 'd')), 201);
    });

    test('holds for images, whose clients send in several requests', async () => {
      const { admin } = world().app;
      const started = await expectStatus(admin.request('POST', '/v2/docker-local/app/blobs/uploads/'), 202);
      const location = String(started.headers['location']).replace(/^https?:\/\/[^/]+/, '');
      const headers = { 'content-type': 'application/octet-stream' };
      await expectStatus(admin.request('PATCH', location, { headers, body: bytes(20, 'e') }), 413);
      await expectStatus(admin.request('PATCH', location, { headers, body: bytes(2, 'e') }), 202);
    });

    test('counts what was stored before a start, and gives back what was deleted for good', async () => {
      const { app } = world();
      await app.restart(ENV);
      await app.core.quota.recount();
      await expectStatus(put('fifth', bytes(40, 'f')), 413);
      await expectStatus(app.admin.request('DELETE', '/artifactory/generic-local/first'), 204);
      await expectStatus(app.admin.request('DELETE', '/artifactory/api/trash/clean/generic-local/first'), 204);
      await eventually(async () => {
        const answer = await put('fifth', bytes(40, 'f'));
        assert.equal(answer.status, 201, answer.text);
      });
    });
  },
  ENV,
);
