/** What is fetched once is kept, asked for again when its time is over, and served when nobody answers. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { pause } from '../../support/hostile-upstream.ts';
import { onEachRemoteStorage } from './remote-world.ts';

onEachRemoteStorage('a cache', (world) => {
  test('asks once and serves what it keeps', async () => {
    const { upstream, remote, get } = world();
    const body = randomBytes(300_000);
    upstream.serve('/up/dir/a.bin', body, { 'Last-Modified': 'Tue, 03 Feb 2026 10:00:00 GMT' });
    const at = await remote('once');
    const first = await get(`${at}/dir/a.bin`);
    assert.equal(first.status, 200, first.text);
    assert.ok(first.bytes.equals(body));
    assert.equal(first.headers['content-length'], '300000');
    const second = await get(`${at}/dir/a.bin`);
    assert.ok(second.bytes.equals(body));
    assert.equal(second.headers['last-modified'], 'Tue, 03 Feb 2026 10:00:00 GMT');
    assert.equal(second.headers.warning, undefined);
    assert.equal(upstream.count('/up/dir/a.bin'), 1);
  });

  test('answers headers without fetching, and parts of what is arriving', async () => {
    const { upstream, remote, get, head } = world();
    const body = randomBytes(200_000);
    upstream.serve('/up/b.bin', body);
    const at = await remote('light');
    const headers = await head(`${at}/b.bin`);
    assert.equal(headers.status, 200);
    assert.equal(headers.headers['content-length'], '200000');
    assert.equal(upstream.count('/up/b.bin'), 0);
    assert.equal(upstream.count('/up/b.bin', 'HEAD'), 1);
    const part = await get(`${at}/b.bin`, { range: 'bytes=1000-1999' });
    assert.equal(part.status, 206);
    assert.ok(part.bytes.equals(body.subarray(1000, 2000)));
    await eventually(async () => {
      assert.ok((await get(`${at}/b.bin`)).bytes.equals(body));
    });
    assert.equal(upstream.count('/up/b.bin'), 1);
  });

  test('many who wait are one question', async () => {
    const { upstream, remote, get } = world();
    const body = randomBytes(150_000);
    upstream.on('/up/many.bin', async ({ send }) => {
      await pause(200);
      send(200, body);
    });
    const at = await remote('many');
    const answers = await Promise.all(Array.from({ length: 40 }, () => get(`${at}/many.bin`)));
    for (const answer of answers) assert.ok(answer.bytes.equals(body));
    assert.equal(upstream.count('/up/many.bin'), 1);
  });

  test('asks again by the tag when its time is over, and takes what is new', async () => {
    const { upstream, remote, get } = world();
    upstream.serve('/up/c.txt', 'one', { ETag: '"1"' });
    const at = await remote('again', { retrievalCachePeriodSecs: 0 });
    assert.equal((await get(`${at}/c.txt`)).text, 'one');
    await eventually(async () => {
      assert.equal((await get(`${at}/c.txt`)).text, 'one');
      assert.ok(upstream.asked.some(({ headers }) => headers['if-none-match'] === '"1"'));
    });
    upstream.serve('/up/c.txt', 'two!', { ETag: '"2"' });
    await eventually(async () => assert.equal((await get(`${at}/c.txt`)).text, 'two!'));
    assert.equal((await get(`${at}/c.txt`)).text, 'two!');
  });

  test('serves the older copy with a warning when the upstream fails, and asks no more for a while', async () => {
    const { upstream, remote, get } = world();
    upstream.serve('/up/d.txt', 'kept', { ETag: '"d"' });
    const at = await remote('stale', { retrievalCachePeriodSecs: 0 });
    assert.equal((await get(`${at}/d.txt`)).text, 'kept');
    upstream.on('/up/d.txt', ({ send }) => send(503, 'no'));
    await eventually(async () => {
      const answer = await get(`${at}/d.txt`);
      assert.equal(answer.text, 'kept');
      assert.match(String(answer.headers.warning), /^110 /);
    });
    const asked = upstream.count('/up/d.txt');
    assert.match(String((await get(`${at}/d.txt`)).headers.warning), /^110 /);
    assert.equal(upstream.count('/up/d.txt'), asked);
  });

  test('remembers what is missing, and forgets it in time', async () => {
    const { upstream, remote, get } = world();
    const at = await remote('missing', { missedRetrievalCachePeriodSecs: 1 });
    assert.equal((await get(`${at}/e.txt`)).status, 404);
    assert.equal((await get(`${at}/e.txt`)).status, 404);
    assert.equal(upstream.count('/up/e.txt'), 1);
    upstream.serve('/up/e.txt', 'there');
    await eventually(async () => assert.equal((await get(`${at}/e.txt`)).text, 'there'));
    const never = await remote('unremembered', { missedRetrievalCachePeriodSecs: 0 });
    await get(`${never}/f.txt`);
    await get(`${never}/f.txt`);
    assert.equal(upstream.count('/up/f.txt'), 2);
  });

  test('serves only what it keeps when it is set offline', async () => {
    const { upstream, remote, get, app } = world();
    upstream.serve('/up/g.txt', 'g');
    const at = await remote('off');
    assert.equal((await get(`${at}/g.txt`)).text, 'g');
    // By its own address it may be given on while it arrives.
    await eventually(async () => assert.equal((await get('/artifactory/off-cache/g.txt')).text, 'g'));
    await app.admin.request('POST', '/artifactory/api/repositories/off', {
      body: JSON.stringify({ offline: true, retrievalCachePeriodSecs: 0 }),
      headers: { 'content-type': 'application/json' },
    });
    const asked = upstream.asked.length;
    await eventually(async () => assert.equal((await get(`${at}/h.txt`)).status, 404));
    assert.equal((await get(`${at}/g.txt`)).text, 'g');
    assert.equal(upstream.asked.length, asked);
  });

  test('serves only what it keeps while the whole server is set offline', async () => {
    const { upstream, remote, get, app } = world();
    const setOffline = async (offlineMode: boolean) => {
      const answer = await app.admin.request('PATCH', '/artifactory/api/system/configuration', {
        body: `offlineMode: ${offlineMode}\n`,
        headers: { 'content-type': 'application/yaml' },
      });
      assert.equal(answer.status, 200, answer.text);
    };
    for (const path of ['i.txt', 'j.txt', 'k.txt']) upstream.serve(`/up/${path}`, path);
    const at = await remote('server-off', { retrievalCachePeriodSecs: 0, missedRetrievalCachePeriodSecs: 0 });
    assert.equal((await get(`${at}/i.txt`)).text, 'i.txt');
    await eventually(async () => assert.equal((await get('/artifactory/server-off-cache/i.txt')).status, 200));
    await setOffline(true);
    try {
      await eventually(async () => assert.equal((await get(`${at}/j.txt`)).status, 404));
      assert.equal((await get(`${at}/i.txt`)).text, 'i.txt');
      const status = await app.admin.request('GET', '/artifactory/api/v1/remotes/server-off/status');
      assert.deepEqual([status.status, (status.json() as { offline: boolean }).offline], [200, true]);
    } finally {
      await setOffline(false);
    }
    await eventually(async () => assert.equal((await get(`${at}/k.txt`)).text, 'k.txt'));
  });
});
