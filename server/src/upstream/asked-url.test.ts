import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpstreamFailure } from '../core/upstream.ts';
import { type AskedUrlOptions, askedUrl, parseBaseUrl } from './asked-url.ts';

const BASE = parseBaseUrl('https://user:pass@repo.example.com/base/#x');

function target(path: string, options: AskedUrlOptions = {}, query?: Record<string, string>): string {
  const url = askedUrl(BASE, { path, ...(query && { query }) }, options);
  assert.equal(url.origin, 'https://repo.example.com');
  assert.equal(url.username + url.password + url.hash, '');
  return url.pathname + url.search;
}

test('segments are encoded from scratch', () => {
  const cases: Record<string, string> = {
    '': '/base/',
    'a/b.jar': '/base/a/b.jar',
    '/a': '/base/a',
    'a//b/': '/base/a/b/',
    '@scope/pkg': '/base/@scope/pkg',
    'v2/team/app/manifests/sha256:ab': '/base/v2/team/app/manifests/sha256:ab',
    'a+b,c=d~e:f': '/base/a+b,c=d~e:f',
    "x!$&'()*": "/base/x!$&'()*",
    'a;b=c/.._/x': '/base/a%3Bb=c/.._/x',
    'a b?c#d%e': '/base/a%20b%3Fc%23d%25e',
    'a%2fb%2e%2e': '/base/a%252fb%252e%252e',
    'a\\b|c^d`e{f}[g]"h<i>': '/base/a%5Cb%7Cc%5Ed%60e%7Bf%7D%5Bg%5D%22h%3Ci%3E',
    'grün/\u{1f600}': '/base/gr%C3%BCn/%F0%9F%98%80',
    '...': '/base/...',
    '//evil.example/x': '/base/evil.example/x',
    'http://evil.example/x': '/base/http:/evil.example/x',
  };
  for (const [path, expected] of Object.entries(cases)) assert.equal(target(path), expected, path);
});

test('double slashes stay where the settings say so', () => {
  assert.equal(target('a//b/', { disableUrlNormalization: true }), '/base/a//b/');
});

test('what no encoding can carry is refused', () => {
  for (const path of [
    '..',
    'a/../b',
    'a/./b',
    '.',
    'a/..',
    '..;x',
    'a/..\\b',
    'x;../y',
    'a\u0000b',
    'a\r\nHost: x',
    'a\u007f',
    'a\ud800',
  ]) {
    assert.throws(
      () => target(path),
      (error: UpstreamFailure) => error instanceof UpstreamFailure && error.trouble === 'refused',
      JSON.stringify(path),
    );
  }
});

test('every path reads as the one that was asked for, or is refused', () => {
  const alphabet = [
    'a',
    '.',
    '..',
    '/',
    '%',
    '%2e',
    '%2F',
    ';',
    '?',
    '#',
    '\\',
    ' ',
    '+',
    '@',
    ':',
    '\u00e9',
    '\u0000',
    '&',
  ];
  let state = 7;
  const next = () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return alphabet[Math.floor((state / 2_147_483_648) * alphabet.length)] ?? 'a';
  };
  let refused = 0;
  for (let i = 0; i < 20_000; i += 1) {
    const path = Array.from({ length: 1 + (i % 9) }, next).join('');
    let url: URL;
    try {
      url = askedUrl(BASE, { path }, { disableUrlNormalization: true });
    } catch {
      refused += 1;
      continue;
    }
    const wanted = path.replace(/^\/+/, '');
    // Read as the strictest and as the loosest of servers read it.
    const segments = new URL(url.href).pathname.replace('/base/', '').split('/');
    assert.equal(segments.map(decodeURIComponent).join('/'), wanted, JSON.stringify(path));
    assert.equal(url.search, '');
  }
  assert.ok(refused > 100 && refused < 18_000, String(refused));
});

test('parameters of the URL, the settings and the ask come together', () => {
  assert.equal(
    target('a', { queryParams: '?x=1&y=a%2Fb' }, { 'n&': 'ü 1', last: '' }),
    '/base/a?x=1&y=a%2Fb&n%26=%C3%BC%201&last=',
  );
  const base = parseBaseUrl('https://repo.example.com/c?sv=2');
  assert.equal(askedUrl(base, { path: 'a' }, {}).href, 'https://repo.example.com/c/a?sv=2');
  assert.equal(askedUrl(base, { path: '' }, {}).href, 'https://repo.example.com/c?sv=2');
});

test('a base that is no http address is refused', () => {
  for (const text of ['', 'repo.example.com', 'ftp://a/', 'file:///x', 'http://', 'javascript:1']) {
    assert.throws(() => parseBaseUrl(text), UpstreamFailure, text);
  }
});
