/** Rows of builds: what their documents say, kept in step with the files by being written and removed with them. */
import { type SqlBool, sql } from 'kysely';
import type { BuildFile, BuildModule, BuildProperty, BuildRecord } from '../core/build.ts';
import { joinPath, type RepoKey, type RepoPath } from '../core/ids.ts';
import { chunks } from './blobs.ts';
import type { Db, Tx } from './database.ts';

/** One run of a build. */
export interface RunRow {
  readonly id: number;
  readonly name: string;
  readonly number: string;
  readonly startedAt: number;
  readonly promoted: boolean;
  /** Where its document lies. */
  readonly path: RepoPath;
}

export interface BuildNameRow {
  readonly name: string;
  readonly lastStartedAt: number;
}

/** Writes what the document of a build says, in the place of what an earlier state of it said. */
export async function putBuild(
  tx: Tx,
  repoId: number,
  nodeId: number,
  record: BuildRecord,
  options: { readonly by: string; readonly at: number },
): Promise<void> {
  const { name, number } = record;
  const startedAt = record.startedAt.getTime();
  const { by, at } = options;
  const replaced = await tx
    .deleteFrom('build')
    .where((eb) =>
      eb.or([
        eb('node_id', '=', nodeId),
        // A document that was moved away by hand stands for the run no more.
        eb.and({ repo_id: repoId, name, number, started_at: startedAt }),
      ]),
    )
    .returning(['node_id', 'created_at', 'created_by'])
    .execute();
  const earlier = replaced.find((row) => row.node_id === nodeId);
  const { id } = await tx
    .insertInto('build')
    .values({
      repo_id: repoId,
      node_id: nodeId,
      name,
      number,
      started_at: startedAt,
      url: record.url ?? null,
      promoted: record.promotions.length > 0 ? 1 : 0,
      created_at: earlier?.created_at ?? at,
      created_by: earlier?.created_by ?? by,
      modified_at: at,
      modified_by: by,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  for (const chunk of chunks(distinct(record.properties))) {
    await tx
      .insertInto('build_property')
      .values(chunk.map(({ key, value }) => ({ build_id: id, key, value })))
      .execute();
  }
  for (const chunk of chunks(record.promotions)) {
    await tx
      .insertInto('build_promotion')
      .values(
        chunk.map((promotion) => ({
          build_id: id,
          status: promotion.status ?? null,
          repo: promotion.repo ?? null,
          comment: promotion.comment ?? null,
          ci_user: promotion.ciUser ?? null,
          created_at: promotion.at.getTime(),
          created_by: promotion.by,
        })),
      )
      .execute();
  }
  for (const chunk of chunks(record.modules)) await addModules(tx, id, chunk);
}

async function addModules(tx: Tx, buildId: number, modules: readonly BuildModule[]): Promise<void> {
  const inserted = await tx
    .insertInto('build_module')
    .values(modules.map(({ name, type }) => ({ build_id: buildId, name, type: type ?? null })))
    .returning('id')
    .execute();
  // Ids are given in the order of the rows; nothing promises that they come back in it.
  const ids = inserted.map(({ id }) => id).sort((a, b) => a - b);
  const each = modules.map((module, i) => ({ module, module_id: ids[i] as number }));
  const properties = each.flatMap(({ module, module_id }) =>
    distinct(module.properties).map(({ key, value }) => ({ module_id, key, value })),
  );
  for (const chunk of chunks(properties)) await tx.insertInto('build_module_property').values(chunk).execute();
  const artifacts = each.flatMap(({ module, module_id }) =>
    module.artifacts.map((artifact) => ({
      module_id,
      ...fileColumns(artifact),
      path: artifact.path ?? null,
      repo: artifact.repo ?? null,
    })),
  );
  for (const chunk of chunks(artifacts)) await tx.insertInto('build_artifact').values(chunk).execute();
  const dependencies = each.flatMap(({ module, module_id }) =>
    module.dependencies.map((dependency) => ({
      module_id,
      ...fileColumns(dependency),
      scopes: JSON.stringify(dependency.scopes),
    })),
  );
  for (const chunk of chunks(dependencies)) await tx.insertInto('build_dependency').values(chunk).execute();
}

function fileColumns({ name, type, sha1, md5, sha256 }: BuildFile) {
  return { name, type: type ?? null, sha1: sha1 ?? null, md5: md5 ?? null, sha256: sha256 ?? null };
}

function distinct(properties: readonly BuildProperty[]): BuildProperty[] {
  return [
    ...new Map(properties.map((property) => [JSON.stringify([property.key, property.value]), property])).values(),
  ];
}

function runs(db: Db, repo: RepoKey) {
  return (
    db
      .selectFrom('build')
      .innerJoin('node', 'node.id', 'build.node_id')
      .select([
        'build.id',
        'build.name',
        'build.number',
        'build.started_at',
        'build.promoted',
        'node.parent',
        'node.name as file',
      ])
      // A document in the trash can, or moved elsewhere by hand, is no build until it is back.
      .whereRef('node.repo_id', '=', 'build.repo_id')
      .where('build.repo_id', '=', (eb) => eb.selectFrom('repository').select('id').where('key', '=', repo))
  );
}

type RunRecord = NonNullable<Awaited<ReturnType<ReturnType<typeof runs>['executeTakeFirst']>>>;

function runRow(row: RunRecord): RunRow {
  return {
    id: row.id,
    name: row.name,
    number: row.number,
    startedAt: row.started_at,
    promoted: row.promoted === 1,
    path: joinPath(row.parent, row.file),
  };
}

/** Names of builds with the time of their last run, by name. */
export async function listBuildNames(
  db: Db,
  repo: RepoKey,
  page: { readonly after: string; readonly limit: number },
): Promise<BuildNameRow[]> {
  const inRepo = sql`build.repo_id = (select id from repository where key = ${repo})`;
  // One look into the index for each name, however many runs it has.
  const { rows } = await sql<{ name: string; last: number }>`
    with recursive names (name) as (
      select (select build.name from build where ${inRepo} and build.name > ${page.after} order by build.name limit 1)
      union all
      select (select build.name from build where ${inRepo} and build.name > names.name order by build.name limit 1)
      from names where names.name is not null)
    select names.name as name,
      (select max(build.started_at) from build where ${inRepo} and build.name = names.name) as last
    from names where names.name is not null limit ${page.limit}`.execute(db);
  return rows.map(({ name, last }) => ({ name, lastStartedAt: Number(last) }));
}

/** Runs of a build, newest first. */
export async function listRuns(
  db: Db,
  repo: RepoKey,
  name: string,
  page: { readonly after?: RunRow | undefined; readonly limit: number },
): Promise<RunRow[]> {
  let query = runs(db, repo)
    .where('build.name', '=', name)
    .orderBy('build.started_at', 'desc')
    .orderBy('build.id', 'desc')
    .limit(page.limit);
  if (page.after) query = query.where(isOlder(page.after));
  return (await query.execute()).map(runRow);
}

function isOlder({ startedAt, id }: RunRow) {
  return sql<SqlBool>`(build.started_at < ${startedAt} or (build.started_at = ${startedAt} and build.id < ${id}))`;
}

/** Runs of a build that have this number, newest first; only the one that started then, where a time is given. */
export async function listRunsOf(
  db: Db,
  repo: RepoKey,
  run: { readonly name: string; readonly number: string; readonly startedAt?: number | undefined },
  limit: number,
): Promise<RunRow[]> {
  let query = runs(db, repo)
    .where('build.name', '=', run.name)
    .where('build.number', '=', run.number)
    .orderBy('build.started_at', 'desc')
    .orderBy('build.id', 'desc')
    .limit(limit);
  if (run.startedAt !== undefined) query = query.where('build.started_at', '=', run.startedAt);
  return (await query.execute()).map(runRow);
}

/** The newest run with a status; in whatever case it was written. */
export async function listRunsWithStatus(
  db: Db,
  repo: RepoKey,
  name: string,
  status: string,
  limit: number,
): Promise<RunRow[]> {
  const query = runs(db, repo)
    .where('build.name', '=', name)
    .where('build.promoted', '=', 1)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('build_promotion')
          .select('build_promotion.id')
          .whereRef('build_promotion.build_id', '=', 'build.id')
          .where(sql<string>`lower(build_promotion.status)`, '=', status.toLowerCase()),
      ),
    )
    .orderBy('build.started_at', 'desc')
    .orderBy('build.id', 'desc')
    .limit(limit);
  return (await query.execute()).map(runRow);
}

/** Has the rows of documents belong to the repository their files were moved to. */
export async function moveBuilds(tx: Tx, nodeIds: readonly number[], toRepoId: number): Promise<void> {
  const moved = await tx
    .selectFrom('build')
    .select(['id', 'name', 'number', 'started_at'])
    .where('node_id', 'in', nodeIds)
    .where('repo_id', '!=', toRepoId)
    .execute();
  for (const { id, name, number, started_at } of moved) {
    await tx
      .deleteFrom('build')
      .where((eb) => eb.and({ repo_id: toRepoId, name, number, started_at }))
      .execute();
    await tx.updateTable('build').set({ repo_id: toRepoId }).where('id', '=', id).execute();
  }
}
