/** The number of each package that grows with every change of its versions; triggers keep it. */
import type { Page } from '../core/repository.ts';
import type { Db } from './database.ts';

/** Sorts behind every text that begins with what stands before it. */
const END = '\u{10ffff}';

/**
 * The revision of a package, or of all packages of the repository where none is named; with those whose names begin
 * with `prefix`. 0 where there never was one.
 */
export async function getPackageRevision(
  db: Db,
  repoId: number,
  packageName: string | undefined,
  prefix?: string,
): Promise<number> {
  const sum = db
    .selectFrom('package_revision')
    .select(({ fn }) => fn.sum<number | string>('revision').as('revision'))
    .where('repo_id', '=', repoId);
  const own = packageName === undefined ? sum : sum.where('name', '=', packageName);
  // Two looks at the index in one query: one that asks for either would read the whole repository.
  const query =
    prefix === undefined ? own : own.unionAll(sum.where('name', '>=', prefix).where('name', '<=', prefix + END));
  let revision = 0;
  for (const row of await query.execute()) revision += Number(row.revision ?? 0);
  return revision;
}

/** Packages whose names begin with `prefix`, by name. */
export async function listPackageRevisions(
  db: Db,
  repoId: number,
  prefix: string,
  page: Page,
): Promise<{ readonly name: string; readonly revision: number }[]> {
  let query = db
    .selectFrom('package_revision')
    .select(['name', 'revision'])
    .where('repo_id', '=', repoId)
    .where('name', '>=', prefix)
    .where('name', '<=', prefix + END)
    .orderBy('name')
    .limit(page.limit);
  if (page.after !== undefined) query = query.where('name', '>', page.after);
  return query.execute();
}
