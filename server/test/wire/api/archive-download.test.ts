/** Folders downloaded as archives: whole, within limits, and nothing that their reader may not see. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { type ArchiveKind, readArchive } from '../../../src/lib/archives/archive.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, type Caller, STORAGES } from '../../support/test-app.ts';
import { grant, startWorld, type World } from '../../support/wire-world.ts';

const DOWNLOAD = '/artifactory/api/archive/download';
const FILES = '/artifactory/generic-local';
const LIMITS = { maxEntries: 10_000, maxTotalBytes: 1e9, maxRatio: 10_000 };

async function contentsOf(kind: ArchiveKind, bytes: Buffer): Promise<Record<string, Buffer>> {
  const source = {
    size: bytes.length,
    open: async (range?: { start: number; end: number }) =>
      Readable.from([range ? bytes.subarray(range.start, range.end + 1) : bytes]),
  };
  const found: Record<string, Buffer> = {};
  for await (const entry of readArchive(kind, source, LIMITS)) {
    found[entry.name] = Buffer.concat(await Array.fromAsync(await entry.open()));
  }
  return found;
}

for (const storage of STORAGES) {
  describe(`folders as archives on ${storage}`, () => {
    let world: World;
    const large = randomBytes(700_000);
    const files: Record<string, Buffer> = {
      'a.txt': Buffer.from('one'),
      'deep/er/large.bin': large,
      empty: Buffer.alloc(0),
      'c:odd': Buffer.from('drive'),
      'ä€/日本': Buffer.from('names'),
    };
    before(async () => {
      world = await startWorld(storage, {
        env: {
          ENTREPOT_ARCHIVES__DOWNLOAD__MAX_FILES: '20',
          ENTREPOT_ARCHIVES__DOWNLOAD__MAX_BYTES: String(5 * 1024 * 1024),
          ENTREPOT_ARCHIVES__DOWNLOAD__MAX_CONCURRENT: '1',
        },
        prepare: async (core) => {
          await core.administration.create({ key: 'split', rclass: 'local', packageType: 'generic' }, '_system_');
          const reader = [{ kind: 'user' as const, name: 'reader', actions: ['read' as const] }];
          await grant(core, 'split', ['split'], reader, ['open/**']);
        },
      });
      for (const [name, body] of Object.entries(files)) await put(`box/${name}`, body);
      await put('boxes/beside', Buffer.from('x'));
    });
    after(() => world.stop());

    const put = async (path: string, body: Buffer, repo = 'generic-local') => {
      const encoded = path.split('/').map(encodeURIComponent).join('/');
      const answer = await world.admin.request('PUT', `/artifactory/${repo}/${encoded}`, { body });
      assert.equal(answer.status, 201, answer.text);
    };
    const get = (path: string, by: Caller = world.admin, method = 'GET'): Promise<Answer> =>
      by.request(method, `${DOWNLOAD}/${path}`);

    for (const [type, kind, mediaType] of [
      ['zip', 'zip', 'application/zip'],
      ['tar', 'tar', 'application/x-tar'],
      ['tar.gz', 'tar.gz', 'application/x-gzip'],
      ['tgz', 'tar.gz', 'application/x-gzip'],
    ] as const) {
      test(`a folder comes as ${type} with all that is in it`, async () => {
        const answer = await get(`generic-local/box?archiveType=${type}`, world.as('reader'));
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.headers['content-type'], mediaType);
        assert.equal(
          answer.headers['content-disposition'],
          `attachment; filename="box.${type}"; filename*=UTF-8''box.${type}`,
        );
        const found = await contentsOf(kind, answer.bytes);
        const expected = { ...files };
        if (kind === 'zip') {
          delete expected['c:odd'];
          expected['./c:odd'] = files['c:odd']!;
        }
        assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort());
        for (const [name, bytes] of Object.entries(expected)) assert.ok(found[name]!.equals(bytes), name);
      });
    }

    test('checksum files come with it where they are asked for', async () => {
      const answer = await get('generic-local/box/deep/?archiveType=tar&includeChecksumFiles=true');
      const found = await contentsOf('tar', answer.bytes);
      assert.deepEqual(
        Object.keys(found).sort(),
        ['', '.md5', '.sha1', '.sha256'].map((end) => `er/large.bin${end}`),
      );
      assert.equal(found['er/large.bin.sha1']!.toString(), createHash('sha1').update(large).digest('hex'));
    });

    test('a whole repository comes, and a folder by its own address', async () => {
      const whole = await get('generic-local?archiveType=zip');
      assert.match(String(whole.headers['content-disposition']), /filename="generic-local\.zip"/);
      assert.ok((await contentsOf('zip', whole.bytes))['boxes/beside']);
      const own = await world.admin.request('GET', `${FILES}/boxes?archiveType=tar`);
      assert.deepEqual(Object.keys(await contentsOf('tar', own.bytes)), ['beside']);
      const head = await get('generic-local/box?archiveType=zip', world.admin, 'HEAD');
      assert.equal(head.status, 200);
      assert.equal(head.bytes.length, 0);
    });

    test('what the reader may not see is not in it', async () => {
      await put('open/seen', Buffer.from('seen'), 'split');
      await put('closed/secret', Buffer.from('secret'), 'split');
      const answer = await get('split?archiveType=zip', world.as('reader'));
      assert.deepEqual(Object.keys(await contentsOf('zip', answer.bytes)), ['open/seen']);
      assert.equal((await get('split/closed?archiveType=zip', world.as('reader'))).status, 404);
      assert.equal((await get('split?archiveType=zip', world.as('outsider'))).status, 404);
      assert.equal((await get('generic-local?archiveType=zip', world.anonymous)).status, 401);
    });

    test('G24: what cannot be, is too much or is not there is refused', async () => {
      for (let i = 0; i < 21; i++) await put(`many/${i}`, Buffer.from('x'));
      await put('huge/one', randomBytes(5 * 1024 * 1024 + 1));
      for (const [path, status] of [
        ['generic-local/box?archiveType=rar', 400],
        ['generic-local/box', 400],
        ['generic-local/box/a.txt?archiveType=zip', 400],
        ['generic-local/none?archiveType=zip', 404],
        ['nothing?archiveType=zip', 404],
        ['generic-local/..?archiveType=zip', 400],
        ['generic-local/a%2Fb?archiveType=zip', 400],
        ['generic-local/many?archiveType=zip', 413],
        ['generic-local/huge?archiveType=tar', 413],
      ] as const) {
        const answer = await get(path);
        assert.equal(answer.status, status, `${path}: ${answer.text.slice(0, 200)}`);
      }
    });

    test('a client that leaves ends the work, and makes room for the next', async () => {
      for (let i = 0; i < 4; i++) await put(`slow/${i}`, randomBytes(1_200_000));
      const socket = connect(world.app.port, '127.0.0.1');
      socket.write(
        `GET ${DOWNLOAD}/generic-local/slow?archiveType=tar HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${world.admin.authorization}\r\n\r\n`,
      );
      await new Promise((resolve) => socket.once('data', resolve));
      socket.pause();
      const busy = await get('generic-local/box?archiveType=zip');
      // A quick machine may have sent all of it into the buffers of the connection.
      assert.ok(busy.status === 429 || busy.status === 200);
      socket.destroy();
      await eventually(async () => {
        assert.equal((await get('generic-local/box?archiveType=zip')).status, 200);
      }, 10_000);
    });
  });
}

test('folders are not given out where that is switched off', async () => {
  const world = await startWorld('sqlite-fs', { env: { ENTREPOT_ARCHIVES__DOWNLOAD__ENABLED: 'false' } });
  try {
    assert.equal((await world.admin.request('GET', `${DOWNLOAD}/generic-local?archiveType=zip`)).status, 403);
  } finally {
    await world.stop();
  }
});
