/** Lists of what an upstream registry has, and who may have it asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { createUser, grant } from '../api/api-world.ts';
import { publish } from './images.ts';
import { onEachRemoteStorage } from './remote-world.ts';

onEachRemoteStorage('lists and rights of a remote repository', (world) => {
  const settings = () => ({ packageType: 'docker', url: world().upstream.url });
  const list = (tags: readonly string[]) => JSON.stringify({ name: 'x', tags });

  test('tags are those of the upstream, page by page, and of the cache when it is gone', async () => {
    const { remote, get, upstream } = world();
    publish(upstream, 'team/listed', 'b');
    upstream.on('/v2/team/listed/tags/list', ({ target, send }) => {
      if (target.includes('last=')) send(200, list(['c', 'd']));
      else send(200, list(['a', 'b']), { Link: '</v2/team/listed/tags/list?last=b&n=2>; rel="next"' });
    });
    await remote('listed', { ...settings(), retrievalCachePeriodSecs: 1 });
    const tags = async (query = '') =>
      ((await get(`/v2/listed/team/listed/tags/list${query}`)).json() as { tags: string[] }).tags;
    assert.deepEqual(await tags(), ['a', 'b', 'c', 'd']);
    assert.deepEqual(await tags('?n=2&last=a'), ['b', 'c']);
    assert.equal(upstream.count('/v2/team/listed/tags/list'), 2);
    upstream.on('/v2/team/listed/tags/list', ({ reset }) => reset());
    await eventually(async () => {
      assert.deepEqual(await tags(), ['a', 'b', 'c', 'd']);
      assert.ok(upstream.count('/v2/team/listed/tags/list') > 2);
    });
    assert.equal((await get('/v2/listed/team/listed/manifests/b')).status, 200);
  });

  test('a list that is none is not kept, and what is kept is listed', async () => {
    const { remote, get, upstream } = world();
    publish(upstream, 'team/broken', '1');
    upstream.serve('/v2/team/broken/tags/list', '<html>busy</html>', { 'Content-Type': 'text/html' });
    await remote('broken', settings());
    assert.equal((await get('/v2/broken/team/broken/manifests/1')).status, 200);
    await eventually(async () => {
      const answer = await get('/v2/broken/team/broken/tags/list');
      assert.deepEqual((answer.json() as { tags: string[] }).tags, ['1']);
    });
    upstream.serve('/v2/team/broken/tags/list', list(['1', '2']));
    await eventually(async () => {
      const answer = await get('/v2/broken/team/broken/tags/list');
      assert.deepEqual((answer.json() as { tags: string[] }).tags, ['1', '2']);
    });
  });

  test('an older list than the one that is kept does not replace it', async () => {
    const { remote, get, upstream, app } = world();
    const publishList = (tags: readonly string[], modified: string) =>
      upstream.serve('/v2/team/older/tags/list', list(tags), { 'Last-Modified': modified });
    publishList(['1', '2'], 'Tue, 03 Feb 2026 10:00:00 GMT');
    await remote('older', { ...settings(), retrievalCachePeriodSecs: 0 });
    const tags = async () => ((await get('/v2/older/team/older/tags/list')).json() as { tags: string[] }).tags;
    assert.deepEqual(await tags(), ['1', '2']);
    publishList(['1'], 'Mon, 02 Feb 2026 10:00:00 GMT');
    await eventually(async () => {
      assert.deepEqual(await tags(), ['1', '2']);
      assert.ok(app.complaints.some(({ message }) => message.includes('older list')));
    });
    publishList(['1', '2', '3'], 'Wed, 04 Feb 2026 10:00:00 GMT');
    await eventually(async () => assert.deepEqual(await tags(), ['1', '2', '3']));
  });

  test('reading alone gives what is kept; filling needs the right to deploy, asked before anything is sent', async () => {
    const { app, remote, get, upstream } = world();
    publish(upstream, 'team/rights', '1');
    publish(upstream, 'team/rights', '2');
    await remote('guarded', settings());
    const reader = await createUser(app, 'reader');
    const filler = await createUser(app, 'filler');
    await grant(app, 'guarded', ['guarded'], { reader: ['r'], filler: ['r', 'w'] });
    const before = upstream.asked.length;
    const refused = await reader.request('GET', '/v2/guarded/team/rights/manifests/1');
    assert.equal(refused.status, 403, refused.text);
    assert.equal(upstream.asked.length, before);
    assert.equal((await filler.request('GET', '/v2/guarded/team/rights/manifests/1')).status, 200);
    assert.equal((await reader.request('GET', '/v2/guarded/team/rights/manifests/1')).status, 200);
    const info = await get('/artifactory/api/storage/guarded-cache/team/rights/1/manifest.json');
    assert.equal((info.json() as { createdBy: string }).createdBy, 'filler');
    const nobody = await createUser(app, 'nobody');
    const asked = upstream.asked.length;
    assert.equal((await nobody.request('GET', '/v2/guarded/team/rights/manifests/2')).status, 404);
    assert.equal(upstream.asked.length, asked);
  });

  test('what a pattern leaves out is not asked for', async () => {
    const { remote, get, upstream } = world();
    upstream.serve('/up/in/a.txt', 'in');
    upstream.serve('/up/out/a.txt', 'out');
    const at = await remote('narrow', { includesPattern: 'in/**', excludesPattern: '**/*.secret' });
    assert.equal((await get(`${at}/in/a.txt`)).text, 'in');
    const asked = upstream.asked.length;
    assert.equal((await get(`${at}/out/a.txt`)).status, 404);
    assert.equal((await get(`${at}/in/b.secret`)).status, 404);
    assert.equal(upstream.asked.length, asked);
  });
});
