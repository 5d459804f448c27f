/** The thread that reads a large index; it hands on what it found a little at a time. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Chart } from './chart-index.ts';
import { IndexProblem, readCharts } from './upstream-charts.ts';
import type { WorkerInput, WorkerMessage } from './upstream-index.ts';

/** Taking on so much takes others a millisecond or two. */
const BATCH_BYTES = 512 * 1024;

const { bytes, origin } = workerData as WorkerInput;

function post(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

try {
  let batch: Chart[] = [];
  let size = 0;
  for (const chart of readCharts(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'), origin)) {
    batch.push(chart);
    size += chart.bytes;
    if (size < BATCH_BYTES) continue;
    post({ charts: batch });
    batch = [];
    size = 0;
  }
  post({ charts: batch });
  post({ done: true });
} catch (error) {
  if (!(error instanceof IndexProblem)) throw error;
  post({ problem: error.message });
}
