import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makePom } from '../formats/maven-samples.ts';
import { clientSuite } from './client-suite.ts';
import { MavenWorld } from './maven-world.ts';
import { ServerFacts } from './server-facts.ts';

const LIMIT = { timeoutMs: 5 * 60_000 };

clientSuite('gradle', (client) => {
  const world = new MavenWorld(new ServerFacts(client.target));
  const { group, server } = world;
  const work = join(client.folder, 'work');
  const home = join(client.folder, 'gradle-home');
  const { username } = client.target;
  const repository = (kind: string, name: string, password = client.target.password) =>
    `${kind} { url '${world.url(name)}'; credentials { username '${username}'; password '${password}' } }`;
  const args = ['--no-daemon', '-q', '-g', home, '-p', work];
  const build = async (script: string) => {
    await rm(join(work, '.gradle'), { recursive: true, force: true });
    await writeFile(join(work, 'settings.gradle'), "rootProject.name = 'mod'\n");
    await writeFile(join(work, 'build.gradle'), script);
  };
  /** What a project that depends on it gets. */
  const resolve = async (dependency: string, from = repository('maven', 'all')) => {
    await rm(home, { recursive: true, force: true });
    await build(`
repositories { ${from} }
configurations { wanted { resolutionStrategy.cacheDynamicVersionsFor 0, 'seconds'; resolutionStrategy.cacheChangingModulesFor 0, 'seconds' } }
dependencies { wanted '${dependency}' }
task take(type: Copy) { from configurations.wanted; into 'out'; rename { 'it.jar' } }
`);
    await rm(join(work, 'out'), { recursive: true, force: true });
    await client.run([...args, 'take'], LIMIT);
    return readFile(join(work, 'out/it.jar'), 'utf8');
  };
  const publish = async (version: string, name: string, text: string) => {
    const folder = `${world.key('local')}/${world.folder}/app/${version.replace(/-\d{8}\.\d{6}-\d+$/, '-SNAPSHOT')}`;
    await server.deploy(`${folder}/app-${name}.jar`, text);
    const pom = { group, artifact: 'app', version: version.replace(/-\d{8}\.\d{6}-\d+$/, '-SNAPSHOT') };
    await server.deploy(`${folder}/app-${name}.pom`, makePom(pom));
  };

  before(async () => {
    await mkdir(work, { recursive: true });
    await world.open('gradle');
    await publish('1.9', '1.9', 'app 1.9');
    await publish('1.10', '1.10', 'app 1.10');
    await publish('2.0-SNAPSHOT', '2.0-20260102.030405-1', 'first snapshot');
    await publish('2.0-SNAPSHOT', '2.0-20260103.030405-2', 'second snapshot');
  });
  after(() => world.close());

  test('resolves releases, dynamic versions and snapshots', async () => {
    assert.equal(await resolve(`${group}:app:1.9`), 'app 1.9');
    assert.equal(await resolve(`${group}:app:1.+`), 'app 1.10');
    assert.equal(await resolve(`${group}:app:latest.release`), 'app 1.10');
    assert.equal(await resolve(`${group}:app:2.0-SNAPSHOT`), 'second snapshot');
  });

  test('resolves what only the upstream has', async () => {
    assert.equal(await resolve(`far.${group}:far:1.0`), 'from far');
  });

  test('publishes as Ivy does, and finds versions by the listing of their folder', async () => {
    for (const version of ['1.0', '1.1']) {
      await build(`
apply plugin: 'ivy-publish'
group = '${group}'
version = '${version}'
task pack(type: Zip) { archiveName = 'mod.jar'; destinationDir = buildDir; from 'settings.gradle' }
publishing {
  publications { ivy(IvyPublication) { artifact(pack) { extension 'jar'; type 'jar' } } }
  repositories { ${repository('ivy', 'all')} }
}
`);
      await client.run([...args, 'publish'], LIMIT);
    }
    const files = await server.filesBelow(`${world.key('local')}/${group}/mod`);
    assert.deepEqual(files, ['/1.0/ivy-1.0.xml', '/1.0/mod-1.0.jar', '/1.1/ivy-1.1.xml', '/1.1/mod-1.1.jar']);
    assert.match(await resolve(`${group}:mod:1.+`, repository('ivy', 'all')), /^PK/);
  });

  test('says why the server refuses', async () => {
    await build(`
repositories { ${repository('maven', 'all', 'wrong')} }
configurations { wanted }
dependencies { wanted '${group}:app:1.9' }
task take(type: Copy) { from configurations.wanted; into 'out' }
`);
    await rm(home, { recursive: true, force: true });
    assert.match(await client.fail([...args, 'take'], LIMIT), /401/);
  });
});
