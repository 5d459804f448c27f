/** Uploads in pieces: going on where they stand, after whatever went wrong. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { codeOf, ImageClient, sha256, sha512, uniqueBytes } from '../../support/oci.ts';
import { openRaw, sendRaw } from '../../support/raw-http.ts';
import { STORAGES } from '../../support/test-app.ts';
import { stagesOf, startWorld, type World } from '../../support/wire-world.ts';

const BASE = '/v2/docker-local/uploads';
const MIB = 1024 * 1024;

for (const storage of STORAGES) {
  describe(`uploads on ${storage}`, () => {
    let world: World;
    let client: ImageClient;
    let credentials = '';
    before(async () => {
      world = await startWorld(storage);
      client = new ImageClient(world.admin, BASE);
      credentials = `Host: localhost\r\nAuthorization: ${world.admin.authorization}\r\n`;
    });
    after(() => world.stop());

    const patch = (location: string, body: Buffer | string, range?: string) =>
      world.admin.request('PATCH', location, {
        body,
        ...(range !== undefined && { headers: { 'content-range': range } }),
      });
    const finish = (location: string, digest: string, body?: Buffer) =>
      world.admin.request('PUT', `${location}?digest=${digest}`, body ? { body } : {});
    const rangeOf = async (location: string) => {
      const answer = await world.admin.request('GET', location);
      assert.equal(answer.status, 204, answer.text);
      assert.equal(answer.headers.location, location);
      return answer.headers.range;
    };
    const requireBlob = async (bytes: Buffer, digest = sha256(bytes)) => {
      const answer = await client.request('GET', `/blobs/${digest}`);
      assert.equal(answer.status, 200, answer.text);
      assert.ok(answer.bytes.equals(bytes));
    };

    test('a session says where it is and how far, from the start', async () => {
      for (const path of ['/blobs/uploads/', '/blobs/uploads']) {
        const answer = await client.request('POST', path);
        assert.equal(answer.status, 202);
        const id = answer.headers['docker-upload-uuid'];
        assert.equal(answer.headers.location, `${BASE}/blobs/uploads/${String(id)}`);
        assert.equal(answer.headers.range, '0-0');
        assert.equal(answer.headers['content-length'], '0');
        assert.equal(await rangeOf(String(answer.headers.location)), '0-0');
        assert.equal((await world.admin.request('HEAD', String(answer.headers.location))).status, 204);
      }
    });

    for (const [what, sizes] of [
      ['small', [10, 1, 20]],
      ['large', [MIB, 3 * MIB, 100]],
    ] as const) {
      test(`${what} chunks are put together in order, with and without ranges`, async () => {
        for (const ranged of [true, false]) {
          const chunks = sizes.map((size) => randomBytes(size));
          const bytes = Buffer.concat(chunks);
          const location = await client.startUpload();
          let at = 0;
          for (const chunk of chunks) {
            const end = at + chunk.length - 1;
            const answer = await patch(location, chunk, ranged ? `${at}-${end}` : undefined);
            assert.equal(answer.status, 202, answer.text);
            assert.equal(answer.headers.range, `0-${end}`);
            at = end + 1;
            assert.equal(await rangeOf(location), `0-${end}`);
          }
          const answer = await finish(location, sha256(bytes));
          assert.equal(answer.status, 201, answer.text);
          assert.equal(answer.headers.location, `${BASE}/blobs/${sha256(bytes)}`);
          assert.equal(answer.headers['docker-content-digest'], sha256(bytes));
          await requireBlob(bytes);
        }
      });

      test(`an upload of ${what} chunks goes on after the server was started again`, async () => {
        const chunks = sizes.map((size) => randomBytes(size));
        const bytes = Buffer.concat(chunks);
        const location = await client.startUpload();
        let at = 0;
        for (const chunk of chunks) {
          assert.equal(await rangeOf(location), `0-${Math.max(at - 1, 0)}`);
          assert.equal((await patch(location, chunk, `${at}-${at + chunk.length - 1}`)).status, 202);
          at += chunk.length;
          await world.app.restart();
        }
        assert.equal(await rangeOf(location), `0-${at - 1}`);
        const last = uniqueBytes(50);
        const whole = Buffer.concat([bytes, last]);
        assert.equal((await finish(location, sha512(whole), last)).status, 201);
        await requireBlob(whole, sha512(whole));
        await requireBlob(whole);
      });
    }

    test('an empty chunk changes nothing, and an empty upload is the empty blob', async () => {
      const location = await client.startUpload();
      const empty = await patch(location, '');
      assert.equal(empty.status, 202);
      assert.equal(empty.headers.range, '0-0');
      await patch(location, 'abc');
      assert.equal((await patch(location, '')).headers.range, '0-2');
      assert.equal((await finish(location, sha256('abc'))).status, 201);
      const nothing = await client.startUpload();
      assert.equal((await finish(nothing, sha256(''))).status, 201);
      await requireBlob(Buffer.alloc(0));
    });

    test('a digest glued to the address with an ampersand counts', async () => {
      const bytes = uniqueBytes();
      const location = await client.startUpload();
      await patch(location, bytes);
      const answer = await world.admin.request('PUT', `${location}&digest=${sha256(bytes)}`);
      assert.equal(answer.status, 201, answer.text);
      await requireBlob(bytes);
    });

    test('unknown parameters are ignored, and colons of the digest may be encoded', async () => {
      const bytes = uniqueBytes();
      const location = await client.startUpload();
      assert.equal((await patch(`${location}?_state=x&a=b`, bytes)).status, 202);
      const answer = await world.admin.request(
        'PUT',
        `${location}?_state=x&digest=${encodeURIComponent(sha256(bytes))}`,
      );
      assert.equal(answer.status, 201);
    });

    test('a finish whose answer was lost is answered again, and only for the same digest', async () => {
      const bytes = uniqueBytes();
      const location = await client.startUpload();
      await patch(location, bytes);
      for (let i = 0; i < 3; i++) {
        const answer = await finish(location, sha256(bytes));
        assert.equal(answer.status, 201);
        assert.equal(answer.headers.location, `${BASE}/blobs/${sha256(bytes)}`);
      }
      const other = await finish(location, sha256('other'));
      assert.equal(other.status, 404);
      assert.equal(codeOf(other), 'BLOB_UPLOAD_UNKNOWN');
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        assert.equal((await world.admin.request(method, location)).status, 404, method);
      }
    });

    test('a replayed finish that brings its bytes again is answered again', async () => {
      const bytes = uniqueBytes(100_000);
      const location = await client.startUpload();
      for (let i = 0; i < 2; i++) assert.equal((await finish(location, sha256(bytes), bytes)).status, 201);
      await requireBlob(bytes);
    });

    test('a cancelled upload is gone, with its bytes', async () => {
      const location = await client.startUpload();
      const before = await stagesOf(world.app);
      await patch(location, randomBytes(MIB));
      assert.equal((await world.admin.request('DELETE', location)).status, 204);
      assert.equal((await world.admin.request('GET', location)).status, 404);
      assert.equal((await world.admin.request('DELETE', location)).status, 404);
      assert.deepEqual(
        (await stagesOf(world.app)).filter((stage) => !before.includes(stage)),
        [],
      );
    });

    test('who may push may cancel, without the right to delete', async () => {
      const writer = new ImageClient(world.as('writer'), BASE);
      const location = await writer.startUpload();
      assert.equal((await world.as('writer').request('DELETE', location)).status, 204);
    });

    test('another user who may push goes on with an upload', async () => {
      const bytes = uniqueBytes();
      const location = await new ImageClient(world.as('writer'), BASE).startUpload();
      assert.equal((await world.as('owner').request('PATCH', location, { body: bytes })).status, 202);
      assert.equal((await world.as('writer').request('PUT', `${location}?digest=${sha256(bytes)}`)).status, 201);
    });

    test('of two who write at once one is told to wait, and bytes never mix', async () => {
      const location = await client.startUpload();
      const first = await openRaw(world.app.port);
      const head = `PATCH ${location} HTTP/1.1\r\n${credentials}Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n`;
      first.send(head);
      // Being told to go on, it is the one that writes.
      await eventually(async () => assert.deepEqual((await first.outcome({ waitMs: 20 })).interim, [100]));
      first.send('a'.repeat(1_000_000));
      const second = await patch(location, 'b');
      assert.equal(second.status, 416);
      assert.equal(codeOf(second), 'RANGE_INVALID');
      assert.match(String(second.headers.range), /^0-\d+$/);
      assert.equal((await finish(location, sha256('b'), Buffer.from('b'))).status, 416);
      first.send('a'.repeat(1_000_000));
      const { answers } = await first.outcome({ answers: 1 });
      first.socket.destroy();
      assert.equal(answers[0]!.status, 202);
      const bytes = Buffer.alloc(2_000_000, 'a');
      assert.equal((await finish(location, sha256(bytes))).status, 201);
      await requireBlob(bytes);
    });

    test('many who write one chunk at the same place leave exactly one', async () => {
      const location = await client.startUpload();
      const chunks = Array.from({ length: 8 }, (_, i) => Buffer.alloc(5000, String(i)));
      const answers = await Promise.all(chunks.map((chunk) => patch(location, chunk, '0-4999')));
      const taken = answers.flatMap(({ status }, i) => (status === 202 ? [i] : []));
      assert.equal(taken.length, 1);
      assert.ok(answers.every(({ status }) => status === 202 || status === 416));
      assert.equal(await rangeOf(location), '0-4999');
      const bytes = chunks[taken[0]!]!;
      assert.equal((await finish(location, sha256(bytes))).status, 201);
    });

    test('a chunk that is cut keeps what arrived, and the upload goes on from there', async () => {
      const bytes = randomBytes(3 * MIB);
      const location = await client.startUpload();
      for (const sent of [MIB, MIB / 2 + 1]) {
        const before = await receivedOf(location);
        const connection = await openRaw(world.app.port);
        const left = bytes.length - before;
        connection.send(`PATCH ${location} HTTP/1.1\r\n${credentials}Content-Length: ${left}\r\n\r\n`);
        connection.send(bytes.subarray(before, before + sent));
        await new Promise<void>((resolve) => connection.socket.write('', () => resolve()));
        connection.socket.end();
        await eventually(async () => assert.equal(await receivedOf(location), before + sent));
        connection.socket.destroy();
      }
      const at = await receivedOf(location);
      assert.equal((await patch(location, bytes.subarray(at), `${at}-${bytes.length - 1}`)).status, 202);
      assert.equal((await finish(location, sha256(bytes))).status, 201);
      await requireBlob(bytes);
    });

    test('a finish that is cut leaves the upload as it was before', async () => {
      const location = await client.startUpload();
      await patch(location, 'abc');
      const connection = await openRaw(world.app.port);
      connection.send(
        `PUT ${location}?digest=${sha256('abcdef')} HTTP/1.1\r\n${credentials}Content-Length: 3\r\n\r\nd`,
      );
      await new Promise<void>((resolve) => connection.socket.write('', () => resolve()));
      connection.socket.end();
      await connection.isClosedWithin(5000);
      await eventually(async () => assert.equal(await rangeOf(location), '0-2'));
      assert.equal((await finish(location, sha256('abcdef'), Buffer.from('def'))).status, 201);
    });

    test('a client that waits for 100 sends its bytes when told to', async () => {
      const location = await client.startUpload();
      const connection = await openRaw(world.app.port);
      connection.send(
        `PUT ${location}?digest=${sha256('waited')} HTTP/1.1\r\n${credentials}Expect: 100-continue\r\nContent-Length: 6\r\n\r\n`,
      );
      await eventually(async () => assert.deepEqual((await connection.outcome({ waitMs: 20 })).interim, [100]));
      connection.send('waited');
      const { answers } = await connection.outcome({ answers: 1 });
      connection.socket.destroy();
      assert.equal(answers[0]!.status, 201);
    });

    test('a client that waits for 100 learns of a wrong place, an unknown upload or a bad digest instead', async () => {
      const location = await client.startUpload();
      for (const [line, status] of [
        [`PATCH ${location}`, 416],
        [`PATCH ${BASE}/blobs/uploads/00000000-0000-0000-0000-000000000000`, 404],
        [`PUT ${location}?digest=sha256:zz`, 400],
        [`PUT ${BASE}/manifests/.bad`, 400],
      ] as const) {
        const outcome = await sendRaw(
          world.app.port,
          `${line} HTTP/1.1\r\n${credentials}Expect: 100-continue\r\nContent-Range: 5-9\r\nContent-Length: 5\r\n\r\n`,
        );
        assert.deepEqual(outcome.interim, [], line);
        assert.equal(outcome.answers[0]?.status, status, line);
        assert.ok(outcome.closed);
      }
    });

    test('a blob that is already there can be uploaded again', async () => {
      const bytes = randomBytes(200_000);
      await client.pushBlob(bytes);
      await client.pushBlob(bytes);
      await new ImageClient(world.admin, '/v2/docker-local/second').pushBlob(bytes);
      await requireBlob(bytes);
    });

    test('one blob pushed by many at once to many images is one blob', async () => {
      const bytes = randomBytes(100_000);
      const clients = Array.from({ length: 20 }, (_, i) => new ImageClient(world.admin, `/v2/docker-local/many/${i}`));
      await Promise.all(clients.map((one) => one.pushBlob(bytes)));
      for (const one of clients) assert.equal(await one.statusOf(`/blobs/${sha256(bytes)}`), 200);
      const rows = await world.database.kysely
        .selectFrom('blob')
        .select('sha256')
        .where('sha256', '=', sha256(bytes).slice(7))
        .execute();
      assert.equal(rows.length, 1);
    });

    async function receivedOf(location: string): Promise<number> {
      const { database } = world;
      const id = location.split('/').at(-1)!;
      const row = await database.kysely.selectFrom('upload').select('received').where('id', '=', id).executeTakeFirst();
      const told = Number(/^0-(\d+)$/.exec(String(await rangeOf(location)))?.[1]);
      const received = Number(row?.received);
      assert.equal(told, Math.max(received - 1, 0));
      return received;
    }
  });
}
