/** The simple index and the files of a local repository, as clients read them. */
import { after, before, describe, test } from 'node:test';
import { publishSamples, SAMPLE_READS, type Sample } from '../../formats/pypi-samples.ts';
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
    for (const { name, check } of SAMPLE_READS) test(name, () => check(world.as('reader'), LOCAL, samples));
  });
}
