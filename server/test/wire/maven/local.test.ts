/** What Maven clients put into a local repository, and what they find there. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { elements, hash, makePom, mavenReads, publishMavenSamples, type Send } from '../../formats/maven-samples.ts';
import { plainFilesOf } from '../../support/plain-files.ts';
import { STORAGES } from '../../support/test-app.ts';
import { grant, startWorld, type World } from '../../support/wire-world.ts';

const SETTINGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  libs: {},
  many: {},
  plain: { snapshotVersionBehavior: 'non-unique' },
  unique: { snapshotVersionBehavior: 'unique' },
  deployer: { snapshotVersionBehavior: 'deployer' },
  trusting: { suppressPomConsistencyChecks: true },
};

for (const storage of STORAGES) {
  describe(`local Maven repositories on ${storage}`, () => {
    let world: World;
    let send: Send;
    before(async () => {
      world = await startWorld(storage, {
        prepare: async (core) => {
          for (const [key, settings] of Object.entries(SETTINGS)) {
            await core.administration.create(
              { key, rclass: 'local', packageType: 'maven', config: settings },
              '_system_',
            );
          }
          await core.administration.create({ key: 'gradle', rclass: 'local', packageType: 'gradle' }, '_system_');
          await core.administration.create({ key: 'ivy', rclass: 'local', packageType: 'ivy' }, '_system_');
          const user = (name: string, actions: ('read' | 'deploy')[]) => [{ kind: 'user' as const, name, actions }];
          await grant(core, 'app-only', ['libs'], user('reader', ['read']), ['com/sample/app/1.9/**']);
          await grant(core, 'deploys', ['libs'], user('writer', ['read', 'deploy']));
        },
      });
      send = (method, path, body) => world.admin.request(method, path, { ...(body !== undefined && { body }) });
      await publishMavenSamples(send, '/artifactory/libs');
    });
    after(() => world.stop());

    const { put, get } = plainFilesOf(() => world.admin);

    test('the samples are served as they must be', async (t) => {
      for (const { path, what, check } of await mavenReads()) {
        await t.test(what, async () => check(await send('GET', `/artifactory/libs/${path}`)));
      }
    });

    test('metadata that clients put is answered with success and not kept', async () => {
      const path = 'libs/com/sample/app/maven-metadata.xml';
      const before = await get(path);
      await put(path, '<metadata><versioning><versions><version>666</version></versions></versioning></metadata>');
      for (const sum of ['md5', 'sha1', 'sha256', 'sha512']) await put(`${path}.${sum}`, 'not even a checksum');
      assert.equal(await get(path), before);
      assert.equal(await get(`${path}.sha1`), hash('sha1', before));
      assert.equal(await get(`${path}.sha512`), hash('sha512', before));
    });

    test('metadata follows what is deployed and deleted at once', async () => {
      const path = 'libs/org/quick/maven-metadata.xml';
      await get(path, 404);
      await put('libs/org/quick/1/quick-1.jar', 'one');
      assert.deepEqual(elements(await get(path), 'version'), ['1', '1']);
      await put('libs/org/quick/2/quick-2.jar', 'two');
      assert.deepEqual(elements(await get(path), 'latest'), ['2']);
      assert.equal((await send('DELETE', '/artifactory/libs/org/quick/2')).status, 204);
      assert.deepEqual(elements(await get(path), 'latest'), ['1']);
      assert.equal((await send('DELETE', '/artifactory/libs/org/quick/1/quick-1.jar')).status, 204);
      await get(path, 404);
    });

    test('fifty deployers of different versions are all in the metadata', async () => {
      const versions = Array.from({ length: 50 }, (_, index) => `1.${index}`);
      await Promise.all(
        versions.map(async (version) => {
          const at = `many/org/busy/busy/${version}/busy-${version}`;
          await put(`${at}.jar`, version);
          await put(`${at}.pom`, makePom({ group: 'org.busy', artifact: 'busy', version }));
          await put('many/org/busy/busy/maven-metadata.xml', '<metadata/>');
          const seen = elements(await get('many/org/busy/busy/maven-metadata.xml'), 'version');
          assert.ok(seen.slice(1).includes(version), `${version} is not seen by its own deployer`);
        }),
      );
      const found = elements(await get('many/org/busy/busy/maven-metadata.xml'), 'version');
      assert.deepEqual(found.slice(1), versions);
      assert.equal(found[0], '1.49');
    });

    test('a folder that is an artifact and a group has the sections of both', async () => {
      await put('many/org/acme/tools/1/tools-1.pom', makePom({ group: 'org.acme', artifact: 'tools', version: '1' }));
      const plugin = { group: 'org.acme.tools', artifact: 'fix-maven-plugin', version: '1', packaging: 'maven-plugin' };
      await put('many/org/acme/tools/fix-maven-plugin/1/fix-maven-plugin-1.pom', makePom(plugin));
      const both = await get('many/org/acme/tools/maven-metadata.xml');
      assert.deepEqual(elements(both, 'release'), ['1']);
      assert.deepEqual(elements(both, 'prefix'), ['fix']);
      assert.equal((await send('DELETE', '/artifactory/many/org/acme/tools/fix-maven-plugin')).status, 204);
      assert.deepEqual(elements(await get('many/org/acme/tools/maven-metadata.xml'), 'prefix'), []);
    });

    test('a prefix that the POM configures is used where no jar says another', async () => {
      const more =
        '<build><plugins><plugin><artifactId>maven-plugin-plugin</artifactId><configuration><goalPrefix>go</goalPrefix></configuration></plugin></plugins></build>';
      const plugin = { group: 'org.go', artifact: 'goer', version: '1', packaging: 'maven-plugin', more };
      await put('many/org/go/goer/1/goer-1.pom', makePom(plugin));
      assert.deepEqual(elements(await get('many/org/go/maven-metadata.xml'), 'prefix'), ['go']);
    });

    test('who may read some paths sees the metadata of these alone', async () => {
      const reader = world.as('reader');
      const seen = await reader.request('GET', '/artifactory/libs/com/sample/app/maven-metadata.xml');
      assert.equal(seen.status, 200, seen.text);
      assert.deepEqual(elements(seen.text, 'version'), ['1.9', '1.9']);
      const none = await reader.request('GET', '/artifactory/libs/com/sample/app/2.0-SNAPSHOT/maven-metadata.xml');
      assert.notEqual(none.status, 200);
      assert.equal(
        (await world.anonymous.request('GET', '/artifactory/libs/com/sample/app/maven-metadata.xml')).status,
        401,
      );
    });

    test('POMs that do not fit their path are refused in a sentence', async () => {
      const at = 'libs/org/fit/1.0/fit-1.0.pom';
      const pom = (more: object) => makePom({ group: 'org', artifact: 'fit', version: '1.0', ...more });
      for (const [more, said] of [
        [{ group: 'com' }, /groupId is \\"com\\".*\\"org\\" belongs/],
        [{ artifact: 'unfit' }, /artifactId is \\"unfit\\".*\\"fit\\" belongs/],
        [{ version: '2' }, /version is \\"2\\".*\\"1.0\\" belongs/],
        [{ version: '[1,2)' }, /version is \\"\[1,2\)/],
        [{ version: '../x' }, /version is \\"\.\.\/x/],
        [{ version: '' }, /names no version/],
        [{ version: 'x'.repeat(500) }, /version is \\"x/],
      ] as const) {
        const answer = await put(at, pom(more), 409);
        assert.match(answer.text, said);
        assert.match(answer.text, /suppressPomConsistencyChecks/);
      }
      await get(at, 404);
      await put(at, pom({ version: '$' + '{revision}' }));
      const parent = '<parent><groupId>org</groupId><artifactId>p</artifactId><version>1.0</version></parent>';
      await put('libs/org/heir/1.0/heir-1.0.pom', `<project>${parent}<artifactId>heir</artifactId></project>`);
      await put('libs/org/heir/2.0/heir-2.0.pom', `<project>${parent}<artifactId>heir</artifactId></project>`, 409);
      await put('trusting/org/fit/1.0/fit-1.0.pom', pom({ version: '7' }));
      await put('gradle/org/fit/1.0/fit-1.0.pom', pom({ version: '7' }));
    });

    test('what was not read is kept where checks are off, and says so', async () => {
      await put('trusting/org/odd/1.0/odd-1.0.pom', 'no XML at all');
      const properties = JSON.parse(await get('api/storage/trusting/org/odd/1.0/odd-1.0.pom?properties')) as {
        properties: Record<string, string[]>;
      };
      assert.match(
        properties.properties['entrepot.unindexed']?.[0] ?? '',
        /The POM was not read: it is not well-formed/,
      );
      assert.deepEqual(elements(await get('trusting/org/odd/maven-metadata.xml'), 'release'), ['1.0']);
    });

    describe('the behaviour of snapshots', () => {
      const FOLDER = 'org/snap/1-SNAPSHOT';
      const timed = 'snap-1-20260102.030405-7';
      const names = async (repo: string) =>
        (JSON.parse(await get(`api/storage/${repo}/${FOLDER}`)) as { children: { uri: string }[] }).children.map(
          ({ uri }) => uri.slice(1),
        );
      const pom = makePom({ group: 'org', artifact: 'snap', version: '1-SNAPSHOT' });

      test('unique: files without a time get one, the same for one deploy', async () => {
        for (const [name, body] of [
          ['snap-1-SNAPSHOT.jar', 'first'],
          ['snap-1-SNAPSHOT-sources.jar', 'first sources'],
          ['snap-1-SNAPSHOT.pom', pom],
        ] as const) {
          await put(`unique/${FOLDER}/${name}`, body);
          await put(`unique/${FOLDER}/${name}.sha1`, hash('sha1', body));
        }
        const first = await names('unique');
        assert.equal(first.length, 3);
        for (const name of first) assert.match(name, /^snap-1-\d{8}\.\d{6}-1(-sources\.jar|\.jar|\.pom)$/);
        assert.equal(new Set(first.map((name) => name.slice(0, 24))).size, 1);
        const said = JSON.parse((await put(`unique/${FOLDER}/snap-1-SNAPSHOT.jar`, 'second')).text) as { path: string };
        assert.match(said.path, /snap-1-\d{8}\.\d{6}-2\.jar$/);
        assert.equal(await get(`unique/${FOLDER}/snap-1-SNAPSHOT.jar`), 'second');
        assert.equal(await get(`unique/${FOLDER}/snap-1-SNAPSHOT-sources.jar`), 'first sources');
        await put(`unique/${FOLDER}/snap-1-SNAPSHOT.jar.sha1`, hash('sha1', 'second'));
        assert.equal(await get(`unique/${FOLDER}/snap-1-SNAPSHOT.jar.sha1`), hash('sha1', 'second'));
        const metadata = await get(`unique/${FOLDER}/maven-metadata.xml`);
        assert.deepEqual(elements(metadata, 'buildNumber'), ['2']);
        assert.deepEqual(new Set(elements(metadata, 'value').map((value) => value.slice(-1))), new Set(['1', '2']));
      });

      test('unique: fifty that deploy the same name at once get fifty names', async () => {
        const path = 'unique/org/race/1-SNAPSHOT/race-1-SNAPSHOT.jar';
        const bodies = Array.from({ length: 50 }, (_, index) => `body ${index}`);
        await Promise.all(bodies.map((body) => put(path, body)));
        const { children } = JSON.parse(await get('api/storage/unique/org/race/1-SNAPSHOT')) as { children: object[] };
        assert.equal(children.length, 50);
      });

      test('unique: files with a time keep it', async () => {
        await put(`unique/org/kept/1-SNAPSHOT/kept-1-20260102.030405-7.jar`, 'kept');
        assert.equal(await get('unique/org/kept/1-SNAPSHOT/kept-1-20260102.030405-7.jar'), 'kept');
      });

      test('non-unique: files with a time lose it', async () => {
        await put(`plain/${FOLDER}/${timed}.jar`, 'first');
        await put(`plain/${FOLDER}/${timed}.jar.sha1`, hash('sha1', 'first'));
        await put(`plain/${FOLDER}/${timed}.jar.sha1`, hash('sha1', 'wrong'), 409);
        await put(`plain/${FOLDER}/snap-1-20260102.030406-8.jar`, 'second');
        await put(`plain/${FOLDER}/${timed}.pom`, pom);
        assert.deepEqual((await names('plain')).sort(), ['snap-1-SNAPSHOT.jar', 'snap-1-SNAPSHOT.pom']);
        assert.equal(await get(`plain/${FOLDER}/snap-1-SNAPSHOT.jar`), 'second');
        const metadata = await get(`plain/${FOLDER}/maven-metadata.xml`);
        assert.deepEqual(elements(metadata, 'value'), ['1-SNAPSHOT', '1-SNAPSHOT']);
        assert.deepEqual(elements(metadata, 'timestamp'), []);
      });

      test('deployer: files are kept as they are called', async () => {
        await put(`deployer/${FOLDER}/${timed}.jar`, 'timed');
        await put(`deployer/${FOLDER}/snap-1-SNAPSHOT.jar`, 'plain');
        assert.deepEqual((await names('deployer')).sort(), [`${timed}.jar`, 'snap-1-SNAPSHOT.jar']);
        assert.equal(await get(`deployer/${FOLDER}/snap-1-SNAPSHOT.jar`), 'plain');
      });
    });

    test('a release is not overwritten without the right to delete', async () => {
      const writer = world.as('writer');
      const path = '/artifactory/libs/org/once/1/once-1.jar';
      assert.equal((await writer.request('PUT', path, { body: 'one' })).status, 201);
      const again = await writer.request('PUT', path, { body: 'two' });
      assert.equal(again.status, 403);
      assert.match(again.text, /overwrite artifact/);
      assert.equal(
        (await writer.request('PUT', '/artifactory/libs/org/once/maven-metadata.xml', { body: 'x' })).status,
        201,
      );
    });

    test('files of Ivy layouts belong to packages, and folders are listed with links', async () => {
      await put('ivy/org.acme/mod/1.0/jars/mod-1.0.jar', 'jar');
      await put('ivy/org.acme/mod/1.0/srcs/mod-1.0.jar', 'sources');
      await put('ivy/org.acme/mod/1.0/ivys/ivy-1.0.xml', '<ivy-module/>');
      assert.equal(await get('ivy/org.acme/mod/1.0/jars/mod-1.0.jar'), 'jar');
      assert.match(await get('ivy/org.acme/mod/'), /<a href="1\.0\/">1\.0\/<\/a>/);
      await put('ivy/org/acme/mod/2.0/mod-2.0.jar', 'as Maven has it');
      assert.deepEqual(elements(await get('ivy/org/acme/mod/maven-metadata.xml'), 'version'), ['2.0', '2.0']);
    });

    test('what is copied and moved is in the metadata of where it lies then', async () => {
      const pom = makePom({ group: 'org', artifact: 'goes', version: '1' });
      await put('many/org/goes/1/goes-1.pom', pom);
      await put('many/org/goes/1/goes-1.jar', 'goes');
      const relocate = async (how: string, from: string, to: string) => {
        const answer = await send('POST', `/artifactory/api/${how}/${from}?to=/${to}`);
        assert.equal(answer.status, 200, answer.text);
      };
      await relocate('copy', 'many/org/goes', 'trusting/org/goes');
      await relocate('copy', 'many/org/goes/1', 'many/backup/org/goes/1');
      const versions = async (path: string) => elements(await get(`${path}/maven-metadata.xml`), 'release');
      for (const path of ['many/org/goes', 'trusting/org/goes', 'many/backup/org/goes']) {
        assert.deepEqual(await versions(path), ['1'], path);
      }
      await relocate('move', 'trusting/org/goes', 'trusting/org/went');
      await get('trusting/org/goes/maven-metadata.xml', 404);
      await put('trusting/readme.txt', 'a file of no release');
      await relocate('move', 'trusting/readme.txt', 'trusting/docs/readme.txt');
      assert.equal(await get('trusting/docs/readme.txt'), 'a file of no release');
    });

    test('files that came by other ways are read on request', async () => {
      await put('generic-local/org/came/1/came-1.pom', makePom({ group: 'org', artifact: 'came', version: '1' }));
      await put('generic-local/org/came/1/came-1.jar', 'came');
      const copied = await send('POST', '/artifactory/api/copy/generic-local/org/came?to=/many/org/came');
      assert.equal(copied.status, 200, copied.text);
      await get('many/org/came/maven-metadata.xml', 404);
      const calculate = (path: string) => send('POST', `/artifactory/api/maven/${path}`);
      assert.equal((await calculate('calculateMetaData/many/org/nothing')).status, 200);
      await get('many/org/came/maven-metadata.xml', 404);
      const answer = await calculate('calculateMetadata/many/org/came?nonRecursive=true');
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.text, 'OK');
      assert.deepEqual(elements(await get('many/org/came/maven-metadata.xml'), 'release'), ['1']);
      assert.equal((await calculate('calculateMetadata/many')).status, 200);
      assert.equal((await calculate('calculateMetadata/none')).status, 404);
      const writer = await world.as('writer').request('POST', '/artifactory/api/maven/calculateMetadata/libs');
      assert.equal(writer.status, 403);
    });

    test('of many snapshots the newest is told soon after one more', async () => {
      const row = await world.database.kysely
        .selectFrom('repository')
        .select('id')
        .where('key', '=', 'many')
        .executeTakeFirstOrThrow();
      const folder = 'org/crowd/1-SNAPSHOT';
      const name = (build: number) => `crowd-1-20260102.${String(build % 240000).padStart(6, '0')}-${build}.jar`;
      await put(`many/${folder}/${name(1)}`, 'crowd');
      const { sha256, id } = await world.database.kysely
        .selectFrom('node')
        .select(['sha256', 'id'])
        .where('repo_id', '=', row.id)
        .where('name', '=', name(1))
        .executeTakeFirstOrThrow();
      const { metadata } = await world.database.kysely
        .selectFrom('package_version')
        .select('metadata')
        .where('node_id', '=', id)
        .executeTakeFirstOrThrow();
      const COUNT = 10_000;
      for (let first = 2; first <= COUNT; first += 500) {
        const builds = Array.from({ length: Math.min(500, COUNT - first + 1) }, (_, index) => first + index);
        await world.database.transaction(async (tx) => {
          const times = { created_at: 1, modified_at: 1, created_by: 'x', modified_by: 'x' };
          const nodes = await tx
            .insertInto('node')
            .values(
              builds.map((build) => ({
                repo_id: row.id,
                parent: folder,
                name: name(build),
                folder: 0,
                sha256,
                size: 5,
                media_type: 'application/java-archive',
                package: 'org:crowd',
                etag: null,
                original_sha1: null,
                original_md5: null,
                ...times,
              })),
            )
            .returning(['id', 'name'])
            .execute();
          await tx
            .insertInto('package_version')
            .values(
              nodes.map((node) => ({
                node_id: node.id,
                repo_id: row.id,
                name: 'org:crowd',
                version: `${node.name.slice(6, -4)}/${node.name}`,
                metadata,
                created_at: 1,
              })),
            )
            .execute();
        });
      }
      assert.deepEqual(elements(await get(`many/${folder}/maven-metadata.xml`), 'buildNumber'), [String(COUNT)]);
      await put(`many/${folder}/crowd-1-20260201.000000-${COUNT + 1}.jar`, 'one more');
      assert.deepEqual(elements(await get(`many/${folder}/maven-metadata.xml`), 'buildNumber'), [String(COUNT + 1)]);
      assert.equal(await get(`many/${folder}/crowd-1-SNAPSHOT.jar`), 'one more');
    });

    test('metadata is sent again only when it changed', async () => {
      const path = '/artifactory/libs/com/sample/app/maven-metadata.xml';
      const first = await world.admin.request('GET', path);
      const headers = { 'If-None-Match': String(first.headers.etag) };
      assert.equal((await world.admin.request('GET', path, { headers })).status, 304);
      assert.equal(first.headers['x-checksum-sha1'], hash('sha1', first.text));
      assert.equal((await world.admin.request('HEAD', path)).status, 200);
    });
  });
}
