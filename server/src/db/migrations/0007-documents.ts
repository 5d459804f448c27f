/** A number for each package that grows whenever one of its versions changes, so that what is made of them can be kept. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { type ColumnTypes, columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  for (const statement of table(columnTypes(postgres))) await sql.raw(statement).execute(db);
  for (const statement of postgres ? POSTGRES_TRIGGERS : SQLITE_TRIGGERS) await sql.raw(statement).execute(db);
}

/** Rows outlive their repository, whose id is never used again: removing it must not be stopped by its last changes. */
function table({ int, text }: ColumnTypes): string[] {
  return [
    `create table package_revision (
      repo_id ${int} not null,
      name ${text} not null,
      revision ${int} not null,
      primary key (repo_id, name))`,
  ];
}

const bump = (row: 'old' | 'new') =>
  `insert into package_revision (repo_id, name, revision) values (${row}.repo_id, ${row}.name, 1)
   on conflict (repo_id, name) do update set revision = package_revision.revision + 1;`;

const SQLITE_TRIGGERS = [
  `create trigger package_version_added after insert on package_version begin ${bump('new')} end`,
  `create trigger package_version_removed after delete on package_version begin ${bump('old')} end`,
  `create trigger package_version_changed after update on package_version begin ${bump('old')} ${bump('new')} end`,
];

const POSTGRES_TRIGGERS = [
  `create function bump_package_revision() returns trigger as $$
    begin
      if tg_op <> 'INSERT' then ${bump('old')} end if;
      if tg_op = 'INSERT' or (tg_op = 'UPDATE' and (new.repo_id, new.name) is distinct from (old.repo_id, old.name))
        then ${bump('new')} end if;
      return null;
    end $$ language plpgsql`,
  `create trigger package_version_changes after insert or update or delete on package_version
    for each row execute function bump_package_revision()`,
];
