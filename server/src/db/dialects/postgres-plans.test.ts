import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CompiledQuery } from 'kysely';
import { KeptPlans, keepingPlan } from './postgres-plans.ts';

const marked = (text: string): string => keepingPlan(CompiledQuery.raw(text)).sql;

/** A connection that notes what it is asked. */
function connection() {
  const asked: unknown[][] = [];
  return {
    asked,
    query: async (...args: unknown[]) => {
      asked.push(args);
      return args;
    },
  };
}

test('a statement whose plan is to be kept has the same name at each call and on each connection', async () => {
  const plans = new KeptPlans(() => 0);
  const clients = [connection(), connection()];
  for (const client of clients) {
    plans.keep(client);
    await client.query(marked('select $1'), ['a']);
    await client.query(marked('select $1'), ['b']);
    await client.query(marked('select $1, 2'), ['c']);
  }
  const asked = clients.flatMap((client) => client.asked.map(([statement]) => statement as Record<string, unknown>));
  assert.deepEqual(
    asked.map(({ values }) => values),
    [['a'], ['b'], ['c'], ['a'], ['b'], ['c']],
  );
  const names = asked.map(({ name }) => name as string);
  assert.equal(new Set(names).size, 2);
  assert.deepEqual(names, [names[0], names[0], names[2], names[0], names[0], names[2]]);
  // PostgreSQL cuts longer ones off, and two could become one.
  for (const name of names) assert.ok(name.length < 64, name);
});

test('other statements go as they are', async () => {
  const client = connection();
  const callback = () => undefined;
  new KeptPlans(() => 0).keep(client);
  await client.query('select $1', ['a']);
  await client.query({ text: 'begin' });
  await client.query('select 1', [], callback);
  assert.deepEqual(client.asked, [['select $1', ['a']], [{ text: 'begin' }], ['select 1', [], callback]]);
});

test('plans are made anew after a while, before the next statement and once', async () => {
  let now = 0;
  const client = connection();
  new KeptPlans(() => now).keep(client);
  await client.query(marked('select 1'), []);
  now += 3_600_000;
  await client.query('select 2');
  await client.query(marked('select 1'), []);
  await client.query(marked('select 1'), []);
  const texts = client.asked.map(([one]) => (typeof one === 'string' ? one : (one as { text: string }).text));
  assert.deepEqual(texts, [marked('select 1'), 'select 2', 'discard plans', marked('select 1'), marked('select 1')]);
});
