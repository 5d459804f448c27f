/** A server told to stop, told twice, paused, or started a second time: what it finishes and refuses (F23, F80–F82). */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePorts } from '../support/child-guard.ts';
import { eventually } from '../support/eventually.ts';
import { forEach } from './checker.ts';
import { createPlace, type Place, type Storage } from './place.ts';
import { digestOf, makeBlob, NoAnswer, pathOf, REPO, RegistryClient, withDigest } from './registry-client.ts';
import { bytesFor, runSeed } from './seeded.ts';
import { ADMIN_PASSWORD, endAll, ServerProcess } from './server-process.ts';
import { checkAtRest } from './store-checker.ts';

const BASIC = `Basic ${Buffer.from(`admin:${ADMIN_PASSWORD}`).toString('base64')}`;
const DRAIN_MS = 8000;
const SMALL_REQUESTS_AT_ONCE = 16;
/** More than sockets hold on the way, so that a download is under way as long as nobody reads it. */
const LARGE_BYTES = 24 * 1024 * 1024;

describe('a server that is told to stop', () => {
  const seed = runSeed();
  const places: Place[] = [];
  afterEach(async () => {
    for (const place of places.splice(0)) {
      await endAll(place);
      await place.remove();
    }
  });

  async function newPlace(storage: Storage = 'sqlite-fs'): Promise<Place> {
    const place = await createPlace(storage);
    places.push(place);
    return place;
  }

  it('finishes every request that began before, takes no new one, and exits 0', { timeout: 60_000 }, async (t) => {
    const place = await newPlace();
    const server = await ServerProcess.start(place, { env: { ENTREPOT_HTTP__DRAIN_MS: String(DRAIN_MS) } });
    const client = new RegistryClient(place);
    const large = bytesFor(`${seed}/large`, LARGE_BYTES);
    await client.expect([201], 'PUT', '/artifactory/generic-local/large.bin', { body: large });
    await client.expect([201], 'PUT', '/artifactory/generic-local/small.bin', { body: large.subarray(0, 5000) });

    const downloads = await Promise.all(
      [1, 2, 3].map(() => startDownload(place, '/artifactory/generic-local/large.bin')),
    );
    const uploads = [1, 2, 3].map((i) => startUpload(place, `/artifactory/generic-local/slow-${i}.bin`, 4_000_000));
    for (const upload of uploads) await upload.send(1_000_000);
    const small = startSmallRequests(place);
    await delay(500);
    const signalledAt = performance.now();
    small.mark();
    server.signal('SIGTERM');
    await eventually(async () => assert.equal(await accepts(place.port), false));
    const refusedAfterMs = Math.round(performance.now() - signalledAt);
    // Those under way go on slowly.
    for (let i = 0; i < 3; i++) {
      for (const upload of uploads) await upload.send(1_000_000);
      await delay(200);
    }
    assert.ok(server.running, 'it did not wait for the requests under way');
    const [answers, digests] = await Promise.all([
      Promise.all(uploads.map((upload) => upload.end())),
      Promise.all(downloads.map((response) => digestOfAll(response))),
    ]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 201, 201],
    );
    assert.deepEqual(digests, [digestOf(large), digestOf(large), digestOf(large)]);
    assert.deepEqual(await server.exited, { code: 0, signal: null }, server.output);
    const tookMs = Math.round(performance.now() - signalledAt);
    assert.ok(tookMs < DRAIN_MS, `it took ${tookMs} ms`);
    const { done, cut } = await small.ended();
    assert.deepEqual(cut, [], 'requests that began before were cut');

    await ServerProcess.start(place);
    for (const [i, { digest }] of answers.entries()) {
      const got = await client.expect([200], 'GET', `/artifactory/generic-local/slow-${i + 1}.bin`);
      assert.equal(digestOf(got.body), digest);
    }
    client.close();
    t.diagnostic(
      `${done} small requests, 3 downloads and 3 uploads finished, new connections refused after ${refusedAfterMs} ms, exit 0 after ${tookMs} ms`,
    );
  });

  it('ends at once when it is told a second time', { timeout: 60_000 }, async (t) => {
    const place = await newPlace();
    const server = await ServerProcess.start(place);
    const upload = startUpload(place, '/artifactory/generic-local/slow.bin', 1_000_000);
    await upload.send(100_000);
    server.signal('SIGTERM');
    await eventually(async () => assert.equal(await accepts(place.port), false));
    assert.ok(server.running);
    const from = performance.now();
    server.signal('SIGTERM');
    assert.equal((await server.exited).code, 1);
    const tookMs = Math.round(performance.now() - from);
    assert.ok(tookMs < 1000, `it took ${tookMs} ms`);
    await assert.rejects(upload.end(), NoAnswer);
    t.diagnostic(`ended ${tookMs} ms after the second signal`);
    // The lock it left behind keeps nobody out.
    await ServerProcess.start(place);
    assert.deepEqual(await checkAtRest(place), []);
  });

  for (const storage of ['sqlite-fs', 'postgres-s3'] as const) {
    it(`lets an upload that the limit cut go on at the truthful offset (${storage})`, {
      timeout: 90_000,
    }, async (t) => {
      const place = await newPlace(storage);
      const env = { ENTREPOT_HTTP__DRAIN_MS: '700' };
      const server = await ServerProcess.start(place, { env });
      const client = new RegistryClient(place);
      await client.login();
      const blob = makeBlob(`${seed}/cut`, 3_000_000);
      const session = pathOf(await client.expect([202], 'POST', `/v2/${REPO}/cut/blobs/uploads/`));
      const first = 1_000_000;
      await client.expect([202], 'PATCH', session, { body: blob.bytes.subarray(0, first) });
      const slow = startUpload(place, session, blob.bytes.length - first, {
        method: 'PATCH',
        body: blob.bytes.subarray(first),
      });
      await slow.send(1_200_000);
      const from = performance.now();
      assert.deepEqual(await server.stop(), { code: 0, signal: null }, server.output);
      const tookMs = Math.round(performance.now() - from);
      await assert.rejects(slow.end(), NoAnswer);

      await ServerProcess.start(place, { env });
      const state = await client.expect([204], 'GET', session);
      const offset = Number(/^0-(\d+)$/.exec(String(state.headers['range']))?.[1]) + 1;
      assert.ok(offset >= first && offset <= first + 1_200_000, `the upload is said to stand at ${offset}`);
      // An object store may need longer than a stopping server has.
      if (storage === 'sqlite-fs') assert.ok(offset > first, 'nothing of what was cut off was kept');
      const headers = { 'content-range': `${offset}-${blob.bytes.length - 1}` };
      await client.expect([202], 'PATCH', session, { body: blob.bytes.subarray(offset), headers });
      await client.expect([201], 'PUT', withDigest(session, blob.digest));
      const got = await client.expect([200], 'GET', `/v2/${REPO}/cut/blobs/${blob.digest}`);
      assert.equal(digestOf(got.body), blob.digest);
      client.close();
      t.diagnostic(`stopped after ${tookMs} ms, ${offset - first} of the 1200000 bytes cut off were kept`);
    });
  }

  it('refuses to start beside another one over the same folder, which goes on', { timeout: 60_000 }, async (t) => {
    const place = await newPlace();
    const first = await ServerProcess.start(place);
    const [port = 0] = await freePorts(1);
    const second = await ServerProcess.spawn(place, { env: { ENTREPOT_HTTP__PORT: String(port) } });
    assert.deepEqual(await second.exited, { code: 1, signal: null });
    const sentence = second.output.trim().split('\n').at(-1) ?? '';
    assert.match(
      sentence,
      /^The data folder ".+" is in use by another process \(server, process \d+\)\. Stop that first\.$/,
    );
    assert.ok(first.running);
    const client = new RegistryClient(place);
    await client.expect([201], 'PUT', '/artifactory/generic-local/after.bin', { body: Buffer.from('still here') });
    client.close();
    t.diagnostic(sentence.replace(place.dataDir, '<folder>'));
  });

  it('does nothing of a job twice after a pause longer than its lease', { timeout: 60_000 }, async (t) => {
    const place = await newPlace('postgres-s3');
    const env = {
      ENTREPOT_SWEEP__INTERVAL_MS: '100',
      ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
      ENTREPOT_SWEEP__READER_GRACE_MS: '0',
      ENTREPOT_SWEEP__BATCH: '1',
      ENTREPOT_TRASH__ENABLED: 'false',
    };
    const one = await ServerProcess.start(place, { env });
    const client = new RegistryClient(place);
    const kept = bytesFor(`${seed}/kept`, 50_000);
    await client.expect([201], 'PUT', '/artifactory/generic-local/kept.bin', { body: kept });
    const junk = Array.from({ length: 30 }, (_, i) => `/artifactory/generic-local/junk/${i}`);
    await forEach(junk, async (path) => {
      await client.expect([201], 'PUT', path, { body: bytesFor(`${seed}/${path}`, 20_000) });
    });
    await place.sql(COUNT_CONDEMNED);
    const deleting = forEach(junk, async (path) => void (await client.expect([204], 'DELETE', path).catch(() => {})));
    const claim = await pauseInSweep(place, one);
    const pausedAt = performance.now();
    // What waiting for the lease's minute would do: the database's clock decides who holds the job.
    await place.sql(`update job set lease_until = 0 where id = ${claim.id}`);
    const [port = 0] = await freePorts(1);
    const two = await ServerProcess.start(place, { env: { ...env, ENTREPOT_HTTP__PORT: String(port) } });
    await eventually(async () => {
      const [job] = await place.sql(`select fence from job where id = ${claim.id}`);
      assert.ok(!job || Number(job['fence']) > claim.fence, 'nobody took the job over');
    });
    await delay(Math.max(0, 6000 - (performance.now() - pausedAt)));
    const meanwhile = await condemned(place);
    one.signal('SIGCONT');
    await deleting;
    const others = new RegistryClient({ port });
    await forEach(junk, async (path) => void (await others.expect([204, 404], 'DELETE', path)));
    await eventually(async () => assert.equal((await condemned(place)).length, junk.length), 20_000);
    const all = await condemned(place);
    assert.equal(new Set(all).size, all.length, 'an object was condemned twice');
    for (const each of [client, others]) {
      const got = await each.expect([200], 'GET', '/artifactory/generic-local/kept.bin');
      assert.equal(digestOf(got.body), digestOf(kept));
      each.close();
    }
    assert.ok(one.running && two.running);
    await Promise.all([one.stop(), two.stop()]);
    assert.deepEqual(await checkAtRest(place), []);
    t.diagnostic(
      `paused with fence ${claim.fence}; ${meanwhile.length} of ${all.length} objects condemned by then, none twice`,
    );
  });
});

/** Has the database note each object that is condemned, which leaves no trace once it is gone. */
const COUNT_CONDEMNED = `
  create table condemned (store_key text not null);
  create function note_condemned() returns trigger language plpgsql as
    $$ begin insert into condemned values (new.store_key); return new; end $$;
  create trigger note_condemned after insert on object_trash for each row execute function note_condemned()`;

async function condemned(place: Place): Promise<unknown[]> {
  return (await place.sql('select store_key from condemned')).map((row) => row['store_key']);
}

/** Stops the server between two transactions of a sweep: one that was open would keep others waiting for a minute. */
async function pauseInSweep(place: Place, server: ServerProcess): Promise<{ id: number; fence: number }> {
  for (const until = performance.now() + 20_000; performance.now() < until; ) {
    server.signal('SIGSTOP');
    const [job] = await place.sql("select id, fence from job where name = 'sweep' and state = 'running'");
    const open = await place.sql(
      `select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
        and xact_start is not null`,
    );
    if (job && open.length === 0) return { id: Number(job['id']), fence: Number(job['fence']) };
    server.signal('SIGCONT');
    await delay(Math.random() * 10);
  }
  throw new Error('the server was never between two transactions of a sweep');
}

/** Whether somebody listens. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** A download of which nothing is read yet. */
function startDownload(place: Place, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port: place.port,
      path,
      headers: { authorization: BASIC },
      agent: false,
    } as const;
    httpRequest(options, resolve).once('error', reject).end();
  });
}

async function digestOfAll(response: IncomingMessage): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of response) {
    hash.update(chunk as Buffer);
    await delay(1);
  }
  assert.ok(response.complete, 'a download was cut');
  return `sha256:${hash.digest('hex')}`;
}

/** An upload whose bytes are sent as the test says. */
function startUpload(
  place: Place,
  path: string,
  size: number,
  { method = 'PUT', body = bytesFor(path, size) }: { readonly method?: string; readonly body?: Buffer } = {},
) {
  let sent = 0;
  const headers = { authorization: BASIC, 'content-length': String(size) };
  const request = httpRequest({ host: '127.0.0.1', port: place.port, method, path, headers, agent: false });
  const answered = new Promise<number>((resolve, reject) => {
    request.once('error', (error) => reject(new NoAnswer(error.message)));
    request.once('response', (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
      response.once('error', (error) => reject(new NoAnswer(error.message)));
    });
  });
  answered.catch(() => undefined);
  return {
    /** Resolves when they have left this process. */
    async send(bytes: number): Promise<void> {
      const part = body.subarray(sent, sent + bytes);
      sent += part.length;
      await new Promise<void>((resolve) => request.write(part, () => resolve()));
    },
    async end(): Promise<{ status: number; digest: string }> {
      if (!request.destroyed) request.end(body.subarray(sent));
      return { status: await answered, digest: digestOf(body) };
    },
  };
}

/** Many small requests, each over a connection of its own, until nobody takes them any more. */
function startSmallRequests(place: Place) {
  let done = 0;
  let marked = false;
  const cut: string[] = [];
  const loops = Array.from({ length: SMALL_REQUESTS_AT_ONCE }, async () => {
    for (;;) {
      const before = !marked;
      let isSent = false;
      try {
        await smallRequest(place, () => {
          isSent = before && !marked;
        });
        done += 1;
      } catch (error) {
        // Sent before the signal and not answered: that is what draining is to prevent.
        if (isSent) cut.push(String(error));
        if (marked) return;
      }
    }
  });
  return {
    mark() {
      marked = true;
    },
    async ended() {
      await Promise.all(loops);
      return { done, cut };
    },
  };
}

function smallRequest(place: Place, onSent: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const path = '/artifactory/generic-local/small.bin';
    const headers = { authorization: BASIC };
    const request = httpRequest({ host: '127.0.0.1', port: place.port, path, headers, agent: false }, (response) => {
      response.once('error', reject);
      response.once('end', () =>
        response.complete && response.statusCode === 200
          ? resolve()
          : reject(new Error(`it was answered ${response.statusCode}`)),
      );
      response.resume();
    });
    request.once('socket', (socket) => socket.once('connect', () => setImmediate(onSent)));
    request.once('error', reject);
    request.end();
  });
}
