/** The thread that reads a large index. */
import { readHere } from '../../lib/thread.ts';
import { IndexProblem, type Origin, readCharts } from './upstream-charts.ts';
import type { ChartPart } from './upstream-index.ts';

/** Taking on so much takes others a millisecond or two. */
const BATCH_BYTES = 256 * 1024;

readHere<Origin, readonly ChartPart[]>(
  ({ bytes, input }, hand) => {
    let batch: ChartPart[] = [];
    let size = 0;
    for (const chart of readCharts(bytes.toString('utf8'), input)) {
      for (const { entries } of chart.runs) {
        batch.push({ name: chart.name, entries });
        for (const { json } of entries) size += json.length;
        if (size < BATCH_BYTES) continue;
        hand(batch);
        batch = [];
        size = 0;
      }
    }
    hand(batch);
  },
  (error) => (error instanceof IndexProblem ? error.message : undefined),
);
