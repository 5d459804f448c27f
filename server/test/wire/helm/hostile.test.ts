/** Archives and requests of people who mean harm, or whose tools are broken. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { makeChart, push, put, readIndex } from '../../formats/helm-samples.ts';
import { tarOf } from '../../support/archives.ts';
import { STORAGES } from '../../support/test-app.ts';
import { countStored, type World } from '../../support/wire-world.ts';
import { LOCAL, startHelm } from './helm-world.ts';

const CHART = 'apiVersion: v2\nname: x\nversion: 1.0.0\n';
const bomb = Array.from({ length: 9 }, (_, i) => {
  const values = Array.from({ length: 10 }, () => (i === 0 ? '1' : `*a${i - 1}`));
  return `a${i}: &a${i} [${values.join(', ')}]`;
}).join('\n');
type Entries = Parameters<typeof tarOf>[0];
const packed = async (entries: Entries) => gzipSync(await tarOf(entries));
const yaml = (text: string) => packed({ 'x/Chart.yaml': text });

const WRONG: Readonly<Record<string, { bytes: () => Promise<Buffer>; why: RegExp }>> = {
  'no gzip': { bytes: async () => Buffer.from(CHART), why: /not compressed with gzip/ },
  'nothing at all': { bytes: async () => Buffer.alloc(0), why: /empty/ },
  'gzip of something else': { bytes: async () => gzipSync(Buffer.alloc(2000, 'a')), why: /no tar file/ },
  'an archive that was cut': {
    bytes: async () => {
      const { bytes } = await makeChart({ name: 'x', files: { 'b.txt': 'y'.repeat(50_000) } });
      return bytes.subarray(0, bytes.length - 20);
    },
    why: /damaged, cut short/,
  },
  'no Chart.yaml': { bytes: () => packed({ 'x/values.yaml': 'a: 1' }), why: /no file "Chart\.yaml"/ },
  'a Chart.yaml that lies too deep': {
    bytes: () => packed({ 'x/charts/Chart.yaml': CHART }),
    why: /no file "Chart\.yaml"/,
  },
  'two of them': { bytes: () => packed({ 'x/Chart.yaml': CHART, 'y/Chart.yaml': CHART }), why: /a second Chart\.yaml/ },
  'a Chart.yaml that is a link': {
    bytes: () => packed([{ name: 'x/Chart.yaml', link: '/etc/passwd' }]),
    why: /is no file/,
  },
  'a way out': {
    bytes: () => packed({ 'x/Chart.yaml': CHART, 'x/../../etc/cron.d/x': 'evil' }),
    why: /leads out of the chart/,
  },
  'an absolute way out': { bytes: () => packed({ '/x/Chart.yaml': CHART }), why: /leads out of the chart/ },
  'no YAML': { bytes: () => yaml('a: [\n'), why: /no YAML/ },
  'a list': { bytes: () => yaml('- 1\n'), why: /no mapping/ },
  'a tag of a language': { bytes: () => yaml(`${CHART}home: !!js/function "x"\n`), why: /no YAML/ },
  'a key twice': { bytes: () => yaml(`${CHART}name: y\n`), why: /no YAML/ },
  'an alias bomb': { bytes: () => yaml(`${CHART}${bomb}\nkeywords: *a8\n`), why: /more than 20000 values/ },
  'deep nesting': { bytes: () => yaml(`${CHART}annotations: ${'['.repeat(30)}${']'.repeat(30)}\n`), why: /deeper/ },
  'the key __proto__': { bytes: () => yaml(`${CHART}annotations: {__proto__: {a: b}}\n`), why: /__proto__|no YAML/ },
  'no name': { bytes: () => yaml('version: 1.0.0\n'), why: /no name/ },
  'no version': { bytes: () => yaml('name: x\n'), why: /no version/ },
  'a name that is a path': { bytes: () => yaml('name: ../x\nversion: 1.0.0\n'), why: /cannot be the name/ },
  'a name of dots': { bytes: () => yaml('name: ..\nversion: 1.0.0\n'), why: /cannot be the name/ },
  'a version that is none': { bytes: () => yaml('name: x\nversion: latest\n'), why: /no semantic version/ },
  'a version that is a path': { bytes: () => yaml('name: x\nversion: 1.0.0/../2\n'), why: /no semantic version/ },
  'a Chart.yaml that is too large': {
    bytes: () => yaml(`${CHART}description: ${'a'.repeat(1024 * 1024)}\n`),
    why: /larger than 1048576/,
  },
  'a Chart.yaml that says too much': {
    bytes: () => yaml(`${CHART}description: ${'a'.repeat(300 * 1024)}\n`),
    why: /more than 262144 bytes/,
  },
  'an archive that unpacks to very much': {
    bytes: async () => gzipSync(await tarOf({ 'x/Chart.yaml': CHART, 'x/big': Buffer.alloc(100 * 1024 * 1024) })),
    why: /unpacks to more than/,
  },
};

for (const storage of STORAGES) {
  describe(`hostile charts on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startHelm(storage);
    });
    after(() => world.stop());

    for (const [name, { bytes, why }] of Object.entries(WRONG)) {
      test(`${name}: kept and not indexed by plain path, refused by the protocol of uploads`, async () => {
        const body = await bytes();
        const path = `${name.replaceAll(' ', '-')}.tgz`;
        const answer = await put(world.as('writer'), LOCAL, path, body);
        assert.equal(answer.status, 201, answer.text);
        const properties = await world.as('reader').request('GET', `/artifactory/${LOCAL}/${path}?properties`);
        const found = (properties.json() as { properties: Record<string, string[]> }).properties;
        assert.match(found['entrepot.unindexed']?.[0] ?? '', why);
        const refused = await push(world.as('writer'), LOCAL, { chart: { filename: path, bytes: body } });
        assert.equal(refused.status, 400, refused.text);
        assert.match((refused.json() as { error: string }).error, why);
        assert.deepEqual((await readIndex(world.as('reader'), LOCAL)).entries, {});
      });
    }

    test('requests that are none leave nothing behind', async () => {
      const before = await countStored(world);
      const base = `/artifactory/api/helm/${LOCAL}`;
      const writer = world.as('writer');
      const chart = await makeChart();
      const form = { 'content-type': 'multipart/form-data; boundary=x' };
      const statuses: [string, number][] = [];
      const ask = async (name: string, work: Promise<{ status: number; text: string }>) => {
        const { status, text } = await work;
        assert.ok(text.length > 0, name);
        statuses.push([name, status]);
      };
      await ask(
        'no boundary',
        writer.request('POST', `${base}/api/charts`, { headers: { 'content-type': 'multipart/form-data' }, body: 'x' }),
      );
      await ask(
        'no end',
        writer.request('POST', `${base}/api/charts`, {
          headers: form,
          body: '--x\r\nContent-Disposition: form-data; name="chart"; filename="a.tgz"\r\n\r\nabc',
        }),
      );
      await ask('no file', writer.request('POST', `${base}/api/charts`, { headers: form, body: '--x--\r\n' }));
      await ask('another field', push(writer, LOCAL, { archive: chart }));
      await ask(
        'no provenance',
        push(writer, LOCAL, { prov: { filename: 'a.prov', bytes: Buffer.from('hello') } }, { route: 'prov' }),
      );
      await ask('no rights', push(world.as('reader'), LOCAL, { chart }));
      await ask('nobody', push(world.anonymous, LOCAL, { chart }));
      await ask('a page of nonsense', writer.request('GET', `${base}/api/charts?offset=-1`));
      await ask('a way out', writer.request('GET', `${base}/..%2f..%2fetc%2fpasswd`));
      await ask('the own folder', writer.request('PUT', `/artifactory/${LOCAL}/.helm/x`, { body: 'x' }));
      await ask('another method', writer.request('PATCH', `${base}/index.yaml`));
      await ask('no repository', writer.request('GET', '/artifactory/api/helm/none/index.yaml'));
      assert.deepEqual(statuses, [
        ['no boundary', 400],
        ['no end', 400],
        ['no file', 400],
        ['another field', 400],
        ['no provenance', 400],
        ['no rights', 403],
        ['nobody', 401],
        ['a page of nonsense', 400],
        ['a way out', 400],
        ['the own folder', 400],
        ['another method', 405],
        ['no repository', 404],
      ]);
      const { counts, stages } = await countStored(world);
      assert.deepEqual([counts['node'], counts['package_version'], stages], [before.counts['node'], 0, []]);
    });
  });
}
