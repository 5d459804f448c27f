/**
 * The disk is in trouble (faults F07 to F10, F13, F15; invariants I1 to I4): calls fail, descriptors run out, bytes rot.
 * Nothing is acknowledged that is not safe, and nothing damaged is delivered as good.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open, readdir, rename, rm, symlink, truncate } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { eventually } from '../support/eventually.ts';
import { checkOverHttp } from './checker.ts';
import { Ledger } from './ledger.ts';
import { createPlace, type Place } from './place.ts';
import { whyNoStrace } from './power-trace.ts';
import {
  type Answer,
  type Blob,
  makeBlob,
  makeImage,
  NoAnswer,
  pathOf,
  putManifest,
  REPO,
  RegistryClient,
  uploadBlob,
  withDigest,
} from './registry-client.ts';
import { endAll, ServerProcess } from './server-process.ts';
import { checkAtRest } from './store-checker.ts';
import { withFault } from './trouble-injector.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const IMAGE = 'trouble';
const UPLOADS = `/v2/${REPO}/${IMAGE}/blobs/uploads/`;
const ENV = {
  ENTREPOT_SWEEP__INTERVAL_MS: '3600000',
  // Calls are counted for each thread.
  UV_THREADPOOL_SIZE: '1',
};
const why = await whyNoStrace();

describe('the storage is in trouble', () => {
  let place: Place;
  let server: ServerProcess;
  let client: RegistryClient;
  const ledger = new Ledger();
  let count = 0;

  before(async () => {
    place = await createPlace('sqlite-fs');
    client = new RegistryClient(place);
  });
  beforeEach(async () => {
    if (server?.running) return;
    server = await ServerProcess.start(place, { env: ENV });
    await client.login();
  });
  after(async () => {
    client.close();
    await endAll(place);
    await place.remove();
  });

  const newBlob = (size = 100_000): Blob => makeBlob(`trouble/${++count}`, size);
  const blobPath = ({ digest }: Blob) => `/v2/${REPO}/${IMAGE}/blobs/${digest}`;
  const get = (blob: Blob) => client.request('GET', blobPath(blob));

  async function push(name: string): Promise<void> {
    const image = makeImage(name, [newBlob(3000), newBlob()]);
    for (const blob of image.blobs) await uploadBlob(client, IMAGE, blob, 'whole');
    await ledger.putManifest(IMAGE, image, name, () => putManifest(client, IMAGE, name, image));
  }

  async function objectOf({ digest }: Blob): Promise<string> {
    const [row] = await place.sql(`select store_key from blob where sha256 = '${digest.slice(7)}'`);
    return join(place.dataDir, 'blobs/objects', String(row?.['store_key']));
  }

  /** Where the content plane has it, whose answers name checksums that the push did not. */
  async function plainPathOf({ digest }: Blob): Promise<string> {
    const [row] = await place.sql(`select parent, name from node where sha256 = '${digest.slice(7)}'`);
    return `/artifactory/${REPO}/${row?.['parent']}/${row?.['name']}`;
  }

  /** An upload of which half has been received, and the file that holds it. */
  async function halfUpload(blob: Blob): Promise<{ session: string; stage: string; rest: Buffer }> {
    const folder = join(place.dataDir, 'blobs/staging');
    const known = new Set(await readdir(folder));
    const middle = blob.bytes.length / 2;
    const started = pathOf(await client.expect([202], 'POST', UPLOADS));
    const session = pathOf(await client.expect([202], 'PATCH', started, { body: blob.bytes.subarray(0, middle) }));
    const stage = (await readdir(folder)).find((name) => !known.has(name));
    assert.ok(stage);
    return { session, stage: join(folder, stage), rest: blob.bytes.subarray(middle) };
  }

  async function assertAllThere(): Promise<void> {
    assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
  }

  describe('calls fail', { skip: why ?? false }, () => {
    for (const [what, calls] of [
      ['write', ['pwrite64', 'pwritev', 'write', 'writev']],
      ['sync', ['fsync', 'fdatasync']],
    ] as const) {
      it(`refuses an upload with 503 when its bytes cannot be ${what === 'write' ? 'written' : 'synced'}`, async () => {
        await push(`before-${what}`);
        const blob = newBlob();
        const { session, stage, rest } = await halfUpload(blob);
        const failed = await withFault(server, { calls, path: stage, error: 'EIO' }, async () => {
          assertRefused(await client.request('PUT', withDigest(session, blob.digest), { body: rest }));
        });
        assert.ok(failed > 0, 'no call was made to fail');
        assert.equal((await get(blob)).status, 404);
        // The kernel may report the next sync of the same file as good: nothing may rest on it.
        const again = await client.request('PUT', withDigest(session, blob.digest));
        assert.ok(again.status >= 400, `the upload was finished with ${again.status} after its ${what} had failed`);
        await uploadBlob(client, IMAGE, blob, 'chunks');
        assertDelivered(await get(blob), blob);
        await assertAllThere();
      });
    }

    it('refuses an upload with 503 when the name of its file cannot be synced', async () => {
      const blob = newBlob();
      const path = join(place.dataDir, 'blobs/objects', blob.digest.slice(7, 9));
      const failed = await withFault(server, { calls: ['fsync', 'fdatasync'], path, error: 'EIO' }, async () => {
        assertRefused(await client.request('POST', withDigest(UPLOADS, blob.digest), { body: blob.bytes }));
      });
      assert.equal(failed, 1);
      assert.equal((await get(blob)).status, 404);
      await uploadBlob(client, IMAGE, blob, 'whole');
      assertDelivered(await get(blob), blob);
    });

    it('refuses a change with 503 when the log cannot be written, and takes the next one', async () => {
      const blob = newBlob(3000);
      const path = join(place.dataDir, 'metadata.db-wal');
      const failed = await withFault(server, { calls: ['pwrite64'], path, error: 'EIO' }, async () => {
        assertRefused(await client.request('POST', withDigest(UPLOADS, blob.digest), { body: blob.bytes }));
        await assertAllThere();
      });
      assert.ok(failed > 0, 'no call was made to fail');
      assert.equal((await get(blob)).status, 404);
      await push('after-log');
      await assertAllThere();
    });

    it('acknowledges nothing any more after a failed sync of the log, until it is started again', async () => {
      await push('before-final');
      const path = join(place.dataDir, 'metadata.db-wal');
      const failed = await withFault(server, { calls: ['fdatasync'], path, error: 'EIO', when: '1' }, async () => {
        const blob = newBlob(3000);
        assertRefused(await client.request('POST', withDigest(UPLOADS, blob.digest), { body: blob.bytes }));
      });
      assert.equal(failed, 1);
      // The next sync would succeed, and mean nothing.
      const image = makeImage('later', [newBlob(3000)]);
      for (const size of [3000, 100_000]) {
        const blob = newBlob(size);
        const refused = await client.request('POST', withDigest(UPLOADS, blob.digest), { body: blob.bytes });
        assertRefused(refused);
        assert.match(refused.body.toString(), /takes no more changes until it is restarted/);
      }
      const reference = `/v2/${REPO}/${IMAGE}/manifests`;
      const headers = { 'content-type': image.mediaType };
      for (const attempt of [1, 2]) {
        const put = await client.request('PUT', `${reference}/later`, { body: image.manifest, headers });
        assert.ok(put.status >= 400, `attempt ${attempt} to put a manifest was answered ${put.status}`);
      }
      await assert.rejects(ledger.deleteTag(IMAGE, 'before-final', () => expectDeleted(client, 'before-final')));
      // What was acknowledged is still served.
      await assertAllThereExceptTags();
      await server.kill();
      server = await ServerProcess.start(place, { env: ENV });
      await assertAllThere();
      await push('after-final');
      await assertAllThere();
    });

    it('answers 503 when the bytes of a blob cannot be read, and delivers it afterwards', async () => {
      const [blob, other] = [newBlob(), newBlob()];
      for (const each of [blob, other]) await uploadBlob(client, IMAGE, each, 'whole');
      const fault = { calls: ['pread64', 'read', 'preadv'], path: await objectOf(blob), error: 'EIO' };
      const failed = await withFault(server, fault, async () => {
        assertRefused(await get(blob));
        assertRefused(await client.request('GET', await plainPathOf(blob)));
        assertDelivered(await get(other), other);
      });
      assert.ok(failed > 0, 'no call was made to fail');
      assertDelivered(await get(blob), blob);
      await client.expect([200], 'GET', await plainPathOf(blob));
    });

    it('cuts the connection when a blob cannot be read to its end', async () => {
      const blob = newBlob(3_000_000);
      await uploadBlob(client, IMAGE, blob, 'whole');
      const fault = { calls: ['pread64', 'read', 'preadv'], path: await objectOf(blob), error: 'EIO', when: '3+' };
      const failed = await withFault(server, fault, async () => {
        await assert.rejects(get(blob), NoAnswer);
      });
      assert.ok(failed > 0, 'no call was made to fail');
      assertDelivered(await get(blob), blob);
    });
  });

  it('goes on when descriptors have run out, and recovers', { skip: process.platform !== 'linux' }, async () => {
    const blob = newBlob();
    await uploadBlob(client, IMAGE, blob, 'whole');
    const used = Math.max(...(await readdir(`/proc/${server.pid}/fd`)).map(Number)) + 1;
    const sockets: Socket[] = [];
    const limit = (...args: string[]) => run('prlimit', ['--pid', String(server.pid), ...args]);
    const { stdout: before } = await limit('--nofile', '--noheadings', '--output', 'SOFT');
    try {
      await limit(`--nofile=${used}:`);
      await eventually(async () => {
        // Whatever the server closes meanwhile is taken again.
        for (let i = 0; i < 20; i++) sockets.push(connect(place.port, '127.0.0.1').on('error', () => undefined));
        // On a connection that is there already.
        assertRefused(await get(blob));
        const next = newBlob();
        assertRefused(await client.request('POST', withDigest(UPLOADS, next.digest), { body: next.bytes }));
        assert.equal((await get(next)).status, 404);
      });
    } finally {
      for (const socket of sockets) socket.destroy();
      if (server.running) await limit(`--nofile=${before.trim()}:`);
    }
    assert.ok(server.running, server.output);
    await eventually(async () => assertDelivered(await get(blob), blob));
    await push('after-descriptors');
    await assertAllThere();
  });

  describe('bytes on the disk are not what they were', () => {
    const DAMAGES: Readonly<Record<string, (path: string) => Promise<void>>> = {
      'has a flipped byte': flipByte,
      'is cut short': (path) => truncate(path, 50_000),
      'is empty': (path) => truncate(path, 0),
      'is longer': (path) => truncate(path, 100_001),
      'is gone': (path) => rm(path),
      'is a link to the right bytes elsewhere': linkElsewhere,
    };
    for (const [name, damage] of Object.entries(DAMAGES)) {
      it(`delivers no blob whose file ${name}, lists it, and is healed by the next push`, async () => {
        const [blob, other] = [newBlob(), newBlob()];
        for (const each of [blob, other]) await uploadBlob(client, IMAGE, each, 'whole');
        await damage(await objectOf(blob));
        for (const _ of [1, 2]) await assertNotDelivered(get(blob));
        assertDelivered(await get(other), other);
        const listed = await checkDeep(place);
        assert.match(listed, new RegExp(blob.digest.slice(7)));
        assert.doesNotMatch(listed, new RegExp(other.digest.slice(7)));
        await uploadBlob(client, IMAGE, blob, 'whole');
        assertDelivered(await get(blob), blob);
        assert.doesNotMatch(await checkDeep(place), new RegExp(blob.digest.slice(7)));
      });
    }

    it('tells no checksums of damaged bytes, nor remembers any', async () => {
      const blob = newBlob();
      await uploadBlob(client, IMAGE, blob, 'whole');
      const path = await plainPathOf(blob);
      await flipByte(await objectOf(blob));
      assertRefused(await client.request('GET', path));
      await uploadBlob(client, IMAGE, blob, 'whole');
      const { headers } = await client.expect([200], 'GET', path);
      assert.equal(headers['x-checksum-sha1'], createHash('sha1').update(blob.bytes).digest('hex'));
    });

    it('has lost nothing in the end', async () => {
      await assertAllThere();
      await server.kill();
      assert.deepEqual(await checkAtRest(place), []);
    });
  });

  /** A tag whose deletion was refused may be gone: the change stands, only its sync failed. */
  async function assertAllThereExceptTags(): Promise<void> {
    const report = await checkOverHttp(client, structuredCloneOf(ledger));
    assert.deepEqual(report.violations, []);
  }
});

/** The checker settles what it sees; what is seen before a restart is not settled yet. */
function structuredCloneOf(ledger: Ledger): Ledger {
  const copy = new Ledger();
  for (const [name, log] of ledger.images) copy.images.set(name, structuredClone(log));
  return copy;
}

async function expectDeleted(client: RegistryClient, tag: string): Promise<void> {
  await client.expect([202], 'DELETE', `/v2/${REPO}/${IMAGE}/manifests/${tag}`);
}

function assertDelivered({ status, body }: Answer, blob: Blob): void {
  assert.equal(status, 200, body.subarray(0, 500).toString());
  assert.ok(body.equals(blob.bytes), 'other bytes were delivered');
}

/** Temporary trouble is told as such, in a sentence. */
function assertRefused({ status, body }: Answer): void {
  assert.equal(status, 503, body.toString().slice(0, 500));
  const { errors } = JSON.parse(body.toString()) as { errors: { message: string }[] };
  assert.match(errors[0]?.message ?? '', /^[A-Z].*\.$/);
}

async function assertNotDelivered(answer: Promise<Answer>): Promise<void> {
  const result = await answer.catch((error: Error) => error);
  if (result instanceof Error) assert.ok(result instanceof NoAnswer, result);
  else assertRefused(result);
}

async function flipByte(path: string): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, 70_000);
  await file.write(Buffer.from([byte[0]! ^ 1]), 0, 1, 70_000);
  await file.close();
}

async function linkElsewhere(path: string): Promise<void> {
  const elsewhere = path.replace(/blobs\/objects\/..\//, '');
  await rename(path, elsewhere);
  await symlink(elsewhere, path);
}

/** What an administrator is told. */
async function checkDeep({ dataDir, env }: Place): Promise<string> {
  const options = { cwd: ROOT, env: { PATH: process.env['PATH'] ?? '', ENTREPOT_DATA__DIR: dataDir, ...env } };
  const args = [join(ROOT, 'server/src/main.ts'), 'check', '--deep'];
  return run(process.execPath, args, options).then(
    ({ stdout }) => stdout,
    (error: { code: number; stdout: string; stderr: string }) => {
      assert.equal(error.code, 1, error.stderr);
      return error.stdout;
    },
  );
}
