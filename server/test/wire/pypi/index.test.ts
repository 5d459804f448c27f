/** The simple index and the files of a local repository, as clients read them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { indexOf, JSON_TYPE, publishSamples, SAMPLE_READS, type Sample } from '../../formats/pypi-samples.ts';
import { STORAGES } from '../../support/test-app.ts';
import type { World } from '../../support/wire-world.ts';
import { LOCAL, startPypi } from './pypi-world.ts';

for (const storage of STORAGES) {
  describe(`a local PyPI repository on ${storage}`, () => {
    let world: World;
    let samples: Sample[];
    before(async () => {
      world = await startPypi(storage);
      samples = await publishSamples(world.as('writer'), LOCAL);
    });
    after(() => world.stop());
    test('serves a page that was asked for before with one query', async () => {
      const { database } = world.app.core;
      const read = database.read.bind(database);
      const path = `${indexOf(LOCAL)}sample-one/`;
      const ask = async () => {
        const { status } = await world.admin.request('GET', path, { headers: { accept: JSON_TYPE } });
        assert.equal(status, 200);
      };
      await ask();
      let queries = 0;
      database.read = (work) => {
        queries += 1;
        return read(work);
      };
      const counts: number[] = [];
      try {
        for (let i = 0; i < 5; i++) {
          queries = 0;
          await ask();
          counts.push(queries);
        }
      } finally {
        database.read = read;
      }
      // What the server does by itself meanwhile reads, too.
      assert.equal(Math.min(...counts), 1, counts.join(' '));
    });
    for (const { name, check } of SAMPLE_READS) test(name, () => check(world.as('reader'), LOCAL, samples));
  });
}
