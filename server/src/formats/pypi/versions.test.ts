import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSameVersion, normalizeVersion, sortVersions } from './versions.ts';

test('versions have one normal form', () => {
  for (const [text, normal] of [
    ['1.0', '1.0'],
    ['v1.0', '1.0'],
    [' 1.0 ', '1.0'],
    ['01.002', '1.2'],
    ['1.0-beta', '1.0b0'],
    ['1.0.alpha_3', '1.0a3'],
    ['1.0c1', '1.0rc1'],
    ['1.0PREVIEW2', '1.0rc2'],
    ['1.0-1', '1.0.post1'],
    ['1.0rev4', '1.0.post4'],
    ['1.0.dev', '1.0.dev0'],
    ['1!2.0', '1!2.0'],
    ['0!2.0', '2.0'],
    ['1.0+Ubuntu_1-07', '1.0+ubuntu.1.7'],
    ['1.0a1.post2.dev3+x', '1.0a1.post2.dev3+x'],
  ] as const) {
    assert.equal(normalizeVersion(text), normal, text);
  }
});

test('what is no version is refused', () => {
  for (const text of ['', 'latest', '1.0.x', '1!0!1', '1..0', '1.0+', '1.0-', '1,0', '1.0 beta 2', 'x'.repeat(300)]) {
    assert.equal(normalizeVersion(text), undefined, text);
  }
});

test('versions are ordered as PEP 440 says', () => {
  const ordered = [
    '1.dev0',
    '1.0.dev456',
    '1.0a1',
    '1.0a2.dev456',
    '1.0a12.dev456',
    '1.0a12',
    '1.0b1.dev456',
    '1.0b2',
    '1.0b2.post345.dev456',
    '1.0b2.post345',
    '1.0rc1.dev456',
    '1.0rc1',
    '1.0',
    '1.0+abc.5',
    '1.0+abc.7',
    '1.0+5',
    '1.0.post456.dev34',
    '1.0.post456',
    '1.0.15',
    '1.1.dev1',
    '1!0.1',
  ];
  assert.deepEqual(sortVersions(ordered.toReversed()), ordered);
  assert.deepEqual(sortVersions(['1', 'what', '1']), ['what', '1']);
});

test('zeros at the end do not tell releases apart', () => {
  assert.ok(isSameVersion('1.0', '1.0.0'));
  assert.ok(!isSameVersion('1.0', '1.0.0.1'));
  assert.ok(!isSameVersion('x', 'x'));
});

test('a version of many digits is read at once', () => {
  const startedAt = performance.now();
  normalizeVersion(`1.${'0'.repeat(100)}x`);
  normalizeVersion(`${'1.'.repeat(60)}!`);
  normalizeVersion(`1+${'a-'.repeat(60)}`);
  assert.ok(performance.now() - startedAt < 50);
});
