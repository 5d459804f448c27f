import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSeconds } from './durations.ts';

test('reads spans of time in seconds, minutes, hours and days', () => {
  for (const [text, seconds] of [
    ['90', 90],
    ['90s', 90],
    ['15m', 900],
    ['12h', 43_200],
    ['30d', 2_592_000],
    ['0', 0],
  ] as const) {
    assert.equal(parseSeconds(text), seconds, text);
  }
});

test('refuses everything else', () => {
  for (const text of ['', 's', '-1', '1.5h', '1w', '1 h', 'never', '9999999999']) {
    assert.throws(() => parseSeconds(text), /no span of time/, text);
  }
});
