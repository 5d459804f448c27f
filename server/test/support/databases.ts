/** A fresh, migrated database of each kind for tests that must hold on both. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../../src/db/database.ts';
import { openPostgres } from '../../src/db/dialects/postgres.ts';
import { openSqlite } from '../../src/db/dialects/sqlite.ts';
import { migrate } from '../../src/db/migrate.ts';
import { type PostgresServer, sharedPostgres } from './postgres.ts';

export interface TestDatabase {
  readonly name: 'sqlite' | 'postgres';
  /** Another handle on the same database, as another node or the next start would have it. */
  open(): Promise<Database>;
  /** Closes every handle that is still open and removes the database. */
  close(): Promise<void>;
}

/** Runs `define` once for each kind of database; `create` makes one that no other test uses. */
export function eachDatabase(
  define: (kind: { readonly name: 'sqlite' | 'postgres'; create(): Promise<TestDatabase> }) => void,
): void {
  define({ name: 'sqlite', create: createSqlite });
  define({ name: 'postgres', create: createPostgres });
}

/** A migrated SQLite database in a temporary folder. */
export async function createSqlite(): Promise<TestDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-sqlite-'));
  const file = join(folder, 'metadata.db');
  const handles = new Handles();
  return {
    name: 'sqlite',
    async open() {
      const database = handles.add(await openSqlite(file));
      await migrate(database);
      return database;
    },
    async close() {
      await handles.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A migrated database on the shared PostgreSQL, or on the one given. */
export async function createPostgres(server?: PostgresServer): Promise<TestDatabase> {
  const home = server ?? (await sharedPostgres());
  const url = await home.createDatabase(await templateOf(home));
  const handles = new Handles();
  return {
    name: 'postgres',
    open: async () => handles.add(connect(url)),
    async close() {
      await handles.close();
      await home.dropDatabase(url);
    },
  };
}

function connect(url: string): Database {
  // Connections lost to a restart are what some tests cause; every other failure reaches the query that met it.
  return openPostgres({ url, poolSize: 10, onError: () => undefined });
}

const templates = new WeakMap<PostgresServer, Promise<string>>();

/** Copying a migrated database is ten times faster than migrating an empty one. */
function templateOf(server: PostgresServer): Promise<string> {
  let template = templates.get(server);
  if (!template) {
    template = migrateTemplate(server);
    templates.set(server, template);
  }
  return template;
}

async function migrateTemplate(server: PostgresServer): Promise<string> {
  const url = await server.createDatabase();
  const database = connect(url);
  await migrate(database);
  await database.close();
  return url;
}

class Handles {
  readonly #open = new Set<Database>();

  add(database: Database): Database {
    this.#open.add(database);
    const close = database.close.bind(database);
    database.close = async () => {
      if (this.#open.delete(database)) await close();
    };
    return database;
  }

  async close(): Promise<void> {
    for (const database of this.#open) await database.close();
  }
}
