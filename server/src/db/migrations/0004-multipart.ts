/** Uploads of one file in parts that may come in any order. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { type ColumnTypes, columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  for (const statement of statements(columnTypes(postgres))) await sql.raw(statement).execute(db);
}

function statements({ int, text }: ColumnTypes): string[] {
  return [
    `create table multipart_upload (
      id ${text} primary key,
      repo ${text} not null,
      path ${text} not null,
      principal ${text} not null,
      part_bytes ${int} not null,
      state ${text} not null,
      sha1 ${text},
      sha256 ${text},
      progress ${int} not null,
      error ${text},
      created_at ${int} not null,
      touched_at ${int} not null)`,
    `create index multipart_upload_touched on multipart_upload (touched_at)`,
    `create index multipart_upload_principal on multipart_upload (principal)`,
    `create table multipart_part (
      upload_id ${text} not null references multipart_upload (id) on delete cascade,
      number ${int} not null,
      stage_id ${text} not null,
      size ${int} not null,
      primary key (upload_id, number))`,
    `create index multipart_part_stage on multipart_part (stage_id)`,
  ];
}
