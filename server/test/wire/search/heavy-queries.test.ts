/** Searches that take long: they end with their client, keep to their limits, and delay nobody else. */
import assert from 'node:assert/strict';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { makeLargeTree } from '../../support/large-tree.ts';
import { startTestApp, type TestApp } from '../../support/test-app.ts';
import { createUser, grant } from '../api/api-world.ts';
import { SEARCH_STORAGES } from './search-world.ts';

const AQL = '/artifactory/api/search/aql';
const FILES = 30_000;
/** Looks at every pair of a file and a property of any, finds nothing, and would take minutes. */
const ENDLESS =
  'items.find({"$or":[' +
  Array.from({ length: 400 }, (_, i) => `{"@*":{"$match":"*${'a*'.repeat(20)}${i}"}}`).join(',') +
  '],"name":{"$match":"*e*"}})';

for (const storage of SEARCH_STORAGES) {
  describe(`heavy queries on ${storage}`, () => {
    let app: TestApp;

    before(async () => {
      app = await startTestApp(storage, { ENTREPOT_SEARCH__MAX_PER_USER: '3' });
      const database = await app.openDatabase();
      await makeLargeTree(database, FILES);
      await database.close();
      await app.core.repositories.reload();
    });
    after(() => app?.stop());

    test('end within a second when the client leaves, and leave room for the next', async () => {
      for (let round = 0; round < 4; round++) {
        const queries = [begin(app, ENDLESS), begin(app, ENDLESS)];
        await delay(300);
        for (const query of queries) query.destroy();
        const left = performance.now();
        await until(async () => (await statementsUnderWay(app)) === 0);
        assert.ok(performance.now() - left < 1500, `it went on for ${performance.now() - left} ms`);
      }
      const answer = await app.admin.request('POST', AQL, { body: 'items.find({"name":"file-7.jar"})' });
      assert.equal((answer.json() as { results: unknown[] }).results.length, 1);
    });

    test('are limited in number for each caller, and others go on meanwhile', async () => {
      const ulla = await createUser(app, 'ulla');
      await grant(app, 'ulla-reads', ['big-1'], { ulla: ['r'] });
      const queries = Array.from({ length: 3 }, () => begin(app, ENDLESS));
      await delay(300);
      try {
        const refused = await app.admin.request('POST', AQL, { body: 'items.find()' });
        assert.equal(refused.status, 429);
        assert.match(refused.text, /3 searches under way/);
        const delays: number[] = [];
        for (let i = 0; i < 50; i++) {
          const startedAt = performance.now();
          const info = await ulla.request('GET', '/artifactory/api/storage/big-1/org/g0/a0/v0/file-1.jar');
          assert.equal(info.status, 200, info.text);
          delays.push(performance.now() - startedAt);
        }
        delays.sort((a, b) => a - b);
        assert.ok(delays[45]! < 250, `other requests took ${delays[45]} ms`);
      } finally {
        for (const query of queries) query.destroy();
      }
      await until(async () => (await statementsUnderWay(app)) === 0);
      assert.equal((await app.admin.request('POST', AQL, { body: 'items.find().limit(1)' })).status, 200);
    });

    test('send a large answer as fast as it is read, and see what was there when they began', async () => {
      const answer = await begin(app, 'items.find({"repo":{"$match":"big-*"}}).include("name","property")').response;
      assert.equal(answer.statusCode, 200);
      await delay(200);
      await app.admin.request('PUT', '/artifactory/generic-local/late.txt', { body: 'late' });
      let text = '';
      for await (const chunk of answer) text += String(chunk);
      const { results, range } = JSON.parse(text) as { results: { properties: unknown[] }[]; range: { total: number } };
      assert.equal(results.length, FILES);
      assert.equal(range.total, FILES);
      assert.ok(results.every(({ properties }) => properties.length === 5));
      const next = await app.admin.request('POST', AQL, { body: 'items.find({"name":"late.txt"})' });
      assert.equal((next.json() as { results: unknown[] }).results.length, 1);
    });

    test('see what was acknowledged just before', async () => {
      for (let i = 0; i < 30; i++) {
        const put = await app.admin.request('PUT', `/artifactory/generic-local/fresh/${i}.txt;k=v${i}`, {
          body: String(i),
        });
        assert.equal(put.status, 201, put.text);
        const answer = await app.admin.request('POST', AQL, { body: `items.find({"path":"fresh","name":"${i}.txt"})` });
        assert.equal((answer.json() as { results: unknown[] }).results.length, 1);
      }
    });

    test('leave with the client that reads slowly and then goes', async () => {
      const query = begin(app, 'items.find({"repo":{"$match":"big-*"}}).include("*","property","stat")');
      const answer = await query.response;
      answer.pause();
      await delay(300);
      query.destroy();
      await until(async () => (await statementsUnderWay(app)) === 0);
    });

    test('are given up after a time', async () => {
      await app.restart({ ENTREPOT_SEARCH__TIMEOUT_MS: '500' });
      const startedAt = performance.now();
      const late = await app.admin.request('POST', AQL, { body: ENDLESS });
      assert.equal(late.status, 408, late.text);
      assert.ok(performance.now() - startedAt < 3000);
      await until(async () => (await statementsUnderWay(app)) === 0);
      assert.deepEqual(
        app.complaints.filter(({ level }) => level === 'error'),
        [],
      );
    });
  });
}

interface Query {
  readonly response: Promise<IncomingMessage>;
  destroy(): void;
}

/** Sends a query on a connection of its own and does not read the answer. */
function begin(app: TestApp, query: string): Query {
  const request = httpRequest({
    host: '127.0.0.1',
    port: app.port,
    method: 'POST',
    path: AQL,
    headers: { authorization: app.admin.authorization!, 'content-length': Buffer.byteLength(query) },
  });
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
  response.catch(() => undefined);
  request.on('error', () => undefined);
  request.end(query);
  return { response, destroy: () => request.destroy() };
}

/** Statements of searches that the database works on: on SQLite those that have their thread. */
async function statementsUnderWay(app: TestApp): Promise<number> {
  const { database } = app.core;
  if (database.dialect.name === 'sqlite') {
    const startedAt = performance.now();
    const never = new AbortController();
    const probes = Array.from({ length: 2 }, async () => {
      const scope = app.core.searches.scope({ kind: 'anonymous' }, { withTrash: false });
      const none = { kind: 'any', of: [] } as const;
      const search = { domain: 'stat', where: none, fields: [], includes: [], sort: [], limit: 1, offset: 0 } as const;
      const rows = await app.core.searches.find(search, scope, {
        principal: { kind: 'anonymous' },
        signal: never.signal,
      });
      await rows.next();
      await rows.return(undefined);
    });
    // Both threads answer at once when nothing keeps them.
    const answered = await Promise.all(probes).then(
      () => true,
      () => false,
    );
    return answered && performance.now() - startedAt < 200 ? 0 : 1;
  }
  const { rows } = await sql<{ n: number }>`select count(*) as n from pg_stat_activity
    where datname = current_database() and state in ('active', 'idle in transaction')
    and query ~ '^(declare|fetch|select .* from node i )' and pid <> pg_backend_pid()`.execute(database.kysely);
  return Number(rows[0]!.n);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const limit = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > limit) throw new Error('what the test waits for did not happen within 10 seconds');
    await delay(20);
  }
}
