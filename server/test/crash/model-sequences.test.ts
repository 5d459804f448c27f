/**
 * Random interleavings of pushes, deletes and the steps of the sweep, compared with a model of what must be readable.
 * ENTREPOT_TEST_SEED repeats a run, ENTREPOT_TEST_SEQUENCE=<number> one sequence of it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Storage } from '../support/test-app.ts';
import { runSequence } from './model-check.ts';
import { runAtOnce } from './model-concurrent.ts';
import { type Operation, randomSequence, shrink } from './model-operations.ts';
import { ModelWorld } from './model-world.ts';
import { runSeed, Seeded } from './seeded.ts';

const KILLS = Number(process.env['ENTREPOT_FAULT_KILLS'] ?? 0);
const FACTOR = Math.max(1, KILLS / 100);
const ONLY = process.env['ENTREPOT_TEST_SEQUENCE'];
const SEQUENCES: readonly (readonly [Storage, number])[] = [
  ['sqlite-fs', 300],
  ['postgres-fs', 60],
  ['postgres-s3', 10],
];
const ROUNDS: readonly (readonly [Storage, number])[] = [
  ['sqlite-fs', 6],
  ['postgres-fs', 6],
];
const AT_ONCE = { clients: 5, operations: 40 };
const LIMIT_PER_ROUND_MS = 30_000;
const LIMIT_PER_SEQUENCE_MS = 5000;

describe('one operation after another', () => {
  for (const [storage, base] of SEQUENCES) {
    const count = Math.ceil(base * FACTOR);
    it(`serves what the model says in ${count} sequences (${storage})`, {
      timeout: 60_000 + count * LIMIT_PER_SEQUENCE_MS,
    }, async (t) => {
      const seed = runSeed();
      t.diagnostic(`seed ${seed}`);
      t.diagnostic(await runSequences(storage, seed, count));
    });
  }
});

describe('all at once', () => {
  for (const [storage, base] of ROUNDS) {
    const rounds = Math.ceil(base * FACTOR);
    it(`fits together after each of ${rounds} rounds of ${AT_ONCE.clients} clients (${storage})`, {
      timeout: 60_000 + rounds * LIMIT_PER_ROUND_MS,
    }, async (t) => {
      const random = new Seeded(runSeed());
      t.diagnostic(`seed ${random.seed}`);
      const world = await ModelWorld.start(storage);
      try {
        const started = performance.now();
        let sweeps = 0;
        for (let round = 0; round < rounds; round++) sweeps += await runAtOnce(world, random.fork(`${round}`), AT_ONCE);
        assert.deepEqual(world.app.complaints, []);
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        t.diagnostic(
          `${rounds * AT_ONCE.clients * AT_ONCE.operations} operations and ${sweeps} sweeps at once in ${seconds} s`,
        );
      } finally {
        await world.stop();
      }
    });
  }
});

async function runSequences(storage: Storage, seed: string, count: number): Promise<string> {
  const started = performance.now();
  const world = await ModelWorld.start(storage);
  let operations = 0;
  try {
    const numbers = ONLY === undefined ? Array.from({ length: count }, (_, i) => i) : [Number(ONLY)];
    for (const n of numbers) {
      const sequence = randomSequence(new Seeded(`${seed}/${n}`));
      try {
        await runSequence(world, sequence);
      } catch (error) {
        assert.fail(await explain(storage, { seed, n, sequence, error: error as Error }));
      }
      operations += sequence.length;
    }
    assert.deepEqual(world.app.complaints, []);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    return `${numbers.length} sequences, ${operations} operations, ${seconds} s: no difference`;
  } finally {
    await world.stop();
  }
}

interface Failure {
  readonly seed: string;
  readonly n: number;
  readonly sequence: readonly Operation[];
  readonly error: Error;
}

/** The shortest sequence that still fails, each tried on a server of its own. */
async function explain(storage: Storage, { seed, n, sequence, error }: Failure): Promise<string> {
  let last = error;
  const shortest = await shrink(sequence, async (shorter) => {
    const world = await ModelWorld.start(storage);
    try {
      await runSequence(world, shorter);
      return false;
    } catch (failure) {
      last = failure as Error;
      return true;
    } finally {
      await world.stop();
    }
  });
  const note = isDeepStrictEqual(shortest, sequence) ? ' (it could not be made shorter)' : '';
  return [
    `sequence ${n} failed: ${error.message}`,
    `ENTREPOT_TEST_SEED=${seed} ENTREPOT_TEST_SEQUENCE=${n} repeats it`,
    `shortest that fails${note}: ${last.message}`,
    ...shortest.map((operation) => `  ${JSON.stringify(operation)}`),
  ].join('\n');
}
