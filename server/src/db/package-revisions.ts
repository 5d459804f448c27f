/** The number of each package that grows with every change of its versions; triggers keep it. */
import type { Db } from './database.ts';

/** The revision of a package, or of all packages of the repository where none is named; 0 where there never was one. */
export async function getPackageRevision(db: Db, repoId: number, packageName: string | undefined): Promise<number> {
  let query = db
    .selectFrom('package_revision')
    .select(({ fn }) => fn.sum<number | string>('revision').as('revision'))
    .where('repo_id', '=', repoId);
  if (packageName !== undefined) query = query.where('name', '=', packageName);
  const row = await query.executeTakeFirst();
  return Number(row?.revision ?? 0);
}
