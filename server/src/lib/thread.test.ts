import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Told } from './test-thread.ts';
import { readInThread, ThreadProblem } from './thread.ts';

const script = new URL('./test-thread.ts', import.meta.url);
/** Longer than anything takes here but what never ends. */
const LONG_MS = 60_000;

async function tell(told: Told, { bytes = [1], maxMs = LONG_MS } = {}): Promise<number[]> {
  const parts: number[] = [];
  const take = (part: number) => parts.push(part);
  await readInThread<Told, number>(Buffer.from(bytes), { script, input: told, maxMs, maxMemoryMb: 32, take });
  return parts;
}

test('all that is found comes, in its order, and the bytes stay as they were', async () => {
  const bytes = Buffer.from([3, 1, 2]);
  assert.deepEqual(await tell('count', { bytes: [...bytes] }), [3, 1, 2]);
  assert.deepEqual([...bytes], [3, 1, 2]);
  assert.deepEqual(await tell('count', { bytes: [] }), []);
});

test('a thread is used over and over, two at most, and who comes then waits', async () => {
  const one = await tell('say who');
  assert.deepEqual(await tell('say who'), one);
  const all = await Promise.all(Array.from({ length: 20 }, () => tell('say who')));
  assert.equal(all.length, 20);
  assert.ok(new Set(all.flat()).size <= 2, `${all}`);
});

test('a problem of the bytes is told, and the thread goes on', async () => {
  const one = await tell('say who');
  await assert.rejects(tell('find a problem'), new ThreadProblem('It is no good.'));
  assert.deepEqual(await tell('say who'), one);
});

const ENDS: readonly (readonly [Told, Error])[] = [
  ['fail', new Error('a mistake of ours')],
  ['leave', new Error('a thread that reads a document ended early')],
  ['take all memory', new ThreadProblem('It needs more memory to be read than it may have.')],
  ['never end', new ThreadProblem('It took too long to read.')],
];

for (const [told, error] of ENDS) {
  test(`who tells it to ${told} is told so, and nobody else`, async () => {
    const [failed, ...others] = await Promise.allSettled([
      tell(told, { maxMs: told === 'never end' ? 50 : LONG_MS }),
      ...Array.from({ length: 5 }, () => tell('count')),
    ]);
    assert.deepEqual(failed?.status === 'rejected' && [failed.reason.constructor, failed.reason.message], [
      error.constructor,
      error.message,
    ]);
    assert.deepEqual(others, Array(5).fill({ status: 'fulfilled', value: [1] }));
  });
}

test('a thread that nobody needs ends after a while', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const one = await tell('say who');
  t.mock.timers.tick(1000);
  assert.deepEqual(await tell('say who'), one);
  t.mock.timers.tick(60_000);
  assert.notDeepEqual(await tell('say who'), one);
});

test('what the taker fails with is told', async () => {
  const take = () => {
    throw new Error('no room');
  };
  const input: Told = 'count';
  const reading = readInThread(Buffer.from([1, 2]), { script, input, maxMs: LONG_MS, maxMemoryMb: 32, take });
  await assert.rejects(reading, new Error('no room'));
  assert.deepEqual(await tell('count'), [1]);
});
