/** What virtual repositories keep of their own: names that were asked of upstreams although they are local. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { type ColumnTypes, columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  for (const statement of statements(columnTypes(postgres))) await sql.raw(statement).execute(db);
}

function statements({ int, text }: ColumnTypes): string[] {
  return [
    `create table shadowed_name (
      virtual_id ${int} not null references repository (id) on delete cascade,
      remote_id ${int} not null references repository (id) on delete cascade,
      name ${text} not null,
      reason ${text} not null,
      first_at ${int} not null,
      last_at ${int} not null,
      primary key (virtual_id, name, remote_id))`,
  ];
}
