/** Brings the schema up to date, forward only, one migration per transaction, one process at a time. */
import { type Kysely, sql } from 'kysely';
import { crashpoint } from '../lib/crashpoint.ts';
import { type Database, isPostgres, lockScope, type Tx } from './database.ts';
import { up as foundation } from './migrations/0001-foundation.ts';
import { up as inventory } from './migrations/0002-inventory.ts';
import { up as search } from './migrations/0003-search.ts';
import { up as multipart } from './migrations/0004-multipart.ts';
import { up as builds } from './migrations/0005-builds.ts';
import { up as treeOperations } from './migrations/0006-tree-operations.ts';
import { up as documents } from './migrations/0007-documents.ts';
import { up as remotes } from './migrations/0008-remotes.ts';
import { up as virtuals } from './migrations/0009-virtuals.ts';
import { up as versionRevisions } from './migrations/0010-version-revisions.ts';
import { up as repositoryRevisions } from './migrations/0011-repository-revisions.ts';
import { up as packageListings } from './migrations/0012-package-listings.ts';
import type { Schema } from './schema.ts';

export interface Migration {
  readonly name: string;
  up(db: Kysely<Schema>, postgres: boolean): Promise<void>;
}

/** In order; names never change once released. */
const MIGRATIONS: readonly Migration[] = [
  { name: '0001-foundation', up: foundation },
  { name: '0002-inventory', up: inventory },
  { name: '0003-search', up: search },
  { name: '0004-multipart', up: multipart },
  { name: '0005-builds', up: builds },
  { name: '0006-tree-operations', up: treeOperations },
  { name: '0007-documents', up: documents },
  { name: '0008-remotes', up: remotes },
  { name: '0009-virtuals', up: virtuals },
  { name: '0010-version-revisions', up: versionRevisions },
  { name: '0011-repository-revisions', up: repositoryRevisions },
  { name: '0012-package-listings', up: packageListings },
];

/** Applies what is missing and returns the names applied. A database newer than this program is refused. */
export async function migrate(database: Database, migrations: readonly Migration[] = MIGRATIONS): Promise<string[]> {
  const applied: string[] = [];
  await database.transaction(async (tx) => {
    await lockScope(tx, 'migration');
    await sql`create table if not exists migration (name text primary key, applied_at bigint not null)`.execute(tx);
  });
  await refuseNewer(database, migrations);
  for (const migration of migrations) {
    if (await database.transaction((tx) => applyOnce(tx, migration))) applied.push(migration.name);
  }
  return applied;
}

async function applyOnce(tx: Tx, migration: Migration): Promise<boolean> {
  await lockScope(tx, 'migration');
  const known = await sql`select 1 from migration where name = ${migration.name}`.execute(tx);
  if (known.rows.length > 0) return false;
  await migration.up(tx, isPostgres(tx));
  crashpoint('migration.applied');
  await sql`insert into migration (name, applied_at) values (${migration.name}, ${Date.now()})`.execute(tx);
  crashpoint('migration.recorded');
  return true;
}

async function refuseNewer(database: Database, migrations: readonly Migration[]): Promise<void> {
  const { rows } = await sql<{ name: string }>`select name from migration order by name`.execute(database.kysely);
  const known = new Set(migrations.map((migration) => migration.name));
  const unknown = rows.find((row) => !known.has(row.name));
  if (unknown) {
    throw new Error(
      `The database was changed by a newer release ("${unknown.name}"). Start that release, or restore a backup.`,
    );
  }
}
