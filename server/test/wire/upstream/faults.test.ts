/** What an upstream can do wrong, and how long it is left alone then. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, test } from 'node:test';
import { type Upstream, UpstreamFailure } from '../../../src/core/upstream.ts';
import type { RemoteEndpoint } from '../../../src/upstream/endpoint.ts';
import type { UpstreamObservation } from '../../../src/upstream/sender.ts';
import { Upstreams } from '../../../src/upstream/upstreams.ts';
import { FakeInternet } from '../../support/fake-internet.ts';

let now = Date.parse('2026-11-01T12:00:00Z');
const net = new FakeInternet();
const seen: UpstreamObservation[] = [];
const upstreams = new Upstreams({
  resolve: net.resolve,
  dial: net.dial,
  now: () => now,
  bodyIdleTimeoutMs: 100,
  observe: (each) => seen.push(each),
});
after(async () => {
  await upstreams.close();
  await net.close();
});
let made = 0;

function upstreamOf(endpoint: Omit<RemoteEndpoint, 'key'>): Upstream {
  made += 1;
  return upstreams.of({ key: `remote-${made}`, socketTimeoutMillis: 500, ...endpoint });
}

/** A host that answers every request with the bytes, and does then what it is told. */
async function wire(answer: string | Buffer, then: (socket: Socket) => void = () => {}): Promise<{ url: string }> {
  made += 1;
  return await net.serveRaw(`h${made}.wire.example`, (socket) => {
    socket.on('data', () => {
      socket.write(answer);
      then(socket);
    });
  });
}

const end = (socket: Socket) => socket.end();
const reset = (socket: Socket) => setTimeout(() => socket.resetAndDestroy(), 10);

const pauseOf = (upstream: Upstream) => upstream.pause;

/** Seconds until it is asked again. */
function waitOf({ pause }: Upstream): number | undefined {
  return pause && (pause.until.getTime() - now) / 1000;
}

async function failureOf(upstream: Upstream, path = 'x'): Promise<UpstreamFailure> {
  try {
    const { body } = await upstream.request({ method: 'GET', path });
    for await (const _ of body);
  } catch (error) {
    assert.ok(error instanceof UpstreamFailure, String(error));
    return error;
  }
  assert.fail('no failure');
}

test('a body that ends early, or goes on too long in silence, is no whole body', async () => {
  const cases: [string, string, (socket: Socket) => void, UpstreamFailure['trouble']][] = [
    ['short, half-closed', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive5', end, 'broken'],
    ['short, closed', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nfive5', end, 'broken'],
    ['short, reset', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive5', reset, 'broken'],
    ['chunks without an end', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfive5\r\n', end, 'broken'],
    [
      'chunks without an end, closed',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nfive5\r\n',
      end,
      'broken',
    ],
    [
      'half a chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nfi',
      end,
      'broken',
    ],
    ['silence', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive5', () => {}, 'timeout'],
  ];
  for (const [name, answer, then, trouble] of cases) {
    const { url } = await wire(answer, then);
    const failure = await failureOf(upstreamOf({ url }));
    assert.equal(failure.trouble, trouble, `${name}: ${failure.message}`);
    const last = seen.at(-1);
    assert.equal(last?.trouble, trouble, name);
    assert.equal(last?.status, 200);
  }
});

test('a body that nobody reads yet may fail without harm', async () => {
  const { url } = await wire('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive5', end);
  const { body } = await upstreamOf({ url }).request({ method: 'GET', path: 'x' });
  await new Promise((resolve) => body.once('close', resolve));
  assert.ok(body.errored instanceof UpstreamFailure);
});

test('what is no answer of HTTP is broken, and told in a sentence with the host', async () => {
  const answers: [string, string][] = [
    ['garbage', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'],
    ['length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['status 600', 'HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
    ['a mebibyte of headers', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1024 * 1024)}\r\n\r\n`],
    ['many headers', `HTTP/1.1 200 OK\r\n${'A: b\r\n'.repeat(30_000)}\r\n`],
    ['line break in a header', 'HTTP/1.1 200 OK\r\nLocation: /a\r\n /b\r\nX\r\n\r\n'],
  ];
  for (const [name, answer] of answers) {
    const { url } = await wire(answer, end);
    const failure = await failureOf(upstreamOf({ url }));
    assert.equal(failure.trouble, 'broken', `${name}: ${failure.message}`);
    assert.match(failure.message, /^Host "h\d+\.wire\.example" .*\.$/);
  }
});

test('a host that closes or says nothing is told apart', async () => {
  const closing = await wire('', end);
  const silent = await wire('');
  const slow = await wire('HTTP/1.1 200 OK\r\nX: ', (socket) => {
    const timer = setInterval(() => socket.write('a'), 20);
    socket.once('close', () => clearInterval(timer));
  });
  const forever = await wire('', (socket) => {
    const timer = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'), 20);
    socket.once('close', () => clearInterval(timer));
  });
  assert.equal((await failureOf(upstreamOf({ url: closing.url }))).trouble, 'broken');
  for (const { url } of [silent, slow, forever]) {
    const startedAt = performance.now();
    const failure = await failureOf(upstreamOf({ url }));
    assert.equal(failure.trouble, 'timeout', failure.message);
    assert.ok(performance.now() - startedAt < 20_000);
  }
});

test('a connection that the host closed meanwhile is no failure', async () => {
  let connections = 0;
  const { url } = await net.serveRaw('idle.wire.example', (socket) => {
    connections += 1;
    let requests = 0;
    socket.on('data', () => {
      requests += 1;
      // The second request on a connection finds it closed.
      if (requests === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else socket.destroy();
    });
  });
  const upstream = upstreamOf({ url });
  for (let i = 0; i < 3; i += 1) {
    const { body } = await upstream.request({ method: 'GET', path: 'x' });
    assert.equal(Buffer.concat(await Array.fromAsync(body as AsyncIterable<Buffer>)).toString(), 'ok');
  }
  assert.equal(connections, 3);
});

test('a host that cannot be reached is left alone, and asked by one request when the time is over', async () => {
  net.name('offline.example.com', '93.184.200.1', '93.184.200.2');
  const upstream = upstreamOf({ url: 'http://offline.example.com/', assumedOfflinePeriodSecs: 60 });
  assert.equal(pauseOf(upstream), undefined);
  const first = await failureOf(upstream);
  assert.equal(first.trouble, 'unreachable');
  assert.equal(first.retryAfterMs, 60_000);
  assert.match(first.message, /^Host "offline\.example\.com" cannot be reached \(ECONNREFUSED\)\.$/);
  const dials = net.dialled.length;
  assert.equal(pauseOf(upstream)?.reason, 'assumed-offline');
  assert.equal(pauseOf(upstream)?.until.getTime(), now + 60_000);
  const paused = await failureOf(upstream);
  assert.equal(paused.trouble, 'paused');
  assert.equal(net.dialled.length, dials, 'nothing is dialled meanwhile');
  now += 60_000;
  assert.equal(pauseOf(upstream), undefined);
  const outcomes = await Promise.all(Array.from({ length: 5 }, async () => (await failureOf(upstream)).trouble));
  assert.deepEqual(outcomes.toSorted(), ['paused', 'paused', 'paused', 'paused', 'unreachable']);
  assert.equal(net.dialled.length, dials + 2, 'one probe, at both addresses');
  now += 60_000;
  await net.serve('offline.example.com', (_request, response) => response.end('back'));
  const { body } = await upstream.request({ method: 'GET', path: 'x' });
  body.resume();
  assert.equal(pauseOf(upstream), undefined);
});

test('a probe that is given up leaves its turn to the next', async () => {
  let isUp = false;
  const host = await net.serve('probed.example.com', (_request, response) => {
    if (isUp) response.end();
  });
  const upstream = upstreamOf({ url: host.url, socketTimeoutMillis: 250 });
  for (let i = 0; i < 3; i += 1) await failureOf(upstream);
  now += 300_000;
  const controller = new AbortController();
  const probe = upstream.request({ method: 'GET', path: 'x', signal: controller.signal });
  controller.abort(new Error('left'));
  await assert.rejects(probe, /left/);
  isUp = true;
  assert.equal((await upstream.request({ method: 'HEAD', path: 'x' })).status, 200);
});

test('an unknown name is unreachable; a period of 0 never assumes anything', async () => {
  const upstream = upstreamOf({ url: 'http://nowhere.example.com/', assumedOfflinePeriodSecs: 0 });
  for (let i = 0; i < 3; i += 1) assert.equal((await failureOf(upstream)).trouble, 'unreachable');
  assert.equal(pauseOf(upstream), undefined);
});

test('three time-outs in a row count as offline, one does not', async () => {
  const { url } = await wire('');
  const upstream = upstreamOf({ url, socketTimeoutMillis: 250 });
  for (const expected of ['timeout', 'timeout', 'timeout', 'paused']) {
    assert.equal((await failureOf(upstream)).trouble, expected);
  }
});

test('a host elsewhere that is down does not make the upstream offline', async () => {
  const front = await net.serve('front.example.org', (request, response) => {
    if (request.target === '/blob') response.writeHead(302, { location: 'http://down.example.net/x' });
    response.end();
  });
  const upstream = upstreamOf({ url: front.url });
  assert.equal((await failureOf(upstream, 'blob')).trouble, 'unreachable');
  assert.equal(pauseOf(upstream), undefined);
  assert.equal((await upstream.request({ method: 'HEAD', path: 'fine' })).status, 200);
  assert.equal((await failureOf(upstream, 'blob')).trouble, 'paused');
});

test('a host that asks for time is given it', async () => {
  const cases: [number, string | undefined, number | undefined][] = [
    [429, '30', 30_000],
    [429, new Date(now + 90_000).toUTCString(), 90_000],
    [429, undefined, 60_000],
    [429, 'soon', 60_000],
    [429, '1000000000', 3_600_000],
    [429, '0', 1000],
    [503, '5', 5000],
    [503, undefined, undefined],
  ];
  for (const [status, retryAfter, expected] of cases) {
    made += 1;
    const host = await net.serve(`limit${made}.example.com`, (_request, response) => {
      response.writeHead(status, retryAfter === undefined ? {} : { 'retry-after': retryAfter });
      response.end('{"errors":[]}');
    });
    const upstream = upstreamOf({ url: host.url });
    const answer = await upstream.request({ method: 'GET', path: 'x' });
    answer.body.resume();
    assert.equal(answer.status, status, 'the answer itself is one');
    const what = `${status} ${retryAfter}`;
    assert.equal(waitOf(upstream), expected && expected / 1000, what);
    if (expected === undefined) continue;
    assert.equal(pauseOf(upstream)?.reason, 'rate-limited');
    const failure = await failureOf(upstream);
    assert.deepEqual([failure.trouble, failure.retryAfterMs], ['rate-limited', expected], what);
    assert.equal(host.requests.length, 1);
  }
});

test('the wait grows while a host goes on refusing, and begins anew after it answered', async () => {
  let status = 429;
  const host = await net.serve('backoff.example.com', (_request, response) => response.writeHead(status).end());
  const upstream = upstreamOf({ url: host.url });
  for (const wait of [60, 120, 240, 480, 960, 1920, 3600, 3600]) {
    await upstream.request({ method: 'HEAD', path: 'x' });
    assert.equal(waitOf(upstream), wait);
    now += wait * 1000;
  }
  status = 200;
  await upstream.request({ method: 'HEAD', path: 'x' });
  assert.equal(pauseOf(upstream), undefined);
  status = 429;
  await upstream.request({ method: 'HEAD', path: 'x' });
  assert.equal(waitOf(upstream), 60);
});

test('what a host says of its limits is kept', async () => {
  const host = await net.serve('budget.example.com', (request, response) => {
    if (request.target === '/x') {
      response.setHeader('ratelimit-limit', '100;w=21600');
      response.setHeader('ratelimit-remaining', '76;w=21600');
    }
    response.end();
  });
  const upstream = upstreamOf({ url: host.url });
  for (const path of ['x', 'y']) await upstream.request({ method: 'HEAD', path });
  assert.deepEqual(upstream.budget, { limit: 100, remaining: 76, windowSeconds: 21_600, seenAt: new Date(now) });
  assert.equal(pauseOf(upstream), undefined);
});
