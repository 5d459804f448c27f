/** Rows of the keys that tokens are signed with. */
import type { Db, Tx } from './database.ts';

export interface SigningKeyRow {
  readonly id: string;
  /** JSON Web Key of the public part. */
  readonly publicJwk: string;
  readonly sealedPrivate: string;
  readonly createdAt: number;
  readonly retiredAt: number | undefined;
}

const MAX_KEYS = 100;

/** All keys, oldest first; a retired one stays for the record. */
export async function listSigningKeys(db: Db): Promise<SigningKeyRow[]> {
  const rows = await db
    .selectFrom('signing_key')
    .selectAll()
    .orderBy('created_at')
    .orderBy('id')
    .limit(MAX_KEYS)
    .execute();
  return rows.map((row) => ({
    id: row.id,
    publicJwk: row.public_jwk,
    sealedPrivate: row.sealed_private,
    createdAt: row.created_at,
    retiredAt: row.retired_at ?? undefined,
  }));
}

export async function createSigningKey(tx: Tx, key: Omit<SigningKeyRow, 'retiredAt'>): Promise<void> {
  await tx
    .insertInto('signing_key')
    .values({
      id: key.id,
      public_jwk: key.publicJwk,
      sealed_private: key.sealedPrivate,
      created_at: key.createdAt,
      retired_at: null,
    })
    .execute();
}

/** From now on nothing signed with the key is accepted. */
export async function retireSigningKey(tx: Tx, id: string, at: number): Promise<void> {
  await tx.updateTable('signing_key').set({ retired_at: at }).where('id', '=', id).execute();
}
