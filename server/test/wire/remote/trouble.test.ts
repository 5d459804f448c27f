/** What clients get while an upstream is slow, away, or out of order, and what they may learn of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { HostileUpstream, pause } from '../../support/hostile-upstream.ts';
import { onEachRemoteStorage, type RemoteWorld } from './remote-world.ts';

const CACHED = (key: string, path: string) => `/artifactory/${key}-cache/${path}`;

/** Has the file fetched and kept. */
async function keep({ remote, get }: RemoteWorld, key: string, path: string, settings: object): Promise<string> {
  const at = `${await remote(key, { ...settings })}/${path}`;
  assert.equal((await get(at)).status, 200);
  await eventually(async () => assert.equal((await get(CACHED(key, path))).status, 200));
  return at;
}

onEachRemoteStorage('an upstream in trouble', (world) => {
  test('a request waits only so long for news of what is kept, and the news come all the same', async () => {
    const { upstream, get } = world();
    upstream.serve('/up/late.txt', 'old', { ETag: '"1"' });
    const at = await keep(world(), 'late', 'late.txt', {
      retrievalCachePeriodSecs: 0,
      metadataRetrievalTimeoutSecs: 1,
      // Only the limit above can end the wait.
      socketTimeoutMillis: 600_000,
    });
    const gate = Promise.withResolvers<void>();
    upstream.on('/up/late.txt', async ({ send }) => {
      await gate.promise;
      send(200, 'news', { ETag: '"2"' });
    });
    await eventually(async () => {
      const answer = await get(at);
      assert.equal(answer.text, 'old');
      // The first request may still have joined the fetch that brought the copy.
      assert.match(String(answer.headers.warning), /^110 /);
    });
    gate.resolve();
    await eventually(async () => assert.equal((await get(CACHED('late', 'late.txt'))).text, 'news'));
  });

  test('with hardFail a failure is told, even where an older copy is kept', async () => {
    const { upstream, get } = world();
    upstream.serve('/up/hard.txt', 'kept');
    const at = await keep(world(), 'hard', 'hard.txt', { retrievalCachePeriodSecs: 0, hardFail: true });
    upstream.on('/up/hard.txt', ({ send }) => send(500));
    await eventually(async () => assert.equal((await get(at)).status, 503));
    assert.equal((await get(CACHED('hard', 'hard.txt'))).text, 'kept');
  });

  test('an upstream that does not answer costs one wait; then it is assumed offline and nobody waits', async () => {
    const { upstream, remote, get } = world();
    const at = await remote('silent', { socketTimeoutMillis: 500, assumedOfflinePeriodSecs: 60 });
    upstream.on('/up/silent.bin', () => pause(10_000));
    for (let i = 0; i < 4; i++) {
      const answer = await get(`${at}/${i === 0 ? 'silent.bin' : `silent.bin?${i}`}`);
      assert.equal(answer.status, 503, answer.text);
      await pause(i < 3 ? 1600 : 0);
    }
    const asked = upstream.asked.length;
    const answer = await get(`${at}/other.bin`);
    assert.equal(answer.status, 503);
    assert.match(answer.text, /offline/);
    assert.equal(upstream.asked.length, asked);
  });

  test('everything that was ever fetched is served when the upstream is gone', async () => {
    const { remote, get, app } = world();
    const mortal = await HostileUpstream.start();
    const at = await remote('mortal', { url: mortal.url, retrievalCachePeriodSecs: 0 });
    for (const name of ['a', 'b', 'c']) {
      mortal.serve(`/${name}.txt`, name, { ETag: `"${name}"` });
      assert.equal((await get(`${at}/${name}.txt`)).text, name);
      await eventually(async () => assert.equal((await get(CACHED('mortal', `${name}.txt`))).status, 200));
    }
    await mortal.stop();
    for (const name of ['a', 'b', 'c']) {
      await eventually(async () => {
        const answer = await get(`${at}/${name}.txt`);
        assert.equal(answer.text, name);
        assert.match(String(answer.headers.warning), /^110 /);
      });
      assert.equal((await app.admin.request('HEAD', `${at}/${name}.txt`)).status, 200);
    }
    assert.equal((await get(`${at}/never.txt`)).status, 503);
  });

  test('a tag that flaps and dates that lie cost a fetch and no more', async () => {
    const { upstream, get } = world();
    let turn = 0;
    upstream.on('/up/flap.txt', ({ send }) => {
      turn += 1;
      send(200, 'same bytes', {
        ETag: `"${turn}"`,
        Date: 'Fri, 01 Jan 2016 00:00:00 GMT',
        'Last-Modified': 'Wed, 01 Jan 2099 00:00:00 GMT',
      });
    });
    const at = await keep(world(), 'flap', 'flap.txt', { retrievalCachePeriodSecs: 0 });
    const before = (await get('/artifactory/api/storage/flap-cache/flap.txt')).json() as { lastModified: string };
    await eventually(async () => {
      assert.equal((await get(at)).text, 'same bytes');
      assert.ok(turn > 2);
    });
    const after = (await get('/artifactory/api/storage/flap-cache/flap.txt')).json() as { lastModified: string };
    // The same bytes are no change.
    assert.equal(after.lastModified, before.lastModified);
    assert.ok(Date.parse(after.lastModified) < Date.now() + 60_000);
  });

  test('a miss is explained by what was asked, and by what is remembered', async () => {
    const { remote, get } = world();
    const at = await remote('explained');
    for (const expected of [/asked for [^.]*gone.txt[\s\S]*answered 404/, /answered 404[\s\S]*asked again after/]) {
      const answer = await get(`${at}/gone.txt`);
      assert.equal(answer.status, 404);
      await eventually(async () => {
        const told = await get(`/artifactory/api/explain/${String(answer.headers['x-request-id'])}`);
        assert.match(told.text, expected);
      });
    }
  });

  test('names that mean something to other servers are asked for as what they are', async () => {
    const { upstream, remote, get } = world();
    const at = await remote('odd');
    upstream.serve('/up/a%20b/c%3Fd%23e.txt', 'odd');
    assert.equal((await get(`${at}/a%20b/c%3Fd%23e.txt`)).text, 'odd');
    const asked = upstream.asked.length;
    for (const path of ['..%2fup', 'a/../../x', 'a%2f..%2fb', '%2e%2e/x', 'a//b', 'a%5cb']) {
      const answer = await get(`${at}/${path}`);
      assert.ok(answer.status === 400 || answer.status === 404, `${path}: ${answer.status}`);
    }
    for (const { target } of upstream.asked.slice(asked)) assert.ok(!target.includes('..'), target);
  });
});
