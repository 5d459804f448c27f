/** Giving back space: everything that nothing names any more, in the order in which one thing frees the next. */
import type { BlobDriver } from '../blobs/driver.ts';
import { removeLeftovers } from '../blobs/leftovers.ts';
import { type SweepResult, sweep } from '../blobs/sweep.ts';
import type { Config } from '../config/load.ts';
import type { Format } from '../core/format.ts';
import type { Database, Tx } from '../db/database.ts';
import { endWaiting } from './waiting.ts';

export interface ReclaimDeps {
  readonly config: Pick<Config, 'uploads' | 'sweep'>;
  readonly database: Database;
  readonly formats: readonly Format[];
  readonly driver: BlobDriver;
}

/**
 * Removes what uploads left behind, files that were kept only for a while, and bytes that nothing names. `proceed` is
 * called between batches and throws when the sweep must stop.
 */
export async function sweepOnce(deps: ReclaimDeps, proceed: (tx?: Tx) => Promise<void>): Promise<SweepResult> {
  const { config, database, driver } = deps;
  await removeLeftovers(deps, {
    ...config.uploads,
    orphanMs: Math.max(config.uploads.expireMs, 2 * config.sweep.intervalMs),
    proceed,
  });
  await endWaiting(deps, { ...config.sweep, proceed });
  return sweep({ database, driver }, { ...config.sweep, proceed });
}
