/** A server with repositories and users of different rights, and a look at what it has stored. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createUser, SYSTEM } from '../../src/auth/accounts.ts';
import { putPermissionTarget } from '../../src/auth/permission-targets.ts';
import type { Action } from '../../src/core/principal.ts';
import type { Database } from '../../src/db/database.ts';
import type { Core, Outside } from '../../src/state.ts';
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
  /** Stops the server; fails when it has logged an error of its own. */
  stop(): Promise<void>;
}

export interface WorldOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The world that the server sees. */
  readonly outside?: Outside;
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
  const app = await startTestApp(storage, { ...PATIENT, ...options.env }, options.outside);
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
        assert.deepEqual(
          app.complaints.filter(({ level }) => level === 'error'),
          [],
        );
      },
    };
  } catch (error) {
    await app.stop();
    throw error;
  }
}

let sharedHash: Promise<string> | undefined;

async function createInhabitants(core: Core): Promise<void> {
  await core.administration.create({ key: 'docker-other', rclass: 'local', packageType: 'docker' }, '_system_');
  const names = [...Object.keys(RIGHTS), 'other', 'outsider'];
  for (const name of names) await createUser(core.accounts, { name }, SYSTEM);
  // Hashing a password takes long on purpose, so all users of all tests share one hash.
  sharedHash ??= core.passwords.hash(PASSWORD);
  const password = await sharedHash;
  await core.database.transaction((tx) =>
    tx.updateTable('user').set({ password }).where('name', 'in', names).execute(),
  );
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

export interface Stored {
  readonly counts: Readonly<Record<string, number>>;
  readonly stages: readonly string[];
}

/** How many rows there are of everything a request may leave behind, and which stages. */
export async function countStored(world: World): Promise<Stored> {
  const counts: Record<string, number> = {};
  for (const table of ['node', 'property', 'package_version', 'blob', 'upload', 'object_trash', 'event'] as const) {
    const row = await world.database.kysely
      .selectFrom(table)
      .select(({ fn }) => fn.countAll().as('count'))
      .executeTakeFirstOrThrow();
    counts[table] = Number(row.count);
  }
  return { counts, stages: await stagesOf(world.app) };
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
