import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from './turns.ts';

test('runs what has the same name one after the other, also after a failure', async () => {
  const turns = new Turns();
  const seen: string[] = [];
  const work = (name: string, fails = false) =>
    turns.take('a', async () => {
      seen.push(`${name} begins`);
      await new Promise(setImmediate);
      seen.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    });
  const outcomes = await Promise.allSettled([work('one'), work('two', true), work('three')]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(seen, ['one begins', 'one ends', 'two begins', 'two ends', 'three begins', 'three ends']);
});

test('what has another name does not wait', async () => {
  const turns = new Turns();
  const first = Promise.withResolvers<void>();
  const waiting = turns.take('a', () => first.promise);
  assert.equal(await turns.take('b', async () => 'done'), 'done');
  first.resolve();
  await waiting;
});
