import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { MavenWorld } from './maven-world.ts';
import { sbtEnvironment } from './sbt-environment.ts';
import { ServerFacts } from './server-facts.ts';

/** The first run downloads sbt itself and its compiler. */
const LIMIT = { timeoutMs: 9 * 60_000 };

clientSuite('sbt', (client) => {
  const world = new MavenWorld(new ServerFacts(client.target));
  const { group } = world;
  const work = join(client.folder, 'work');
  const { username, password } = client.target;
  const env = sbtEnvironment(client.folder);
  const project = async (name: string, more: string) => {
    const folder = join(work, name);
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, 'project'), { recursive: true });
    await writeFile(join(folder, 'project/build.properties'), `sbt.version=${client.version}\n`);
    await writeFile(
      join(folder, 'build.sbt'),
      `organization := "${group}"
name := "${name}"
autoScalaLibrary := false
crossPaths := false
credentials += Credentials("Artifactory Realm", "127.0.0.1", "${username}", "${password}")
resolvers += ("entrepot" at "${world.url('all')}").withAllowInsecureProtocol(true)
publishTo := Some(("entrepot" at "${world.url('all')}").withAllowInsecureProtocol(true))
${more}
`,
    );
    return folder;
  };

  before(async () => {
    await mkdir(work, { recursive: true });
    await world.open('sbt');
  });
  after(() => world.close());

  test('publishes releases and snapshots', async () => {
    for (const version of ['1.0', '2.0-SNAPSHOT']) {
      const cwd = await project('made', `version := "${version}"`);
      await mkdir(join(cwd, 'src/main/resources'), { recursive: true });
      await writeFile(join(cwd, 'src/main/resources/version.txt'), version);
      await client.run(['publish'], { cwd, env, ...LIMIT });
    }
    const files = await world.server.filesBelow(`${world.key('local')}/${world.folder}/made`);
    assert.ok(files.includes('/1.0/made-1.0.jar'), files.join());
    assert.ok(files.includes('/1.0/made-1.0.pom'), files.join());
    assert.ok(
      files.some((file) => /^\/2\.0-SNAPSHOT\/made-2\.0-\d{8}\.\d{6}-1\.jar$/.test(file)),
      files.join(),
    );
  });

  test('resolves ranges, and what only the upstream has', async () => {
    const cwd = await project(
      'user',
      `libraryDependencies ++= Seq("${group}" % "made" % "[1.0,2.0)", "far.${group}" % "far" % "1.0")
TaskKey[Unit]("names") := IO.write(file("names.txt"), update.value.allFiles.map(_.getName).filter(_.matches("(far|made)-.*")).sorted.mkString(","))`,
    );
    await client.run(['names'], { cwd, env, ...LIMIT });
    assert.equal(await readFile(join(cwd, 'names.txt'), 'utf8'), 'far-1.0.jar,made-1.0.jar');
  });
});
