/** An index that is built on an earlier one says what one that is built anew says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DocumentSource } from '../../core/document.ts';
import type { RepoPath, Sha256 } from '../../core/ids.ts';
import type { PackageVersion } from '../../core/repository.ts';
import { Rendered } from '../../lib/rendered.ts';
import { type ChartIndex, findChart, mergeIndexes } from './chart-index.ts';
import { buildIndex } from './local-index.ts';
import { rowName } from './names.ts';
import { renderIndex } from './render.ts';

type Row = PackageVersion & { readonly revision: number };

/** Rows as a repository keeps them, with its numbers. */
class Rows {
  readonly #rows = new Map<string, Row>();
  readonly #changed = new Map<string, number>();
  #revision = 0;
  #sequence = 0;

  put(name: string, version: string, { folder = '', digest = 'aa' } = {}): void {
    const path = `${folder}${name}-${version}.tgz` as RepoPath;
    const known = this.#rows.get(path);
    this.#note(name);
    this.#rows.set(path, {
      package: name,
      version: rowName({ name, version }, path) ?? '',
      path,
      size: 1,
      sha256: digest.repeat(32) as Sha256,
      mediaType: 'application/gzip',
      createdAt: new Date(Date.UTC(2024, 0, 1) + this.#revision * 1000),
      metadata: { version, chart: { name, version, description: 'x'.repeat(400) } },
      sequence: known?.sequence ?? ++this.#sequence,
      revision: this.#revision,
    });
  }

  remove(name: string, version: string, folder = ''): void {
    this.#note(name);
    this.#rows.delete(`${folder}${name}-${version}.tgz`);
  }

  #note(name: string): void {
    this.#revision += 1;
    this.#changed.set(name, this.#revision);
  }

  get source(): DocumentSource {
    const rows = [...this.#rows.values()];
    const of = (name: string) => rows.filter((row) => row.package === name);
    const byName = (a: Row, b: Row) => (`${a.package}\n${a.version}` < `${b.package}\n${b.version}` ? -1 : 1);
    return {
      versions: (name) => each(of(name).toSorted((a, b) => a.sequence - b.sequence)),
      changes: (name, since) => ({
        written: each(
          of(name)
            .filter(({ revision }) => revision > since)
            .toSorted((a, b) => a.revision - b.revision),
        ),
        remaining: async (known) =>
          known === of(name).length ? undefined : new Set(of(name).map(({ version }) => version)),
      }),
      packages: () => each([...new Set(rows.map((row) => row.package))].sort()),
      revisions: () => each([]),
      all: () => each(rows.toSorted(byName)),
      marks: async () => new Map([[0, this.#revision]]),
      changedPackages: (since) =>
        each([...this.#changed].filter(([, at]) => at > (since.get(0) ?? 0)).map(([name]) => name)),
    };
  }
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T, void, void> {
  yield* items;
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
  for (let i = 0; i < 300; i++) rows.put('large', `1.${i}.0`);
  for (const name of ['alpha', 'beta', 'omega', 'zeta']) for (let i = 0; i < 5; i++) rows.put(name, `0.${i}.0`);
  return rows;
}

const CHANGES: Readonly<Record<string, (rows: Rows) => void>> = {
  'a version more of a chart with many': (rows) => rows.put('large', '2.0.0'),
  'a version between others': (rows) => rows.put('large', '1.150.1'),
  'a version that is replaced': (rows) => rows.put('large', '1.7.0', { digest: 'bb' }),
  'a version less': (rows) => rows.remove('large', '1.100.0'),
  'one more and one less': (rows) => {
    rows.remove('large', '1.101.0');
    rows.put('large', '1.101.1');
  },
  'the same version at another path, which is not listed': (rows) => rows.put('large', '1.9.0', { folder: 'team/' }),
  'the listed one of two removed, so that the other is': (rows) => rows.remove('large', '1.9.0'),
  'a new chart, the first of all': (rows) => rows.put('aaa', '1.0.0'),
  'a new chart, the last of all': (rows) => rows.put('zzz', '1.0.0'),
  'a chart removed': (rows) => {
    for (let i = 0; i < 5; i++) rows.remove('beta', `0.${i}.0`);
  },
  'a chart that grows to many versions': (rows) => {
    for (let i = 0; i < 250; i++) rows.put('omega', `3.${i}.0`);
  },
  'all versions of a chart with many removed': (rows) => {
    for (let i = 0; i < 250; i++) rows.remove('omega', `3.${i}.0`);
    for (let i = 0; i < 5; i++) rows.remove('omega', `0.${i}.0`);
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
  rows.put('one', '1.0.0');
  const index = await buildIndex(rows.source, empty);
  assert.deepEqual(
    findChart(index, 'one')?.entries.map(({ version }) => version),
    ['1.0.0'],
  );
  rows.remove('one', '1.0.0');
  assert.deepEqual((await buildIndex(rows.source, index)).groups, []);
});

test('a new version leaves nearly all of what was rendered as it is, also where indexes are merged', async () => {
  const rows = filled();
  const other = new Rows();
  for (let i = 0; i < 3; i++) other.put('beside', `1.${i}.0`);
  const [first, second] = [await buildIndex(rows.source, undefined), await buildIndex(other.source, undefined)];
  const piecesOf = async (index: ChartIndex) => (await Rendered.of(await renderIndex(index, '/here'))).pieces;
  const known = new Set(await piecesOf(await mergeIndexes([first, second])));
  rows.put('large', '1.150.1');
  const index = await mergeIndexes([await buildIndex(rows.source, first), second]);
  const made = (await piecesOf(index)).filter((piece) => !known.has(piece));
  const bytes = made.reduce((sum, piece) => sum + piece.bytes.length, 0);
  assert.ok(bytes < (await textOf(index)).length / 2, `${bytes} bytes were rendered anew`);
  assert.deepEqual(
    JSON.parse(await textOf(index)).entries.beside.map(({ version }: { version: string }) => version),
    ['1.2.0', '1.1.0', '1.0.0'],
  );
});
