import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { renderCompatibility } from './compatibility.ts';

test('the checked-in page is what the tables say', () => {
  const page = readFileSync(new URL('../../../docs/api/compatibility.md', import.meta.url), 'utf8');
  assert.equal(
    page,
    renderCompatibility(),
    'Bring it up to date: node server/src/repositories/compatibility.ts > docs/api/compatibility.md',
  );
});
