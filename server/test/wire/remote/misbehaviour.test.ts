/** Upstreams that do not behave: the right bytes or an error for clients, and nothing new in the store. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { pause, type Script } from '../../support/hostile-upstream.ts';
import { sha256 } from './images.ts';
import { onEachRemoteStorage, type RemoteWorld } from './remote-world.ts';

const BODY = randomBytes(100_000);
const hash = (algorithm: string) => createHash(algorithm).update(BODY).digest('hex');

interface Cut {
  readonly status: number;
  readonly bytes: number;
  /** Whether the answer ended as it should. */
  readonly complete: boolean;
}

/** Reads as a client that notices when an answer is cut. */
function fetchCut({ app }: RemoteWorld, path: string, afterBytes?: number): Promise<Cut> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: app.admin.authorization ?? '' };
    const asked = request({ host: '127.0.0.1', port: app.port, path, headers, agent: false }, (response) => {
      let bytes = 0;
      const done = (complete: boolean) => resolve({ status: response.statusCode ?? 0, bytes, complete });
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (afterBytes !== undefined && bytes >= afterBytes) asked.destroy();
      });
      response.on('error', () => done(false));
      response.on('close', () => done(response.complete));
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** Each answers a request for the whole file; true where an error before the first byte is all that may come. */
const BAD: Readonly<Record<string, readonly [Script, boolean]>> = {
  'a short body': [
    ({ head, write, socket }) => {
      head(200, { 'Content-Length': BODY.length });
      write(BODY.subarray(0, 60_000));
      setTimeout(() => socket.destroy(), 20);
    },
    false,
  ],
  'a reset in the middle': [
    ({ head, write, reset }) => {
      head(200, { 'Content-Length': BODY.length });
      write(BODY.subarray(0, 60_000));
      setTimeout(reset, 20);
    },
    false,
  ],
  'chunks that break off': [
    ({ head, write, socket }) => {
      head(200, { 'Transfer-Encoding': 'chunked' });
      write(`1000\r\n${'x'.repeat(4096)}\r\n`);
      setTimeout(() => socket.destroy(), 20);
    },
    false,
  ],
  'a body whose end nobody tells': [
    ({ head, write, socket }) => {
      head(200, { Connection: 'close' });
      write(BODY);
      socket.end();
    },
    true,
  ],
  'another checksum than declared': [({ send }) => send(200, BODY, { 'X-Checksum-Sha1': '0'.repeat(40) }), false],
  'two lengths': [
    ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nabcdefg`);
    },
    true,
  ],
  'a negative length': [({ socket }) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc'), true],
  'a page in the place of the file': [
    ({ send }) => send(200, '<html>log in</html>', { 'Content-Type': 'text/html' }),
    true,
  ],
  'an encoding nobody asked for': [({ send }) => send(200, BODY, { 'Content-Encoding': 'br' }), true],
  'a part of the file': [
    ({ send }) => send(206, BODY.subarray(0, 10), { 'Content-Range': `bytes 0-9/${BODY.length}` }),
    true,
  ],
  'not modified': [({ head }) => head(304, {}), true],
  'a status that does not exist': [({ send }) => send(799, BODY), true],
  trouble: [({ send }) => send(503, 'later'), true],
  'a server error': [({ send }) => send(500, 'oops'), true],
  'a request nobody made': [({ send }) => send(400, 'bad'), true],
  'a redirect to itself': [({ head }) => head(302, { Location: '/up/bad.bin', 'Content-Length': 0 }), true],
  'a redirect to cloud metadata': [
    ({ head }) => head(302, { Location: 'http://169.254.169.254/latest/meta-data', 'Content-Length': 0 }),
    true,
  ],
  'a redirect to a file': [({ head }) => head(302, { Location: 'file:///etc/passwd', 'Content-Length': 0 }), true],
  'nothing at all': [({ reset }) => reset(), true],
  garbage: [({ socket }) => void socket.end('SSH-2.0-OpenSSH_9\r\n'), true],
};

onEachRemoteStorage('an upstream that does not behave', (world) => {
  for (const [number, [name, [script, isError]]] of Object.entries(BAD).entries()) {
    test(`${name}: never answered as whole, never kept`, async () => {
      const { remote, upstream, blobs, get, app } = world();
      const key = `bad-${number}`;
      const at = await remote(key, { assumedOfflinePeriodSecs: 0 });
      upstream.on('/up/bad.bin', script);
      const before = await blobs();
      const answer = await fetchCut(world(), `${at}/bad.bin`);
      if (isError) {
        assert.ok(answer.status === 502 || answer.status === 503, String(answer.status));
        assert.ok(answer.complete);
      } else {
        assert.equal(answer.complete, false);
        assert.ok(answer.bytes < BODY.length);
      }
      assert.equal(await blobs(), before);
      const held = await get(`/artifactory/${key}-cache/bad.bin`);
      assert.equal(held.status, 404);
      // Once it behaves it is believed again.
      upstream.serve('/up/bad.bin', BODY);
      await eventually(async () => assert.ok((await get(`${at}/bad.bin`)).bytes.equals(BODY)));
      await eventually(async () => assert.equal((await get(`/artifactory/${key}-cache/bad.bin`)).status, 200));
      assert.deepEqual(
        app.complaints.filter(({ level }) => level === 'error'),
        [],
      );
    });
  }

  test('what broke off goes on where it was, unnoticed by clients', async () => {
    const { remote, upstream, get } = world();
    const at = await remote('resumed');
    upstream.on('/up/long.bin', (answering) => {
      const { head, write, socket, headers, count } = answering;
      const [, from = '0'] = /^bytes=(\d+)-$/.exec(headers['range'] ?? '') ?? [];
      const start = Number(from);
      const rest = BODY.subarray(start);
      if (count > 1) assert.equal(headers['if-range'], '"v1"');
      const range = { 'Content-Range': `bytes ${start}-${BODY.length - 1}/${BODY.length}` };
      head(start > 0 ? 206 : 200, { ETag: '"v1"', 'Content-Length': rest.length, ...(start > 0 && range) });
      write(count < 3 ? rest.subarray(0, 30_000) : rest);
      if (count < 3) setTimeout(() => socket.destroy(), 20);
    });
    const answer = await get(`${at}/long.bin`);
    assert.ok(answer.bytes.equals(BODY));
    assert.equal(upstream.count('/up/long.bin'), 3);
  });

  test('what cannot go on begins again, and goes on for clients only with the same bytes', async () => {
    const { remote, upstream, get, blobs } = world();
    const at = await remote('restarted');
    const script =
      (again: Buffer): Script =>
      async ({ head, write, socket, count }) => {
        head(200, { 'Content-Length': BODY.length });
        if (count > 1) return write(again);
        write(BODY.subarray(0, 50_000));
        await pause(100);
        socket.destroy();
      };
    upstream.on('/up/same.bin', script(BODY));
    assert.ok((await get(`${at}/same.bin`)).bytes.equals(BODY));
    await eventually(async () => assert.equal((await get('/artifactory/restarted-cache/same.bin')).status, 200));
    const before = await blobs();
    upstream.on('/up/other.bin', script(randomBytes(BODY.length)));
    assert.equal((await fetchCut(world(), `${at}/other.bin`)).complete, false);
    assert.equal(await blobs(), before);
  });

  test('a client that leaves does not stop what is being fetched', async () => {
    const { remote, upstream, get } = world();
    const at = await remote('left');
    upstream.on('/up/slow.bin', async ({ head, write }) => {
      head(200, { 'Content-Length': BODY.length });
      for (let sent = 0; sent < BODY.length; sent += 20_000) {
        write(BODY.subarray(sent, sent + 20_000));
        await pause(60);
      }
    });
    const left = await fetchCut(world(), `${at}/slow.bin`, 10_000);
    assert.equal(left.complete, false);
    await eventually(async () => {
      const held = await get('/artifactory/left-cache/slow.bin');
      assert.ok(held.bytes.equals(BODY));
    });
    assert.equal(upstream.count('/up/slow.bin'), 1);
  });

  test('bytes reach the first client before the last one has come', async () => {
    const { remote, upstream, app } = world();
    const at = await remote('early');
    const gate = Promise.withResolvers<void>();
    upstream.on('/up/early.bin', async ({ head, write }) => {
      head(200, { 'Content-Length': BODY.length });
      write(BODY.subarray(0, 50_000));
      await gate.promise;
      write(BODY.subarray(50_000));
    });
    const headers = { authorization: app.admin.authorization ?? '' };
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      const chunks: Buffer[] = [];
      request({ host: '127.0.0.1', port: app.port, path: `${at}/early.bin`, headers, agent: false }, (response) => {
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          if (Buffer.concat(chunks).length >= 49_000) gate.resolve();
        });
        response.on('end', () => resolve(Buffer.concat(chunks)));
        response.on('error', reject);
      }).end();
    });
    assert.ok(bytes.equals(BODY));
  });

  test('all who wait for one answer get the same refusal, and a crowd that tries again asks no more', async () => {
    const { remote, upstream, get } = world();
    const at = await remote('crowd');
    upstream.on('/up/crowd.bin', async ({ send }) => {
      await pause(150);
      send(429, 'slow down', { 'Retry-After': 17 });
    });
    const answers = await Promise.all(Array.from({ length: 100 }, () => get(`${at}/crowd.bin`)));
    for (const answer of answers) {
      assert.equal(answer.status, 429, answer.text);
      assert.ok(Number(answer.headers['retry-after']) <= 17);
    }
    assert.equal((await get(`${at}/crowd.bin`)).status, 429);
    assert.equal(upstream.count('/up/crowd.bin'), 1);
  });

  test('what is refused counts as missing for a while, and is told of in the log', async () => {
    const { remote, upstream, get, app } = world();
    const at = await remote('closed');
    upstream.on('/up/closed.bin', ({ send }) => send(403, 'no'));
    assert.equal((await get(`${at}/closed.bin`)).status, 404);
    assert.equal((await get(`${at}/closed.bin`)).status, 404);
    assert.equal(upstream.count('/up/closed.bin'), 1);
    assert.ok(app.complaints.some(({ message }) => message.includes('answered 403')));
  });

  test('checksum policies', async () => {
    const { remote, upstream, get, blobs, app } = world();
    const strict = await remote('strict', { remoteRepoChecksumPolicyType: 'fail' });
    upstream.serve('/up/sum.bin', BODY);
    const before = await blobs();
    assert.equal((await fetchCut(world(), `${strict}/sum.bin`)).complete, false);
    assert.equal(await blobs(), before);
    upstream.serve('/up/beside.bin', BODY);
    upstream.serve('/up/beside.bin.sha1', `${hash('sha1')}  beside.bin\n`);
    assert.ok((await get(`${strict}/beside.bin`)).bytes.equals(BODY));
    upstream.serve('/up/declared.bin', BODY, { 'X-Checksum-Md5': hash('md5') });
    assert.ok((await get(`${strict}/declared.bin`)).bytes.equals(BODY));
    const wrong = { 'X-Checksum-Sha1': '1'.repeat(40) };
    upstream.serve('/up/wrong.bin', BODY, wrong);
    for (const [key, policy] of [
      ['ignoring', 'ignore-and-generate'],
      ['passing', 'pass-thru'],
    ] as const) {
      const at = await remote(key, { remoteRepoChecksumPolicyType: policy });
      assert.ok((await get(`${at}/wrong.bin`)).bytes.equals(BODY));
      await eventually(async () => {
        const database = await app.openDatabase();
        const row = await database.kysely
          .selectFrom('node')
          .innerJoin('repository', 'repository.id', 'node.repo_id')
          .select('original_sha1')
          .where('repository.key', '=', key)
          .where('node.name', '=', 'wrong.bin')
          .executeTakeFirst()
          .finally(() => database.close());
        assert.equal(row?.original_sha1, key === 'passing' ? wrong['X-Checksum-Sha1'] : null);
      });
    }
  });

  test('where nothing is to be kept it is passed on', async () => {
    const { remote, upstream, get, blobs } = world();
    const at = await remote('through', { storeArtifactsLocally: false });
    const large = randomBytes(20_000_000);
    upstream.serve('/up/through.bin', large);
    const before = await blobs();
    for (let i = 0; i < 2; i++) {
      const answer = await get(`${at}/through.bin`);
      assert.equal(answer.bytes.length, large.length);
      assert.equal(sha256(answer.bytes), sha256(large));
    }
    assert.equal(upstream.count('/up/through.bin'), 2);
    assert.equal(await blobs(), before);
  });

  test('a refusal of address is told as one, without a connection', async () => {
    const { get, app } = world();
    const made = await app.admin.request('PUT', '/artifactory/api/repositories/linked', {
      body: JSON.stringify({ rclass: 'remote', packageType: 'generic', url: 'http://169.254.169.254/' }),
      headers: { 'content-type': 'application/json' },
    });
    if (made.status !== 200) return;
    const answer = await get('/artifactory/linked/a');
    assert.equal(answer.status, 502, answer.text);
  });
});
