import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  builtInLayouts,
  compileLayout,
  defaultLayoutOf,
  type Layout,
  type LayoutDefinition,
  layoutOf,
  parseLayoutPath,
  renderLayoutPath,
} from './layouts.ts';
import { PACKAGE_TYPES } from './package-types.ts';

const builtIn = (name: string): Layout => {
  const layout = layoutOf(name);
  assert.ok(layout, name);
  return layout;
};

const OWN: LayoutDefinition = {
  name: 'own',
  artifactPathPattern: '[org]/[module]/[module]-[baseRev].[ext]',
  distinctiveDescriptorPathPattern: false,
  folderIntegrationRevisionRegExp: '.*',
  fileIntegrationRevisionRegExp: '.*',
};

/** Layout, path, and what it says: the known tokens in the order org, module, baseRev, ext, and the others by name. */
const PATHS: readonly (readonly [string, string, Readonly<Record<string, unknown>>])[] = [
  [
    'maven-2-default',
    'org/apache/commons/commons-lang3/3.12.0/commons-lang3-3.12.0.jar',
    { org: 'org.apache.commons', module: 'commons-lang3', baseRev: '3.12.0', ext: 'jar' },
  ],
  [
    'maven-2-default',
    'junit/junit/4.13/junit-4.13-sources.jar',
    { org: 'junit', module: 'junit', baseRev: '4.13', classifier: 'sources', ext: 'jar' },
  ],
  [
    'maven-2-default',
    'com/acme/app/1.0-SNAPSHOT/app-1.0-20260102.030405-7.jar',
    {
      org: 'com.acme',
      module: 'app',
      baseRev: '1.0',
      folderItegRev: 'SNAPSHOT',
      fileItegRev: '20260102.030405-7',
      ext: 'jar',
      integration: true,
    },
  ],
  [
    'maven-2-default',
    'com/acme/app/1.0-SNAPSHOT/app-1.0-SNAPSHOT-tests.tar.gz',
    {
      org: 'com.acme',
      module: 'app',
      baseRev: '1.0',
      folderItegRev: 'SNAPSHOT',
      fileItegRev: 'SNAPSHOT',
      classifier: 'tests',
      ext: 'tar.gz',
      integration: true,
    },
  ],
  [
    'maven-2-default',
    'com/acme/app/1.0-rc1/app-1.0-rc1.pom',
    { org: 'com.acme', module: 'app', baseRev: '1.0-rc1', ext: 'pom', descriptor: true },
  ],
  [
    'maven-2-default',
    'io/netty/netty/4.1.0.Final/netty-4.1.0.Final-linux-x86_64.jar',
    { org: 'io.netty', module: 'netty', baseRev: '4.1.0.Final', classifier: 'linux-x86_64', ext: 'jar' },
  ],
  ['maven-2-default', 'a/b/1/b-1.7z', { org: 'a', module: 'b', baseRev: '1', ext: '7z' }],
  [
    'ivy-default',
    'org.acme/tool/2.1/jars/tool-2.1.jar',
    { org: 'org.acme', module: 'tool', baseRev: '2.1', type: 'jar', ext: 'jar' },
  ],
  [
    'ivy-default',
    'org.acme/tool/2.1/ivys/ivy-2.1.xml',
    { org: 'org.acme', module: 'tool', baseRev: '2.1', type: 'ivy', ext: 'xml', descriptor: true },
  ],
  [
    'gradle-default',
    'org.acme/tool/2.1-20260102030405/tool-2.1-20260102030405.jar',
    {
      org: 'org.acme',
      module: 'tool',
      baseRev: '2.1',
      folderItegRev: '20260102030405',
      fileItegRev: '20260102030405',
      ext: 'jar',
      integration: true,
    },
  ],
  [
    'maven-1-default',
    'acme/jars/left-side-1.2.jar',
    { org: 'acme', type: 'jar', module: 'left-side', baseRev: '1.2', ext: 'jar' },
  ],
  ['npm-default', 'left-pad/-/left-pad-1.3.0.tgz', { org: 'left-pad', module: 'left-pad', baseRev: '1.3.0' }],
  [
    'npm-default',
    '@babel/core/-/core-7.0.0-beta.4.tgz',
    { org: '@babel.core', module: 'core', baseRev: '7.0.0', fileItegRev: 'beta.4', integration: true },
  ],
  ['nuget-default', 'a/Json/Json.13.0.1.nupkg', { org: 'a', module: 'Json', baseRev: '13.0.1' }],
  [
    'go-default',
    'github.com/pkg/errors/@v/v0.9.1.zip',
    { org: 'github.com.pkg', module: 'errors', baseRev: '0.9.1', ext: 'zip' },
  ],
  [
    'composer-default',
    'monolog/monolog/monolog-2.0.0.zip',
    { org: 'monolog', module: 'monolog', baseRev: '2.0.0', ext: 'zip' },
  ],
  [
    'simple-default',
    'com/acme/tool/tool-1.2.3.tar.gz',
    { org: 'com.acme', module: 'tool', baseRev: '1.2.3', ext: 'tar.gz' },
  ],
  ['cargo-default', 'crates/serde/serde-1.0.200.crate', { module: 'serde', baseRev: '1.0.200', ext: 'crate' }],
  [
    'sbt-default',
    'org.acme/lib_2.13/scala_2.13/sbt_1.0/0.3/jars/lib_2.13-sources.jar',
    {
      org: 'org.acme',
      module: 'lib_2.13',
      baseRev: '0.3',
      type: 'jar',
      classifier: 'sources',
      ext: 'jar',
      custom: { scalaVersion: '2.13', sbtVersion: '1.0' },
    },
  ],
  [
    'conan-default',
    'acme/zlib/1.3/stable/0/package/abc/0/conan_package.tgz',
    {
      org: 'acme',
      module: 'zlib',
      baseRev: '1.3',
      folderItegRev: '0',
      fileItegRev: '0',
      custom: { channel: 'stable', package_id: 'abc', remainder: 'conan_package.tgz' },
      integration: true,
    },
  ],
  ['puppet-default', 'acme/ntp/acme-ntp-1.0.0.tar.gz', { org: 'acme', module: 'ntp', baseRev: '1.0.0' }],
  [
    'vcs-default',
    'acme/tool/tags/1.0/tool-1.0.zip',
    { org: 'acme', module: 'tool', baseRev: '1.0', ext: 'zip', custom: { refs: 'tags' } },
  ],
  [
    'terraform-module-default',
    'acme/vpc/aws/1.2.3.zip',
    { ext: 'zip', custom: { namespace: 'acme', 'module-name': 'vpc', provider: 'aws', version: '1.2.3' } },
  ],
  [
    'terraform-provider-default',
    'acme/cloud/1.0.0/terraform-provider-cloud_1.0.0_linux_amd64.zip',
    {
      ext: 'zip',
      custom: { namespace: 'acme', 'provider-name': 'cloud', version: '1.0.0', os: 'linux', arch: 'amd64' },
    },
  ],
  ['swift-default', 'acme/Kit/Kit-1.0.0.zip', { custom: { scope: 'acme', name: 'Kit', version: '1.0.0' } }],
  [
    'ansible-default',
    'collections/acme/net/1.0.0/acme-net-1.0.0.tar.gz',
    { custom: { namespace: 'acme', name: 'net', version: '1.0.0' } },
  ],
];

test('paths say what their layouts read from them, and are written again from it', () => {
  for (const [name, path, said] of PATHS) {
    const layout = builtIn(name);
    const found = parseLayoutPath(layout, path);
    assert.deepEqual(
      found && { ...found },
      { custom: {}, integration: false, descriptor: false, ...said },
      `${name}: ${path}`,
    );
    // A dot in a folder of the organization cannot be told from the slash between two.
    if (path.startsWith('github.com/')) continue;
    assert.equal(renderLayoutPath(layout, found ?? {}, { descriptor: found?.descriptor === true }), path);
  }
});

test('paths of another form say nothing', () => {
  for (const [name, path] of [
    ['maven-2-default', 'a/b/1.0/c-1.0.jar'],
    ['maven-2-default', 'a/b/1.0/b-2.0.jar'],
    ['maven-2-default', 'a/b/maven-metadata.xml'],
    ['maven-2-default', ''],
    ['simple-default', 'file.txt'],
    ['npm-default', 'left-pad/left-pad-1.0.0.tgz'],
    ['swift-default', 'acme/Kit/Other-1.0.0.zip'],
    ['terraform-provider-default', 'acme/cloud/1.0.0/terraform-provider-cloud_2.0.0_linux_amd64.zip'],
  ] as const) {
    assert.equal(parseLayoutPath(builtIn(name), path), undefined, `${name}: ${path}`);
  }
});

test('a path is written only where every token it needs is there', () => {
  const maven = builtIn('maven-2-default');
  const tokens = { org: 'com.acme', module: 'app', baseRev: '1.0' };
  assert.equal(renderLayoutPath(maven, tokens), undefined);
  assert.equal(renderLayoutPath(maven, { ...tokens, ext: 'jar' }), 'com/acme/app/1.0/app-1.0.jar');
  assert.equal(
    renderLayoutPath(maven, { ...tokens, folderItegRev: 'SNAPSHOT', fileItegRev: 'SNAPSHOT', ext: 'jar' }),
    'com/acme/app/1.0-SNAPSHOT/app-1.0-SNAPSHOT.jar',
  );
  assert.equal(renderLayoutPath(maven, tokens, { descriptor: true }), 'com/acme/app/1.0/app-1.0.pom');
});

test('every package type has a layout that is there', () => {
  for (const { name } of PACKAGE_TYPES) assert.ok(layoutOf(defaultLayoutOf(name)), name);
  assert.equal(defaultLayoutOf('terraform', { terraformType: 'PROVIDER' }), 'terraform-provider-default');
  assert.equal(defaultLayoutOf('terraform', { rclass: 'virtual' }), 'simple-default');
  assert.equal(builtInLayouts().length, 26);
});

test('an administrator’s own layout goes before the built-in one of its name', () => {
  const own = compileLayout({ ...OWN, name: 'simple-default' });
  assert.equal(layoutOf('simple-default', new Map([['simple-default', own]])), own);
  assert.equal(layoutOf('nowhere'), undefined);
});

test('patterns and expressions that cannot be read, or could be slow, are refused', () => {
  for (const artifactPathPattern of [
    '',
    'no/token',
    '[module',
    '[module]]',
    '([module]',
    '[module])',
    '(((((([module]))))))',
    '[]',
    '[a b]',
    '../[module]',
    '[m<(a+)+>]',
    '[m<(>]',
    '[m<[a>]',
    '[module]\u0000',
    `[module]${'x'.repeat(500)}`,
    '[a]'.repeat(31),
  ]) {
    assert.throws(() => compileLayout({ ...OWN, artifactPathPattern }), { code: 'invalid' }, artifactPathPattern);
  }
  for (const fileIntegrationRevisionRegExp of [
    '[',
    '((((a+)+)+)+',
    '(a+)+',
    '(a|b|ab)*',
    '(?=a)',
    '(?<x>a)',
    '\\1',
    '\\b',
    'a{2,1}',
    'a{200}',
    'a**',
    '*a',
    'a|*',
    'x^',
    'a'.repeat(301),
  ]) {
    assert.throws(
      () => compileLayout({ ...OWN, fileIntegrationRevisionRegExp }),
      { code: 'invalid' },
      fileIntegrationRevisionRegExp,
    );
  }
});

test('expressions mean what they mean elsewhere', () => {
  for (const [expression, yes, no] of [
    ['\\d{14}', ['20260102030405'], ['2026010203040', 'x']],
    ['SNAPSHOT|(?:(?:[0-9]{8}.[0-9]{6})-(?:[0-9]+))', ['SNAPSHOT', '20260102.030405-12'], ['SNAP', '2026-1']],
    ['[^/]+', ['a.b'], ['a/b', '']],
    ['(ab){2,3}c?', ['abab', 'abababc'], ['ab', 'abababab', 'ababcc']],
    ['^v[\\w.-]+$', ['v1.0-rc_1'], ['1.0', 'v']],
    ['a(?:-\\d+)?b', ['ab', 'a-12b'], ['a-b']],
    ['[a-c\\]]{1,2}', ['a', ']c'], ['d', 'abc']],
    ['.*?x', ['x', 'aax'], ['', 'xa']],
    ['a\\.b', ['a.b'], ['aXb']],
  ] as const) {
    const layout = compileLayout({ ...OWN, artifactPathPattern: `<[whole<${expression}>]>` });
    for (const text of yes) assert.ok(parseLayoutPath(layout, `<${text}>`), `${expression} takes ${text}`);
    for (const text of no) assert.equal(parseLayoutPath(layout, `<${text}>`), undefined, `${expression}: ${text}`);
  }
});

test('no layout is slow, whatever the path', () => {
  const slow = compileLayout({ ...OWN, artifactPathPattern: '[a][b][c][d][e][f][g][h][i][j]/[module]/end' });
  const slower = compileLayout({ ...OWN, artifactPathPattern: '[a<.*>][b<.*>][c<.*>][d<.*>][e<.*>][f<.*>][g<.*>]!' });
  const paths = [
    'a-'.repeat(1000),
    'a/'.repeat(1000),
    '1.'.repeat(1000),
    `${'a'.repeat(250)}/`.repeat(8),
    '-'.repeat(2048),
  ];
  const layouts = [slow, slower, ...builtInLayouts().map((name) => builtIn(name))];
  const startedAt = performance.now();
  let count = 0;
  for (const layout of layouts) {
    for (const path of paths) {
      parseLayoutPath(layout, path);
      count += 1;
    }
  }
  const each = (performance.now() - startedAt) / count;
  assert.ok(each < 25, `a path took ${each.toFixed(1)} ms on average`);
});
