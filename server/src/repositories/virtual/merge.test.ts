import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergeStretches, type Stretch } from './merge.ts';

const numeric = (one: number, other: number) => one - other;

test('lists merge in order, equal items once', () => {
  const merged = mergeStretches(
    [
      { items: [1, 3, 5], upTo: undefined },
      { items: [2, 3, 6], upTo: undefined },
      { items: [], upTo: undefined },
    ],
    10,
    numeric,
  );
  assert.deepEqual(merged, { items: [1, 2, 3, 5, 6], upTo: undefined });
});

test('of equal items that of the first list stays', () => {
  const item = (name: string, from: string) => ({ name, from });
  const merged = mergeStretches(
    [
      { items: [item('b', 'one')], upTo: undefined },
      { items: [item('a', 'two'), item('b', 'two')], upTo: undefined },
    ],
    10,
    (one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0),
  );
  assert.deepEqual(merged.items, [item('a', 'two'), item('b', 'one')]);
});

test('nothing is given behind the place up to which all lists are known', () => {
  const cut: Stretch<number> = { items: [1, 4], upTo: 4 };
  assert.deepEqual(mergeStretches([cut, { items: [2, 5, 7], upTo: undefined }], 10, numeric), {
    items: [1, 2, 4],
    upTo: 4,
  });
  assert.deepEqual(
    mergeStretches(
      [
        { items: [], upTo: 3 },
        { items: [2, 5], upTo: undefined },
      ],
      10,
      numeric,
    ),
    {
      items: [2],
      upTo: 3,
    },
  );
  assert.deepEqual(mergeStretches([cut, { items: [2], upTo: undefined }], 2, numeric), { items: [1, 2], upTo: 2 });
});

test('pages of any size read all of any lists, whatever they leave out', () => {
  let state = 7;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let round = 0; round < 300; round++) {
    const lists = Array.from({ length: 1 + random(4) }, () =>
      [...new Set(Array.from({ length: random(20) }, () => random(40)))].sort(numeric),
    );
    const shown = (n: number) => n % 5 !== 0;
    const limit = 1 + random(6);
    const found: number[] = [];
    for (let after = -1; ; ) {
      const stretches = lists.map((list): Stretch<number> => {
        const page = list.filter((n) => n > after).slice(0, limit);
        return { items: page.filter(shown), upTo: page.length < limit ? undefined : page.at(-1) };
      });
      const merged = mergeStretches(stretches, limit, numeric);
      assert.ok(merged.items.length <= limit);
      found.push(...merged.items);
      if (merged.upTo === undefined) break;
      after = merged.upTo;
    }
    const expected = [...new Set(lists.flat().filter(shown))].sort(numeric);
    assert.deepEqual(found, expected, `round ${round}, pages of ${limit}`);
  }
});
