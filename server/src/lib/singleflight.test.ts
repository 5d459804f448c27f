import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { singleflight } from './singleflight.ts';

test('equal work under way is shared, other work is not', async () => {
  const once = singleflight<string>();
  const calls: string[] = [];
  const work = (key: string) => async () => {
    calls.push(key);
    await setImmediate();
    return key.toUpperCase();
  };
  const results = await Promise.all([once('a', work('a')), once('a', work('a')), once('b', work('b'))]);
  assert.deepEqual(results, ['A', 'A', 'B']);
  assert.deepEqual(calls, ['a', 'b']);
});

test('finished work is done again', async () => {
  const once = singleflight<number>();
  let calls = 0;
  const work = async () => ++calls;
  assert.equal(await once('a', work), 1);
  assert.equal(await once('a', work), 2);
});

test('a failure reaches all who wait and is forgotten', async () => {
  const once = singleflight<string>();
  const fail = () => {
    throw new Error('no');
  };
  const outcomes = await Promise.allSettled([once('a', fail), once('a', fail)]);
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status),
    ['rejected', 'rejected'],
  );
  assert.equal(await once('a', async () => 'yes'), 'yes');
});
