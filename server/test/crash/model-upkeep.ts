/** The steps of the upkeep, done one by one on what a running server works with; all delays are over at once. */
import { removeLeftovers } from '../../src/blobs/leftovers.ts';
import { condemnDue, emptyTrash } from '../../src/blobs/sweep.ts';
import { endWaiting } from '../../src/repositories/waiting.ts';
import type { TestApp } from '../support/test-app.ts';

type Core = TestApp['core'];

const proceed = async () => {};
/** What was touched in this millisecond counts too. */
const AT_ONCE_MS = -1000;
const SWEEP = { batch: 50, readerGraceMs: 0, proceed };

export const condemn = (core: Core) => condemnDue(core, SWEEP);
export const removeObjects = (core: Core) => emptyTrash(core, SWEEP);

export function endLeases(core: Core, graceMs = AT_ONCE_MS): Promise<number> {
  return endWaiting(core, { graceMs, reviewDelayMs: 0, proceed });
}

export function endUploads(core: Core): Promise<unknown> {
  return removeLeftovers(core, {
    expireMs: AT_ONCE_MS,
    finishedMemoryMs: AT_ONCE_MS,
    orphanMs: AT_ONCE_MS,
    proceed,
  });
}

/** Everything that is due or will ever be. */
export async function collect(core: Core): Promise<void> {
  await endUploads(core);
  await endLeases(core);
  await condemn(core);
  await removeObjects(core);
}

/** Makes the leases of an image older. */
export async function age({ database }: Core, image: string, byMs: number): Promise<void> {
  await database.transaction((tx) =>
    tx
      .updateTable('node')
      .set((eb) => ({ modified_at: eb('modified_at', '-', byMs) }))
      .where('parent', '=', `${image}/_uploads`)
      .where('folder', '=', 0)
      .execute(),
  );
}

/** What the rows and the store hold beyond the blobs of these digests, and what they lack. */
export async function differencesAtRest(core: Core, expected: ReadonlySet<string>): Promise<string[]> {
  const { database, driver } = core;
  const differences: string[] = [];
  const blobs = await database.read((db) => db.selectFrom('blob').select(['sha256', 'store_key']).execute());
  const stored = new Set(blobs.map((row) => `sha256:${row.sha256}`));
  for (const digest of stored.symmetricDifference(expected)) {
    differences.push(stored.has(digest) ? `I3: ${digest} is not given back` : `I1: ${digest} is gone`);
  }
  const keys = new Set(blobs.flatMap((row) => row.store_key ?? []));
  const objects = new Set((await Array.fromAsync(driver.list())).map(({ key }) => key));
  for (const key of keys.symmetricDifference(objects)) {
    differences.push(objects.has(key) ? `I3: no row knows the object ${key}` : `I1: the object ${key} is gone`);
  }
  for (const { id } of await Array.fromAsync(driver.staged())) differences.push(`I3: the stage ${id} is left`);
  for (const table of ['object_trash', 'blob_review', 'upload'] as const) {
    const left = await database.read((db) => db.selectFrom(table).selectAll().limit(5).execute());
    if (left.length > 0) differences.push(`I3: ${table} keeps ${JSON.stringify(left)}`);
  }
  const held = await database.read((db) => db.selectFrom('blob_content').select('sha256').execute());
  for (const { sha256 } of held)
    if (!stored.has(`sha256:${sha256}`)) differences.push(`I3: bytes of ${sha256} are left`);
  return differences;
}
