/** Ends the leases of files that were kept only for a while: uploaded blobs that no manifest came to name. */
import type { Format } from '../core/format.ts';
import { type Database, lockScope } from '../db/database.ts';
import { getNode, listStaleIn } from '../db/nodes.ts';
import { removeNodes } from '../db/subtrees.ts';

const BATCH = 50;

export interface WaitingOptions {
  readonly graceMs: number;
  readonly reviewDelayMs: number;
  proceed(): Promise<void>;
}

export interface WaitingDeps {
  readonly database: Database;
  readonly formats: readonly Format[];
}

/** Removes waiting files that nobody touched for the grace period; returns how many. */
export async function endWaiting({ database, formats }: WaitingDeps, options: WaitingOptions): Promise<number> {
  let removed = 0;
  for (const { waitingFolder, packageTypes } of formats) {
    if (waitingFolder !== undefined) removed += await endIn(database, { waitingFolder, packageTypes }, options);
  }
  return removed;
}

/** Elsewhere a folder of this name is like any other. */
async function endIn(
  database: Database,
  { waitingFolder, packageTypes }: Required<Pick<Format, 'waitingFolder' | 'packageTypes'>>,
  options: WaitingOptions,
): Promise<number> {
  let removed = 0;
  for (;;) {
    await options.proceed();
    const before = Date.now() - options.graceMs;
    const stale = await database.read((db) =>
      listStaleIn(db, { folderName: waitingFolder, packageTypes }, before, BATCH),
    );
    if (stale.length === 0) return removed;
    for (const { repoId, path } of stale) {
      await database.transaction(async (tx) => {
        // In turn with changes of the package, which may be about to renew it.
        await lockScope(tx, `${repoId}/${path.slice(0, path.lastIndexOf(`/${waitingFolder}/`))}`);
        const node = await getNode(tx, repoId, path);
        if (!node || node.folder || node.modifiedAt.getTime() >= before) return;
        await removeNodes(tx, [node], Date.now() + options.reviewDelayMs);
        removed += 1;
      });
    }
    if (stale.length < BATCH) return removed;
  }
}
