/** Packages with very many versions, and many publishers at once. */
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, before, describe, type TestContext, test } from 'node:test';
import { makePackage, publish, publishDocument } from '../../formats/npm-samples.ts';
import { multiplyVersions } from '../../support/many-versions.ts';
import { STORAGES } from '../../support/test-app.ts';
import { BASE, type NpmWorld, startNpmWorld } from './npm-world.ts';

const MANY = 20_000;
const PUBLISHERS = 50;

interface Document {
  readonly 'dist-tags': Record<string, string>;
  readonly versions: Record<string, { readonly deprecated?: string }>;
}

for (const storage of STORAGES) {
  describe(`npm, many versions on ${storage}`, () => {
    let world: NpmWorld;
    before(async () => {
      world = await startNpmWorld(storage);
    });
    after(() => world.stop());

    test(`${PUBLISHERS} publishers at once lose nothing, and each sees its own at once`, async () => {
      const samples = await Promise.all(Array.from({ length: PUBLISHERS }, (_, i) => makePackage('crowd', `1.0.${i}`)));
      await Promise.all(
        samples.map(async (sample, i) => {
          const document = publishDocument(sample);
          Object.assign(document['dist-tags'] as object, { [`tag-${i}`]: sample.version });
          const answer = await publish(world.writer, BASE, document);
          assert.equal(answer.status, 201, answer.text);
          const seen = (await world.reader.request('GET', `${BASE}/crowd`)).json() as Document;
          assert.ok(seen.versions[sample.version], `${sample.version} is seen by its publisher`);
          assert.equal(seen['dist-tags'][`tag-${i}`], sample.version);
        }),
      );
      const doc = (await world.reader.request('GET', `${BASE}/crowd`)).json() as Document;
      assert.equal(Object.keys(doc.versions).length, PUBLISHERS);
      assert.equal(Object.keys(doc['dist-tags']).length, PUBLISHERS + 1);
      assert.ok(doc.versions[doc['dist-tags']['latest'] ?? '']);
      const holders = await world.admin.request(
        'GET',
        '/artifactory/api/search/prop?npm.disttag=latest&repos=npm-local',
      );
      assert.equal((holders.json() as { results: unknown[] }).results.length, 1);
    });

    test(`a package of ${MANY} versions is served, and published to`, async (t) => {
      await publish(world.writer, BASE, publishDocument(await makePackage('vast', '0.0.0', rich)));
      await multiplyVersions(world.database, 'vast', MANY);
      const headers = { 'Accept-Encoding': 'gzip', Accept: 'application/vnd.npm.install-v1+json' };
      const delay = monitorEventLoopDelay({ resolution: 5 });
      const measured = async <T>(work: () => Promise<T>): Promise<{ result: T; ms: number; blockedMs: number }> => {
        delay.reset();
        delay.enable();
        const from = performance.now();
        const result = await work();
        const ms = performance.now() - from;
        await new Promise((resolve) => setTimeout(resolve, 20));
        delay.disable();
        return { result, ms, blockedMs: delay.max / 1e6 };
      };
      const read = () => world.reader.request('GET', `${BASE}/vast`, { headers });
      const head = () => world.reader.request('HEAD', `${BASE}/vast`, { headers: { Accept: headers.Accept } });
      const cold = await measured(head);
      const full = await measured(() => world.reader.request('HEAD', `${BASE}/vast`));
      await read();
      const warm = await measured(read);
      const next = publishDocument(await makePackage('vast', '1.0.0', rich));
      const published = await measured(() => publish(world.writer, BASE, next));
      assert.equal(published.result.status, 201, published.result.text);
      const again = await measured(head);
      const etag = String(warm.result.headers['etag']);
      assert.notEqual(again.result.headers['etag'], etag);
      const doc = (await world.reader.request('GET', `${BASE}/vast`)).json() as Document;
      assert.equal(Object.keys(doc.versions).length, MANY + 2);
      assert.equal(doc['dist-tags']['latest'], '1.0.0');
      const sent = (await world.reader.request('GET', `${BASE}/vast?write=true`)).json() as Document;
      const chosen = Object.keys(sent.versions).filter((_, i) => i % 100 === 0);
      for (const version of chosen) Object.assign(sent.versions[version] as object, { deprecated: 'old' });
      const body = JSON.stringify(sent);
      const deprecated = await measured(() => world.writer.request('PUT', `${BASE}/vast`, { body }));
      assert.equal(deprecated.result.status, 201, deprecated.result.text);
      const { versions } = (await world.reader.request('GET', `${BASE}/vast`)).json() as Document;
      assert.deepEqual(
        Object.keys(versions).filter((version) => versions[version]?.deprecated === 'old'),
        chosen,
      );
      report(t, { cold, full, warm, published, again, deprecated });
    });
  });
}

const rich = {
  manifest: {
    keywords: ['one', 'two'],
    dependencies: Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`dependency-${i}`, `^${i}.0.0`])),
    scripts: { build: 'node build.js', test: 'node --test' },
  },
};

function report(t: TestContext, times: Readonly<Record<string, { ms: number; blockedMs: number }>>): void {
  for (const [what, { ms, blockedMs }] of Object.entries(times)) {
    t.diagnostic(`${what}: ${ms.toFixed(1)} ms, nobody else waited longer than ${blockedMs.toFixed(1)} ms`);
  }
}
