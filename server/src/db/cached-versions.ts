/** Rows of versions for files that came from an upstream, written once it was read what they are. */
import type { Properties, Sha256 } from '../core/ids.ts';
import { isPostgres, type Tx } from './database.ts';
import { changeProperties, getProperties } from './properties.ts';

export interface CachedVersion {
  readonly repoId: number;
  readonly nodeId: number;
  /** The bytes that were read. */
  readonly sha256: Sha256;
  readonly version: { readonly package: string; readonly version: string; readonly metadata: unknown };
  readonly properties: Properties;
}

/**
 * Gives the file its row, and the properties that it has not yet; false where it is gone, has other bytes by now, or
 * another file has the name of the row.
 */
export async function addCachedVersion(tx: Tx, cached: CachedVersion): Promise<boolean> {
  const { repoId, nodeId, sha256, version, properties } = cached;
  const found = tx
    .selectFrom('node')
    .select('created_at')
    .where('id', '=', nodeId)
    .where('repo_id', '=', repoId)
    .where('sha256', '=', sha256);
  const node = await (isPostgres(tx) ? found.forUpdate() : found).executeTakeFirst();
  if (!node) return false;
  const [name, row] = [version.package, version.version];
  const holder = await tx
    .selectFrom('package_version')
    .select('node_id')
    .where('repo_id', '=', repoId)
    .where('name', '=', name)
    .where('version', '=', row)
    .executeTakeFirst();
  if (holder && holder.node_id !== nodeId) return false;
  const metadata = JSON.stringify(version.metadata);
  await tx
    .insertInto('package_version')
    .values({ node_id: nodeId, repo_id: repoId, name, version: row, metadata, created_at: node.created_at })
    .onConflict((conflict) => conflict.column('node_id').doUpdateSet({ name, version: row, metadata }))
    .execute();
  const known = await getProperties(tx, nodeId);
  const set = Object.fromEntries(Object.entries(properties).filter(([key]) => !Object.hasOwn(known, key)));
  await changeProperties(tx, nodeId, { set });
  return true;
}
