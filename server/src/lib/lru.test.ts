import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lru } from './lru.ts';

test('the entry not asked for longest goes first', () => {
  const lru = new Lru<string, number>({ maxEntries: 2 });
  lru.set('a', 1);
  lru.set('b', 2);
  assert.equal(lru.get('a'), 1);
  lru.set('c', 3);
  assert.deepEqual([lru.get('a'), lru.get('b'), lru.get('c')], [1, undefined, 3]);
  assert.equal(lru.size, 2);
});

test('an entry ages from when it was set, asked for or not', () => {
  let now = 0;
  const lru = new Lru<string, number>({ maxEntries: 2, ttlMs: 10, now: () => now });
  lru.set('a', 1);
  now = 9;
  assert.equal(lru.get('a'), 1);
  now = 10;
  assert.equal(lru.get('a'), undefined);
  assert.equal(lru.size, 0);
});

test('setting again replaces, deleting and clearing forget', () => {
  const lru = new Lru<string, number>({ maxEntries: 2 });
  lru.set('a', 1);
  lru.set('a', 2);
  assert.deepEqual([lru.size, lru.get('a')], [1, 2]);
  lru.delete('a');
  lru.set('b', 3);
  lru.clear();
  assert.deepEqual([lru.get('a'), lru.get('b'), lru.size], [undefined, undefined, 0]);
});

test('forgets what was not asked for longest when the entries are too heavy', () => {
  const lru = new Lru<string, number>({ maxEntries: 10, maxWeight: 100 });
  lru.set('a', 1, 40);
  lru.set('b', 2, 40);
  assert.equal(lru.get('a'), 1);
  lru.set('c', 3, 40);
  assert.deepEqual([lru.get('a'), lru.get('b'), lru.get('c')], [1, undefined, 3]);
  lru.set('d', 4, 1000);
  assert.deepEqual([lru.get('a'), lru.get('c'), lru.get('d')], [undefined, undefined, 4]);
  lru.delete('d');
  lru.set('e', 5, 100);
  assert.equal(lru.get('e'), 5);
});
