import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cutter } from './cutter.ts';

interface Item {
  readonly name: string;
  readonly size: number;
}

const cutter = new Cutter<Item, { readonly items: readonly Item[] }>({
  minBytes: 40,
  maxBytes: 100,
  sizeOf: ({ size }) => size,
  nameOf: ({ name }) => name,
  make: (items) => ({ items }),
  itemsOf: ({ items }) => items,
});

function itemsOf(count: number, size = 10): Item[] {
  return Array.from({ length: count }, (_, i) => ({ name: `item ${i}`, size }));
}

test('stretches hold all items in order, and are neither empty nor too large', () => {
  const items = itemsOf(500);
  const stretches = [...cutter.cut(items)];
  assert.deepEqual(
    stretches.flatMap((stretch) => stretch.items),
    items,
  );
  for (const stretch of stretches) assert.ok(stretch.items.length >= 1 && stretch.items.length <= 10);
  assert.ok(stretches.slice(0, -1).every((stretch) => stretch.items.length >= 4));
  assert.deepEqual([...cutter.cut([])], []);
});

test('a change leaves the stretches elsewhere as they are', () => {
  const items = itemsOf(500);
  const before = new Set(cutter.cut(items));
  for (const changed of [
    items.with(250, { name: 'other', size: 10 }),
    items.toSpliced(250, 1),
    items.toSpliced(250, 0, { name: 'more', size: 10 }),
    items.with(250, { name: 'large', size: 1000 }),
  ]) {
    const made = [...cutter.cut(changed)].filter((stretch) => !before.has(stretch));
    assert.ok(made.length >= 1 && made.length <= 5, `${made.length} were made anew`);
  }
  assert.deepEqual(new Set(cutter.cut(items)), before);
});

test('an item that is too large stands alone', () => {
  const [one, two, three] = itemsOf(3) as [Item, Item, Item];
  const large = { name: 'large', size: 200 };
  const stretches = [...cutter.cut([one, large, two, three])].map((stretch) => stretch.items);
  assert.deepEqual(stretches, [[one], [large], [two, three]]);
});
