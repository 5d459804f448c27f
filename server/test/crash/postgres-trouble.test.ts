/** A PostgreSQL that restarts, drops sessions or is away: what the server answers, and what it keeps (F25, F27, F31). */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { openFsDriver } from '../../src/blobs/drivers/fs.ts';
import { freePorts } from '../support/child-guard.ts';
import { eventually } from '../support/eventually.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { checkOverHttp } from './checker.ts';
import { startCuttingProxy } from './cutting-proxy.ts';
import type { Place, Row } from './place.ts';
import {
  type Answer,
  digestOf,
  type Image,
  makeBlob,
  makeImage,
  putManifest,
  REPO,
  RegistryClient,
  uploadBlob,
} from './registry-client.ts';
import { bytesFor, runSeed, Seeded } from './seeded.ts';
import { endAll, type ServerOptions, ServerProcess } from './server-process.ts';
import { checkAtRest } from './store-checker.ts';
import { faultOf, type RunningLoad, startLoad } from './trouble.ts';

const RESTARTS = Number(process.env['ENTREPOT_FAULT_RESTARTS'] ?? 4);
const TERMINATIONS = RESTARTS * 10;
const SYSTEM = '/artifactory/api/v1/system';
const RECOVERY_LIMIT_MS = 5000;
/** A request that waits for a connection in vain is told so after 5 seconds. */
const ANSWER_LIMIT_MS = 8000;
const LOAD = { pushers: 4, fileClients: 3, maxLayerBytes: 300_000 };
/** Ends one session of the server that is in the middle of something. */
const TERMINATE_ONE = `select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle' order by random() limit 1`;

describe('PostgreSQL in trouble', () => {
  const seed = runSeed();
  let postgres: PostgresServer;
  let place: Place;
  let server: ServerProcess;

  before(async () => {
    postgres = await startPostgres();
    place = await createPostgresPlace(postgres);
    server = await ServerProcess.start(place);
  });
  after(async () => {
    await endAll(place);
    await postgres.stop();
    await place.remove();
  });

  async function settle(load: RunningLoad): Promise<string> {
    await load.stop();
    await load.checkFiles();
    assert.deepEqual(load.complaints, []);
    const { violations, counts } = await checkOverHttp(load.client, load.ledger);
    assert.deepEqual(violations, []);
    assert.ok(server.running, server.output);
    load.client.close();
    const { acknowledged, unknown } = load.ledger;
    return `${acknowledged} writes acknowledged (${load.pushes} pushes), ${load.puts} files put, ${unknown} writes and ${load.refusals} requests refused with 503, then ${counts.manifests} manifests and ${counts.blobs} blobs read: 0 lost`;
  }

  it('loses nothing when the database restarts under load, and is ready again by itself', {
    timeout: 120_000,
  }, async (t) => {
    const random = new Seeded(`${seed}/restarts`);
    const load = await startLoad(place, random, { name: 'restarts', ...LOAD });
    const recoveries: number[] = [];
    for (let i = 0; i < RESTARTS; i++) {
      await delay(400 + random.next() * 800);
      await postgres.restart(i % 2 === 0 ? 'fast' : 'immediate');
      recoveries.push(await untilReady(load.client));
    }
    t.diagnostic(`seed ${seed}: ${RESTARTS} restarts, ready ${Math.max(...recoveries)} ms after at most`);
    t.diagnostic(await settle(load));
  });

  it('answers 503 or succeeds when sessions are ended in the middle of transactions', {
    timeout: 120_000,
  }, async (t) => {
    const random = new Seeded(`${seed}/sessions`);
    const load = await startLoad(place, random, { name: 'sessions', ...LOAD });
    let ended = 0;
    for (let i = 0; i < TERMINATIONS; i++) {
      ended += (await place.sql(TERMINATE_ONE)).length;
      await delay(random.next() * 120);
    }
    assert.ok(ended > 0, 'no session was ended');
    t.diagnostic(`${ended} sessions ended`);
    t.diagnostic(await settle(load));
  });

  it('answers 503 with a sentence within a bounded time while the database is away', { timeout: 60_000 }, async (t) => {
    const client = new RegistryClient(place);
    await client.login();
    const image = await push(client, 'away', 'away');
    const basic = new RegistryClient(place);
    await basic.expect([201], 'PUT', '/artifactory/generic-local/away.bin', { body: bytesFor('away', 50_000) });
    const requests = requestsOf(image);
    let [asked, slowest] = [0, 0];
    await postgres.kill();
    const downAt = performance.now();
    try {
      while (performance.now() - downAt < 2000) {
        await Promise.all(
          requests.map(async ({ client: name, method, path, headers, body }) => {
            const from = performance.now();
            const answer = await (name === 'basic' ? basic : client).request(method, path, {
              ...(headers && { headers }),
              ...(body && { body }),
            });
            slowest = Math.max(slowest, performance.now() - from);
            asked += 1;
            const fault = faultOf(answer, method === 'HEAD');
            assert.ok(answer.status < 300 || fault === undefined, `${method} ${path} ${fault}`);
          }),
        );
        assert.equal((await client.request('GET', `${SYSTEM}/readiness`)).status, 503);
        assert.equal((await client.request('GET', `${SYSTEM}/liveness`)).status, 200);
        await delay(50);
      }
    } finally {
      await postgres.start();
    }
    assert.ok(slowest < ANSWER_LIMIT_MS, `a request waited ${slowest} ms`);
    const recoveredMs = await untilReady(client);
    for (const { client: name, method, path, headers, body } of requests) {
      const answer = await (name === 'basic' ? basic : client).request(method, path, {
        ...(headers && { headers }),
        ...(body && { body }),
      });
      assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} after the database is back`);
    }
    t.diagnostic(`${asked} requests, slowest ${Math.round(slowest)} ms, ready again after ${recoveredMs} ms`);
    client.close();
    basic.close();
  });

  it('does not call bytes unknown that it cannot look up', {
    timeout: 60_000,
  }, async () => {
    const client = new RegistryClient(place);
    const body = bytesFor('by-checksum', 50_000);
    await client.expect([201], 'PUT', '/artifactory/generic-local/by-checksum.bin', { body });
    const headers = { 'x-checksum-deploy': 'true', 'x-checksum-sha256': digestOf(body).slice('sha256:'.length) };
    await postgres.kill();
    try {
      const answer = await client.request('PUT', '/artifactory/generic-local/by-checksum-2.bin', { headers });
      assert.equal(faultOf(answer), undefined);
    } finally {
      await postgres.start();
      await untilReady(client);
      client.close();
    }
  });

  it('takes the repetition of a push whose commit was done but not confirmed', { timeout: 120_000 }, async (t) => {
    const proxy = await startCuttingProxy(place.env['ENTREPOT_DATABASE__URL']!);
    t.after(() => proxy.stop());
    await server.stop();
    await startServer({ env: { ENTREPOT_DATABASE__URL: proxy.url, ENTREPOT_JOBS__WORKERS: '0' } });
    const client = new RegistryClient(place);
    const basic = new RegistryClient(place);
    await client.login();
    let refused = 0;
    for (let nth = 1; nth <= 4; nth++) {
      const image = makeImage(`unknown-${nth}`, [makeBlob(`unknown-${nth}`, 100_000)]);
      const pushAll = async () => {
        for (const blob of image.blobs) await uploadBlob(client, 'unknown', blob, 'two-steps');
        await putManifest(client, 'unknown', `v${nth}`, image);
      };
      for (const commit of [nth, nth + 4]) {
        proxy.cutCommit(commit);
        refused += Number(await repeated(pushAll));
      }
      proxy.cutCommit(0);
      const body = bytesFor(`unknown-file-${nth}`, 30_000 * nth);
      const path = `/artifactory/generic-local/unknown/${nth}.bin`;
      proxy.cutCommit(1);
      refused += Number(await repeated(() => basic.expect([201], 'PUT', path, { body })));
      assert.equal(digestOf((await basic.expect([200], 'GET', path)).body), digestOf(body));
      const got = await client.expect([200], 'GET', `/v2/${REPO}/unknown/manifests/v${nth}`);
      assert.equal(digestOf(got.body), image.digest);
    }
    proxy.cutCommit(0);
    const tags = await client.expect([200], 'GET', `/v2/${REPO}/unknown/tags/list`);
    assert.deepEqual(JSON.parse(tags.body.toString()).tags, ['v1', 'v2', 'v3', 'v4']);
    const doubles = await place.sql(
      `select v.version from package_version v join node n on n.id = v.node_id where n.package = 'unknown'
        group by v.version having count(*) > 1`,
    );
    assert.deepEqual(doubles, []);
    t.diagnostic(`${proxy.cuts} commits done without an answer, ${refused} requests refused with 503 and repeated`);
    assert.ok(proxy.cuts >= 8, `only ${proxy.cuts} commits were cut`);
    client.close();
    basic.close();
    await server.stop();
    assert.deepEqual(await checkAtRest(place), []);
    await startServer();
  });

  it('refuses what a pool of two connections cannot serve in time, and stays alive', { timeout: 90_000 }, async (t) => {
    await server.stop();
    await startServer({ env: { ENTREPOT_DATABASE__POOL_SIZE: '2' } });
    const client = new RegistryClient(place);
    await client.login();
    const image = await push(client, 'crowd', 'crowd');
    const statuses = new Map<number, number>();
    let [slowest, slowestLiveness] = [0, 0];
    let busy = true;
    const probing = (async () => {
      while (busy) {
        const from = performance.now();
        assert.equal((await client.request('GET', `${SYSTEM}/liveness`)).status, 200);
        slowestLiveness = Math.max(slowestLiveness, performance.now() - from);
        await delay(100);
      }
    })();
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const crowd = new RegistryClient(place);
        for (let round = 0; round < 2; round++) {
          const from = performance.now();
          const answer =
            (i + round) % 2 === 0
              ? await crowd.request('PUT', `/artifactory/generic-local/crowd/${i}/${round}`, {
                  body: bytesFor(`${i}`, 100),
                })
              : await client.request('GET', `/v2/${REPO}/crowd/manifests/v1`);
          slowest = Math.max(slowest, performance.now() - from);
          statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
          if (answer.status >= 300) assert.equal(faultOf(answer), undefined);
        }
        crowd.close();
      }),
    );
    busy = false;
    await probing;
    assert.ok(slowest < 2 * ANSWER_LIMIT_MS, `a request waited ${slowest} ms`);
    assert.ok(slowestLiveness < 2000, `the liveness was told after ${slowestLiveness} ms`);
    await untilReady(client);
    const got = await client.expect([200], 'GET', `/v2/${REPO}/crowd/manifests/v1`);
    assert.equal(digestOf(got.body), image.digest);
    const shown = [...statuses].map(([status, count]) => `${count} × ${status}`).join(', ');
    t.diagnostic(`${shown}; slowest ${Math.round(slowest)} ms, liveness ${Math.round(slowestLiveness)} ms`);
    client.close();
  });

  async function startServer(options: ServerOptions = {}): Promise<void> {
    server = await ServerProcess.start(place, options);
  }
});

/** Files beside the database, which alone is in trouble here. */
async function createPostgresPlace(postgres: PostgresServer): Promise<Place> {
  const url = await postgres.createDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'entrepot-postgres-'));
  const [port = 0] = await freePorts(1);
  return {
    storage: 'postgres-s3',
    dataDir,
    port,
    env: { ENTREPOT_DATABASE__URL: url, ENTREPOT_STORAGE__FREE_SPACE_FLOOR_BYTES: '0' },
    async sql(text) {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        return (await client.query<Row>(text)).rows;
      } finally {
        await client.end();
      }
    },
    openDriver: () => openFsDriver({ root: join(dataDir, 'blobs'), freeSpaceFloorBytes: 0 }),
    // The database goes with its server, even when a failed test left that down.
    remove: () => rm(dataDir, { recursive: true, force: true }),
  };
}

/** Milliseconds until the server calls itself ready. */
async function untilReady(client: RegistryClient): Promise<number> {
  const from = performance.now();
  await eventually(
    async () => assert.equal((await client.request('GET', `${SYSTEM}/readiness`)).status, 200),
    RECOVERY_LIMIT_MS,
  );
  return Math.round(performance.now() - from);
}

async function push(client: RegistryClient, name: string, seed: string): Promise<Image> {
  const image = makeImage(seed, [makeBlob(seed, 100_000)]);
  for (const blob of image.blobs) await uploadBlob(client, name, blob, 'two-steps');
  await putManifest(client, name, 'v1', image);
  return image;
}

interface Probe {
  readonly client: 'bearer' | 'basic';
  readonly method: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

/** Requests of every kind that succeed while the database is well, and after it. */
function requestsOf(image: Image): readonly Probe[] {
  const base = `/v2/${REPO}/away`;
  const file = '/artifactory/generic-local/away.bin';
  const layer = image.blobs[1]!;
  return [
    { client: 'bearer', method: 'GET', path: `${base}/manifests/v1` },
    { client: 'bearer', method: 'HEAD', path: `${base}/manifests/${image.digest}` },
    { client: 'bearer', method: 'GET', path: `${base}/blobs/${layer.digest}` },
    { client: 'bearer', method: 'HEAD', path: `${base}/blobs/${layer.digest}` },
    { client: 'bearer', method: 'GET', path: `${base}/tags/list` },
    { client: 'bearer', method: 'POST', path: `${base}/blobs/uploads/` },
    { client: 'bearer', method: 'POST', path: `${base}/blobs/uploads/?digest=${layer.digest}`, body: layer.bytes },
    { client: 'bearer', method: 'POST', path: `${base}/blobs/uploads/?mount=${layer.digest}&from=${REPO}/away` },
    {
      client: 'bearer',
      method: 'PUT',
      path: `${base}/manifests/v1`,
      headers: { 'content-type': image.mediaType },
      body: image.manifest,
    },
    { client: 'basic', method: 'GET', path: `/v2/token?scope=repository:${REPO}/away:pull` },
    { client: 'basic', method: 'GET', path: file },
    { client: 'basic', method: 'HEAD', path: file },
    { client: 'basic', method: 'PUT', path: file, body: bytesFor('away', 50_000) },
    { client: 'basic', method: 'GET', path: '/artifactory/api/storage/generic-local/away.bin' },
    { client: 'basic', method: 'GET', path: '/artifactory/api/repositories' },
  ];
}

/** Whether the first try was refused, honestly; repeated as clients do it succeeds. */
async function repeated(step: () => Promise<unknown>): Promise<boolean> {
  try {
    await step();
    return false;
  } catch (error) {
    const { answer } = error as { answer?: Answer };
    if (!answer) throw error;
    assert.equal(faultOf(answer), undefined);
    await step();
    return true;
  }
}
