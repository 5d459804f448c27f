import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpstreamFailure } from '../core/upstream.ts';
import { Places } from './places.ts';

const make = (options: { places: number; maxWaiting?: number; maxWaitMs?: number }) =>
  new Places({ host: 'a.example', maxWaiting: 10, maxWaitMs: 10_000, ...options });

test('places go to those who wait in their order, and one given up twice is one', async () => {
  const places = make({ places: 1 });
  const order: number[] = [];
  const first = await places.enter();
  const others = [1, 2, 3].map(async (i) => {
    const leave = await places.enter();
    order.push(i);
    leave();
    leave();
  });
  assert.equal(places.taken, 1);
  first();
  first();
  await Promise.all(others);
  assert.deepEqual(order, [1, 2, 3]);
  assert.equal(places.taken, 0);
});

test('neither the queue nor the wait is without end, and who leaves is forgotten', async () => {
  const places = make({ places: 1, maxWaiting: 2, maxWaitMs: 20 });
  const leave = await places.enter();
  const leaving = new AbortController();
  const waiting = [places.enter(), places.enter(leaving.signal)];
  await assert.rejects(places.enter(), (error: UpstreamFailure) => error.trouble === 'paused');
  leaving.abort(new Error('gone'));
  await assert.rejects(waiting[1]!, /gone/);
  await assert.rejects(
    waiting[0]!,
    (error: UpstreamFailure) => error instanceof UpstreamFailure && error.trouble === 'timeout',
  );
  leave();
  assert.equal(places.taken, 0);
  (await places.enter())();
});
