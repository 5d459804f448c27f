import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rendered } from '../../lib/rendered.ts';
import { type MavenMetadata, metadataKind } from './metadata.ts';

const BASE = new URL('http://upstream.example/');
const parse = async (name: string, xml: string | Buffer) =>
  (await metadataKind.parse?.(Buffer.from(xml), {
    name,
    base: BASE,
    mediaType: 'text/xml',
    settings: {},
  })) as MavenMetadata;
const render = (doc: MavenMetadata) =>
  metadataKind.render(doc, { base: 'http://here.example', path: metadataKind.path(doc.folder) });
const text = async (doc: MavenMetadata) => (await Rendered.of(await render(doc))).bytes.toString();

const VERSIONS = (...versions: string[]) =>
  `<metadata xmlns="http://maven.apache.org/METADATA/1.1.0" modelVersion="1.1.0"><unknown><deep/></unknown><versioning><latest>lies</latest><versions>${versions.map((v) => `<version>${v}</version>`).join('')}</versions><lastUpdated>20260102030405</lastUpdated></versioning></metadata>`;

test('what an upstream says is read whatever else it says', async () => {
  const doc = await parse('org/x', VERSIONS('1.10', '1.9', '../../evil', 'a b', '1.9'));
  assert.deepEqual(
    doc.versions.map(({ version }) => version),
    ['1.9', '1.10'],
  );
  assert.equal(doc.updated, '20260102030405');
});

test('what is no metadata is refused in a sentence', async () => {
  for (const xml of ['', '<html><body>Sign in</body></html>', 'not found', '<!DOCTYPE a><metadata/>', '<metadata>']) {
    await assert.rejects(parse('org/x', xml), { code: 'invalid', message: /^This is no Maven metadata: / });
  }
});

test('snapshots of upstreams that name only the newest are read', async () => {
  const doc = await parse(
    'org/x/1-SNAPSHOT',
    '<metadata><versioning><snapshot><timestamp>20260102.030405</timestamp><buildNumber>7</buildNumber></snapshot></versioning></metadata>',
  );
  assert.deepEqual(
    doc.files.map(({ path }) => path),
    ['org/x/1-SNAPSHOT/x-1-20260102.030405-7.jar', 'org/x/1-SNAPSHOT/x-1-20260102.030405-7.pom'],
  );
});

test('documents are merged as Maven does it, in its order', async () => {
  const merged = await metadataKind.merge([
    await parse('org/x', VERSIONS('1.0', '2.0-SNAPSHOT')),
    await parse('org/x', VERSIONS('1.0', '1.5', '0.9').replace('20260102030405', '20270102030405')),
    await parse(
      'org/x',
      '<metadata><plugins><plugin><prefix>p</prefix><artifactId>a</artifactId></plugin></plugins></metadata>',
    ),
    await parse(
      'org/x',
      '<metadata><plugins><plugin><prefix>p</prefix><artifactId>b</artifactId></plugin></plugins></metadata>',
    ),
  ]);
  const xml = await text(merged);
  assert.match(xml, /<latest>2.0-SNAPSHOT<\/latest>\s*<release>1.5<\/release>/);
  assert.match(xml, /<version>0.9<\/version>\s*<version>1.0<\/version>\s*<version>1.5<\/version>/);
  assert.match(xml, /<lastUpdated>20270102030405<\/lastUpdated>/);
  assert.match(xml, /<artifactId>a<\/artifactId>/);
  assert.doesNotMatch(xml, /<artifactId>b<\/artifactId>/);
  // What was rendered reads the same.
  assert.deepEqual((await parse('org/x', xml)).versions, merged.versions);
});

test('of two snapshots of the same time the greater build number is newer', async () => {
  const snapshot = (build: number) =>
    parse(
      'org/x/1-SNAPSHOT',
      `<metadata><versioning><snapshotVersions><snapshotVersion><extension>jar</extension><value>1-20260102.030405-${build}</value><updated>20260102030405</updated></snapshotVersion></snapshotVersions></versioning></metadata>`,
    );
  const xml = await text(await metadataKind.merge(await Promise.all([9, 10, 8].map(snapshot))));
  assert.match(xml, /<buildNumber>10<\/buildNumber>/);
  assert.doesNotMatch(xml, /030405-9|030405-8/);
});

test('only what lies at accepted paths is left', async () => {
  const doc = await parse('org/x', VERSIONS('1', '2'));
  const left = await metadataKind.filter(doc, (path) => path.startsWith('org/x/1/'));
  assert.deepEqual(
    left?.versions.map(({ version }) => version),
    ['1'],
  );
  assert.equal(
    metadataKind.filter(doc, () => false),
    undefined,
  );
});
