import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRepoKey, type RepoPath } from '../core/ids.ts';
import type { Access } from './leaf.ts';
import { limitsOf } from './limits.ts';

const KEY = parseRepoKey('libs');
const ALL: Access = {
  principalName: 'ann',
  allows: () => true,
  require() {},
  mayList: () => true,
  mayWrite: true,
  readsAll: true,
  readablePrefixes: [''],
};
const path = (text: string) => text as RepoPath;

test('settings that limit nothing cost nothing', () => {
  for (const settings of [{}, { includesPattern: '**/*', excludesPattern: '' }, { includesPattern: ' ** , a/**' }]) {
    assert.equal(limitsOf(KEY, settings), undefined);
  }
});

test('patterns bound what may be read and deployed, not what may be removed', () => {
  const access = limitsOf(KEY, { includesPattern: 'org/**,com/**', excludesPattern: '**/*.tmp' })?.(ALL);
  assert.ok(access);
  assert.equal(access.allows('read', path('org/a.jar')), true);
  assert.equal(access.allows('deploy', path('net/a.jar')), false);
  assert.equal(access.allows('read', path('org/a.tmp')), false);
  assert.equal(access.allows('delete', path('org/a.tmp')), true);
  assert.equal(access.mayList(path('com/acme')), true);
  assert.equal(access.mayList(path('net')), false);
  assert.throws(() => access.require('deploy', path('net/a')), { code: 'conflict' });
  assert.throws(() => access.require('read', path('net/a')), { code: 'not_found' });
});

test('a repository that is blacked out serves and takes nothing', () => {
  const access = limitsOf(KEY, { blackedOut: true })?.(ALL);
  assert.ok(access);
  assert.equal(access.allows('read', path('a')), false);
  assert.equal(access.mayWrite, false);
  assert.throws(() => access.require('deploy', path('a')), { code: 'not_found' });
  assert.equal(access.allows('delete', path('a')), true);
});

test('patterns never widen what the caller may do', () => {
  const access = limitsOf(KEY, { includesPattern: 'org/**' })?.({ ...ALL, allows: () => false, mayList: () => false });
  assert.equal(access?.allows('read', path('org/a')), false);
  assert.equal(access?.mayList(path('org')), false);
});
