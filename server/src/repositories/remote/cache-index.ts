/**
 * Reads what came from upstreams as what was deployed is read, so that it can be shown and searched: a job for every few
 * files, after they were kept. Documents of remote repositories are made of what their upstreams say all the same.
 */
import { z } from 'zod';
import { SYSTEM } from '../../auth/accounts.ts';
import { remoteKeyOf } from '../../core/cache-keys.ts';
import { AppError } from '../../core/errors.ts';
import type { Format } from '../../core/format.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { Principal } from '../../core/principal.ts';
import type { Repository } from '../../core/repository.ts';
import { addCachedVersion, type CachedVersion } from '../../db/cached-versions.ts';
import type { Database, Tx } from '../../db/database.ts';
import { insertJob } from '../../db/jobs.ts';
import { listRepositories } from '../../db/repositories.ts';
import type { Consumer } from '../../events/feed.ts';
import type { JobContext, JobDefinition } from '../../jobs/job.ts';

export interface CacheIndexDeps {
  readonly database: Database;
  readonly formats: readonly Format[];
  readonly repositories: {
    get(key: string, principal: Principal): Pick<Repository, 'get' | 'settings' | 'packageType'> | undefined;
    idOf(key: Repository['key']): number | undefined;
  };
}

const JOB = 'index-cached';
/** Files of one job: their rows are written at once. */
const TOGETHER = 20;
/** Whoever waits for other work goes first. */
const PRIORITY = -10;
const payload = z.strictObject({ repo: z.string(), paths: z.array(z.string()) });

/** Writes jobs for what was put into caches of formats that read their files. */
export function cacheIndexConsumer({ formats }: Pick<CacheIndexDeps, 'formats'>): Consumer {
  return {
    name: JOB,
    from: 'beginning',
    async handle(tx, events) {
      const paths = new Map<string, Set<RepoPath>>();
      for (const event of events) {
        if (event.type !== 'artifact.deposited' || remoteKeyOf(event.repo) === undefined) continue;
        const known = paths.get(event.repo) ?? new Set();
        paths.set(event.repo, known.add(event.path));
      }
      if (paths.size === 0) return;
      const rows = new Map((await listRepositories(tx)).map((row) => [row.key as string, row]));
      for (const [repo, all] of paths) {
        const remote = rows.get(remoteKeyOf(repo) ?? '');
        const format = remote?.rclass === 'remote' ? formatOf(formats, remote.packageType) : undefined;
        if (!format?.ingest) continue;
        await enqueue(
          tx,
          repo,
          [...all].filter((path) => format.classify(path).kind === 'artifact'),
        );
      }
    },
  };
}

async function enqueue(tx: Tx, repo: string, paths: readonly RepoPath[]): Promise<void> {
  for (let from = 0; from < paths.length; from += TOGETHER) {
    const job = JSON.stringify({ repo, paths: paths.slice(from, from + TOGETHER) });
    await insertJob(tx, { name: JOB, payload: job, dedupeKey: undefined, priority: PRIORITY, runAt: undefined });
  }
}

/** Reads the files and writes their rows; what is gone meanwhile, or is nothing that an index names, is passed over. */
export function cacheIndexJob(deps: CacheIndexDeps): JobDefinition<unknown> {
  const job: JobDefinition<z.infer<typeof payload>> = {
    name: JOB,
    payload,
    maxAttempts: 5,
    leaseMs: 60_000,
    async run({ repo, paths }, context) {
      const found: CachedVersion[] = [];
      let trouble: unknown;
      for (const path of paths) {
        context.signal.throwIfAborted();
        await context.heartbeat();
        try {
          const cached = await readCached(deps, repo, path as RepoPath);
          if (cached) found.push(cached);
        } catch (error) {
          // One file that cannot be read now must not keep the others from being known.
          trouble ??= error;
        }
      }
      await write(deps.database, found, context);
      if (trouble !== undefined) throw trouble;
    },
  };
  return job as JobDefinition<unknown>;
}

/** A loss takes back the rows and the end of the job alike. */
async function write(database: Database, found: readonly CachedVersion[], context: JobContext): Promise<void> {
  if (found.length === 0) return;
  await database.transaction(
    async (tx) => {
      await context.requireLease(tx);
      for (const cached of found) await addCachedVersion(tx, cached);
    },
    { durable: false },
  );
}

async function readCached(deps: CacheIndexDeps, key: string, path: RepoPath): Promise<CachedVersion | undefined> {
  const repo = deps.repositories.get(key, SYSTEM);
  const repoId = deps.repositories.idOf(key as Repository['key']);
  const format = repo && formatOf(deps.formats, repo.packageType);
  const asset = await repo?.get(path);
  if (!repo || !asset || repoId === undefined || !format?.ingest) return undefined;
  try {
    const { version, properties = {} } = await format.ingest({
      path,
      content: asset.content,
      // Older sums would have to be made of all the bytes; what needs them makes them itself.
      checksums: { sha256: asset.sha256, sha1: '', md5: '' },
      settings: repo.settings,
      packageType: repo.packageType,
      rclass: 'remote',
    });
    return version && { repoId, nodeId: asset.nodeId, sha256: asset.sha256, version, properties };
  } catch (error) {
    // What a format refuses stays as the upstream has it, in no index.
    if (error instanceof AppError && REFUSED.has(error.code)) return undefined;
    throw error;
  }
}

const REFUSED: ReadonlySet<string> = new Set(['invalid', 'conflict', 'not_supported', 'too_large']);

function formatOf(formats: readonly Format[], packageType: string): Format | undefined {
  return formats.find(({ packageTypes }) => packageTypes.includes(packageType));
}
