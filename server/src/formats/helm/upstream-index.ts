/** Reads the index of an upstream: a large one in a thread of its own, since nobody else should wait for it. */
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { AppError } from '../../core/errors.ts';
import { type Chart, type ChartIndex, indexOf } from './chart-index.ts';
import { IndexProblem, type Origin, readCharts } from './upstream-charts.ts';

/** Reading so much takes some milliseconds. */
const SMALL_BYTES = 64 * 1024;
const MAX_MS = 120_000;
const MAX_MEMORY_MB = 2048;

export type WorkerMessage =
  | { readonly charts: readonly Chart[] }
  | { readonly done: true }
  | { readonly problem: string };

export interface WorkerInput {
  readonly bytes: Uint8Array;
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
    return indexOf(charts);
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
  const input: WorkerInput = { bytes, origin };
  const worker = new Worker(new URL('./upstream-worker.ts', import.meta.url), {
    workerData: input,
    resourceLimits: { maxOldGenerationSizeMb: MAX_MEMORY_MB },
  });
  const charts: Chart[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new IndexProblem('The index took too long to read.')), MAX_MS);
  worker.on('message', (message: WorkerMessage) => {
    if ('charts' in message) for (const chart of message.charts) charts.push(chart);
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
    await turn();
    return charts;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
