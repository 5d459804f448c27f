/** Metrics in the Prometheus text format. Labels come from bounded sets: never paths, versions or users. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const BUCKETS_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600];

/** How long things took. */
interface Duration {
  readonly buckets: readonly number[];
  readonly count: number;
  readonly sum: number;
}

interface CountedDuration extends Duration {
  readonly buckets: number[];
  count: number;
  sum: number;
}

/** One family of samples: how it is called, what it is, and its lines. */
interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  lines(): Promise<readonly string[]> | readonly string[];
}

export class Metrics {
  readonly #families: Family[] = [];
  readonly #requests = new Map<string, number>();
  readonly #durations = new Map<string, CountedDuration>();
  readonly #sent = new Map<string, number>();
  readonly #loop = monitorEventLoopDelay({ resolution: 20 });

  constructor() {
    this.#loop.enable();
    this.#families.push(
      {
        name: 'http_requests_total',
        help: 'Requests answered, by what they addressed, method and class of status',
        type: 'counter',
        lines: () => [...this.#requests].map(([labels, value]) => `entrepot_http_requests_total{${labels}} ${value}`),
      },
      {
        name: 'http_request_duration_seconds',
        help: 'Time from the head of a request to the end of its answer',
        type: 'histogram',
        lines: () =>
          [...this.#durations].flatMap(([labels, duration]) =>
            histogramLines('entrepot_http_request_duration_seconds', labels, BUCKETS_SECONDS, duration),
          ),
      },
      {
        name: 'http_sent_bytes_total',
        help: 'Bytes of bodies sent',
        type: 'counter',
        lines: () => [...this.#sent].map(([labels, value]) => `entrepot_http_sent_bytes_total{${labels}} ${value}`),
      },
    );
    this.gauge('process_resident_memory_bytes', 'Memory of the process', () => process.memoryUsage.rss());
    this.gauge('process_heap_used_bytes', 'Memory in use for JavaScript objects', () => process.memoryUsage().heapUsed);
    this.gauge('process_cpu_seconds', 'Processor time used since the start', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    this.gauge('process_uptime_seconds', 'Time since the start', () => process.uptime());
    this.gauge('event_loop_delay_p99_seconds', 'How late work starts, for all but a hundredth of it', () => {
      return this.#loop.percentile(99) / 1e9;
    });
  }

  observeRequest(seen: { area: string; method: string; status: number; durationMs: number; sentBytes: number }): void {
    const area = `area="${seen.area}"`;
    add(this.#requests, `${area},method="${seen.method}",status="${Math.floor(seen.status / 100)}xx"`, 1);
    if (seen.sentBytes > 0) add(this.#sent, area, seen.sentBytes);
    let duration = this.#durations.get(area);
    if (!duration) {
      duration = { buckets: BUCKETS_SECONDS.map(() => 0), count: 0, sum: 0 };
      this.#durations.set(area, duration);
    }
    const seconds = seen.durationMs / 1000;
    duration.count += 1;
    duration.sum += seconds;
    const bucket = BUCKETS_SECONDS.findIndex((limit) => seconds <= limit);
    if (bucket >= 0) duration.buckets[bucket] = (duration.buckets[bucket] ?? 0) + 1;
  }

  /** A value that is asked for when the metrics are read. */
  gauge(name: string, help: string, read: () => Promise<number> | number): void {
    this.#families.push({ name, help, type: 'gauge', lines: async () => [`entrepot_${name} ${await read()}`] });
  }

  /** Something that happened a number of times. */
  counter(name: string, help: string): (by?: number) => void {
    let value = 0;
    this.#families.push({ name, help, type: 'counter', lines: () => [`entrepot_${name} ${value}`] });
    return (by = 1) => {
      value += by;
    };
  }

  /** Samples that are kept elsewhere: their labels and values, asked for when the metrics are read. */
  samples(
    name: string,
    help: string,
    type: 'counter' | 'gauge',
    read: () => Iterable<readonly [labels: Readonly<Record<string, string>>, value: number]>,
  ): void {
    const lines = () => Array.from(read(), ([labels, value]) => `entrepot_${name}{${renderLabels(labels)}} ${value}`);
    this.#families.push({ name, help, type, lines });
  }

  /** Histograms that are kept elsewhere; `buckets` are counts for each of the limits, not yet added up. */
  histograms(
    name: string,
    help: string,
    limits: readonly number[],
    read: () => Iterable<readonly [labels: Readonly<Record<string, string>>, seen: Duration]>,
  ): void {
    const full = `entrepot_${name}`;
    const lines = () =>
      [...read()].flatMap(([labels, seen]) => histogramLines(full, renderLabels(labels), limits, seen));
    this.#families.push({ name, help, type: 'histogram', lines });
  }

  async render(): Promise<string> {
    const parts: string[] = [];
    for (const { name, help, type, lines } of this.#families) {
      parts.push(`# HELP entrepot_${name} ${help}`, `# TYPE entrepot_${name} ${type}`, ...(await lines()));
    }
    return `${parts.join('\n')}\n`;
  }
}

function add(counts: Map<string, number>, labels: string, by: number): void {
  counts.set(labels, (counts.get(labels) ?? 0) + by);
}

function renderLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))}"`)
    .join(',');
}

/** Buckets are cumulative in this format. */
function histogramLines(
  name: string,
  labels: string,
  limits: readonly number[],
  { buckets, count, sum }: Duration,
): string[] {
  let below = 0;
  const lines = limits.map((limit, i) => {
    below += buckets[i] ?? 0;
    return `${name}_bucket{${labels},le="${limit}"} ${below}`;
  });
  return [
    ...lines,
    `${name}_bucket{${labels},le="+Inf"} ${count}`,
    `${name}_sum{${labels}} ${sum}`,
    `${name}_count{${labels}} ${count}`,
  ];
}
