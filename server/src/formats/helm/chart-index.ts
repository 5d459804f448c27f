/**
 * The index of a repository: its charts in groups that never change, so that whoever adds one makes one group anew and
 * all the others, with what was rendered of them, stay what they are.
 */

import { setImmediate as turn } from 'node:timers/promises';
import type { DocumentSource, RepositoryMarks } from '../../core/document.ts';
import type { RepoPath } from '../../core/ids.ts';
import { encodePath } from '../../core/ids.ts';
import type { PackageVersion } from '../../core/repository.ts';
import type { ChartRelease } from './ingest.ts';
import { type ChartVersion, compareVersions, parseVersion } from './versions.ts';

export interface ChartEntry {
  readonly version: string;
  /** Where the archive lies; undefined where the index leaves clients to fetch it elsewhere. */
  readonly path: RepoPath | undefined;
  /** Where an upstream has it. */
  readonly link?: string;
  /** The SHA-256 of the archive in hex. */
  readonly digest?: string;
  /** ISO 8601; empty where an upstream does not say. */
  readonly created: string;
  /** As indexes have it. */
  readonly json: string;
}

export interface Chart {
  readonly name: string;
  /** The newest first. */
  readonly entries: readonly ChartEntry[];
  readonly bytes: number;
}

export interface ChartGroup {
  /** By name. */
  readonly charts: readonly Chart[];
  readonly first: string;
  readonly created: string;
}

export interface ChartIndex {
  /** By the first name of each. */
  readonly groups: readonly ChartGroup[];
  /** When the newest of its charts was made; ISO 8601. */
  readonly generated: string;
  /** What it was built from. */
  readonly marks?: RepositoryMarks;
}

const GROUP_BYTES = 64 * 1024;
/** So much is done before others are let in. */
const STEP = 500;

export async function buildIndex(source: DocumentSource, previous: ChartIndex | undefined): Promise<ChartIndex> {
  const marks = await source.marks();
  if (!previous?.marks) return { ...indexOf(await readAll(source)), marks };
  const changed = new Map<string, Chart | undefined>();
  for await (const name of source.changedPackages(previous.marks)) {
    changed.set(name, chartOf(name, await entriesOf(source.versions(name), name)));
  }
  return { ...(await withChanges(previous, changed)), marks };
}

async function readAll(source: DocumentSource): Promise<Chart[]> {
  const charts: Chart[] = [];
  let name: string | undefined;
  let rows: PackageVersion[] = [];
  const close = async () => {
    const chart = name === undefined ? undefined : chartOf(name, await entriesOf(rows, name));
    if (chart) charts.push(chart);
    rows = [];
  };
  for await (const row of source.all()) {
    if (row.package !== name) await close();
    name = row.package;
    rows.push(row);
  }
  await close();
  return charts;
}

/** One entry for each version: of a release that lies at several paths, the one that was there first. */
async function entriesOf(
  rows: AsyncIterable<PackageVersion> | Iterable<PackageVersion>,
  name: string,
): Promise<ChartEntry[]> {
  const found = new Map<string, { readonly row: PackageVersion; readonly release: ChartRelease }>();
  for await (const row of rows) {
    const release = row.metadata as ChartRelease;
    // A chart that was copied under another name stands under its own only.
    if (release.chart?.name !== name) continue;
    const known = found.get(release.version)?.row;
    if (!known || row.sequence < known.sequence) found.set(release.version, { row, release });
  }
  return [...found.values()].map(({ row, release }) => {
    const { path, sha256, createdAt } = row;
    return entryOf({
      version: release.version,
      fields: release.chart,
      path,
      url: encodePath(path),
      digest: sha256,
      created: createdAt.toISOString(),
    });
  });
}

export interface EntryFacts {
  readonly version: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly path: RepoPath | undefined;
  readonly url: string;
  readonly link?: string;
  readonly digest?: string;
  readonly created: string;
}

export function entryOf({ version, fields, path, url, link, digest, created }: EntryFacts): ChartEntry {
  const json = JSON.stringify({
    ...fields,
    ...(created !== '' && { created }),
    ...(digest !== undefined && { digest }),
    urls: [url],
  });
  return {
    version,
    path,
    created,
    json,
    ...(link !== undefined && { link }),
    ...(digest !== undefined && { digest }),
  };
}

/** Undefined for a chart without versions. */
export function chartOf(name: string, entries: readonly ChartEntry[]): Chart | undefined {
  if (entries.length === 0) return undefined;
  const bytes = entries.reduce((sum, { json }) => sum + json.length + 2, name.length + 8);
  return { name, entries: sorted(entries), bytes };
}

const NONE: ChartVersion = { numbers: [0n, 0n, 0n], prerelease: ['0'], build: '' };

function sorted(entries: readonly ChartEntry[]): readonly ChartEntry[] {
  const keyed = entries.map((entry) => ({ entry, version: parseVersion(entry.version) ?? NONE }));
  keyed.sort((a, b) => compareVersions(b.version, a.version) || (a.entry.version < b.entry.version ? 1 : -1));
  return keyed.map(({ entry }) => entry);
}

/** Of charts in any order, one of each name. */
export function indexOf(charts: readonly Chart[]): ChartIndex {
  return fromGroups(groupsOf(charts.toSorted(byName)));
}

function byName(a: Chart, b: Chart): number {
  return a.name < b.name ? -1 : 1;
}

function groupsOf(charts: readonly Chart[]): ChartGroup[] {
  const groups: ChartGroup[] = [];
  let gathered: Chart[] = [];
  let bytes = 0;
  for (const chart of charts) {
    if (gathered.length > 0 && bytes + chart.bytes > GROUP_BYTES) {
      groups.push(groupOf(gathered));
      gathered = [];
      bytes = 0;
    }
    gathered.push(chart);
    bytes += chart.bytes;
  }
  if (gathered.length > 0) groups.push(groupOf(gathered));
  return groups;
}

function groupOf(charts: readonly Chart[]): ChartGroup {
  let created = '';
  for (const { entries } of charts) for (const entry of entries) if (entry.created > created) created = entry.created;
  return { charts, first: charts[0]?.name ?? '', created };
}

const NEVER = new Date(0).toISOString();

function fromGroups(groups: readonly ChartGroup[]): ChartIndex {
  let generated = NEVER;
  for (const { created } of groups) if (created > generated) generated = created;
  return { groups, generated };
}

/** With these charts in the place of those of their names; undefined stands for none. */
async function withChanges(index: ChartIndex, changed: ReadonlyMap<string, Chart | undefined>): Promise<ChartIndex> {
  if (changed.size === 0) return index;
  const byGroup = new Map<number, [string, Chart | undefined][]>();
  for (const change of changed) {
    const at = Math.max(groupAt(index.groups, change[0]), 0);
    byGroup.set(at, [...(byGroup.get(at) ?? []), change]);
  }
  const groups: ChartGroup[] = [];
  for (const [at, group] of index.groups.entries()) {
    const changes = byGroup.get(at);
    if (changes) groups.push(...changedGroup(group, changes));
    else groups.push(group);
    if (changes && at % 50 === 0) await turn();
  }
  if (index.groups.length === 0) groups.push(...changedGroup(undefined, byGroup.get(0) ?? []));
  return fromGroups(groups);
}

/** The group in whose range a name lies: the last that does not begin behind it. */
function groupAt(groups: readonly ChartGroup[], name: string): number {
  let [low, high] = [0, groups.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((groups[middle]?.first ?? '') <= name) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function changedGroup(
  group: ChartGroup | undefined,
  changes: readonly (readonly [string, Chart | undefined])[],
): ChartGroup[] {
  const charts = new Map(group?.charts.map((chart) => [chart.name, chart]));
  for (const [name, chart] of changes) {
    if (chart) charts.set(name, chart);
    else charts.delete(name);
  }
  return groupsOf([...charts.values()].sort(byName));
}

/** The chart of this name. */
export function findChart(index: ChartIndex, name: string): Chart | undefined {
  return index.groups[groupAt(index.groups, name)]?.charts.find((chart) => chart.name === name);
}

/** The union by name and version; of equal ones the first stays. */
export async function mergeIndexes(indexes: readonly ChartIndex[]): Promise<ChartIndex> {
  const charts = new Map<string, Chart>();
  let done = 0;
  for (const index of indexes) {
    for (const group of index.groups) {
      for (const chart of group.charts) {
        const known = charts.get(chart.name);
        charts.set(chart.name, known ? mergeCharts(known, chart) : chart);
        done += 1;
        if (done % STEP === 0) await turn();
      }
    }
  }
  return indexOf([...charts.values()]);
}

function mergeCharts(first: Chart, second: Chart): Chart {
  const known = new Set(first.entries.map(({ version }) => version));
  const added = second.entries.filter(({ version }) => !known.has(version));
  return added.length === 0 ? first : (chartOf(first.name, [...first.entries, ...added]) ?? first);
}

/** Only entries that pass; groups all of whose entries do stay the same. */
export async function filterIndex(
  index: ChartIndex,
  passes: (entry: ChartEntry, chart: Chart) => boolean,
): Promise<ChartIndex> {
  const groups: ChartGroup[] = [];
  for (const group of index.groups) {
    const charts = group.charts.flatMap((chart) => {
      const entries = chart.entries.filter((entry) => passes(entry, chart));
      return entries.length === chart.entries.length ? chart : (chartOf(chart.name, entries) ?? []);
    });
    const isSame = charts.length === group.charts.length && charts.every((chart, i) => chart === group.charts[i]);
    if (isSame) groups.push(group);
    else if (charts.length > 0) groups.push(groupOf(charts));
    await turn();
  }
  const isSame = groups.length === index.groups.length && groups.every((group, i) => group === index.groups[i]);
  return isSame ? index : fromGroups(groups);
}
