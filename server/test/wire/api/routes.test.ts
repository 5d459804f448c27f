/** What all routes of the REST API have in common. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { register } from '../../../src/api/index.ts';
import type { Route } from '../../../src/api/route.ts';
import { onEachStorage, sendJson } from './api-world.ts';

const USER = '/artifactory/api/security/users/bob';

test('refuses to register a route that declares no right', () => {
  const open = { methods: ['GET'], pattern: 'artifactory/api/open', answer: async () => ({ status: 200 }) };
  assert.throws(() => register([open as unknown as Route]), /declares no right/);
});

onEachStorage('the REST API', (world) => {
  test('answers an unknown address with 404, but strangers with 401', async () => {
    for (const path of ['/artifactory/api/nonsense', '/artifactory/api/', '/access/api/v1/nonsense', '/access/api']) {
      const { app, ann } = world();
      assert.equal((await app.anonymous.request('GET', path)).status, 401, path);
      const answer = await ann.request('GET', path);
      assert.equal(answer.status, 404, path);
      const [error] = (answer.json() as { errors: { status: number; message: string }[] }).errors;
      assert.deepEqual([error?.status, error?.message], [404, 'Not Found']);
    }
  });

  test('answers a known address with a wrong method with 405 and what is allowed', async () => {
    const answer = await world().app.admin.request('DELETE', '/artifactory/api/system/ping');
    assert.equal(answer.status, 405);
    assert.equal(answer.headers.allow, 'GET, HEAD');
    assert.deepEqual(answer.json(), { errors: [{ status: 405, message: 'Method Not Allowed' }] });
  });

  test('takes an address with a slash at its end for the same without', async () => {
    const answer = await world().app.admin.request('GET', '/artifactory/api/repositories/');
    assert.equal(answer.status, 200);
  });

  test('reports the version whose behaviour clients may expect, and its own', async () => {
    const answer = await world().app.anonymous.request('GET', '/artifactory/api/system/version');
    assert.equal(answer.headers['content-type'], 'application/vnd.org.jfrog.artifactory.system.Version+json');
    const version = answer.json() as Record<string, unknown>;
    assert.equal(version['version'], '7.161.15');
    assert.equal(version['product'], 'Entrepot');
    assert.match(String(version['productVersion']), /^\d+\.\d+\.\d+$/);
  });

  test('refuses a body that is no JSON, too deep, no UTF-8 or empty', async () => {
    const bodies = ['{"email":', '['.repeat(50), Buffer.from([0x7b, 0xff, 0x7d]), '', '[]', '"text"'];
    for (const body of bodies) {
      const answer = await world().app.admin.request('PUT', USER, {
        headers: { 'content-type': 'application/json' },
        body,
      });
      assert.equal(answer.status, 400, String(body));
      assert.match(answer.text, /The body is not acceptable/);
    }
  });

  test('refuses a body that names one field twice', async () => {
    const answer = await world().app.admin.request('PUT', USER, {
      headers: { 'content-type': 'application/json' },
      body: '{"password":"blue-teapot-17","admin":false,"\\u0061dmin":true}',
    });
    assert.equal(answer.status, 400);
    assert.match(answer.text, /twice/);
  });

  test('refuses a body of a type that pages of other sites can have a browser send', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      const answer = await world().app.admin.request('PUT', USER, { headers: { 'content-type': type }, body: '{}' });
      assert.equal(answer.status, 400, type);
      assert.match(answer.text, /Send JSON/);
    }
  });

  test('refuses a body beyond the limit', async () => {
    const body = { email: 'a@example.com', password: 'x'.repeat(1024 * 1024) };
    const answer = await sendJson(world().app.admin, 'PUT', USER, body);
    assert.equal(answer.status, 413);
  });

  test('says which field is wrong without repeating what it held', async () => {
    const answer = await sendJson(world().app.admin, 'PUT', USER, { password: 123456789, admin: 'perhaps' });
    assert.equal(answer.status, 400);
    assert.match(answer.text, /The field \\"password\\" is not acceptable/);
    assert.doesNotMatch(answer.text, /123456789/);
  });

  test('answers wrong credentials with 401 and the challenge', async () => {
    const answer = await world().app.as('ann', 'not-her-password').request('GET', '/artifactory/api/repositories');
    assert.equal(answer.status, 401);
    assert.equal(answer.headers['www-authenticate'], 'Basic realm="Artifactory Realm"');
  });

  test('sends no body in answer to HEAD', async () => {
    for (const path of ['/artifactory/api/repositories', '/artifactory/api/storage/generic-local']) {
      const answer = await world().app.admin.request('HEAD', path);
      assert.equal(answer.status, 200, path);
      assert.equal(answer.bytes.length, 0);
    }
  });
});
