import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sortInTurns } from './sort-in-turns.ts';

const SIZES = [0, 1, 2, 999, 1000, 1001, 3500];

test('sorts as sorting at once does, and keeps equal ones in their order', async () => {
  for (const size of SIZES) {
    const items = Array.from({ length: size }, (_, i) => ({ key: (i * 7919) % 97, place: i }));
    const compare = (a: { key: number }, b: { key: number }) => a.key - b.key;
    assert.deepEqual(await sortInTurns(items, compare), items.toSorted(compare), String(size));
  }
});

test('lets others in', async () => {
  let turns = 0;
  const count = setInterval(() => {
    turns += 1;
  }, 0);
  const slow = (a: number, b: number) => {
    for (let i = 0; i < 1000; i++) Math.sqrt(i);
    return a - b;
  };
  await sortInTurns(
    Array.from({ length: 20_000 }, (_, i) => (i * 7919) % 20_011),
    slow,
  );
  clearInterval(count);
  assert.ok(turns > 1, `${turns}`);
});
