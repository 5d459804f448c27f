import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { type ColumnTypes, columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  for (const statement of statements(columnTypes(postgres))) await sql.raw(statement).execute(db);
}

function statements({ id, int, text, bytes }: ColumnTypes): string[] {
  return [
    `create table repository (
      id ${id},
      key ${text} not null unique,
      rclass ${text} not null,
      package_type ${text} not null,
      config ${text} not null,
      created_at ${int} not null,
      updated_at ${int} not null)`,

    `create table blob (
      sha256 ${text} primary key,
      sha1 ${text},
      md5 ${text},
      size ${int} not null,
      store_key ${text} unique,
      created_at ${int} not null)`,
    `create index blob_sha1 on blob (sha1)`,
    `create index blob_md5 on blob (md5)`,
    `create table blob_content (
      sha256 ${text} primary key references blob (sha256) on delete cascade,
      bytes ${bytes} not null)`,
    `create table blob_alias (
      algorithm ${text} not null,
      value ${text} not null,
      sha256 ${text} not null references blob (sha256) on delete cascade,
      primary key (algorithm, value))`,
    `create index blob_alias_sha256 on blob_alias (sha256)`,
    `create table blob_review (
      sha256 ${text} primary key,
      review_after ${int} not null)`,
    `create index blob_review_due on blob_review (review_after)`,
    `create table object_trash (
      id ${id},
      store_key ${text} not null,
      not_before ${int} not null,
      attempts ${int} not null)`,
    `create index object_trash_due on object_trash (not_before)`,
    `create index object_trash_key on object_trash (store_key)`,

    `create table node (
      id ${id},
      repo_id ${int} not null references repository (id),
      parent ${text} not null,
      name ${text} not null,
      folder ${int} not null,
      sha256 ${text} references blob (sha256),
      size ${int} not null,
      media_type ${text},
      package ${text},
      etag ${text},
      created_at ${int} not null,
      created_by ${text} not null,
      modified_at ${int} not null,
      modified_by ${text} not null,
      unique (repo_id, parent, name))`,
    `create index node_content on node (sha256, repo_id, package) where sha256 is not null`,
    `create table property (
      node_id ${int} not null references node (id) on delete cascade,
      key ${text} not null,
      value ${text} not null,
      primary key (node_id, key, value))`,
    `create index property_value on property (key, value, node_id)`,
    `create table package_version (
      node_id ${int} primary key references node (id) on delete cascade,
      repo_id ${int} not null,
      name ${text} not null,
      version ${text} not null,
      metadata ${text} not null,
      created_at ${int} not null,
      unique (repo_id, name, version))`,

    `create table upload (
      id ${text} primary key,
      repo_id ${int} not null references repository (id) on delete cascade,
      package ${text} not null,
      stage_id ${text} not null,
      received ${int} not null,
      principal ${text} not null,
      digest ${text},
      created_at ${int} not null,
      touched_at ${int} not null)`,
    `create index upload_touched on upload (touched_at)`,
    `create index upload_principal on upload (principal)`,

    `create table event (
      id ${id},
      type ${text} not null,
      repo ${text},
      path ${text},
      principal ${text} not null,
      payload ${text} not null,
      at ${int} not null)`,
    `create table cursor (
      consumer ${text} primary key,
      event_id ${int} not null)`,
    `create table job (
      id ${id},
      name ${text} not null,
      payload ${text} not null,
      dedupe_key ${text},
      state ${text} not null,
      priority ${int} not null,
      run_at ${int} not null,
      lease_until ${int},
      fence ${int} not null,
      attempts ${int} not null,
      last_error ${text},
      created_at ${int} not null)`,
    `create index job_due on job (state, priority desc, id)`,
    `create unique index job_dedupe on job (name, dedupe_key) where dedupe_key is not null and state = 'waiting'`,
    `create table schedule (
      name ${text} primary key,
      every_ms ${int} not null,
      next_at ${int} not null)`,

    `create table "user" (
      id ${text} primary key,
      name ${text} not null unique,
      email ${text},
      password ${text},
      admin ${int} not null,
      enabled ${int} not null,
      tokens_valid_after ${int} not null,
      version ${int} not null,
      created_at ${int} not null,
      last_login_at ${int})`,
    `create table user_group (
      id ${text} primary key,
      name ${text} not null unique,
      description ${text} not null,
      auto_join ${int} not null,
      admin ${int} not null,
      created_at ${int} not null)`,
    `create table user_group_member (
      group_id ${text} not null references user_group (id) on delete cascade,
      user_id ${text} not null references "user" (id) on delete cascade,
      primary key (group_id, user_id))`,
    `create index user_group_member_user on user_group_member (user_id)`,
    `create table token (
      id ${text} primary key,
      user_id ${text} not null references "user" (id) on delete cascade,
      kind ${text} not null,
      secret ${text},
      scope ${text},
      description ${text} not null,
      created_at ${int} not null,
      expires_at ${int},
      last_used_at ${int})`,
    `create index token_user on token (user_id)`,
    `create table permission_target (
      id ${id},
      name ${text} not null unique,
      repositories ${text} not null,
      includes ${text} not null,
      excludes ${text} not null)`,
    `create table permission_grant (
      target_id ${int} not null references permission_target (id) on delete cascade,
      kind ${text} not null,
      subject ${text} not null,
      actions ${text} not null,
      primary key (target_id, kind, subject))`,
    `create table login_failure (
      key ${text} primary key,
      failures ${int} not null,
      window_start ${int} not null,
      blocked_until ${int} not null)`,
    `create table signing_key (
      id ${text} primary key,
      public_jwk ${text} not null,
      sealed_private ${text} not null,
      created_at ${int} not null,
      retired_at ${int})`,
    `create table setting (
      key ${text} primary key,
      value ${text} not null)`,
  ];
}
