import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TagLeases } from './tag-leases.ts';

const IMAGE = { repo: 'far', name: 'team/app' };

test('a digest has the tags that last pointed to it, for a minute', () => {
  let now = 0;
  const leases = new TagLeases({ now: () => now });
  leases.note({ ...IMAGE, tag: '1' }, 'sha256:a');
  leases.note({ ...IMAGE, tag: 'latest' }, 'sha256:a');
  leases.note({ ...IMAGE, tag: '1' }, 'sha256:a');
  leases.note({ repo: 'other', name: 'team/app', tag: 'edge' }, 'sha256:a');
  assert.deepEqual(leases.tagsOf(IMAGE, 'sha256:a'), ['1', 'latest']);
  leases.note({ ...IMAGE, tag: 'latest' }, 'sha256:b');
  assert.deepEqual(leases.tagsOf(IMAGE, 'sha256:a'), ['1']);
  assert.deepEqual(leases.tagsOf(IMAGE, 'sha256:b'), ['latest']);
  now = 60_000;
  assert.deepEqual(leases.tagsOf(IMAGE, 'sha256:a'), []);
});
