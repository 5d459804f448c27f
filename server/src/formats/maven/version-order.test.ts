import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareMavenVersions, sortByMavenVersion } from './version-order.ts';

/** Each is older than those behind it. */
const ORDERS: readonly (readonly string[])[] = [
  ['1-alpha-1', '1-alpha2', '1-alpha-9', '1-alpha-10', '1-alpha123', '1-beta', '1-beta-2', '1-milestone-1', '1-m3'],
  [
    '1-m3',
    '1-rc',
    '1-rc-1',
    '1-rc2',
    '1-SNAPSHOT',
    '1',
    '1-sp',
    '1-sp-1',
    '1-abc',
    '1-pfd',
    '1-xyz',
    '1-1',
    '1-2',
    '1.0.1',
    '1.1',
  ],
  ['1.9', '1.10', '1.10.1', '2.0-alpha-1', '2.0-rc1', '2.0-20080805.084152-4', '2.0.1', '2.0.1-123', '2.1', '10'],
  ['1.0.0.M1', '1.0.0.M2', '1.0.0.RC1', '1.0.0-SNAPSHOT', '1.0.0.RELEASE', '1.0.1.RELEASE'],
  ['6.1.0rc3', '6.1.0', '6.1.1'],
  ['2.0.0.v200706041905-7C78EK9E_EkMNfNOd2d8qq', '2.0.1'],
  ['20190126.230843', '12345678901234567890', '123456789012345678901'],
  ['abc', '0.1', '1.x', '1.1'],
];

/** All mean the same. */
const SAME: readonly (readonly string[])[] = [
  ['1', '1.0', '1.0.0', '1-0', '1.0-0', '1-ga', '1.0.final', '1-FINAL', '1-release', '1.0.0.RELEASE', '01', '1..0'],
  ['1a1', '1-a1', '1-alpha-1', '1-ALPHA1'],
  ['1b2', '1-beta-2', '1.0-Beta2'],
  ['1m3', '1-milestone-3', '1.0.M3'],
  ['1-rc1', '1-cr1', '1.0.CR1'],
];

test('versions are in the order of Maven', () => {
  for (const order of ORDERS) {
    order.forEach((older, index) => {
      for (const newer of order.slice(index + 1)) {
        assert.ok(compareMavenVersions(older, newer) < 0, `${older} is older than ${newer}`);
        assert.ok(compareMavenVersions(newer, older) > 0, `${newer} is newer than ${older}`);
      }
    });
  }
});

test('versions that mean the same are equal, and have an order all the same', async () => {
  for (const same of SAME) {
    const sorted = await sortByMavenVersion(same.toReversed(), (version) => version);
    assert.deepEqual(sorted, same.toSorted());
    for (const one of same) {
      for (const other of same) {
        assert.equal(compareMavenVersions(one, other), 0, `${one} is ${other}`);
      }
    }
  }
});

test('what no version looks like is compared without trouble', () => {
  const odd = ['', '.', '-', '---', '1-.-1', '٣', '💥', 'a'.repeat(5000), '1.'.repeat(5000), '-1', '1_2'];
  for (const one of odd) for (const other of odd) assert.ok(Number.isFinite(compareMavenVersions(one, other)));
});
