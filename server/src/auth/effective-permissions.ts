/** Who may do what at one path, by the permission targets that reach it. */
import { compileAntPattern } from '../core/ant-pattern.ts';
import { cacheKeyOf, remoteKeyOf } from '../core/cache-keys.ts';
import type { RepoKey, RepoPath } from '../core/ids.ts';
import { ACTIONS, type Action } from '../core/principal.ts';
import type { Db } from '../db/database.ts';
import { listPermissionTargets } from '../db/permission-targets.ts';
import { getUserGroup } from '../db/user-groups.ts';
import { getUser } from '../db/users.ts';
import { ANONYMOUS_SUBJECT, type RepositoryClass } from './permissions.ts';

export interface EffectivePermissions {
  readonly users: ReadonlyMap<string, readonly Action[]>;
  readonly groups: ReadonlyMap<string, readonly Action[]>;
}

export interface PermissionPlace {
  /** Of what a remote repository holds: that of its cache. */
  readonly repo: RepoKey;
  readonly rclass: RepositoryClass;
  readonly path: RepoPath;
}

/** Users and groups by name with what targets grant them there; administrators need no grant and are not listed. */
export async function listEffectivePermissions(db: Db, place: PermissionPlace): Promise<EffectivePermissions> {
  const words: string[] =
    place.rclass === 'remote'
      ? ['ANY', 'ANY REMOTE', place.repo, remoteKeyOf(place.repo) ?? cacheKeyOf(place.repo)]
      : ['ANY', 'ANY LOCAL', place.repo];
  const subjects = { user: new Map<string, Set<Action>>(), group: new Map<string, Set<Action>>() };
  for (const target of await listPermissionTargets(db)) {
    const reaches =
      target.repositories.some((repository) => words.includes(repository)) &&
      target.includes.some((pattern) => compileAntPattern(pattern).matches(place.path)) &&
      !target.excludes.some((pattern) => compileAntPattern(pattern).matches(place.path));
    if (!reaches) continue;
    for (const { kind, subject, actions } of target.grants) {
      const held = subjects[kind].get(subject) ?? new Set<Action>();
      subjects[kind].set(subject, held);
      for (const action of actions) held.add(action);
    }
  }
  const nameOfUser = async (id: string) => (id === ANONYMOUS_SUBJECT ? id : (await getUser(db, id))?.name);
  const nameOfGroup = async (id: string) => (await getUserGroup(db, id))?.name;
  return { users: await named(subjects.user, nameOfUser), groups: await named(subjects.group, nameOfGroup) };
}

async function named(
  byId: ReadonlyMap<string, ReadonlySet<Action>>,
  nameOf: (id: string) => Promise<string | undefined>,
): Promise<Map<string, readonly Action[]>> {
  const found: [string, readonly Action[]][] = [];
  for (const [id, actions] of byId) {
    const name = await nameOf(id);
    if (name !== undefined) found.push([name, ACTIONS.filter((action) => actions.has(action))]);
  }
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}
