/** What a Maven repository is filled with by plain HTTP, and what must then be true of it, whoever serves it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { zipOf } from '../support/archives.ts';

/** Sends one request and answers its status and its body. */
export type Send = (
  method: string,
  path: string,
  body?: string | Uint8Array,
) => Promise<{ readonly status: number; readonly text: string }>;

/** One address below the repository, and what must be true of what is there. */
export interface MavenRead {
  readonly path: string;
  /** What it shows, for the name of a test. */
  readonly what: string;
  check(answer: { readonly status: number; readonly text: string }): void;
}

export interface Pom {
  readonly group: string;
  readonly artifact: string;
  readonly version: string;
  readonly packaging?: string;
  /** Further elements. */
  readonly more?: string;
}

export function makePom({ group, artifact, version, packaging = 'jar', more = '' }: Pom): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>${group}</groupId>
  <artifactId>${artifact}</artifactId>
  <version>${version}</version>
  <packaging>${packaging}</packaging>
  ${more}
</project>
`;
}

const REPOSITORIES =
  '<repositories><repository><id>else</id><url>http://else.example/</url></repository></repositories>';
const GROUP = 'com.sample';
const FOLDER = 'com/sample';
const TIMES = ['20260102.030405-1', '20260103.040506-2'];

/** Paths and bytes, in the order in which a client would send them. */
export async function mavenSamples(): Promise<readonly (readonly [path: string, body: string | Uint8Array])[]> {
  const files: [string, string | Uint8Array][] = [];
  for (const version of ['1.9', '1.10', '1.10-rc-1', '2.0-alpha-1']) {
    const at = `${FOLDER}/app/${version}/app-${version}`;
    files.push([`${at}.jar`, `app ${version}`]);
    files.push([`${at}.pom`, makePom({ group: GROUP, artifact: 'app', version })]);
  }
  files.push([`${FOLDER}/app/1.10/app-1.10-sources.jar`, 'sources of app 1.10']);
  for (const time of TIMES) {
    const at = `${FOLDER}/app/2.0-SNAPSHOT/app-2.0-${time}`;
    files.push([`${at}.jar`, `snapshot ${time}`]);
    files.push([`${at}.pom`, makePom({ group: GROUP, artifact: 'app', version: '2.0-SNAPSHOT' })]);
  }
  const plugin = `${FOLDER}/wonder-maven-plugin/1.0/wonder-maven-plugin-1.0`;
  const descriptor = '<plugin><name>Wonders</name><goalPrefix>marvel</goalPrefix></plugin>';
  files.push([`${plugin}.jar`, await zipOf({ 'META-INF/maven/plugin.xml': descriptor })]);
  const pluginPom = { group: GROUP, artifact: 'wonder-maven-plugin', version: '1.0', packaging: 'maven-plugin' };
  files.push([`${plugin}.pom`, makePom(pluginPom)]);
  const parent = { group: GROUP, artifact: 'parent', version: '1', packaging: 'pom', more: REPOSITORIES };
  files.push([`${FOLDER}/parent/1/parent-1.pom`, makePom(parent)]);
  return files;
}

/** Publishes the samples below an address such as `/artifactory/libs`. */
export async function publishMavenSamples(send: Send, base: string): Promise<void> {
  for (const [path, body] of await mavenSamples()) {
    const answer = await send('PUT', `${base}/${path}`, body);
    assert.equal(answer.status, 201, `${path}: ${answer.text}`);
    for (const algorithm of ['sha1', 'md5']) {
      const sum = await send('PUT', `${base}/${path}.${algorithm}`, hash(algorithm, body));
      assert.equal(sum.status, 201, sum.text);
    }
  }
}

/** What must be true of the samples through a local, a remote and a virtual repository alike. */
export async function mavenReads(): Promise<readonly MavenRead[]> {
  const reads: MavenRead[] = [];
  const ok = (path: string, what: string, check: (text: string) => void) => {
    reads.push({
      path,
      what,
      check({ status, text }) {
        assert.equal(status, 200, text);
        check(text);
      },
    });
  };
  for (const [path, body] of await mavenSamples()) {
    if (typeof body !== 'string') continue;
    // Virtual repositories take references to other repositories out of POMs.
    if (path.endsWith('parent-1.pom')) continue;
    ok(`${FOLDER}${path.slice(FOLDER.length)}`, `${path} as it was put`, (text) => assert.equal(text, body));
    for (const algorithm of ['sha512', 'sha256', 'sha1', 'md5']) {
      ok(`${path}.${algorithm}`, `${algorithm} of ${path}`, (text) => assert.equal(text, hash(algorithm, body)));
    }
  }
  ok(`${FOLDER}/app/maven-metadata.xml`, 'versions in their order', (text) => {
    assert.deepEqual(elements(text, 'version'), [
      '2.0-SNAPSHOT',
      '1.9',
      '1.10-rc-1',
      '1.10',
      '2.0-alpha-1',
      '2.0-SNAPSHOT',
    ]);
    assert.deepEqual(elements(text, 'latest'), ['2.0-SNAPSHOT']);
    assert.deepEqual(elements(text, 'release'), ['2.0-alpha-1']);
    assert.deepEqual(elements(text, 'groupId'), [GROUP]);
    assert.deepEqual(elements(text, 'artifactId'), ['app']);
    assert.match(elements(text, 'lastUpdated')[0] ?? '', /^\d{14}$/);
  });
  ok(`${FOLDER}/app/2.0-SNAPSHOT/maven-metadata.xml`, 'the newest snapshot', (text) => {
    assert.deepEqual(elements(text, 'timestamp'), ['20260103.040506']);
    assert.deepEqual(elements(text, 'buildNumber'), ['2']);
    assert.deepEqual(elements(text, 'extension').sort(), ['jar', 'pom']);
    assert.deepEqual(new Set(elements(text, 'value')), new Set(['2.0-20260103.040506-2']));
    assert.deepEqual(new Set(elements(text, 'updated')), new Set(['20260103040506']));
  });
  ok(`${FOLDER}/app/2.0-SNAPSHOT/app-2.0-SNAPSHOT.jar`, 'the newest by its plain name', (text) =>
    assert.equal(text, `snapshot ${TIMES[1]}`),
  );
  ok(`${FOLDER}/maven-metadata.xml`, 'the prefix of the plugin', (text) => {
    assert.deepEqual(elements(text, 'prefix'), ['marvel']);
    assert.deepEqual(elements(text, 'artifactId'), ['wonder-maven-plugin']);
    assert.deepEqual(elements(text, 'name'), ['Wonders']);
  });
  for (const path of [
    `${FOLDER}/none/maven-metadata.xml`,
    `${FOLDER}/app/3.0-SNAPSHOT/maven-metadata.xml`,
    `${FOLDER}/app/9/app-9.jar`,
    'archetype-catalog.xml',
  ]) {
    reads.push({ path, what: `${path} is not there`, check: ({ status }) => assert.equal(status, 404) });
  }
  return reads;
}

/** The texts of all elements of the name. */
export function elements(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, text]) => text ?? '');
}

export function hash(algorithm: string, body: string | Uint8Array): string {
  return createHash(algorithm).update(body).digest('hex');
}
