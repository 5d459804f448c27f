/** Uploads in parts: in any order, at once, again, over restarts, and cut off. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { type Answer, type Caller, STORAGES } from '../../support/test-app.ts';
import { stagesOf, startWorld, type World } from '../../support/wire-world.ts';

const UPLOADS = '/artifactory/api/v1/uploads';
const FILES = '/artifactory/generic-local';
const MIB = 1024 * 1024;
const sha1 = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex');
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const message = (answer: Answer) => (answer.json() as { errors: { message: string }[] }).errors[0]!.message;

interface Status {
  readonly status: string;
  readonly error: string;
  readonly progress: number;
  readonly checksumToken: string;
}

for (const storage of STORAGES) {
  describe(`uploads in parts on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage, { env: { ENTREPOT_JOBS__POLL_MS: '50' } });
    });
    after(() => world.stop());

    const begin = async (path: string, by: Caller = world.admin): Promise<string> => {
      const answer = await by.request('POST', `${UPLOADS}/create?repoKey=generic-local&repoPath=${path}&partSizeMB=1`);
      assert.equal(answer.status, 200, answer.text);
      return (answer.json() as { token: string }).token;
    };
    const call = (token: string, name: string) =>
      world.anonymous.request('POST', `${UPLOADS}/${name}`, { headers: { authorization: `Bearer ${token}` } });
    const addressOf = async (token: string, number: number): Promise<string> => {
      const answer = await call(token, `urlPart?partNumber=${number}`);
      assert.equal(answer.status, 200, answer.text);
      const { url } = answer.json() as { url: string };
      assert.ok(url.startsWith(`${world.app.url}${UPLOADS}/part/`), url);
      return url.slice(world.app.url.length);
    };
    const putPart = async (token: string, number: number, body: Buffer): Promise<Answer> =>
      world.anonymous.request('PUT', await addressOf(token, number), { body });
    const partsOf = (bytes: Buffer) =>
      Array.from({ length: Math.ceil(bytes.length / MIB) }, (_, i) => bytes.subarray(i * MIB, (i + 1) * MIB));
    const statusOf = async (token: string) => (await call(token, 'status')).json() as Status;
    const ended = async (token: string): Promise<Status> => {
      let status: Status | undefined;
      await eventually(async () => {
        status = await statusOf(token);
        assert.ok(!['PARTS', 'QUEUED', 'PROCESSING'].includes(status.status), status.status);
      }, 20_000);
      return status!;
    };
    const deploy = (path: string, checksumToken: string, by: Caller = world.admin, more: Record<string, string> = {}) =>
      by.request('PUT', `${FILES}/${path}`, {
        headers: { 'x-checksum-deploy': 'true', 'x-checksum-deploy-token': checksumToken, ...more },
      });

    test('the server says that it takes them, to whoever signed in', async () => {
      assert.deepEqual((await world.as('reader').request('GET', `${UPLOADS}/config`)).json(), { supported: true });
      assert.equal((await world.anonymous.request('GET', `${UPLOADS}/config`)).status, 401);
    });

    test('parts that come at once, in disorder and again make one file', async () => {
      const bytes = randomBytes(4 * MIB + 12_345);
      const token = await begin('big/file.bin', world.as('writer'));
      assert.equal((await putPart(token, 2, randomBytes(1000))).status, 200);
      const parts = partsOf(bytes);
      const order = [4, 0, 2, 1, 3];
      const answers = await Promise.all(order.map((i) => putPart(token, i + 1, parts[i]!)));
      assert.ok(answers.every(({ status }) => status === 200));
      assert.equal((await putPart(token, 1, parts[0]!)).status, 200);
      assert.equal((await statusOf(token)).status, 'PARTS');
      assert.equal((await call(token, `complete?sha1=${sha1(bytes)}`)).status, 202);
      const { status, error, progress, checksumToken } = await ended(token);
      assert.deepEqual({ status, error, progress }, { status: 'FINISHED', error: '', progress: 100 });
      const answer = await deploy('big/file.bin;a=b', checksumToken, world.as('writer'), {
        'x-checksum-sha1': sha1(bytes),
      });
      assert.equal(answer.status, 201, answer.text);
      assert.equal((answer.json() as { checksums: { sha256: string } }).checksums.sha256, sha256(bytes));
      assert.deepEqual((await world.admin.request('GET', `${FILES}/big/file.bin`)).bytes, bytes);
      assert.deepEqual(await stagesOf(world.app), []);
    });

    test('a restart in between loses nothing', async () => {
      const bytes = randomBytes(2 * MIB + 5);
      const [first, second, third] = partsOf(bytes);
      const token = await begin('over/restart');
      await putPart(token, 1, first!);
      await world.app.restart();
      await putPart(token, 3, third!);
      await putPart(token, 2, second!);
      await call(token, `complete?sha1=${sha1(bytes)}`);
      await world.app.restart();
      const { status, checksumToken } = await ended(token);
      assert.equal(status, 'FINISHED');
      await world.app.restart();
      assert.equal((await deploy('over/restart', checksumToken)).status, 201);
      assert.deepEqual((await world.admin.request('GET', `${FILES}/over/restart`)).bytes, bytes);
    });

    test('who completes twice at once gets one file, and once more the same answer', async () => {
      const bytes = randomBytes(MIB + 1);
      const token = await begin('twice');
      for (const [i, part] of partsOf(bytes).entries()) await putPart(token, i + 1, part);
      const answers = await Promise.all(Array.from({ length: 5 }, () => call(token, `complete?sha1=${sha1(bytes)}`)));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [202, 202, 202, 202, 202],
      );
      const { checksumToken, status } = await ended(token);
      assert.equal(status, 'FINISHED');
      assert.equal((await call(token, `complete?sha1=${sha1(bytes)}`)).status, 202);
      assert.equal((await call(token, `complete?sha1=${'a'.repeat(40)}`)).status, 409);
      assert.equal((await putPart(token, 1, bytes.subarray(0, 5))).status, 409);
      for (let i = 0; i < 2; i++) assert.equal((await deploy('twice', checksumToken)).status, 201);
    });

    test('bytes that are here already are not kept twice', async () => {
      const bytes = randomBytes(MIB + 7);
      await world.admin.request('PUT', `${FILES}/known/before`, { body: bytes });
      const token = await begin('known/after');
      for (const [i, part] of partsOf(bytes).entries()) await putPart(token, i + 1, part);
      await call(token, `complete?sha1=${sha1(bytes)}`);
      const { checksumToken } = await ended(token);
      assert.equal((await deploy('known/after', checksumToken)).status, 201);
      const rows = await world.database.kysely
        .selectFrom('blob')
        .select('size')
        .where('sha256', '=', sha256(bytes))
        .execute();
      assert.equal(rows.length, 1);
    });

    test('a wrong sum ends the upload, and a missing part does not', async () => {
      const bytes = randomBytes(MIB + 3);
      const [first, second] = partsOf(bytes);
      const token = await begin('wrong');
      assert.equal((await call(token, `complete?sha1=${sha1(bytes)}`)).status, 400);
      await putPart(token, 2, second!);
      const early = await call(token, `complete?sha1=${sha1(bytes)}`);
      assert.equal(early.status, 400);
      assert.match(message(early), /part 1 is missing/);
      await putPart(token, 1, first!);
      assert.equal((await call(token, 'complete')).status, 400);
      await call(token, `complete?sha1=${'a'.repeat(40)}`);
      const { status, error, checksumToken } = await ended(token);
      assert.equal(status, 'NON_RETRYABLE_ERROR');
      assert.match(error, /sha1/);
      assert.equal(checksumToken, '');
      assert.equal((await call(token, `complete?sha1=${sha1(bytes)}`)).status, 409);
      await eventually(async () => assert.deepEqual(await stagesOf(world.app), []), 5000);
    });

    test('an upload that is aborted leaves nothing', async () => {
      const token = await begin('aborted');
      await putPart(token, 1, randomBytes(1000));
      assert.equal((await call(token, 'abort')).status, 204);
      assert.equal((await statusOf(token)).status, 'ABORTED');
      assert.equal((await putPart(token, 1, randomBytes(10))).status, 409);
      assert.equal((await call(token, `complete?sha1=${'a'.repeat(40)}`)).status, 409);
      assert.deepEqual(await stagesOf(world.app), []);
    });

    test('a client that leaves in the middle of a part leaves nothing of it', async () => {
      const bytes = randomBytes(500_000);
      const token = await begin('left');
      const address = await addressOf(token, 1);
      const socket = connect(world.app.port, '127.0.0.1');
      socket.write(`PUT ${address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bytes.length}\r\n\r\n`);
      socket.write(bytes.subarray(0, 200_000));
      if (storage === 'sqlite-fs') {
        await eventually(async () => assert.equal((await stagesOf(world.app)).length, 1), 5000);
      }
      socket.destroy();
      await eventually(async () => assert.deepEqual(await stagesOf(world.app), []), 5000);
      const parts = await world.database.kysely.selectFrom('multipart_part').select('number').execute();
      assert.deepEqual(parts, []);
      assert.equal((await putPart(token, 1, bytes)).status, 200);
      await call(token, `complete?sha1=${sha1(bytes)}`);
      const { status, checksumToken } = await ended(token);
      assert.equal(status, 'FINISHED');
      assert.equal((await deploy('left', checksumToken)).status, 201);
    });

    test('G26: tokens and addresses of others, of nobody and of before are good for nothing', async () => {
      const bytes = randomBytes(2000);
      const token = await begin('mine', world.as('writer'));
      await putPart(token, 1, bytes);
      await call(token, `complete?sha1=${sha1(bytes)}`);
      const { checksumToken } = await ended(token);
      for (const [by, given] of [
        [world.as('owner'), checksumToken],
        [world.admin, checksumToken],
        [world.as('writer'), `${checksumToken}x`],
        [world.as('writer'), token],
        [world.as('writer'), 'nonsense'],
        [world.as('writer'), ''],
      ] as const) {
        const answer = await deploy('stolen', given, by);
        assert.equal(answer.status, 404, given);
        assert.match(message(answer), /^Checksum deploy failed\./);
      }
      const address = await addressOf(await begin('other'), 1);
      for (const wrong of [
        address.replace('/1?', '/2?'),
        address.replace(/signature=.*/, 'signature=x'),
        address.replace(/expires=\d+/, 'expires=1'),
        address.replace(/\?.*/, ''),
      ]) {
        assert.equal((await world.anonymous.request('PUT', wrong, { body: 'x' })).status, 404, wrong);
      }
      for (const bad of ['', 'x', checksumToken]) assert.equal((await call(bad, 'status')).status, 401);
      assert.equal((await deploy('mine', checksumToken, world.as('writer'))).status, 201);
    });

    test('while nothing may be written no part is taken, and the upload goes on afterwards', async () => {
      const bytes = randomBytes(5000);
      const token = await begin('still');
      const address = await addressOf(token, 1);
      const SWITCH = '/artifactory/api/system/readonly';
      const reason = JSON.stringify({ reason: 'Moving house.' });
      const headers = { 'content-type': 'application/json' };
      const on = await world.admin.request('PUT', SWITCH, { body: reason, headers });
      assert.equal(on.status, 200, on.text);
      try {
        const part = await world.anonymous.request('PUT', address, { body: bytes });
        assert.equal(part.status, 503);
        assert.match(part.text, /Moving house/);
        assert.equal((await call(token, `complete?sha1=${sha1(bytes)}`)).status, 503);
        assert.deepEqual(await stagesOf(world.app), []);
      } finally {
        assert.ok((await world.admin.request('DELETE', SWITCH)).status < 300);
      }
      assert.equal((await putPart(token, 1, bytes)).status, 200);
      await call(token, `complete?sha1=${sha1(bytes)}`);
      assert.equal((await ended(token)).status, 'FINISHED');
    });

    test('what a request may not say is refused', async () => {
      const create = (query: string, by: Caller = world.admin) => by.request('POST', `${UPLOADS}/create?${query}`);
      for (const [query, status] of [
        ['repoKey=none&repoPath=a', 404],
        ['repoKey=generic-local', 400],
        ['repoKey=generic-local&repoPath=../a', 400],
        ['repoKey=generic-local&repoPath=a&partSizeMB=0', 400],
        ['repoKey=generic-local&repoPath=a&partSizeMB=x', 400],
      ] as const) {
        assert.equal((await create(query)).status, status, query);
      }
      assert.equal((await create('repoKey=generic-local&repoPath=a', world.as('reader'))).status, 403);
      const token = await begin('limits');
      for (const number of ['0', '10001', 'x', '1.5', '']) {
        assert.equal((await call(token, `urlPart?partNumber=${number}`)).status, 400, number);
      }
      assert.equal((await putPart(token, 1, randomBytes(MIB + 1))).status, 413);
      await call(token, 'abort');
    });

    test('abandoned uploads go in time, and so does a whole that nobody deployed', async () => {
      const bytes = randomBytes(30_000);
      const [open, done] = [await begin('abandoned'), await begin('undeployed')];
      await putPart(open, 1, bytes);
      await putPart(done, 1, bytes);
      await call(done, `complete?sha1=${sha1(bytes)}`);
      await ended(done);
      await world.app.restart({
        ENTREPOT_JOBS__POLL_MS: '50',
        ENTREPOT_SWEEP__INTERVAL_MS: '100',
        ENTREPOT_UPLOADS__EXPIRE_MS: '1000',
        ENTREPOT_SWEEP__READER_GRACE_MS: '0',
      });
      await world.database.kysely.updateTable('blob_review').set({ review_after: 0 }).execute();
      await eventually(async () => {
        assert.equal((await call(open, 'status')).status, 404);
        assert.equal((await call(done, 'status')).status, 404);
        assert.deepEqual(await stagesOf(world.app), []);
        const rows = await world.database.kysely
          .selectFrom('blob')
          .select('size')
          .where('sha256', '=', sha256(bytes))
          .execute();
        assert.deepEqual(rows, []);
      }, 20_000);
    });
  });
}
