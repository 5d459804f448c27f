/** Charts in local repositories: how they are put, indexed, read and removed. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { makeChart, provenanceOf, push, put, readIndex, sha256, versionsOf } from '../../formats/helm-samples.ts';
import { STORAGES } from '../../support/test-app.ts';
import type { World } from '../../support/wire-world.ts';
import { LOCAL, STRICT, startHelm } from './helm-world.ts';

for (const storage of STORAGES) {
  describe(`a local Helm repository on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startHelm(storage);
    });
    after(() => world.stop());

    test('an empty one has an index', async () => {
      const index = await readIndex(world.as('reader'), STRICT);
      assert.deepEqual([index.apiVersion, index.entries], ['v1', {}]);
      assert.equal(index.serverInfo?.contextPath, `/artifactory/api/helm/${STRICT}`);
    });

    test('a chart that is put stands in the index at once, as it describes itself', async () => {
      const chart = await makeChart({
        version: '1.2.3',
        lines: [
          'appVersion: 1.10',
          'description: "ünïcode"',
          'keywords: [a, 2]',
          'maintainers: [{name: Ann, email: a@example.org}]',
          'annotations: {x: true}',
          'dependencies: [{name: lib, version: ">=1", repository: "https://charts.example.org", tags: [t]}]',
          'deprecated: true',
        ],
      });
      const answer = await put(world.as('writer'), LOCAL, `team/${chart.filename}`, chart.bytes);
      assert.equal(answer.status, 201, answer.text);
      const index = await readIndex(world.as('reader'), LOCAL);
      const [entry] = index.entries['hello'] ?? [];
      const { created, ...rest } = entry ?? {};
      assert.match(String(created), /^\d{4}-.*Z$/);
      assert.equal(index.generated, created);
      assert.deepEqual(rest, {
        apiVersion: 'v2',
        name: 'hello',
        version: '1.2.3',
        appVersion: '1.1',
        description: 'ünïcode',
        keywords: ['a', '2'],
        maintainers: [{ name: 'Ann', email: 'a@example.org' }],
        deprecated: true,
        annotations: { x: 'true' },
        dependencies: [{ name: 'lib', version: '>=1', repository: 'https://charts.example.org', tags: ['t'] }],
        digest: sha256(chart.bytes),
        urls: ['team/hello-1.2.3.tgz'],
      });
      for (const path of [`/artifactory/api/helm/${LOCAL}/`, `/artifactory/${LOCAL}/`]) {
        const read = await world.as('reader').request('GET', `${path}team/hello-1.2.3.tgz`);
        assert.deepEqual([read.status, sha256(read.bytes)], [200, sha256(chart.bytes)]);
      }
      const properties = await world
        .as('reader')
        .request('GET', `/artifactory/${LOCAL}/team/${chart.filename}?properties`);
      assert.deepEqual((properties.json() as { properties: unknown }).properties, {
        'chart.apiVersion': ['v2'],
        'chart.appVersion': ['1.1'],
        'chart.deprecated': ['true'],
        'chart.description': ['ünïcode'],
        'chart.name': ['hello'],
        'chart.version': ['1.2.3'],
      });
    });

    test('charts of the first form have their dependencies in another file', async () => {
      const chart = await makeChart({
        name: 'old',
        apiVersion: 'v1',
        files: { 'requirements.yaml': 'dependencies:\n- {name: db, version: 1.0.0, repository: "@stable"}\n' },
      });
      assert.equal((await put(world.as('writer'), LOCAL, chart.filename, chart.bytes)).status, 201);
      const [entry] = (await readIndex(world.as('reader'), LOCAL)).entries['old'] ?? [];
      assert.deepEqual(entry?.['dependencies'], [{ name: 'db', version: '1.0.0', repository: '@stable' }]);
    });

    test('versions are in their order, the newest first', async () => {
      const order = ['2.0.0', '2.0.0-rc.11', '2.0.0-rc.2', '1.10.0', '1.9.0+b', '1.9.0+a', 'v1.1.0', '0.1'];
      for (const version of order.toSorted()) {
        const chart = await makeChart({ name: 'sorted', version: `"${version}"` });
        const path = `sorted-${version}.tgz`;
        assert.equal((await put(world.as('writer'), LOCAL, path, chart.bytes)).status, 201);
      }
      const index = await readIndex(world.as('reader'), LOCAL);
      assert.deepEqual(versionsOf(index, 'sorted'), order);
      const [, , , , build] = index.entries['sorted'] ?? [];
      const read = await world.as('reader').request('GET', `/artifactory/api/helm/${LOCAL}/${build?.urls[0]}`);
      assert.equal(sha256(read.bytes), build?.digest);
    });

    test('the index is the same in its compressed form, keeps its tag, and is not sent twice', async () => {
      const path = `/artifactory/api/helm/${LOCAL}/index.yaml`;
      const plain = await world.as('reader').request('GET', path);
      const packed = await world.as('reader').request('GET', path, { headers: { 'accept-encoding': 'gzip' } });
      assert.equal(packed.headers['content-encoding'], 'gzip');
      assert.deepEqual(gunzipSync(packed.bytes), plain.bytes);
      assert.equal(packed.headers.etag, plain.headers.etag);
      const again = await world
        .as('reader')
        .request('GET', path, { headers: { 'if-none-match': `${plain.headers.etag}` } });
      assert.equal(again.status, 304);
      const raw = await world.as('reader').request('GET', `/artifactory/${LOCAL}/index.yaml`);
      const { serverInfo, ...rest } = plain.json() as Record<string, unknown>;
      assert.ok(serverInfo);
      assert.deepEqual(raw.json(), rest);
      const sum = await world.as('reader').request('GET', `/artifactory/${LOCAL}/index.yaml.sha256`);
      assert.equal(sum.text, sha256(raw.bytes));
    });

    test('the index itself cannot be put', async () => {
      for (const path of [`/artifactory/${LOCAL}/index.yaml`, `/artifactory/api/helm/${LOCAL}/index.yaml`]) {
        const answer = await world.as('owner').request('PUT', path, { body: 'apiVersion: v1\n' });
        assert.equal(answer.status, 409, answer.text);
        assert.match(answer.text, /made by the server/);
      }
    });

    test('a chart that is deleted leaves the index', async () => {
      const chart = await makeChart({ name: 'gone' });
      await put(world.as('writer'), LOCAL, chart.filename, chart.bytes);
      assert.deepEqual(versionsOf(await readIndex(world.as('reader'), LOCAL), 'gone'), ['1.0.0']);
      const refused = await world.as('writer').request('DELETE', `/artifactory/${LOCAL}/${chart.filename}`);
      assert.equal(refused.status, 403);
      assert.equal((await world.as('owner').request('DELETE', `/artifactory/${LOCAL}/${chart.filename}`)).status, 204);
      assert.equal((await readIndex(world.as('reader'), LOCAL)).entries['gone'], undefined);
    });

    test('a copy stands in the index of the other repository', async () => {
      const chart = await makeChart({ name: 'copied' });
      await put(world.as('writer'), LOCAL, chart.filename, chart.bytes);
      for (const to of [`${STRICT}/${chart.filename}`, `${LOCAL}/deep/er/${chart.filename}`]) {
        const path = `/artifactory/api/copy/${LOCAL}/${chart.filename}?to=/${to}`;
        const answer = await world.as('owner').request('POST', path);
        assert.equal(answer.status, 200, answer.text);
      }
      assert.deepEqual(versionsOf(await readIndex(world.as('reader'), STRICT), 'copied'), ['1.0.0']);
      const index = await readIndex(world.as('reader'), LOCAL);
      assert.deepEqual(
        index.entries['copied']?.map(({ urls }) => urls),
        [[chart.filename]],
      );
    });

    test('who may read some of it has an index of that', async () => {
      const chart = await makeChart({ name: 'ours' });
      await put(world.as('writer'), LOCAL, `team/${chart.filename}`, chart.bytes);
      const seen = await readIndex(world.as('other'), LOCAL);
      assert.deepEqual(Object.keys(seen.entries), ['hello', 'ours']);
      const none = await world.anonymous.request('GET', `/artifactory/api/helm/${LOCAL}/index.yaml`);
      assert.equal(none.status, 401);
      assert.match(String(none.headers['www-authenticate']), /^Basic/);
      const outsider = await world.as('outsider').request('GET', `/artifactory/api/helm/${LOCAL}/index.yaml`);
      assert.ok([403, 404].includes(outsider.status), outsider.text);
    });

    test('the layout that is enforced is that of Chart.yaml, and a release has one place', async () => {
      const chart = await makeChart({ name: 'strict' });
      const wrong = await put(world.as('writer'), STRICT, 'other-1.0.0.tgz', chart.bytes);
      assert.equal(wrong.status, 403);
      assert.match(wrong.text, /Enforce Layout Policy.*other-1\.0\.0\.tgz.*strict-1\.0\.0\.tgz/);
      assert.equal((await put(world.as('writer'), STRICT, `a/${chart.filename}`, chart.bytes)).status, 201);
      const twice = await put(world.as('owner'), STRICT, `b/${chart.filename}`, chart.bytes);
      assert.equal(twice.status, 403);
      assert.match(twice.text, /Enforce Layout Policy.*a\/strict-1\.0\.0\.tgz/);
      assert.equal((await put(world.as('owner'), STRICT, `a/${chart.filename}`, chart.bytes)).status, 201);
      const pushed = await push(world.as('owner'), STRICT, { chart });
      assert.equal(pushed.status, 403, pushed.text);
      const none = await put(world.as('writer'), STRICT, 'none-1.0.0.tgz', Buffer.from('nothing'));
      assert.equal(none.status, 403);
      const lenient = await makeChart({ name: 'lenient', version: '"1.0"' });
      assert.equal((await put(world.as('writer'), STRICT, 'lenient-1.0.tgz', lenient.bytes)).status, 403);
    });

    test('fifty publish at once, and each finds its own chart in the index', async () => {
      const names = Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? 'crowd' : `crowd-${i}`));
      await Promise.all(
        names.map(async (name, i) => {
          const chart = await makeChart({ name, version: `1.${i}.0` });
          const answer =
            i % 3 === 0
              ? await push(world.as('writer'), LOCAL, { chart })
              : await put(world.as('writer'), LOCAL, `crowd/${chart.filename}`, chart.bytes);
          assert.equal(answer.status, 201, answer.text);
          assert.ok(versionsOf(await readIndex(world.as('reader'), LOCAL), name).includes(chart.version));
        }),
      );
      const index = await readIndex(world.as('reader'), LOCAL);
      assert.equal(versionsOf(index, 'crowd').length, 25);
      assert.equal(Object.keys(index.entries).filter((name) => name.startsWith('crowd-')).length, 25);
      // What was built step by step is what is built at once.
      const known = await world.as('reader').request('GET', `/artifactory/${LOCAL}/index.yaml`);
      await world.app.restart();
      const built = await world.as('reader').request('GET', `/artifactory/${LOCAL}/index.yaml`);
      assert.equal(built.text, known.text);
    });

    test('the protocol of ChartMuseum uploads, lists and removes', async () => {
      const chart = await makeChart({ name: 'museum', version: '0.1.0' });
      const prov = { filename: `${chart.filename}.prov`, bytes: provenanceOf(chart) };
      const base = `/artifactory/api/helm/${LOCAL}/api`;
      const saved = await push(world.as('writer'), LOCAL, { chart, prov });
      assert.deepEqual([saved.status, saved.json()], [201, { saved: true }]);
      const again = await push(world.as('writer'), LOCAL, { chart });
      assert.equal(again.status, 409);
      assert.match((again.json() as { error: string }).error, /museum-0\.1\.0\.tgz already exists/);
      const other = await makeChart({ name: 'museum', version: '0.1.0', lines: ['description: other'] });
      assert.equal((await push(world.as('writer'), LOCAL, { chart: other }, { query: '?force' })).status, 403);
      assert.equal((await push(world.as('owner'), LOCAL, { chart: other }, { query: '?force' })).status, 201);
      const next = await makeChart({ name: 'museum', version: '0.2.0' });
      const bare = await world.as('writer').request('POST', `${base}/charts`, {
        headers: { 'content-type': 'application/octet-stream' },
        body: next.bytes,
      });
      assert.equal(bare.status, 201, bare.text);
      const alone = { prov: { filename: 'x.prov', bytes: provenanceOf(next) } };
      assert.equal((await push(world.as('writer'), LOCAL, alone, { route: 'prov' })).status, 201);
      for (const each of [chart, next]) {
        const read = await world.as('reader').request('GET', `/artifactory/api/helm/${LOCAL}/${each.filename}.prov`);
        assert.equal(read.text, provenanceOf(each).toString());
      }
      const versions = (await world.as('reader').request('GET', `${base}/charts/museum`)).json() as {
        version: string;
      }[];
      assert.deepEqual(
        versions.map(({ version }) => version),
        ['0.2.0', '0.1.0'],
      );
      const one = (await world.as('reader').request('GET', `${base}/charts/museum/0.1.0`)).json();
      assert.equal((one as { description: string }).description, 'other');
      const page = (await world.as('reader').request('GET', `${base}/charts?offset=1&limit=2`)).json() as object;
      assert.equal(Object.keys(page).length, 2);
      const all = (await world.as('reader').request('GET', `${base}/charts`)).json();
      assert.deepEqual(all, (await readIndex(world.as('reader'), LOCAL)).entries);
      assert.equal((await world.as('reader').request('HEAD', `${base}/charts/museum/0.1.0`)).status, 200);
      assert.equal((await world.as('reader').request('GET', `${base}/charts/none`)).status, 404);
      assert.equal((await world.as('writer').request('DELETE', `${base}/charts/museum/0.2.0`)).status, 403);
      const deleted = await world.as('owner').request('DELETE', `${base}/charts/museum/0.2.0`);
      assert.deepEqual([deleted.status, deleted.json()], [200, { deleted: true }]);
      const gone = await world.as('reader').request('GET', `/artifactory/${LOCAL}/${next.filename}.prov`);
      assert.equal(gone.status, 404);
      assert.equal((await world.as('owner').request('DELETE', `${base}/charts/museum/0.2.0`)).status, 404);
      const plain = `/artifactory/${LOCAL}/${chart.filename}`;
      assert.equal((await world.as('owner').request('DELETE', plain)).status, 204);
      assert.equal((await world.as('reader').request('GET', `${plain}.prov`)).status, 404);
    });

    test('all charts can be read again', async () => {
      const before = await readIndex(world.as('reader'), LOCAL);
      const refused = await world.as('owner').request('POST', `/artifactory/api/helm/${LOCAL}/reindex`);
      assert.equal(refused.status, 403);
      const answer = await world.admin.request('POST', `/artifactory/api/helm/${LOCAL}/reindex`);
      assert.equal(answer.status, 200, answer.text);
      assert.deepEqual(await readIndex(world.as('reader'), LOCAL), before);
    });
  });
}
