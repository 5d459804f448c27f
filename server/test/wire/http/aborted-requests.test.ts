/** Clients that go away: rows H42 to H44 of the catalogue of bad inputs. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { requireNothingLeft } from '../../support/hostile.ts';
import { openRaw } from '../../support/raw-http.ts';
import { countStored, stagesOf, startWorld, type World } from '../../support/wire-world.ts';

const IDLE_MS = 600;

describe('aborted requests', () => {
  let world: World;
  let authorization = '';
  before(async () => {
    world = await startWorld('sqlite-fs', {
      env: { ENTREPOT_HTTP__BODY_IDLE_TIMEOUT_MS: String(IDLE_MS), ENTREPOT_STORAGE__INLINE_BYTES: '512' },
    });
    authorization = `Authorization: ${world.admin.authorization}\r\n`;
  });
  after(() => world.stop());

  const head = (method: string, path: string, length: number) =>
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${authorization}Content-Length: ${length}\r\n\r\n`;

  test('H44: an upload that is reset at any of its first 2,000 bytes leaves nothing behind', async () => {
    const before = await countStored(world);
    const request = head('PUT', '/artifactory/generic-local/reset/file', 1900) + 'x'.repeat(1900);
    const positions = Array.from({ length: 2000 }, (_, i) => i);
    const worker = async () => {
      for (let at = positions.pop(); at !== undefined; at = positions.pop()) {
        const connection = await openRaw(world.app.port);
        connection.send(request.slice(0, at));
        // Until the bytes are on their way: a reset would drop them otherwise.
        if (at > 0) await new Promise<void>((resolve) => connection.socket.write('', () => resolve()));
        connection.socket.resetAndDestroy();
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    await requireNothingLeft(world, before, 'resets');
    assert.equal((await world.admin.request('GET', '/artifactory/api/system/ping')).status, 200);
  });

  test('a file of which only a part arrives is refused or forgotten, never stored (G01)', async () => {
    const before = await countStored(world);
    const connection = await openRaw(world.app.port);
    connection.send(`${head('PUT', '/artifactory/generic-local/short', 10)}short`);
    connection.socket.end();
    assert.ok(await connection.isClosedWithin(5000));
    await requireNothingLeft(world, before, 'a short body');
  });

  test('H42: a body that comes too slowly to ever end is cut, and the upload tells truly how much it has', async () => {
    const started = await world.admin.request('POST', '/v2/docker-local/slow/blobs/uploads/');
    const location = String(started.headers.location);
    const connection = await openRaw(world.app.port);
    connection.send(head('PATCH', location, 1_000_000));
    let sent = 0;
    const drip = setInterval(() => {
      connection.send('x');
      sent += 1;
    }, IDLE_MS / 10);
    const closed = await connection.isClosedWithin(20 * IDLE_MS);
    clearInterval(drip);
    connection.socket.destroy();
    assert.ok(closed, 'the connection was left open');
    await eventually(async () => {
      const state = await world.admin.request('GET', location);
      assert.equal(state.status, 204);
      const received = Number(/^0-(\d+)$/.exec(String(state.headers.range))?.[1]) + 1;
      assert.ok(received > 1 && received <= sent, `${received} of ${sent}`);
      const next = await world.admin.request('PATCH', location, {
        body: 'more',
        headers: { 'content-range': `${received}-${received + 3}` },
      });
      assert.equal(next.status, 202);
    });
    await world.admin.request('DELETE', location);
  });

  test('a body that comes slowly but steadily enough is taken', async () => {
    const connection = await openRaw(world.app.port);
    const pieces = 20;
    connection.send(head('PUT', '/artifactory/generic-local/steady', pieces * 2048));
    for (let i = 0; i < pieces; i++) {
      connection.send('x'.repeat(2048));
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS / 8));
    }
    const { answers } = await connection.outcome({ answers: 1 });
    connection.socket.destroy();
    assert.equal(answers[0]?.status, 201);
  });

  test('requests that keep the server busy for longer than a client may pause are answered', async () => {
    // Each password is hashed, which takes long on purpose, a few at a time.
    const env = { ENTREPOT_HTTP__BODY_IDLE_TIMEOUT_MS: '100' };
    const busy = await startWorld('sqlite-fs', { env });
    try {
      const logins = Array.from({ length: 16 }, (_, i) => busy.app.as('reader', `wrong-${i}`).request('GET', '/v2/'));
      const answers = await Promise.all(logins);
      assert.ok(answers.every(({ status }) => status === 401 || status === 503));
    } finally {
      await busy.stop();
    }
  });

  test('H43: a client that stops reading is cut off, and the file is not held in memory for it', async () => {
    const { admin, app } = world;
    const size = 64 * 1024 * 1024;
    assert.equal(
      (await admin.request('PUT', '/artifactory/generic-local/large', { body: Buffer.alloc(size) })).status,
      201,
    );
    const [{ rss }, answered] = [process.memoryUsage(), await countDownloads()];
    const sockets = Array.from({ length: 8 }, () => connect({ port: app.port, host: '127.0.0.1' }));
    for (const socket of sockets) {
      // A reset may come in any state of the connection.
      socket.on('error', () => undefined);
      socket.write(`GET /artifactory/generic-local/large HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\n`);
    }
    await eventually(async () => assert.equal(await countDownloads(), answered + sockets.length));
    const grown = process.memoryUsage().rss - rss;
    assert.ok(grown < 8 * 8 * 1024 * 1024, `${Math.round(grown / 1024 / 1024)} MiB more for 8 clients`);
    for (const socket of sockets) socket.destroy();
  });

  /** Downloads of files that have ended, in whatever way. */
  async function countDownloads(): Promise<number> {
    const { text } = await world.admin.request('GET', '/artifactory/api/v1/metrics');
    const sample = /^entrepot_http_requests_total\{area="content",method="GET",status="2xx"\} (\d+)$/m.exec(text);
    return Number(sample?.[1] ?? 0);
  }

  test('uploads that are aborted at the last moment leave no stages (G30)', async () => {
    const before = await stagesOf(world.app);
    const body = 'x'.repeat(20_000);
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const connection = await openRaw(world.app.port);
        connection.send(head('PUT', `/artifactory/generic-local/aborted/${i}`, body.length + 200) + body);
        await new Promise<void>((resolve) => connection.socket.write('', () => resolve()));
        connection.socket.resetAndDestroy();
      }),
    );
    await eventually(async () => assert.deepEqual(await stagesOf(world.app), before), 5000);
    assert.equal((await world.admin.request('GET', '/artifactory/generic-local/aborted/1')).status, 404);
  });
});
