/** The token dance, in the shapes of the registries that people use. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { UpstreamFailure } from '../../../src/core/upstream.ts';
import type { RemoteEndpoint } from '../../../src/upstream/endpoint.ts';
import { Upstreams } from '../../../src/upstream/upstreams.ts';
import { type Answer, FakeInternet } from '../../support/fake-internet.ts';

const SCOPE = 'repository:team/app:pull';
const BASIC = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
let now = Date.parse('2026-11-01T12:00:00Z');
const net = new FakeInternet();
const upstreams = new Upstreams({ resolve: net.resolve, dial: net.dial, now: () => now });
after(async () => {
  await upstreams.close();
  await net.close();
});
let made = 0;

function upstreamOf(endpoint: Omit<RemoteEndpoint, 'key'>) {
  made += 1;
  return upstreams.of({ key: `remote-${made}`, ...endpoint });
}

/** A registry that takes the tokens of its realm, and a realm that counts them. */
async function registry(shape: {
  readonly host: string;
  readonly realmHost: string;
  readonly realmPath?: string;
  readonly challenge?: (realm: string) => string;
  readonly accepts?: (authorization: string | undefined) => boolean;
  readonly token?: Answer;
}) {
  let count = 0;
  const realmPath = shape.realmPath ?? '/token';
  const realm = await net.serve(
    shape.realmHost,
    shape.token ??
      ((_request, response) => {
        count += 1;
        response.end(JSON.stringify({ token: `token-${count}`, expires_in: 300 }));
      }),
    { port: 5001 },
  );
  const challenge = shape.challenge ?? ((url) => `Bearer realm="${url}",service="${shape.host}",scope="${SCOPE}"`);
  const accepts = shape.accepts ?? ((authorization) => /^Bearer token-\d+$/.test(authorization ?? ''));
  const host = await net.serve(shape.host, (request, response) => {
    if (accepts(request.headers.authorization)) {
      response.end('content');
      return;
    }
    response.writeHead(401, { 'www-authenticate': challenge(`${realm.url}${realmPath}`) });
    response.end('{"errors":[{"code":"UNAUTHORIZED"}]}');
  });
  return { url: host.url, requests: host.requests, realm };
}

async function pull(
  upstream: ReturnType<typeof upstreamOf>,
  path = 'v2/team/app/manifests/1',
  scope: string | undefined = SCOPE,
) {
  const answer = await upstream.request({ method: 'GET', path, ...(scope !== undefined && { scope }) });
  const text = Buffer.concat(await Array.fromAsync(answer.body as AsyncIterable<Buffer>)).toString();
  return { status: answer.status, text };
}

test('anonymous tokens as of Docker Hub: asked for once, used until they are nearly over', async () => {
  const hub = await registry({ host: 'registry-1.hub.example', realmHost: 'auth.hub.example' });
  const upstream = upstreamOf({ url: hub.url });
  const answers = await Promise.all(Array.from({ length: 5 }, () => pull(upstream)));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(hub.realm.requests.length, 1);
  const [asked] = hub.realm.requests;
  assert.equal(asked?.target, '/token?service=registry-1.hub.example&scope=repository%3Ateam%2Fapp%3Apull');
  assert.equal(asked?.headers.authorization, undefined);
  const before = hub.requests.length;
  await pull(upstream);
  assert.equal(hub.requests.length, before + 1, 'a token at hand is sent at once');
  now += 269_000;
  await pull(upstream);
  assert.equal(hub.realm.requests.length, 1);
  now += 2000;
  await pull(upstream);
  assert.equal(hub.realm.requests.length, 2);
});

test('credentials go to the realm of the same domain only', async () => {
  const near = await registry({ host: 'registry.near.example', realmHost: 'auth.near.example' });
  await pull(upstreamOf({ url: near.url, username: 'ann', password: 'secret' }));
  assert.equal(near.realm.requests[0]?.headers.authorization, BASIC);
  assert.deepEqual(
    near.requests.map(({ headers }) => headers.authorization),
    [undefined, 'Bearer token-1'],
  );
  const far = await registry({ host: 'registry.far.example', realmHost: 'auth.elsewhere.example' });
  await pull(upstreamOf({ url: far.url, username: 'ann', password: 'secret' }));
  assert.equal(far.realm.requests[0]?.headers.authorization, undefined);
  await pull(upstreamOf({ url: far.url, username: 'ann', password: 'secret', allowAnyHostAuth: true }));
  assert.equal(far.realm.requests[1]?.headers.authorization, BASIC);
});

test('a host that a redirect leads to gets no token for our credentials', async () => {
  const own = await registry({ host: 'registry.own.example', realmHost: 'auth.own.example' });
  const thief = await net.serve('thief.example.com', (request, response) => {
    if (request.headers.authorization !== undefined) response.end('thanks');
    else
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${own.realm.url}/token",scope="${SCOPE}"` }).end();
  });
  const front = await net.serve('front.own.example', (_request, response) =>
    response.writeHead(302, { location: `${thief.url}/blob` }).end(),
  );
  await pull(upstreamOf({ url: front.url, username: 'ann', password: 'secret' }));
  assert.equal(own.realm.requests.at(-1)?.headers.authorization, undefined);
});

test('the scope of the challenge is followed, as of ECR Public', async () => {
  const ecr = await registry({
    host: 'public.ecr.example',
    realmHost: 'public.ecr.example',
    challenge: (realm) => `Bearer realm="${realm}",service="public.ecr.example",scope="aws"`,
  });
  const upstream = upstreamOf({ url: ecr.url });
  await pull(upstream);
  await pull(upstream, 'v2/other/app/manifests/1', 'repository:other/app:pull');
  assert.deepEqual(
    ecr.realm.requests.map(({ target }) => target),
    ['/token?service=public.ecr.example&scope=aws'],
  );
  assert.equal(ecr.requests.length, 3);
});

test('Basic as of ECR private: learned once, then sent at once', async () => {
  const ecr = await registry({
    host: '123.dkr.ecr.example',
    realmHost: 'unused-1.example',
    challenge: () => 'Basic realm="https://123.dkr.ecr.example/",service="ecr.amazonaws.com"',
    accepts: (authorization) => authorization === `Basic ${Buffer.from('AWS:long').toString('base64')}`,
  });
  const upstream = upstreamOf({ url: ecr.url, username: 'AWS', password: 'long', enableTokenAuthentication: true });
  assert.equal((await pull(upstream)).status, 200);
  assert.equal((await pull(upstream)).status, 200);
  assert.deepEqual(
    ecr.requests.map(({ headers }) => headers.authorization !== undefined),
    [false, true, true],
  );
});

test('service accounts as of Artifact Registry and Red Hat are plain users of the realm', async () => {
  for (const username of [
    '_json_key',
    '_json_key_base64',
    'oauth2accesstoken',
    '12345|robot',
    'org+robot',
    '$oauthtoken',
  ]) {
    made += 1;
    const host = `r${made}.users.example`;
    const google = await registry({ host, realmHost: host, realmPath: '/v2/token' });
    const password = '{"type":"service_account","private_key":"-----BEGIN"}';
    await pull(upstreamOf({ url: google.url, username, password }));
    const expected = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    assert.equal(google.realm.requests[0]?.headers.authorization, expected);
  }
});

test('shapes of GHCR, Quay, GitLab and ACR: odd cases, several challenges, access_token', async () => {
  const shapes: ((realm: string) => string)[] = [
    (realm) => `bearer Realm="${realm}",Service="ghcr.io",Scope="${SCOPE}"`,
    (realm) => `Bearer realm="${realm}"`,
    (realm) => `Basic realm="GitLab, Container \\"Registry\\"", Bearer realm="${realm}", service="container_registry"`,
    (realm) => `Negotiate, Bearer  realm = "${realm}" , error="invalid_token" , scope=${JSON.stringify(SCOPE)}`,
    (realm) => `Bearer realm=${realm},service=plain`,
  ];
  for (const [i, challenge] of shapes.entries()) {
    const host = `shape${i}.example.com`;
    const shaped = await registry({
      host,
      realmHost: host,
      challenge,
      token: (_request, response) => response.end(JSON.stringify({ access_token: 'token-1', refresh_token: 'x' })),
    });
    assert.equal((await pull(upstreamOf({ url: shaped.url }))).status, 200, String(i));
    const target = shaped.realm.requests[0]?.target ?? '';
    assert.equal(new URLSearchParams(target.split('?')[1]).get('scope'), SCOPE, 'ours where the challenge has none');
  }
});

test('a realm that wants POST gets one; a refresh token is one', async () => {
  const token: Answer = (request, response) => {
    if (request.method === 'GET') response.writeHead(405).end();
    else response.end(JSON.stringify({ token: 'token-1' }));
  };
  const posted = await registry({ host: 'post.acr.example', realmHost: 'post.acr.example', token });
  await pull(upstreamOf({ url: posted.url, username: 'ann', password: 'secret' }));
  const form = new URLSearchParams(posted.realm.requests[1]?.body);
  assert.deepEqual(Object.fromEntries(form), {
    service: 'post.acr.example',
    scope: SCOPE,
    client_id: 'entrepot',
    grant_type: 'password',
    username: 'ann',
    password: 'secret',
  });
  await pull(upstreamOf({ url: posted.url, username: '<token>', password: 'refresh' }));
  const second = new URLSearchParams(posted.realm.requests[2]?.body);
  assert.equal(posted.realm.requests[2]?.method, 'POST');
  assert.equal(second.get('grant_type'), 'refresh_token');
  assert.equal(second.get('refresh_token'), 'refresh');
});

test('a token that is no longer taken is dropped and got anew, once', async () => {
  let valid = 'token-1';
  const moody = await registry({
    host: 'moody.example.com',
    realmHost: 'moody.example.com',
    accepts: (authorization) => authorization === `Bearer ${valid}`,
  });
  const upstream = upstreamOf({ url: moody.url });
  assert.equal((await pull(upstream)).status, 200);
  valid = 'token-2';
  assert.equal((await pull(upstream)).status, 200);
  assert.equal(moody.realm.requests.length, 2);
  valid = 'none';
  const refused = await pull(upstream);
  assert.deepEqual(refused, { status: 401, text: '{"errors":[{"code":"UNAUTHORIZED"}]}' });
  assert.equal(moody.realm.requests.length, 3);
});

test('what a realm refuses is the answer of the registry', async () => {
  for (const code of [401, 403, 400]) {
    const host = `denied${code}.example.com`;
    const denied = await registry({
      host,
      realmHost: host,
      token: (_request, response) => response.writeHead(code).end('no'),
    });
    assert.equal((await pull(upstreamOf({ url: denied.url }))).status, 401);
  }
});

test('an answer of a realm that is no token, or none at all, is a failure that says so', async () => {
  const bodies: [string, Answer, UpstreamFailure['trouble']][] = [
    ['html', (_r, s) => s.end('<html>login</html>'), 'broken'],
    ['null', (_r, s) => s.end('null'), 'broken'],
    ['number', (_r, s) => s.end('{"token":5}'), 'broken'],
    ['newline', (_r, s) => s.end('{"token":"a\\r\\nX-Evil: 1"}'), 'broken'],
    ['huge', (_r, s) => s.end(`{"token":"${'x'.repeat(300 * 1024)}"}`), 'broken'],
    ['error', (_r, s) => s.writeHead(500).end(), 'broken'],
    ['limited', (_r, s) => s.writeHead(429).end(), 'rate-limited'],
    ['cut', (_r, s) => s.destroy(), 'broken'],
  ];
  for (const [name, token, trouble] of bodies) {
    const host = `${name}.bad.example`;
    const bad = await registry({ host, realmHost: host, token });
    await assert.rejects(
      pull(upstreamOf({ url: bad.url, username: 'ann', password: 'hidden' })),
      (error: UpstreamFailure) => {
        assert.equal(error.trouble, trouble, `${name}: ${error.message}`);
        assert.doesNotMatch(error.message, /hidden|x{20}/);
        return true;
      },
    );
  }
});

test('a realm over http is not asked for a registry over https, nor other schemes for any', async () => {
  for (const realm of ['ftp://auth.example.com/', 'file:///token', 'token', 'http://']) {
    made += 1;
    const host = `r${made}.realm.example`;
    const odd = await registry({ host, realmHost: host, challenge: () => `Bearer realm="${realm}"` });
    await assert.rejects(pull(upstreamOf({ url: odd.url })), (error: UpstreamFailure) => error.trouble === 'refused');
  }
});

test('without a scope and settings for tokens, credentials are sent at once', async () => {
  const plain = await registry({
    host: 'plain.repo.example',
    realmHost: 'unused-2.example',
    accepts: (authorization) => authorization === BASIC,
  });
  const upstream = upstreamOf({ url: plain.url, username: 'ann', password: 'secret' });
  const answer = await upstream.request({ method: 'GET', path: 'a.jar' });
  answer.body.resume();
  assert.equal(answer.status, 200);
  assert.equal(plain.requests.length, 1);
});
