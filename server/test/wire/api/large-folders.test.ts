/** Folders of very many files: listed, moved and deleted without anybody else having to wait. */
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import { sql } from 'kysely';
import { isPostgres, type Tx } from '../../../src/db/database.ts';
import { eventually } from '../../support/eventually.ts';
import type { TestApp } from '../../support/test-app.ts';
import { expectStatus, getJson, onEachStorage } from './api-world.ts';

const STORAGE = '/artifactory/api/storage';
const FILES = Number(process.env['ENTREPOT_TEST_LARGE_FOLDER'] ?? 20_000);
/** So often somebody else asks meanwhile at most: some minutes. */
const MAX_PROBES = 20_000;
/** Far above what it takes on an idle machine, far below what one statement over all rows would take. */
const MAX_MEDIAN_MS = 50;

/** Puts one file for its bytes, and the rows of all others past the server. */
async function fill(app: TestApp, folder: string, count: number): Promise<void> {
  await expectStatus(app.admin.request('PUT', `/artifactory/generic-local/${folder}/first`, { body: 'same' }), 201);
  const { database } = app.core;
  const [template] = await database.read((db) =>
    db.selectFrom('node').selectAll().where('parent', '=', folder).where('name', '=', 'first').execute(),
  );
  const { id, ...row } = template!;
  assert.ok(id > 0);
  for (let done = 1; done < count; done += 500) {
    const names = Array.from({ length: Math.min(500, count - done) }, (_, i) => String(done + i).padStart(8, '0'));
    await database.transaction((tx) =>
      tx
        .insertInto('node')
        .values(names.map((name) => ({ ...row, name })))
        .execute(),
    );
  }
}

/** Asks for something small again and again while the work goes on; how long each answer took, in order of length. */
async function probe(app: TestApp, work: Promise<unknown>): Promise<number[]> {
  const took: number[] = [];
  let working = true;
  const done = work.finally(() => {
    working = false;
  });
  for (let i = 0; working; i++) {
    assert.ok(i < MAX_PROBES, 'the work on the folder does not come to an end');
    const from = performance.now();
    const answer =
      i % 2 === 0
        ? await app.admin.request('GET', `${STORAGE}/generic-local/probe/f`)
        : await app.admin.request('PUT', `/artifactory/generic-local/probe/w${i % 10}`, { body: String(i) });
    took.push(performance.now() - from);
    assert.ok(answer.status < 300, answer.text);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await done;
  return took.sort((a, b) => a - b);
}

/** A page is a hundred files; some take more than one row with them. */
const MAX_ROWS = 1000;

/** Counts what each transaction of the server writes from here on; `stop` returns the most that one did. */
function watchTransactions(app: TestApp): { stop(): number } {
  const { database } = app.core;
  const transaction = database.transaction.bind(database);
  let most = 0;
  database.transaction = (work, options) =>
    transaction(async (tx) => {
      const before = await writtenRows(tx);
      const result = await work(tx);
      most = Math.max(most, (await writtenRows(tx)) - before);
      return result;
    }, options);
  return {
    stop() {
      database.transaction = transaction;
      return most;
    },
  };
}

/** How many rows were written so far: by the connection in SQLite, by the transaction in PostgreSQL. */
async function writtenRows(tx: Tx): Promise<number> {
  const query = isPostgres(tx)
    ? sql<{ rows: number }>`select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::int as rows
        from pg_stat_xact_user_tables`
    : sql<{ rows: number }>`select total_changes() as rows`;
  return (await query.execute(tx)).rows[0]?.rows ?? 0;
}

onEachStorage('large folders', (world) => {
  const done = async () => {
    const { app } = world();
    await eventually(async () => {
      const { tasks } = (await getJson(app.admin, '/artifactory/api/tasks')) as { tasks: { type: string }[] };
      assert.deepEqual(
        tasks.filter(({ type }) => type === 'tree-operation'),
        [],
      );
    }, 300_000);
  };

  test('move, copy and go while others are served', async () => {
    const { app } = world();
    const { admin } = app;
    await expectStatus(admin.request('PUT', '/artifactory/generic-local/probe/f', { body: 'probe' }), 201);
    await fill(app, 'big/dir', FILES);
    const idle = monitorEventLoopDelay({ resolution: 5 });
    const measured: Record<string, readonly number[]> = {};
    const relocate = (verb: string, from: string, to: string) =>
      expectStatus(
        admin.request('POST', `/artifactory/api/${verb}/generic-local/${from}?to=/generic-local/${to}`),
        200,
      );
    const transactions = watchTransactions(app);
    idle.enable();
    measured['move'] = await probe(app, relocate('move', 'big', 'moved'));
    measured['copy'] = await probe(app, relocate('copy', 'moved/dir', 'copied'));
    let seen = '';
    const deletion = async () => {
      await expectStatus(admin.request('DELETE', '/artifactory/generic-local/moved'), 204);
      await expectStatus(admin.request('GET', `${STORAGE}/generic-local/moved/dir/first`), 404);
      const { tasks } = (await getJson(admin, '/artifactory/api/tasks')) as { tasks: { description: string }[] };
      seen = tasks.map(({ description }) => description).join();
      await done();
    };
    measured['delete'] = await probe(app, deletion());
    idle.disable();
    const most = transactions.stop();
    assert.ok(most >= 100, 'the transactions of the operations were counted');
    assert.ok(most <= MAX_ROWS, `one transaction wrote ${most} rows`);
    assert.match(seen, /Deletes "generic-local\/moved" for admin: \d+ items done/);
    for (const [what, times] of Object.entries(measured)) {
      const median = times[Math.floor(times.length / 2)] ?? 0;
      assert.ok(median < MAX_MEDIAN_MS, `${what}: half of the requests took more than ${median.toFixed(0)} ms`);
    }
    const left = await app.core.database.read((db) =>
      db
        .selectFrom('node')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('parent', 'in', ['big/dir', 'moved/dir', 'copied', 'generic-local/moved/dir'])
        .execute(),
    );
    // The copy, and what is in the trash can.
    assert.equal(Number(left[0]?.count), 2 * FILES);
    if (process.env['ENTREPOT_TEST_LARGE_FOLDER'] !== undefined) {
      for (const [what, times] of Object.entries(measured)) {
        const at = (share: number) => times[Math.floor((times.length - 1) * share)]?.toFixed(1);
        console.log(`${what}: ${times.length} requests, p50 ${at(0.5)} p99 ${at(0.99)} max ${at(1)} ms`);
      }
      console.log(`event loop: p99 ${idle.percentile(99) / 1e6} max ${idle.max / 1e6} ms`);
    }
  });

  test('are listed whole', async () => {
    const { app } = world();
    const { children } = (await getJson(app.admin, `${STORAGE}/generic-local/copied`)) as { children: unknown[] };
    assert.equal(children.length, FILES);
  });

  test('are annotated in pages', async () => {
    const { app } = world();
    await expectStatus(app.admin.request('PUT', `${STORAGE}/generic-local/copied?properties=k=v`), 204);
    const found = (await getJson(app.admin, `${STORAGE}/generic-local/copied/00000007?properties`)) as object;
    assert.deepEqual((found as { properties: unknown }).properties, { k: ['v'] });
  });
});
