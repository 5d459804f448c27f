/** The same artifacts through a local, a remote and a virtual repository. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { elements, hash, makePom, mavenReads, publishMavenSamples, type Send } from '../../formats/maven-samples.ts';
import { plainFilesOf } from '../../support/plain-files.ts';
import { STORAGES, startTestApp, type TestApp } from '../../support/test-app.ts';

const ALLOWED = { ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8' };

for (const storage of STORAGES) {
  describe(`Maven repositories of all classes on ${storage}`, () => {
    let upstream: TestApp;
    let app: TestApp;
    before(async () => {
      upstream = await startTestApp('sqlite-fs');
      app = await startTestApp(storage, ALLOWED);
      await make(upstream, 'libs', { rclass: 'local' });
      await publishMavenSamples(sender(upstream), '/artifactory/libs');
      const { authorization = '' } = upstream.admin;
      const [username, password] = Buffer.from(authorization.slice(6), 'base64').toString().split(':');
      const remote = { rclass: 'remote', url: `${upstream.url}/artifactory/libs`, username, password };
      await make(app, 'far', remote);
      await make(app, 'far-releases', { ...remote, handleSnapshots: false });
      await make(app, 'near', { rclass: 'local' });
      await make(app, 'nearer', { rclass: 'local' });
      const guarded = { rclass: 'virtual', repositories: ['near', 'nearer', 'far'], defaultDeploymentRepo: 'near' };
      await make(app, 'guarded', guarded);
      const members = { ...guarded, localNameShadowing: 'off' };
      await make(app, 'all', members);
      await make(app, 'only-far', { rclass: 'virtual', repositories: ['far'] });
      for (const policy of ['discard_any_reference', 'nothing']) {
        const settings = { ...members, pomRepositoryReferencesCleanupPolicy: policy };
        await make(app, policy.replaceAll('_', '-'), settings);
      }
    });
    after(async () => {
      await app.stop();
      await upstream.stop();
    });

    const { put, get } = plainFilesOf(() => app.admin);

    for (const key of ['far', 'only-far']) {
      for (const round of ['cold', 'warm']) {
        test(`the samples through ${key}, ${round}`, async (t) => {
          for (const { path, what, check } of await mavenReads()) {
            await t.test(what, async () => check(await sender(app)('GET', `/artifactory/${key}/${path}`)));
          }
        });
      }
    }

    test('metadata of a virtual repository names what all its members have', async () => {
      const version = '1.11';
      await put(`all/com/sample/app/${version}/app-${version}.jar`, 'nearer app');
      await put(
        `all/com/sample/app/${version}/app-${version}.pom`,
        makePom({ group: 'com.sample', artifact: 'app', version }),
      );
      const merged = await get('all/com/sample/app/maven-metadata.xml');
      assert.deepEqual(elements(merged, 'version').slice(1), [
        '1.9',
        '1.10-rc-1',
        '1.10',
        '1.11',
        '2.0-alpha-1',
        '2.0-SNAPSHOT',
      ]);
      assert.equal(await get('all/com/sample/app/maven-metadata.xml.sha1'), hash('sha1', merged));
      assert.equal(await get('all/com/sample/app/1.11/app-1.11.jar'), 'nearer app');
      assert.equal(await get('all/com/sample/app/1.10/app-1.10.jar'), 'app 1.10');
    });

    test('a group that is at home here is not looked for elsewhere where the guard is on', async () => {
      await put('near/org/home/lib/1/lib-1.jar', 'home');
      assert.equal(await get('guarded/org/home/lib/1/lib-1.jar'), 'home');
      await get('guarded/com/sample/app/1.9/app-1.9.jar', 404);
      assert.deepEqual(elements(await get('guarded/com/sample/app/maven-metadata.xml'), 'version').slice(1), ['1.11']);
    });

    test('plugins of all members have their prefixes', async () => {
      const plugin = { group: 'com.sample', artifact: 'other-maven-plugin', version: '1', packaging: 'maven-plugin' };
      await put('all/com/sample/other-maven-plugin/1/other-maven-plugin-1.pom', makePom(plugin));
      assert.deepEqual(elements(await get('all/com/sample/maven-metadata.xml'), 'prefix').sort(), ['marvel', 'other']);
    });

    test('the newest snapshot of all members is given by its plain name', async () => {
      const at = 'com/sample/app/2.0-SNAPSHOT';
      assert.equal(await get(`all/${at}/app-2.0-SNAPSHOT.jar`), 'snapshot 20260103.040506-2');
      await put(`near/${at}/app-2.0-20260102.090909-1.jar`, 'older, but nearer');
      assert.equal(await get(`all/${at}/app-2.0-SNAPSHOT.jar`), 'snapshot 20260103.040506-2');
      await put(`nearer/${at}/app-2.0-20260104.090909-1.jar`, 'newest');
      assert.equal(await get(`all/${at}/app-2.0-SNAPSHOT.jar`), 'newest');
      await get(`all/${at}/app-2.0-SNAPSHOT.jar.sha1`, 404);
      assert.equal(await get(`all/${at}/app-2.0-SNAPSHOT.jar.sha256`), hash('sha256', 'newest'));
      await put(`nearer/${at}/app-2.0-20260104.090909-1.jar.sha1`, hash('sha1', 'newest'));
      assert.equal(await get(`all/${at}/app-2.0-SNAPSHOT.jar.sha1`), hash('sha1', 'newest'));
      const metadata = await get(`all/${at}/maven-metadata.xml`);
      assert.deepEqual(elements(metadata, 'timestamp'), ['20260104.090909']);
      assert.deepEqual(elements(metadata, 'value').sort(), ['2.0-20260103.040506-2', '2.0-20260104.090909-1']);
    });

    test('an upstream without snapshots is not asked for them', async () => {
      await get('far-releases/com/sample/app/2.0-SNAPSHOT/maven-metadata.xml', 404);
      await get('far-releases/com/sample/app/2.0-SNAPSHOT/app-2.0-20260103.040506-2.jar', 404);
      assert.equal(await get('far-releases/com/sample/app/1.10/app-1.10.jar'), 'app 1.10');
    });

    test('references to other repositories are taken out of POMs by the policy', async () => {
      const path = 'com/sample/parent/1/parent-1.pom';
      const original = await get(`far/${path}`);
      assert.match(original, /else\.example/);
      const cleaned = await get(`all/${path}`);
      assert.equal(cleaned, original.replace(/<repositories>.*<\/repositories>/s, ''));
      for (const algorithm of ['sha512', 'sha256', 'sha1', 'md5']) {
        assert.equal(await get(`all/${path}.${algorithm}`), hash(algorithm, cleaned));
      }
      const answer = await app.admin.request('HEAD', `/artifactory/all/${path}`);
      assert.equal(answer.headers['x-checksum-sha1'], hash('sha1', cleaned));
      assert.equal(await get(`nothing/${path}`), original);
    });

    test('references in profiles go only where they are in force, or by the policy', async () => {
      const profile = (id: string, active: boolean) =>
        `<profile><id>${id}</id>${active ? '<activation><activeByDefault>true</activeByDefault></activation>' : ''}<pluginRepositories><pluginRepository><id>r</id><url>http://${id}.example/</url></pluginRepository></pluginRepositories></profile>`;
      const more = `<profiles>${profile('on', true)}${profile('off', false)}</profiles>`;
      const path = 'org/prof/1/prof-1.pom';
      await put(`near/${path}`, makePom({ group: 'org', artifact: 'prof', version: '1', more }));
      const hosts = async (key: string) =>
        [...(await get(`${key}/${path}`)).matchAll(/http:\/\/(\w+)\.example/g)].map((m) => m[1]);
      assert.deepEqual(await hosts('near'), ['on', 'off']);
      assert.deepEqual(await hosts('nothing'), ['on', 'off']);
      assert.deepEqual(await hosts('all'), ['off']);
      assert.deepEqual(await hosts('discard-any-reference'), []);
    });

    test('what a captive upstream answers is no metadata', async () => {
      await make(app, 'captive', { rclass: 'remote', url: `${upstream.url}/artifactory/api/system/ping#` });
      const answer = await app.admin.request('GET', '/artifactory/captive/org/x/maven-metadata.xml');
      assert.ok([404, 502].includes(answer.status), `${answer.status} ${answer.text}`);
    });

    test('folders are listed with links, as Gradle and Ivy read them', async () => {
      assert.match(await get('all/com/sample/app/'), /<a href="1\.11\/">/);
    });
  });
}

function sender(app: TestApp): Send {
  return (method, path, body) => app.admin.request(method, path, { ...(body !== undefined && { body }) });
}

async function make(app: TestApp, key: string, settings: Readonly<Record<string, unknown>>): Promise<void> {
  const answer = await app.admin.request('PUT', `/artifactory/api/repositories/${key}`, {
    body: JSON.stringify({ packageType: 'maven', ...settings }),
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(answer.status, 200, answer.text);
}
