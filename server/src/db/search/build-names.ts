/** Names of builds, for deciding which of them somebody may read. */
import { chunks } from '../blobs.ts';
import type { Db } from '../database.ts';

/** The names of all builds in these repositories. */
export async function listBuildNames(
  db: Db,
  repoIds: readonly number[],
): Promise<{ readonly repoId: number; readonly name: string }[]> {
  const found: { repoId: number; name: string }[] = [];
  for (const chunk of chunks(repoIds)) {
    const rows = await db
      .selectFrom('build')
      .select(['repo_id', 'name'])
      .distinct()
      .where('repo_id', 'in', chunk)
      .orderBy('repo_id')
      .orderBy('name')
      .execute();
    for (const row of rows) found.push({ repoId: row.repo_id, name: row.name });
  }
  return found;
}
