/** What the server says about itself, and the requests that clients make before and after their work. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectAdminOnly, expectStatus, getJson, onEachStorage, sendJson } from './api-world.ts';

const SYSTEM = '/artifactory/api/system';

onEachStorage('the system', (world) => {
  test('is alive for anybody who asks', async () => {
    const { anonymous } = world().app;
    for (const path of [
      '/artifactory/api/system/ping',
      '/artifactory/api/v1/system/ping',
      '/router/api/v1/system/ping',
    ]) {
      assert.equal((await expectStatus(anonymous.request('GET', path), 200)).text, 'OK', path);
    }
    for (const path of ['/artifactory/api/v1/system/liveness', '/artifactory/api/v1/system/readiness']) {
      assert.deepEqual(await getJson(anonymous, path), { code: 'OK' });
    }
    const health = (await getJson(anonymous, '/router/api/v1/system/health')) as {
      router: { state: string };
      services: { service_id: string; state: string }[];
    };
    assert.equal(health.router.state, 'HEALTHY');
    assert.match(health.services[0]?.service_id ?? '', /^jfrt@[0-9a-f]{32}$/);
  });

  test('says on every answer which release clients may take it for', async () => {
    const answer = await world().app.anonymous.request('GET', `${SYSTEM}/version`);
    const version = answer.json() as Record<string, unknown>;
    assert.match(String(version['version']), /^\d+\.\d+\.\d+$/);
    assert.match(String(version['revision']), /^\d+$/);
    assert.equal(answer.headers['x-jfrog-version'], `Artifactory/${version['version']} ${version['revision']}`);
    assert.match(String(answer.headers['x-artifactory-id']), /^[0-9a-f]{32}$/);
    assert.ok(answer.headers['x-artifactory-node-id']);
  });

  test('answers the questions of tools about licenses', async () => {
    const { admin } = world().app;
    const license = (await getJson(admin, `${SYSTEM}/license`)) as Record<string, string>;
    assert.match(license['type'] ?? '', /Enterprise/);
    const { licenses } = (await getJson(admin, `${SYSTEM}/licenses`)) as { licenses: unknown[] };
    assert.equal(licenses.length, 1);
    const installed = await expectStatus(sendJson(admin, 'POST', `${SYSTEM}/license`, { licenseKey: 'x' }), 200);
    assert.equal((installed.json() as { status: number }).status, 200);
    await expectStatus(sendJson(admin, 'POST', `${SYSTEM}/licenses`, [{ licenseKey: 'x' }]), 200);
    await expectStatus(admin.request('DELETE', `${SYSTEM}/licenses?licenseHash=a,b`), 200);
    await expectStatus(sendJson(admin, 'POST', `${SYSTEM}/license`, {}), 400);
  });

  test('tells its state, its id and the time', async () => {
    const { app, ann } = world();
    const status = (await getJson(app.admin, `${SYSTEM}/status`)) as { isHa: boolean; nodes: { state: string }[] };
    assert.deepEqual([status.isHa, status.nodes[0]?.state], [false, 'RUNNING']);
    const id = await expectStatus(ann.request('GET', `${SYSTEM}/service_id`), 200);
    assert.match(id.text, /^jfrt@[0-9a-f]{32}$/);
    const time = Number((await app.admin.request('GET', `${SYSTEM}/serverTime`)).text);
    assert.ok(Math.abs(time - Date.now()) < 60_000);
    assert.match((await app.admin.request('GET', SYSTEM)).text, /^compatibleVersion +\| 7\.161\.15$/m);
    const info = (await getJson(app.admin, `${SYSTEM}/info`)) as { product: { name: string } };
    assert.equal(info.product.name, 'Entrepot');
    assert.deepEqual(await getJson(app.admin, '/artifactory/api/plugins'), {});
  });

  test('does nothing where nothing is to be done, and says so where it would be wrong', async () => {
    const { admin } = world().app;
    assert.equal((await expectStatus(admin.request('POST', `${SYSTEM}/encrypt`), 200)).text, 'DONE');
    await expectStatus(admin.request('POST', `${SYSTEM}/decrypt`), 409);
    await expectStatus(admin.request('POST', `${SYSTEM}/migration/sha2/start`), 200);
    const connection = { endpoint: 'http://127.0.0.1:1/' };
    await expectStatus(sendJson(admin, 'POST', `${SYSTEM}/verifyconnection`, connection), 400);
    const web = (await getJson(admin, `${SYSTEM}/configuration/webServer`)) as Record<string, unknown>;
    assert.deepEqual([web['key'], web['dockerReverseProxyMethod']], ['direct', 'REPOPATHPREFIX']);
    await expectStatus(
      sendJson(admin, 'POST', `${SYSTEM}/configuration/webServer`, { ...web, serverName: 'acme' }),
      200,
    );
    assert.equal(
      ((await getJson(admin, `${SYSTEM}/configuration/webServer`)) as { serverName: string }).serverName,
      'acme',
    );
    await expectStatus(admin.request('GET', `${SYSTEM}/configuration/reverseProxy/nginx`), 404);
  });

  test('keeps what concerns administrators to them', async () => {
    await expectAdminOnly(world(), [
      ['GET', SYSTEM],
      ['GET', `${SYSTEM}/info`],
      ['GET', `${SYSTEM}/status`],
      ['GET', `${SYSTEM}/license`],
      ['GET', `${SYSTEM}/licenses`],
      ['POST', `${SYSTEM}/license`, { licenseKey: 'x' }],
      ['GET', `${SYSTEM}/serverTime`],
      ['POST', `${SYSTEM}/encrypt`],
      ['POST', `${SYSTEM}/decrypt`],
      ['POST', `${SYSTEM}/verifyconnection`, { endpoint: 'http://127.0.0.1' }],
    ]);
  });
});

onEachStorage('the description of the API', (world) => {
  test('names every address that answers, with its methods, and none that does not', async () => {
    const { app, ann } = world();
    assert.equal((await app.anonymous.request('GET', '/artifactory/api/openapi.json')).status, 401);
    const document = (await getJson(ann, '/artifactory/api/openapi.json')) as {
      openapi: string;
      paths: Record<string, Record<string, { security?: unknown; operationId: string }>>;
    };
    assert.match(document.openapi, /^3\.1/);
    const paths = Object.entries(document.paths);
    assert.ok(paths.length > 50);
    const ids = new Set<string>();
    for (const [path, operations] of paths) {
      const address = path.replaceAll(/\{\w+\}/g, 'x');
      // Asked with a method that no route has, the table tells which it does.
      const allowed = await app.anonymous.request('PROPFIND', address);
      // Below a format's own address the format says what it does not take.
      if (path.startsWith('/artifactory/api/docker/')) continue;
      assert.equal(allowed.status, 405, path);
      const methods = String(allowed.headers.allow).toLowerCase().split(', ');
      for (const [method, operation] of Object.entries(operations)) {
        assert.ok(methods.includes(method), `${method} ${path}`);
        assert.ok(!ids.has(operation.operationId), operation.operationId);
        ids.add(operation.operationId);
        if (!operation.security) continue;
        const answer = await app.anonymous.request(method.toUpperCase(), address);
        assert.ok([401, 400].includes(answer.status), `${method} ${path}: ${answer.status}`);
      }
    }
    const { put } = document.paths['/artifactory/api/repositories/{key}'] as unknown as {
      put: { requestBody: { content: { 'application/json': { schema: { properties: object } } } } };
    };
    assert.ok('packageType' in put.requestBody.content['application/json'].schema.properties);
  });
});
