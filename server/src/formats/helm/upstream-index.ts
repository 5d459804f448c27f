/** Reads the index of an upstream: a large one in a thread of its own, since nobody else should wait for it. */
import { Worker } from 'node:worker_threads';
import { AppError } from '../../core/errors.ts';
import { Spell } from '../../lib/spell.ts';
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

export type WorkerMessage =
  | { readonly parts: readonly ChartPart[] }
  | { readonly done: true }
  | { readonly problem: string };

export interface WorkerInput {
  readonly bytes: SharedArrayBuffer;
  readonly origin: Origin;
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
    if (error instanceof IndexProblem) throw new AppError('invalid', error.message, {}, { cause: error });
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
  const input: WorkerInput = { bytes: await shared(bytes), origin };
  const worker = new Worker(new URL('./upstream-worker.ts', import.meta.url), {
    workerData: input,
    resourceLimits: { maxOldGenerationSizeMb: MAX_MEMORY_MB },
  });
  const parts: ChartPart[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new IndexProblem('The index took too long to read.')), MAX_MS);
  worker.on('message', (message: WorkerMessage) => {
    if ('parts' in message) for (const part of message.parts) parts.push(part);
    else if ('problem' in message) reject(new IndexProblem(message.problem));
    else resolve();
  });
  worker.on('error', (error: NodeJS.ErrnoException) => {
    const isTooLarge = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    reject(isTooLarge ? new IndexProblem('The index needs more memory than it may have.') : error);
  });
  worker.on('exit', () => reject(new Error('the thread that reads an index ended early')));
  try {
    await promise;
    return await joined(parts);
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

/** So much is copied in a millisecond or two. */
const COPIED_BYTES = 4 * 1024 * 1024;

/** A copy for the thread, since the bytes are still needed here: handed over whole, it would be made at once. */
async function shared(bytes: Buffer): Promise<SharedArrayBuffer> {
  const spell = new Spell();
  const copy = new SharedArrayBuffer(bytes.length);
  const target = Buffer.from(copy);
  for (let at = 0; at < bytes.length; at += COPIED_BYTES) {
    bytes.copy(target, at, at, at + COPIED_BYTES);
    if (spell.isOver) await spell.rest();
  }
  return copy;
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
