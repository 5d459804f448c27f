/** What the settings of a remote repository have its upstream see, and what they have refused of its answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { HostileUpstream } from '../../support/hostile-upstream.ts';
import { expectStatus, sendJson } from '../api/api-world.ts';
import { onEachRemoteStorage, type RemoteWorld } from './remote-world.ts';

const ALL = '/artifactory/api/repositories';
const SECRETS = {
  username: 'ann',
  password: 'canary-password',
  customHttpHeaders: [
    { name: 'X-Token', value: 'canary-header', sensitive: true },
    { name: 'X-Team', value: 'tools', sensitive: false },
  ],
};

async function change({ app }: RemoteWorld, key: string, settings: object): Promise<void> {
  await expectStatus(sendJson(app.admin, 'POST', `${ALL}/${key}`, settings), 200);
}

const last = (upstream: HostileUpstream) => upstream.asked.at(-1);

onEachRemoteStorage('the settings of a remote repository', (world) => {
  test('are what its upstream sees: credentials, headers and parameters', async () => {
    const { upstream, remote, get } = world();
    const at = await remote('seen', { ...SECRETS, queryParams: 'a=b&c=d' });
    for (const name of ['one', 'two']) upstream.serve(`/up/${name}`, name);
    assert.equal((await get(`${at}/one`)).text, 'one');
    const first = last(upstream);
    assert.equal(first?.headers['authorization'], `Basic ${Buffer.from('ann:canary-password').toString('base64')}`);
    assert.deepEqual([first?.headers['x-token'], first?.headers['x-team']], ['canary-header', 'tools']);
    // What a client sends along is its own affair.
    const answer = await get(`${at}/two?evil=1`, { 'x-private': 'mine', cookie: 'a=b' });
    assert.equal(answer.text, 'two');
    const second = last(upstream);
    assert.equal(second?.target, '/up/two?a=b&c=d');
    assert.deepEqual([second?.headers['x-private'], second?.headers['cookie']], [undefined, undefined]);
  });

  test('send no secret to another host that the URL is changed to', async () => {
    const { upstream, remote, get } = world();
    const at = await remote('moved', SECRETS);
    upstream.serve('/up/before', 'before');
    assert.equal((await get(`${at}/before`)).text, 'before');
    const other = await HostileUpstream.start();
    try {
      other.serve('/up/after', 'after');
      await change(world(), 'moved', { url: `${other.url}/up` });
      assert.equal((await get(`${at}/after`)).text, 'after');
      assert.ok(other.asked.length > 0);
      for (const { headers } of other.asked) assert.ok(!JSON.stringify(headers).includes('canary'));
      assert.ok(other.asked.every(({ headers }) => !(headers['authorization'] ?? '').includes('Y2FuYXJ5')));
      assert.equal(last(other)?.headers['x-team'], 'tools');
      await change(world(), 'moved', { password: 'entered again' });
      other.serve('/up/again', 'again');
      assert.equal((await get(`${at}/again`)).text, 'again');
      const expected = Buffer.from('ann:entered again').toString('base64');
      assert.equal(last(other)?.headers['authorization'], `Basic ${expected}`);
    } finally {
      await other.stop();
    }
  });

  test('have it asked through the proxy that is named, through the default one, or directly', async () => {
    const { app, upstream, remote, get } = world();
    const proxy = await HostileUpstream.start();
    try {
      const { hostname, port } = new URL(proxy.url);
      const descriptor = (platformDefault: boolean) =>
        `proxies:\n  outer:\n    host: ${hostname}\n    port: ${port}\n    username: p\n    password: hidden\n    platformDefault: ${platformDefault}\n`;
      const patch = (body: string) =>
        expectStatus(
          app.admin.request('PATCH', '/artifactory/api/system/configuration', {
            headers: { 'content-type': 'application/yaml' },
            body,
          }),
          200,
        );
      await patch(descriptor(false));
      upstream.serve('/up/direct', 'direct');
      for (const name of ['named', 'default']) proxy.serve(`${upstream.url}/up/${name}`, `by proxy ${name}`);
      assert.equal((await get(`${await remote('unproxied')}/direct`)).text, 'direct');
      const named = await remote('proxied', { proxy: 'outer' });
      assert.equal((await get(`${named}/named`)).text, 'by proxy named');
      const authorization = `Basic ${Buffer.from('p:hidden').toString('base64')}`;
      assert.equal(last(proxy)?.headers['proxy-authorization'], authorization);
      await patch(descriptor(true));
      await eventually(async () => {
        assert.equal((await get('/artifactory/unproxied/default')).text, 'by proxy default');
      });
      const direct = await remote('disabled', { disableProxy: true });
      assert.equal((await get(`${direct}/direct`)).text, 'direct');
      await patch('proxies:\n  outer: null\n');
      const gone = await get(`${named}/other`);
      assert.equal(gone.status, 502, gone.text);
      assert.match(gone.text, /proxy \\"outer\\", which does not exist/);
    } finally {
      await proxy.stop();
    }
  });

  test('refuse a page in the place of a file, unless they allow it', async () => {
    const { upstream, remote, get } = world();
    const page = { 'Content-Type': 'text/html; charset=utf-8' };
    for (const path of ['a.jar', 'b.jar', 'c.jar', 'd.html']) upstream.serve(`/up/${path}`, '<html>login</html>', page);
    const blocking = await remote('blocking');
    const refused = await get(`${blocking}/a.jar`);
    assert.equal(refused.status, 502, refused.text);
    assert.match(refused.text, /page/);
    assert.equal((await get('/artifactory/blocking-cache/a.jar')).status, 404);
    assert.equal((await get(`${blocking}/d.html`)).status, 200);
    const open = await remote('taking', { blockMismatchingMimeTypes: false });
    assert.equal((await get(`${open}/b.jar`)).status, 200);
    const list = { mismatchingMimeTypesOverrideList: 'application/xhtml+xml, text/html' };
    const listed = await remote('overriding', list);
    assert.equal((await get(`${listed}/c.jar`)).status, 200);
  });
});
