/** The read-only switch: nobody writes, everybody reads, and who is refused learns why. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventLog } from '../../../src/events/event-log.ts';
import { ReadOnly } from '../../../src/repositories/read-only.ts';
import { eventually } from '../../support/eventually.ts';
import { ImageClient, makeImage } from '../../support/oci.ts';
import { createUser, expectAdminOnly, expectStatus, getJson, grant, onEachStorage, sendJson } from './api-world.ts';

const SWITCH = '/artifactory/api/system/readonly';
const ALL = '/artifactory/api/repositories';
const REASON = 'The data moves to a new disk until 14:00.';

onEachStorage('the read-only switch', (world) => {
  test('is for administrators', async () => {
    await expectAdminOnly(world(), [
      ['GET', SWITCH],
      ['PUT', SWITCH, { reason: REASON }],
      ['DELETE', SWITCH],
      ['PUT', `${SWITCH}/generic-local`, { reason: REASON }],
      ['DELETE', `${SWITCH}/generic-local`],
    ]);
  });

  test('refuses every write with its reason, in the words of each protocol, and lets reads go on', async () => {
    const { app } = world();
    const image = makeImage();
    const client = new ImageClient(app.admin, '/v2/docker-local/app');
    await client.push('1.0', image);
    await expectStatus(app.admin.request('PUT', '/artifactory/generic-local/a.txt', { body: 'a' }), 201);
    await expectStatus(sendJson(app.admin, 'PUT', SWITCH, { reason: REASON }), 200);
    try {
      for (const [method, path, body] of [
        ['PUT', '/artifactory/generic-local/b.txt', 'b'],
        ['PUT', '/artifactory/generic-local/a.txt', 'overwritten'],
        ['PUT', '/artifactory/generic-local/folder/', undefined],
        ['DELETE', '/artifactory/generic-local/a.txt', undefined],
        ['POST', '/v2/docker-local/app/blobs/uploads/', undefined],
        ['DELETE', '/v2/docker-local/app/manifests/1.0', undefined],
        ['DELETE', `${ALL}/generic-local`, undefined],
      ] as const) {
        const answer = await app.admin.request(method, path, body === undefined ? {} : { body });
        assert.equal(answer.status, 503, `${method} ${path}: ${answer.text}`);
        const { errors } = answer.json() as { errors: { message: string; code?: string }[] };
        assert.ok(errors[0]?.message.includes(REASON), `${method} ${path}: ${answer.text}`);
        assert.equal(typeof errors[0]?.code === 'string', path.startsWith('/v2/'), path);
        assert.ok(Number(answer.headers['retry-after']) > 0);
      }
      const made = await sendJson(app.admin, 'PUT', `${ALL}/new`, { rclass: 'local', packageType: 'generic' });
      assert.equal(made.status, 503);
      assert.equal((await app.admin.request('GET', '/artifactory/generic-local/a.txt')).text, 'a');
      assert.equal((await app.admin.request('GET', '/v2/docker-local/app/manifests/1.0')).status, 200);
      const manifest = (await app.admin.request('GET', '/v2/docker-local/app/manifests/1.0')).json();
      for (const { digest } of (manifest as { layers: { digest: string }[] }).layers) {
        assert.equal((await app.admin.request('HEAD', `/v2/docker-local/app/blobs/${digest}`)).status, 200);
      }
      const state = (await getJson(app.admin, SWITCH)) as Record<string, unknown>;
      assert.deepEqual([state['readOnly'], state['reason'], state['by']], [true, REASON, 'admin']);
    } finally {
      await expectStatus(app.admin.request('DELETE', SWITCH), 200);
    }
    await expectStatus(app.admin.request('PUT', '/artifactory/generic-local/b.txt', { body: 'b' }), 201);
    await client.push('2.0', image);
  });

  test('tells those who may not write anyway nothing else than at other times', async () => {
    const { app } = world();
    const otto = await createUser(app, 'otto');
    await grant(app, 'otto-reads', ['generic-local'], { otto: ['r'] });
    await expectStatus(sendJson(app.admin, 'PUT', SWITCH, { reason: REASON }), 200);
    try {
      const refused = await expectStatus(otto.request('PUT', '/artifactory/generic-local/c', { body: 'c' }), 403);
      assert.ok(!refused.text.includes(REASON));
      await expectStatus(app.anonymous.request('PUT', '/artifactory/generic-local/c', { body: 'c' }), 401);
    } finally {
      await expectStatus(app.admin.request('DELETE', SWITCH), 200);
    }
  });

  test('can be for one repository, and outlasts a restart', async () => {
    const { app } = world();
    await expectStatus(sendJson(app.admin, 'PUT', `${SWITCH}/generic-local`, { reason: REASON }), 200);
    await app.restart();
    const refused = await expectStatus(app.admin.request('PUT', '/artifactory/generic-local/d', { body: 'd' }), 503);
    assert.match(refused.text, /The repository \\"generic-local\\" is read-only/);
    await new ImageClient(app.admin, '/v2/docker-local/app').push('3.0', makeImage());
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/generic-local`, { notes: 'x' }), 503);
    assert.deepEqual(Object.keys(((await getJson(app.admin, SWITCH)) as { repositories: object }).repositories), [
      'generic-local',
    ]);
    await expectStatus(app.admin.request('DELETE', `${SWITCH}/generic-local`), 200);
    await expectStatus(app.admin.request('PUT', '/artifactory/generic-local/d', { body: 'd' }), 201);
    await expectStatus(sendJson(app.admin, 'PUT', `${SWITCH}/nowhere`, { reason: REASON }), 404);
    for (const reason of ['', '   ', 'two\nlines', 'x'.repeat(501)]) {
      await expectStatus(sendJson(app.admin, 'PUT', SWITCH, { reason }), 400);
    }
  });

  test('reaches every server over the same database within a second', async () => {
    const { app } = world();
    const database = await app.openDatabase();
    const other = new ReadOnly({ database, events: new EventLog() });
    try {
      await other.set(REASON, 'somebody');
      const startedAt = performance.now();
      await eventually(async () => {
        const answer = await app.admin.request('PUT', '/artifactory/generic-local/e', { body: 'e' });
        assert.equal(answer.status, 503);
      });
      assert.ok(performance.now() - startedAt < 2000);
      await other.clear('somebody');
      await eventually(async () => {
        const answer = await app.admin.request('PUT', '/artifactory/generic-local/e', { body: 'e' });
        assert.equal(answer.status, 201);
      });
    } finally {
      await database.close();
    }
  });

  test('holds for a body that was under way when it was switched on', async () => {
    const { app } = world();
    const { Readable } = await import('node:stream');
    let go: () => void = () => {};
    const waiting = new Promise<void>((resolve) => {
      go = resolve;
    });
    const body = Readable.from(
      (async function* () {
        yield Buffer.alloc(1000);
        await waiting;
        yield Buffer.alloc(1000);
      })(),
    );
    const pending = app.admin.request('PUT', '/artifactory/generic-local/late', { body });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await expectStatus(sendJson(app.admin, 'PUT', SWITCH, { reason: REASON }), 200);
    go();
    assert.equal((await pending).status, 503);
    await expectStatus(app.admin.request('DELETE', SWITCH), 200);
    assert.equal((await app.admin.request('GET', '/artifactory/generic-local/late')).status, 404);
  });
});
