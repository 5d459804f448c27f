/** Charts of upstreams: what their index is made into, where its charts are asked for, and what is not believed. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeChart, put, readIndex, type SampleChart, sha256, versionsOf } from '../../formats/helm-samples.ts';
import { HostileUpstream, pause } from '../../support/hostile-upstream.ts';
import { onEachRemoteStorage } from '../remote/remote-world.ts';

const near = await makeChart({ name: 'near' });
const far = await makeChart({ name: 'far' });
const odd = await makeChart({ name: 'odd' });
const bad = await makeChart({ name: 'bad' });

function entry(chart: SampleChart, url: string, digest = sha256(chart.bytes)): string {
  const lines = [
    `  - apiVersion: v2`,
    `    name: ${chart.name}`,
    `    version: ${chart.version}`,
    `    appVersion: 1.10`,
    `    created: 2021-05-06T07:08:09.123456789+02:00`,
    `    digest: ${digest}`,
    `    urls: [${JSON.stringify(url)}]`,
  ];
  return lines.join('\n');
}

onEachRemoteStorage('a remote Helm repository', (world) => {
  let other: HostileUpstream;
  before(async () => {
    other = await HostileUpstream.start();
    other.serve('/downloads/v1/far-1.0.0.tgz', far.bytes);
    other.serve('/downloads/v1/far-1.0.0.tgz.prov', 'signed');
    other.serve('/secret', 'secret');
    const { upstream } = world();
    upstream.serve(
      '/up/index.yaml',
      [
        '# a comment',
        'apiVersion: v1',
        'entries:',
        '  near:',
        entry(near, 'charts/near-1.0.0.tgz'),
        '  - {name: near, version: 0.9.0}',
        '  - {name: near, version: [no], urls: [x.tgz]}',
        '  - {name: near, version: 0.8.0, urls: ["../../../etc/near-0.8.0.tgz"], appVersion: {a: b}, created: never}',
        '  far:',
        entry(far, `${other.url}/downloads/v1/far-1.0.0.tgz`),
        '  odd:',
        entry(odd, `${upstream.url}/elsewhere/odd-1.0.0.tgz?token=a`),
        '  bad:',
        entry(bad, 'bad-1.0.0.tgz', 'ab'.repeat(32)),
        '  image:',
        entry(await makeChart({ name: 'image' }), 'oci://registry.example.org/image:1.0.0'),
        '  hidden:',
        entry({ ...near, name: 'hidden' }, 'charts/near-1.0.0.tgz'),
        '  ../evil:',
        entry(near, 'charts/near-1.0.0.tgz'),
        'generated: 2021-05-06T07:08:09Z',
      ].join('\n'),
    );
    upstream.serve('/up/charts/near-1.0.0.tgz', near.bytes);
    upstream.serve('/up/bad-1.0.0.tgz', bad.bytes);
    upstream.serve('/up/unlisted-1.0.0.tgz', near.bytes);
    upstream.on('/elsewhere/odd-1.0.0.tgz', ({ target, send }) =>
      target.endsWith('?token=a') ? send(200, odd.bytes) : send(403),
    );
    await world().remote('charts', { packageType: 'helm' });
  });
  after(() => other.stop());

  const get = (path: string) => world().get(`/artifactory/api/helm/charts/${path}`);
  const external = () => `external/http/${encodeURIComponent(new URL(other.url).host)}/downloads/v1/far-1.0.0.tgz`;

  test('its index leads here, also for what lies elsewhere', async () => {
    const index = await readIndex(world().app.admin, 'charts');
    assert.deepEqual(Object.keys(index.entries), ['bad', 'far', 'hidden', 'image', 'near', 'odd']);
    assert.deepEqual(index.entries['near']?.[0], {
      apiVersion: 'v2',
      name: 'near',
      version: '1.0.0',
      appVersion: '1.1',
      created: '2021-05-06T05:08:09.123Z',
      digest: sha256(near.bytes),
      urls: ['charts/near-1.0.0.tgz'],
    });
    const host = new URL(world().upstream.url).host;
    assert.deepEqual(versionsOf(index, 'near'), ['1.0.0', '0.8.0']);
    assert.deepEqual(index.entries['near']?.[1]?.urls, [
      `external/http/${encodeURIComponent(host)}/etc/near-0.8.0.tgz`,
    ]);
    assert.deepEqual(index.entries['far']?.[0]?.urls, [external()]);
    assert.deepEqual(index.entries['image']?.[0]?.urls, ['oci://registry.example.org/image:1.0.0']);
    assert.equal(index.entries['near']?.[1]?.created, undefined);
    // A chart whose file is called otherwise gets a path that says what it is.
    assert.match(
      index.entries['hidden']?.[0]?.urls[0] ?? '',
      /^external\/http\/.*\/near-1\.0\.0\.tgz\/hidden-1\.0\.0\.tgz$/,
    );
  });

  test('charts are fetched once, wherever they lie, with their provenance', async () => {
    for (let i = 0; i < 2; i++) {
      assert.equal(sha256((await get('charts/near-1.0.0.tgz')).bytes), sha256(near.bytes));
      assert.equal(sha256((await get(external())).bytes), sha256(far.bytes));
      assert.equal((await get(`${external()}.prov`)).text, 'signed');
      // A file is given on before it is kept.
      for (const path of ['charts/near-1.0.0.tgz', external(), `${external()}.prov`]) {
        const isKept = async () => (await world().get(`/artifactory/charts-cache/${path}`)).status === 200;
        while (!(await isKept())) await pause(10);
      }
    }
    assert.equal(world().upstream.count('/up/charts/near-1.0.0.tgz'), 1);
    assert.equal(other.count('/downloads/v1/far-1.0.0.tgz'), 1);
    const index = await readIndex(world().app.admin, 'charts');
    const [url = ''] = index.entries['odd']?.[0]?.urls ?? [];
    assert.equal(sha256((await get(url)).bytes), sha256(odd.bytes));
    const plain = await world().get(`/artifactory/charts/${external()}`);
    assert.equal(sha256(plain.bytes), sha256(far.bytes));
  });

  test('other bytes than the index says are not given on', async () => {
    const answer = await get('bad-1.0.0.tgz').catch(() => undefined);
    assert.ok(answer === undefined || answer.status === 502, String(answer?.status));
    assert.equal((await world().get('/artifactory/charts-cache/bad-1.0.0.tgz')).status, 404);
  });

  test('at other servers nothing is asked for but what the index names', async () => {
    const host = encodeURIComponent(new URL(other.url).host);
    assert.equal((await get(`external/http/${host}/secret`)).status, 404);
    assert.equal((await get(`external/http/${host}/downloads/v1/none-1.0.0.tgz`)).status, 404);
    assert.equal(other.count('/secret'), 0);
    assert.equal(other.count('/downloads/v1/none-1.0.0.tgz'), 0);
  });

  test('what the index does not name is asked of the upstream itself', async () => {
    assert.equal((await get('unlisted-1.0.0.tgz')).status, 200);
    assert.equal((await get('none-1.0.0.tgz')).status, 404);
  });

  test('addresses that no pattern covers are left as they are', async () => {
    await world().remote('few', {
      packageType: 'helm',
      externalDependenciesEnabled: true,
      externalDependenciesPatterns: ['example.org/**'],
    });
    const index = await readIndex(world().app.admin, 'few');
    assert.deepEqual(index.entries['far']?.[0]?.urls, [`${other.url}/downloads/v1/far-1.0.0.tgz`]);
  });

  test('charts below another base are taken for those of the repository, also from now on', async () => {
    const settings = { packageType: 'helm', url: `${world().upstream.url}/up` };
    await world().remote('based', settings);
    await readIndex(world().app.admin, 'based');
    const changed = await world().app.admin.request('POST', '/artifactory/api/repositories/based', {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ rclass: 'remote', chartsBaseUrl: `${other.url}/downloads` }),
    });
    assert.equal(changed.status, 200, changed.text);
    const index = await readIndex(world().app.admin, 'based');
    assert.deepEqual(index.entries['far']?.[0]?.urls, ['v1/far-1.0.0.tgz']);
    const answer = await world().get('/artifactory/api/helm/based/v1/far-1.0.0.tgz');
    assert.equal(sha256(answer.bytes), sha256(far.bytes));
  });

  test('a large index is read apart, and hostile ones are the fault of the upstream', async () => {
    const { upstream } = world();
    const many = Array.from({ length: 3000 }, (_, i) =>
      [`  many-${i}:`, entry({ ...near, name: `many-${i}` }, `many-${i}-1.0.0.tgz`)].join('\n'),
    );
    upstream.serve('/large/index.yaml', `apiVersion: v1\nentries:\n${many.join('\n')}\n`);
    await world().remote('large', { packageType: 'helm', url: `${upstream.url}/large` });
    const index = await readIndex(world().app.admin, 'large');
    assert.equal(Object.keys(index.entries).length, 3000);
    const bomb = Array.from({ length: 30 }, (_, i) => `a${i}: &a${i} [${i === 0 ? '1' : `*a${i - 1}, *a${i - 1}`}]`);
    const bombs = {
      html: '<html><body>Sign in</body></html>',
      empty: '',
      list: '- 1\n',
      versionless: 'entries: {}\n',
      broken: `apiVersion: v1\nentries: {a: [\n${' '.repeat(100_000)}`,
      wrong: 'apiVersion: v1\nentries: [1]\n',
      tag: 'apiVersion: !!js/function "x"\nentries: {}\n',
    };
    for (const [name, body] of Object.entries(bombs)) {
      upstream.serve(`/${name}/index.yaml`, body);
      await world().remote(`bad-${name}`, { packageType: 'helm', url: `${upstream.url}/${name}` });
      const answer = await world().get(`/artifactory/api/helm/bad-${name}/index.yaml`);
      assert.equal(answer.status, 502, `${name}: ${answer.text}`);
      assert.match((answer.json() as { error: string }).error, /no index of charts/);
    }
    upstream.serve(
      '/bomb/index.yaml',
      `apiVersion: v1\n${bomb.join('\n')}\nentries:\n  x:\n  - {name: x, version: 1.0.0, urls: [x-1.0.0.tgz], keywords: *a29}\n  y:\n  - {name: y, version: 1.0.0, urls: [y-1.0.0.tgz]}\n`,
    );
    await world().remote('bomb', { packageType: 'helm', url: `${upstream.url}/bomb` });
    assert.deepEqual(Object.keys((await readIndex(world().app.admin, 'bomb')).entries), ['y']);
  });

  test('a virtual repository keeps the names of its locals from upstreams', async () => {
    const { app } = world();
    const create = async (key: string, settings: object) => {
      const answer = await app.admin.request('PUT', `/artifactory/api/repositories/${key}`, {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ packageType: 'helm', ...settings }),
      });
      assert.equal(answer.status, 200, answer.text);
    };
    await create('own', { rclass: 'local' });
    await create('all', { rclass: 'virtual', repositories: ['own', 'charts'], defaultDeploymentRepo: 'own' });
    assert.deepEqual(versionsOf(await readIndex(app.admin, 'all'), 'near'), ['1.0.0', '0.8.0']);
    const ours = await makeChart({ name: 'near', version: '0.1.0' });
    assert.equal((await put(app.admin, 'all', ours.filename, ours.bytes)).status, 201);
    const index = await readIndex(app.admin, 'all');
    assert.deepEqual(versionsOf(index, 'near'), ['0.1.0']);
    assert.deepEqual(versionsOf(index, 'far'), ['1.0.0']);
    assert.equal((await world().get('/artifactory/api/helm/all/charts/near-1.0.0.tgz')).status, 404);
    assert.equal((await world().get(`/artifactory/api/helm/all/${external()}`)).status, 200);
  });
});
