/** What Maven repositories ask of upstreams, take from them, and when they ask again (bad-inputs M19 to M21). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { elements, hash, makePom } from '../../formats/maven-samples.ts';
import { zipOf } from '../../support/archives.ts';
import { eventually } from '../../support/eventually.ts';
import { onEachRemoteStorage } from '../remote/remote-world.ts';

const SNAPSHOTS = 'org/snap/1-SNAPSHOT';
const metadataOf = (build: number) =>
  `<metadata><groupId>org</groupId><artifactId>snap</artifactId><version>1-SNAPSHOT</version><versioning><snapshot><timestamp>20260102.03040${build}</timestamp><buildNumber>${build}</buildNumber></snapshot><lastUpdated>2026010203040${build}</lastUpdated></versioning></metadata>`;

onEachRemoteStorage('upstreams of Maven', (world) => {
  const remote = (key: string, settings: Readonly<Record<string, unknown>> = {}) =>
    world().remote(key, { packageType: 'maven', ...settings });
  const virtual = async (key: string, repositories: readonly string[]) => {
    const { app } = world();
    const body = JSON.stringify({ rclass: 'virtual', packageType: 'maven', repositories });
    const headers = { 'content-type': 'application/json' };
    const answer = await app.admin.request('PUT', `/artifactory/api/repositories/${key}`, { body, headers });
    assert.equal(answer.status, 200, answer.text);
    return `/artifactory/${key}`;
  };

  test('jars that are none are refused where that is wished, and nothing of them is kept', async () => {
    const { upstream, get, blobs } = world();
    const strict = await remote('jars-strict', { rejectInvalidJars: true });
    const all = await virtual('jars-all', ['jars-strict']);
    const lenient = await remote('jars-lenient');
    const good = await zipOf({ 'META-INF/MANIFEST.MF': 'Manifest-Version: 1.0\n', big: randomBytes(300_000) });
    upstream.serve('/up/org/jar/1/jar-1.jar', good);
    const bad = { 'jar-2.jar': 'no archive', 'jar-2.war': good.subarray(0, 200_000), 'jar-2.ear': '' };
    for (const [name, bytes] of Object.entries(bad)) upstream.serve(`/up/org/jar/2/${name}`, bytes);
    upstream.serve('/up/org/jar/2/jar-2.txt', 'no archive');
    const before = await blobs();
    for (const base of [strict, all]) {
      for (const name of Object.keys(bad)) {
        const answer = await get(`${base}/org/jar/2/${name}`);
        assert.equal(answer.status, 502, answer.text);
        assert.match(answer.text, /is no archive: it is damaged, or no zip file.*rejectInvalidJars/);
      }
    }
    await eventually(async () => assert.equal(await blobs(), before), 5000);
    assert.deepEqual((await get(`${all}/org/jar/1/jar-1.jar`)).bytes, good);
    assert.equal((await get(`${strict}/org/jar/2/jar-2.txt`)).text, 'no archive');
    assert.equal((await get(`${lenient}/org/jar/2/jar-2.jar`)).text, 'no archive');
  });

  test('M20: a POM of another release is refused where POMs are checked', async () => {
    const { upstream, get } = world();
    const strict = await remote('poms-strict');
    const lenient = await remote('poms-lenient', { suppressPomConsistencyChecks: true });
    const other = makePom({ group: 'org', artifact: 'other', version: '1' });
    upstream.serve('/up/org/pom/1/pom-1.pom', other);
    upstream.serve('/up/org/pom/2/pom-2.pom', '<project>&oslash;</project>');
    upstream.serve('/up/org/other/1/other-1.pom', other);
    const refused = await get(`${strict}/org/pom/1/pom-1.pom`);
    assert.equal(refused.status, 502, refused.text);
    assert.match(refused.text, /From the upstream of \\"poms-strict\\".*artifactId is \\"other\\"/);
    const odd = await get(`${strict}/org/pom/2/pom-2.pom`);
    assert.equal(odd.text, '<project>&oslash;</project>', 'what cannot be read is not known to be of another release');
    assert.equal((await get(`${strict}/org/other/1/other-1.pom`)).text, other);
    assert.equal((await get(`${lenient}/org/pom/1/pom-1.pom`)).text, other);
  });

  test('M19: paths that lead elsewhere are refused before the upstream hears of them', async () => {
    const { upstream, get } = world();
    const base = await remote('tricks');
    const asked = upstream.asked.length;
    for (const path of [
      'g/a/1/a-1.jar%23/../../b',
      'g/a/1/a-1.jar%23/%2e%2e/%2e%2e/b',
      'g/a/1/..%2f..%2fb',
      'g/a/1/a-1.jar%00',
      'g/a/1/a-1.jar%0d%0aHost:%20x',
    ]) {
      const answer = await get(`${base}/${path}`);
      assert.equal(answer.status, 400, `${path}: ${answer.text}`);
    }
    assert.equal(upstream.asked.length, asked);
    assert.equal((await get(`${base}/g/a/1/a-1.jar%23`)).status, 404);
    assert.equal(upstream.asked.at(-1)?.target, '/up/g/a/1/a-1.jar%23');
  });

  test('M21: an index is passed on while it comes, whatever is in it', async () => {
    const { app, upstream } = world();
    const base = await remote('indexed');
    const bytes = randomBytes(4 * 1024 * 1024);
    const isRead = Promise.withResolvers<void>();
    upstream.on('/up/.index/nexus-maven-repository-index.gz', async (answering) => {
      answering.head(200, { 'content-length': bytes.length, 'content-type': 'application/x-gzip' });
      answering.write(bytes.subarray(0, 2 * 1024 * 1024));
      await isRead.promise;
      answering.write(bytes.subarray(2 * 1024 * 1024));
    });
    const response = await fetch(`${app.url}${base}/.index/nexus-maven-repository-index.gz`, {
      headers: { authorization: app.admin.authorization ?? '' },
    });
    assert.equal(response.status, 200);
    const got: Uint8Array[] = [];
    for await (const chunk of response.body ?? []) {
      got.push(chunk);
      // The upstream goes on only when the client has something.
      isRead.resolve();
    }
    assert.equal(hash('sha256', Buffer.concat(got)), hash('sha256', bytes));
  });

  test('what an upstream says of itself alone is not asked for', async () => {
    const { upstream, get } = world();
    const base = await remote('groups');
    const all = await virtual('groups-all', ['groups']);
    upstream.serve('/up/.meta/prefixes.txt', '## repository-prefixes/2.0\n/org/far\n');
    for (const each of [base, all]) assert.equal((await get(`${each}/.meta/prefixes.txt`)).status, 404);
    assert.equal(upstream.count('/up/.meta/prefixes.txt'), 0);
  });

  test('snapshots are asked for again when they are too old, also through a virtual repository', async () => {
    const { upstream, get } = world();
    await remote('snap-always', { retrievalCachePeriodSecs: 0 });
    await remote('snap-later', { retrievalCachePeriodSecs: 3600 });
    const always = await virtual('snap-always-all', ['snap-always']);
    const later = await virtual('snap-later-all', ['snap-later']);
    const put = (build: number) => {
      upstream.serve(`/up/${SNAPSHOTS}/maven-metadata.xml`, metadataOf(build));
      upstream.serve(`/up/${SNAPSHOTS}/snap-1-20260102.03040${build}-${build}.jar`, `timed ${build}`);
      upstream.serve('/up/org/plain/1-SNAPSHOT/plain-1-SNAPSHOT.jar', `plain ${build}`);
    };
    const seen = async (base: string) => {
      const metadata = (await get(`${base}/${SNAPSHOTS}/maven-metadata.xml`)).text;
      const newest = (await get(`${base}/${SNAPSHOTS}/snap-1-SNAPSHOT.jar`)).text;
      const plain = (await get(`${base}/org/plain/1-SNAPSHOT/plain-1-SNAPSHOT.jar`)).text;
      return [elements(metadata, 'buildNumber')[0], newest, plain];
    };
    put(1);
    for (const base of [always, later]) {
      await eventually(async () => assert.deepEqual(await seen(base), ['1', 'timed 1', 'plain 1']), 5000);
    }
    put(2);
    await eventually(async () => assert.deepEqual(await seen(always), ['2', 'timed 2', 'plain 2']), 5000);
    assert.deepEqual(await seen(later), ['1', 'timed 1', 'plain 1']);
    const { status } = await world().app.admin.request('POST', '/artifactory/api/repositories/snap-later', {
      body: JSON.stringify({ retrievalCachePeriodSecs: 0 }),
      headers: { 'content-type': 'application/json' },
    });
    assert.equal(status, 200);
    await eventually(async () => assert.deepEqual(await seen(later), ['2', 'timed 2', 'plain 2']), 5000);
  });
});
