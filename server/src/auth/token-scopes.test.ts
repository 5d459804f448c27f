import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isAppError } from '../core/errors.ts';
import { ACTIONS } from '../core/principal.ts';
import { parseTokenScope, renderTokenScope } from './token-scopes.ts';

describe('parseTokenScope', () => {
  it('takes the whole user in its several spellings', () => {
    for (const text of ['', 'applied-permissions/user', 'api:*', 'member-of-groups:* api:*']) {
      assert.deepEqual(parseTokenScope(text), { scope: undefined, needsAdmin: false });
    }
    assert.deepEqual(parseTokenScope('applied-permissions/admin'), { scope: undefined, needsAdmin: true });
  });

  it('takes repositories, patterns and letters', () => {
    assert.deepEqual(parseTokenScope('artifact:libs/org/**:r,w artifact:*:r api:*').scope, [
      { actions: ['read', 'deploy'], repos: ['libs'], paths: ['org/**'] },
      { actions: ['read'], repos: ['*'], paths: ['**'] },
    ]);
    assert.deepEqual(parseTokenScope('artifact:libs:*').scope, [{ actions: ACTIONS, repos: ['libs'], paths: ['**'] }]);
    assert.deepEqual(parseTokenScope('artifact:libs:x').scope, [{ actions: [], repos: ['libs'], paths: ['**'] }]);
  });

  for (const text of [
    'applied-permissions/groups:readers',
    'member-of-groups:"readers"',
    'system:metrics:r',
    'artifact:libs',
    'artifact::r',
    'artifact:libs/:r',
    'artifact:libs:q',
    'artifact:libs/../x:r',
    'everything',
    `artifact:libs/${'x'.repeat(500)}:r`,
  ]) {
    it(`refuses ${text.slice(0, 40)}`, () => {
      assert.throws(
        () => parseTokenScope(text),
        (error) => isAppError(error, 'invalid'),
      );
    });
  }

  it('reads back what it renders', () => {
    const entry = fc.record(
      {
        actions: fc.subarray([...ACTIONS], { minLength: 1 }),
        repos: fc.constantFrom('libs', '*', 'docker-local').map((repo) => [repo]),
        paths: fc.constantFrom('**', 'a/b/**', '*.jar', 'x').map((path) => [path]),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 5 }), (scope) => {
        assert.deepEqual(parseTokenScope(renderTokenScope(scope)).scope, scope);
      }),
    );
  });
});
