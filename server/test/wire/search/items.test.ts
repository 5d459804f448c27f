/** The table of queries for items: each finds what it must on both databases. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ITEM_QUERIES } from './item-queries.ts';
import { onEachDatabase } from './search-world.ts';

onEachDatabase('queries for items', (world) => {
  for (const [query, names] of ITEM_QUERIES) {
    test(query, async () => {
      const found = (await world().rows(query)).map((row) => String(row['name']));
      const isOrdered = names.startsWith('>');
      const wanted = names.replace(/^>/, '').split(' ').filter(Boolean);
      if (isOrdered) assert.deepEqual(found, wanted);
      else assert.deepEqual(found.sort(), wanted.sort());
    });
  }
});
