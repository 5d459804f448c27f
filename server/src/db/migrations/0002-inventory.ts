/** What the REST API tells beyond the tree: statistics, declared checksums, builds, contents of archives, refusals. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { type ColumnTypes, columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  for (const statement of statements(columnTypes(postgres))) await sql.raw(statement).execute(db);
}

function statements({ id, int, text }: ColumnTypes): string[] {
  return [
    `alter table node add column original_sha1 ${text}`,
    `alter table node add column original_md5 ${text}`,
    `create table statistic (
      node_id ${int} primary key references node (id) on delete cascade,
      downloads ${int} not null,
      downloaded_at ${int},
      downloaded_by ${text},
      remote_downloads ${int} not null,
      remote_downloaded_at ${int},
      remote_downloaded_by ${text})`,
    `create index statistic_downloaded on statistic (downloaded_at)`,

    `create table build (
      id ${id},
      repo_id ${int} not null references repository (id),
      name ${text} not null,
      number ${text} not null,
      started_at ${int} not null,
      url ${text},
      promoted ${int} not null,
      created_at ${int} not null,
      created_by ${text} not null,
      modified_at ${int} not null,
      modified_by ${text} not null,
      unique (repo_id, name, number, started_at))`,
    `create index build_started on build (repo_id, name, started_at)`,
    `create table build_property (
      build_id ${int} not null references build (id) on delete cascade,
      key ${text} not null,
      value ${text} not null,
      primary key (build_id, key, value))`,
    `create index build_property_value on build_property (key, value, build_id)`,
    `create table build_promotion (
      id ${id},
      build_id ${int} not null references build (id) on delete cascade,
      status ${text},
      repo ${text},
      comment ${text},
      ci_user ${text},
      created_at ${int} not null,
      created_by ${text} not null)`,
    `create index build_promotion_build on build_promotion (build_id)`,
    `create table build_module (
      id ${id},
      build_id ${int} not null references build (id) on delete cascade,
      name ${text} not null,
      type ${text})`,
    `create index build_module_build on build_module (build_id)`,
    `create index build_module_name on build_module (name)`,
    `create table build_module_property (
      module_id ${int} not null references build_module (id) on delete cascade,
      key ${text} not null,
      value ${text} not null,
      primary key (module_id, key, value))`,
    `create index build_module_property_value on build_module_property (key, value, module_id)`,
    `create table build_artifact (
      id ${id},
      module_id ${int} not null references build_module (id) on delete cascade,
      name ${text} not null,
      type ${text},
      path ${text},
      repo ${text},
      sha1 ${text},
      md5 ${text},
      sha256 ${text})`,
    `create index build_artifact_module on build_artifact (module_id)`,
    `create index build_artifact_sha1 on build_artifact (sha1)`,
    `create table build_dependency (
      id ${id},
      module_id ${int} not null references build_module (id) on delete cascade,
      name ${text} not null,
      type ${text},
      scopes ${text} not null,
      sha1 ${text},
      md5 ${text},
      sha256 ${text})`,
    `create index build_dependency_module on build_dependency (module_id)`,
    `create index build_dependency_sha1 on build_dependency (sha1)`,

    `create table archive (
      sha256 ${text} primary key references blob (sha256) on delete cascade,
      indexed_at ${int} not null,
      problem ${text})`,
    `create table archive_entry (
      sha256 ${text} not null references archive (sha256) on delete cascade,
      path ${text} not null,
      name ${text} not null,
      primary key (sha256, path, name))`,
    `create index archive_entry_name on archive_entry (name, path)`,

    `create table refusal (
      request_id ${text} primary key,
      at ${int} not null,
      principal ${text} not null,
      method ${text} not null,
      address ${text} not null,
      repo ${text},
      path ${text},
      status ${int} not null,
      message ${text} not null,
      steps ${text} not null)`,
    `create index refusal_at on refusal (at)`,
  ];
}
