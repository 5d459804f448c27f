import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  makePackage,
  type NpmAnswer,
  type NpmPackage,
  publish,
  publishDocument,
  sumsOf,
} from '../../formats/npm-samples.ts';
import { tarOf } from '../../support/archives.ts';
import { STORAGES } from '../../support/test-app.ts';
import { countStored, type Stored } from '../../support/wire-world.ts';
import { BASE, type NpmWorld, startNpmWorld } from './npm-world.ts';

type Json = Record<string, unknown>;

for (const storage of STORAGES) {
  describe(`npm, bad input on ${storage}`, () => {
    let world: NpmWorld;
    before(async () => {
      world = await startNpmWorld(storage);
    });
    after(() => world.stop());

    const put = (path: string, body: string | Buffer, headers: Record<string, string> = {}) =>
      world.writer.request('PUT', `${BASE}/${path}`, { body, headers });
    const refused = (answer: NpmAnswer, status: number, what: string) => {
      assert.equal(answer.status, status, `${what}: ${answer.status} ${answer.text.slice(0, 300)}`);
      const { error } = answer.json() as { error: string };
      assert.match(error, /^["A-Z].{10,400}[.]$/, what);
      assert.doesNotMatch(answer.text, /\bat \w+ \(|sqlite|postgres|\/tmp\//i, what);
    };
    const stored = async (): Promise<Stored['counts']> => (await countStored(world)).counts;
    const withTarball = (sample: NpmPackage, tarball: Buffer) => publishDocument({ ...sample, ...sumsOf(tarball) });
    const packed = async (entries: readonly { name: string; link?: string; bytes?: Buffer | string }[]) =>
      gzipSync(await tarOf(entries));

    test('N01 names that no package can have', async () => {
      const document = publishDocument(await makePackage('fine', '1.0.0'));
      for (const name of [
        '.x',
        '_x',
        'node_modules',
        'x'.repeat(215),
        'Upper',
        'a%20b',
        '@s%2f..%2fx',
        '@s%2f.x',
        '@%2fx',
        'a%2fb',
        'x;y',
        '~x',
      ]) {
        refused(await put(name, JSON.stringify(document)), 400, name);
      }
    });

    test('N03 versions that are none', async () => {
      for (const version of [
        '1',
        '1.0',
        'v1.0.0',
        '1.0.0-',
        '01.0.0',
        '1.0.0 || 2',
        '../1.0.0',
        `1.0.0-${'x'.repeat(300)}`,
      ]) {
        const document = publishDocument(await makePackage('versioned', version));
        refused(await publish(world.writer, BASE, document), 400, version);
      }
    });

    test('N04, N05, N08 attachments that do not fit', async () => {
      const before = await stored();
      const sample = await makePackage('attached', '1.0.0');
      const key = 'attached-1.0.0.tgz';
      const attachment = {
        content_type: 'application/octet-stream',
        data: sample.tarball.toString('base64'),
        length: sample.tarball.length,
      };
      const bodies: Record<string, Json> = {
        'another name': { 'other-1.0.0.tgz': attachment },
        'a name with dots': { '../attached-1.0.0.tgz': attachment },
        'two of them': { [key]: attachment, 'attached-1.0.1.tgz': attachment },
        'another length': { [key]: { ...attachment, length: 7 } },
        'no base64': { [key]: { ...attachment, data: '*not base64*' } },
        'cut base64': { [key]: { ...attachment, data: attachment.data.slice(0, 21) } },
        empty: { [key]: { ...attachment, data: '', length: 0 } },
        'something else beside it': { [key]: attachment, 'readme.txt': attachment },
      };
      for (const [what, attachments] of Object.entries(bodies)) {
        refused(
          await publish(world.writer, BASE, { ...publishDocument(sample), _attachments: attachments }),
          400,
          what,
        );
      }
      const none = await publish(world.writer, BASE, { ...publishDocument(sample), _attachments: {} });
      assert.equal(none.status, 404, none.text);
      for (const dist of [{ integrity: `sha512-${Buffer.alloc(64).toString('base64')}` }, { shasum: '0'.repeat(40) }]) {
        const document = publishDocument(sample) as { versions: Record<string, Json> };
        (document.versions['1.0.0'] as Json)['dist'] = dist;
        refused(await publish(world.writer, BASE, document as Json), 400, JSON.stringify(dist));
      }
      const now = await stored();
      assert.deepEqual([now['node'], now['package_version']], [before['node'], before['package_version']]);
    });

    test('N06, N24 tarballs that are none', async () => {
      const sample = await makePackage('tarred', '1.0.0');
      const json = JSON.stringify(sample.manifest);
      const tarballs: Record<string, Buffer> = {
        'not gzip': Buffer.from('hello'),
        'gzip of something else': gzipSync('hello'.repeat(500)),
        'no package.json': await packed([{ name: 'package/index.js', bytes: '1' }]),
        'two of them': await packed([
          { name: 'package/package.json', bytes: json },
          { name: 'package/package.json', bytes: json },
        ]),
        'a link in its place': await packed([{ name: 'package/package.json', link: '/etc/passwd' }]),
        'a package.json that is no JSON': await packed([{ name: 'package/package.json', bytes: '{' }]),
        'a very long path': await packed([
          { name: 'package/package.json', bytes: json },
          { name: `package/${'x/'.repeat(5000)}y`, bytes: '1' },
        ]),
        'cut short': sample.tarball.subarray(0, sample.tarball.length - 30),
      };
      for (const [what, tarball] of Object.entries(tarballs)) {
        refused(await publish(world.writer, BASE, withTarball(sample, tarball)), 400, what);
        const raw = await world.writer.request('PUT', `/artifactory/npm-local/raw/${encodeURIComponent(what)}.tgz`, {
          body: tarball,
        });
        assert.equal(raw.status, 201, `${what} by plain path: ${raw.text}`);
      }
      assert.equal((await world.reader.request('GET', `${BASE}/tarred`)).status, 404);
    });

    test('N07 documents that say other things than their tarballs', async () => {
      const sample = await makePackage('confused', '1.0.0', {
        manifest: { dependencies: { a: '1' }, scripts: { install: 'x' } },
      });
      const lies: Json[] = [
        { dependencies: {} },
        { dependencies: { a: '2' } },
        { dependencies: { a: '1', b: '1' } },
        { scripts: { install: 'y' } },
        { scripts: { install: 'x', postinstall: 'evil' } },
        { peerDependencies: { c: '*' } },
      ];
      for (const lie of lies) {
        const document = publishDocument(sample) as { versions: Record<string, Json> };
        Object.assign(document.versions['1.0.0'] as Json, lie);
        refused(await publish(world.writer, BASE, document as Json), 400, JSON.stringify(lie));
      }
      const other = await makePackage('confused', '1.0.1');
      const renamed = publishDocument({
        ...sample,
        tarball: other.tarball,
        shasum: other.shasum,
        integrity: other.integrity,
      });
      refused(await publish(world.writer, BASE, renamed), 400, 'another version inside');
    });

    test('N09 the address of the tarball that a client sends means nothing', async () => {
      await publish(world.writer, BASE, publishDocument(await makePackage('addressed', '1.0.0')));
      const doc = await world.reader.request('GET', `${BASE}/addressed`);
      assert.doesNotMatch(doc.text, /169\.254/);
    });

    test('N10, N11 documents that are too large, too deep, or hold too much', async () => {
      const declared = await new Promise<number>((resolve) => {
        void world.writer
          .request('PUT', `${BASE}/large`, { headers: { 'Content-Length': '1000000000' }, body: '{' })
          .then(
            (answer) => resolve(answer.status),
            () => resolve(0),
          );
      });
      assert.ok(declared === 413 || declared === 0, String(declared));
      const wordy = { ...publishDocument(await makePackage('large', '1.0.0')), readme: 'x'.repeat(17 * 1024 * 1024) };
      refused(await publish(world.writer, BASE, wordy), 413, 'a document of 17 MiB with a tarball');
      const huge = `{"name":"large","readme":"${'x'.repeat(65 * 1024 * 1024)}"}`;
      refused(await put('large', huge), 413, 'a document of 65 MiB without one');
      refused(await put('large/-rev/1', huge), 413, 'the same with a revision');
      refused(await put('deep', '['.repeat(100_000)), 400, 'nested');
      const sample = await makePackage('many', '1.0.0');
      const document = publishDocument(sample) as { versions: Json };
      Object.assign(document.versions, { '1.0.1': { ...sample.manifest, version: '1.0.1' } });
      refused(await publish(world.writer, BASE, document as Json), 400, 'two versions');
      refused(await put('many', 'not json'), 400, 'no JSON');
      refused(await put('many', ''), 400, 'nothing');
    });

    test('N12 names that mean something to JavaScript', async () => {
      const sample = await makePackage('proto', '1.0.0');
      const document = JSON.stringify(publishDocument(sample));
      refused(await put('proto', document.replace('"versions":{"1.0.0"', '"versions":{"__proto__"')), 400, '__proto__');
      refused(await put('proto', document.replace('"dist-tags":{"latest"', '"dist-tags":{"__proto__"')), 400, 'tag');
      const inert = await put('proto', document.replace('{"_id"', '{"__proto__":{"admin":true},"_id"'));
      assert.equal(inert.status, 201, inert.text);
      assert.equal(({} as Json)['admin'], undefined);
      assert.equal((await world.reader.request('GET', `${BASE}/constructor`)).status, 404);
      assert.equal((await world.reader.request('GET', `${BASE}/proto/constructor`)).status, 404);
      assert.equal((await world.reader.request('GET', `${BASE}/proto/__proto__`)).status, 404);
    });

    test('N14 versions that differ in their build metadata only', async () => {
      const of = async (version: string) =>
        publish(world.writer, BASE, publishDocument(await makePackage('built', version)));
      assert.equal((await of('1.0.0+a')).status, 201);
      refused(await of('1.0.0+b'), 409, '+b');
      refused(await of('1.0.0'), 409, 'none');
      assert.equal((await of('1.0.1')).status, 201);
      refused(await of('1.0.1+a'), 409, '+a');
      const doc = (await world.reader.request('GET', `${BASE}/built/1.0.0+a`)).json() as { dist: { tarball: string } };
      assert.equal((await world.reader.request('GET', new URL(doc.dist.tarball).pathname)).status, 200);
    });

    test('N18 removals that lead elsewhere', async () => {
      for (const path of ['x/-/../../other.tgz/-rev/1', 'x/-/%2e%2e/other.tgz/-rev/1', 'x/-/none-1.0.0.tgz/-rev/1']) {
        const answer = await world.owner.request('DELETE', `${BASE}/${path}`);
        assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`);
      }
    });

    test('N20, N22 audits and tokens beyond measure', async () => {
      const names = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`p${i}`, ['1.0.0']]));
      const audit = await world.reader.request('POST', `${BASE}/-/npm/v1/security/advisories/bulk`, {
        body: JSON.stringify(names),
      });
      refused(audit, 413, 'audit');
      for (const headers of [
        { Authorization: 'Bearer npm_junkjunkjunk' },
        { Authorization: `Bearer ${'x'.repeat(20_000)}` },
      ]) {
        const answer = await world.anonymous.request('GET', `${BASE}/-/whoami`, { headers });
        assert.ok([401, 431].includes(answer.status), String(answer.status));
        assert.doesNotMatch(String(answer.headers['www-authenticate'] ?? ''), /otp|ipaddress/i);
      }
    });

    test('N25 what a manifest says is kept as it is', async () => {
      const sample = await makePackage('verbatim', '1.0.0', {
        manifest: { bin: '../../../usr/bin/x', scripts: { test: 'rm -rf /' } },
      });
      assert.equal((await publish(world.writer, BASE, publishDocument(sample))).status, 201);
      const doc = (await world.reader.request('GET', `${BASE}/verbatim/latest`)).json() as { bin: Json; scripts: Json };
      assert.deepEqual([doc.bin, doc.scripts], [{ verbatim: '../../../usr/bin/x' }, { test: 'rm -rf /' }]);
    });
  });
}
