/** What remote repositories were asked for and what their upstreams answered, counted since the start of this process. */
import type { RepoKey } from '../../core/ids.ts';
import type { UpstreamObservation } from '../../upstream/sender.ts';

/**
 * What came of a request: served from the cache, the same although it may be out of date, fetched, not there, or failed.
 */
export type ServedOutcome = 'hit' | 'stale' | 'miss' | 'absent' | 'failed';

export interface RepositoryTraffic {
  readonly served: Readonly<Record<ServedOutcome, number>>;
  /** Bytes of files that clients fetched from the cache to their end. */
  readonly savedBytes: number;
  readonly fetchedBytes: number;
  /** Requests sent, by class of status or by what kept an answer from coming. */
  readonly upstream: ReadonlyMap<string, number>;
  readonly latency: Latency;
  readonly lastTrouble: Trouble | undefined;
}

/** How long upstreams took to begin an answer, in seconds. */
export interface Latency {
  /** Requests by the first limit of `LATENCY_SECONDS` that they kept; longer ones are in no bucket. */
  readonly buckets: readonly number[];
  readonly count: number;
  readonly sum: number;
}

export interface Trouble {
  readonly at: Date;
  /** In a sentence, without what was asked for. */
  readonly message: string;
}

export const LATENCY_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60] as const;
/** Further repositories are counted together, so that what is shown stays small. */
const MAX_REPOSITORIES = 500;
export const THE_REST = '*' as RepoKey;

interface Counted {
  served: Record<ServedOutcome, number>;
  savedBytes: number;
  fetchedBytes: number;
  upstream: Map<string, number>;
  latency: { buckets: number[]; count: number; sum: number };
  lastTrouble: Trouble | undefined;
}

export class RemoteTraffic {
  readonly #byKey = new Map<string, Counted>();

  served(repo: RepoKey, outcome: ServedOutcome): void {
    this.#of(repo).served[outcome] += 1;
  }

  /** A client fetched a file to its end, and nobody upstream was asked for the bytes. */
  saved(repo: RepoKey, bytes: number): void {
    this.#of(repo).savedBytes += bytes;
  }

  /** One request that went out. */
  observed(seen: UpstreamObservation): void {
    const { key, status, trouble, millisecondsToHeaders, bytes } = seen;
    const counted = this.#of(key as RepoKey);
    const outcome = trouble !== undefined && trouble !== 'abandoned' ? trouble : classOf(status);
    counted.upstream.set(outcome, (counted.upstream.get(outcome) ?? 0) + 1);
    counted.fetchedBytes += bytes;
    if (millisecondsToHeaders !== undefined) note(counted.latency, millisecondsToHeaders / 1000);
    const message = troubleIn(seen);
    if (message !== undefined) counted.lastTrouble = { at: new Date(), message };
  }

  /** What was counted for the repository; undefined where nothing was yet. */
  of(repo: RepoKey): RepositoryTraffic | undefined {
    return this.#byKey.get(repo);
  }

  all(): ReadonlyMap<string, RepositoryTraffic> {
    return this.#byKey;
  }

  /** Forgets repositories that are gone. */
  keep(isThere: (repo: string) => boolean): void {
    for (const key of this.#byKey.keys()) if (key !== THE_REST && !isThere(key)) this.#byKey.delete(key);
  }

  #of(repo: RepoKey): Counted {
    const known = this.#byKey.get(repo);
    if (known) return known;
    if (repo !== THE_REST && this.#byKey.size >= MAX_REPOSITORIES) return this.#of(THE_REST);
    const counted: Counted = {
      served: { hit: 0, stale: 0, miss: 0, absent: 0, failed: 0 },
      savedBytes: 0,
      fetchedBytes: 0,
      upstream: new Map(),
      latency: { buckets: LATENCY_SECONDS.map(() => 0), count: 0, sum: 0 },
      lastTrouble: undefined,
    };
    this.#byKey.set(repo, counted);
    return counted;
  }
}

function note(latency: Counted['latency'], seconds: number): void {
  latency.count += 1;
  latency.sum += seconds;
  const bucket = LATENCY_SECONDS.findIndex((limit) => seconds <= limit);
  if (bucket >= 0) latency.buckets[bucket] = (latency.buckets[bucket] ?? 0) + 1;
}

function classOf(status: number | undefined): string {
  return status === undefined ? 'abandoned' : `${Math.floor(status / 100)}xx`;
}

const TROUBLES: Readonly<Record<string, string>> = {
  unreachable: 'could not be reached',
  timeout: 'did not answer in time',
  broken: 'broke off its answer, or sent none',
  refused: 'may not be asked, or sent us where nothing may be asked',
  'rate-limited': 'has asked for time',
  paused: 'is not asked at present',
};

function troubleIn({ host, status, trouble }: UpstreamObservation): string | undefined {
  if (trouble !== undefined && trouble !== 'abandoned') return `Host "${host}" ${TROUBLES[trouble] ?? 'failed'}.`;
  if (status === 401 || status === 403) return `Host "${host}" answered ${status}: it wants other credentials.`;
  if (status === 429 || (status !== undefined && status >= 500)) return `Host "${host}" answered ${status}.`;
  return undefined;
}
