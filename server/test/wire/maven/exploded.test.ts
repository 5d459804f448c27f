/** Archives that are unpacked into Maven repositories: what is in them is kept as if it had come alone (bad-inputs M22). */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { elements, makePom } from '../../formats/maven-samples.ts';
import { tarOf, zipNamed, zipOf, zipWithLink } from '../../support/archives.ts';
import { STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const FOLDER = 'org/pack/1-SNAPSHOT';
const POM = makePom({ group: 'org', artifact: 'pack', version: '1-SNAPSHOT' });
const MODES = { each: 'x-explode-archive', atomic: 'x-explode-archive-atomic' };

for (const storage of STORAGES) {
  describe(`archives unpacked into Maven repositories on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage, {
        prepare: async ({ administration }) => {
          for (const behaviour of ['unique', 'non-unique', 'deployer']) {
            const config = { snapshotVersionBehavior: behaviour };
            for (const mode of Object.keys(MODES)) {
              const key = `${behaviour}-${mode}`;
              await administration.create({ key, rclass: 'local', packageType: 'maven', config }, '_system_');
            }
          }
        },
      });
    });
    after(() => world.stop());

    const unpack = (path: string, body: Buffer, mode: keyof typeof MODES) =>
      world.admin.request('PUT', `/artifactory/${path}`, { body, headers: { [MODES[mode]]: 'true' } });
    const get = (path: string) => world.admin.request('GET', `/artifactory/${path}`);
    const names = async (path: string) => {
      const { status, text } = await get(`api/storage/${path}`);
      if (status === 404) return [];
      return (JSON.parse(text) as { children: { uri: string }[] }).children.map(({ uri }) => uri.slice(1)).sort();
    };

    for (const mode of ['each', 'atomic'] as const) {
      test(`snapshots get the names that the repository wants, ${mode}`, async () => {
        const archive = await zipOf({
          [`${FOLDER}/pack-1-SNAPSHOT.jar`]: 'a jar',
          [`${FOLDER}/pack-1-SNAPSHOT-sources.jar`]: 'its sources',
          [`${FOLDER}/pack-1-SNAPSHOT.pom`]: POM,
        });
        for (const build of [1, 2]) {
          const answer = await unpack(`unique-${mode}/all.zip`, archive, mode);
          assert.equal(answer.status, 201, answer.text);
          const found = await names(`unique-${mode}/${FOLDER}`);
          assert.equal(found.length, 3 * build, found.join());
          const revisions = new Set(found.map((name) => /^pack-1-(\d{8}\.\d{6}-\d+)[-.]/.exec(name)?.[1]));
          assert.equal(revisions.size, build, found.join());
        }
        const metadata = (await get(`unique-${mode}/${FOLDER}/maven-metadata.xml`)).text;
        assert.deepEqual(elements(metadata, 'buildNumber'), ['2']);
        assert.equal(new Set(elements(metadata, 'value')).size, 1);
        assert.equal((await get(`unique-${mode}/${FOLDER}/pack-1-SNAPSHOT.jar`)).text, 'a jar');
        const timed = await zipOf({ [`${FOLDER}/pack-1-20260102.030405-6.jar`]: 'timed' });
        assert.equal((await unpack(`non-unique-${mode}/all.zip`, timed, mode)).status, 201);
        assert.deepEqual(await names(`non-unique-${mode}/${FOLDER}`), ['pack-1-SNAPSHOT.jar']);
        assert.equal((await unpack(`deployer-${mode}/all.zip`, timed, mode)).status, 201);
        assert.deepEqual(await names(`deployer-${mode}/${FOLDER}`), ['pack-1-20260102.030405-6.jar']);
      });

      test(`a repository of somebody is taken without what is made here, ${mode}`, async () => {
        const key = `deployer-${mode}`;
        const archive = await zipOf({
          'org/whole/1/whole-1.pom': makePom({ group: 'org', artifact: 'whole', version: '1' }),
          'org/whole/1/whole-1.pom.sha1': 'anything',
          'org/whole/maven-metadata.xml': '<metadata><versioning><release>9</release></versioning></metadata>',
          'org/whole/maven-metadata.xml.md5': 'anything',
        });
        const answer = await unpack(`${key}/all.zip`, archive, mode);
        assert.equal(answer.status, 201, answer.text);
        assert.deepEqual(await names(`${key}/org/whole`), ['1']);
        assert.deepEqual(await names(`${key}/org/whole/1`), ['whole-1.pom']);
        assert.deepEqual(elements((await get(`${key}/org/whole/maven-metadata.xml`)).text, 'release'), ['1']);
      });

      test(`M22: archives that mean harm are refused, ${mode}`, async () => {
        const key = `deployer-${mode}`;
        const pom = (artifact: string) => makePom({ group: 'org.evil', artifact, version: '1' });
        const evil = {
          'a path upwards': await zipNamed('../../x', pom('x')),
          'an absolute path': await zipNamed('/x', pom('x')),
          'a link': await zipWithLink('org/evil/x/1/x-1.jar', '/etc/passwd'),
          'two names but for case': await zipOf({ 'org/evil/a/1/a-1.jar': '1', 'org/evil/A/1/A-1.jar': '2' }),
          'a reserved name': await zipOf({ 'org/evil/a/1/a-1.jar': '1', '.trash/x': '2' }),
        };
        for (const [what, archive] of Object.entries(evil)) {
          const answer = await unpack(`${key}/all.zip`, archive, mode);
          assert.equal(answer.status, 400, `${what}: ${answer.text}`);
        }
        for (const named of [['org/evil/a/1/a-1.jar', 'org/evil/a/1/a-1.jar'], ['']]) {
          const archive = await tarOf(named.map((name) => ({ name, bytes: 'evil' })));
          const answer = await unpack(`${key}/all.tar`, archive, mode);
          assert.equal(answer.status, 400, `${named}: ${answer.text}`);
        }
        assert.deepEqual(await names(`${key}/org/evil`), []);
        const wrong = { 'org/evil/right/1/right-1.pom': pom('right'), 'org/evil/wrong/1/wrong-1.pom': pom('other') };
        const answer = await unpack(`${key}/all.zip`, await zipOf(wrong), mode);
        assert.equal(answer.status, 409, answer.text);
        assert.match(answer.text, /artifactId is \\"other\\"/);
        assert.deepEqual(await names(`${key}/org/evil`), mode === 'each' ? ['right'] : []);
      });
    }
  });
}
