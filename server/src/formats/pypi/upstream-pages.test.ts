import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RepoPath } from '../../core/ids.ts';
import type { RemoteFacts } from '../../core/remote.ts';
import { Rendered } from '../../lib/rendered.ts';
import { projectKind, rootKind } from './documents.ts';
import type { Project } from './project.ts';
import { projectFetch, remoteRules, rootFetch } from './remote.ts';
import { JSON_TYPE, renderProject, TEXT_HTML } from './simple.ts';
import { parseProject, parseProjectList } from './upstream-pages.ts';

const PAGE = new URL('https://index.example/simple/foo/');
const HEX = 'ab'.repeat(32);
const FILE = 'https://files.example/packages/ab/cd/ef/foo-1.0-py3-none-any.whl';
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const page = (...anchors: string[]) => Buffer.from(`<!DOCTYPE html><html><body>${anchors.join('<br>')}</body></html>`);
const only = (project: Project) => {
  assert.equal(project.files.length, 1);
  return project.files[0]!;
};

const LISTED = {
  filename: 'foo-1.0-py3-none-any.whl',
  url: FILE,
  hashes: { sha256: HEX, odd: 'xyz' },
  'requires-python': '>=3.8',
  size: 12,
  'upload-time': '2024-01-02T03:04:05.678901Z',
  yanked: 'bad',
  'core-metadata': { sha256: HEX },
  provenance: 'https://index.example/integrity/foo/1.0/foo-1.0-py3-none-any.whl/provenance',
};

test('a project is read from JSON', () => {
  const status = { status: 'archived', reason: 'over' };
  const body = { meta: {}, name: 'foo', 'project-status': status, versions: ['0.9', '1.0'], files: [LISTED] };
  const project = parseProject(json(body), 'foo', PAGE);
  assert.deepEqual(project, {
    name: 'foo',
    versions: ['0.9', '1.0'],
    status,
    files: [
      {
        filename: LISTED.filename,
        path: 'packages/ab/cd/ef/foo-1.0-py3-none-any.whl',
        version: '1.0',
        hashes: { sha256: HEX },
        link: FILE,
        size: 12,
        uploadedAt: LISTED['upload-time'],
        requiresPython: '>=3.8',
        yanked: 'bad',
        metadata: HEX,
        attested: true,
        attestationLink: LISTED.provenance,
      },
    ],
  });
});

test('a project is read from a page', () => {
  const anchor = `<a href="../../packages/foo/1.0/foo-1.0.tar.gz#sha256=${HEX.toUpperCase()}" data-requires-python="&gt;=3.8" data-yanked="" data-gpg-sig="true">foo-1.0.tar.gz</a>`;
  const wheel = `<a href="../../packages/foo/1.0/foo-1.0-py3-none-any.whl" data-dist-info-metadata="sha256=${HEX}">x</a>`;
  const { files } = parseProject(page(anchor, wheel), 'foo', PAGE);
  const [first, second] = files;
  assert.deepEqual(
    [first?.path, first?.metadata, first?.hashes],
    ['packages/foo/1.0/foo-1.0-py3-none-any.whl', HEX, {}],
  );
  assert.deepEqual(
    [second?.hashes, second?.requiresPython, second?.yanked, second?.signed],
    [{ sha256: HEX }, '>=3.8', '', true],
  );
  assert.equal(second?.link, 'https://index.example/packages/foo/1.0/foo-1.0.tar.gz');
});

test('what is rendered reads the same again', async () => {
  const project = parseProject(
    json({
      files: [
        LISTED,
        { ...LISTED, filename: 'foo-2.0.tar.gz', url: '../../x/foo-2.0.tar.gz', yanked: true, 'core-metadata': true },
      ],
    }),
    'foo',
    PAGE,
  );
  const addresses = { files: '../../packages', absolute: 'https://here.example/api/pypi/r' };
  const here = new URL('https://here.example/api/pypi/r/simple/foo/');
  for (const type of [JSON_TYPE, TEXT_HTML]) {
    const again = parseProject((await Rendered.of(await renderProject(project, type, addresses))).bytes, 'foo', here);
    for (const [i, file] of again.files.entries()) {
      const { link, attestationLink, path, size, uploadedAt, ...rest } = file;
      const { link: _, attestationLink: __, path: before, size: ___, uploadedAt: ____, ...wanted } = project.files[i]!;
      assert.equal(path, `packages/${before}`);
      assert.deepEqual(rest, wanted, type);
    }
  }
});

test('links of every kind are kept apart, or left out', () => {
  const at = (url: string, filename = 'foo-1.0.tar.gz') =>
    parseProject(json({ files: [{ filename, url, hashes: {} }] }), 'foo', PAGE);
  assert.equal(only(at('https://elsewhere.example/dl/foo-1.0.tar.gz?x=1#frag')).path, 'dl/foo-1.0.tar.gz');
  assert.equal(only(at('//other.example/foo-1.0.tar.gz')).path, 'foo/_/foo-1.0.tar.gz');
  assert.equal(
    only(at('https://user:pass@elsewhere.example/a/foo-1.0.tar.gz')).link,
    'https://elsewhere.example/a/foo-1.0.tar.gz',
  );
  // Where dashes could divide the name in several ways, the folders of ours say which it is.
  assert.equal(only(at('https://x.example/a/foo-1.0-2.tar.gz', 'foo-1.0-2.tar.gz')).path, 'foo/_/foo-1.0-2.tar.gz');
  for (const [url, filename] of [
    ['javascript:alert(1)', 'foo-1.0.tar.gz'],
    ['data:text/plain,x', 'foo-1.0.tar.gz'],
    ['file:///etc/foo-1.0.tar.gz', 'foo-1.0.tar.gz'],
    ['https://x.example/a/bar-1.0.tar.gz', 'bar-1.0.tar.gz'],
    ['https://x.example/a/foo-1.0.exe', 'foo-1.0.exe'],
    ['https://x.example/a/../../x', '../../x'],
    ['http://[bad', 'foo-1.0.tar.gz'],
  ] as const) {
    assert.equal(at(url, filename).files.length, 0, url);
  }
  const twice = parseProject(
    json({
      files: [
        { filename: 'foo-1.0.tar.gz', url: 'https://a.example/p/foo-1.0.tar.gz' },
        { filename: 'foo-1.0.tar.gz', url: 'https://b.example/p/foo-1.0.tar.gz' },
      ],
    }),
    'foo',
    PAGE,
  );
  assert.equal(only(twice).link, 'https://a.example/p/foo-1.0.tar.gz');
  const below = new URL('https://host.example/artifactory/api/pypi/up/simple/foo/');
  const relative = parseProject(page('<a href="../../packages/foo/1.0/foo-1.0.tar.gz">foo</a>'), 'foo', below);
  assert.equal(only(relative).path, 'packages/foo/1.0/foo-1.0.tar.gz');
  const moved = Buffer.from(
    '<html><head><base href="https://cdn.example/deep/"></head><a href="foo-1.0.tar.gz">x</a></html>',
  );
  assert.equal(only(parseProject(moved, 'foo', PAGE)).link, 'https://cdn.example/deep/foo-1.0.tar.gz');
});

test('what is no index is refused', () => {
  for (const text of ['', 'what', '{', '{}', '{"files": 1}', '{"message": "Forbidden"}', '[]']) {
    assert.throws(() => parseProject(Buffer.from(text), 'foo', PAGE), { code: 'invalid' }, text);
  }
  const odd = {
    files: [
      null,
      1,
      {},
      { filename: 1 },
      { filename: 'foo-1.0.tar.gz', url: 'https://x.example/foo/foo-1.0.tar.gz', hashes: null, size: -1, yanked: 7 },
    ],
  };
  const { hashes, attested } = only(parseProject(json(odd), 'foo', PAGE));
  assert.deepEqual([hashes, attested], [{}, undefined]);
});

test('the list of projects is read from both', () => {
  const projects = [{ name: 'B.b' }, { name: 'a' }, { name: 'b-b' }, { name: '<x>' }, {}];
  assert.deepEqual(parseProjectList(json({ projects })), { names: ['a', 'b-b'] });
  assert.deepEqual(parseProjectList(page('<a href="/simple/b/">B</a>', '<a href="a/">a</a>')), { names: ['a', 'b'] });
});

const FACTS = (settings: object, url = 'https://files.example'): RemoteFacts => ({
  key: 'py-remote' as RemoteFacts['key'],
  packageType: 'pypi',
  url: new URL(url),
  settings: settings as Record<string, unknown>,
});

test('the index is asked where the settings say', () => {
  for (const [settings, url, wanted] of [
    [
      { pyPIRegistryUrl: 'https://index.example', pyPIRepositorySuffix: 'simple' },
      undefined,
      'https://index.example/simple/foo/',
    ],
    [
      { pyPIRegistryUrl: 'https://index.example/root/', pyPIRepositorySuffix: '+simple' },
      undefined,
      'https://index.example/root/+simple/foo/',
    ],
    [{ pyPIRegistryUrl: '' }, 'https://host.example/api/pypi/r/', 'https://host.example/api/pypi/r/simple/foo/'],
  ] as const) {
    const fetch = projectFetch('foo', FACTS(settings, url));
    assert.equal(fetch.ask.link?.href, wanted);
    assert.equal(rootFetch(FACTS(settings, url)).ask.link?.href, wanted.replace('foo/', ''));
    assert.match(fetch.path, /^\.pypi\//);
  }
});

test('files are asked where the page of their project says, for the bytes that it says', () => {
  const project = parseProject(json({ files: [LISTED] }), 'foo', PAGE);
  const ask = (path: string) => {
    const fetch = remoteRules.fetch({ path: path as RepoPath }, FACTS({}));
    const found = fetch?.listed?.find(project as never);
    return (
      fetch && { name: fetch.listed?.name, mutable: fetch.mutable, link: found?.link?.href, digest: found?.digest?.hex }
    );
  };
  const path = 'packages/ab/cd/ef/foo-1.0-py3-none-any.whl';
  assert.deepEqual(ask(path), { name: 'foo', mutable: false, link: FILE, digest: HEX });
  assert.deepEqual(ask(`${path}.metadata`), { name: 'foo', mutable: false, link: `${FILE}.metadata`, digest: HEX });
  assert.equal(ask(`${path}.provenance`)?.link, LISTED.provenance);
  assert.equal(ask(`${path}.asc`)?.link, undefined);
  assert.equal(ask('packages/other/foo-1.0-py3-none-any.whl')?.link, undefined);
  assert.equal(ask('any/file.txt'), undefined);
  assert.equal(ask('.pypi/foo/foo.html'), undefined);
});

test('of several indexes the first to name a file has it', async () => {
  const of = (host: string, ...names: string[]) =>
    parseProject(
      json({
        versions: ['0.1'],
        files: names.map((filename) => ({ filename, url: `https://${host}.example/p/${filename}`, hashes: {} })),
      }),
      'foo',
      PAGE,
    );
  const merged = await projectKind.merge([of('a', 'foo-1.0.tar.gz'), of('b', 'foo-2.0.tar.gz', 'foo-1.0.tar.gz')]);
  assert.deepEqual(
    merged.files.map(({ link }) => link),
    ['https://a.example/p/foo-1.0.tar.gz', 'https://b.example/p/foo-2.0.tar.gz'],
  );
  assert.deepEqual(merged.versions, ['0.1', '1.0', '2.0']);
  assert.deepEqual(await rootKind.merge([{ names: ['b'] }, { names: ['a', 'b'] }]), { names: ['a', 'b'] });
});

test('what may not be seen is left out', async () => {
  const project = parseProject(
    json({
      files: [LISTED, { ...LISTED, filename: 'foo-2.0.tar.gz', url: 'https://x.example/secret/foo-2.0.tar.gz' }],
    }),
    'foo',
    PAGE,
  );
  const seen = await projectKind.filter(project, (path) => !path.startsWith('secret/'));
  assert.deepEqual([seen?.files.length, seen?.versions], [1, ['1.0']]);
  assert.equal(
    projectKind.filter(project, () => false),
    undefined,
  );
});
