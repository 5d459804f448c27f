/** Metrics in the Prometheus format. Labels come from bounded sets: never paths, versions or users. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<'area' | 'method' | 'status'>;
  readonly #duration: Histogram<'area'>;
  readonly #bytes: Counter<'area'>;

  constructor() {
    collectDefaultMetrics({ register: this.#registry, prefix: 'entrepot_' });
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: 'entrepot_http_requests_total',
      help: 'Requests answered, by what they addressed, method and class of status',
      labelNames: ['area', 'method', 'status'],
      registers,
    });
    this.#duration = new Histogram({
      name: 'entrepot_http_request_duration_seconds',
      help: 'Time from the head of a request to the end of its answer',
      labelNames: ['area'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
      registers,
    });
    this.#bytes = new Counter({
      name: 'entrepot_http_sent_bytes_total',
      help: 'Bytes of bodies sent',
      labelNames: ['area'],
      registers,
    });
  }

  observeRequest(seen: { area: string; method: string; status: number; durationMs: number; sentBytes: number }): void {
    const { area } = seen;
    this.#requests.inc({ area, method: seen.method, status: `${Math.floor(seen.status / 100)}xx` });
    this.#duration.observe({ area }, seen.durationMs / 1000);
    if (seen.sentBytes > 0) this.#bytes.inc({ area }, seen.sentBytes);
  }

  /** A value that is asked for when the metrics are read. */
  gauge(name: string, help: string, read: () => Promise<number> | number): void {
    new Gauge({
      name: `entrepot_${name}`,
      help,
      registers: [this.#registry],
      async collect() {
        this.set(await read());
      },
    });
  }

  /** Something that happened a number of times. */
  counter(name: string, help: string): (by?: number) => void {
    const counter = new Counter({ name: `entrepot_${name}`, help, registers: [this.#registry] });
    return (by = 1) => counter.inc(by);
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }
}
