/** Names of local packages that upstreams were asked for all the same: rows for whoever looks into it. */
import type { Db, Tx } from './database.ts';

export interface ShadowedNameRow {
  readonly remote: string;
  readonly name: string;
  readonly reason: string;
  readonly firstAt: number;
  readonly lastAt: number;
}

/** Notes that it was asked now; of one name of one remote there is one row. */
export async function noteShadowedName(
  tx: Tx,
  asked: { readonly virtualId: number; readonly remoteId: number; readonly name: string; readonly reason: string },
  at: number,
): Promise<void> {
  await tx
    .insertInto('shadowed_name')
    .values({
      virtual_id: asked.virtualId,
      remote_id: asked.remoteId,
      name: asked.name,
      reason: asked.reason,
      first_at: at,
      last_at: at,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['virtual_id', 'name', 'remote_id'])
        .doUpdateSet((eb) => ({ last_at: at, reason: eb.ref('excluded.reason') })),
    )
    .execute();
}

export interface NamePage {
  /** Names greater than this; all of one name are on one page. */
  readonly after?: string | undefined;
  readonly limit: number;
}

/** What was asked through a virtual repository, by name and remote. */
export async function listShadowedNames(db: Db, virtualId: number, page: NamePage): Promise<ShadowedNameRow[]> {
  let query = db
    .selectFrom('shadowed_name')
    .innerJoin('repository', 'repository.id', 'shadowed_name.remote_id')
    .select(['repository.key as remote', 'name', 'reason', 'first_at as firstAt', 'last_at as lastAt'])
    .where('virtual_id', '=', virtualId)
    .orderBy('name')
    .orderBy('remote')
    .limit(page.limit);
  if (page.after !== undefined) query = query.where('name', '>', page.after);
  return query.execute();
}

/** The keys of those of the repositories that have a package of the name, in order. */
export async function listHoldersOfName(db: Db, repoIds: readonly number[], name: string): Promise<string[]> {
  if (repoIds.length === 0) return [];
  const rows = await db
    .selectFrom('repository')
    .select('key')
    .where('id', 'in', repoIds)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('package_version')
          .select('node_id')
          .whereRef('package_version.repo_id', '=', 'repository.id')
          .where('package_version.name', '=', name)
          .limit(1),
      ),
    )
    .orderBy('key')
    .execute();
  return rows.map(({ key }) => key);
}
