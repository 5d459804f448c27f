/** Rows of repository configuration. */
import type { RepoKey } from '../core/ids.ts';
import type { Db, Tx } from './database.ts';

export interface RepositoryRow {
  readonly id: number;
  readonly key: RepoKey;
  readonly rclass: 'local' | 'remote' | 'virtual' | 'federated';
  readonly packageType: string;
  /** Settings as the administrator gave them. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly createdAt: number;
}

/** All repositories, by key. */
export async function listRepositories(db: Db): Promise<RepositoryRow[]> {
  const rows = await db.selectFrom('repository').selectAll().orderBy('key').execute();
  return rows.map((row) => ({
    id: row.id,
    key: row.key as RepoKey,
    rclass: row.rclass as RepositoryRow['rclass'],
    packageType: row.package_type,
    config: JSON.parse(row.config) as Record<string, unknown>,
    createdAt: row.created_at,
  }));
}

/** Settings as the administrator gave them, by id; undefined where the repository is gone or of another class. */
export async function getSettingsOf(
  db: Db,
  id: number,
  rclass: RepositoryRow['rclass'],
): Promise<RepositoryRow['config'] | undefined> {
  const found = db.selectFrom('repository').select('config').where('id', '=', id).where('rclass', '=', rclass);
  const row = await found.executeTakeFirst();
  return row && (JSON.parse(row.config) as Record<string, unknown>);
}

export async function createRepository(
  tx: Tx,
  repository: Omit<RepositoryRow, 'id' | 'createdAt'>,
  at: number,
): Promise<number> {
  const row = await tx
    .insertInto('repository')
    .values({
      key: repository.key,
      rclass: repository.rclass,
      package_type: repository.packageType,
      config: JSON.stringify(repository.config),
      created_at: at,
      updated_at: at,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return row.id;
}

export async function updateRepository(tx: Tx, id: number, config: RepositoryRow['config'], at: number): Promise<void> {
  await tx
    .updateTable('repository')
    .set({ config: JSON.stringify(config), updated_at: at })
    .where('id', '=', id)
    .execute();
}

export async function updateRepositoryClass(
  tx: Tx,
  id: number,
  rclass: RepositoryRow['rclass'],
  at: number,
): Promise<void> {
  await tx.updateTable('repository').set({ rclass, updated_at: at }).where('id', '=', id).execute();
}

/** Removes the row; its nodes must be gone. */
export async function deleteRepository(tx: Tx, id: number): Promise<void> {
  await tx.deleteFrom('repository').where('id', '=', id).execute();
  await tx.deleteFrom('package_revision').where('repo_id', '=', id).execute();
  await tx.deleteFrom('remote_item').where('repo_id', '=', id).execute();
  await tx.deleteFrom('fetch_lease').where('repo_id', '=', id).execute();
}
