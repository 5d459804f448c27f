/** What remote repositories know of their upstreams. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { type ColumnTypes, columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  for (const statement of statements(columnTypes(postgres))) await sql.raw(statement).execute(db);
}

function statements({ int, text }: ColumnTypes): string[] {
  return [
    `create table expected_file (
      lead_id ${int} not null references node (id) on delete cascade,
      repo_id ${int} not null,
      package ${text} not null,
      sha256 ${text} not null,
      name ${text} not null,
      size ${int} not null,
      media_type ${text} not null,
      primary key (lead_id, name))`,
    `create index expected_file_bytes on expected_file (repo_id, package, sha256)`,
    `create table remote_item (
      repo_id ${int} not null,
      key ${text} not null,
      sha256 ${text},
      etag ${text},
      last_modified ${text},
      checked_at ${int} not null,
      absent_until ${int} not null,
      reason ${text},
      primary key (repo_id, key))`,
    `create index remote_item_absent on remote_item (absent_until) where absent_until > 0`,
    `create table fetch_lease (
      repo_id ${int} not null,
      key ${text} not null,
      owner ${text} not null,
      expires_at ${int} not null,
      description ${text},
      outcome ${text},
      primary key (repo_id, key))`,
  ];
}
