/**
 * Real applications of Spring Boot, built with what the repository has that Maven and Gradle themselves ask: directly,
 * and through a virtual repository over a remote one, cold and warm.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Client, clientSuite } from './client-suite.ts';
import { runCommand } from './command.ts';
import { ServerFacts } from './server-facts.ts';

const LIMIT = { timeoutMs: 9 * 60_000 };
/** What clients print when it is the network that fails. */
const UNREACHABLE =
  /Unknown host|UnknownHost|Connect|timed out|Could not (transfer|resolve|GET|HEAD)|status code: 5\d\d/i;
const MAIN = `package org.wonder;
@org.springframework.boot.autoconfigure.SpringBootApplication
public class Shop {
  public static void main(String[] args) { org.springframework.boot.SpringApplication.run(Shop.class, args); }
}
`;

/** Where the client looks by itself, or the repository that it is given instead. */
type From = { readonly url: string; readonly username: string; readonly password: string } | undefined;

interface Tool {
  readonly packageType: string;
  /** The jar that is built, below the project. */
  readonly built: string;
  /** Writes the project, and answers how it is built with nothing of earlier builds. */
  prepare(project: string, cache: string, from: From): Promise<readonly string[]>;
  /** What a file in the cache of the client is called, whatever its bytes; undefined for what notes where it came from. */
  nameOf(path: string): string | undefined;
}

const maven: Tool = {
  packageType: 'maven',
  built: 'target/shop-1.0.jar',
  async prepare(project, cache, from) {
    await writeFile(
      join(project, 'pom.xml'),
      `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <parent>
    <groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-parent</artifactId><version>3.5.0</version><relativePath/>
  </parent>
  <groupId>org.wonder</groupId><artifactId>shop</artifactId><version>1.0</version>
  <dependencies>
    <dependency><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-web</artifactId></dependency>
  </dependencies>
  <build><plugins>
    <plugin><groupId>org.springframework.boot</groupId><artifactId>spring-boot-maven-plugin</artifactId></plugin>
  </plugins></build>
</project>
`,
    );
    const options = ['-B', '-f', join(project, 'pom.xml'), `-Dmaven.repo.local=${cache}`];
    if (!from) return [...options, 'package'];
    const settings = join(project, 'settings.xml');
    await writeFile(
      settings,
      `<settings>
  <mirrors><mirror><id>entrepot</id><mirrorOf>*</mirrorOf><url>${from.url}</url></mirror></mirrors>
  <servers><server><id>entrepot</id><username>${from.username}</username><password>${from.password}</password></server></servers>
</settings>
`,
    );
    return [...options, '-s', settings, 'package'];
  },
  nameOf: (path) =>
    /(^|\/)(_remote\.repositories|resolver-status\.properties|[^/]*\.lastUpdated|maven-metadata-[^/]*)$/.test(path)
      ? undefined
      : path,
};

const gradle: Tool = {
  packageType: 'gradle',
  built: 'build/libs/shop.jar',
  async prepare(project, cache, from) {
    const { url, username, password } = from ?? {};
    const repository = from
      ? `maven { url '${url}'; credentials { username '${username}'; password '${password}' } }`
      : 'mavenCentral()';
    await writeFile(join(project, 'settings.gradle'), "rootProject.name = 'shop'\n");
    // The last one that this Gradle can run.
    await writeFile(
      join(project, 'build.gradle'),
      `buildscript {
  repositories { ${repository} }
  dependencies { classpath 'org.springframework.boot:spring-boot-gradle-plugin:2.1.18.RELEASE' }
}
apply plugin: 'java'
apply plugin: 'org.springframework.boot'
apply plugin: 'io.spring.dependency-management'
repositories { ${repository} }
dependencies { implementation 'org.springframework.boot:spring-boot-starter-web' }
`,
    );
    return ['--no-daemon', '-g', cache, '-p', project, 'bootJar'];
  },
  // Below a folder named by the SHA-1 of the file.
  nameOf: (path) => /^caches\/modules-2\/files-2\.1\/(.+)\/[0-9a-f]+\/([^/]+)$/.exec(path)?.slice(1).join('/'),
};

for (const [name, tool] of [
  ['maven39', maven],
  ['gradle', gradle],
] as const) {
  clientSuite(name, (client) => {
    const server = new ServerFacts(client.target);
    const key = `boot-${randomBytes(3).toString('hex')}`;
    const remote = `${key}-remote`;
    const { username, password } = client.target;
    const from = { url: `${server.root}/${key}`, username, password };
    const { packageType } = tool;
    let direct: Built;
    let cold: Built;
    let reason: string | undefined;

    before(async () => {
      try {
        direct = await build(client, tool, 'direct', undefined);
      } catch (error) {
        if (!UNREACHABLE.test(String(error))) throw error;
        reason = 'what it asks by default cannot be reached from here';
        return;
      }
      const [, url] = /Download(?:ing from \S+)? (\S+)\/org\/springframework\/boot\//.exec(direct.printed) ?? [];
      assert.ok(url, 'the client names what it asks');
      await server.createRepository(remote, { packageType, rclass: 'remote', url });
      await server.createRepository(key, { packageType, rclass: 'virtual', repositories: [remote] });
    });
    after(() => server.deleteRepositories(key, remote));

    test('builds an application of Spring Boot from what it asks by default, cold', async (t) => {
      if (reason !== undefined) return t.skip(reason);
      cold = await build(client, tool, 'cold', from);
      assert.deepEqual([...cold.files.keys()].sort(), [...direct.files.keys()].sort());
      for (const [file, { sha1, path }] of direct.files) {
        if (cold.files.get(file)?.sha1 === sha1) continue;
        // Virtual repositories take references to other repositories out of POMs.
        assert.match(await readFile(path.replace(/\.sha1$/, ''), 'utf8'), /<(plugin)?repositories>/i, file);
      }
      t.diagnostic(`${direct.files.size} files; directly ${direct.seconds} s, through the server ${cold.seconds} s`);
    });

    test('builds it again with nothing kept, while the upstream is switched off', async (t) => {
      if (reason !== undefined) return t.skip(reason);
      const answer = await server.ask('POST', `api/repositories/${remote}`, { offline: true });
      assert.equal(answer.status, 200, await answer.text());
      const warm = await build(client, tool, 'warm', from);
      assert.deepEqual(
        [...warm.files].map(([file, { sha1 }]) => `${sha1} ${file}`).sort(),
        [...cold.files].map(([file, { sha1 }]) => `${sha1} ${file}`).sort(),
      );
      t.diagnostic(`warm ${warm.seconds} s`);
    });
  });
}

interface Built {
  readonly printed: string;
  readonly seconds: number;
  /** What the client has fetched. */
  readonly files: ReadonlyMap<string, { readonly sha1: string; readonly path: string }>;
}

async function build(client: Client, tool: Tool, state: string, from: From): Promise<Built> {
  const project = join(client.folder, state);
  const cache = join(client.folder, `${state}-cache`);
  await mkdir(join(project, 'src/main/java/org/wonder'), { recursive: true });
  await writeFile(join(project, 'src/main/java/org/wonder/Shop.java'), MAIN);
  const args = await tool.prepare(project, cache, from);
  const { stdout, durationMs } = await client.run(args, { cwd: project, ...LIMIT });
  const { stdout: entries } = await runCommand('jar', ['tf', join(project, tool.built)]);
  assert.match(entries, /^BOOT-INF\/lib\/spring-web-/m);
  assert.match(entries, /^BOOT-INF\/classes\/org\/wonder\/Shop\.class$/m);
  const files = new Map<string, { sha1: string; path: string }>();
  for (const entry of await readdir(cache, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = tool.nameOf(path.slice(cache.length + 1));
    if (name === undefined) continue;
    const sha1 = createHash('sha1')
      .update(await readFile(path))
      .digest('hex');
    files.set(name, { sha1, path });
  }
  await rm(project, { recursive: true });
  return { printed: stdout, seconds: Math.round(durationMs / 1000), files };
}
