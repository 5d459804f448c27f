import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChallenges } from './challenges.ts';

const CASES: Record<string, [string, Record<string, string>][]> = {
  '': [],
  Basic: [['basic', {}]],
  'Basic realm="a"': [['basic', { realm: 'a' }]],
  'BEARER Realm="https://a/t",Service="s",SCOPE="repository:a/b:pull,push"': [
    ['bearer', { realm: 'https://a/t', service: 's', scope: 'repository:a/b:pull,push' }],
  ],
  'Basic realm="x, Bearer realm=\\"evil\\"", Bearer realm="good"': [
    ['basic', { realm: 'x, Bearer realm="evil"' }],
    ['bearer', { realm: 'good' }],
  ],
  'Negotiate, NTLM TlRMTVNTUAAB==, Basic realm="a", charset="UTF-8"': [
    ['negotiate', {}],
    ['ntlm', {}],
    ['basic', { realm: 'a', charset: 'UTF-8' }],
  ],
  'Bearer realm = "a" , service = b': [['bearer', { realm: 'a', service: 'b' }]],
  'Bearer realm=https://a/t?x=1,service=b': [['bearer', { realm: 'https://a/t?x=1', service: 'b' }]],
  'Bearer realm="a",realm="b"': [['bearer', { realm: 'a' }]],
  'Bearer realm="unfinished': [['bearer', { realm: 'unfinished' }]],
  'Bearer ,,, realm="a",,': [['bearer', { realm: 'a' }]],
  'Bearer __proto__="x",realm="a"': [['bearer', { ['__proto__']: 'x', realm: 'a' }]],
  '=== "": Bearer realm="a"': [['bearer', { realm: 'a' }]],
};

test('challenges of all kinds are read', () => {
  for (const [field, expected] of Object.entries(CASES)) {
    const found = parseChallenges(field).map(({ scheme, parameters }) => [scheme, Object.entries(parameters)]);
    assert.deepEqual(
      found,
      expected.map(([scheme, parameters]) => [scheme, Object.entries(parameters)]),
      field,
    );
  }
});

test('a field made to cost time costs none', () => {
  const startedAt = performance.now();
  for (const unit of ['Bearer a="', 'a,', '\\"', ' ', '="', 'a=a=', 'Bearer ']) parseChallenges(unit.repeat(100_000));
  assert.ok(performance.now() - startedAt < 500);
});
