/** A mirror of other registries: clients say by `ns` which one they mean, or mean Docker Hub. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { codeOf, type Image, ImageClient, makeImage, sha256 } from '../../support/oci.ts';
import type { Answer, Caller } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const ENDPOINT = 'mirror.example.net';
const PLAIN = 'images.example.net';

const at = (caller: Caller, host: string): Caller => ({
  authorization: caller.authorization,
  request: (method, path, options) =>
    caller.request(method, path, { ...options, headers: { ...options?.headers, host } }),
});

describe('mirror requests', () => {
  let world: World;
  let hub: Image;
  let other: Image;
  before(async () => {
    world = await startWorld('sqlite-fs', {
      env: {
        ENTREPOT_DOCKER__MIRRORS: 'docker.io=docker-local, ghcr.io:8443=docker-other',
        ENTREPOT_DOCKER__MIRROR_ENDPOINTS: 'docker-endpoint',
        ENTREPOT_DOCKER__HOSTS: `${ENDPOINT}=docker-endpoint,${PLAIN}=docker-other`,
      },
    });
    hub = makeImage();
    other = makeImage();
    await new ImageClient(world.admin, '/v2/docker-local/library/nginx').push('1', hub);
    await new ImageClient(world.admin, '/v2/docker-other/acme/tool').push('1', other);
  });
  after(() => world.stop());

  const get = (path: string, host = 'any.example.org', as: Caller = world.as('owner')): Promise<Answer> =>
    at(as, host).request('GET', path);

  test('the parameter names the registry, at the bare host and at an endpoint', async () => {
    for (const host of ['any.example.org', ENDPOINT]) {
      const nginx = await get('/v2/library/nginx/manifests/1?ns=docker.io', host);
      assert.equal(nginx.status, 200, nginx.text);
      assert.deepEqual(nginx.bytes, hub.bytes);
      assert.equal(nginx.headers['oci-namespace'], 'docker.io');
      const tool = await get(`/v2/acme/tool/blobs/${sha256(other.config)}?ns=GHCR.io:8443`, host);
      assert.deepEqual(tool.bytes, other.config);
      assert.equal(tool.headers['oci-namespace'], 'ghcr.io:8443');
    }
  });

  test('a registry that it is no mirror of is not found, so that clients go on', async () => {
    for (const host of ['any.example.org', ENDPOINT]) {
      for (const caller of [world.as('owner'), world.anonymous]) {
        for (const name of ['quay.io', 'toString', '', '%0d%0aX-Evil:%201', 'docker-local']) {
          const answer = await get(`/v2/library/nginx/manifests/1?ns=${name}`, host, caller);
          assert.equal(answer.status, 404, name);
          assert.equal(codeOf(answer), 'NAME_UNKNOWN');
          assert.equal(answer.headers['oci-namespace'], undefined);
        }
      }
    }
  });

  test('an endpoint means Docker Hub to clients that know no such parameter', async () => {
    assert.deepEqual((await get('/v2/library/nginx/manifests/1', ENDPOINT)).bytes, hub.bytes);
    assert.equal((await get('/v2/acme/tool/manifests/1', ENDPOINT)).status, 404);
  });

  test('the parameter says nothing to a repository that is addressed by its key or is bound to its host', async () => {
    const byKey = await get('/v2/docker-other/acme/tool/manifests/1?ns=docker.io');
    assert.deepEqual(byKey.bytes, other.bytes);
    assert.equal(byKey.headers['oci-namespace'], undefined);
    assert.deepEqual((await get('/v2/acme/tool/manifests/1?ns=docker.io', PLAIN)).bytes, other.bytes);
    const internal = await get('/artifactory/api/docker/docker-local/v2/library/nginx/manifests/1?ns=quay.io');
    assert.equal(internal.status, 200);
  });

  test('links and places lead to the same registry', async () => {
    for (const tag of ['2', '3']) await new ImageClient(world.admin, '/v2/docker-local/library/nginx').push(tag, hub);
    const first = await get('/v2/library/nginx/tags/list?n=1&ns=docker.io');
    assert.equal(first.headers['link'], '</v2/library/nginx/tags/list?last=1&n=1&ns=docker.io>; rel="next"');
    assert.deepEqual(first.json(), { name: 'library/nginx', tags: ['1'] });
    const next = await get('/v2/library/nginx/tags/list?last=1&n=1&ns=docker.io');
    assert.deepEqual((next.json() as { tags: string[] }).tags, ['2']);
    const upload = await at(world.as('owner'), ENDPOINT).request('POST', '/v2/pushed/blobs/uploads/?ns=docker.io');
    assert.equal(upload.status, 202, upload.text);
    assert.match(String(upload.headers.location), /^\/v2\/pushed\/blobs\/uploads\/[^?]+\?ns=docker\.io$/);
    const cancelled = await at(world.as('owner'), ENDPOINT).request('DELETE', String(upload.headers.location));
    assert.equal(cancelled.status, 204);
  });

  test('the challenge leads to tokens for the names that the client uses', async () => {
    for (const host of ['any.example.org', ENDPOINT]) {
      const refused = await get('/v2/acme/tool/manifests/1?ns=ghcr.io:8443', host, world.anonymous);
      assert.equal(refused.status, 401);
      const challenge = String(refused.headers['www-authenticate']);
      const realm = /realm="http:\/\/[^/"]+([^"]+)"/.exec(challenge)?.[1];
      const scope = /scope="([^"]+)"/.exec(challenge)?.[1];
      assert.equal(realm, '/v2/token?ns=ghcr.io%3A8443');
      assert.equal(scope, 'repository:acme/tool:pull');
      const answer = await get(`${realm}&service=${host}&scope=${scope}`, host);
      assert.equal(answer.status, 200, answer.text);
      const { token, scope: granted } = answer.json() as { token: string; scope: string };
      assert.equal(granted, scope);
      const bearer = { headers: { authorization: `Bearer ${token}` } };
      const anonymous = at(world.anonymous, host);
      const pulled = await anonymous.request('GET', '/v2/acme/tool/manifests/1?ns=ghcr.io:8443', bearer);
      assert.deepEqual(pulled.bytes, other.bytes);
      // The token is for that registry's images, whatever it is shown for.
      assert.equal((await anonymous.request('GET', '/v2/acme/tool/manifests/1?ns=docker.io', bearer)).status, 401);
    }
  });

  test('nobody sees through a mirror what is hidden from them', async () => {
    const answer = await get('/v2/acme/tool/manifests/1?ns=ghcr.io:8443', ENDPOINT, world.as('reader'));
    assert.ok(answer.status === 403 || answer.status === 404, String(answer.status));
  });
});
