/** An index that is built on an earlier one says what one that is built anew says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rows } from '../../../test/formats/rows.ts';
import type { RepoPath } from '../../core/ids.ts';
import { Rendered } from '../../lib/rendered.ts';
import { type ChartIndex, findChart, mergeIndexes } from './chart-index.ts';
import { buildIndex } from './local-index.ts';
import { rowName } from './names.ts';
import { renderIndex } from './render.ts';

function put(rows: Rows, name: string, version: string, { folder = '', digest = 'aa' } = {}): void {
  const path = `${folder}${name}-${version}.tgz` as RepoPath;
  const metadata = { version, chart: { name, version, description: 'x'.repeat(400) } };
  rows.put({ package: name, version: rowName({ name, version }, path) ?? '', path, digest, metadata });
}

function remove(rows: Rows, name: string, version: string, folder = ''): void {
  rows.remove(name, `${folder}${name}-${version}.tgz`);
}

async function textOf(index: ChartIndex): Promise<string> {
  return (await Rendered.of(await renderIndex(index, '/here'))).bytes.toString();
}

/** What is compared, without the lengthy descriptions. */
async function linesOf(index: ChartIndex): Promise<string[]> {
  return (await textOf(index)).replaceAll('x'.repeat(400), '').split('\n');
}

/** Filled with one chart of many versions between others of few. */
function filled(): Rows {
  const rows = new Rows();
  for (let i = 0; i < 300; i++) put(rows, 'large', `1.${i}.0`);
  for (const name of ['alpha', 'beta', 'omega', 'zeta']) for (let i = 0; i < 5; i++) put(rows, name, `0.${i}.0`);
  return rows;
}

const CHANGES: Readonly<Record<string, (rows: Rows) => void>> = {
  'a version more of a chart with many': (rows) => put(rows, 'large', '2.0.0'),
  'a version between others': (rows) => put(rows, 'large', '1.150.1'),
  'a version that is replaced': (rows) => put(rows, 'large', '1.7.0', { digest: 'bb' }),
  'a version less': (rows) => remove(rows, 'large', '1.100.0'),
  'one more and one less': (rows) => {
    remove(rows, 'large', '1.101.0');
    put(rows, 'large', '1.101.1');
  },
  'the same version at another path, which is not listed': (rows) => put(rows, 'large', '1.9.0', { folder: 'team/' }),
  'the listed one of two removed, so that the other is': (rows) => remove(rows, 'large', '1.9.0'),
  'a new chart, the first of all': (rows) => put(rows, 'aaa', '1.0.0'),
  'a new chart, the last of all': (rows) => put(rows, 'zzz', '1.0.0'),
  'a chart removed': (rows) => {
    for (let i = 0; i < 5; i++) remove(rows, 'beta', `0.${i}.0`);
  },
  'a chart that grows to many versions': (rows) => {
    for (let i = 0; i < 250; i++) put(rows, 'omega', `3.${i}.0`);
  },
  'all versions of a chart with many removed': (rows) => {
    for (let i = 0; i < 250; i++) remove(rows, 'omega', `3.${i}.0`);
    for (let i = 0; i < 5; i++) remove(rows, 'omega', `0.${i}.0`);
  },
};

test('what is built on an earlier index is what is built of all rows', async (t) => {
  const rows = filled();
  let index = await buildIndex(rows.source, undefined);
  for (const [what, change] of Object.entries(CHANGES)) {
    await t.test(what, async () => {
      change(rows);
      index = await buildIndex(rows.source, index);
      assert.deepEqual(await linesOf(index), await linesOf(await buildIndex(rows.source, undefined)));
    });
  }
});

test('an empty repository has an index, and one that becomes empty again', async () => {
  const rows = new Rows();
  const empty = await buildIndex(rows.source, undefined);
  assert.deepEqual(JSON.parse(await textOf(empty)).entries, {});
  put(rows, 'one', '1.0.0');
  const index = await buildIndex(rows.source, empty);
  assert.deepEqual(
    findChart(index, 'one')?.entries.map(({ version }) => version),
    ['1.0.0'],
  );
  remove(rows, 'one', '1.0.0');
  assert.deepEqual((await buildIndex(rows.source, index)).groups, []);
});

test('a new version leaves nearly all of what was rendered as it is, also where indexes are merged', async () => {
  const rows = filled();
  const other = new Rows();
  for (let i = 0; i < 3; i++) put(other, 'beside', `1.${i}.0`);
  const [first, second] = [await buildIndex(rows.source, undefined), await buildIndex(other.source, undefined)];
  const piecesOf = async (index: ChartIndex) => (await Rendered.of(await renderIndex(index, '/here'))).pieces;
  const known = new Set(await piecesOf(await mergeIndexes([first, second])));
  put(rows, 'large', '1.150.1');
  const index = await mergeIndexes([await buildIndex(rows.source, first), second]);
  const made = (await piecesOf(index)).filter((piece) => !known.has(piece));
  const bytes = made.reduce((sum, piece) => sum + piece.bytes.length, 0);
  assert.ok(bytes < (await textOf(index)).length / 2, `${bytes} bytes were rendered anew`);
  assert.deepEqual(
    JSON.parse(await textOf(index)).entries.beside.map(({ version }: { version: string }) => version),
    ['1.2.0', '1.1.0', '1.0.0'],
  );
});
