/** What versions say of themselves, read of their rows and files without a server: the odd and the hostile. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { shownPerson, shownReadme, shownText, webUrl } from '../../../src/core/described.ts';
import type { Format } from '../../../src/core/format.ts';
import type { RepoPath } from '../../../src/core/ids.ts';
import { type PackageView, versionOfRow } from '../../../src/core/package-view.ts';
import type { Asset, Content } from '../../../src/core/repository.ts';
import { defineFormats } from '../../../src/formats/index.ts';
import { describeMetadata } from '../../../src/formats/pypi/describe.ts';
import { parseMetadata } from '../../../src/formats/pypi/metadata.ts';
import { makeChart } from '../../formats/helm-samples.ts';
import { makePom } from '../../formats/maven-samples.ts';
import { makePackage } from '../../formats/npm-samples.ts';
import { wheelOf } from '../../formats/pypi-samples.ts';

const FORMATS = defineFormats({
  docker: { maxManifestBytes: 4_000_000, graceMs: 1000, catalogFromCache: false },
} as unknown as Parameters<typeof defineFormats>[0]);

function formatOf(type: string): Format & { readonly view: PackageView } {
  const format = FORMATS.find(({ packageTypes }) => packageTypes.includes(type));
  assert.ok(format?.view, type);
  return { ...format, view: format.view };
}

function contentOf(bytes: Buffer): Content {
  return {
    size: bytes.length,
    open: async (range) => Readable.from([range ? bytes.subarray(range.start, range.end + 1) : bytes]),
    pump: (range, write) => write(range ? bytes.subarray(range.start, range.end + 1) : bytes),
  };
}

/** The file read as a deposit is, then shown. */
async function shownOf(type: string, path: string, bytes: Buffer) {
  const { view, ingest } = formatOf(type);
  const content = contentOf(bytes);
  const found = await ingest?.({
    path: path as RepoPath,
    content,
    checksums: { sha256: '', sha1: '', md5: '' } as unknown as Parameters<
      NonNullable<Format['ingest']>
    >[0]['checksums'],
    settings: {},
    packageType: type,
    rclass: 'local',
  });
  assert.ok(found?.version, JSON.stringify(found));
  const { package: name, version, metadata } = found.version;
  const asset = { size: bytes.length, content } as Asset;
  return view.describe({
    package: name,
    version: versionOfRow(view, version) ?? '',
    packageType: type,
    rows: [{ row: version, path: path as RepoPath, metadata }],
    repo: { get: async () => asset, find: async () => undefined },
  });
}

describe('what strangers wrote', () => {
  test('is plain text within limits', () => {
    const cases: readonly (readonly [value: unknown, shown: string | undefined])[] = [
      [' a\u0000b\u001b[31m ', 'a b [31m'],
      ['line\nline', 'line\nline'],
      ['\ud800', '\ufffd'],
      ['', undefined],
      [7, undefined],
      [{ toString: () => 'x' }, undefined],
    ];
    for (const [value, shown] of cases) assert.equal(shownText(value), shown);
    assert.equal(shownText('x'.repeat(10_000))?.length, 4000);
  });

  test('links nowhere that a page must not lead to', () => {
    const bad = [
      'javascript:alert(1)',
      'data:text/html,x',
      'file:///etc/passwd',
      '//host/x',
      'https://user:secret@host/',
      `https://x.example/${'y'.repeat(2000)}`,
      ['https://x.example/'],
    ];
    for (const value of bad) assert.equal(webUrl(value), undefined, String(value));
    assert.equal(webUrl('https://x.example/a b'), 'https://x.example/a%20b');
  });

  test('names people in each of the forms', () => {
    assert.deepEqual(shownPerson('Ann <a@b.example> (https://ann.example)'), {
      name: 'Ann',
      email: 'a@b.example',
      url: 'https://ann.example/',
    });
    assert.deepEqual(shownPerson('<a@b.example>'), { name: 'a@b.example', email: 'a@b.example' });
    assert.deepEqual(shownPerson({ name: 'Ann', url: 'javascript:1' }), { name: 'Ann' });
    for (const value of ['', {}, null, 7, []]) assert.equal(shownPerson(value), undefined);
  });

  test('is a readme up to a size, of the type it is said to be', () => {
    const long = shownReadme('x'.repeat(300 * 1024), { name: 'README.rst' });
    assert.deepEqual([long?.text.length, long?.mediaType, long?.truncated], [256 * 1024, 'text/x-rst', true]);
    assert.equal(shownReadme('a', { type: 'text/markdown; charset=UTF-8; variant=GFM' })?.mediaType, 'text/markdown');
    assert.equal(shownReadme('a', { type: 'text/html' })?.mediaType, 'text/plain');
    assert.equal(shownReadme(' \n', { name: 'README.md' }), undefined);
  });
});

describe('what packages say of themselves', () => {
  test('npm: fields of other types than they should be are left out', async () => {
    const manifest = {
      description: { a: 1 },
      license: [{ type: 'MIT' }, 'ISC', 7],
      keywords: 'one, two',
      repository: 'ann/left',
      homepage: 'ftp://x.example',
      author: { name: 7 },
      contributors: 'Bob',
      dependencies: ['x'],
      peerDependencies: { react: { a: 1 } },
      engines: 'node 4',
      os: 'linux',
    };
    const made = await makePackage('odd', '1.0.0', { manifest });
    const shown = await shownOf('npm', 'odd/-/odd-1.0.0.tgz', made.tarball);
    assert.equal(shown.description, undefined);
    assert.deepEqual(shown.licenses, ['MIT', 'ISC']);
    assert.equal(shown.source, 'https://github.com/ann/left');
    assert.equal(shown.homepage, undefined);
    assert.deepEqual(shown.authors, [{ name: 'Bob' }]);
    assert.deepEqual(shown.dependencies, [{ name: 'react', range: '', scope: 'peer' }]);
  });

  test('Maven: a POM that cannot be read again is shown as its row has it', async () => {
    const { view } = formatOf('maven');
    const path = 'com/a/b/1/b-1.pom' as RepoPath;
    const bytes = Buffer.from('<!DOCTYPE a [<!ENTITY x "y">]><project>&x;</project>');
    const shown = await view.describe({
      package: 'com.a:b',
      version: '1',
      packageType: 'maven',
      rows: [{ row: '1', path, metadata: { pom: { packaging: 'jar', description: 'As it was' } } }],
      repo: {
        get: async () => ({ size: bytes.length, content: contentOf(bytes) }) as Asset,
        find: async () => undefined,
      },
    });
    assert.equal(shown.description, 'As it was');
    const plain = await shownOf('maven', path, Buffer.from(makePom({ group: 'com.a', artifact: 'b', version: '1' })));
    assert.deepEqual(plain.facts, [{ name: 'Packaging', value: 'jar' }]);
  });

  test('PyPI: licences, links and people in each of the forms of core metadata', () => {
    const shown = describeMetadata(
      parseMetadata(
        Buffer.from(
          [
            'Name: a',
            'Version: 1',
            'License: MIT License\n        with more',
            'Classifier: License :: OSI Approved :: BSD License',
            'Classifier: Development Status :: 5 - Production/Stable',
            'Project-URL: Issue Tracker, https://issues.example/',
            'Project-URL: Source, javascript:alert(1)',
            'Author-email: Ann <ann@a.example>, bob@b.example',
            'Requires-Dist: b>=1 ; python_version < "3.9"',
            'Requires-Dist: c [x] @ https://c.example/c.whl',
            '',
            'Title\n=====\n',
          ].join('\n'),
        ),
      ),
    );
    assert.deepEqual(shown.licenses, ['BSD License']);
    assert.deepEqual([shown.issues, shown.source], ['https://issues.example/', undefined]);
    assert.deepEqual(shown.authors, [
      { name: 'Ann', email: 'ann@a.example' },
      { name: 'bob@b.example', email: 'bob@b.example' },
    ]);
    assert.deepEqual(shown.dependencies, [
      { name: 'b', range: '>=1', scope: 'python_version < "3.9"' },
      { name: 'c[x]', range: '@ https://c.example/c.whl', scope: 'runtime' },
    ]);
    assert.equal(shown.readme?.mediaType, 'text/x-rst');
    assert.deepEqual(shown.facts, [{ name: 'Development status', value: 'Production/Stable' }]);
  });

  test('PyPI: what is no wheel any more is shown as its row has it', async () => {
    const { view } = formatOf('pypi');
    const sample = await wheelOf({ name: 'one' });
    const path = `one/1.0.0/${sample.filename}` as RepoPath;
    assert.equal((await shownOf('pypi', path, sample.bytes)).description, 'A sample');
    const broken = Buffer.from('no zip at all');
    const shown = await view.describe({
      package: 'one',
      version: '1.0.0',
      packageType: 'pypi',
      rows: [{ row: `1.0.0/${sample.filename}`, path, metadata: { kind: 'wheel', summary: 'Kept', yanked: '' } }],
      repo: {
        get: async () => ({ size: broken.length, content: contentOf(broken) }) as Asset,
        find: async () => undefined,
      },
    });
    assert.deepEqual([shown.description, shown.deprecated], ['Kept', '']);
  });

  test('Helm: a chart without a readme has none, and one whose archive is gone says what its row does', async () => {
    const chart = await makeChart({ lines: ['description: Kept', 'deprecated: true'] });
    const shown = await shownOf('helm', chart.filename, chart.bytes);
    assert.deepEqual([shown.description, shown.deprecated, shown.readme], ['Kept', '', undefined]);
  });

  test('rows read as versions, and versions come in the order of their format', () => {
    const rows: readonly (readonly [type: string, row: string, version: string | undefined])[] = [
      ['npm', '1.0.0', '1.0.0'],
      ['npm', '1.0.0/odd/place.tgz', '1.0.0'],
      ['pypi', '1.0/one-1.0.tar.gz', '1.0'],
      ['helm', '1.0.0/@/deep/a-1.0.0.tgz', '1.0.0'],
      ['helm', '@/a.tgz', undefined],
      ['maven', '1.0-20260102.030405-6/a.jar', '1.0-SNAPSHOT'],
      ['maven', '1.0/a.jar', '1.0'],
      ['docker', 'sha256:00', 'sha256:00'],
    ];
    for (const [type, row, version] of rows) assert.equal(versionOfRow(formatOf(type).view, row), version, row);
    const orders: Readonly<Record<string, readonly string[]>> = {
      npm: ['nonsense', '1.0.0-rc.1', '1.0.0', '1.2.0', '1.10.0'],
      pypi: ['nonsense', '1.0.dev1', '1.0a1', '1.0', '1.0.post1', '1.10'],
      helm: ['1.0.0-rc.1', '1.0.0', '1.2.0', '1.10.0'],
      maven: ['1.0-alpha-1', '1.0-SNAPSHOT', '1.0', '1.2', '1.10'],
    };
    for (const [type, versions] of Object.entries(orders)) {
      const { order } = formatOf(type).view;
      assert.ok(order);
      const sorted = versions.toReversed().sort((one, other) => order.compare(order.key(one), order.key(other)));
      assert.deepEqual(sorted, versions, type);
    }
  });
});
