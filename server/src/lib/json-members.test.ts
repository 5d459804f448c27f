import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JsonMembers } from './json-members.ts';

function readAll(text: string): Record<string, unknown> {
  const members = new JsonMembers(Buffer.from(text));
  const found: Record<string, unknown> = {};
  for (let key = members.next(); key !== undefined; key = members.next()) found[key] = members.value();
  return found;
}

const OBJECTS = [
  {},
  { a: 1, b: 'x', c: null, d: [1, [2, { e: '}' }]], f: { g: { h: '"]\\' } }, i: true },
  { 'a "quoted" key\\': 'ü\u{1f600}', '': '', ',': ':' },
];

test('reads what JSON.parse reads, with and without spaces', () => {
  for (const object of OBJECTS) {
    assert.deepEqual(readAll(JSON.stringify(object)), object);
    assert.deepEqual(readAll(`\n ${JSON.stringify(object, undefined, '\t')}`), object);
  }
});

test('goes into members, and past what is not read of them', () => {
  const members = new JsonMembers(
    Buffer.from('{"skipped":{"x":[1,2]},"in":{"a":1,"b":{"c":2}},"read":{"d":3},"last":"z"}'),
  );
  assert.equal(members.next(), 'skipped');
  assert.equal(members.next(), 'in');
  const inner = members.members();
  assert.equal(inner?.next(), 'a');
  assert.equal(members.next(), 'read');
  const read = members.members();
  assert.equal(read?.next(), 'd');
  assert.equal(read?.value(), 3);
  assert.equal(read?.next(), undefined);
  assert.equal(members.next(), 'last');
  assert.equal(members.members(), undefined);
  assert.equal(members.value(), 'z');
  assert.equal(members.next(), undefined);
});

test('refuses what is no object', () => {
  for (const text of [
    '',
    ' ',
    '[]',
    '"x"',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":"x',
    '{"a" 1}',
    '{"a":1 "b":2}',
    '{a:1}',
    '{"a":x}',
  ]) {
    assert.throws(() => readAll(text), SyntaxError, text);
  }
});
