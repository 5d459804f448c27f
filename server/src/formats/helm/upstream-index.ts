/** Reads the index of an upstream: a large one in a thread of its own, since nobody else should wait for it. */
import { AppError } from '../../core/errors.ts';
import { Spell } from '../../lib/spell.ts';
import { readInThread, ThreadProblem } from '../../lib/thread.ts';
import { type Chart, type ChartEntry, chartOfSorted } from './chart.ts';
import { type ChartIndex, indexOfSorted } from './chart-index.ts';
import { IndexProblem, type Origin, readCharts } from './upstream-charts.ts';

/** Reading so much takes some milliseconds. */
const SMALL_BYTES = 64 * 1024;
const MAX_MS = 120_000;
const MAX_MEMORY_MB = 2048;

/** Versions of a chart in their order; those of one with many come in several parts behind one another. */
export interface ChartPart {
  readonly name: string;
  readonly entries: readonly ChartEntry[];
}

export async function parseIndex(
  bytes: Buffer,
  { base, settings }: { readonly base: URL; readonly settings: Readonly<Record<string, unknown>> },
): Promise<ChartIndex> {
  const origin = originOf(base, settings);
  try {
    const charts =
      bytes.length <= SMALL_BYTES ? [...readCharts(bytes.toString('utf8'), origin)] : await readApart(bytes, origin);
    return indexOfSorted(charts);
  } catch (error) {
    if (error instanceof IndexProblem || error instanceof ThreadProblem)
      throw new AppError('invalid', error.message, {}, { cause: error });
    throw error;
  }
}

function originOf(base: URL, settings: Readonly<Record<string, unknown>>): Origin {
  const patterns = settings['externalDependenciesPatterns'];
  const limited = settings['externalDependenciesEnabled'] === true && Array.isArray(patterns) && patterns.length > 0;
  const charts = settings['chartsBaseUrl'];
  return {
    base: base.href,
    chartsBaseUrl: typeof charts === 'string' ? charts : '',
    patterns: limited ? patterns.map(String) : undefined,
  };
}

async function readApart(bytes: Buffer, origin: Origin): Promise<Chart[]> {
  const parts: ChartPart[] = [];
  await readInThread<Origin, readonly ChartPart[]>(bytes, {
    script: new URL('./upstream-worker.ts', import.meta.url),
    input: origin,
    maxMs: MAX_MS,
    maxMemoryMb: MAX_MEMORY_MB,
    take: (more) => {
      for (const part of more) parts.push(part);
    },
  });
  return joined(parts);
}

async function joined(parts: readonly ChartPart[]): Promise<Chart[]> {
  const spell = new Spell();
  const charts: Chart[] = [];
  let entries: ChartEntry[] = [];
  for (const [i, part] of parts.entries()) {
    entries.push(...part.entries);
    if (parts[i + 1]?.name === part.name) continue;
    const chart = chartOfSorted(part.name, entries);
    if (chart) charts.push(chart);
    entries = [];
    if (spell.isOver) await spell.rest();
  }
  return charts;
}
