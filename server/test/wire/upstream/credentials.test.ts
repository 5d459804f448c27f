/** Where credentials, cookies and headers of a repository go, and where they do not. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { UpstreamFailure, UpstreamRequest } from '../../../src/core/upstream.ts';
import type { RemoteEndpoint } from '../../../src/upstream/endpoint.ts';
import { Upstreams } from '../../../src/upstream/upstreams.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { type Answer, type FakeHost, FakeInternet } from '../../support/fake-internet.ts';

const certificates = {
  own: makeCertificate('safe.example.com'),
  other: makeCertificate('safe.example.net'),
  client: makeCertificate('entrepot'),
};
const net = new FakeInternet();
const upstreams = new Upstreams({
  resolve: net.resolve,
  dial: net.dial,
  authorities: [certificates.own.certificate, certificates.other.certificate],
});
after(async () => {
  await upstreams.close();
  await net.close();
});

let location = '';
let status = 302;
const answer: Answer = (request, response) => {
  if (request.target.startsWith('/go'))
    response.writeHead(status, { location, 'set-cookie': 'session=hidden; Path=/' });
  response.end();
};
const tls = (certificate: { certificate: string; key: string }) => ({
  tls: { cert: certificate.certificate, key: certificate.key, requestCert: true, rejectUnauthorized: false },
});
const own = await net.serve('safe.example.com', answer, tls(certificates.own));
const hosts: Record<string, FakeHost> = {
  same: own,
  port: await net.serve('safe.example.com', answer, { port: 8443, ...tls(certificates.own) }),
  other: await net.serve('safe.example.net', answer, tls(certificates.other)),
};
const plain = await net.serve('plain.example.com', answer);
const plainOther = await net.serve('plain.example.net', answer);
const plainBelow = await net.serve('cdn.plain.example.com', answer);

const ENDPOINT = {
  username: 'ann',
  password: 'secret',
  customHttpHeaders: [{ name: 'X-Key', value: 'hidden' }],
  enableCookieManagement: true,
};
const BASIC = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
let made = 0;

async function ask(endpoint: Omit<RemoteEndpoint, 'key'>, request: Partial<UpstreamRequest> = {}) {
  made += 1;
  const upstream = upstreams.of({ key: `remote-${made}`, ...ENDPOINT, ...endpoint });
  // The first answer sets a cookie.
  const warm = await upstream.request({ method: 'HEAD', path: 'warm' });
  warm.body.resume();
  const asked = await upstream.request({ method: 'GET', path: 'go', ...request });
  asked.body.resume();
  return asked;
}

function lastOf(host: FakeHost | undefined) {
  const request = host?.requests.at(-1);
  assert.ok(request);
  const { authorization, cookie, range, accept } = request.headers;
  return { authorization, cookie, key: request.headers['x-key'], range, accept, target: request.target };
}

test('a redirect takes nothing of the settings to another origin', async () => {
  const headers = { range: 'bytes=5-', accept: 'application/x', authorization: 'Bearer of-the-ask', 'x-ask': '1' };
  for (status of [301, 302, 303, 307, 308]) {
    for (const [name, host] of Object.entries(hosts)) {
      location = `${host.url}/end/${name}?q=1`;
      const { url } = await ask({ url: own.url }, { headers });
      assert.equal(url.href, location);
      const isSame = name === 'same';
      assert.deepEqual(
        lastOf(host),
        {
          authorization: isSame ? BASIC : undefined,
          cookie: isSame ? 'session=hidden' : undefined,
          key: isSame ? 'hidden' : undefined,
          range: 'bytes=5-',
          accept: 'application/x',
          target: `/end/${name}?q=1`,
        },
        `${status} ${name}`,
      );
    }
    for (const host of [plainOther, plainBelow]) {
      location = `${host.url}/end`;
      await ask({ url: plain.url }, { headers });
      const { authorization, cookie, key } = lastOf(host);
      assert.deepEqual({ authorization, cookie, key }, { authorization: undefined, cookie: undefined, key: undefined });
    }
  }
});

test('allowAnyHostAuth takes along the authorization and nothing else', async () => {
  status = 302;
  location = `${plainOther.url}/end`;
  await ask({ url: plain.url, allowAnyHostAuth: true });
  const { authorization, cookie, key } = lastOf(plainOther);
  assert.deepEqual({ authorization, cookie, key }, { authorization: BASIC, cookie: undefined, key: undefined });
});

test('credentials in a redirect are not used', async () => {
  location = 'http://eve:pass@plain.example.net/end';
  await ask({ url: plain.url });
  assert.equal(lastOf(plainOther).authorization, undefined);
});

test('a redirect or a link from https down to http is not followed', async () => {
  location = `${plain.url}/end`;
  const before = plain.requests.length;
  const isRefused = (error: UpstreamFailure) => error.trouble === 'refused' && /down to http/.test(error.message);
  await assert.rejects(ask({ url: own.url }), isRefused);
  await assert.rejects(ask({ url: own.url }, { link: new URL(location) }), isRefused);
  assert.equal(plain.requests.length, before);
});

test('redirects end: in a circle, and after ten', async () => {
  location = '/go';
  await assert.rejects(ask({ url: plain.url }), /redirects more than 10 times/);
  assert.equal(plain.requests.filter(({ target }) => target === '/go').length >= 11, true);
});

test('methods go on as the status says', async () => {
  const cases: [number, string, string, string][] = [
    [301, 'POST', 'GET', ''],
    [302, 'POST', 'GET', ''],
    [303, 'POST', 'GET', ''],
    [307, 'POST', 'POST', 'body'],
    [308, 'POST', 'POST', 'body'],
    [301, 'HEAD', 'HEAD', ''],
    [303, 'HEAD', 'HEAD', ''],
    [307, 'GET', 'GET', ''],
  ];
  for (const [code, method, expected, body] of cases) {
    status = code;
    location = `${plainOther.url}/end`;
    const isPost = method === 'POST';
    await ask(
      { url: plain.url },
      {
        method: method as 'POST',
        ...(isPost && { body: Buffer.from('body'), headers: { 'content-type': 'text/plain' } }),
      },
    );
    const request = plainOther.requests.at(-1);
    assert.equal(request?.method, expected, `${code} ${method}`);
    assert.equal(request?.body, body);
  }
});

test('a status of redirection without a location is an answer', async () => {
  const upstream = upstreams.of({
    key: 'bare',
    url: (await net.serve('bare.example.com', (_r, s) => s.writeHead(300).end())).url,
  });
  assert.equal((await upstream.request({ method: 'HEAD', path: 'x' })).status, 300);
});

test('a client certificate is shown to the host of the repository only', async () => {
  const shown: [string, string | undefined][] = [];
  const serve = (host: string, certificate: { certificate: string; key: string }, port: number) =>
    net.serve(
      host,
      (request, response) => {
        const socket = response.socket as unknown as { getPeerCertificate(): { subject?: { CN: string } } };
        shown.push([host, socket.getPeerCertificate().subject?.CN]);
        if (request.target === '/go') response.writeHead(302, { location: 'https://safe.example.net:9443/end' });
        response.end();
      },
      { port, ...tls(certificate) },
    );
  const first = await serve('safe.example.com', certificates.own, 9443);
  await serve('safe.example.net', certificates.other, 9443);
  const { client } = certificates;
  await ask({ url: first.url, clientCertificate: { key: client.key, cert: client.certificate } });
  assert.deepEqual(shown, [
    ['safe.example.com', 'entrepot'],
    ['safe.example.com', 'entrepot'],
    ['safe.example.net', undefined],
  ]);
});

test('a certificate that is not trusted, of another name or over ends the request', async () => {
  const unknown = makeCertificate('unknown.example.com');
  const over = makeCertificate('over.example.com', -1);
  const hostsOf = [
    await net.serve('unknown.example.com', answer, tls(unknown)),
    await net.serve('wrong-name.example.com', answer, tls(certificates.own)),
    await net.serve('over.example.com', answer, tls(over)),
  ];
  const strict = new Upstreams({
    resolve: net.resolve,
    dial: net.dial,
    authorities: [certificates.own.certificate, over.certificate],
  });
  for (const { url, requests } of hostsOf) {
    await assert.rejects(
      strict.of({ key: url, url }).request({ method: 'GET', path: 'x' }),
      (error: UpstreamFailure) => {
        assert.equal(error.trouble, 'unreachable');
        assert.match(error.message, /^No safe connection to host ".*" \(.*\): check its certificate/);
        return true;
      },
    );
    assert.equal(requests.length, 0);
  }
  await strict.close();
});

test('credentials in the URL count where there are no others', async () => {
  await ask({ url: 'http://bob:p%40ss@plain.example.com', username: '', password: '' });
  assert.equal(plain.requests.at(-1)?.headers.authorization, `Basic ${Buffer.from('bob:p@ss').toString('base64')}`);
});

test('HEAD of what a store signed for GET is answered by the head of a GET', async () => {
  const store = await net.serve('store.example.com', (request, response) => {
    if (request.method === 'HEAD') response.writeHead(403).end();
    else response.writeHead(200, { 'content-length': 1_000_000, etag: '"x"' }).write('begun');
  });
  status = 307;
  location = `${store.url}/blob?X-Signature=1`;
  const answer = await ask({ url: plain.url }, { method: 'HEAD' });
  assert.deepEqual([answer.status, answer.headers['content-length'], answer.headers.etag], [200, '1000000', '"x"']);
  assert.deepEqual(
    store.requests.map(({ method }) => method),
    ['HEAD', 'GET'],
  );
});
