/** Sweeps under full push load: no push is lost or refused, and space returns to the live set. Then each race alone. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Storage } from '../support/test-app.ts';
import { runSeed, Seeded } from './seeded.ts';
import { sweepUnderLoad } from './sweep-load.ts';
import { RaceWorld } from './sweep-race-world.ts';

const KILLS = Number(process.env['ENTREPOT_FAULT_KILLS'] ?? 0);
const SWEEPS = Math.max(100, KILLS);
const ROUNDS = Math.max(20, KILLS / 10);
const STORAGES: readonly Storage[] = ['sqlite-fs', 'postgres-fs'];

for (const storage of STORAGES) {
  describe(`sweeping under load (${storage})`, () => {
    it(`loses and refuses no push in ${SWEEPS} sweeps`, { timeout: 120_000 + SWEEPS * 2000 }, async (t) => {
      const random = new Seeded(runSeed());
      t.diagnostic(`seed ${random.seed}`);
      t.diagnostic(await sweepUnderLoad(storage, SWEEPS, random));
    });
  });
}

for (const storage of [...STORAGES, 'postgres-s3'] as const) {
  describe(`races of the sweep (${storage})`, { timeout: 60_000 + ROUNDS * 5000 }, () => {
    let world: RaceWorld;
    before(async () => {
      world = await RaceWorld.start(storage);
    });
    after(() => world.stop());

    it('R1: keeps an uploaded blob until its manifest comes', async () => {
      const image = world.newImage();
      await world.upload('one', image);
      await world.sweep();
      assert.equal(await world.put('one', image), 201);
      await world.sweep();
      await world.requireImage('one', image);
    });

    it('R2: keeps a blob that a pusher was told is there', async () => {
      const image = world.newImage();
      await world.upload('one', image);
      await world.letTimePass('one', 0.9);
      for (const { digest } of image.blobs) assert.equal(await world.head('one', digest), 200);
      await world.letTimePass('one', 0.4);
      await world.sweep();
      assert.equal(await world.put('one', image), 201);
      await world.requireImage('one', image);
    });

    it('R2: tells a pusher that a blob is gone once its lease has ended', async () => {
      const image = world.newImage();
      await world.upload('one', image);
      await world.letTimePass('one', 1.1);
      await world.sweep();
      for (const { digest } of image.blobs) assert.equal(await world.head('one', digest), 404);
      assert.equal(await world.put('one', image), 400);
    });

    it('R3: a mounted blob is there although its source is deleted and swept at the same time', async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const image = world.newImage();
        await world.upload('source', image);
        assert.equal(await world.put('source', image), 201);
        await world.endAllLeases();
        const [mounted] = await Promise.all([
          Promise.all(image.blobs.map(({ digest }) => world.mount('target', 'source', digest))),
          world.delete('source', `manifests/${image.digest}`).then(() => world.condemn()),
          world.sweep(),
        ]);
        await world.sweep();
        for (const [i, status] of mounted.entries()) {
          assert.ok(status === 201 || status === 202, `a mount was answered ${status}`);
          if (status === 201) await world.requireBlob('target', image.blobs[i]!);
        }
      }
    });

    it('R3: a blob that is condemned cannot be mounted', async () => {
      const image = world.newImage();
      await world.upload('source', image);
      assert.equal(await world.put('source', image), 201);
      await world.endAllLeases();
      assert.equal(await world.delete('source', `manifests/${image.digest}`), 202);
      await world.condemn();
      assert.equal(await world.mount('target', 'source', image.blobs[1]!.digest), 202);
    });

    it('R4: a manifest is taken whole or refused when the leases of its blobs end at the same time', async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const image = world.newImage();
        await world.upload('one', image);
        const [status] = await Promise.all([
          world.pause(round % 5).then(() => world.put('one', image)),
          world.endAllLeases().then(() => world.sweep()),
        ]);
        await world.sweep();
        assert.ok(status === 201 || status === 400, `the manifest was answered ${status}`);
        if (status === 201) await world.requireImage('one', image);
        else assert.equal(await world.status('GET', 'one', `manifests/${image.digest}`), 404);
      }
    });

    it('R5: removes an object although the server ended after its row went', async () => {
      const key = await world.condemnOne();
      await world.restart();
      assert.notEqual(await world.app.core.driver.size(key), undefined);
      await world.removeObjects();
      assert.equal(await world.app.core.driver.size(key), undefined);
    });

    it('R6: takes the same bytes again when the server ended after their object went', async () => {
      const image = world.newImage();
      const key = await world.condemnOne(image.blobs[1]);
      await world.app.core.driver.remove(key);
      await world.restart();
      await world.upload('one', image);
      await world.removeObjects();
      assert.equal(await world.put('one', image), 201);
      await world.requireImage('one', image);
    });

    it('R7: keeps the same bytes that are sent again while their object is being removed', async () => {
      const image = world.newImage();
      const key = await world.condemnOne(image.blobs[1]);
      const removal = world.removeObjectsSlowly();
      assert.equal(await removal.reached, key);
      await world.upload('one', image);
      assert.equal(await world.put('one', image), 201);
      removal.goOn();
      await removal.done;
      await world.requireImage('one', image);
    });

    it('R7: keeps the same bytes that are sent again while their row is being removed', async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const image = world.newImage();
        await world.upload('one', image);
        await world.endAllLeases();
        await Promise.all([world.sweep(), world.pause(round % 5).then(() => world.upload('one', image))]);
        await world.sweep();
        assert.equal(await world.put('one', image), 201);
        await world.requireImage('one', image);
      }
    });

    it('R8: an index names only what is there although a child is deleted at the same time', async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const [first, second] = [world.newImage(), world.newImage()];
        for (const image of [first, second]) {
          await world.upload('one', image);
          assert.equal(await world.put('one', image, image.digest), 201);
        }
        await world.endAllLeases();
        const [put, deleted] = await Promise.all([
          world.put('one', world.indexOf(first, second)),
          world.pause(round % 5).then(() => world.delete('one', `manifests/${first.digest}`)),
          world.sweep(),
        ]);
        await world.sweep();
        assert.ok([201, 400].includes(put) && [202, 403].includes(deleted), `answered ${put} and ${deleted}`);
        assert.equal(put === 201, deleted === 403, 'one of the two is refused');
        for (const image of put === 201 ? [first, second] : [second]) await world.requireImage('one', image);
      }
    });

    it('R9: a reader gets all bytes of a blob that is deleted meanwhile', async () => {
      const reading = await world.startReading();
      await world.condemn();
      // On a file system an open file outlives its name; in a bucket the grace for readers keeps the object.
      if (storage !== 'postgres-s3') assert.equal(await world.removeObjects(), 1);
      await reading.requireRest();
      await world.removeObjects();
      assert.deepEqual(await world.storedKeys(), await world.liveKeys());
    });
  });
}
