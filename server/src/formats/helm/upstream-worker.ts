/** The thread that reads a large index; it hands on what it found a little at a time. */
import { parentPort, workerData } from 'node:worker_threads';
import { IndexProblem, readCharts } from './upstream-charts.ts';
import type { ChartPart, WorkerInput, WorkerMessage } from './upstream-index.ts';

/** Taking on so much takes others a millisecond or two. */
const BATCH_BYTES = 256 * 1024;

const { bytes, origin } = workerData as WorkerInput;

function post(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

try {
  let batch: ChartPart[] = [];
  let size = 0;
  for (const chart of readCharts(Buffer.from(bytes).toString('utf8'), origin)) {
    for (const { entries } of chart.runs) {
      batch.push({ name: chart.name, entries });
      for (const { json } of entries) size += json.length;
      if (size < BATCH_BYTES) continue;
      post({ parts: batch });
      batch = [];
      size = 0;
    }
  }
  post({ parts: batch });
  post({ done: true });
} catch (error) {
  if (!(error instanceof IndexProblem)) throw error;
  post({ problem: error.message });
}
