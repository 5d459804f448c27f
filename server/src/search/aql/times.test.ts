import assert from 'node:assert/strict';
import { test } from 'node:test';
import { moment, momentsAgo } from './times.ts';

const NOW = Date.parse('2024-03-31T12:00:00Z');

test('moments of any precision', () => {
  const cases: readonly (readonly [string | number, string | undefined])[] = [
    ['2019', '2019-01-01T00:00:00.000Z'],
    [2019, '2019-01-01T00:00:00.000Z'],
    ['2019-05', '2019-05-01T00:00:00.000Z'],
    ['2019-05-07', '2019-05-07T00:00:00.000Z'],
    ['2019-05-07T10', '2019-05-07T10:00:00.000Z'],
    ['2019-05-07T10:11', '2019-05-07T10:11:00.000Z'],
    ['2019-05-07 10:11:12', '2019-05-07T10:11:12.000Z'],
    ['2019-05-07T10:11:12.5Z', '2019-05-07T10:11:12.500Z'],
    ['2019-05-07T10:11:12.123456789Z', '2019-05-07T10:11:12.123Z'],
    ['2019-05-07T10:11:12.000+0200', '2019-05-07T08:11:12.000Z'],
    ['2019-05-07T10:11:12-02:30', '2019-05-07T12:41:12.000Z'],
    ['1557223872000', '2019-05-07T10:11:12.000Z'],
    [0, '1970-01-01T00:00:00.000Z'],
    ['2019-02-29', undefined],
    ['2019-13', undefined],
    ['2019-05-07T25', undefined],
    ['yesterday', undefined],
    ['', undefined],
    ['9'.repeat(30), undefined],
  ];
  for (const [text, expected] of cases) {
    const ms = moment(text);
    assert.equal(ms === undefined ? undefined : new Date(ms).toISOString(), expected, String(text));
  }
});

test('moments a period ago', () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['1ms', '2024-03-31T11:59:59.999Z'],
    ['2 seconds', '2024-03-31T11:59:58.000Z'],
    ['5mi', '2024-03-31T11:55:00.000Z'],
    ['30d', '2024-03-01T12:00:00.000Z'],
    ['2w', '2024-03-17T12:00:00.000Z'],
    ['1mo', '2024-02-29T12:00:00.000Z'],
    ['13months', '2023-02-28T12:00:00.000Z'],
    ['1y', '2023-03-31T12:00:00.000Z'],
    ['1', undefined],
    ['d', undefined],
    ['1h', undefined],
    ['-1d', undefined],
    ['1constructor', undefined],
  ];
  for (const [text, expected] of cases) {
    const ms = momentsAgo(text, NOW);
    assert.equal(ms === undefined ? undefined : new Date(ms).toISOString(), expected, text);
  }
  assert.ok((momentsAgo('999999999999y', NOW) ?? 0) < 0);
});
