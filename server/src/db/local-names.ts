/** Which packages repositories have of their own: what the guard against name shadowing asks for. */
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { type EightIds, inEights, prepared } from './prepared.ts';

/** Sorts behind every text that begins with what stands before it. */
const END = '\u{10ffff}';

const selectNamed = prepared(10, (db, from: string, to: string, ...ids: EightIds) =>
  db
    .selectFrom('package_version')
    .select('repo_id')
    .where('repo_id', 'in', ids)
    .where('name', '>=', from)
    .where('name', '<=', to)
    .limit(sql.lit(1)),
);

/** Whether one of the repositories has a package of the name, or, as a `prefix`, one that begins with it. */
export async function holdsPackage(
  db: Db,
  repoIds: readonly number[],
  name: string,
  match: 'exact' | 'prefix',
): Promise<boolean> {
  const to = match === 'exact' ? name : name + END;
  for (const ids of inEights(repoIds)) {
    if ((await selectNamed(db, name, to, ...ids)).length > 0) return true;
  }
  return false;
}
