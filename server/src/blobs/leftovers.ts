/** Removes what uploads that nobody finished leave behind. */
import type { Database } from '../db/database.ts';
import { deleteStaleMultipart, listStaleMultiparts } from '../db/multipart-uploads.ts';
import { deleteStaleUpload, listStaleUploads, usedStages } from '../db/uploads.ts';
import { crashpoint } from '../lib/crashpoint.ts';
import type { BlobDriver } from './driver.ts';

export interface LeftoverOptions {
  /** Open uploads are given up after this time without a request. */
  readonly expireMs: number;
  /** How long the outcome of a finished upload is remembered. */
  readonly finishedMemoryMs: number;
  /** Stages that no upload names are removed when they are older than this. */
  readonly orphanMs: number;
  proceed(): Promise<void>;
}

const BATCH = 100;

/** Ends expired uploads and removes stages that belong to none; returns how many of each. */
export async function removeLeftovers(
  deps: { readonly database: Database; readonly driver: BlobDriver },
  options: LeftoverOptions,
): Promise<{ uploads: number; stages: number }> {
  const uploads = (await expireUploads(deps, options)) + (await expireMultiparts(deps, options));
  const stages = await removeOrphanStages(deps, options);
  return { uploads, stages };
}

async function expireUploads(
  { database, driver }: { readonly database: Database; readonly driver: BlobDriver },
  options: LeftoverOptions,
): Promise<number> {
  let removed = 0;
  for (;;) {
    await options.proceed();
    const now = Date.now();
    const before = { open: now - options.expireMs, ended: now - options.finishedMemoryMs };
    const stale = await database.read((db) => listStaleUploads(db, before, BATCH));
    if (stale.length === 0) return removed;
    for (const id of stale) {
      // The row goes first, since its client may be back; a stage without one is an orphan.
      const stageId = await database.transaction((tx) => deleteStaleUpload(tx, id, before), { durable: false });
      crashpoint('leftover.row-removed');
      if (stageId === undefined) continue;
      if (stageId !== '') await driver.removeStage(stageId);
      removed += 1;
    }
  }
}

/** Uploads in parts; what has come of a finished one is looked at by the sweep. */
async function expireMultiparts(
  { database, driver }: { readonly database: Database; readonly driver: BlobDriver },
  options: LeftoverOptions,
): Promise<number> {
  let removed = 0;
  for (;;) {
    await options.proceed();
    const before = Date.now() - options.expireMs;
    const stale = await database.read((db) => listStaleMultiparts(db, before, BATCH));
    if (stale.length === 0) return removed;
    for (const id of stale) {
      const left = await database.transaction((tx) => deleteStaleMultipart(tx, id, before), { durable: false });
      if (!left) continue;
      for (const stageId of left) await driver.removeStage(stageId);
      removed += 1;
    }
  }
}

/** Such as those of a request that was cut by a crash before its row could name them. */
async function removeOrphanStages(
  { database, driver }: { readonly database: Database; readonly driver: BlobDriver },
  options: LeftoverOptions,
): Promise<number> {
  let removed = 0;
  const oldest = Date.now() - options.orphanMs;
  for await (const stage of driver.staged()) {
    if (stage.modifiedAt.getTime() > oldest) continue;
    await options.proceed();
    const used = await database.read((db) => usedStages(db, [stage.id]));
    if (used.has(stage.id)) continue;
    await driver.removeStage(stage.id);
    removed += 1;
  }
  return removed;
}
