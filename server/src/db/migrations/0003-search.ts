/** What searches begin with, beside paths, properties and digests. Each index costs every write, so they are few. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';

export async function up(db: Kysely<Schema>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}

const STATEMENTS = [
  `create index node_name on node (name)`,
  `create index node_created on node (created_at)`,
  `create index node_modified on node (modified_at)`,
  `create index build_name on build (name, number)`,
  `create index build_artifact_sha256 on build_artifact (sha256)`,
  `create index build_dependency_sha256 on build_dependency (sha256)`,
];
