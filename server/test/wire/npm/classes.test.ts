/** npm's registry through remote and virtual repositories: another server of this kind is the upstream, or a scripted one. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import {
  makePackage,
  type NpmPackage,
  publish,
  publishDocument,
  publishSamples,
  sampleReads,
} from '../../formats/npm-samples.ts';
import { ADMIN_PASSWORD, startTestApp, type TestApp } from '../../support/test-app.ts';
import { expectStatus, sendJson } from '../api/api-world.ts';
import { onEachRemoteStorage } from '../remote/remote-world.ts';

const at = (key: string) => `/artifactory/api/npm/${key}`;

interface Document {
  readonly 'dist-tags': Record<string, string>;
  readonly versions: Record<string, { dist: { tarball: string; attestations?: { url: string } } }>;
}

onEachRemoteStorage('npm through remote and virtual repositories', (world) => {
  let other: TestApp;
  let samples: readonly NpmPackage[];
  const make = (app: TestApp, key: string, body: Readonly<Record<string, unknown>>) =>
    expectStatus(
      sendJson(app.admin, 'PUT', `/artifactory/api/repositories/${key}`, { packageType: 'npm', ...body }),
      200,
    );
  const remote = (key: string, url: string, body = {}) => make(world().app, key, { rclass: 'remote', url, ...body });
  const document = async (key: string, name: string) => {
    const answer = await world().get(`${at(key)}/${name}`);
    assert.equal(answer.status, 200, answer.text);
    return answer.json() as Document;
  };

  before(async () => {
    other = await startTestApp('sqlite-fs');
    await make(other, 'up-local', { rclass: 'local' });
    samples = await publishSamples(other.admin, at('up-local'));
    const credentials = { username: 'admin', password: ADMIN_PASSWORD };
    await remote('far', `${other.url}${at('up-local')}/`, { ...credentials, retrievalCachePeriodSecs: 0 });
    await make(world().app, 'near', { rclass: 'local' });
    await make(world().app, 'both', {
      rclass: 'virtual',
      repositories: ['near', 'far'],
      defaultDeploymentRepo: 'near',
    });
  });
  after(() => other.stop());

  for (const key of ['far', 'both']) {
    test(`what was published upstream is read through "${key}" as it must be`, async () => {
      for (const { what, check } of sampleReads(samples)) {
        await check(world().app.admin, at(key), world().app.url).catch((error: Error) => {
          throw new Error(`${what}: ${error.message}`, { cause: error });
        });
      }
    });
  }

  test('a new version upstream and a new version here are seen at once', async () => {
    const { app } = world();
    await publish(other.admin, at('up-local'), publishDocument(await makePackage('grown', '1.0.0')));
    assert.deepEqual(Object.keys((await document('both', 'grown')).versions), ['1.0.0']);
    await publish(other.admin, at('up-local'), publishDocument(await makePackage('grown', '1.1.0')));
    assert.equal((await document('both', 'grown'))['dist-tags']['latest'], '1.1.0');
    const own = await makePackage('@mine/grown', '3.0.0');
    assert.equal((await publish(app.admin, at('both'), publishDocument(own))).status, 201);
    assert.deepEqual(Object.keys((await document('both', '@mine%2fgrown')).versions), ['3.0.0']);
    assert.deepEqual(Object.keys((await document('near', '@mine%2fgrown')).versions), ['3.0.0']);
  });

  test('a tarball that a document names elsewhere is had from there, and verified', async () => {
    const { upstream } = world();
    const good = await makePackage('elsewhere', '1.0.0');
    const bad = await makePackage('elsewhere', '1.1.0');
    const entry = ({ name, version, integrity, shasum }: NpmPackage, path: string) => ({
      name,
      version,
      dist: { integrity, shasum, tarball: `${upstream.url}${path}` },
    });
    upstream.serve(
      '/reg/elsewhere',
      JSON.stringify({
        name: 'elsewhere',
        'dist-tags': { latest: '1.0.0' },
        versions: {
          '1.0.0': entry(good, '/files/abc?x=1'),
          '1.1.0': entry(bad, '/reg/elsewhere/-/elsewhere-1.1.0.tgz'),
        },
        time: {},
      }),
    );
    upstream.serve('/files/abc?x=1', good.tarball);
    upstream.serve('/files/abc', good.tarball);
    upstream.serve('/reg/elsewhere/-/elsewhere-1.1.0.tgz', Buffer.concat([bad.tarball, Buffer.from('!')]));
    await remote('odd', `${upstream.url}/reg`);
    const doc = await document('odd', 'elsewhere');
    const url = doc.versions['1.0.0']?.dist.tarball ?? '';
    assert.equal(url, `${world().app.url}${at('odd')}/elsewhere/-/elsewhere-1.0.0.tgz`);
    const got = await world().get(url.slice(world().app.url.length));
    assert.equal(got.status, 200, got.text);
    assert.deepEqual(got.bytes, good.tarball);
    await assert.rejects(async () => {
      const wrong = await world().get(`${at('odd')}/elsewhere/-/elsewhere-1.1.0.tgz`);
      assert.equal(wrong.status, 200, 'refused');
    });
    const kept = await world().get('/artifactory/odd-cache/elsewhere/-/elsewhere-1.1.0.tgz');
    assert.equal(kept.status, 404);
  });

  test('what cannot be read upstream is the fault of the upstream, and what is missing is missing', async () => {
    const { upstream } = world();
    upstream.serve('/reg2/broken', 'not json');
    await remote('odd2', `${upstream.url}/reg2`);
    assert.equal((await world().get(`${at('odd2')}/broken`)).status, 502);
    assert.equal((await world().get(`${at('odd2')}/missing`)).status, 404);
  });

  test('searches find what is here and what the upstream finds; keys are named only where all is signed', async () => {
    const answer = await world().get(`${at('both')}/-/v1/search?text=sample`);
    const { objects } = answer.json() as { objects: { package: { name: string } }[] };
    assert.deepEqual(objects.map((one) => one.package.name).sort(), ['@sample/scoped', 'sample-plain']);
    assert.equal((await world().get(`${at('both')}/-/npm/v1/keys`)).status, 404);
  });

  test('audits are asked of the upstream, but not about what was published here', async (t) => {
    const { app } = world();
    const bulk = '-/npm/v1/security/advisories/bulk';
    const told = { 'left-pad': [{ id: 1, title: 'Bad', severity: 'high', vulnerable_versions: '<2' }] };
    let asked = '';
    const advisories = createServer(async (request, response) => {
      asked = (await request.toArray()).join('');
      const isKnown = request.url === `/reg/${bulk}`;
      response.writeHead(isKnown ? 200 : 500, { 'Content-Type': 'application/json' }).end(JSON.stringify(told));
    });
    await new Promise<void>((resolve) => advisories.listen(0, '127.0.0.1', resolve));
    t.after(() => advisories.close());
    await remote('audited', `http://127.0.0.1:${(advisories.address() as AddressInfo).port}/reg`);
    await make(app, 'audited-all', { rclass: 'virtual', repositories: ['near', 'audited'] });
    await publish(app.admin, at('near'), publishDocument(await makePackage('@secret/name', '1.0.0')));
    const body = JSON.stringify({ 'left-pad': ['1.0.0'], '@secret/name': ['1.0.0'] });
    const answer = await app.admin.request('POST', `${at('audited-all')}/${bulk}`, { body });
    assert.deepEqual([answer.status, answer.json()], [200, told]);
    assert.deepEqual(JSON.parse(asked), { 'left-pad': ['1.0.0'] });
    const own = await app.admin.request('POST', `${at('near')}/${bulk}`, { body });
    assert.deepEqual(own.json(), {});
    const broken = await app.admin.request('POST', `${at('audited')}/-/npm/v1/security/audits`, { body: '{}' });
    assert.equal(broken.status, 502);
  });

  test('nothing is published to a remote repository', async () => {
    const answer = await publish(world().app.admin, at('far'), publishDocument(await makePackage('stray', '1.0.0')));
    assert.equal(answer.status, 404);
    assert.match((answer.json() as { error: string }).error, /\w/);
  });
});
