import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { type Upstream, UpstreamFailure } from '../../../src/core/upstream.ts';
import type { RemoteEndpoint } from '../../../src/upstream/endpoint.ts';
import type { UpstreamObservation } from '../../../src/upstream/sender.ts';
import { Upstreams } from '../../../src/upstream/upstreams.ts';
import { eventually } from '../../support/eventually.ts';
import { FakeInternet } from '../../support/fake-internet.ts';

const net = new FakeInternet();
const seen: UpstreamObservation[] = [];
const upstreams = new Upstreams({ resolve: net.resolve, dial: net.dial, observe: (each) => seen.push(each) });
after(async () => {
  await upstreams.close();
  await net.close();
});
let made = 0;

function upstreamOf(endpoint: Omit<RemoteEndpoint, 'key'>): Upstream {
  made += 1;
  return upstreams.of({ key: `remote-${made}`, ...endpoint });
}

async function bytesOf(body: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(body));
}

test('a path is asked below the URL, and the bytes come as they were sent', async () => {
  const host = await net.serve('plain.example.com', (_request, response) => {
    response.setHeader('content-encoding', 'gzip');
    response.setHeader('etag', '"one"');
    response.end(Buffer.from([0x1f, 0x8b, 0xff, 0x00]));
  });
  const upstream = upstreamOf({ url: `${host.url}/base/` });
  const answer = await upstream.request({
    method: 'GET',
    path: 'a b/@scope/x+y.jar',
    headers: { Accept: 'text/plain' },
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.etag, '"one"');
  assert.equal(answer.url.href, `${host.url}/base/a%20b/@scope/x+y.jar`);
  assert.deepEqual([...(await bytesOf(answer.body))], [0x1f, 0x8b, 0xff, 0x00]);
  const [request] = host.requests;
  assert.equal(request?.target, '/base/a%20b/@scope/x+y.jar');
  assert.equal(request?.headers['accept-encoding'], 'identity');
  assert.match(request?.headers['user-agent'] ?? '', /^Entrepot\/\d/);
  assert.equal(request?.headers.accept, 'text/plain');
  assert.deepEqual(
    seen
      .filter((each) => each.host === 'plain.example.com')
      .map(({ status, bytes, trouble }) => ({ status, bytes, trouble })),
    [{ status: 200, bytes: 4, trouble: undefined }],
  );
});

test('a body of megabytes comes whole to a slow reader, and connections serve many requests', async () => {
  const block = Buffer.alloc(1024 * 1024, 7);
  const host = await net.serve('large.example.com', (_request, response) => {
    for (let i = 0; i < 8; i += 1) response.write(block);
    response.end();
  });
  const upstream = upstreamOf({ url: host.url });
  const before = net.dialled.length;
  for (let round = 0; round < 3; round += 1) {
    const { body } = await upstream.request({ method: 'GET', path: 'blob' });
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(bytes, 8 * 1024 * 1024);
  }
  for (let i = 0; i < 10; i += 1) await upstream.request({ method: 'HEAD', path: 'blob' });
  assert.ok(net.dialled.length - before <= 4, String(net.dialled.length - before));
});

test('HEAD and POST go out as such', async () => {
  const host = await net.serve('methods.example.com', (request, response) => response.end(request.body || 'none'));
  const upstream = upstreamOf({ url: host.url });
  const head = await upstream.request({ method: 'HEAD', path: 'x' });
  assert.equal(head.status, 200);
  assert.equal((await bytesOf(head.body)).length, 0);
  const post = await upstream.request({
    method: 'POST',
    path: 'search',
    body: Buffer.from('{"a":1}'),
    query: { q: 'a&b' },
  });
  assert.equal((await bytesOf(post.body)).toString(), '{"a":1}');
  assert.deepEqual(
    host.requests.map(({ method, target }) => `${method} ${target}`),
    ['HEAD /x', 'POST /search?q=a%26b'],
  );
});

test('what the settings add goes to the host of the repository', async () => {
  const host = await net.serve('settings.example.com', (request, response) => {
    if (request.target.startsWith('/first')) response.setHeader('set-cookie', ['a=1; Path=/', 'b=2; Path=/other']);
    response.end();
  });
  const upstream = upstreamOf({
    url: `${host.url}/`,
    username: 'ann',
    password: 'secret',
    queryParams: '?sv=1&sig=x%2F',
    customHttpHeaders: [
      { name: 'X-Team', value: 'core' },
      { name: 'Host', value: 'elsewhere' },
    ],
    enableCookieManagement: true,
  });
  await (await upstream.request({ method: 'GET', path: 'first' })).body.resume();
  await upstream.request({ method: 'HEAD', path: 'second//x/', query: { n: '5' } });
  const [, request] = host.requests;
  assert.equal(request?.target, '/second/x/?sv=1&sig=x%2F&n=5');
  assert.equal(request?.headers.host, 'settings.example.com');
  assert.equal(request?.headers['x-team'], 'core');
  assert.equal(request?.headers.cookie, 'a=1');
  assert.equal(request?.headers.authorization, `Basic ${Buffer.from('ann:secret').toString('base64')}`);
});

test('only so many requests are under way at once, and the rest wait in turn', async () => {
  let atOnce = 0;
  let most = 0;
  const host = await net.serve('busy.example.com', (_request, response) => {
    atOnce += 1;
    most = Math.max(most, atOnce);
    setTimeout(() => {
      atOnce -= 1;
      response.end('x');
    }, 5);
  });
  const upstream = upstreamOf({ url: host.url, maxConcurrent: 3 });
  const statuses = await Promise.all(
    Array.from({ length: 12 }, async (_, i) => {
      const { status, body } = await upstream.request({ method: 'GET', path: `${i}` });
      await bytesOf(body);
      return status;
    }),
  );
  assert.deepEqual(new Set(statuses), new Set([200]));
  assert.equal(most, 3);
});

test('a signal ends a request that waits for its turn, one without an answer, and a body', async () => {
  const host = await net.serve('endless.example.com', (request, response) => {
    if (request.target === '/body') response.write('begun');
  });
  const upstream = upstreamOf({ url: host.url, maxConcurrent: 1 });
  const first = new AbortController();
  const unanswered = upstream.request({ method: 'GET', path: 'silent', signal: first.signal });
  const second = new AbortController();
  const waiting = upstream.request({ method: 'GET', path: 'waits', signal: second.signal });
  second.abort(new Error('no more'));
  await assert.rejects(waiting, /no more/);
  await eventually(() => assert.equal(host.requests.length, 1));
  first.abort(new Error('left'));
  await assert.rejects(unanswered, /left/);
  const third = new AbortController();
  const { body } = await upstream.request({ method: 'GET', path: 'body', signal: third.signal });
  third.abort(new Error('gone'));
  await assert.rejects(bytesOf(body), /gone/);
});

test('settings that change make a new upstream, and what is under way goes on', async () => {
  const host = await net.serve('changing.example.com', (request, response) => {
    response.write('first ');
    setTimeout(() => response.end(`last ${request.headers.authorization ?? 'nobody'}`), 20);
  });
  const endpoint = { key: 'changing', url: host.url, username: 'ann', password: 'one' };
  const upstream = upstreams.of(endpoint);
  assert.equal(upstreams.of({ ...endpoint }), upstream);
  const { body } = await upstream.request({ method: 'GET', path: 'x' });
  const changed = upstreams.of({ ...endpoint, password: 'two' });
  assert.notEqual(changed, upstream);
  assert.match((await bytesOf(body)).toString(), /^first last Basic /);
  const after = await changed.request({ method: 'GET', path: 'x' });
  assert.match((await bytesOf(after.body)).toString(), new RegExp(Buffer.from('ann:two').toString('base64')));
  await eventually(async () => {
    await assert.rejects(upstream.request({ method: 'GET', path: 'x' }), UpstreamFailure);
  });
});

test('a link is asked in the place of a path, without what is of other hosts', async () => {
  const own = await net.serve('own.example.com', (_request, response) => response.end('own'));
  const other = await net.serve('files.example.net', (_request, response) => response.end('other'));
  const upstream = upstreamOf({ url: own.url, username: 'ann', password: 'secret', queryParams: 'sig=1' });
  await upstream.request({ method: 'HEAD', path: '', link: new URL(`${own.url}/a/b.tgz?x=1`) });
  assert.equal(own.requests[0]?.target, '/a/b.tgz?x=1&sig=1');
  assert.match(own.requests[0]?.headers.authorization ?? '', /^Basic /);
  await upstream.request({
    method: 'HEAD',
    path: '',
    link: new URL('http://user:pass@files.example.net/b.tgz'),
    headers: { authorization: 'Bearer x', 'x-own': '1', range: 'bytes=1-' },
  });
  assert.equal(other.requests[0]?.target, '/b.tgz');
  assert.equal(other.requests[0]?.headers.authorization, undefined);
  assert.equal(other.requests[0]?.headers['x-own'], undefined);
  assert.equal(other.requests[0]?.headers.range, 'bytes=1-');
});

test('settings that cannot be used are told as such, without their secrets', async () => {
  const host = await net.serve('odd.example.com', (_request, response) => response.end());
  net.name('odd-tls.example.com', '93.184.250.1');
  await net.serveRaw('odd-tls.example.com', () => {}, 443);
  const cases: [Omit<RemoteEndpoint, 'key'>, RegExp][] = [
    [
      { url: host.url, customHttpHeaders: [{ name: 'X-A', value: 'hidden\r\nHost: b' }] },
      /correct "customHttpHeaders"/,
    ],
    [{ url: host.url, customHttpHeaders: [{ name: 'X A', value: 'hidden' }] }, /correct "customHttpHeaders"/],
    [
      { url: 'https://odd-tls.example.com', clientCertificate: { key: 'hidden', cert: 'hidden' } },
      /client certificate/,
    ],
    [{ url: host.url, proxy: { host: 'a b', port: 1 } }, /host and port of the proxy/],
  ];
  for (const [endpoint, message] of cases) {
    await assert.rejects(upstreamOf(endpoint).request({ method: 'GET', path: 'x' }), (error: UpstreamFailure) => {
      assert.ok(error instanceof UpstreamFailure, String(error));
      assert.equal(error.trouble, 'refused', error.message);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /hidden/);
      return true;
    });
  }
  const direct = new Upstreams({ allowedAddresses: ['127.0.0.1'] });
  const local = direct.of({ key: 'local', url: 'http://127.0.0.1:9/', localAddress: 'nonsense' });
  await assert.rejects(local.request({ method: 'GET', path: 'x' }), /local address of the settings/);
  await direct.close();
});

test('the resolver and the dialler of the system are guarded too', async () => {
  const server = createServer((_request, response) => response.end('here'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const closed = new Upstreams();
  const open = new Upstreams({ allowedAddresses: ['127.0.0.0/8', '::1'] });
  for (const host of ['localhost', '127.0.0.1', '127.1']) {
    const endpoint = { key: host, url: `http://${host}:${port}/` };
    await assert.rejects(closed.of(endpoint).request({ method: 'GET', path: 'x' }), /is a loopback address/);
    const { body } = await open.of(endpoint).request({ method: 'GET', path: 'x' });
    assert.equal((await bytesOf(body)).toString(), 'here');
  }
  await Promise.all([closed.close(), open.close()]);
  await new Promise((resolve) => server.close(resolve));
});

test('a body that is left early is seen as abandoned, and its place is free again', async () => {
  const host = await net.serve('left.example.com', (_request, response) => {
    response.write(Buffer.alloc(2 * 1024 * 1024));
  });
  const upstream = upstreamOf({ url: host.url, maxConcurrent: 1 });
  for (let i = 0; i < 3; i += 1) {
    const { body } = await upstream.request({ method: 'GET', path: 'x' });
    body.destroy();
  }
  await eventually(() => {
    const troubles = seen.filter((each) => each.host === 'left.example.com').map(({ trouble }) => trouble);
    assert.deepEqual(troubles, ['abandoned', 'abandoned', 'abandoned']);
  });
});

test('a signal ends the wait for a token too', async () => {
  const realm = await net.serve('realm.slow.example', () => {});
  const host = await net.serve('registry.slow.example', (_request, response) => {
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm.url}/t"` }).end();
  });
  const controller = new AbortController();
  const asked = upstreamOf({ url: host.url }).request({ method: 'GET', path: 'x', signal: controller.signal });
  await eventually(() => assert.equal(realm.requests.length, 1));
  controller.abort(new Error('left'));
  await assert.rejects(asked, /left/);
});

test('the body that a server wrongly sends after a HEAD is not taken for the next answer', async () => {
  const { url } = await net.serveRaw('talkative.example.com', (socket) => {
    socket.on('data', (chunk: Buffer) => {
      const isHead = chunk.toString('latin1').startsWith('HEAD');
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${isHead ? 43 : 4}\r\n\r\n`);
      socket.write(isHead ? 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil' : 'good');
    });
  });
  const upstream = upstreamOf({ url });
  for (let i = 0; i < 5; i += 1) {
    await upstream.request({ method: 'HEAD', path: 'x' });
    const { body } = await upstream.request({ method: 'GET', path: 'x' });
    assert.equal((await bytesOf(body)).toString(), 'good');
  }
});
