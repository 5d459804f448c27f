import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RouteTable } from './route-table.ts';

const get = (pattern: string) => ({ methods: ['GET'], pattern });

const TABLE = new RouteTable([
  get('a/b/c'),
  get('a/b/{name}'),
  { methods: ['PUT', 'DELETE'], pattern: 'a/b/c/{path...}' },
  get('{first}/b/c/d'),
  get('a/b/c/{name}'),
  get('a/b/c/{path...}'),
  get('a/b/cc/{name}'),
  get('a/{path...}/end'),
  get('a/b'),
  get('a/b/c{name}/x'),
]);

function find(method: string, path: string): unknown {
  const match = TABLE.match(method, path);
  if (!match) return undefined;
  return 'route' in match ? [match.route.pattern, match.params] : match.allow;
}

for (const [method, path, expected] of [
  ['GET', 'a/b/c', ['a/b/c', {}]],
  ['GET', 'a/b/d', ['a/b/{name}', { name: 'd' }]],
  ['GET', 'a/b/c/d', ['{first}/b/c/d', { first: 'a' }]],
  ['GET', 'z/b/c/d', ['{first}/b/c/d', { first: 'z' }]],
  ['GET', 'a/b/c/e', ['a/b/c/{name}', { name: 'e' }]],
  ['GET', 'a/b/c/e/f', ['a/b/c/{path...}', { path: 'e/f' }]],
  ['GET', 'a/b/cc/e', ['a/b/cc/{name}', { name: 'e' }]],
  ['GET', 'a/b/cc/x', ['a/b/cc/{name}', { name: 'x' }]],
  ['GET', 'a/b/cz/x', ['a/b/c{name}/x', { name: 'z' }]],
  ['GET', 'a/x/y/z/end', ['a/{path...}/end', { path: 'x/y/z' }]],
  ['GET', 'a/b/cc/e/end', ['a/{path...}/end', { path: 'b/cc/e' }]],
  ['GET', 'a/b', ['a/b', {}]],
  ['PUT', 'a/b/c/e/f', ['a/b/c/{path...}', { path: 'e/f' }]],
  ['PUT', 'a/b/cc/e', ['GET']],
  ['POST', 'a/b/c/d', ['PUT', 'DELETE', 'GET']],
  ['GET', 'a/b/c/', undefined],
  ['GET', 'a', undefined],
  ['GET', '', undefined],
  ['GET', 'b/b/c', undefined],
] as const) {
  test(`${method} "${path}" is for ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(find(method, path), expected);
  });
}
