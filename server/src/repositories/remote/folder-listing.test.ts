import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RepoPath } from '../../core/ids.ts';
import { parsePage, storageApiOf } from './folder-listing.ts';

const HTML = { 'content-type': 'text/html; charset=utf-8' };

function links(html: string, at = 'https://files.example/pub/dir/') {
  return parsePage(Buffer.from(html), { url: new URL(at), headers: HTML })?.map(
    ({ name, folder }) => `${name}${folder ? '/' : ''}`,
  );
}

describe('a page of links', () => {
  test('names what lies directly below it', () => {
    const page = `<html><body><h1>Index of /pub/dir</h1><a href="../">../</a> <A HREF='a.tar.gz'>a</A>
      <a class="x" href="sub/">sub/</a><a href="/pub/dir/absolute.txt">x</a><a href="https://files.example/pub/dir/full">x</a>
      <a href="with%20space">s</a><a href="a&amp;b">&</a><a href="./dotted">d</a>`;
    assert.deepEqual(links(page), ['a.tar.gz', 'sub/', 'absolute.txt', 'full', 'with space', 'a&b', 'dotted']);
  });

  test('names nothing that lies elsewhere', () => {
    for (const href of [
      '?C=N;O=D',
      '#top',
      '/',
      '/pub/',
      '..',
      '../other/file',
      'sub/deep',
      'https://elsewhere.example/pub/dir/file',
      'http://files.example/pub/dir/file',
      'mailto:ann@example.com',
      'javascript:alert(1)',
      '%2e%2e/',
      '//elsewhere.example/file',
      'file?version=1',
      '%ff',
      '',
    ]) {
      assert.deepEqual(links(`<a href="${href}">x</a>`), [], href);
    }
  });

  test('is read in time that grows with its length, whatever it holds', () => {
    const startedAt = performance.now();
    for (const piece of ['<a ', '<a href=', '<a href="', "<a href='x", '<a\t>', '&amp;&#'])
      assert.ok(links(piece.repeat(1_000_000))?.length !== undefined);
    assert.ok(performance.now() - startedAt < 10_000);
  });

  test('is none where it is something else', () => {
    const url = new URL('https://files.example/');
    assert.equal(parsePage(Buffer.from('<a href="x">'), { url, headers: { 'content-type': 'text/plain' } }), undefined);
  });
});

test('the listing API of servers like this one is beside their repositories', () => {
  const api = (base: string, path: string) => storageApiOf(new URL(base), path as RepoPath)?.href;
  assert.equal(api('https://h.example/artifactory/libs', ''), 'https://h.example/artifactory/api/storage/libs');
  assert.equal(
    api('https://h.example/x/artifactory/libs/org/?a=b', 'a b/c#d'),
    'https://h.example/x/artifactory/api/storage/libs/org/a%20b/c%23d',
  );
  for (const base of [
    'https://h.example/libs',
    'https://h.example/artifactory',
    'https://h.example/artifactory/api/npm/x',
  ]) {
    assert.equal(api(base, 'a'), undefined);
  }
});
