/** Two servers over one database and one store: a thing is asked for once, and whoever dies is replaced. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { freePorts } from '../support/child-guard.ts';
import { eventually } from '../support/eventually.ts';
import { HostileUpstream, pause } from '../support/hostile-upstream.ts';
import { createPlace, type Place } from './place.ts';
import { ADMIN_PASSWORD, endAll, ServerProcess } from './server-process.ts';

const AUTHORIZATION = `Basic ${Buffer.from(`admin:${ADMIN_PASSWORD}`).toString('base64')}`;
const ENV = { ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8' };
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

interface Got {
  readonly status: number;
  readonly sha256: string;
  readonly bytes: number;
  readonly text: string;
}

describe('two servers that ask one upstream', () => {
  let places: readonly [Place, Place];
  let servers: [ServerProcess, ServerProcess];
  let upstream: HostileUpstream;

  before(async () => {
    const place = await createPlace('postgres-s3');
    const [port = 0] = await freePorts(1);
    places = [place, { ...place, port }];
    upstream = await HostileUpstream.start();
    const first = await ServerProcess.start(places[0], { env: ENV });
    servers = [first, await ServerProcess.start(places[1], { env: ENV })];
    const made = await send(0, 'PUT', '/artifactory/api/repositories/far', {
      rclass: 'remote',
      packageType: 'generic',
      url: upstream.url,
      assumedOfflinePeriodSecs: 0,
    });
    assert.equal(made.status, 200, made.text);
    // The other one hears of it within a second.
    await eventually(async () => assert.notEqual((await send(1, 'GET', '/artifactory/far-cache/')).status, 404));
  });
  after(async () => {
    for (const place of places) await endAll(place);
    await upstream.stop();
    await places[0].remove();
  });

  function send(server: 0 | 1, method: string, path: string, body?: object): Promise<Got> {
    const headers = { authorization: AUTHORIZATION, 'content-type': 'application/json' };
    return new Promise((resolve, reject) => {
      const asked = request(
        { host: '127.0.0.1', port: places[server].port, method, path, headers, agent: false },
        (response) => {
          const hash = createHash('sha256');
          let [bytes, text] = [0, ''];
          response.on('data', (chunk: Buffer) => {
            hash.update(chunk);
            bytes += chunk.length;
            if (bytes < 5000) text += chunk.toString();
          });
          response.on('error', reject);
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, sha256: hash.digest('hex'), bytes, text }),
          );
        },
      );
      asked.on('error', reject);
      asked.end(body && JSON.stringify(body));
    });
  }

  it('ask once, and serve the same bytes to all', async () => {
    const body = randomBytes(3_000_000);
    upstream.on('/once.bin', async ({ head, write }) => {
      head(200, { 'Content-Length': body.length });
      for (let at = 0; at < body.length; at += 500_000) {
        write(body.subarray(at, at + 500_000));
        await pause(50);
      }
    });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => send(i % 2 === 0 ? 0 : 1, 'GET', '/artifactory/far/once.bin')),
    );
    for (const answer of answers) assert.equal(answer.sha256, sha256(body));
    assert.equal(upstream.count('/once.bin'), 1);
  });

  it('tell all who wait of the same failure', async () => {
    upstream.on('/bad.bin', async ({ send: reply }) => {
      await pause(400);
      reply(503, 'busy');
    });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => send(i % 2 === 0 ? 0 : 1, 'GET', '/artifactory/far/bad.bin')),
    );
    for (const answer of answers) assert.equal(answer.status, 503, answer.text);
    assert.equal(upstream.count('/bad.bin'), 1);
    upstream.on('/gone.bin', async ({ send: reply }) => {
      await pause(400);
      reply(404);
    });
    const missed = await Promise.all(([0, 1] as const).map((i) => send(i, 'GET', '/artifactory/far/gone.bin')));
    for (const answer of missed) assert.equal(answer.status, 404, answer.text);
    assert.equal(upstream.count('/gone.bin'), 1);
  });

  it('take over from one that is killed in the middle', async () => {
    const body = randomBytes(2_000_000);
    upstream.on('/taken.bin', async ({ head, write, count }) => {
      head(200, { 'Content-Length': body.length });
      write(body.subarray(0, 1_000_000));
      // The first to ask never gets the rest.
      if (count > 1) write(body.subarray(1_000_000));
    });
    const lost = send(0, 'GET', '/artifactory/far/taken.bin').catch((error: Error) => error);
    await eventually(() => assert.equal(upstream.count('/taken.bin'), 1));
    const waiting = send(1, 'GET', '/artifactory/far/taken.bin');
    await pause(500);
    await servers[0].kill();
    assert.ok((await lost) instanceof Error);
    const got = await waiting;
    assert.equal(got.status, 200, got.text);
    assert.equal(got.sha256, sha256(body));
    assert.equal(upstream.count('/taken.bin'), 2);
    servers[0] = await ServerProcess.start(places[0], { env: ENV });
    assert.equal((await send(0, 'GET', '/artifactory/far/taken.bin')).sha256, sha256(body));
    assert.equal(upstream.count('/taken.bin'), 2);
  });

  it('lose nothing that was told to be there when they are killed while it is stored', async () => {
    for (const point of ['blob.announced', 'change.written', 'change.durable']) {
      const name = `/at-${point}.bin`;
      const body = randomBytes(200_000);
      upstream.serve(name, body);
      await servers[0].stop();
      servers[0] = await ServerProcess.start(places[0], { env: { ...ENV, ENTREPOT_CRASHPOINT: point } });
      await send(0, 'GET', `/artifactory/far${name}`).catch(() => undefined);
      await servers[0].exited;
      const got = await send(1, 'GET', `/artifactory/far${name}`);
      assert.equal(got.sha256, sha256(body), point);
      servers[0] = await ServerProcess.start(places[0], { env: ENV });
      assert.equal((await send(0, 'GET', `/artifactory/far${name}`)).sha256, sha256(body), point);
    }
  });
});
