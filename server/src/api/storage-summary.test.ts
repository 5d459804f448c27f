import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderSize } from './storage-summary.ts';

test('writes sizes as clients parse them', () => {
  for (const [bytes, text] of [
    [0, '0 bytes'],
    [1023, '1023 bytes'],
    [1024, '1.00 KB'],
    [1_258_291, '1.20 MB'],
    [3.48 * 1024 ** 3, '3.48 GB'],
    [5000 * 1024 ** 4, '5000.00 TB'],
  ] as const) {
    assert.equal(renderSize(bytes), text);
  }
});
