/** Keeps the names of what lies in jars, zips and the like: a job for each that is deposited, by its central directory. */
import { z } from 'zod';
import { SYSTEM } from '../auth/accounts.ts';
import type { RepoPath } from '../core/ids.ts';
import type { Principal } from '../core/principal.ts';
import type { Asset, Repository } from '../core/repository.ts';
import {
  type ArchiveEntryRow,
  addArchiveEntries,
  beginArchive,
  finishArchive,
  isArchiveIndexed,
} from '../db/archives.ts';
import type { Database } from '../db/database.ts';
import { insertJob } from '../db/jobs.ts';
import type { Consumer } from '../events/feed.ts';
import type { JobContext, JobDefinition } from '../jobs/job.ts';
import { archiveKindOf, readArchive } from '../lib/archives/archive.ts';
import { type ArchiveLimits, ArchiveProblem } from '../lib/archives/budget.ts';

export interface ArchiveIndexDeps {
  readonly database: Database;
  readonly repositories: {
    get(key: string, principal: Principal): Pick<Repository, 'get' | 'descendants'> | undefined;
  };
  readonly config: { readonly archives: ArchiveLimits };
}

/** `again`: whatever is known of it already. */
const payload = z.strictObject({ repo: z.string(), path: z.string(), again: z.boolean().optional() });
const JOB = 'index-archive';
const PAGE = 200;
const BATCH = 500;
/** Longer names than paths can have are not looked for. */
const MAX_NAME = 2048;
const MAX_MS = 5 * 60_000;
/** Whoever waits for other work goes first. */
const PRIORITY = -10;

/** Writes a job for each deposit that is an archive by its name. */
export function archiveConsumer(): Consumer {
  return {
    name: 'archive-index',
    from: 'beginning',
    async handle(tx, events) {
      for (const event of events) {
        if (event.type !== 'artifact.deposited' || archiveKindOf(event.path) !== 'zip') continue;
        const { repo, path } = event;
        await insertJob(tx, {
          name: JOB,
          payload: JSON.stringify({ repo, path }),
          dedupeKey: `${repo}/${path}`,
          priority: PRIORITY,
          runAt: undefined,
        });
      }
    },
  };
}

export function archiveJob(deps: ArchiveIndexDeps): JobDefinition<unknown> {
  const job: JobDefinition<z.infer<typeof payload>> = {
    name: JOB,
    payload,
    maxAttempts: 5,
    leaseMs: 60_000,
    dedupe: ({ repo, path }) => `${repo}/${path}`,
    async run({ repo, path, again }, context) {
      const asset = await deps.repositories.get(repo, SYSTEM)?.get(path as RepoPath);
      if (asset && (again || !(await deps.database.read((db) => isArchiveIndexed(db, asset.sha256))))) {
        await indexArchive(deps, asset, context);
      }
    },
  };
  return job as JobDefinition<unknown>;
}

/** Has the archive at a path, or all below it, read once more; cut, it begins anew, and no archive is read twice for it. */
export function archiveReindexJob(deps: ArchiveIndexDeps): JobDefinition<{ repo: string; path: string }> {
  return {
    name: 'reindex-archives',
    payload: z.strictObject({ repo: z.string(), path: z.string() }),
    maxAttempts: 5,
    leaseMs: 60_000,
    dedupe: ({ repo, path }) => `${repo}/${path}`,
    async run({ repo, path }, context) {
      const opened = deps.repositories.get(repo, SYSTEM);
      if (!opened) return;
      const top = path === '' ? undefined : await opened.get(path as RepoPath);
      if (top) return await enqueueAgain(deps, repo, [top.path]);
      for (let after: RepoPath | undefined; ; ) {
        context.signal.throwIfAborted();
        await context.heartbeat();
        const page = await opened.descendants(path as RepoPath, { limit: PAGE, ...(after !== undefined && { after }) });
        const files = page.found.filter(({ folder }) => !folder);
        await enqueueAgain(
          deps,
          repo,
          files.map((file) => file.path),
        );
        after = page.next;
        if (after === undefined) return;
      }
    },
  };
}

async function enqueueAgain({ database }: ArchiveIndexDeps, repo: string, paths: readonly RepoPath[]): Promise<void> {
  const archives = paths.filter((path) => archiveKindOf(path) === 'zip');
  if (archives.length === 0) return;
  await database.transaction(async (tx) => {
    for (const path of archives) {
      await insertJob(tx, {
        name: JOB,
        payload: JSON.stringify({ repo, path, again: true }),
        // One that waits for the first time may find nothing to do.
        dedupeKey: `again ${repo}/${path}`,
        priority: PRIORITY,
        runAt: undefined,
      });
    }
  });
}

async function indexArchive({ database, config }: ArchiveIndexDeps, asset: Asset, context: JobContext): Promise<void> {
  const { sha256, content } = asset;
  const startedAt = performance.now();
  let entries: ArchiveEntryRow[] = [];
  const write = async () => {
    const batch = entries;
    entries = [];
    context.signal.throwIfAborted();
    await context.heartbeat();
    await database.transaction((tx) => addArchiveEntries(tx, sha256, batch), { durable: false });
  };
  try {
    await database.transaction((tx) => beginArchive(tx, sha256), { durable: false });
    let problem: string | undefined;
    try {
      for await (const entry of readArchive(
        'zip',
        { size: asset.size, open: (range) => content.open(range) },
        config.archives,
      )) {
        const row = entry.type === 'file' ? rowOf(entry.name) : undefined;
        if (row) entries.push(row);
        if (entries.length >= BATCH) await write();
        if (performance.now() - startedAt > MAX_MS) throw new ArchiveProblem('it takes too long to read');
      }
    } catch (error) {
      if (!(error instanceof ArchiveProblem)) throw error;
      problem = error.message;
    }
    await write();
    await database.transaction((tx) => finishArchive(tx, sha256, { at: Date.now(), problem }));
  } catch (error) {
    // Nothing names the bytes any more, so nobody looks for what was in them.
    if (!database.dialect.isForeignKeyViolation(error)) throw error;
  }
}

/** Where the entry lies; undefined for names that no search could ask for. */
function rowOf(entryName: string): ArchiveEntryRow | undefined {
  const full = entryName.replace(/^(?:\.?\/)+/, '');
  if (full === '' || full.length > MAX_NAME || /[\u0000-\u001f\u007f]/.test(full) || !full.isWellFormed())
    return undefined;
  const slash = full.lastIndexOf('/');
  const name = full.slice(slash + 1);
  return name === '' ? undefined : { path: full.slice(0, Math.max(slash, 0)), name };
}
