/** Copies, moves and deletions that take more than one transaction, and folders that may have become empty. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { type ColumnTypes, columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  for (const statement of statements(columnTypes(postgres))) await sql.raw(statement).execute(db);
}

function statements({ id, int, text }: ColumnTypes): string[] {
  return [
    `create table tree_operation (
      id ${id},
      kind ${text} not null,
      repo_id ${int} not null references repository (id) on delete cascade,
      path ${text} not null,
      hides ${int} not null,
      request ${text} not null,
      state ${text} not null,
      result ${text},
      items ${int} not null,
      created_at ${int} not null,
      created_by ${text} not null)`,
    `create index tree_operation_repo on tree_operation (repo_id, path)`,
    `create table empty_folder (
      repo_id ${int} not null references repository (id) on delete cascade,
      path ${text} not null,
      primary key (repo_id, path))`,
  ];
}
