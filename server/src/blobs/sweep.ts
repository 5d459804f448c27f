/**
 * Reclaims space while the server works (docs/adr/0004-space.md). First the row of a blob that nothing names goes,
 * together with a note of its object, in one transaction; from then on nobody can find it. Later the object goes.
 */
import { isAppError } from '../core/errors.ts';
import { claimTrash, condemnUnreferenced, deleteTrash, listDueReviews, listTrash, postponeTrash } from '../db/blobs.ts';
import { type Database, databaseTime, type Tx } from '../db/database.ts';
import { crashpoint } from '../lib/crashpoint.ts';
import type { BlobDriver } from './driver.ts';

export interface SweepDeps {
  readonly database: Database;
  readonly driver: BlobDriver;
}

export interface SweepOptions {
  readonly batch: number;
  /** How long an object stays after its row is gone, for downloads under way and signed addresses. */
  readonly readerGraceMs: number;
  /** Called between batches: throws when the sweep must stop. */
  proceed(tx?: Tx): Promise<void>;
}

export interface SweepResult {
  readonly condemned: number;
  readonly bytes: number;
  readonly removed: number;
}

const MAX_BACKOFF_MS = 60 * 60 * 1000;
const REMOVALS_AT_ONCE = 8;

/** Looks at every blob that is due for review and removes every object whose time has come. */
export async function sweep(deps: SweepDeps, options: SweepOptions): Promise<SweepResult> {
  const { condemned, bytes } = await condemnDue(deps, options);
  const removed = await emptyTrash(deps, options);
  return { condemned, bytes, removed };
}

/** The first step: what nothing names is condemned. */
export async function condemnDue(
  deps: SweepDeps,
  options: SweepOptions,
): Promise<{ condemned: number; bytes: number }> {
  const total = { condemned: 0, bytes: 0 };
  // Ages are told by the database's clock, which all nodes share.
  const started = await deps.database.read(databaseTime);
  for (;;) {
    await options.proceed();
    const due = await deps.database.read((db) => listDueReviews(db, started, options.batch));
    if (due.length === 0) return total;
    const result = await deps.database.transaction(async (tx) => {
      await options.proceed(tx);
      return condemnUnreferenced(tx, due, started + options.readerGraceMs, started);
    });
    crashpoint('sweep.condemned');
    total.condemned += result.condemned;
    total.bytes += result.bytes;
    // Blobs that a writer held are still due; they are looked at in the next sweep.
    if (result.settled < due.length) return total;
    // Other requests come first.
    await new Promise(setImmediate);
  }
}

/** The second step: objects whose time has come are removed; returns how many. */
export async function emptyTrash(deps: SweepDeps, options: SweepOptions): Promise<number> {
  let removed = 0;
  const started = await deps.database.read(databaseTime);
  for (;;) {
    await options.proceed();
    const listed = await deps.database.read((db) => listTrash(db, started, options.batch));
    if (listed.length === 0) return removed;
    const ids = listed.map(({ id }) => id);
    const claimed = await deps.database.transaction((tx) => claimTrash(tx, ids, started));
    const due = listed.filter(({ id }) => claimed.has(id));
    const gone: number[] = [];
    for (let i = 0; i < due.length; i += REMOVALS_AT_ONCE) {
      const outcomes = await Promise.all(due.slice(i, i + REMOVALS_AT_ONCE).map((entry) => removeObject(deps, entry)));
      gone.push(...outcomes.flatMap((id) => id ?? []));
    }
    crashpoint('sweep.object-removed');
    await deps.database.transaction((tx) => deleteTrash(tx, gone));
    crashpoint('sweep.trash-cleared');
    removed += gone.length;
  }
}

/** The entry's id if its object is gone; otherwise it is tried again later. */
async function removeObject(
  { database, driver }: SweepDeps,
  entry: { readonly id: number; readonly storeKey: string; readonly attempts: number },
): Promise<number | undefined> {
  try {
    await driver.remove(entry.storeKey);
    return entry.id;
  } catch (error) {
    if (!isAppError(error)) throw error;
    const backoff = Math.min(1000 * 2 ** entry.attempts, MAX_BACKOFF_MS);
    await database.transaction((tx) => postponeTrash(tx, entry.id, backoff));
    return undefined;
  }
}
