/** Rows of single values the server keeps about itself. */
import type { Db, Tx } from './database.ts';

export async function getSetting(db: Db, key: string): Promise<string | undefined> {
  const row = await db.selectFrom('setting').select('value').where('key', '=', key).executeTakeFirst();
  return row?.value;
}

/** Sets a value that is set once for ever, and returns the one in force: that of whoever came first. */
export async function createSetting(tx: Tx, key: string, value: string): Promise<string> {
  await tx
    .insertInto('setting')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute();
  return (await getSetting(tx, key)) ?? value;
}

/** Sets a value, whether or not there was one. */
export async function updateSetting(tx: Tx, key: string, value: string): Promise<void> {
  await tx
    .insertInto('setting')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute();
}

export async function deleteSetting(tx: Tx, key: string): Promise<void> {
  await tx.deleteFrom('setting').where('key', '=', key).execute();
}
