import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { UpstreamFailure } from '../../../src/core/upstream.ts';
import type { RemoteEndpoint } from '../../../src/upstream/endpoint.ts';
import { Upstreams } from '../../../src/upstream/upstreams.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { FakeInternet } from '../../support/fake-internet.ts';

const certificate = makeCertificate('target.example.com');
const proxyCertificate = makeCertificate('proxy.example.com');
const net = new FakeInternet();
const upstreams = new Upstreams({
  resolve: net.resolve,
  dial: net.dial,
  authorities: [certificate.certificate, proxyCertificate.certificate],
});
const PROXY_AUTHORIZATION = `Basic ${Buffer.from('proxy-user:proxy-pass').toString('base64')}`;
/** The heads of requests that the proxy got. */
const heads: string[] = [];
let tunnelAnswer: string | undefined;

const target = await net.serve('target.example.com', (request, response) => response.end(`tls ${request.target}`), {
  tls: { cert: certificate.certificate, key: certificate.key },
});
const plain = await net.serve('plain.example.com', (request, response) => response.end(`plain ${request.target}`));

/** A proxy of the kind that companies have: tunnels by CONNECT, everything else in absolute form. */
function onProxyConnection(socket: Socket): void {
  let head = '';
  const onData = (chunk: Buffer) => {
    head += chunk.toString('latin1');
    if (!head.includes('\r\n\r\n')) return;
    socket.off('data', onData);
    heads.push(head);
    const [, method, wanted = ''] = /^(\S+) (\S+) /.exec(head) ?? [];
    const url = new URL(method === 'CONNECT' ? `https://${wanted}` : wanted);
    if (method === 'CONNECT' && tunnelAnswer !== undefined) {
      socket.end(tunnelAnswer);
      return;
    }
    net.resolve(url.hostname).then(
      ([address = '']) => {
        const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
        const onward = net.dial({ address, port });
        onward.on('error', () => socket.destroy());
        socket.on('error', () => onward.destroy());
        if (method === 'CONNECT') socket.write('HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n');
        else onward.write(`${head.replace(wanted, url.pathname + url.search).replace('keep-alive', 'close')}`);
        socket.pipe(onward).pipe(socket);
      },
      () => socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n'),
    );
  };
  socket.on('data', onData);
}

await net.serveRaw('proxy.example.com', onProxyConnection, 3128);
const secured = createTlsServer(
  { cert: proxyCertificate.certificate, key: proxyCertificate.key },
  onProxyConnection as (socket: unknown) => void,
);
await new Promise<void>((resolve) => secured.listen(0, '127.0.0.1', resolve));
await net.serveRaw(
  'proxy.example.com',
  (socket) => {
    const onward = connect((secured.address() as { port: number }).port, '127.0.0.1');
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  },
  3129,
);
after(async () => {
  await upstreams.close();
  await net.close();
  secured.close();
});
let made = 0;

async function ask(endpoint: Partial<RemoteEndpoint> & { url: string }, path = 'a/b?c') {
  made += 1;
  const upstream = upstreams.of({
    key: `remote-${made}`,
    username: 'ann',
    password: 'secret',
    proxy: { host: 'proxy.example.com', port: 3128, username: 'proxy-user', password: 'proxy-pass' },
    ...endpoint,
  });
  const answer = await upstream.request({ method: 'GET', path });
  const text = Buffer.concat(await Array.fromAsync(answer.body as AsyncIterable<Buffer>)).toString();
  return { status: answer.status, text };
}

test('https goes through a tunnel, in which the proxy sees nothing', async () => {
  heads.length = 0;
  net.dialled.length = 0;
  assert.deepEqual(await ask({ url: target.url }), { status: 200, text: 'tls /a/b%3Fc' });
  assert.equal(heads.length, 1);
  assert.match(heads[0] ?? '', /^CONNECT target\.example\.com:443 HTTP\/1\.1\r\nHost: target\.example\.com:443\r\n/);
  assert.ok(heads[0]?.includes(`Proxy-Authorization: ${PROXY_AUTHORIZATION}\r\n`));
  assert.doesNotMatch(heads[0] ?? '', /secret|\r\nauthorization/i);
  assert.equal(target.requests.at(-1)?.headers['proxy-authorization'], undefined);
  assert.match(target.requests.at(-1)?.headers.authorization ?? '', /^Basic /);
  assert.equal(net.dialled.filter((dialled) => dialled.endsWith(':3128')).length, 1);
});

test('http is asked of the proxy in absolute form', async () => {
  heads.length = 0;
  assert.deepEqual(await ask({ url: plain.url }), { status: 200, text: 'plain /a/b%3Fc' });
  assert.match(heads[0] ?? '', /^GET http:\/\/plain\.example\.com\/a\/b%3Fc HTTP\/1\.1\r\n/);
  assert.match(heads[0] ?? '', new RegExp(`proxy-authorization: ${PROXY_AUTHORIZATION}`, 'i'));
  assert.match(heads[0] ?? '', /host: plain\.example\.com\r\n/i);
});

test('a proxy may itself be asked over https', async () => {
  const proxy = { scheme: 'https', host: 'proxy.example.com', port: 3129 } as const;
  assert.equal((await ask({ url: target.url, proxy })).text, 'tls /a/b%3Fc');
  assert.equal((await ask({ url: plain.url, proxy })).text, 'plain /a/b%3Fc');
});

test('names that only the proxy knows are left to it', async () => {
  heads.length = 0;
  assert.equal((await ask({ url: 'http://inside.corp.example/' })).status, 502);
  assert.match(heads[0] ?? '', /^GET http:\/\/inside\.corp\.example\//);
});

test('a proxy that refuses is told apart from the upstream', async () => {
  const cases: [string, RegExp][] = [
    ['HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n', /wants other credentials/],
    ['HTTP/1.1 403 Forbidden\r\n\r\n', /does not lead to "target\.example\.com:443" \(403\)/],
    ['nonsense\r\n\r\n', /no HTTP answer/],
    ['', /closed the connection/],
    ['x'.repeat(20_000), /more than can be an answer/],
  ];
  for (const [answer, message] of cases) {
    tunnelAnswer = answer;
    await assert.rejects(ask({ url: target.url }), (error: UpstreamFailure) => {
      assert.ok(error instanceof UpstreamFailure);
      assert.equal(error.trouble, 'unreachable');
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /proxy-pass|secret/);
      return true;
    });
  }
  tunnelAnswer = undefined;
  await net.serve('strict.example.com', (_request, response) => response.writeHead(407).end(), { port: 8080 });
  const strict = { host: 'strict.example.com', port: 8080 };
  await assert.rejects(ask({ url: plain.url, proxy: strict }), /wants other credentials of a proxy/);
});

test('a redirect to a private name is refused behind a proxy too', async () => {
  net.name('intranet.example', '10.0.0.8');
  await net.serve('leads.example.com', (_request, response) =>
    response.writeHead(302, { location: 'http://intranet.example/x' }).end(),
  );
  heads.length = 0;
  await assert.rejects(
    ask({ url: 'http://leads.example.com/' }),
    (error: UpstreamFailure) => error.trouble === 'refused',
  );
  assert.equal(heads.length, 1);
});
