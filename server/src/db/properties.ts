/** Rows of properties: a key of a node with one or more values. */
import type { Properties } from '../core/ids.ts';
import { chunks } from './blobs.ts';
import type { Db, Tx } from './database.ts';

export async function getProperties(db: Db, nodeId: number): Promise<Properties> {
  const rows = await db
    .selectFrom('property')
    .select(['key', 'value'])
    .where('node_id', '=', nodeId)
    .orderBy('key')
    .orderBy('value')
    .execute();
  const properties: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (const { key, value } of rows) {
    properties[key] ??= [];
    properties[key].push(value);
  }
  return properties;
}

export async function hasProperties(db: Db, nodeId: number): Promise<boolean> {
  const row = await db.selectFrom('property').select('key').where('node_id', '=', nodeId).limit(1).executeTakeFirst();
  return row !== undefined;
}

export async function replaceProperties(tx: Tx, nodeId: number, properties: Properties): Promise<void> {
  await tx.deleteFrom('property').where('node_id', '=', nodeId).execute();
  await addProperties(tx, nodeId, properties);
}

/** Sets the named properties to the given values and leaves the others. */
export async function changeProperties(
  tx: Tx,
  nodeId: number,
  change: { readonly set?: Properties; readonly remove?: readonly string[] },
): Promise<void> {
  const keys = [...Object.keys(change.set ?? {}), ...(change.remove ?? [])];
  if (keys.length > 0) await tx.deleteFrom('property').where('node_id', '=', nodeId).where('key', 'in', keys).execute();
  if (change.set) await addProperties(tx, nodeId, change.set);
}

async function addProperties(tx: Tx, nodeId: number, properties: Properties): Promise<void> {
  const rows = Object.entries(properties).flatMap(([key, values]) =>
    [...new Set(values)].map((value) => ({ node_id: nodeId, key, value })),
  );
  for (const chunk of chunks(rows)) await tx.insertInto('property').values(chunk).execute();
}

export interface PropertyChange {
  readonly set: Properties;
  /** Keys to be removed, or all. */
  readonly remove: readonly string[] | 'all';
}

/** Changes the properties of many nodes alike. */
export async function changePropertiesOf(tx: Tx, nodeIds: readonly number[], change: PropertyChange): Promise<void> {
  const keys = change.remove === 'all' ? undefined : [...change.remove, ...Object.keys(change.set)];
  for (const chunk of chunks(nodeIds)) {
    if (keys === undefined || keys.length > 0) {
      let query = tx.deleteFrom('property').where('node_id', 'in', chunk);
      if (keys !== undefined) query = query.where('key', 'in', keys);
      await query.execute();
    }
    const rows = chunk.flatMap((nodeId) =>
      Object.entries(change.set).flatMap(([key, values]) =>
        [...new Set(values)].map((value) => ({ node_id: nodeId, key, value })),
      ),
    );
    for (const page of chunks(rows)) await tx.insertInto('property').values(page).execute();
  }
}
