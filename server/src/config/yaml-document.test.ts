import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseYaml } from './yaml-document.ts';

test('plain values are taken', () => {
  assert.deepEqual(parseYaml('a: {b: [1, true, ~, "x"]}\nd: 2026-01-01\n'), {
    value: { a: { b: [1, true, null, 'x'] }, d: '2026-01-01' },
  });
});

test('what could mean more than it says, or cost more than it weighs, is refused', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x,x]',
    ...'bcdefg'.split('').map((key, i) => {
      const before = 'abcdef'[i];
      return `${key}: &${key} [${Array(10).fill(`*${before}`).join(',')}]`;
    }),
  ].join('\n');
  for (const text of [
    bomb,
    'a: !!js/function "x"',
    'a: !own {b: 1}',
    'a: 1\na: 2',
    'a: [',
    'a: .nan',
    'a: .inf',
    '__proto__: {admin: true}',
    `a: ${'['.repeat(30)}${']'.repeat(30)}`,
    Array.from({ length: 30_000 }, (_, i) => `k${i}: 1`).join('\n'),
  ]) {
    const startedAt = performance.now();
    assert.ok('problem' in parseYaml(text), text.slice(0, 60));
    assert.ok(performance.now() - startedAt < 2000);
  }
});
