/** Plain files under plain paths: what they come with, who may change them, and what happens all at once. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { uniqueBytes } from '../../support/oci.ts';
import { type Answer, type Caller, STORAGES } from '../../support/test-app.ts';
import { stagesOf, startWorld, type World } from '../../support/wire-world.ts';

const FILES = '/artifactory/generic-local';
const hash = (algorithm: string, bytes: Buffer | string) => createHash(algorithm).update(bytes).digest('hex');

interface Deployed {
  readonly repo: string;
  readonly path: string;
  readonly created: string;
  readonly createdBy: string;
  readonly downloadUri: string;
  readonly mimeType: string;
  readonly size: string;
  readonly checksums: Readonly<Record<string, string>>;
  readonly uri: string;
}

for (const storage of STORAGES) {
  describe(`files on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage);
    });
    after(() => world.stop());

    const put = async (path: string, body: Buffer | string, caller: Caller = world.admin): Promise<Answer> => {
      const answer = await caller.request('PUT', `${FILES}/${path}`, { body });
      assert.equal(answer.status, 201, answer.text);
      return answer;
    };
    const get = (path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET') =>
      world.admin.request(method, `${FILES}/${path}`, { headers });

    for (const [what, size] of [
      ['a small file', 500],
      ['a file that is kept as an object', 200_000],
    ] as const) {
      test(`${what} is told of when it is put, and comes back with its checksums`, async () => {
        const bytes = randomBytes(size);
        const path = `org/acme/${size}/lib-1.0.jar`;
        const answer = await put(path, bytes, world.as('owner'));
        const uri = `${world.app.url}${FILES}/${path}`;
        const { created, ...rest } = answer.json() as Deployed;
        assert.deepEqual(rest, {
          repo: 'generic-local',
          path: `/${path}`,
          createdBy: 'owner',
          downloadUri: uri,
          mimeType: 'application/java-archive',
          size: String(size),
          checksums: { sha1: hash('sha1', bytes), md5: hash('md5', bytes), sha256: hash('sha256', bytes) },
          originalChecksums: { sha256: hash('sha256', bytes) },
          uri,
        });
        assert.ok(Math.abs(Date.parse(created) - Date.now()) < 60_000);
        assert.equal(answer.headers.location, uri);
        const read = await get(path);
        assert.deepEqual(read.bytes, bytes);
        assert.equal(read.headers['content-type'], 'application/java-archive');
        assert.equal(read.headers['x-checksum-sha1'], hash('sha1', bytes));
        assert.equal(read.headers['x-checksum-sha256'], hash('sha256', bytes));
        assert.equal(read.headers['x-checksum-md5'], hash('md5', bytes));
        assert.equal(read.headers.etag, hash('sha1', bytes));
        assert.equal(read.headers['accept-ranges'], 'bytes');
        assert.equal(read.headers['x-artifactory-filename'], 'lib-1.0.jar');
        assert.equal(
          read.headers['content-disposition'],
          `attachment; filename="lib-1.0.jar"; filename*=UTF-8''lib-1.0.jar`,
        );
        const head = await get(path, {}, 'HEAD');
        assert.equal(head.bytes.length, 0);
        for (const name of ['content-length', 'etag', 'last-modified', 'x-checksum-sha256', 'content-type'] as const) {
          assert.equal(head.headers[name], read.headers[name], name);
        }
      });
    }

    test('checksums that are sent are verified, in any case and with or without their name', async () => {
      const body = uniqueBytes();
      for (const [i, headers] of [
        { 'x-checksum-sha1': hash('sha1', body) },
        { 'x-checksum-sha256': hash('sha256', body).toUpperCase() },
        { 'x-checksum-md5': hash('md5', body) },
        { 'x-checksum': hash('sha256', body) },
        { 'x-checksum': hash('md5', body) },
        {
          'x-checksum-sha1': hash('sha1', body),
          'x-checksum-sha256': hash('sha256', body),
          'x-checksum-md5': hash('md5', body),
        },
      ].entries()) {
        const answer = await world.admin.request('PUT', `${FILES}/verified/${i}`, { body, headers });
        assert.equal(answer.status, 201, answer.text);
      }
    });

    test('a mismatch leaves what was there', async () => {
      await put('mismatch', 'first');
      const answer = await world.admin.request('PUT', `${FILES}/mismatch`, {
        body: 'second',
        headers: { 'x-checksum-sha1': hash('sha1', 'x') },
      });
      assert.equal(answer.status, 409);
      assert.equal((await get('mismatch')).text, 'first');
    });

    test('a file whose bytes are here already can be deployed by its checksum', async () => {
      const bytes = uniqueBytes();
      await put('known/original', bytes);
      const headers = {
        'x-checksum-deploy': 'true',
        'x-checksum-sha256': hash('sha256', bytes),
        'x-checksum-sha1': hash('sha1', bytes),
      };
      const answer = await world.as('writer').request('PUT', `${FILES}/known/copy;a=b`, { headers });
      assert.equal(answer.status, 201, answer.text);
      assert.equal((answer.json() as Deployed).size, String(bytes.length));
      assert.deepEqual((await get('known/copy')).bytes, bytes);
      const over = await world.as('writer').request('PUT', `${FILES}/known/copy`, { headers });
      assert.equal(over.status, 403);
    });

    test('checksum files are computed when read, verified when put, and never stored', async () => {
      await put('sidecar/lib.jar', 'lib');
      for (const algorithm of ['sha1', 'sha256', 'md5']) {
        const path = `sidecar/lib.jar.${algorithm}`;
        assert.equal((await get(path)).text, hash(algorithm, 'lib'));
        await put(path, hash(algorithm, 'lib'));
        await put(path, `${hash(algorithm, 'lib').toUpperCase()}  lib.jar\n`);
      }
      const rows = await world.database.kysely
        .selectFrom('node')
        .select('name')
        .where('parent', '=', 'sidecar')
        .execute();
      assert.deepEqual(
        rows.map(({ name }) => name),
        ['lib.jar'],
      );
      assert.equal((await get('sidecar/none.jar.sha1')).status, 404);
      assert.equal((await get('sidecar/lib.jar.sha1.md5')).status, 404);
    });

    test('conditions on the tag and on the time are honoured', async () => {
      await put('conditional', 'bytes');
      const { headers } = await get('conditional');
      const [etag, modified] = [String(headers.etag), String(headers['last-modified'])];
      for (const one of [
        { 'if-none-match': etag },
        { 'if-none-match': `"${etag}"` },
        { 'if-none-match': `W/"${etag}"` },
        { 'if-none-match': `"x", ${etag}` },
        { 'if-none-match': '*' },
        { 'if-modified-since': modified },
      ]) {
        const answer = await get('conditional', one);
        assert.equal(answer.status, 304, JSON.stringify(one));
        assert.equal(answer.bytes.length, 0);
        assert.equal(answer.headers.etag, etag);
      }
      for (const one of [
        { 'if-none-match': '"x"' },
        { 'if-modified-since': 'Thu, 01 Jan 2015 00:00:00 GMT' },
        { 'if-none-match': '"x"', 'if-modified-since': modified },
      ]) {
        assert.equal((await get('conditional', one)).status, 200, JSON.stringify(one));
      }
      await put('conditional', 'other bytes');
      assert.equal((await get('conditional', { 'if-none-match': etag })).status, 200);
    });

    test('ranges are served, alone, together and on condition', async () => {
      const bytes = randomBytes(50_000);
      await put('ranged', bytes);
      const etag = `"${hash('sha1', bytes)}"`;
      for (const [range, start, end] of [
        ['bytes=0-9', 0, 9],
        ['bytes=100-', 100, 49_999],
        ['bytes=-7', 49_993, 49_999],
        ['bytes=49999-60000', 49_999, 49_999],
      ] as const) {
        const answer = await get('ranged', { range, 'if-range': start === 0 ? etag : etag.slice(1, -1) });
        assert.equal(answer.status, 206);
        assert.equal(answer.headers['content-range'], `bytes ${start}-${end}/50000`);
        assert.deepEqual(answer.bytes, bytes.subarray(start, end + 1));
      }
      const parts = await get('ranged', { range: 'bytes=0-9,20-29' });
      assert.equal(parts.status, 206);
      assert.match(String(parts.headers['content-type']), /^multipart\/byteranges; boundary=/);
      assert.equal((await get('ranged', { range: 'bytes=0-9', 'if-range': '"x"' })).status, 200);
      assert.equal((await get('ranged', { range: 'bytes=50000-' })).status, 416);
    });

    test('matrix parameters become properties, wherever they stand, and no part of the path', async () => {
      await put('matrix;a=1/dir;b=2,3/file.txt;a=4;c;d.e=f%2Cg;semi=x%3By', 'x');
      assert.equal((await get('matrix/dir/file.txt')).status, 200);
      const rows = await world.database.kysely
        .selectFrom('property')
        .innerJoin('node', 'node.id', 'property.node_id')
        .select(['property.key', 'property.value'])
        .where('node.parent', '=', 'matrix/dir')
        .execute();
      assert.deepEqual(
        rows.map(({ key, value }) => `${key}=${value}`).sort(),
        ['a=1', 'a=4', 'b=2', 'b=3', 'c=', 'd.e=f,g', 'semi=x;y'].sort(),
      );
    });

    test('a file keeps a semicolon that is encoded, and properties are those of the last deploy', async () => {
      await put('semi%3Bcolon;a=1', 'x');
      assert.equal((await get('semi%3Bcolon')).status, 200);
      assert.equal((await get('semi')).status, 404);
      await put('semi%3Bcolon;b=2', 'y');
      const rows = await world.database.kysely
        .selectFrom('property')
        .innerJoin('node', 'node.id', 'property.node_id')
        .select(['property.key'])
        .where('node.name', '=', 'semi;colon')
        .execute();
      assert.deepEqual(
        rows.map(({ key }) => key),
        ['b'],
      );
    });

    test('who may not annotate deploys without properties', async () => {
      await put('plain-deploy;a=1', 'x', world.as('dropper'));
      const rows = await world.database.kysely
        .selectFrom('property')
        .innerJoin('node', 'node.id', 'property.node_id')
        .select('property.key')
        .where('node.name', '=', 'plain-deploy')
        .execute();
      assert.deepEqual(rows, []);
    });

    test('a path with a slash at its end makes a folder, once and again', async () => {
      for (let i = 0; i < 2; i++) {
        const answer = await put('folders/new/deep/', '');
        assert.equal((answer.json() as { path: string }).path, '/folders/new/deep/');
      }
      const row = await world.database.kysely
        .selectFrom('node')
        .select('folder')
        .where('name', '=', 'deep')
        .executeTakeFirstOrThrow();
      assert.equal(row.folder, 1);
    });

    test('deleting a folder takes what lies in it, and nothing beside it', async () => {
      for (const path of ['del/a/1', 'del/a/b/2', 'del/ab/3', 'del/a-b/4']) await put(path, path);
      assert.equal((await world.as('owner').request('DELETE', `${FILES}/del/a`)).status, 204);
      for (const [path, status] of [
        ['del/a/1', 404],
        ['del/a/b/2', 404],
        ['del/ab/3', 200],
        ['del/a-b/4', 200],
      ] as const) {
        assert.equal((await get(path)).status, status, path);
      }
      assert.equal((await world.as('owner').request('DELETE', `${FILES}/del/ab/3`)).status, 204);
      assert.equal((await world.as('owner').request('DELETE', `${FILES}/del/ab/3`)).status, 404);
    });

    test('overwriting needs the right to delete, and keeps who made the file', async () => {
      await put('over', 'one', world.as('writer'));
      assert.equal((await world.as('writer').request('PUT', `${FILES}/over`, { body: 'two' })).status, 403);
      const answer = await put('over', 'three', world.as('owner'));
      assert.equal((answer.json() as Deployed).createdBy, 'writer');
      assert.equal((await get('over')).text, 'three');
    });

    test('who may deploy but not read hears of what it deployed, and no more', async () => {
      const answer = await put('dropped/file', 'secret', world.as('dropper'));
      assert.equal((answer.json() as Deployed).checksums['sha256'], hash('sha256', 'secret'));
      assert.equal((await world.as('dropper').request('GET', `${FILES}/dropped/file`)).status, 404);
      const sidecar = await world.as('dropper').request('GET', `${FILES}/dropped/file.sha1`);
      assert.equal(sidecar.status, 404);
    });

    test('what a user may not read is answered as what is not there', async () => {
      await put('hidden/file', 'x');
      const outsider = world.as('outsider');
      for (const path of ['hidden/file', 'hidden', 'hidden/none', 'hidden/file.sha1']) {
        const answer = await outsider.request('GET', `${FILES}/${path}`);
        const none = await outsider.request('GET', `/artifactory/nowhere/${path}`);
        assert.equal(answer.status, 404);
        assert.equal(answer.text.replace('generic-local', '*'), none.text.replace('nowhere', '*'));
      }
    });

    test('G22: of a hundred who put one path at once each is told the truth, and one file is there, whole', async () => {
      const bodies = Array.from({ length: 100 }, (_, i) => Buffer.alloc(20_000 + i, `${i} `));
      const answers = await Promise.all(
        bodies.map((body) => world.admin.request('PUT', `${FILES}/contested/file`, { body })),
      );
      for (const answer of answers) assert.equal(answer.status, 201, answer.text);
      const read = await get('contested/file');
      const winner = bodies.find((body) => body.equals(read.bytes));
      assert.ok(winner, 'the file is one of those that were put');
      assert.equal(read.headers['x-checksum-sha256'], hash('sha256', winner));
      const rows = await world.database.kysely
        .selectFrom('node')
        .select('size')
        .where('parent', '=', 'contested')
        .execute();
      assert.deepEqual(
        rows.map(({ size }) => Number(size)),
        [winner.length],
      );
      assert.deepEqual(await stagesOf(world.app), []);
    });

    test('many files put at once into one new folder are all there', async () => {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          world.admin.request('PUT', `${FILES}/brand/new/${i}`, { body: String(i) }),
        ),
      );
      assert.ok(answers.every(({ status }) => status === 201));
      for (let i = 0; i < 50; i++) assert.equal((await get(`brand/new/${i}`)).text, String(i));
    });

    test('files come back after the server was started again', async () => {
      const bytes = randomBytes(100_000);
      await put('lasting', bytes);
      await world.app.restart();
      assert.deepEqual((await get('lasting')).bytes, bytes);
    });
  });
}
