/** Rows of tokens: one for each that can be listed and revoked. */
import type { Selectable } from 'kysely';
import type { TokenScope } from '../core/principal.ts';
import type { Db, Tx } from './database.ts';
import type { TokenTable } from './schema.ts';

export interface TokenRow {
  readonly id: string;
  readonly userId: string;
  /** Whether a signed form was given out, or only the short one. */
  readonly kind: 'access' | 'reference';
  /** HMAC of the short form's secret part; undefined for tokens that have no short form. */
  readonly secret: string | undefined;
  /** What it narrows its owner to; undefined when it does not. */
  readonly scope: TokenScope | undefined;
  readonly description: string;
  readonly createdAt: number;
  readonly expiresAt: number | undefined;
  readonly lastUsedAt: number | undefined;
}

export async function getToken(db: Db, id: string): Promise<TokenRow | undefined> {
  const row = await db.selectFrom('token').selectAll().where('id', '=', id).executeTakeFirst();
  return row && tokenRow(row);
}

/** Of one user or of all, with their owners' names, by id; `after` is the last id of the page before. */
export async function listTokens(
  db: Db,
  page: { readonly userId?: string | undefined; readonly after?: string | undefined; readonly limit: number },
): Promise<(TokenRow & { readonly userName: string })[]> {
  let query = db
    .selectFrom('token')
    .innerJoin('user', 'user.id', 'token.user_id')
    .selectAll('token')
    .select('user.name as user_name')
    .where('token.id', '>', page.after ?? '');
  if (page.userId !== undefined) query = query.where('token.user_id', '=', page.userId);
  const rows = await query.orderBy('token.id').limit(page.limit).execute();
  return rows.map((row) => ({ ...tokenRow(row), userName: row.user_name }));
}

/** Inserts the row; false when the id is taken. */
export async function createToken(tx: Tx, token: Omit<TokenRow, 'lastUsedAt'>): Promise<boolean> {
  const inserted = await tx
    .insertInto('token')
    .values({
      id: token.id,
      user_id: token.userId,
      kind: token.kind,
      secret: token.secret ?? null,
      scope: token.scope ? JSON.stringify(token.scope) : null,
      description: token.description,
      created_at: token.createdAt,
      expires_at: token.expiresAt ?? null,
      last_used_at: null,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .returning('id')
    .executeTakeFirst();
  return inserted !== undefined;
}

export async function updateTokenLastUsed(tx: Tx, id: string, at: number): Promise<void> {
  await tx.updateTable('token').set({ last_used_at: at }).where('id', '=', id).execute();
}

export async function updateTokenScope(tx: Tx, id: string, scope: TokenScope): Promise<void> {
  await tx
    .updateTable('token')
    .set({ scope: JSON.stringify(scope) })
    .where('id', '=', id)
    .execute();
}

/** Tokens whose scope may name the repository, by id: the text of the scope is only searched, not understood. */
export async function listTokensNaming(
  db: Db,
  repo: string,
  page: { readonly after?: string; readonly limit: number },
): Promise<TokenRow[]> {
  const rows = await db
    .selectFrom('token')
    .selectAll()
    .where('id', '>', page.after ?? '')
    .where('scope', 'like', `%${JSON.stringify(repo)}%`)
    .orderBy('id')
    .limit(page.limit)
    .execute();
  return rows.map(tokenRow);
}

export async function deleteToken(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom('token').where('id', '=', id).execute();
}

/** Removes tokens that expired before the moment, at most `limit`; returns how many. */
export async function deleteExpiredTokens(tx: Tx, before: number, limit: number): Promise<number> {
  const expired = await tx
    .selectFrom('token')
    .select('id')
    .where('expires_at', '<', before)
    .orderBy('id')
    .limit(limit)
    .execute();
  for (const row of expired) await deleteToken(tx, row.id);
  return expired.length;
}

function tokenRow(row: Selectable<TokenTable>): TokenRow {
  return {
    id: row.id,
    userId: row.user_id,
    kind: row.kind === 'access' ? 'access' : 'reference',
    secret: row.secret ?? undefined,
    scope: row.scope === null ? undefined : (JSON.parse(row.scope) as TokenScope),
    description: row.description,
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? undefined,
    lastUsedAt: row.last_used_at ?? undefined,
  };
}
