/** The metrics of remote repositories: each of them is a label, and only so many are. */
import { LATENCY_SECONDS, type RemoteTraffic, type RepositoryTraffic } from '../repositories/remote/traffic.ts';
import type { Metrics } from './metrics.ts';

export interface RemoteMetricsDeps {
  readonly traffic: Pick<RemoteTraffic, 'all'>;
  /** Repositories whose upstreams are not asked at present, and why. */
  pauses(): Iterable<readonly [repo: string, reason: string]>;
}

/** Has what remote repositories do shown among the metrics. */
export function registerRemoteMetrics(metrics: Metrics, { traffic, pauses }: RemoteMetricsDeps): void {
  const each = <T>(samples: (of: RepositoryTraffic, repo: string) => readonly T[]) =>
    [...traffic.all()].flatMap(([repo, of]) => samples(of, repo));
  metrics.samples(
    'remote_requests_total',
    'Requests to remote repositories: served from the cache (hit, stale), fetched (miss), not there, or failed',
    'counter',
    () => each(({ served }, repo) => Object.entries(served).map(([outcome, count]) => [{ repo, outcome }, count])),
  );
  metrics.samples(
    'remote_saved_bytes_total',
    'Bytes of files that clients fetched from the caches of remote repositories',
    'counter',
    () => each(({ savedBytes }, repo) => [[{ repo }, savedBytes]]),
  );
  metrics.samples('remote_fetched_bytes_total', 'Bytes that upstreams sent', 'counter', () =>
    each(({ fetchedBytes }, repo) => [[{ repo }, fetchedBytes]]),
  );
  metrics.samples(
    'remote_upstream_requests_total',
    'Requests sent to upstreams, by class of status or by what kept an answer from coming',
    'counter',
    () => each(({ upstream }, repo) => Array.from(upstream, ([outcome, count]) => [{ repo, outcome }, count])),
  );
  metrics.histograms('remote_upstream_duration_seconds', 'Time until upstreams began to answer', LATENCY_SECONDS, () =>
    each(({ latency }, repo) => (latency.count > 0 ? [[{ repo }, latency]] : [])),
  );
  metrics.samples('remote_paused', 'Upstreams that are not asked at present, by the reason', 'gauge', () =>
    Array.from(pauses(), ([repo, reason]) => [{ repo, reason }, 1]),
  );
}
