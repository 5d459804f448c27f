/** A server with repositories and users of different rights, and a look at what it has stored. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Core } from '../../src/app.ts';
import { createUser, SYSTEM } from '../../src/auth/accounts.ts';
import { putPermissionTarget } from '../../src/auth/permission-targets.ts';
import type { Action } from '../../src/core/principal.ts';
import type { Database } from '../../src/db/database.ts';
import { type Caller, type Storage, startTestApp, type TestApp } from './test-app.ts';

export const PASSWORD = 'blue-teapot-17';

/** Each user's rights in `docker-local` and `generic-local`; in `docker-other` only `other` and `owner` have any. */
const RIGHTS: Readonly<Record<string, readonly Action[]>> = {
  reader: ['read'],
  writer: ['read', 'annotate', 'deploy'],
  dropper: ['deploy'],
  owner: ['read', 'annotate', 'deploy', 'delete'],
};
export type UserName = 'reader' | 'writer' | 'dropper' | 'owner' | 'other' | 'outsider';

export interface World {
  readonly app: TestApp;
  readonly database: Database;
  readonly admin: Caller;
  readonly anonymous: Caller;
  as(name: UserName): Caller;
  stop(): Promise<void>;
}

export interface WorldOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Further things to be done before the server starts. */
  prepare?(core: Core): Promise<void>;
}

/** Many wrong credentials come from one address here, which is not what these tests are about. */
const PATIENT = {
  ENTREPOT_SECURITY__THROTTLE__SOURCE_FAILURES: '100000',
  ENTREPOT_SECURITY__THROTTLE__ACCOUNT_FAILURES: '100000',
  ENTREPOT_SECURITY__THROTTLE__ACCOUNT_HARD_STOP: '100000',
  ENTREPOT_SECURITY__THROTTLE__ADDRESS_FAILURES: '100000',
  ENTREPOT_SECURITY__THROTTLE__ADDRESS_ACCOUNTS: '100000',
};

export async function startWorld(storage: Storage, options: WorldOptions = {}): Promise<World> {
  const app = await startTestApp(storage, { ...PATIENT, ...options.env });
  try {
    await app.administer(async (core) => {
      await createInhabitants(core);
      await options.prepare?.(core);
    });
    const database = await app.openDatabase();
    return {
      app,
      database,
      admin: app.admin,
      anonymous: app.anonymous,
      as: (name) => app.as(name, PASSWORD),
      async stop() {
        await database.close();
        await app.stop();
      },
    };
  } catch (error) {
    await app.stop();
    throw error;
  }
}

async function createInhabitants(core: Core): Promise<void> {
  await core.administration.create({ key: 'docker-other', rclass: 'local', packageType: 'docker' }, '_system_');
  for (const name of [...Object.keys(RIGHTS), 'other', 'outsider']) {
    await createUser(core.accounts, { name, password: PASSWORD }, SYSTEM);
  }
  const grants = Object.entries(RIGHTS).map(([name, actions]) => ({ kind: 'user' as const, name, actions }));
  await grant(core, 'main', ['docker-local', 'generic-local'], grants);
  const all: readonly Action[] = ['read', 'annotate', 'deploy', 'delete'];
  await grant(
    core,
    'other',
    ['docker-other'],
    [
      { kind: 'user', name: 'other', actions: all },
      { kind: 'user', name: 'owner', actions: all },
    ],
  );
}

/** Gives rights in whole repositories; `anonymous` stands for callers without credentials. */
export async function grant(
  core: Core,
  name: string,
  repositories: readonly string[],
  grants: readonly { kind: 'user' | 'group'; name: string; actions: readonly Action[] }[],
  includes: readonly string[] = ['**'],
): Promise<void> {
  await putPermissionTarget(core.accounts, { name, repositories, includes, excludes: [], grants }, SYSTEM);
}

/** How many rows there are of everything a request may leave behind, and which stages. */
export async function countStored(world: World): Promise<Readonly<Record<string, unknown>>> {
  const counts: Record<string, unknown> = {};
  for (const table of ['node', 'property', 'package_version', 'blob', 'upload', 'object_trash', 'event'] as const) {
    const row = await world.database.kysely
      .selectFrom(table)
      .select(({ fn }) => fn.countAll().as('count'))
      .executeTakeFirstOrThrow();
    counts[table] = Number(row.count);
  }
  counts['stages'] = (await stagesOf(world.app)).sort();
  return counts;
}

/** Files in the staging folder; none where the blobs are in a bucket. */
export async function stagesOf(app: TestApp): Promise<string[]> {
  try {
    return await readdir(join(app.dataDir, 'blobs', 'staging'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
