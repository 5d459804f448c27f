/** Every spelling of an address that must not be asked, on every way by which it can come to be asked. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { UpstreamFailure } from '../../../src/core/upstream.ts';
import { canonicalAddress, classifyAddress } from '../../../src/upstream/ip.ts';
import { Upstreams } from '../../../src/upstream/upstreams.ts';
import { INTERNAL_6, INTERNAL_NAMES, type Spelling, spellingsOf } from '../../support/address-spellings.ts';
import { FakeInternet } from '../../support/fake-internet.ts';

/** Refused whoever chose it. */
const INTERNAL: readonly Spelling[] = [
  ...['127.0.0.1', '127.8.7.6', '169.254.169.254', '0.0.0.0', '100.100.100.200'].flatMap(spellingsOf),
  ...INTERNAL_6,
  ...INTERNAL_NAMES,
];
/** Refused where something led to it. */
const PRIVATE: readonly Spelling[] = [
  ...['10.0.0.1', '172.16.3.4', '192.168.1.1', '100.64.0.1', '198.18.0.1'].flatMap(spellingsOf),
  { authority: '[fd12:3456::1]', address: 'fd12:3456::1' },
  { authority: '[fec0::1]', address: 'fec0::1' },
  { authority: 'intranet.example', address: '10.1.2.3' },
];
const METADATA = ['169.254.169.254', '100.100.100.200', 'fd00:ec2::254', 'fd20:ce::254', '168.63.129.16'];

const net = new FakeInternet();
const upstreams = new Upstreams({ resolve: net.resolve, dial: net.dial });
let lead: { status: number; headers: Record<string, string> } = { status: 200, headers: {} };
const host = await net.serve('public.example.com', (request, response) => {
  if (request.target.startsWith('/lead')) response.writeHead(lead.status, lead.headers);
  response.end();
});
for (const { authority, address } of [...INTERNAL, ...PRIVATE]) {
  const hostname = URL.parse(`http://${authority}/`)?.hostname;
  if (hostname !== undefined) net.name(hostname.replace(/\.$/, ''), address);
}
net.name('public.example.com', '93.184.0.1');
const OWN = '93.184.0.1:80';
after(async () => {
  await upstreams.close();
  await net.close();
});
let made = 0;

function upstreamOf(endpoint: object) {
  made += 1;
  return upstreams.of({ key: `remote-${made}`, url: host.url, ...endpoint });
}

/** Fails if anything was dialled but the host that is allowed, or if it was not refused in our own words. */
async function refused(what: string, ask: () => Promise<unknown>): Promise<void> {
  const before = net.dialled.length;
  const error = await Promise.try(ask).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof UpstreamFailure, `${what}: ${String(error)}`);
  assert.equal(error.trouble, 'refused', `${what}: ${error.message}`);
  assert.deepEqual(
    net.dialled.slice(before).filter((dialled) => dialled !== OWN),
    [],
    what,
  );
}

const header = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

test('there are at least ninety spellings, all different', () => {
  const texts = new Set(INTERNAL.map(({ authority }) => authority));
  assert.ok(texts.size >= 90, String(texts.size));
  assert.ok(new Set([...INTERNAL, ...PRIVATE].map(({ authority }) => authority)).size >= 250);
});

test('as the URL of a repository', async () => {
  for (const { authority } of INTERNAL) {
    await refused(authority, () => upstreamOf({ url: `http://${authority}/x` }).request({ method: 'GET', path: 'a' }));
  }
});

test('as an answer of the name service, alone and beside a good one', async () => {
  for (const { authority, address } of INTERNAL) {
    for (const answers of [[address], ['93.184.0.1', address], [address, '93.184.0.1'], [authority]]) {
      net.name('answers.example.com', ...answers);
      await refused(answers.join(), () =>
        upstreamOf({ url: 'http://answers.example.com/' }).request({ method: 'GET', path: 'a' }),
      );
    }
  }
});

test('as the target of a redirect', async () => {
  const upstream = upstreamOf({});
  for (const { authority } of [...INTERNAL, ...PRIVATE]) {
    for (const status of [301, 302, 303, 307, 308]) {
      lead = { status, headers: { location: header(`http://${authority}/x`) } };
      await refused(`${status} ${authority}`, () => upstream.request({ method: 'GET', path: 'lead' }));
    }
    lead = { status: 307, headers: { location: header(`//${authority}/x`) } };
    await refused(`POST ${authority}`, () =>
      upstream.request({ method: 'POST', path: 'lead', body: Buffer.from('x') }),
    );
  }
});

test('as the realm of a token', async () => {
  for (const { authority } of [...INTERNAL, ...PRIVATE]) {
    lead = {
      status: 401,
      headers: { 'www-authenticate': header(`Bearer realm="http://${authority}/token",service="x"`) },
    };
    const upstream = upstreamOf({ username: 'ann', password: 'secret', allowAnyHostAuth: true });
    await refused(authority, () => upstream.request({ method: 'GET', path: 'lead', scope: 'repository:a:pull' }));
  }
});

test('as a link of a document', async () => {
  const upstream = upstreamOf({});
  for (const { authority } of [...INTERNAL, ...PRIVATE]) {
    const link = URL.parse(`http://${authority}/x.tgz`);
    if (link) await refused(authority, () => upstream.request({ method: 'GET', path: '', link }));
  }
});

test('as a proxy, and behind one', async () => {
  for (const { authority, address } of INTERNAL) {
    const name = authority.includes('@') ? address : authority.replace(/^\[(.*)\]$/, '$1');
    for (const scheme of ['http', 'https'] as const) {
      const upstream = upstreamOf({ url: `${scheme}://public.example.com/`, proxy: { host: name, port: 3128 } });
      await refused(`proxy ${name}`, () => upstream.request({ method: 'GET', path: 'a' }));
    }
  }
  const proxy = { host: 'proxy.example.com', port: 3128 };
  net.name('proxy.example.com', '93.184.9.9');
  for (const { authority } of INTERNAL) {
    for (const scheme of ['http', 'https']) {
      const upstream = upstreamOf({ url: `${scheme}://${authority}/`, proxy });
      await refused(`behind a proxy ${authority}`, () => upstream.request({ method: 'GET', path: 'a' }));
    }
  }
});

test('the same spellings are dialled where they are listed, so the tests above can fail', async () => {
  const listed = new FakeInternet();
  const open = new Upstreams({
    allowedAddresses: ['0.0.0.0/0', '::/0', ...METADATA],
    resolve: net.resolve,
    dial: listed.dial,
  });
  const metadata = new Set(METADATA.map(canonicalAddress));
  for (const [i, { authority, address }] of [...INTERNAL, ...PRIVATE].entries()) {
    // A metadata address that another carries is not the one that is listed.
    const isCarried = classifyAddress(address).kind === 'metadata' && !metadata.has(canonicalAddress(address));
    if (isCarried) continue;
    const before = listed.dialled.length;
    const upstream = open.of({ key: `listed-${i}`, url: `http://${authority}/` });
    const outcome = await upstream
      .request({ method: 'GET', path: 'a' })
      .catch((error: UpstreamFailure) => error.trouble);
    assert.equal(outcome, 'unreachable', authority);
    assert.equal(listed.dialled.length - before, 1, authority);
  }
  await open.close();
});

test('a metadata address is asked only when it is listed by itself', async () => {
  const attempt = async (address: string, allowedAddresses: readonly string[]) => {
    const open = new Upstreams({ allowedAddresses, resolve: net.resolve, dial: net.dial });
    const url = `http://${address.includes(':') ? `[${address}]` : address}/`;
    const before = net.dialled.length;
    await open
      .of({ key: 'a', url })
      .request({ method: 'GET', path: 'a' })
      .catch(() => {});
    await open.close();
    return net.dialled.length - before;
  };
  for (const address of METADATA) {
    assert.equal(await attempt(address, ['0.0.0.0/0', '::/0']), 0, address);
    assert.equal(await attempt(address, [address]), 1, address);
    assert.equal(await attempt(address, [`${address}/${address.includes(':') ? 128 : 32}`]), 1, address);
  }
  assert.equal(await attempt('::ffff:169.254.169.254', ['169.254.169.254']), 1);
  assert.equal(await attempt('64:ff9b::169.254.169.254', ['169.254.169.254', '::/0']), 0);
});

test('the host of the repository may be private, also when a redirect leads back to it', async () => {
  const intranet = await net.serve('intranet.example', (request, response) => {
    if (request.target === '/x') response.writeHead(302, { location: 'http://intranet.example./y' });
    response.end();
  });
  const before = net.dialled.length;
  const answer = await upstreamOf({ url: intranet.url }).request({ method: 'GET', path: 'x' });
  answer.body.resume();
  assert.equal(answer.status, 200);
  assert.deepEqual(new Set(net.dialled.slice(before)), new Set(['10.1.2.3:80']));
  lead = { status: 302, headers: { location: 'http://intranet.example/y' } };
  await refused('from elsewhere', () => upstreamOf({}).request({ method: 'GET', path: 'lead' }));
});

test('a name that changes between the look and the connection has no chance', async () => {
  let asked = 0;
  const rebinding = new Upstreams({
    resolve: async () => {
      asked += 1;
      return asked === 1 ? ['93.184.0.1'] : ['127.0.0.1'];
    },
    dial: net.dial,
  });
  lead = { status: 200, headers: { connection: 'close' } };
  const before = net.dialled.length;
  const upstream = rebinding.of({ key: 'a', url: 'http://rebind.example.org/' });
  const answer = await upstream.request({ method: 'GET', path: 'lead' });
  answer.body.resume();
  assert.equal(asked, 1);
  await refused('second', () => upstream.request({ method: 'GET', path: 'lead' }));
  assert.deepEqual(net.dialled.slice(before), [OWN]);
  await rebinding.close();
});

test('other schemes and ports of other services are not followed', async () => {
  const upstream = upstreamOf({});
  const targets = [
    'file:///etc/passwd',
    'ftp://public.example.com/',
    'gopher://public.example.com/',
    'data:text/plain,x',
  ];
  const ports = [22, 25, 110, 445, 631].flatMap((port) => [
    `http://mirror.example.com:${port}/`,
    `${host.url}:${port}/`,
  ]);
  for (const location of [...targets, ...ports, 'http://', 'http://[::1', 'javascript:alert(1)', 'https:']) {
    lead = { status: 302, headers: { location } };
    await refused(location, () => upstream.request({ method: 'GET', path: 'lead' }));
  }
  const own = upstreamOf({ url: 'http://public.example.com:23/' });
  assert.equal(await own.request({ method: 'GET', path: 'a' }).catch(({ trouble }) => trouble), 'unreachable');
  assert.equal(net.dialled.at(-1), '93.184.0.1:23');
  await refused('of the repository', async () => upstreamOf({ url: 'file:///etc/passwd' }));
});

test('what is refused is told without the address that the name has', async () => {
  const upstream = upstreamOf({ url: 'http://user:hidden@metadata.google.internal/latest?token=hidden' });
  await assert.rejects(upstream.request({ method: 'GET', path: 'a' }), (error: UpstreamFailure) => {
    assert.match(error.message, /^Host "metadata\.google\.internal" is a cloud metadata address, .*ALLOWED_ADDRESSES/);
    assert.doesNotMatch(error.message, /169\.254|hidden/);
    return true;
  });
});
