/** Archives that are unpacked where they are put, and files that are read inside archives. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { tarOf, zipEncrypted, zipNamed, zipOf, zipWithLink } from '../../support/archives.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, type Caller, STORAGES } from '../../support/test-app.ts';
import { countStored, startWorld, type World } from '../../support/wire-world.ts';

const FILES = '/artifactory/generic-local';
const hash = (algorithm: string, bytes: Buffer | string) => createHash(algorithm).update(bytes).digest('hex');
const message = (answer: Answer) => (answer.json() as { errors: { message: string }[] }).errors[0]!.message;

for (const storage of STORAGES) {
  describe(`archives on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage, {
        env: {
          ENTREPOT_ARCHIVES__MAX_ENTRIES: '300',
          ENTREPOT_ARCHIVES__MAX_ATOMIC_ENTRIES: '200',
          ENTREPOT_ARCHIVES__MAX_TOTAL_BYTES: String(200 * 1024 * 1024),
          ENTREPOT_ARCHIVES__MAX_RATIO: '50',
          ENTREPOT_ARCHIVES__MAX_ENTRY_BYTES: String(8 * 1024 * 1024),
        },
      });
    });
    after(() => world.stop());

    const get = (path: string, method = 'GET') => world.admin.request(method, `${FILES}/${path}`);
    const put = (path: string, body: Buffer | string) => world.admin.request('PUT', `${FILES}/${path}`, { body });
    const explode = (path: string, body: Buffer, mode: 'atomic' | 'each', by: Caller = world.admin) =>
      by.request('PUT', `${FILES}/${path}`, {
        body,
        headers: mode === 'atomic' ? { 'x-explode-archive-atomic': 'true' } : { 'x-explode-archive': 'true' },
      });

    const large = randomBytes(300_000);
    const contents = { 'a.txt': 'one', 'deep/er/b.bin': large, './dotted': 'd', 'deep/er/b.bin.sha1': 'ignored' };
    const { './dotted': dotted, ...others } = contents;
    for (const mode of ['each', 'atomic'] as const) {
      for (const [ending, make] of [
        ['zip', () => zipOf({ ...others, dotted })],
        ['tar', () => tarOf(contents)],
        ['tar.gz', async () => gzipSync(await tarOf(contents))],
        ['tgz', async () => gzipSync(await tarOf(contents))],
      ] as const) {
        test(`a ${ending} is unpacked, ${mode === 'each' ? 'file by file' : 'all together'}`, async () => {
          const root = `unpacked/${mode}/${ending}`;
          const answer = await explode(`${root}/x.${ending};k=v`, await make(), mode);
          assert.equal(answer.status, 201, answer.text);
          assert.deepEqual(answer.json(), { repo: 'generic-local', path: `/${root}`, files: 3 });
          assert.equal((await get(`${root}/a.txt`)).text, 'one');
          const read = await get(`${root}/deep/er/b.bin`);
          assert.deepEqual(read.bytes, large);
          assert.equal(read.headers['x-checksum-md5'], hash('md5', large));
          assert.equal((await get(`${root}/dotted;k+=v`)).text, 'd');
          assert.equal((await get(`${root}/x.${ending}`)).status, 404);
          assert.equal((await get(`${root}/deep/er/b.bin.sha1`)).text, hash('sha1', large));
        });
      }
    }

    test('an archive of many small files is unpacked in one go', async () => {
      const many = Object.fromEntries(Array.from({ length: 180 }, (_, i) => [`f/${i}`, `file ${i}`]));
      for (const mode of ['each', 'atomic'] as const) {
        const answer = await explode(`many/${mode}/x.zip`, await zipOf(many), mode);
        assert.equal(answer.status, 201, answer.text);
        for (const i of [0, 50, 179]) assert.equal((await get(`many/${mode}/f/${i}`)).text, `file ${i}`);
      }
    });

    test('what may not be overwritten leaves all as it was, or is told of while the rest is deployed', async () => {
      const archive = await zipOf({ 'kept.txt': 'new', 'other.txt': 'new' });
      for (const mode of ['atomic', 'each'] as const) {
        assert.equal((await put(`partly/${mode}/kept.txt`, 'old')).status, 201);
        const answer = await explode(`partly/${mode}/x.zip`, archive, mode, world.as('writer'));
        assert.equal(answer.status, 403, answer.text);
        assert.equal((await get(`partly/${mode}/kept.txt`)).text, 'old');
        assert.equal((await get(`partly/${mode}/other.txt`)).status, mode === 'atomic' ? 404 : 200);
        if (mode === 'each') {
          assert.match(
            message(answer),
            /^1 files of the archive were deployed, 1 were not: partly\/each\/kept\.txt: Not enough permissions/,
          );
        }
      }
    });

    test('who may not deploy unpacks nothing', async () => {
      const archive = await zipOf({ a: 'a' });
      assert.equal((await explode('denied/x.zip', archive, 'each', world.as('reader'))).status, 403);
      assert.equal((await explode('denied/x.zip', archive, 'each', world.anonymous)).status, 401);
    });

    const hostile: readonly (readonly [string, string, () => Promise<Buffer> | Buffer])[] = [
      ['up', 'x.zip', () => zipNamed('../evil')],
      ['far up', 'x.zip', () => zipNamed('a/../../../evil')],
      ['an absolute name', 'x.zip', () => zipNamed('/etc/evil')],
      ['a backslash', 'x.zip', () => zipNamed('..\\evil')],
      ['a drive', 'x.zip', () => zipNamed('a\\..\\c')],
      ['a control character', 'x.zip', () => zipNamed('a\nb')],
      ['an empty segment', 'x.zip', () => zipNamed('a//b')],
      ['a name that is too long', 'x.zip', () => zipOf({ ['n'.repeat(300)]: 'x' })],
      ['a path that is too deep', 'x.zip', () => zipOf({ [`${'d/'.repeat(200)}x`]: 'x' })],
      ['a name the server keeps', 'x.zip', () => zipOf({ '.entrepot/x': 'x' })],
      ['a link in a zip', 'x.zip', () => zipWithLink('link', '/etc/passwd')],
      ['up in a tar', 'x.tar', () => tarOf({ '../evil': 'x' })],
      ['an absolute name in a tar', 'x.tar', () => tarOf([{ name: '/etc/evil', bytes: 'x' }])],
      [
        'a link in a tar',
        'x.tar',
        () =>
          tarOf([
            { name: 'link', link: '../../etc' },
            { name: 'link/evil', bytes: 'x' },
          ]),
      ],
      [
        'a name twice',
        'x.tar',
        () =>
          tarOf([
            { name: 'a', bytes: '1' },
            { name: 'a', bytes: '2' },
          ]),
      ],
      [
        'names of one spelling',
        'x.tar',
        () =>
          tarOf([
            { name: 'a', bytes: '1' },
            { name: 'A', bytes: '2' },
          ]),
      ],
      ['a bomb', 'x.zip', () => zipOf({ bomb: Buffer.alloc(80 * 1024 * 1024) })],
      ['a bomb in a tgz', 'x.tgz', async () => gzipSync(await tarOf({ bomb: Buffer.alloc(80 * 1024 * 1024) }))],
      [
        'too many entries',
        'x.zip',
        () => zipOf(Object.fromEntries(Array.from({ length: 301 }, (_, i) => [`${i}`, '']))),
      ],
      ['an encrypted file', 'x.zip', zipEncrypted],
      ['nothing', 'x.zip', () => zipOf({})],
      ['no bytes', 'x.tgz', () => Buffer.alloc(0)],
      ['a cut zip', 'x.zip', async () => (await zipOf({ a: randomBytes(50_000) })).subarray(0, 30_000)],
      ['a cut tgz', 'x.tgz', async () => gzipSync(await tarOf({ a: randomBytes(50_000) })).subarray(0, 30_000)],
      ['something else', 'x.tar', () => randomBytes(5000)],
      ['a kind that is not known', 'x.7z', () => zipOf({ a: 'a' })],
    ];
    for (const [what, name, make] of hostile) {
      test(`G09: an archive with ${what} is refused, and nothing is left of it`, async () => {
        const body = await make();
        const before = await countStored(world);
        for (const mode of ['each', 'atomic'] as const) {
          const answer = await explode(`hostile/${name}`, body, mode);
          assert.equal(answer.status, 400, `${mode}: ${answer.status} ${answer.text}`);
          assert.ok(message(answer).length < 600);
        }
        await eventually(async () => {
          const { counts, stages } = await countStored(world);
          assert.deepEqual(counts, before.counts);
          assert.deepEqual(stages, []);
        }, 5000);
      });
    }

    test('G07: a checksum deploy is not combined with unpacking', async () => {
      const answer = await world.admin.request('PUT', `${FILES}/g07.zip`, {
        headers: { 'x-checksum-deploy': 'true', 'x-explode-archive': 'true', 'x-checksum-sha1': hash('sha1', 'x') },
      });
      assert.equal(answer.status, 400);
      assert.match(message(answer), /cannot be deployed by checksum and unpacked/);
    });

    test('too many files for one change are refused with what to do', async () => {
      const body = await zipOf(Object.fromEntries(Array.from({ length: 201 }, (_, i) => [`${i}`, 'x'])));
      const answer = await explode('atomic/x.zip', body, 'atomic');
      assert.equal(answer.status, 400);
      assert.match(message(answer), /at most 200 can be unpacked all together/);
    });

    test('a file inside an archive is read with its checksums, whatever the archive', async () => {
      const inside = { 'META-INF/MANIFEST.MF': 'Manifest-Version: 1.0\n', 'big.bin': large, 'page.html': '<p>' };
      for (const [name, bytes] of [
        ['in/a.jar', await zipOf(inside)],
        ['in/a.tar', await tarOf(inside)],
        ['in/a.tgz', gzipSync(await tarOf(inside))],
      ] as const) {
        assert.equal((await put(name, bytes)).status, 201);
        const read = await get(`${name}!/META-INF/MANIFEST.MF`);
        assert.equal(read.status, 200, read.text);
        assert.equal(read.text, inside['META-INF/MANIFEST.MF']);
        assert.equal(read.headers['content-type'], 'text/plain');
        assert.equal(read.headers['accept-ranges'], 'bytes');
        assert.equal(read.headers['x-artifactory-filename'], 'MANIFEST.MF');
        assert.equal(read.headers['x-checksum-sha1'], hash('sha1', read.bytes));
        assert.equal(read.headers['x-checksum-sha256'], hash('sha256', read.bytes));
        assert.equal(read.headers['x-checksum-md5'], hash('md5', read.bytes));
        assert.match(String(read.headers['content-disposition']), /^attachment; filename="MANIFEST\.MF"/);
        assert.deepEqual((await get(`${name}!/big.bin`)).bytes, large);
        const head = await get(`${name}!/big.bin`, 'HEAD');
        assert.equal(head.headers['content-length'], String(large.length));
        const sum = await get(`${name}!/big.bin.sha1`);
        assert.equal(sum.text, hash('sha1', large));
        assert.equal(sum.headers['content-type'], 'application/x-checksum');
        const missing = await get(`${name}!/none`);
        assert.equal(missing.status, 404);
        assert.equal(message(missing), `File not found.; Path: 'generic-local:${name}!/none'`);
        assert.match(String((await get(`${name}!/page.html`)).headers['content-security-policy']), /^sandbox/);
      }
    });

    test('entries that are not held in memory are sent as they unpack', async () => {
      const bytes = randomBytes(3 * 1024 * 1024);
      await put('in/large.zip', await zipOf({ bytes }));
      const read = await get('in/large.zip!/bytes');
      assert.deepEqual(read.bytes, bytes);
      assert.equal(read.headers['x-checksum-sha256'], hash('sha256', bytes));
    });

    test('an archive in an archive is opened, but no deeper', async () => {
      const inner = await zipOf({ 'x.txt': 'inner' });
      await put('in/nested.jar', await zipOf({ 'lib/b.jar': inner, 'c.jar': await zipOf({ 'd.jar': inner }) }));
      assert.equal((await get('in/nested.jar!/lib/b.jar!/x.txt')).text, 'inner');
      assert.equal((await get('in/nested.jar!/lib/b.jar!/x.txt.md5')).text, hash('md5', 'inner'));
      assert.equal((await get('in/nested.jar!/lib/none.jar!/x.txt')).status, 404);
      assert.equal((await get('in/nested.jar!/c.jar!/d.jar!/x.txt')).status, 404);
    });

    test('P18-P19: hostile paths into archives, and hostile archives, are refused', async () => {
      await put('p18/x.jar', await zipOf({ a: 'a' }));
      await put('p18/no.jar', 'no archive');
      await put('p18/up.jar', await zipNamed('../up'));
      await put('p18/encrypted.jar', await zipEncrypted());
      await put('p18/many.jar', await zipOf(Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`${i}`, '']))));
      await put('p18/huge.jar', await zipOf({ huge: Buffer.alloc(9 * 1024 * 1024) }));
      await put('p18/bomb.tgz', gzipSync(await tarOf({ bomb: Buffer.alloc(80 * 1024 * 1024), a: 'a' })));
      for (const [path, statuses] of [
        ['p18/x.jar!/../../etc/passwd', [400, 404]],
        ['p18/x.jar!/%2e%2e/x', [400, 404]],
        ['p18/x.jar!/a!/b', [404]],
        ['p18/x.jar!/', [404]],
        ['p18/x.jar!a', [404]],
        ['p18/no.jar!/a', [400, 404]],
        ['p18/up.jar!/../up', [400]],
        ['p18/encrypted.jar!/secret', [400]],
        ['p18/many.jar!/399', [400]],
        ['p18/huge.jar!/huge', [400]],
        ['p18/bomb.tgz!/a', [400]],
        ['p18/none.jar!/a', [404]],
      ] as const) {
        const startedAt = performance.now();
        const answer = await get(path);
        assert.ok((statuses as readonly number[]).includes(answer.status), `${path}: ${answer.status} ${answer.text}`);
        assert.ok(performance.now() - startedAt < 5000);
      }
      for (const by of [world.as('dropper'), world.as('outsider')]) {
        assert.equal((await by.request('GET', `${FILES}/p18/x.jar!/a`)).status, 404);
      }
    });
  });
}
