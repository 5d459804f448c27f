/** Rows of permission targets and what they grant to whom. */
import type { Action } from '../core/principal.ts';
import type { Db, Tx } from './database.ts';

export interface GrantRow {
  readonly kind: 'user' | 'group';
  /** Id of the user or group; `anonymous` for callers without credentials. */
  readonly subject: string;
  readonly actions: readonly Action[];
}

export interface PermissionTargetRow {
  readonly id: number;
  readonly name: string;
  /** Repository keys, `ANY`, `ANY LOCAL` or `ANY REMOTE`. */
  readonly repositories: readonly string[];
  readonly includes: readonly string[];
  readonly excludes: readonly string[];
  readonly grants: readonly GrantRow[];
}

/** Of all grants, so that the rights of a server are read in two queries. */
export async function listPermissionTargets(db: Db): Promise<PermissionTargetRow[]> {
  const targets = await db.selectFrom('permission_target').selectAll().orderBy('name').execute();
  const grants = await db.selectFrom('permission_grant').selectAll().orderBy('target_id').orderBy('subject').execute();
  const byTarget = Map.groupBy(grants, (grant) => grant.target_id);
  return targets.map((target) => targetRow(target, byTarget.get(target.id) ?? []));
}

export async function getPermissionTarget(db: Db, name: string): Promise<PermissionTargetRow | undefined> {
  const target = await db.selectFrom('permission_target').selectAll().where('name', '=', name).executeTakeFirst();
  if (!target) return undefined;
  const grants = await db
    .selectFrom('permission_grant')
    .selectAll()
    .where('target_id', '=', target.id)
    .orderBy('subject')
    .execute();
  return targetRow(target, grants);
}

export async function createPermissionTarget(tx: Tx, target: Omit<PermissionTargetRow, 'id'>): Promise<void> {
  const { id } = await tx
    .insertInto('permission_target')
    .values({ name: target.name, ...columns(target) })
    .returning('id')
    .executeTakeFirstOrThrow();
  await insertGrants(tx, id, target.grants);
}

/** Replaces everything but the name. */
export async function updatePermissionTarget(tx: Tx, id: number, target: Omit<PermissionTargetRow, 'id' | 'name'>) {
  await tx.updateTable('permission_target').set(columns(target)).where('id', '=', id).execute();
  await tx.deleteFrom('permission_grant').where('target_id', '=', id).execute();
  await insertGrants(tx, id, target.grants);
}

/** Removes the target with its grants. */
export async function deletePermissionTarget(tx: Tx, id: number): Promise<void> {
  await tx.deleteFrom('permission_target').where('id', '=', id).execute();
}

/** Takes a deleted user or group out of every target. */
export async function deleteGrantsTo(tx: Tx, kind: GrantRow['kind'], subject: string): Promise<void> {
  await tx.deleteFrom('permission_grant').where('kind', '=', kind).where('subject', '=', subject).execute();
}

async function insertGrants(tx: Tx, targetId: number, grants: readonly GrantRow[]): Promise<void> {
  for (const grant of grants) {
    await tx
      .insertInto('permission_grant')
      .values({
        target_id: targetId,
        kind: grant.kind,
        subject: grant.subject,
        actions: JSON.stringify(grant.actions),
      })
      .execute();
  }
}

function columns(target: Pick<PermissionTargetRow, 'repositories' | 'includes' | 'excludes'>) {
  return {
    repositories: JSON.stringify(target.repositories),
    includes: JSON.stringify(target.includes),
    excludes: JSON.stringify(target.excludes),
  };
}

function targetRow(
  row: { id: number; name: string; repositories: string; includes: string; excludes: string },
  grants: readonly { kind: GrantRow['kind']; subject: string; actions: string }[],
): PermissionTargetRow {
  return {
    id: row.id,
    name: row.name,
    repositories: JSON.parse(row.repositories) as string[],
    includes: JSON.parse(row.includes) as string[],
    excludes: JSON.parse(row.excludes) as string[],
    grants: grants.map(({ kind, subject, actions }) => ({ kind, subject, actions: JSON.parse(actions) as Action[] })),
  };
}
