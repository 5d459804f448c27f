/**
 * What a repository keeps only so many of: unique snapshots of one revision, tags of one image. A deposit writes a job
 * in its own transaction, and the job removes what is too old, as the server itself, whoever deployed.
 */
import { z } from 'zod';
import { SYSTEM } from '../auth/accounts.ts';
import type { Format } from '../core/format.ts';
import { joinPath, type RepoKey, type RepoPath, splitPath } from '../core/ids.ts';
import { type Layout, type LayoutPath, parseLayoutPath } from '../core/layouts.ts';
import type { Repository, Tree } from '../core/repository.ts';
import type { Tx } from '../db/database.ts';
import type { DomainEvent } from '../events/event-log.ts';
import type { JobContext, JobDefinition } from '../jobs/job.ts';
import type { Queue } from '../jobs/queue.ts';
import type { RepositoryDirectory } from './directory.ts';
import type { ReadOnly } from './read-only.ts';

const payload = z.strictObject({ repo: z.string(), kind: z.enum(['snapshots', 'format']), scope: z.string() });
type Payload = z.infer<typeof payload>;

export interface RetentionDeps {
  readonly formats: readonly Format[];
  readonly readOnly: ReadOnly;
  directory(): RepositoryDirectory;
}

const PAGE = 500;

/** What the repository keeps is another number by now. */
class SettingsChanged extends Error {}

export class Retention {
  readonly #deps: RetentionDeps;
  #queue: Queue | undefined;
  readonly job: JobDefinition<Payload>;

  constructor(deps: RetentionDeps) {
    this.#deps = deps;
    this.job = {
      name: 'retention',
      payload,
      maxAttempts: 5,
      leaseMs: 60_000,
      dedupe: ({ repo, kind, scope }) => `${kind}:${repo}/${scope}`,
      run: (asked, context) => this.#run(asked, context),
    };
  }

  /** From now on deposits write jobs into this queue. */
  start(queue: Queue): void {
    this.#queue = queue;
  }

  /** Looks at what a change deposited, in its transaction. */
  async note(
    tx: Tx,
    repository: { readonly key: RepoKey; readonly packageType: string; readonly settings: Repository['settings'] },
    events: readonly DomainEvent[],
  ): Promise<void> {
    const { key, packageType, settings } = repository;
    const snapshots = countOf(settings, 'maxUniqueSnapshots') > 0;
    const format = this.#formatOf(packageType);
    if (!this.#queue || (!snapshots && !format?.retentionScope)) return;
    const layout = snapshots ? this.#deps.directory().layoutOf(key) : undefined;
    const asked = new Map<string, Payload>();
    const ask = (kind: Payload['kind'], scope: string) => asked.set(`${kind}:${scope}`, { repo: key, kind, scope });
    for (const event of events) {
      if (event.type !== 'artifact.deposited') continue;
      const said = layout && parseLayoutPath(layout, event.path);
      if (said && isUnique(said)) ask('snapshots', splitPath(event.path).parent);
      const scope = format?.retentionScope?.(event.path, settings);
      if (scope !== undefined) ask('format', scope);
    }
    for (const each of asked.values()) await this.#queue.enqueue(tx, this.job, each);
  }

  #formatOf(packageType: string): Format | undefined {
    return this.#deps.formats.find(({ packageTypes }) => packageTypes.includes(packageType));
  }

  async #run(asked: Payload, context: JobContext): Promise<void> {
    for (;;) {
      try {
        return await this.#runOnce(asked, context);
      } catch (error) {
        if (!(error instanceof SettingsChanged)) throw error;
      }
    }
  }

  async #runOnce({ repo: key, kind, scope }: Payload, context: JobContext): Promise<void> {
    const repo = this.#deps.directory().get(key, SYSTEM);
    // Where nothing may be written, the next deposit will ask again.
    if (!repo || this.#deps.readOnly.of(key)) return;
    const settings = JSON.stringify(repo.settings);
    const proceed = async () => {
      context.signal.throwIfAborted();
      await context.heartbeat();
      const now = this.#deps.directory().get(key, SYSTEM);
      if (JSON.stringify(now?.settings) !== settings) throw new SettingsChanged('the settings were changed meanwhile');
    };
    if (kind === 'format') return this.#formatOf(repo.packageType)?.retain?.(repo, scope, proceed);
    const layout = this.#deps.directory().layoutOf(key);
    if (layout) await removeOldSnapshots(repo, scope as RepoPath, { layout, proceed });
  }
}

/**
 * Removes, for each revision in the folder, the unique snapshots beyond those that the repository keeps, as long as
 * those are there. `proceed` is called before each change.
 */
export async function removeOldSnapshots(
  repo: Repository,
  folder: RepoPath,
  { layout, proceed }: { readonly layout: Layout; proceed(): Promise<void> },
): Promise<void> {
  const keep = countOf(repo.settings, 'maxUniqueSnapshots');
  if (keep === 0) return;
  const revisions = new Map<string, Map<string, RepoPath[]>>();
  for await (const path of filesIn(repo, folder)) {
    const said = parseLayoutPath(layout, path);
    if (!said || !isUnique(said)) continue;
    const revision = `${said.module}/${said.baseRev}`;
    const snapshots = revisions.get(revision) ?? new Map<string, RepoPath[]>();
    revisions.set(revision, snapshots);
    const unique = said.fileItegRev ?? '';
    snapshots.set(unique, [...(snapshots.get(unique) ?? []), path]);
  }
  for (const snapshots of revisions.values()) {
    const newest = [...snapshots.keys()].sort(byRecency);
    for (const old of newest.slice(keep)) {
      await proceed();
      await repo.change(folder, async (tree) => {
        for (const newer of newest.slice(0, keep)) {
          // Somebody deleted it meanwhile, so that an older one may be the last.
          if (!(await isThere(tree, snapshots.get(newer) ?? []))) return;
        }
        for (const path of snapshots.get(old) ?? []) await tree.delete(path);
      });
    }
  }
}

async function isThere(tree: Tree, paths: readonly RepoPath[]): Promise<boolean> {
  for (const path of paths) if (await tree.get(path)) return true;
  return false;
}

async function* filesIn(repo: Repository, folder: RepoPath): AsyncGenerator<RepoPath> {
  for (let after: string | undefined; ; ) {
    const page = await repo.children(folder, { limit: PAGE, ...(after !== undefined && { after }) });
    for (const entry of page) if (!entry.folder) yield joinPath(folder, entry.name);
    after = page.at(-1)?.name;
    if (page.length < PAGE) return;
  }
}

/** A snapshot with a time or number of its own, rather than one that is written over. */
function isUnique({ folderItegRev, fileItegRev }: LayoutPath): boolean {
  return fileItegRev !== undefined && fileItegRev !== folderItegRev && /\d/.test(fileItegRev);
}

/** Newest first: `20260102.030405-10` comes before `20260102.030405-9`. */
function byRecency(one: string, other: string): number {
  return other.localeCompare(one, 'en', { numeric: true });
}

/** A number among the settings; 0 where there is none. */
export function countOf(settings: Repository['settings'], name: string): number {
  const value = settings[name];
  return typeof value === 'number' ? value : 0;
}
