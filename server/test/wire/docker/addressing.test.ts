/** The ways to address a repository: by path, by sub-domain, by host name, by port, and behind a proxy. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { freePorts } from '../../support/child-guard.ts';
import { type Image, ImageClient, makeImage, sha256, TYPES } from '../../support/oci.ts';
import { openRaw } from '../../support/raw-http.ts';
import type { Caller } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

interface Way {
  readonly name: string;
  readonly host: string;
  /** Path of the mount: what every Location and Link must begin with. */
  readonly mount: string;
  /** Where the challenge must send clients. */
  readonly realm: string;
  /** What stands before the image in scopes and in listed names. */
  readonly prefix: string;
}

const DOMAIN = 'registry.example.com';
const WAYS: readonly Way[] = [
  { name: 'the path', host: 'any.example.org', mount: '/v2/docker-local', realm: '/v2/token', prefix: 'docker-local/' },
  {
    name: 'the path of the REST API',
    host: 'any.example.org:8443',
    mount: '/artifactory/api/docker/docker-local/v2',
    realm: '/artifactory/api/docker/docker-local/v2/token',
    prefix: '',
  },
  { name: 'a sub-domain', host: `docker-local.${DOMAIN}`, mount: '/v2', realm: '/v2/token', prefix: '' },
  {
    name: 'a sub-domain with a port',
    host: `docker-local.${DOMAIN}:5000`,
    mount: '/v2',
    realm: '/v2/token',
    prefix: '',
  },
  {
    name: 'a sub-domain with the name of an instance',
    host: `acme-docker-local.${DOMAIN}`,
    mount: '/v2',
    realm: '/v2/token',
    prefix: '',
  },
  { name: 'a host name of its own', host: 'images.example.net', mount: '/v2', realm: '/v2/token', prefix: '' },
];

const at = (caller: Caller, host: string): Caller => ({
  authorization: caller.authorization,
  request: (method, path, options) =>
    caller.request(method, path, { ...options, headers: { ...options?.headers, host } }),
});

describe('addresses of repositories', () => {
  let world: World;
  let image: Image;
  before(async () => {
    world = await startWorld('sqlite-fs', {
      env: {
        ENTREPOT_DOCKER__DOMAIN: DOMAIN,
        ENTREPOT_DOCKER__HOSTS: JSON.stringify({
          'images.example.net': 'docker-local',
          'gone.example.net': 'docker-none',
        }),
      },
    });
    image = makeImage();
  });
  after(() => world.stop());

  for (const { name, host, mount, realm, prefix } of WAYS) {
    describe(`by ${name}`, () => {
      test('the challenge names a realm, a service and a scope as the client sees them', async () => {
        const answer = await at(world.anonymous, host).request('GET', `${mount}/app/manifests/v1`);
        assert.equal(answer.status, 401);
        assert.equal(
          String(answer.headers['www-authenticate']).split(', Basic')[0],
          `Bearer realm="http://${host}${realm}",service="${host}",scope="repository:${prefix}app:pull"`,
        );
        const ping = await at(world.anonymous, host).request('GET', prefix === '' ? `${mount}/` : '/v2/');
        assert.equal(ping.status, 401);
      });

      test('a token from there pushes and pulls, with every Location and Link below the mount', async () => {
        const scope = `repository:${prefix}app:pull,push`;
        const answer = await at(world.as('owner'), host).request('GET', `${realm}?service=${host}&scope=${scope}`);
        assert.equal(answer.status, 200, answer.text);
        const { token, scope: granted } = answer.json() as { token: string; scope: string };
        assert.equal(granted, scope);
        const caller: Caller = {
          authorization: undefined,
          request: (method, path, options) =>
            at(world.anonymous, host).request(method, path, {
              ...options,
              headers: { ...options?.headers, authorization: `Bearer ${token}` },
            }),
        };
        const client = new ImageClient(caller, `${mount}/app`);
        const session = await client.startUpload();
        assert.ok(session.startsWith(`${mount}/app/blobs/uploads/`), session);
        const patched = await caller.request('PATCH', session, { body: image.config });
        assert.ok(String(patched.headers.location).startsWith(`${mount}/app/blobs/uploads/`));
        const finished = await caller.request('PUT', `${session}?digest=${sha256(image.config)}`);
        assert.equal(finished.headers.location, `${mount}/app/blobs/${sha256(image.config)}`);
        assert.equal((await caller.request('GET', String(finished.headers.location))).status, 200);
        for (const layer of image.layers) await client.pushBlob(layer);
        const put = await client.putManifest('v1', image.bytes);
        assert.equal(put.status, 201, put.text);
        assert.equal(put.headers.location, `${mount}/app/manifests/${image.digest}`);
        await client.pushManifest('v2', image.bytes);
        const tags = await client.request('GET', '/tags/list?n=1');
        assert.deepEqual(tags.json(), { name: `${prefix}app`, tags: ['v1'] });
        assert.equal(tags.headers['link'], `<${mount}/app/tags/list?last=v1&n=1>; rel="next"`);
        assert.equal(await client.statusOf('/manifests/v1'), 200);
      });

      test('a blob is mounted from another image, named as the client names it', async () => {
        const client = new ImageClient(at(world.as('owner'), host), `${mount}/mounted`);
        const digest = sha256(image.config);
        const answer = await client.request('POST', `/blobs/uploads/?mount=${digest}&from=${prefix}app`);
        assert.equal(answer.status, 201, answer.text);
        assert.equal(answer.headers.location, `${mount}/mounted/blobs/${digest}`);
      });
    });
  }

  test('what is pushed in one way is pulled in every other', async () => {
    for (const { host, mount } of WAYS) {
      const client = new ImageClient(at(world.as('reader'), host), `${mount}/app`);
      assert.deepEqual((await client.request('GET', '/manifests/v1')).bytes, image.bytes);
    }
  });

  test('the catalogue of a bound repository has its names without the key', async () => {
    for (const host of [`docker-local.${DOMAIN}`, 'images.example.net']) {
      const answer = await at(world.as('reader'), host).request('GET', '/v2/_catalog');
      assert.deepEqual(answer.json(), { repositories: ['app'] });
    }
  });

  test('sub-domains that name no repository, and the domain itself, are addressed by path', async () => {
    for (const host of [DOMAIN, `none.${DOMAIN}`, `docker-local.evil.${DOMAIN}x`, `.${DOMAIN}`]) {
      const client = new ImageClient(at(world.as('reader'), host), '/v2/docker-local/app');
      assert.equal(await client.statusOf('/manifests/v1'), 200, host);
    }
  });

  test('a host name is compared without regard to case', async () => {
    const client = new ImageClient(at(world.as('reader'), 'Images.Example.NET'), '/v2/app');
    assert.equal(await client.statusOf('/manifests/v1'), 200);
  });

  test('a host name bound to a repository that is not there answers as one that is unknown', async () => {
    const answer = await at(world.as('reader'), 'gone.example.net').request('GET', '/v2/app/manifests/v1');
    assert.equal(answer.status, 404);
  });

  test('a bound host does not let through to other repositories by path', async () => {
    await new ImageClient(world.admin, '/v2/docker-other/app').push('v1', makeImage());
    const answer = await at(world.as('owner'), 'images.example.net').request(
      'GET',
      '/v2/docker-other/app/manifests/v1',
    );
    assert.equal(answer.status, 404);
  });

  test('the ping answers with and without its slash', async () => {
    for (const path of [
      '/v2',
      '/v2/',
      '/artifactory/api/docker/docker-local/v2',
      '/artifactory/api/docker/docker-local/v2/',
    ]) {
      const answer = await world.as('reader').request('GET', path);
      assert.equal(answer.status, 200, path);
      assert.equal(answer.text, '{}');
    }
  });
});

describe('ports of repositories', () => {
  test('a port of its own stands for a repository', async () => {
    const [port = 0] = await freePorts(1);
    const world = await startWorld('sqlite-fs', {
      env: { ENTREPOT_DOCKER__PORTS: JSON.stringify({ [port]: 'docker-local' }) },
    });
    try {
      const image = makeImage();
      await new ImageClient(world.admin, '/v2/docker-local/app').push('v1', image);
      const ask = async (head: string) => {
        const connection = await openRaw(port);
        connection.send(`${head}Host: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
        const { answers } = await connection.outcome({ answers: 1 });
        connection.socket.destroy();
        return answers[0]!;
      };
      const refused = await ask('GET /v2/app/manifests/v1 HTTP/1.1\r\n');
      assert.equal(refused.status, 401);
      assert.match(
        refused.headers['www-authenticate']!,
        new RegExp(`realm="http://127.0.0.1:${port}/v2/token",service="127.0.0.1:${port}",scope="repository:app:pull"`),
      );
      const credentials = `Authorization: ${world.as('owner').authorization}\r\n`;
      const pulled = await ask(`GET /v2/app/manifests/v1 HTTP/1.1\r\n${credentials}`);
      assert.equal(pulled.status, 200);
      assert.equal(pulled.text, image.bytes.toString());
      const started = await ask(`POST /v2/app/blobs/uploads/ HTTP/1.1\r\n${credentials}Content-Length: 0\r\n`);
      assert.match(started.headers['location']!, /^\/v2\/app\/blobs\/uploads\//);
      const main = new ImageClient(world.as('reader'), '/v2/docker-local/app');
      assert.equal(await main.statusOf('/manifests/v1'), 200);
    } finally {
      await world.stop();
    }
  });
});

describe('behind a proxy', () => {
  const FORWARDED = {
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'repo.example.com',
    'x-forwarded-port': '8443',
    'x-forwarded-for': '203.0.113.9',
  };
  const realmOf = async (world: World, headers: Readonly<Record<string, string>>, path = '/v2/app/manifests/v1') => {
    const answer = await world.anonymous.request('GET', path, { headers });
    return /realm="([^"]*)",service="([^"]*)"/.exec(String(answer.headers['www-authenticate']))?.slice(1);
  };

  test('a trusted proxy says how the client reached it, and a configured address has the last word', async () => {
    const env = { ENTREPOT_HTTP__TRUSTED_PROXIES: '127.0.0.0/8', ENTREPOT_DOCKER__DOMAIN: DOMAIN };
    const world = await startWorld('sqlite-fs', { env });
    try {
      const own = `127.0.0.1:${world.app.port}`;
      assert.deepEqual(await realmOf(world, FORWARDED), [
        'https://repo.example.com:8443/v2/token',
        'repo.example.com:8443',
      ]);
      assert.deepEqual(await realmOf(world, { ...FORWARDED, 'x-forwarded-port': '443' }), [
        'https://repo.example.com/v2/token',
        'repo.example.com',
      ]);
      assert.deepEqual(await realmOf(world, { 'x-forwarded-proto': 'https' }), [`https://${own}/v2/token`, own]);
      assert.deepEqual(await realmOf(world, { 'x-jfrog-override-base-url': 'https://other.example.com/artifactory' }), [
        'https://other.example.com/v2/token',
        'other.example.com',
      ]);
      for (const host of ['evil"x', 'a b', 'a/b', 'a@b', '', 'a\tb']) {
        const [realm] = (await realmOf(world, { ...FORWARDED, 'x-forwarded-host': host })) ?? [];
        assert.match(String(realm), /^https?:\/\/127\.0\.0\.1:\d+\/v2\/token$/, host);
      }
      const file = await world.admin.request('PUT', '/artifactory/generic-local/a', { body: 'a', headers: FORWARDED });
      assert.equal(
        (file.json() as { downloadUri: string }).downloadUri,
        'https://repo.example.com:8443/artifactory/generic-local/a',
      );
      const answer = await world.as('reader').request('GET', '/v2/token', { headers: FORWARDED });
      const { token } = answer.json() as { token: string };
      const ping = await world.anonymous.request('GET', '/v2/', {
        headers: { ...FORWARDED, authorization: `Bearer ${token}` },
      });
      assert.equal(ping.status, 200);
      await world.app.restart({ ...env, ENTREPOT_HTTP__BASE_URL: 'https://fixed.example.com' });
      assert.deepEqual(await realmOf(world, FORWARDED), ['https://fixed.example.com/v2/token', 'fixed.example.com']);
    } finally {
      await world.stop();
    }
  });

  test('a stranger says nothing about how it reached the server', async () => {
    const world = await startWorld('sqlite-fs', { env: { ENTREPOT_HTTP__TRUSTED_PROXIES: '192.0.2.0/24' } });
    try {
      const own = `127.0.0.1:${world.app.port}`;
      assert.deepEqual(await realmOf(world, FORWARDED), [`http://${own}/v2/token`, own]);
      const image = makeImage({ layers: 0 });
      const client = new ImageClient(world.admin, '/v2/docker-local/app');
      await client.pushBlob(image.config);
      const put = await client.request('PUT', '/manifests/v1', {
        body: image.bytes,
        headers: { ...FORWARDED, 'content-type': TYPES.manifest },
      });
      assert.equal(put.headers.location, `/v2/docker-local/app/manifests/${image.digest}`);
    } finally {
      await world.stop();
    }
  });
});
