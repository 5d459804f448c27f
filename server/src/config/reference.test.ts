import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { renderReference } from './reference.ts';

test('the checked-in page is what the schema says', () => {
  const page = readFileSync(new URL('../../../docs/operations/configuration.md', import.meta.url), 'utf8');
  assert.equal(
    page,
    renderReference(),
    'Bring it up to date: node server/src/config/reference.ts > docs/operations/configuration.md',
  );
});
