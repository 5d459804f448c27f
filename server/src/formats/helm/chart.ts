/** A chart as an index lists it: its versions, cut into runs, of which a new version makes one anew. */
import type { RepoPath } from '../../core/ids.ts';
import { Cutter } from '../../lib/cutter.ts';
import { sortInTurns } from '../../lib/sort-in-turns.ts';
import { Spell } from '../../lib/spell.ts';
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

export interface Run {
  readonly entries: readonly ChartEntry[];
}

export interface Chart {
  readonly name: string;
  /** The newest first. */
  readonly entries: readonly ChartEntry[];
  /** The same, a few at a time. */
  readonly runs: readonly Run[];
  readonly bytes: number;
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

/** What stands between two entries. */
const BETWEEN = 2;

const runs = new Cutter<ChartEntry, Run>({
  minBytes: 32 * 1024,
  maxBytes: 128 * 1024,
  sizeOf: ({ json }) => json.length + BETWEEN,
  nameOf: ({ version }) => version,
  make: (entries) => ({ entries }),
  itemsOf: ({ entries }) => entries,
});

/** Of versions in any order, one of each; undefined for a chart without any. */
export function chartOf(name: string, entries: readonly ChartEntry[]): Chart | undefined {
  return chartOfSorted(name, entries.toSorted(byVersion));
}

/** The same, letting others in where it takes its time. */
export async function chartInTurns(name: string, entries: readonly ChartEntry[]): Promise<Chart | undefined> {
  const spell = new Spell();
  for (const entry of entries) {
    orderOf(entry);
    if (spell.isOver) await spell.rest();
  }
  const sorted = await sortInTurns(entries, byVersion);
  if (sorted.length === 0) return undefined;
  const found: Run[] = [];
  for (const run of runs.cut(sorted)) {
    found.push(run);
    if (spell.isOver) await spell.rest();
  }
  return { name, entries: sorted, runs: found, bytes: bytesOf(name, sorted) };
}

/** Of versions that stand in their order. */
export function chartOfSorted(name: string, entries: readonly ChartEntry[]): Chart | undefined {
  if (entries.length === 0) return undefined;
  return { name, entries, runs: [...runs.cut(entries)], bytes: bytesOf(name, entries) };
}

function bytesOf(name: string, entries: readonly ChartEntry[]): number {
  let bytes = name.length + 8;
  for (const { json } of entries) bytes += json.length + BETWEEN;
  return bytes;
}

const NONE: ChartVersion = { numbers: [0n, 0n, 0n], prerelease: ['0'], build: '' };
const orders = new WeakMap<ChartEntry, ChartVersion>();

/** The entry's version as it compares; read once, since charts with many versions are sorted with each new one. */
function orderOf(entry: ChartEntry): ChartVersion {
  let order = orders.get(entry);
  if (!order) {
    order = parseVersion(entry.version) ?? NONE;
    orders.set(entry, order);
  }
  return order;
}

function byVersion(a: ChartEntry, b: ChartEntry): number {
  return compareVersions(orderOf(b), orderOf(a)) || (a.version < b.version ? 1 : -1);
}

interface Merged {
  readonly second: Chart;
  readonly chart: Chart;
}

const merged = new WeakMap<Chart, Merged>();

/** The union by version; of equal ones the first's stays. The same two make the same chart again. */
export async function mergeCharts(first: Chart, second: Chart): Promise<Chart> {
  const kept = merged.get(first);
  if (kept?.second === second) return kept.chart;
  const known = new Set(first.entries.map(({ version }) => version));
  const added = second.entries.filter(({ version }) => !known.has(version));
  const chart = added.length === 0 ? first : ((await chartInTurns(first.name, [...first.entries, ...added])) ?? first);
  merged.set(first, { second, chart });
  return chart;
}
