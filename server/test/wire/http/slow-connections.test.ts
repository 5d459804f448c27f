/**
 * Thousands of connections that never finish a request: rows H40 and H41 of the catalogue of bad inputs, against a
 * server in a process of its own whose memory can be looked at.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ended, freePorts, type Guard, openGuard } from '../../support/child-guard.ts';
import { eventually } from '../../support/eventually.ts';
import { openRaw } from '../../support/raw-http.ts';

const HEADER_TIMEOUT_MS = 3000;
const IDLE_TIMEOUT_MS = 2000;
/** Timeouts of headers are looked for this often, and a busy machine takes its time. */
const SLACK_MS = 8000;
const MAX_KIB_EACH = 25;
/** Node has raised the limit of open files as far as it may by now; some are needed for other things. */
const FILES = execFileSync('sh', ['-c', 'ulimit -n']).toString().trim();
const CONNECTIONS = FILES === 'unlimited' ? 5000 : Math.min(5000, Number(FILES) - 300);
const PING = 'GET /artifactory/api/system/ping HTTP/1.1\r\nHost: localhost\r\n';

describe('slow connections', () => {
  let guard: Guard;
  let server: Awaited<ReturnType<typeof startServer>>;
  const sockets = new Set<Socket>();
  before(async () => {
    guard = await openGuard('slow');
    server = await startServer(guard);
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await server.stop();
    await guard.release();
  });

  test(`${CONNECTIONS} connections that send half a header are dropped, cost little, and hinder nobody`, async (context) => {
    if (CONNECTIONS < 5000) context.diagnostic(`only ${CONNECTIONS} connections: the limit of open files is ${FILES}`);
    await warmUp();
    const rss = await server.rssKib();
    const tally = await openMany(CONNECTIONS, `${PING}X-Half: `);
    let slowestMs = 0;
    let peak = rss;
    while (tally.ended < CONNECTIONS) {
      assert.ok(
        performance.now() < tally.openedAt + HEADER_TIMEOUT_MS + SLACK_MS,
        `${tally.ended} were dropped in time`,
      );
      const askedAt = performance.now();
      const answer = await fetch(`${server.url}/artifactory/api/system/ping`, { signal: AbortSignal.timeout(5000) });
      assert.equal(answer.status, 200);
      assert.equal(await answer.text(), 'OK');
      slowestMs = Math.max(slowestMs, performance.now() - askedAt);
      peak = Math.max(peak, await server.rssKib());
      await delay(50);
    }
    assert.equal(tally.refused, 0);
    const each = (peak - rss) / CONNECTIONS;
    context.diagnostic(
      `${each.toFixed(1)} KiB each; the slowest of the other requests took ${Math.round(slowestMs)} ms`,
    );
    assert.ok(each < MAX_KIB_EACH, `${each.toFixed(1)} KiB for each connection`);
    assert.ok(slowestMs < 2000, `a normal request took ${Math.round(slowestMs)} ms`);
  });

  test('H40: a request line that comes byte by byte, or not at all, is cut off at the header timeout', async () => {
    const [dripping, silent] = await Promise.all([openRaw(server.port), openRaw(server.port)]);
    const openedAt = performance.now();
    const drip = setInterval(() => dripping.send('a'), 300);
    dripping.send('GET /');
    const limit = HEADER_TIMEOUT_MS + SLACK_MS;
    const closed = await Promise.all([dripping.isClosedWithin(limit), silent.isClosedWithin(limit)]);
    clearInterval(drip);
    for (const { socket } of [dripping, silent]) socket.destroy();
    assert.deepEqual(closed, [true, true]);
    assert.ok(performance.now() - openedAt > HEADER_TIMEOUT_MS - 1000, 'not before its time');
  });

  test('H41: thousands of idle keep-alive connections hinder nobody and are closed at the idle timeout', async () => {
    const count = Math.min(2000, CONNECTIONS);
    const tally = await openMany(count, `${PING}\r\n`);
    assert.equal((await fetch(`${server.url}/artifactory/api/system/ping`)).status, 200);
    await eventually(() => assert.equal(tally.ended, count), IDLE_TIMEOUT_MS + SLACK_MS);
    assert.equal(tally.refused, 0);
  });

  /** Code that is compiled late and pools that fill must not count as the cost of connections. */
  async function warmUp(): Promise<void> {
    for (let i = 0; i < 300; i++) await (await fetch(`${server.url}/artifactory/api/system/ping`)).text();
  }

  async function openMany(count: number, bytes: string) {
    const tally = { ended: 0, refused: 0, openedAt: performance.now() };
    for (let opened = 0; opened < count; opened += 250) {
      const batch = Array.from({ length: Math.min(250, count - opened) }, async () => {
        const socket = connect({ port: server.port, host: '127.0.0.1' });
        sockets.add(socket);
        const { promise, resolve } = Promise.withResolvers<void>();
        socket.once('connect', () => {
          socket.write(bytes);
          resolve();
        });
        socket.once('error', (error: NodeJS.ErrnoException) => {
          // A reset is one way to be dropped; not getting in is not.
          if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') tally.refused += 1;
          resolve();
        });
        socket.resume();
        socket.once('close', () => {
          tally.ended += 1;
          sockets.delete(socket);
        });
        await promise;
      });
      await Promise.all(batch);
    }
    tally.openedAt = performance.now();
    return tally;
  }
});

async function startServer(guard: Guard) {
  const [port = 0] = await freePorts(1);
  const main = join(import.meta.dirname, '../../../src/main.ts');
  const child = spawn(process.execPath, [main, 'serve'], {
    cwd: guard.folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      ENTREPOT_HTTP__HOST: '127.0.0.1',
      ENTREPOT_HTTP__PORT: String(port),
      ENTREPOT_HTTP__ACCESS_LOG: 'false',
      ENTREPOT_HTTP__HEADER_TIMEOUT_MS: String(HEADER_TIMEOUT_MS),
      ENTREPOT_HTTP__IDLE_TIMEOUT_MS: String(IDLE_TIMEOUT_MS),
      ENTREPOT_DATA__DIR: join(guard.folder, 'data'),
      ENTREPOT_ADMIN_PASSWORD: 'correct-horse-battery',
      ENTREPOT_BOOTSTRAP: 'minimal',
    },
  });
  const { pid = 0 } = child;
  await guard.watch('server', pid);
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => {
    assert.equal(child.exitCode, null, 'the server ended');
    assert.equal((await fetch(`${url}/artifactory/api/v1/system/readiness`)).status, 200);
  }, 30_000);
  return {
    port,
    url,
    async rssKib(): Promise<number> {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
    },
    async stop() {
      child.kill('SIGKILL');
      await ended(child);
    },
  };
}
