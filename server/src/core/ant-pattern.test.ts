import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compileAntPattern } from './ant-pattern.ts';
import { isAppError } from './errors.ts';

const CASES: readonly [pattern: string, path: string, matches: boolean][] = [
  ['**', '', true],
  ['**', 'a/b/c', true],
  ['a/b/**', 'a/b/x', true],
  ['a/b/**', 'a/b/x/y', true],
  ['a/b/**', 'a/b', true],
  ['a/b/**', 'a/bc', false],
  ['a/b/', 'a/b/x', true],
  ['/a/b/', 'a/b', true],
  ['a/b', 'a/b', true],
  ['a/b', 'a/b/c', false],
  ['**/*.jar', 'x.jar', true],
  ['**/*.jar', 'a/b/x.jar', true],
  ['**/*.jar', 'a/b/x.jar/y', false],
  ['*.jar', 'a/x.jar', false],
  ['*', 'a', true],
  ['*', 'a/b', false],
  ['*', '', false],
  ['a/*/c', 'a/b/c', true],
  ['a/*/c', 'a/c', false],
  ['a/**/c', 'a/c', true],
  ['a/**/c', 'a/x/y/c', true],
  ['a/**/c', 'a/x/y/d', false],
  ['**/a/**/b/**', 'x/a/y/b', true],
  ['**/**/b', 'b', true],
  ['lib-?.?.jar', 'lib-1.10.jar', false],
  ['lib-?.?.jar', 'lib-1.2.jar', true],
  ['a**b', 'axxb', true],
  ['a**b', 'ax/xb', false],
  ['[a]', '[a]', true],
  ['(a|b)+', 'a', false],
  ['A', 'a', false],
];

describe('compileAntPattern', () => {
  for (const [pattern, path, matches] of CASES) {
    it(`${matches ? 'matches' : 'does not match'} "${path}" with "${pattern}"`, () => {
      assert.equal(compileAntPattern(pattern).matches(path), matches);
    });
  }

  for (const pattern of ['', 'a//b', 'a/../b', './a', 'a\u0000b', 'a\nb', 'a\\b', '\ud800', `a${'b'.repeat(1000)}`]) {
    it(`refuses ${JSON.stringify(pattern.slice(0, 20))}`, () => {
      assert.throws(
        () => compileAntPattern(pattern),
        (error) => isAppError(error, 'invalid'),
      );
    });
  }

  it('agrees with a naive matcher', () => {
    const patterns = fc
      .array(fc.constantFrom('a', 'b', 'ab', '*', '**', '?', 'a*', '*b', 'a*b', '?b'), { minLength: 1, maxLength: 6 })
      .map((segments) => segments.join('/'));
    const paths = fc.array(fc.constantFrom('a', 'b', 'ab', 'aab', 'abb'), { maxLength: 6 }).map((s) => s.join('/'));
    fc.assert(
      fc.property(patterns, paths, (pattern, path) => {
        const compiled = compileAntPattern(pattern);
        const matches = naive(pattern.split('/'), path === '' ? [] : path.split('/'));
        assert.equal(compiled.matches(path), matches);
        if (matches) assert.ok(path.startsWith(compiled.prefix));
        if (matches) {
          for (let folder = path; folder !== ''; folder = folder.slice(0, Math.max(folder.lastIndexOf('/'), 0))) {
            assert.ok(compiled.mayMatchBelow(folder));
          }
        }
        if (compiled.coversBelow(path)) {
          for (const below of ['', '/a', '/b/ab', '/zz/a/b/c/d/e']) assert.ok(compiled.matches(path + below));
        }
        if (!compiled.mayMatchBelow(path)) {
          for (const below of ['', '/a', '/b/ab', '/ab/a/b']) assert.ok(!compiled.matches(path + below));
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('names the literal prefix of what can match', () => {
    const prefixes = ['**', 'a/b/**', 'a/b*c/d', 'a/b', 'a/**/c', '*x', 'a/?'].map((p) => compileAntPattern(p).prefix);
    assert.deepEqual(prefixes, ['', 'a/b', 'a/b', 'a/b', 'a/', '', 'a/']);
  });

  it('answers hostile patterns with bounded work', () => {
    const path = Array.from({ length: 16 }, () => 'a'.repeat(255)).join('/');
    for (const pattern of [
      '*a'.repeat(400),
      `${'**/a*/'.repeat(150)}b`,
      `${'**/'.repeat(300)}b`,
      `${'*'.repeat(990)}b`,
    ]) {
      assert.equal(compileAntPattern(pattern).matches(path), false);
      compileAntPattern(pattern).mayMatchBelow(path);
    }
  });
});

function naive(pattern: readonly string[], path: readonly string[]): boolean {
  const [head, ...rest] = pattern;
  if (head === undefined) return path.length === 0;
  if (head === '**') return path.some((_, i) => naive(rest, path.slice(i))) || naive(rest, []);
  const [name, ...below] = path;
  return name !== undefined && naiveSegment(head, name) && naive(rest, below);
}

function naiveSegment(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  if (pattern[0] === '*') {
    return naiveSegment(pattern.slice(1), text) || (text !== '' && naiveSegment(pattern, text.slice(1)));
  }
  return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && naiveSegment(pattern.slice(1), text.slice(1));
}
