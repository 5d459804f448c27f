import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RepoPath } from '../../core/ids.ts';
import { distributionAt, homeOf, normalizeName, parseFilename, releaseName, sameDistributionKey } from './names.ts';

test('spellings of a name are one', () => {
  for (const text of ['Foo.Bar', 'foo-bar', 'FOO__bar', 'foo-._-bar']) assert.equal(normalizeName(text), 'foo-bar');
  for (const text of ['', '-foo', 'foo.', 'a b', 'a/b', 'ü', 'x'.repeat(201)]) {
    assert.equal(normalizeName(text), undefined, text);
  }
});

test('names of files tell what they are', () => {
  for (const [filename, kind, project, version] of [
    ['foo_bar-1.0-py3-none-any.whl', 'wheel', 'foo-bar', '1.0'],
    ['Foo.Bar-1.0-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl', 'wheel', 'foo-bar', '1.0'],
    ['foo-1.0+ubuntu_1-py3-none-any.whl', 'wheel', 'foo', '1.0+ubuntu.1'],
    ['foo-bar-1.0.tar.gz', 'sdist', 'foo-bar', '1.0'],
    ['foo-2-1.0.tar.gz', 'sdist', 'foo-2', '1.0'],
    ['foo-1.0-beta.zip', 'sdist', 'foo', '1.0b0'],
    ['foo-1.0.tar.bz2', 'sdist', 'foo', '1.0'],
    ['foo-1.0-py2.7.egg', 'egg', 'foo', '1.0'],
  ] as const) {
    const found = parseFilename(filename);
    assert.deepEqual([found?.kind, found?.project, found?.version], [kind, project, version], filename);
  }
});

test('other names tell nothing', () => {
  for (const filename of [
    'a-1.0.exe',
    'foo.whl',
    'foo-1.0.whl',
    'foo-1.0-x-y-z-py3-none-any.whl',
    'foo-1.0-build-py3-none-any.whl',
    'foo-latest.tar.gz',
    'foo.tar.gz',
    '-1.0.tar.gz',
    'a/b-1.0.tar.gz',
    'a b-1.0.tar.gz',
    '..-1.0.tar.gz',
    `${'x'.repeat(300)}-1.0.tar.gz`,
  ]) {
    assert.equal(parseFilename(filename), undefined, filename);
  }
});

test('folders tell where a name could be divided in several ways', () => {
  const at = (path: string) => distributionAt(path as RepoPath);
  assert.deepEqual([at('foo-1.0-2.tar.gz')?.project, at('x/y/z/foo-1.0-2.tar.gz')?.project], ['foo-1-0', 'foo-1-0']);
  const { project, version } = at('foo/1.0.post2/foo-1.0-2.tar.gz')!;
  assert.deepEqual([project, version], ['foo', '1.0.post2']);
  assert.equal(at('fo/1.0/foo-1.0.tar.gz')?.project, 'foo');
  assert.equal(at('other/1.0/foo-1.0.tar.gz')?.project, 'foo');
});

test('a file has a row of its own wherever it lies', () => {
  const name = parseFilename('foo-1.0.tar.gz')!;
  assert.equal(releaseName(name, homeOf(name)), '1.0/foo-1.0.tar.gz');
  assert.equal(releaseName(name, 'foo-1.0.tar.gz' as RepoPath), '1.0/@/foo-1.0.tar.gz');
  assert.equal(releaseName(name, `${'x/'.repeat(600)}foo-1.0.tar.gz` as RepoPath), undefined);
});

test('spellings of a file are one', () => {
  const key = (filename: string) => sameDistributionKey(parseFilename(filename)!);
  assert.equal(key('Foo.Bar-1.0.tar.gz'), key('foo_bar-1.0.tar.gz'));
  assert.equal(key('Foo.Bar-1.0-py3-none-any.whl'), key('foo_bar-1.0-py3-none-any.whl'));
  assert.notEqual(key('foo-1.0.tar.gz'), key('foo-1.0.zip'));
  assert.notEqual(key('foo-1.0-py3-none-any.whl'), key('foo-1.0-1-py3-none-any.whl'));
});
