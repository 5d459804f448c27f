/** Each version's row tells with which revision of its package it was written, so that indexes read only what is new. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  const { int } = columnTypes(postgres);
  const statements = [
    `alter table package_version add column revision ${int} not null default 0`,
    'create index package_version_by_revision on package_version (repo_id, name, revision)',
    ...(postgres ? POSTGRES : SQLITE),
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const BUMP = `insert into package_revision (repo_id, name, revision) values (new.repo_id, new.name, 1)
  on conflict (repo_id, name) do update set revision = package_revision.revision + 1`;
const CURRENT = 'select revision from package_revision where repo_id = new.repo_id and name = new.name';
const LEAVE = `insert into package_revision (repo_id, name, revision) values (old.repo_id, old.name, 1)
  on conflict (repo_id, name) do update set revision = package_revision.revision + 1`;

/** The column is written by the triggers alone, which is how they know their own writing. */
const SQLITE = [
  'drop trigger package_version_added',
  'drop trigger package_version_changed',
  `create trigger package_version_added after insert on package_version begin
    ${BUMP};
    update package_version set revision = (${CURRENT}) where node_id = new.node_id;
  end`,
  `create trigger package_version_changed after update of node_id, repo_id, name, version, metadata, created_at
    on package_version begin
    ${LEAVE};
    ${BUMP};
    update package_version set revision = (${CURRENT}) where node_id = new.node_id;
  end`,
];

/** Whoever writes the row of the package's number keeps it until the end, so numbers are seen in their order. */
const POSTGRES = [
  'drop trigger package_version_changes on package_version',
  'drop function bump_package_revision',
  `create function bump_package_revision() returns trigger as $$
    begin
      if tg_op = 'DELETE' or (tg_op = 'UPDATE' and (new.repo_id, new.name) is distinct from (old.repo_id, old.name))
        then ${LEAVE}; end if;
      if tg_op = 'DELETE' then return old; end if;
      ${BUMP};
      new.revision := (${CURRENT});
      return new;
    end $$ language plpgsql`,
  `create trigger package_version_changes before insert or update or delete on package_version
    for each row execute function bump_package_revision()`,
];
