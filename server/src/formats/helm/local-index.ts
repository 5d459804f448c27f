/** The index of a local repository, built of its rows: at first of all of them, then of those that changed. */
import type { DocumentSource } from '../../core/document.ts';
import { encodePath } from '../../core/ids.ts';
import { type ReadRows, readRows } from '../../core/read-rows.ts';
import type { PackageVersion } from '../../core/repository.ts';
import { Spell } from '../../lib/spell.ts';
import { type Chart, type ChartEntry, chartInTurns, entryOf } from './chart.ts';
import { type ChartIndex, findChart, indexOfSorted, withChanges } from './chart-index.ts';
import type { ChartRelease } from './ingest.ts';

interface Row {
  readonly sequence: number;
  /** Undefined for a chart that was copied under another name: it stands under its own only. */
  readonly entry: ChartEntry | undefined;
}

/** Charts with fewer versions are read whole when one of them changes. */
const LARGE = 200;
const ofCharts = new WeakMap<Chart, ReadRows<Row>>();

export async function buildIndex(source: DocumentSource, previous: ChartIndex | undefined): Promise<ChartIndex> {
  const marks = await source.marks();
  if (!previous?.marks) return { ...(await indexOfSorted(await readAll(source))), marks };
  const changed = new Map<string, Chart | undefined>();
  for await (const name of source.changedPackages(previous.marks)) {
    const known = findChart(previous, name);
    const before = known && ofCharts.get(known);
    changed.set(name, before ? await readLarge(source, name, before) : await readSmall(source, name));
  }
  return { ...(await withChanges(previous, changed)), marks };
}

async function readAll(source: DocumentSource): Promise<Chart[]> {
  const charts: Chart[] = [];
  let name: string | undefined;
  let rows: Row[] = [];
  const close = async () => {
    const chart = name === undefined ? undefined : await chartOfRows(source, name, rows);
    if (chart) charts.push(chart);
    rows = [];
  };
  for await (const row of source.all()) {
    if (row.package !== name) await close();
    name = row.package;
    rows.push(rowOf(row));
  }
  await close();
  return charts;
}

async function readSmall(source: DocumentSource, name: string): Promise<Chart | undefined> {
  const rows: Row[] = [];
  for await (const row of source.versions(name)) {
    rows.push(rowOf(row));
    if (rows.length === LARGE) return readLarge(source, name);
  }
  return chartOfRows(source, name, rows);
}

async function chartOfRows(source: DocumentSource, name: string, rows: readonly Row[]): Promise<Chart | undefined> {
  // What is read by versions does not tell of which moment it is, which has to be known for what is read next.
  return rows.length < LARGE ? chartInTurns(name, await entriesOf(rows)) : readLarge(source, name);
}

/** Of what was read before, and what was written since. */
async function readLarge(source: DocumentSource, name: string, before?: ReadRows<Row>): Promise<Chart | undefined> {
  const read = await readRows(source, name, before, rowOf);
  const chart = await chartInTurns(name, await entriesOf(read.rows.values()));
  if (chart) ofCharts.set(chart, read);
  return chart;
}

function rowOf({ metadata, sequence, path, sha256, createdAt, package: name }: PackageVersion): Row {
  const { version, chart } = metadata as ChartRelease;
  if (chart?.name !== name) return { sequence, entry: undefined };
  const facts = {
    version,
    fields: chart,
    path,
    url: encodePath(path),
    digest: sha256,
    created: createdAt.toISOString(),
  };
  return { sequence, entry: entryOf(facts) };
}

/** One entry for each version: of a release that lies at several paths, the one that was there first. */
async function entriesOf(rows: Iterable<Row>): Promise<ChartEntry[]> {
  const spell = new Spell();
  const found = new Map<string, { readonly sequence: number; readonly entry: ChartEntry }>();
  for (const { sequence, entry } of rows) {
    if (!entry) continue;
    const known = found.get(entry.version);
    if (!known || sequence < known.sequence) found.set(entry.version, { sequence, entry });
    if (spell.isOver) await spell.rest();
  }
  return [...found.values()].map(({ entry }) => entry);
}
