/** What queries show, which are refused, and what hostile ones can do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createUser } from '../api/api-world.ts';
import { DOMAIN_QUERIES, REFUSED } from './domain-queries.ts';
import { onEachDatabase } from './search-world.ts';

const AQL = '/artifactory/api/search/aql';

onEachDatabase('AQL', (world) => {
  for (const [query, rows] of DOMAIN_QUERIES) {
    test(query, async () => {
      const sorted = (list: readonly object[]) => list.map((row) => JSON.stringify(row)).sort();
      const found = await world().rows(query);
      assert.deepEqual(sorted(found), sorted(rows));
    });
  }

  for (const query of REFUSED) {
    test(`refuses ${JSON.stringify(query)}`, async () => {
      const answer = await world().app.admin.request('POST', AQL, { body: query });
      assert.equal(answer.status, 400);
      const [error] = (answer.json() as { errors: { message: string }[] }).errors;
      assert.match(
        error!.message,
        /^Failed to parse query: .*, it looks like there is syntax error near the following/,
      );
    });
  }

  test('answers with a range, and with each row in one line when it is to be compact', async () => {
    const { admin } = world().app;
    const query = 'items.find({"repo":"libs"}).include("name").sort({"$asc":["name"]}).offset(2).limit(2)';
    const answer = await admin.request('POST', `${AQL}?compact=true`, { body: query, headers: { stream: 'true' } });
    assert.deepEqual(answer.json(), {
      results: [{ name: 'a2.jar' }, { name: 'o1.jar' }],
      range: { start_pos: 2, end_pos: 2, total: 2, limit: 2 },
    });
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.match(answer.text, /\{"name":"a2\.jar"\}/);
    const whole = await admin.request('POST', AQL, { body: 'items.find({"name":"none"})' });
    assert.deepEqual(whole.json(), { results: [], range: { start_pos: 0, end_pos: 0, total: 0 } });
    const asked = await admin.request('POST', `${AQL}?query=${encodeURIComponent(query)}`);
    assert.equal((asked.json() as { results: unknown[] }).results.length, 2);
  });

  test('shows every field, and the same row by whatever way it is found', async () => {
    const [row] = await world().rows('items.find({"name":"a1.jar"}).include("*","property.*")');
    assert.deepEqual(
      ['id', 'depth', 'repo_path_checksum', 'virtual_repos', 'original_md5', 'properties'].filter(
        (key) => !(key in row!),
      ),
      [],
    );
    const [same] = await world().rows(`items.find({"id":${row!['id']}}).include("*","property.*")`);
    assert.deepEqual(same, row);
  });

  test('is for those who signed in', async () => {
    const { app } = world();
    const answer = await app.anonymous.request('POST', AQL, { body: 'items.find()' });
    assert.equal(answer.status, 401);
    assert.equal((answer.json() as { errors: { message: string }[] }).errors[0]?.message, 'Authentication is required');
  });

  test('shows nothing to who may read nothing', async () => {
    const { app, rows } = world();
    const nobody = await createUser(app, 'nobody');
    for (const query of [
      'items.find()',
      'items.find({"type":"any"})',
      'properties.find()',
      'stats.find()',
      'archives.find()',
      'archive.entries.find()',
      'builds.find()',
      'build.properties.find()',
      'build.promotions.find()',
      'modules.find()',
      'module.properties.find()',
      'artifacts.find()',
      'dependencies.find()',
    ]) {
      assert.deepEqual(await rows(query, nobody), [], query);
    }
  });

  test('takes two thousand places at once, and long lists of patterns', async () => {
    const places = Array.from({ length: 2000 }, (_, i) => `{"$and":[{"path":"p${i}"},{"name":"n${i}"}]}`);
    const list = (some: string[]) => `items.find({"repo":"libs","$or":[${some.join(',')}]})`;
    const known = '{"$and":[{"path":"org/acme/1.0"},{"name":"a1.jar"}]}';
    assert.equal((await world().rows(list([...places, known]))).length, 1);
    const patterns = Array.from({ length: 600 }, (_, i) => `{"name":{"$match":"x${i}*y"}}`);
    assert.equal((await world().rows(list([...patterns, known]))).length, 1);
  });

  test('refuses what is too deep or too much, and what is no text', async () => {
    const { admin } = world().app;
    const send = async (body: string | Buffer, headers: Record<string, string> = {}) =>
      (await admin.request('POST', AQL, { body, headers })).status;
    const deep = 10_000;
    assert.equal(await send(`items.find({${'"$or":[{'.repeat(deep)}"name":"a"${'}]'.repeat(deep)}})`), 400);
    const many = Array.from({ length: 100_000 }, () => '"name":"a"').join(',');
    assert.equal(await send(`items.find({${many}})`), 400);
    assert.equal(await send('x'.repeat(2 * 1024 * 1024 + 1)), 400);
    assert.equal(await send(''), 400);
    assert.equal(await send(' \n'), 400);
    assert.equal(await send(Buffer.from('\ufeffitems.find()', 'utf16le')), 415);
    assert.equal(await send('items.find()', { 'content-type': 'text/plain; charset=utf-16' }), 415);
    assert.equal(await send(gzipSync('items.find()'), { 'content-encoding': 'gzip' }), 415);
    assert.equal(await send(Buffer.from([0x69, 0xff, 0x00])), 400);
    assert.equal(await send(Buffer.from('\ufeffitems.find({"name":"none"})')), 200);
    const echo = await admin.request('POST', AQL, { body: `items.find({"${'n'.repeat(1_000_000)}":"x"})` });
    assert.equal(echo.status, 400);
    assert.ok(echo.bytes.length < 1200, `the refusal has ${echo.bytes.length} bytes`);
  });

  test('matches patterns of a thousand stars in no time', async () => {
    const pattern = `${'*a'.repeat(1000)}*b`;
    const startedAt = performance.now();
    assert.deepEqual(await world().rows(`items.find({"path":{"$match":"${pattern}"}})`), []);
    assert.ok(performance.now() - startedAt < 500);
  });
});

onEachDatabase(
  'AQL with anonymous access',
  (world) => {
    test('is refused to who has no name', async () => {
      const answer = await world().app.anonymous.request('POST', AQL, { body: 'items.find()' });
      assert.equal(answer.status, 403);
      assert.match(answer.text, /Only non-anonymous users are allowed to access AQL queries/);
    });
  },
  { ENTREPOT_SECURITY__ANONYMOUS_ACCESS: 'true' },
);
