/**
 * Each repository has numbers that grow with every change of its packages, and each package the number of its last one,
 * so that indexes of whole repositories need not look at all packages to know what changed.
 */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  const { int } = columnTypes(postgres);
  const statements = [
    `create table repository_revision (
      repo_id ${int} not null,
      slot ${int} not null,
      revision ${int} not null,
      primary key (repo_id, slot))`,
    `alter table package_revision add column slot ${int} not null default 0`,
    `alter table package_revision add column changed ${int} not null default 1`,
    ...(postgres ? [`update package_revision set slot = ${SLOT('name')}`] : []),
    `insert into repository_revision (repo_id, slot, revision)
      select repo_id, slot, sum(revision) from package_revision group by repo_id, slot`,
    'create index package_revision_by_change on package_revision (repo_id, slot, changed)',
    ...(postgres ? POSTGRES : SQLITE),
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}

/** SQLite writes one at a time, so it needs one number; elsewhere those who write to one repository must not wait. */
const SLOT = (name: string) => `(hashtext(${name}) & 63)`;

const GROW = `insert into repository_revision (repo_id, slot, revision) values (new.repo_id, new.slot, 1)
  on conflict (repo_id, slot) do update set revision = repository_revision.revision + 1`;

const NOTE = `begin
    ${GROW};
    update package_revision set changed =
      (select revision from repository_revision where repo_id = new.repo_id and slot = new.slot)
      where repo_id = new.repo_id and name = new.name;
  end`;

const SQLITE = [
  `create trigger package_revision_added after insert on package_revision ${NOTE}`,
  `create trigger package_revision_grown after update of revision on package_revision ${NOTE}`,
];

/** Whoever writes the row of the number keeps it until the end, so numbers are seen in their order. */
const POSTGRES = [
  `create function note_package_revision() returns trigger as $$
    begin
      if tg_op = 'INSERT' then new.slot := ${SLOT('new.name')}; end if;
      ${GROW} returning revision into new.changed;
      return new;
    end $$ language plpgsql`,
  `create trigger package_revision_noted before insert or update of revision on package_revision
    for each row execute function note_package_revision()`,
];
