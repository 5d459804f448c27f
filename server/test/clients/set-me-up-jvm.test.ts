/** What the server tells people to set their clients up with, used as it is given: Maven, Gradle, sbt and Ivy. */
import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Client, clientSuite } from './client-suite.ts';
import { mavenDownloads } from './maven-central.ts';
import { sbtEnvironment } from './sbt-environment.ts';
import { SetUpWorld } from './setup-world.ts';

const LIMIT = { timeoutMs: 9 * 60_000 };
const RESOLVE = 'Resolve from this repository';

function worldOf(client: Client, packageType: string) {
  const world = new SetUpWorld(client, packageType);
  before(() => world.open(packageType));
  after(() => world.close());
  const group = `org.${world.key.replaceAll('-', '')}`;
  return {
    world,
    group,
    open: { GROUP_ID: group, PACKAGE_NAME: 'made', PACKAGE_VERSION: '1.0' },
    /** Java asks the system, not the environment, where a person is at home. */
    home: { JAVA_TOOL_OPTIONS: `-Duser.home=${client.env['HOME']}` },
  };
}

for (const name of ['maven', 'maven39'] as const) {
  clientSuite(name, (client) => {
    const { world, group, open, home } = worldOf(client, 'maven');
    const kept = join(mavenDownloads, ...group.split('.'));
    after(() => rm(kept, { recursive: true, force: true }));

    test('publishes a project, and another depends on it', async () => {
      const commands = { mvn: [client.path, '-B', `-Dmaven.repo.local=${mavenDownloads}`] };
      const made = await world.desk('made', commands, home);
      await world.write(made, world.snippet('maven', 'Use this repository beside others'));
      const project = (artifact: string, more: string) =>
        `<project><modelVersion>4.0.0</modelVersion><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>1.0</version>${more}</project>`;
      const place = world.snippet('maven', 'Say where the project is published');
      await writeFile(join(made.folder, 'pom.xml'), project('made', place.code));
      await mkdir(join(made.folder, 'src/main/resources'), { recursive: true });
      await writeFile(join(made.folder, 'src/main/resources/text.txt'), 'set up\n');
      await world.run(made, [world.snippet('maven', 'Build and publish the project')], LIMIT);
      const files = await world.server.filesBelow(`${world.local}/${group.replaceAll('.', '/')}/made/1.0`);
      assert.deepEqual(files, ['/made-1.0.jar', '/made-1.0.pom']);

      await rm(kept, { recursive: true, force: true });
      await world.run(
        await world.desk('get', commands, home),
        [world.snippet('maven', 'Download an artifact', open)],
        LIMIT,
      );
      assert.ok((await readdir(join(kept, 'made/1.0'))).includes('made-1.0.jar'));

      await rm(kept, { recursive: true, force: true });
      const user = await world.desk('user', commands, home);
      const dependency = world.snippet('maven', 'Depend on an artifact', open);
      const dependencies = `<packaging>pom</packaging><dependencies>${dependency.code}</dependencies>`;
      await writeFile(join(user.folder, 'pom.xml'), project('user', dependencies));
      const list = { title: 'list', language: 'shell', code: 'mvn dependency:resolve\n' };
      const { stdout } = await world.run(user, [list], LIMIT);
      assert.match(stdout, new RegExp(`${group}:made:jar:1\\.0`));
    });
  });
}

for (const packageType of ['ivy', 'gradle']) {
  clientSuite('gradle', (client) => {
    const { world, group, open, home } = worldOf(client, packageType);
    const commands = { gradle: [client.path, '--no-daemon', '-q'] };
    const env = { ...home, GRADLE_USER_HOME: join(client.env['HOME'] ?? '', '.gradle') };
    const project = async (name: string, ...snippets: readonly string[]) => {
      const desk = await world.desk(name, commands, env);
      await writeFile(join(desk.folder, 'settings.gradle'), `rootProject.name = '${name}'\n`);
      await writeFile(join(desk.folder, 'build.gradle'), `apply plugin: 'java'\ngroup = '${group}'\nversion = '1.0'\n`);
      for (const title of snippets) await world.write(desk, world.snippet('gradle', title, open, 'groovy'));
      return desk;
    };

    test(`publishes a project to a repository of the type ${packageType}, and another depends on it`, async () => {
      const made = await project('made', 'Say what is published, and where');
      await world.write(made, world.snippet('gradle', 'Store the credentials'));
      await mkdir(join(made.folder, 'src/main/resources'), { recursive: true });
      await writeFile(join(made.folder, 'src/main/resources/text.txt'), 'set up\n');
      if (packageType === 'ivy') {
        await world.run(made, [world.snippet('gradle', 'Build and publish the project')], LIMIT);
      } else {
        // This Gradle, as Debian builds it, publishes to no Maven repository by HTTP; what it would is put for it.
        const build = 'gradle jar generatePomFileForLibraryPublication\n';
        await world.run(made, [{ title: 'build', language: 'shell', code: build }], LIMIT);
        const at = `${world.local}/${group.replaceAll('.', '/')}/made/1.0/made-1.0`;
        const jar = new Uint8Array(await readFile(join(made.folder, 'build/libs/made-1.0.jar')));
        assert.equal((await world.server.ask('PUT', `${at}.jar`, jar)).status, 201);
        const pom = join(made.folder, 'build/publications/library/pom-default.xml');
        await world.server.deploy(`${at}.pom`, await readFile(pom, 'utf8'));
      }

      const user = await project('user', RESOLVE, 'Depend on an artifact');
      const take = "task take(type: Copy) { from configurations.runtimeClasspath; into 'out' }\n";
      const script = join(user.folder, 'build.gradle');
      await writeFile(script, `${await readFile(script, 'utf8')}${take}`);
      await world.run(user, [{ title: 'take', language: 'shell', code: 'gradle take\n' }], LIMIT);
      assert.deepEqual(await readdir(join(user.folder, 'out')), ['made-1.0.jar']);
    });
  });
}

clientSuite('sbt', (client) => {
  const { world, group, open, home } = worldOf(client, 'sbt');

  test('publishes a project, and another depends on it', async () => {
    const env = { ...home, ...sbtEnvironment(client.folder) };
    const project = async (name: string, own: string, ...snippets: readonly string[]) => {
      const desk = await world.desk(name, { sbt: [client.path] }, env);
      await mkdir(join(desk.folder, 'project'), { recursive: true });
      await writeFile(join(desk.folder, 'project/build.properties'), `sbt.version=${client.version}\n`);
      const settings = ['autoScalaLibrary := false', 'crossPaths := false', 'version := "1.0"', own];
      const build = `organization := "${group}"\nname := "${name}"\n${settings.join('\n')}\n`;
      await writeFile(join(desk.folder, 'build.sbt'), build);
      for (const title of snippets) await world.write(desk, world.snippet('sbt', title, open));
      return desk;
    };
    const made = await project('made', '', RESOLVE, 'Say where the project is published', 'Store the credentials');
    await world.run(made, [world.snippet('sbt', 'Build and publish the project')], LIMIT);
    const files = await world.server.filesBelow(`${world.local}/${group.replaceAll('.', '/')}/made/1.0`);
    assert.ok(files.includes('/made-1.0.jar') && files.includes('/made-1.0.pom'), files.join());

    const names =
      'TaskKey[Unit]("names") := IO.write(file("names.txt"), update.value.allFiles.map(_.getName).filter(_.startsWith("made-")).mkString(","))';
    const user = await project('user', names, RESOLVE, 'Depend on an artifact');
    await world.run(user, [{ title: 'names', language: 'shell', code: 'sbt names\n' }], LIMIT);
    assert.equal(await readFile(join(user.folder, 'names.txt'), 'utf8'), 'made-1.0.jar');
  });
});

for (const packageType of ['ivy', 'maven']) {
  clientSuite('ivy', (client) => {
    const { world, group, open, home } = worldOf(client, packageType);

    test(`publishes a module to a repository of the type ${packageType}, and resolves it`, async () => {
      const desk = async (name: string) => {
        const made = await world.desk(name, {}, home);
        await copyFile(join(dirname(client.path), `ivy-${client.version}.jar`), join(made.folder, 'ivy.jar'));
        await world.write(made, world.snippet('ivy', `${RESOLVE}, and publish to it`));
        return made;
      };
      const module = (name: string, more: string) =>
        `<ivy-module version="2.0"><info organisation="${group}" module="${name}" revision="1.0"/>${more}</ivy-module>`;
      const made = await desk('made');
      await writeFile(join(made.folder, 'made.jar'), 'set up');
      await writeFile(join(made.folder, 'made.pom'), pomOf(group));
      const kinds = packageType === 'ivy' ? ['jar'] : ['jar', 'pom'];
      const artifacts = kinds.map((kind) => `<artifact name="made" type="${kind}" ext="${kind}"/>`).join('');
      await writeFile(join(made.folder, 'ivy.xml'), module('made', `<publications>${artifacts}</publications>`));
      await world.run(made, [world.snippet('ivy', 'Publish the module of ivy.xml', open)], LIMIT);

      const taken = await desk('taken');
      await world.run(taken, [world.snippet('ivy', 'Download a module', open)], LIMIT);
      assert.equal(await readFile(join(taken.folder, 'lib/made-1.0.jar'), 'utf8'), 'set up');

      const user = await desk('user');
      const { code } = world.snippet('ivy', 'Depend on a module', open);
      await writeFile(join(user.folder, 'ivy.xml'), module('user', code));
      const retrieve = "java -jar ivy.jar -settings ivysettings.xml -ivy ivy.xml -retrieve '[artifact].[ext]'\n";
      await world.run(user, [{ title: 'retrieve', language: 'shell', code: retrieve }], LIMIT);
      assert.equal(await readFile(join(user.folder, 'made.jar'), 'utf8'), 'set up');
    });
  });
}

function pomOf(group: string): string {
  return `<project><modelVersion>4.0.0</modelVersion><groupId>${group}</groupId><artifactId>made</artifactId><version>1.0</version></project>`;
}
