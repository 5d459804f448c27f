/** A build's rows belong to the file that is its document, and go with it. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  const { int } = columnTypes(postgres);
  await sql.raw(`alter table build add column node_id ${int} references node (id) on delete cascade`).execute(db);
  await sql.raw('create unique index build_node on build (node_id)').execute(db);
}
