import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makePom } from '../formats/maven-samples.ts';
import { zipOf } from '../support/archives.ts';
import { clientSuite } from './client-suite.ts';
import { runCommand } from './command.ts';
import { mavenDownloads } from './maven-central.ts';
import { MavenWorld } from './maven-world.ts';
import { ServerFacts } from './server-facts.ts';

const DEPLOY = 'org.apache.maven.plugins:maven-deploy-plugin:3.1.3';
const DEPENDENCY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
const LIMIT = { timeoutMs: 5 * 60_000 };
const MOJO = `package org.wonder;
public class Say extends org.apache.maven.plugin.AbstractMojo {
  public void execute() { getLog().info("a marvel was said"); }
}
`;
const DESCRIPTOR = (group: string) => `<plugin>
  <name>Wonders</name><groupId>${group}</groupId><artifactId>wonder-maven-plugin</artifactId><version>1.0</version>
  <goalPrefix>marvel</goalPrefix>
  <mojos><mojo><goal>say</goal><requiresProject>false</requiresProject>
    <implementation>org.wonder.Say</implementation><language>java</language>
    <instantiationStrategy>per-lookup</instantiationStrategy><executionStrategy>once-per-session</executionStrategy></mojo></mojos>
</plugin>`;

for (const name of ['maven', 'maven39', 'maven4'] as const) {
  clientSuite(name, (client) => {
    const world = new MavenWorld(new ServerFacts(client.target));
    const { group } = world;
    const work = join(client.folder, 'work');
    const settings = join(work, 'settings.xml');
    const kept = join(mavenDownloads, world.folder);
    const keptFar = join(mavenDownloads, 'far', world.folder);
    const common = ['-B', '-s', settings, `-Dmaven.repo.local=${mavenDownloads}`];
    const mvn = (...args: string[]) => client.run([...common, ...args], { cwd: work, ...LIMIT });
    const fails = (...args: string[]) => client.fail([...common, ...args], { cwd: work, ...LIMIT });
    const deploy = (at: string, version: string, text: string, ...more: string[]) => [
      `${DEPLOY}:deploy-file`,
      `-Durl=${world.url(at)}`,
      '-DrepositoryId=entrepot',
      `-DgroupId=${group}`,
      '-DartifactId=app',
      `-Dversion=${version}`,
      `-Dfile=${text}`,
      ...more,
    ];
    const jar = async (text: string) => {
      const path = join(work, `${text.replaceAll(' ', '-')}.jar`);
      await writeFile(path, text);
      return path;
    };
    /** What a project that depends on the version gets. */
    const resolve = async (artifact: string, version: string, from = group) => {
      for (const folder of [kept, keptFar]) await rm(folder, { recursive: true, force: true });
      const project = join(work, 'consumer');
      await mkdir(project, { recursive: true });
      const dependency = `<dependencies><dependency><groupId>${from}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency></dependencies>`;
      const pom = { group: `${group}.user`, artifact: 'user', version: '1', packaging: 'pom', more: dependency };
      await writeFile(join(project, 'pom.xml'), makePom(pom));
      const out = join(project, 'out');
      await rm(out, { recursive: true, force: true });
      const options = [`-DoutputDirectory=${out}`, '-Dmdep.stripVersion=true', '-U', '-C'];
      await client.run([...common, `${DEPENDENCY}:copy-dependencies`, ...options], { cwd: project, ...LIMIT });
      return readFile(join(out, `${artifact}.jar`), 'utf8');
    };

    before(async () => {
      await mkdir(work, { recursive: true });
      await world.open('maven');
      const { username, password } = client.target;
      const repository = (element: string) =>
        `<${element}><id>entrepot</id><url>${world.url('all')}</url><snapshots><enabled>true</enabled></snapshots></${element}>`;
      await writeFile(
        settings,
        `<settings>
  <servers>
    <server><id>entrepot</id><username>${username}</username><password>${password}</password></server>
    <server><id>stranger</id><username>${username}</username><password>wrong</password></server>
  </servers>
  <pluginGroups><pluginGroup>${group}</pluginGroup></pluginGroups>
  <profiles><profile><id>e</id>
    <repositories>${repository('repository')}</repositories>
    <pluginRepositories>${repository('pluginRepository')}</pluginRepositories>
  </profile></profiles>
  <activeProfiles><activeProfile>e</activeProfile></activeProfiles>
</settings>`,
      );
    });
    after(async () => {
      await world.close();
      for (const folder of [kept, keptFar]) await rm(folder, { recursive: true, force: true });
    });

    test('deploys a release and resolves it', async () => {
      await mvn(...deploy('all', '1.0', await jar('one'), `-Dsources=${await jar('sources of one')}`));
      const files = await world.server.filesBelow(`${world.key('local')}/${world.folder}/app`);
      assert.deepEqual(files, ['/1.0/app-1.0-sources.jar', '/1.0/app-1.0.jar', '/1.0/app-1.0.pom']);
      assert.equal(await resolve('app', '1.0'), 'one');
    });

    test('resolves ranges to the newest version that was deployed', async () => {
      for (const version of ['1.9', '1.10', '2.0']) await mvn(...deploy('all', version, await jar(`app ${version}`)));
      assert.equal(await resolve('app', '[1.0,2.0)'), 'app 1.10');
      assert.equal(await resolve('app', 'RELEASE'), 'app 2.0');
    });

    test('resolves what only the upstream has', async () => {
      assert.equal(await resolve('far', '[1,)', `far.${group}`), 'from far');
    });

    test('deploys snapshots, of which the newest is resolved', async () => {
      await mvn(...deploy('all', '3.0-SNAPSHOT', await jar('first snapshot')));
      assert.equal(await resolve('app', '3.0-SNAPSHOT'), 'first snapshot');
      await mvn(...deploy('all', '3.0-SNAPSHOT', await jar('second snapshot')));
      assert.equal(await resolve('app', '3.0-SNAPSHOT'), 'second snapshot');
      const metadata = await world.server.textOf(
        `${world.key('all')}/${world.folder}/app/3.0-SNAPSHOT/maven-metadata.xml`,
      );
      assert.match(metadata, /<buildNumber>2<\/buildNumber>/);
    });

    test('finds a plugin by its prefix', async () => {
      const api = `${mavenDownloads}/org/apache/maven/maven-plugin-api/3.9.9/maven-plugin-api-3.9.9.jar`;
      await mvn('-q', `${DEPENDENCY}:get`, '-Dartifact=org.apache.maven:maven-plugin-api:3.9.9');
      await writeFile(join(work, 'Say.java'), MOJO);
      await runCommand('javac', ['--release', '8', '-cp', api, '-d', work, join(work, 'Say.java')], LIMIT);
      const plugin = join(work, 'plugin.jar');
      const classes = await readFile(join(work, 'org/wonder/Say.class'));
      const archive = { 'META-INF/maven/plugin.xml': DESCRIPTOR(group), 'org/wonder/Say.class': classes };
      await writeFile(plugin, await zipOf(archive));
      const options = ['-DartifactId=wonder-maven-plugin', '-Dpackaging=maven-plugin'];
      await mvn(...deploy('all', '1.0', plugin, ...options).filter((arg) => arg !== '-DartifactId=app'));
      await rm(kept, { recursive: true, force: true });
      const { stdout } = await mvn('marvel:say');
      assert.match(stdout, /a marvel was said/);
    });

    test('says why the server refuses', async () => {
      const snapshot = await fails(...deploy('releases', '1-SNAPSHOT', await jar('refused')));
      assert.match(snapshot, /409/);
      // Maven 4 reads nothing but the status of the answer to an upload.
      const isTold = name !== 'maven4';
      if (isTold) assert.match(snapshot, /snapshot release handling policy/);
      const text = await fails(
        ...deploy('all', '1.0', await jar('stranger')).map((arg) => arg.replace('=entrepot', '=stranger')),
      );
      assert.match(text, /401|[Uu]nauthorized|[Nn]ot authorized|too many authentication attempts/);
      const pom = join(work, 'other.xml');
      await writeFile(pom, makePom({ group, artifact: 'other', version: '7' }));
      const inconsistent = await fails(...deploy('all', '8', await jar('inconsistent'), `-DpomFile=${pom}`));
      assert.match(inconsistent, /409/);
      if (isTold) assert.match(inconsistent, /artifactId is "other"|version is "7"/);
    });
  });
}
