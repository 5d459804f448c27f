/** A repository that comes to be, within a change of the set of them. */
import { AppError } from '../core/errors.ts';
import type { Tx } from '../db/database.ts';
import { createRepository } from '../db/repositories.ts';
import type { EventLog } from '../events/event-log.ts';
import type { Candidate } from './checks.ts';
import { describeChanges } from './settings.ts';

/** The key that stands in the way of another, in whatever case. */
export function takenBy(key: string, rows: ReadonlyMap<string, unknown>): string | undefined {
  return [...rows.keys()].find((known) => known.toLowerCase() === key.toLowerCase());
}

/** A repository in a change: one that is being made has no id yet. */
export type StoredRow = Candidate & { readonly id?: number };

/** Stores it and tells of it; `conflict` where the key is taken. Whether it contradicts itself is checked elsewhere. */
export async function insertRepository(
  { tx, rows, events }: { readonly tx: Tx; readonly rows: Map<string, StoredRow>; readonly events: EventLog },
  candidate: Candidate,
  by: string,
): Promise<void> {
  const { key, rclass, packageType, config } = candidate;
  const taken = takenBy(key, rows);
  if (taken !== undefined) throw new AppError('conflict', `There is a repository "${taken}" already.`);
  const id = await createRepository(tx, { key, rclass, packageType, config }, Date.now());
  rows.set(key, { ...candidate, id });
  const changes = describeChanges({}, { rclass, packageType, ...config });
  await events.append(tx, [{ type: 'repository.created', repo: key, changes }], by);
}
