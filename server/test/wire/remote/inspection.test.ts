/** What administrators see of remote repositories, and have them forget. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { createUser, expectStatus, getJson, grant, sendJson } from '../api/api-world.ts';
import { onEachRemoteStorage, type RemoteWorld } from './remote-world.ts';

type Json = Record<string, unknown>;

async function statusOf({ app }: RemoteWorld, key: string): Promise<Json> {
  return (await getJson(app.admin, `/artifactory/api/v1/remotes/${key}/status`)) as Json;
}

async function testOf({ app }: RemoteWorld, key: string): Promise<unknown> {
  const answer = await expectStatus(app.admin.request('POST', `/artifactory/api/v1/remotes/${key}/test`), 200);
  return answer.json();
}

/** The value of one sample; undefined where there is none. */
async function sample({ app }: RemoteWorld, name: string, labels: Readonly<Record<string, string>>) {
  const text = (await expectStatus(app.admin.request('GET', '/artifactory/api/v1/metrics'), 200)).text;
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const line = text
    .split('\n')
    .find((each) => each.startsWith(`entrepot_${name}{`) && wanted.every((label) => each.includes(label)));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}

onEachRemoteStorage('a remote repository', (world) => {
  test('is counted: hits, misses, stale answers, bytes and what its upstream answered', async () => {
    const { upstream, remote, get } = world();
    const body = 'x'.repeat(40_000);
    upstream.serve('/up/counted.bin', body, { ETag: '"c"' });
    const at = await remote('counted');
    assert.equal((await get(`${at}/counted.bin`)).text, body);
    await eventually(async () => {
      await get(`${at}/counted.bin`);
      assert.ok(((await sample(world(), 'remote_requests_total', { repo: 'counted', outcome: 'hit' })) ?? 0) >= 2);
    });
    assert.equal(await sample(world(), 'remote_fetched_bytes_total', { repo: 'counted' }), 40_000);
    assert.equal((await get(`${at}/missing.bin`)).status, 404);
    const requests = (outcome: string) => sample(world(), 'remote_requests_total', { repo: 'counted', outcome });
    // Who comes while a file is still arriving misses it, too.
    assert.ok(((await requests('miss')) ?? 0) >= 1);
    assert.ok(((await requests('absent')) ?? 0) >= 1);
    await eventually(async () => {
      const saved = (await sample(world(), 'remote_saved_bytes_total', { repo: 'counted' })) ?? 0;
      assert.ok(saved > 0 && saved % 40_000 === 0, String(saved));
    });
    const upstreamRequests = (outcome: string) =>
      sample(world(), 'remote_upstream_requests_total', { repo: 'counted', outcome });
    assert.equal(await upstreamRequests('2xx'), 1);
    assert.ok(((await upstreamRequests('4xx')) ?? 0) >= 1);
    const latency = (suffix: string, more = {}) =>
      sample(world(), `remote_upstream_duration_seconds_${suffix}`, { repo: 'counted', ...more });
    assert.equal(await latency('count'), await latency('bucket', { le: '+Inf' }));
    assert.ok(((await latency('count')) ?? 0) >= 2);

    await expectStatus(
      sendJson(world().app.admin, 'POST', '/artifactory/api/repositories/counted', { retrievalCachePeriodSecs: 0 }),
      200,
    );
    upstream.on('/up/counted.bin', ({ send }) => send(503, 'no'));
    await eventually(async () => {
      assert.match(String((await get(`${at}/counted.bin`)).headers.warning), /^110 /);
      assert.ok(((await requests('stale')) ?? 0) >= 1);
    });
    upstream.on('/up/failing.bin', ({ send }) => send(500, 'no'));
    assert.ok((await get(`${at}/failing.bin`)).status >= 500);
    assert.equal(await requests('failed'), 1);
    const status = await statusOf(world(), 'counted');
    assert.equal(status['online'], true);
    assert.match(String((status['lastTrouble'] as Json)['message']), /^Host ".*" answered 50[03]\.$/);
    assert.equal(JSON.stringify(status).includes('counted.bin'), false);
    const deleted = world().app.admin.request('DELETE', '/artifactory/api/repositories/counted');
    await expectStatus(deleted, 200);
    await eventually(async () => assert.equal(await requests('hit'), undefined));
  });

  test('says while its upstream is left alone, and why', async () => {
    const { upstream, remote, get } = world();
    const at = await remote('limited');
    upstream.on('/up/a.bin', ({ send }) => send(429, 'later', { 'Retry-After': 60 }));
    assert.equal((await get(`${at}/a.bin`)).status, 429);
    const status = await statusOf(world(), 'limited');
    assert.equal(status['online'], false);
    assert.equal((status['pause'] as Json)['reason'], 'rate-limited');
    assert.equal(await sample(world(), 'remote_paused', { repo: 'limited', reason: 'rate-limited' }), 1);
    assert.deepEqual(await testOf(world(), 'limited'), { outcome: 'rate-limited' });
    await expectStatus(world().app.admin.request('DELETE', '/artifactory/api/repositories/limited'), 200);
    await eventually(async () => {
      assert.equal(await sample(world(), 'remote_paused', { repo: 'limited', reason: 'rate-limited' }), undefined);
    });
    await remote('offline', { offline: true });
    const offline = await statusOf(world(), 'offline');
    assert.deepEqual([offline['online'], offline['offline']], [false, true]);
    await remote('dead', { url: 'http://127.0.0.1:1/up' });
    assert.ok((await get('/artifactory/dead/a.bin')).status >= 500);
    const dead = await statusOf(world(), 'dead');
    assert.ok(Date.parse(String(dead['assumedOfflineUntil'])) > Date.now());
  });

  test('tells of a connection test no more than its class', async () => {
    const { upstream, remote } = world();
    const outcomes: readonly [string, number, string][] = [
      ['t-ok', 200, 'ok'],
      ['t-missing', 404, 'ok'],
      ['t-credentials', 401, 'unauthorized'],
      ['t-failing', 500, 'failing'],
      ['t-limited', 429, 'rate-limited'],
    ];
    for (const [key, status, outcome] of outcomes) {
      upstream.on(`/${key}`, ({ send }) => send(status, 'canary of the upstream'));
      await remote(key, { url: `${upstream.url}/${key}` });
      assert.deepEqual(await testOf(world(), key), { outcome });
    }
    await remote('t-dead', { url: 'http://127.0.0.1:1/' });
    assert.deepEqual(await testOf(world(), 't-dead'), { outcome: 'unreachable' });
    await remote('t-metadata', { url: 'http://169.254.169.254/latest' });
    assert.deepEqual(await testOf(world(), 't-metadata'), { outcome: 'refused' });
    await remote('t-proxy', { proxy: 'nowhere' });
    assert.deepEqual(await testOf(world(), 't-proxy'), { outcome: 'refused' });
    assert.match(String(((await statusOf(world(), 't-proxy'))['lastTrouble'] as Json)['message']), /"nowhere"/);
  });

  test('forgets what was missing and how fresh things are, when it is told to', async () => {
    const { upstream, remote, get, app } = world();
    const at = await remote('zapped');
    upstream.serve('/up/z/kept.txt', 'one', { ETag: '"1"' });
    assert.equal((await get(`${at}/z/kept.txt`)).text, 'one');
    await eventually(async () => assert.equal((await get('/artifactory/zapped-cache/z/kept.txt')).text, 'one'));
    for (const path of ['z/late.txt', 'y/late.txt']) assert.equal((await get(`${at}/${path}`)).status, 404);
    upstream.serve('/up/z/kept.txt', 'two', { ETag: '"2"' });
    upstream.serve('/up/z/late.txt', 'late');
    upstream.serve('/up/y/late.txt', 'late');
    assert.equal((await get(`${at}/z/late.txt`)).status, 404);
    assert.equal((await get(`${at}/z/kept.txt`)).text, 'one');
    await expectStatus(app.admin.request('POST', '/artifactory/api/zap/zapped/z'), 200);
    assert.equal((await get(`${at}/z/late.txt`)).text, 'late');
    await eventually(async () => assert.equal((await get(`${at}/z/kept.txt`)).text, 'two'));
    assert.equal((await get(`${at}/y/late.txt`)).status, 404);
    await expectStatus(app.admin.request('POST', '/artifactory/api/repositories/zapped/zapCache'), 200);
    assert.equal((await get(`${at}/y/late.txt`)).text, 'late');
    await expectStatus(app.admin.request('POST', '/artifactory/api/zap/generic-local/z'), 400);
    await expectStatus(app.admin.request('POST', '/artifactory/api/zap/nowhere'), 404);
  });

  test('does not know by an answer what was to be forgotten while it asked', async () => {
    const { upstream, remote, get, app } = world();
    const at = await remote('zapped-early');
    const held = Promise.withResolvers<void>();
    upstream.on('/up/early.txt', async ({ send }) => {
      await held.promise;
      send(200, 'one');
    });
    const first = get(`${at}/early.txt`);
    await eventually(() => assert.equal(upstream.count('/up/early.txt'), 1));
    await expectStatus(app.admin.request('POST', '/artifactory/api/zap/zapped-early'), 200);
    held.resolve();
    assert.equal((await first).text, 'one');
    upstream.serve('/up/early.txt', 'two');
    await eventually(async () => assert.equal((await get(`${at}/early.txt`)).text, 'two'));
  });

  test('is inspected by administrators, and zapped by those who manage it', async () => {
    const { remote, app } = world();
    await remote('guarded');
    const [reader, manager, outsider] = [
      await createUser(app, 'reader'),
      await createUser(app, 'manager'),
      await createUser(app, 'outsider'),
    ];
    await grant(app, 'guarded', ['guarded'], { reader: ['r'], manager: ['r', 'm'] });
    for (const caller of [reader, manager, outsider]) {
      for (const [method, path] of [
        ['GET', 'v1/remotes/guarded/status'],
        ['POST', 'v1/remotes/guarded/test'],
        ['POST', 'repositories/guarded/zapCache'],
      ] as const) {
        assert.equal((await caller.request(method, `/artifactory/api/${path}`)).status, 403);
      }
    }
    const zap = '/artifactory/api/zap/guarded/a';
    assert.equal((await app.anonymous.request('POST', zap)).status, 401);
    assert.equal((await outsider.request('POST', zap)).status, 404);
    assert.equal((await outsider.request('POST', '/artifactory/api/zap/nowhere')).status, 404);
    assert.equal((await reader.request('POST', zap)).status, 403);
    await expectStatus(manager.request('POST', zap), 200);
    await expectStatus(app.admin.request('GET', '/artifactory/api/v1/remotes/nowhere/status'), 404);
    await expectStatus(app.admin.request('GET', '/artifactory/api/v1/remotes/generic-local/status'), 400);
  });
});
