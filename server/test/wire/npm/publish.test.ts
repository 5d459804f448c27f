import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { makePackage, publish, publishDocument, publishSamples, sampleReads } from '../../formats/npm-samples.ts';
import { STORAGES } from '../../support/test-app.ts';
import { BASE, type NpmWorld, startNpmWorld } from './npm-world.ts';

for (const storage of STORAGES) {
  describe(`npm, published and read on ${storage}`, () => {
    let world: NpmWorld;
    before(async () => {
      world = await startNpmWorld(storage);
    });
    after(() => world.stop());

    test('what is published is read as it must be', async () => {
      const samples = await publishSamples(world.writer, BASE);
      for (const { what, check } of sampleReads(samples)) {
        await check(world.reader, BASE, world.app.url).catch((error: Error) => {
          throw new Error(`${what}: ${error.message}`, { cause: error });
        });
      }
    });

    test('a scoped tarball answers in both spellings, and under plain paths', async () => {
      const sample = await makePackage('@two/ways', '1.0.0');
      await publish(world.writer, BASE, publishDocument(sample));
      for (const path of [
        `${BASE}/@two/ways/-/@two/ways-1.0.0.tgz`,
        `${BASE}/@two/ways/-/ways-1.0.0.tgz`,
        `${BASE}/@two%2fways/-/ways-1.0.0.tgz`,
        '/artifactory/npm-local/@two/ways/-/@two/ways-1.0.0.tgz',
      ]) {
        const got = await world.reader.request('GET', path);
        assert.equal(got.status, 200, path);
        assert.deepEqual(got.bytes, sample.tarball);
      }
    });

    test('a tarball put at any path is indexed by what is in it', async () => {
      const sample = await makePackage('anywhere', '3.0.0');
      const put = await world.writer.request('PUT', '/artifactory/npm-local/some/where/odd-name.tgz;npm.disttag=next', {
        body: sample.tarball,
      });
      assert.equal(put.status, 201, put.text);
      const doc = (await world.reader.request('GET', `${BASE}/anywhere`)).json() as {
        'dist-tags': object;
        versions: Record<string, { dist: { tarball: string } }>;
      };
      assert.deepEqual(doc['dist-tags'], { latest: '3.0.0', next: '3.0.0' });
      const url = doc.versions['3.0.0']?.dist.tarball ?? '';
      assert.equal(url, `${world.app.url}${BASE}/some/where/odd-name.tgz`);
      const got = await world.reader.request('GET', url.slice(world.app.url.length));
      assert.deepEqual(got.bytes, sample.tarball);
      const byName = await world.reader.request('GET', `${BASE}/anywhere/-/anywhere-3.0.0.tgz`);
      assert.deepEqual(byName.bytes, sample.tarball);
    });

    test('the same version at two paths is one version, and goes with the last of them', async () => {
      const sample = await makePackage('doubled', '1.0.0');
      for (const path of ['a/one.tgz', 'doubled/-/doubled-1.0.0.tgz']) {
        const put = await world.writer.request('PUT', `/artifactory/npm-local/${path}`, { body: sample.tarball });
        assert.equal(put.status, 201, put.text);
      }
      const urlOf = async () => {
        const answer = await world.reader.request('GET', `${BASE}/doubled/1.0.0`);
        return answer.status === 200 ? (answer.json() as { dist: { tarball: string } }).dist.tarball : answer.status;
      };
      assert.equal(await urlOf(), `${world.app.url}${BASE}/doubled/-/doubled-1.0.0.tgz`);
      await world.owner.request('DELETE', '/artifactory/npm-local/doubled/-/doubled-1.0.0.tgz');
      assert.equal(await urlOf(), `${world.app.url}${BASE}/a/one.tgz`);
      await world.owner.request('DELETE', '/artifactory/npm-local/a/one.tgz');
      assert.equal(await urlOf(), 404);
    });

    test('what is no package is kept, is in no index, and says so', async () => {
      const put = await world.writer.request('PUT', '/artifactory/npm-local/notes/readme.tgz', { body: 'not gzip' });
      assert.equal(put.status, 201);
      const got = await world.reader.request('GET', '/artifactory/api/storage/npm-local/notes/readme.tgz?properties');
      assert.match(got.text, /entrepot\.unindexed.*gzip/);
    });

    test('the document of a package lies at its plain path, too, where nobody can put it', async () => {
      await publish(world.writer, BASE, publishDocument(await makePackage('@doc/plain', '1.0.0')));
      const got = await world.reader.request('GET', '/artifactory/npm-local/.npm/@doc/plain/package.json');
      assert.equal((got.json() as { name: string }).name, '@doc/plain');
      const put = await world.writer.request('PUT', '/artifactory/npm-local/.npm/@doc/plain/package.json', {
        body: '{}',
      });
      assert.equal(put.status, 409);
    });

    test('attestations that come along are kept and served', async () => {
      const sample = await makePackage('@proven/thing', '1.0.0');
      const statement = Buffer.from(JSON.stringify({ predicateType: 'https://slsa.dev/provenance/v1' })).toString(
        'base64',
      );
      const bundle = {
        mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.2',
        dsseEnvelope: { payload: statement },
      };
      const published = await publish(
        world.writer,
        BASE,
        publishDocument(sample, {
          attachments: {
            '@proven/thing-1.0.0.sigstore': { content_type: bundle.mediaType, data: JSON.stringify(bundle), length: 1 },
          },
        }),
      );
      assert.equal(published.status, 201, published.text);
      const doc = (await world.reader.request('GET', `${BASE}/@proven%2fthing/latest`)).json() as {
        dist: { attestations: { url: string; provenance: object } };
      };
      assert.deepEqual(doc.dist.attestations.provenance, { predicateType: 'https://slsa.dev/provenance/v1' });
      const url = new URL(doc.dist.attestations.url);
      assert.ok(url.pathname.startsWith(`${BASE}/-/npm/v1/attestations/`));
      const got = await world.reader.request('GET', url.pathname);
      assert.deepEqual(got.json(), { attestations: [{ predicateType: 'https://slsa.dev/provenance/v1', bundle }] });
    });

    test('a version is published once', async () => {
      const sample = await makePackage('once', '1.0.0');
      const document = publishDocument(sample);
      assert.equal((await publish(world.writer, BASE, document)).status, 201);
      const again = await publish(world.writer, BASE, document);
      assert.equal(again.status, 403);
      assert.match((again.json() as { error: string }).error, /cannot publish over once@1\.0\.0/);
      assert.equal(
        (await publish(world.owner, BASE, document)).status,
        201,
        'the same bytes, by one who may overwrite',
      );
      const other = await makePackage('once', '1.0.0', { files: { 'other.js': '1' } });
      assert.equal((await publish(world.owner, BASE, publishDocument(other))).status, 403);
    });

    test('only those who may deploy publish', async () => {
      const document = publishDocument(await makePackage('forbidden', '1.0.0'));
      assert.equal((await publish(world.reader, BASE, document)).status, 403);
      assert.equal((await publish(world.anonymous, BASE, document)).status, 401);
      assert.equal((await world.reader.request('GET', `${BASE}/forbidden`)).status, 404);
    });

    test('conditional requests, the abbreviated form, and what clients send for writing', async () => {
      await publish(world.writer, BASE, publishDocument(await makePackage('headers', '1.0.0')));
      const accept = 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*';
      const short = await world.reader.request('GET', `${BASE}/headers`, { headers: { Accept: accept } });
      assert.equal(short.headers['content-type'], 'application/vnd.npm.install-v1+json');
      assert.equal(short.headers['vary'], 'Accept, Accept-Encoding');
      assert.match(String(short.headers['cache-control']), /private/);
      const again = await world.reader.request('GET', `${BASE}/headers`, {
        headers: { Accept: accept, 'If-None-Match': String(short.headers['etag']) },
      });
      assert.equal(again.status, 304);
      const full = await world.reader.request('GET', `${BASE}/headers`, {
        headers: { 'If-None-Match': String(short.headers['etag']) },
      });
      assert.equal(full.status, 200);
      assert.equal(full.headers['content-type'], 'application/json');
      const write = await world.reader.request('GET', `${BASE}/headers?write=true`, { headers: { Accept: accept } });
      assert.equal(write.headers['content-type'], 'application/json');
      assert.ok((write.json() as { _rev: string })._rev);
      const head = await world.reader.request('HEAD', `${BASE}/headers`);
      assert.equal(head.status, 200);
    });
  });
}
