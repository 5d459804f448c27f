/** A large tree with properties, made by the database itself: what plans and speed of searches are looked at with. */
import { sql } from 'kysely';
import { type Database, isPostgres } from '../../src/db/database.ts';

export interface LargeTree {
  /** Ids by key. */
  readonly repositories: ReadonlyMap<string, number>;
}

const REPOSITORIES = 10;
const BATCH = 50_000;
const START = Date.parse('2024-01-01');
const MINUTE = 60_000;

/**
 * Files `org/g<n>/a<n>/v<n>/file-<n>.jar` in the repositories `big-0` to `big-9`, each a minute younger than the one
 * before, ten files to a blob, each with five properties: `build.name` (100 values), `build.number` (1000), `version`
 * (97), `qa` (2) and `team` (10). Every hundredth was downloaded, and every fiftieth is a build's.
 */
export async function makeLargeTree(database: Database, files: number): Promise<LargeTree> {
  const postgres = isPostgres(database.kysely);
  const hex = (expression: string, width: number) =>
    postgres ? `lpad(to_hex(${expression}), ${width}, '0')` : `printf('%0${width}x', ${expression})`;
  const run = (text: string) =>
    database.transaction(async (tx) => {
      // The keys are right by construction; looking each of them up would take most of the time.
      if (postgres) await sql`set local session_replication_role = replica`.execute(tx);
      await sql.raw(text).execute(tx);
    });
  const repositories = new Map<string, number>();
  for (let i = 0; i < REPOSITORIES; i++) {
    const { rows } = await sql<{ id: number }>`insert into repository (key, rclass, package_type, config, created_at,
      updated_at) values (${`big-${i}`}, 'local', 'generic', '{}', 1, 1) returning id`.execute(database.kysely);
    repositories.set(`big-${i}`, Number(rows[0]!.id));
  }
  const firstRepo = Math.min(...repositories.values());
  for (let from = 0; from < files; from += BATCH) {
    const to = Math.min(from + BATCH, files);
    const numbers = postgres
      ? `(select generate_series(${from}::bigint, ${to - 1}::bigint) as n) s`
      : `(with recursive s(n) as (select ${from} union all select n + 1 from s where n < ${to - 1}) select n from s) s`;
    await run(`insert into blob (sha256, sha1, md5, size, store_key, created_at)
      select ${hex('n', 64)}, ${hex('n', 40)}, ${hex('n', 32)}, 1, 'large-' || n, 1
      from ${numbers} where n % 10 = 0 on conflict do nothing`);
    await run(`insert into node (id, repo_id, parent, name, folder, sha256, size, media_type, package, etag, created_at,
      created_by, modified_at, modified_by)
      select 1000000 + n, ${firstRepo} + n % ${REPOSITORIES},
        'org/g' || ((n / 10) % 50) || '/a' || ((n / 500) % 200) || '/v' || (n / 100000),
        'file-' || n || '.jar', 0, ${hex('n - n % 10', 64)}, n, 'application/java-archive', null, null,
        ${START} + n * ${MINUTE}, 'user-' || (n % 7), ${START} + n * ${MINUTE}, 'user-' || (n % 7)
      from ${numbers}`);
    for (const [key, value] of [
      ['build.name', "'b' || (n % 100)"],
      ['build.number', "'' || (n % 1000)"],
      ['version', "'1.' || (n % 97)"],
      ['qa', "case when n % 2 = 0 then 'passed' else 'open' end"],
      ['team', "'t' || (n % 10)"],
    ]) {
      await run(`insert into property (node_id, key, value) select 1000000 + n, '${key}', ${value} from ${numbers}`);
    }
    await run(`insert into statistic (node_id, downloads, downloaded_at, downloaded_by, remote_downloads)
      select 1000000 + n, n % 50, ${START} + n * ${MINUTE}, 'user-1', 0 from ${numbers} where n % 100 = 0`);
    await run(`insert into build (id, repo_id, name, number, started_at, promoted, created_at, created_by, modified_at,
      modified_by) select 1000000 + n, ${firstRepo}, 'build-' || (n % 20000), '' || n, n, 0, n, 'ci', n, 'ci'
      from ${numbers} where n % 50 = 0`);
    await run(`insert into build_module (id, build_id, name)
      select 1000000 + n, 1000000 + n, 'm' || n from ${numbers} where n % 50 = 0`);
    await run(`insert into build_artifact (module_id, name, sha1)
      select 1000000 + n, 'artifact-' || n, ${hex('n', 40)} from ${numbers} where n % 50 = 0`);
    await run(`insert into build_dependency (module_id, name, scopes, sha1)
      select 1000000 + n, 'artifact-' || n, '[]', ${hex('n', 40)} from ${numbers} where n % 50 = 0`);
    await run(`insert into archive (sha256, indexed_at) select ${hex('n', 64)}, 1 from ${numbers} where n % 100 = 0`);
    await run(`insert into archive_entry (sha256, path, name)
      select ${hex('n', 64)}, 'org/c' || (n % 70), 'Class' || n || '.class' from ${numbers} where n % 100 = 0`);
  }
  // As the server of PostgreSQL does by itself after a while.
  if (postgres) await sql`analyze`.execute(database.kysely);
  return { repositories };
}
