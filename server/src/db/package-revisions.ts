/** Numbers that grow with every change of a package's versions, and of a repository's packages; triggers keep them. */
import { sql } from 'kysely';
import type { RepositoryMarks } from '../core/document.ts';
import type { Page } from '../core/repository.ts';
import type { Db } from './database.ts';
import { gathered } from './gathered.ts';
import { prepared } from './prepared.ts';

/** Sorts behind every text that begins with what stands before it. */
const END = '\u{10ffff}';

const selectRevision = gathered(['bigint', 'text'], (db, repoId: number, name: string) =>
  db.selectFrom('package_revision').select('revision').where('repo_id', '=', repoId).where('name', '=', name),
);

const selectMarks = prepared(1, (db, repoId: number) =>
  db.selectFrom('repository_revision').select(['slot', 'revision']).where('repo_id', '=', repoId),
);

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
  if (packageName === undefined) {
    let revision = 0;
    for (const number of (await listRepositoryMarks(db, repoId)).values()) revision += number;
    return revision;
  }
  if (prefix === undefined) return Number((await selectRevision.one(db, repoId, packageName))?.revision ?? 0);
  let revision = 0;
  for (const row of await sumWithPrefix(db, repoId, packageName, prefix)) revision += Number(row.revision ?? 0);
  return revision;
}

/** Two looks at the index in one query: one that asks for either would read the whole repository. */
function sumWithPrefix(db: Db, repoId: number, packageName: string, prefix: string) {
  const sum = db
    .selectFrom('package_revision')
    .select(({ fn }) => fn.sum<number | string>('revision').as('revision'))
    .where('repo_id', '=', repoId);
  const below = sum.where('name', '>=', prefix).where('name', '<=', prefix + END);
  return sum.where('name', '=', packageName).unionAll(below).execute();
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

/** The numbers of a repository: packages are spread over them, so that those who change them need not wait. */
export async function listRepositoryMarks(db: Db, repoId: number): Promise<RepositoryMarks> {
  const rows = await selectMarks(db, repoId);
  return new Map(rows.map(({ slot, revision }) => [slot, revision]));
}

/** Packages of one of a repository's numbers that changed after it was `since`, in the order of change. */
export async function listChangedPackages(
  db: Db,
  repoId: number,
  slot: number,
  page: { readonly since: number; readonly limit: number },
): Promise<{ readonly name: string; readonly changed: number }[]> {
  return db
    .selectFrom('package_revision')
    .select(['name', 'changed'])
    .where('repo_id', '=', repoId)
    .where('slot', '=', slot)
    .where('changed', '>', page.since)
    .orderBy('changed')
    .limit(sql.lit(page.limit))
    .execute();
}
