/** What administrators ask of a remote repository: how it does, whether its upstream answers, and to forget what it knows. */
import { AppError } from '../../core/errors.ts';
import { clip, type RepoPath, ROOT } from '../../core/ids.ts';
import { type Upstream, UpstreamFailure } from '../../core/upstream.ts';
import type { Database } from '../../db/database.ts';
import { expireRemoteItems } from '../../db/remote-items.ts';
import { listRepositories, type RepositoryRow } from '../../db/repositories.ts';
import type { EventLog } from '../../events/event-log.ts';
import { settingOf } from '../settings.ts';
import { isOfflineMode, type SystemConfiguration } from '../system-configuration.ts';
import type { RemoteTraffic } from './traffic.ts';

export interface InspectionDeps {
  readonly database: Database;
  readonly events: EventLog;
  readonly configuration: SystemConfiguration;
  readonly remotes: {
    upstreamOf(row: RepositoryRow): Upstream;
    readonly freshness: { forget(repoId: number): void };
    readonly traffic: RemoteTraffic;
  };
}

/** Part of the subject of the event that has other processes forget what they remember of a repository. */
export const FORGOTTEN = 'remote-cache';

/** What came of a connection test: a class, and nothing of the answer. */
export type TestOutcome =
  | 'ok'
  | 'unauthorized'
  | 'rate-limited'
  | 'failing'
  | 'unreachable'
  | 'timeout'
  | 'broken'
  | 'refused'
  | 'paused';

export interface RemoteStatus {
  readonly key: string;
  /** Whether the upstream would be asked now. */
  readonly online: boolean;
  readonly offline: boolean;
  readonly blackedOut: boolean;
  readonly assumedOfflineUntil: string | null;
  readonly pause: { readonly reason: string; readonly until: string; readonly message: string } | null;
  readonly rateLimit: {
    readonly limit: number | null;
    readonly remaining: number;
    readonly windowSeconds: number | null;
    readonly seenAt: string;
  } | null;
  readonly lastTrouble: { readonly at: string; readonly message: string } | null;
  readonly requests: Readonly<Record<string, number>>;
  readonly upstreamRequests: Readonly<Record<string, number>>;
  readonly savedBytes: number;
  readonly fetchedBytes: number;
}

const TEST_MS = 20_000;
const PAGE = 200;

/** How the remote repository does, as this process knows; `not_found` where there is none. */
export async function statusOf(deps: InspectionDeps, key: string): Promise<RemoteStatus> {
  const row = await requireRemote(deps.database, key);
  const traffic = deps.remotes.traffic.of(row.key);
  const offline = settingOf('offline', row) === true || isOfflineMode(deps.configuration);
  const blackedOut = settingOf('blackedOut', row) === true;
  const { pause, budget, problem } = reached(deps, row);
  const trouble = problem ?? traffic?.lastTrouble;
  return {
    key: row.key,
    online: !offline && !blackedOut && !pause && !problem,
    offline,
    blackedOut,
    assumedOfflineUntil: pause?.reason === 'assumed-offline' ? pause.until.toISOString() : null,
    pause: pause ? { reason: pause.reason, until: pause.until.toISOString(), message: pause.message } : null,
    rateLimit: budget
      ? {
          limit: budget.limit ?? null,
          remaining: budget.remaining,
          windowSeconds: budget.windowSeconds ?? null,
          seenAt: budget.seenAt.toISOString(),
        }
      : null,
    lastTrouble: trouble ? { at: trouble.at.toISOString(), message: trouble.message } : null,
    requests: { ...traffic?.served },
    upstreamRequests: Object.fromEntries(traffic?.upstream ?? []),
    savedBytes: traffic?.savedBytes ?? 0,
    fetchedBytes: traffic?.fetchedBytes ?? 0,
  };
}

/** Asks the upstream for its root, and tells no more than whether that went well: neither what it said nor how fast. */
export async function testConnection(deps: InspectionDeps, key: string): Promise<TestOutcome> {
  const row = await requireRemote(deps.database, key);
  try {
    const upstream = deps.remotes.upstreamOf(row);
    const answer = await upstream.request({ method: 'GET', path: '', signal: AbortSignal.timeout(TEST_MS) });
    answer.body.once('error', () => undefined).destroy();
    const { status } = answer;
    if (status === 401 || status === 403) return 'unauthorized';
    if (status === 429) return 'rate-limited';
    return status >= 500 ? 'failing' : 'ok';
  } catch (error) {
    if (error instanceof UpstreamFailure) return error.trouble;
    if (error instanceof Error && error.name === 'TimeoutError') return 'timeout';
    throw error;
  }
}

/**
 * Has everything at the path and below asked for again when it is wanted: what is held is compared, what was missing
 * is looked for. Where things are remembered by other names than paths, all of the repository is.
 */
export async function forgetFreshness(
  deps: InspectionDeps,
  key: string,
  {
    path,
    by,
    hasPaths,
  }: { readonly path: RepoPath; readonly by: string; readonly hasPaths: (packageType: string) => boolean },
): Promise<void> {
  const row = await requireRemote(deps.database, key);
  const below = path !== '' && hasPaths(row.packageType) ? path : ROOT;
  // Before the rows change, for fetches under way that have none yet; and after, for what was read meanwhile.
  deps.remotes.freshness.forget(row.id);
  for (let after: string | undefined; ; ) {
    const page = { path: below, after, limit: PAGE };
    after = await deps.database.transaction((tx) => expireRemoteItems(tx, row.id, page), { durable: false });
    if (after === undefined) break;
    await new Promise(setImmediate);
  }
  const changes = { repo: row.key, path: clip(below, 300) };
  await deps.database.transaction((tx) =>
    deps.events.append(tx, [{ type: 'setting.changed', subject: FORGOTTEN, changes }], by),
  );
  deps.remotes.freshness.forget(row.id);
}

async function requireRemote(database: Database, key: string): Promise<RepositoryRow> {
  const row = (await database.read((db) => listRepositories(db))).find((each) => each.key === key);
  if (!row) throw new AppError('not_found', `There is no repository "${clip(key)}".`);
  if (row.rclass !== 'remote') throw new AppError('invalid', `The repository "${row.key}" is not a remote repository.`);
  return row;
}

function reached({ remotes }: InspectionDeps, row: RepositoryRow) {
  try {
    const { pause, budget } = remotes.upstreamOf(row);
    return { pause, budget, problem: undefined };
  } catch (error) {
    if (!(error instanceof UpstreamFailure)) throw error;
    return { pause: undefined, budget: undefined, problem: { at: new Date(), message: error.message } };
  }
}
