/** Counts downloads in memory and writes them now and then: what a crash forgets is a second of counting. */
import type { DownloadCounter } from '../core/downloads.ts';
import type { RepoKey, RepoPath } from '../core/ids.ts';
import type { Database } from '../db/database.ts';
import { getNode } from '../db/nodes.ts';
import { addDownloads, type Downloads } from '../db/statistics.ts';

export interface DownloadStatisticsDeps {
  readonly database: Database;
  /** The row of a repository; undefined when it is gone. */
  idOf(repo: RepoKey): number | undefined;
}

interface Counted {
  readonly repo: RepoKey;
  readonly path: RepoPath;
  nodeId: number | undefined;
  count: number;
  at: number;
  by: string;
}

/** Files remembered between two writings; downloads of further ones are not counted until the next. */
const MAX_HELD = 50_000;
/** Rows written in one transaction. */
const PAGE = 200;

export class DownloadStatistics implements DownloadCounter {
  readonly #deps: DownloadStatisticsDeps;
  #held = new Map<string, Counted>();
  #flushing: Promise<void> = Promise.resolve();

  constructor(deps: DownloadStatisticsDeps) {
    this.#deps = deps;
  }

  counted(repo: RepoKey, path: RepoPath, nodeId: number | undefined, by: string, at: number): void {
    const key = `${repo}/${path}`;
    const held = this.#held.get(key);
    if (held) {
      held.count += 1;
      held.nodeId = nodeId ?? held.nodeId;
      held.at = Math.max(held.at, at);
      held.by = by;
    } else if (this.#held.size < MAX_HELD) {
      this.#held.set(key, { repo, path, nodeId, count: 1, at, by });
    }
  }

  /** Writes what was counted until now; what cannot be written is counted on. */
  flush(): Promise<void> {
    const next = this.#flushing.catch(() => undefined).then(() => this.#write());
    this.#flushing = next;
    return next;
  }

  async #write(): Promise<void> {
    if (this.#held.size === 0) return;
    const held = [...this.#held.values()];
    this.#held = new Map();
    for (let start = 0; start < held.length; start += PAGE) {
      const page = held.slice(start, start + PAGE);
      try {
        await this.#writePage(page);
      } catch (error) {
        for (const counted of held.slice(start)) this.#keep(counted);
        throw error;
      }
      await new Promise(setImmediate);
    }
  }

  async #writePage(page: readonly Counted[]): Promise<void> {
    const { database, idOf } = this.#deps;
    await database.transaction(
      async (tx) => {
        const byNode = new Map<number, Downloads>();
        for (const { repo, path, nodeId, count, at, by } of page) {
          const repoId = nodeId === undefined ? idOf(repo) : undefined;
          const id = nodeId ?? (repoId === undefined ? undefined : (await getNode(tx, repoId, path))?.id);
          if (id === undefined) continue;
          byNode.set(id, { nodeId: id, count: count + (byNode.get(id)?.count ?? 0), at, by });
        }
        await addDownloads(tx, [...byNode.values()]);
      },
      { durable: false },
    );
  }

  #keep(counted: Counted): void {
    const key = `${counted.repo}/${counted.path}`;
    const newer = this.#held.get(key);
    if (newer) newer.count += counted.count;
    else if (this.#held.size < MAX_HELD) this.#held.set(key, counted);
  }
}
