/** Removes from caches what nobody has fetched for as long as the settings of a remote repository say. */
import { z } from 'zod';
import { cacheKeyOf } from '../../core/cache-keys.ts';
import type { Format } from '../../core/format.ts';
import { type RepoPath, splitPath } from '../../core/ids.ts';
import { type Database, lockTree, type Tx } from '../../db/database.ts';
import { expectAgain } from '../../db/expected-files.ts';
import { getSettingsOf, listRepositories, type RepositoryRow } from '../../db/repositories.ts';
import { listDownloadTimes } from '../../db/statistics.ts';
import { getSubtreeNode, listSubtree, removeNodes, type SubtreeNode } from '../../db/subtrees.ts';
import { noteLeft } from '../../db/tree-operations.ts';
import type { EventLog } from '../../events/event-log.ts';
import type { JobContext, JobDefinition, Schedule } from '../../jobs/job.ts';
import type { ReadOnly } from '../read-only.ts';
import { settingOf } from '../settings.ts';

export interface UnusedFilesDeps {
  readonly database: Database;
  readonly events: EventLog;
  readonly formats: readonly Format[];
  readonly readOnly: Pick<ReadOnly, 'of'>;
  /** What was counted and is not written yet counts too. */
  readonly downloads: { flush(): Promise<void> };
  readonly reviewDelayMs: number;
}

export interface CleanOptions {
  /** In epoch milliseconds. */
  readonly now: number;
  /** Awaited before each page; throws when the work has to stop. */
  proceed(): Promise<void>;
}

const PAGE = 100;
const HOUR_MS = 3_600_000;
const EVERY_MS = HOUR_MS;

/** The hourly job, and its schedule. */
export function unusedFilesJob(
  deps: UnusedFilesDeps,
  proceed: (context: JobContext) => () => Promise<void>,
): { readonly job: JobDefinition<unknown>; readonly schedule: Schedule } {
  const job: JobDefinition<object> = {
    name: 'clean-caches',
    payload: z.strictObject({}),
    maxAttempts: 3,
    leaseMs: 60_000,
    dedupe: () => 'clean-caches',
    async run(_payload, context) {
      await cleanCaches(deps, { now: Date.now(), proceed: proceed(context) });
    },
  };
  const untyped = job as JobDefinition<unknown>;
  return { job: untyped, schedule: { name: job.name, everyMs: EVERY_MS, job: untyped, payload: {} } };
}

/** Removes what is unused from the caches of all remote repositories that say how long that is; returns how many. */
export async function cleanCaches(deps: UnusedFilesDeps, options: CleanOptions): Promise<number> {
  let removed = 0;
  for (const row of await deps.database.read((db) => listRepositories(db))) {
    const hours = row.rclass === 'remote' ? hoursOf(row) : 0;
    // Where nothing may be written, the next run finds it all again.
    if (hours > 0 && !deps.readOnly.of(row.key)) {
      removed += await cleanCache(deps, row, { ...options, hours });
    }
  }
  return removed;
}

async function cleanCache(
  deps: UnusedFilesDeps,
  row: RepositoryRow,
  { now, hours, proceed }: CleanOptions & { readonly hours: number },
): Promise<number> {
  const { database } = deps;
  const before = now - hours * HOUR_MS;
  const format = deps.formats.find(({ packageTypes }) => packageTypes.includes(row.packageType));
  let removed = 0;
  for (let after: RepoPath | undefined; ; ) {
    await proceed();
    await deps.downloads.flush();
    const from = after;
    const page = await database.read((db) => listSubtree(db, row.id, '' as RepoPath, { after: from, limit: PAGE }));
    const old = page.filter((node) => isOld(node, before) && format?.classify(node.path).kind !== 'reserved');
    if (old.length > 0) {
      removed += await database.transaction((tx) => removeUnused(deps, tx, row, { candidates: old, before, hours }), {
        durable: false,
      });
    }
    after = page.at(-1)?.path;
    if (page.length < PAGE) return removed;
    await new Promise(setImmediate);
  }
}

function isOld(node: SubtreeNode, before: number): boolean {
  return !node.folder && Math.max(node.createdAt, node.modifiedAt) < before;
}

function hoursOf(row: Pick<RepositoryRow, 'packageType' | 'rclass' | 'config'>): number {
  return Number(settingOf('unusedArtifactsCleanupPeriodHours', row) ?? 0);
}

/**
 * Looks again, under the lock of the tree, at what was found: it may have been fetched anew since, or the settings may
 * say something else by now.
 */
async function removeUnused(
  { events, reviewDelayMs }: UnusedFilesDeps,
  tx: Tx,
  { id: repoId, key, ...row }: RepositoryRow,
  {
    candidates,
    before,
    hours,
  }: { readonly candidates: readonly SubtreeNode[]; readonly before: number; readonly hours: number },
): Promise<number> {
  await lockTree(tx, repoId, 'exclusive');
  const config = await getSettingsOf(tx, repoId, 'remote');
  if (!config || hoursOf({ ...row, config }) !== hours) return 0;
  const downloads = await listDownloadTimes(
    tx,
    candidates.map(({ id }) => id),
  );
  const unused: SubtreeNode[] = [];
  for (const { id, path } of candidates) {
    if ((downloads.get(id) ?? 0) >= before) continue;
    const node = await getSubtreeNode(tx, repoId, path);
    if (node?.id === id && isOld(node, before)) unused.push(node);
  }
  if (unused.length === 0) return 0;
  for (const { sha256, package: of, mediaType = '', ...file } of unused) {
    // What belongs to a release that stays is fetched again when it is wanted by its digest.
    if (sha256 && of !== undefined) await expectAgain(tx, repoId, { ...file, sha256, mediaType, package: of });
  }
  await removeNodes(tx, unused, Date.now() + reviewDelayMs);
  await noteLeft(tx, repoId, [...new Set(unused.map(({ path }) => splitPath(path).parent))]);
  await events.append(
    tx,
    unused.map(({ path }) => ({ type: 'artifact.deleted', repo: cacheKeyOf(key), path })),
    '_system_',
  );
  return unused.length;
}
