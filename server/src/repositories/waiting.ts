/** Ends the leases of files that were kept only for a while: uploaded blobs that no manifest came to name. */

import { reviewBlobs } from '../db/blobs.ts';
import { type Database, lockScope } from '../db/database.ts';
import { deleteNodes, getNode, listStaleIn } from '../db/nodes.ts';

/** The folder of a package in which files wait for something to name them. */
const WAITING_FOLDER = '_uploads';
const BATCH = 50;

export interface WaitingOptions {
  readonly graceMs: number;
  readonly reviewDelayMs: number;
  proceed(): Promise<void>;
}

/** Removes waiting files that nobody touched for the grace period; returns how many. */
export async function endWaiting(database: Database, options: WaitingOptions): Promise<number> {
  let removed = 0;
  for (;;) {
    await options.proceed();
    const before = Date.now() - options.graceMs;
    const stale = await database.read((db) => listStaleIn(db, WAITING_FOLDER, before, BATCH));
    if (stale.length === 0) return removed;
    for (const { repoId, path } of stale) {
      await database.transaction(async (tx) => {
        // In turn with changes of the package, which may be about to renew it.
        await lockScope(tx, `${repoId}/${path.slice(0, path.lastIndexOf(`/${WAITING_FOLDER}/`))}`);
        const node = await getNode(tx, repoId, path);
        if (!node || node.modifiedAt.getTime() >= before) return;
        const lost = await deleteNodes(tx, repoId, node);
        await reviewBlobs(tx, lost, Date.now() + options.reviewDelayMs);
        removed += 1;
      });
    }
    if (stale.length < BATCH) return removed;
  }
}
