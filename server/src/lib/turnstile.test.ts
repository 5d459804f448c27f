import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turnstile } from './turnstile.ts';

test('so many run at once and no more, in the order in which they came', async () => {
  const turnstile = new Turnstile(2);
  const ended: number[] = [];
  let inside = 0;
  let most = 0;
  await Promise.all(
    [0, 1, 2, 3, 4, 5].map((i) =>
      turnstile.pass(async () => {
        inside += 1;
        most = Math.max(most, inside);
        await new Promise(setImmediate);
        inside -= 1;
        ended.push(i);
      }),
    ),
  );
  assert.equal(most, 2);
  assert.deepEqual(ended, [0, 1, 2, 3, 4, 5]);
});

test('what fails frees its place', async () => {
  const turnstile = new Turnstile(1);
  const failing = turnstile.pass(async () => {
    throw new Error('failed');
  });
  const next = turnstile.pass(async () => 'in');
  await assert.rejects(failing, /failed/);
  assert.equal(await next, 'in');
});
