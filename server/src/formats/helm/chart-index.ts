/**
 * The index of a repository: its charts in groups that never change, so that whoever adds one makes one group anew and
 * all the others, with what was rendered of them, stay what they are.
 */
import type { RepositoryMarks } from '../../core/document.ts';
import { Cutter } from '../../lib/cutter.ts';
import { sortInTurns } from '../../lib/sort-in-turns.ts';
import { Spell } from '../../lib/spell.ts';
import { type Chart, type ChartEntry, chartOfSorted, mergeCharts } from './chart.ts';

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

const groups = new Cutter<Chart, ChartGroup>({
  minBytes: 32 * 1024,
  maxBytes: 128 * 1024,
  sizeOf: ({ bytes }) => bytes,
  nameOf: ({ name }) => name,
  make: groupOf,
  itemsOf: ({ charts }) => charts,
});

const NEVER = new Date(0).toISOString();

/** Of charts in any order, one of each name. */
export async function indexOf(charts: readonly Chart[]): Promise<ChartIndex> {
  return indexOfSorted(await sortInTurns(charts, byName));
}

/** Of charts by name. Groups that were there before are the same. */
export async function indexOfSorted(charts: Iterable<Chart>): Promise<ChartIndex> {
  const spell = new Spell();
  const found: ChartGroup[] = [];
  let generated = NEVER;
  for (const group of groups.cut(charts)) {
    found.push(group);
    if (group.created > generated) generated = group.created;
    if (spell.isOver) await spell.rest();
  }
  return { groups: found, generated };
}

function byName(a: Chart, b: Chart): number {
  return a.name < b.name ? -1 : 1;
}

function groupOf(charts: readonly Chart[]): ChartGroup {
  let created = '';
  for (const { entries } of charts) for (const entry of entries) if (entry.created > created) created = entry.created;
  return { charts, first: charts[0]?.name ?? '', created };
}

/** All charts by name. */
export function* chartsOf(index: Pick<ChartIndex, 'groups'>): Generator<Chart, void, void> {
  for (const { charts } of index.groups) yield* charts;
}

/** With these charts in the place of those of their names; undefined stands for none. */
export async function withChanges(
  index: ChartIndex,
  changed: ReadonlyMap<string, Chart | undefined>,
): Promise<ChartIndex> {
  if (changed.size === 0) return index;
  const fresh = [...changed.values()].filter((chart) => chart !== undefined);
  return indexOfSorted(replaced(index, changed, await sortInTurns(fresh, byName)));
}

function* replaced(
  index: ChartIndex,
  changed: ReadonlyMap<string, Chart | undefined>,
  fresh: readonly Chart[],
): Generator<Chart, void, void> {
  let next = 0;
  for (const chart of chartsOf(index)) {
    for (let one = fresh[next]; one && one.name <= chart.name; one = fresh[next]) {
      yield one;
      next += 1;
    }
    if (!changed.has(chart.name)) yield chart;
  }
  yield* fresh.slice(next);
}

/** The chart of this name. */
export function findChart({ groups: all }: ChartIndex, name: string): Chart | undefined {
  let [low, high] = [0, all.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((all[middle]?.first ?? '') <= name) low = middle + 1;
    else high = middle;
  }
  return all[low - 1]?.charts.find((chart) => chart.name === name);
}

/** The union by name and version; of equal ones the first stays. Groups in which only one has charts are that one's. */
export async function mergeIndexes(indexes: readonly ChartIndex[]): Promise<ChartIndex> {
  const spell = new Spell();
  const iterators = indexes.map((index) => chartsOf(index));
  const heads = iterators.map((iterator) => iterator.next().value ?? undefined);
  const charts: Chart[] = [];
  for (;;) {
    let name: string | undefined;
    for (const head of heads) if (head && (name === undefined || head.name < name)) name = head.name;
    if (name === undefined) return indexOfSorted(charts);
    let chart: Chart | undefined;
    for (const [i, head] of heads.entries()) {
      if (head?.name !== name) continue;
      chart = chart ? await mergeCharts(chart, head) : head;
      heads[i] = iterators[i]?.next().value ?? undefined;
    }
    if (chart) charts.push(chart);
    if (spell.isOver) await spell.rest();
  }
}

/** Only entries that pass; groups all of whose entries do stay the same. */
export async function filterIndex(
  index: ChartIndex,
  passes: (entry: ChartEntry, chart: Chart) => boolean,
): Promise<ChartIndex> {
  const spell = new Spell();
  const charts: Chart[] = [];
  let isSame = true;
  for (const chart of chartsOf(index)) {
    const entries: ChartEntry[] = [];
    for (const entry of chart.entries) {
      if (passes(entry, chart)) entries.push(entry);
      if (spell.isOver) await spell.rest();
    }
    const kept = entries.length === chart.entries.length ? chart : chartOfSorted(chart.name, entries);
    if (kept !== chart) isSame = false;
    if (kept) charts.push(kept);
  }
  return isSame ? index : indexOfSorted(charts);
}
