/** Each package tells how many rows it has and when the last was published, so that lists of packages read one index. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import { columnTypes } from './column-types.ts';

export async function up(db: Kysely<Schema>, postgres: boolean): Promise<void> {
  const { int } = columnTypes(postgres);
  const of = 'package_version.repo_id = package_revision.repo_id and package_version.name = package_revision.name';
  const statements = [
    `alter table package_revision add column files ${int} not null default 0`,
    `alter table package_revision add column published_at ${int} not null default 0`,
    // The numbers of changes stay as they are: nothing that is told of a version has changed.
    `update package_revision set
      files = (select count(*) from package_version where ${of}),
      published_at = coalesce((select max(created_at) from package_version where ${of}), 0)`,
    'create index package_by_name on package_revision (repo_id, name) where files > 0',
    'create index package_by_time on package_revision (repo_id, published_at, name) where files > 0',
    ...(postgres ? POSTGRES : SQLITE),
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const later = (postgres: boolean) =>
  `${postgres ? 'greatest' : 'max'}(package_revision.published_at, excluded.published_at)`;

const added = (postgres: boolean) =>
  `insert into package_revision (repo_id, name, revision, files, published_at)
    values (new.repo_id, new.name, 1, 1, new.created_at)
    on conflict (repo_id, name) do update set revision = package_revision.revision + 1,
      files = package_revision.files + 1, published_at = ${later(postgres)}`;
const REMOVED = `insert into package_revision (repo_id, name, revision) values (old.repo_id, old.name, 1)
  on conflict (repo_id, name) do update set revision = package_revision.revision + 1,
    files = package_revision.files - 1`;
const CHANGED = `insert into package_revision (repo_id, name, revision, files, published_at)
  values (new.repo_id, new.name, 1, 0, new.created_at)
  on conflict (repo_id, name) do update set revision = package_revision.revision + 1,
    published_at = ${later(true)}`;
const CURRENT = 'select revision from package_revision where repo_id = new.repo_id and name = new.name';
const NUMBER = `update package_version set revision = (${CURRENT}) where node_id = new.node_id`;

/** An insert that becomes an update, since there is a row, is announced as an insert first, then as what it is. */
const KNOWN = 'exists (select 1 from package_version where node_id = new.node_id)';

const SQLITE = [
  'drop trigger package_version_added',
  'drop trigger package_version_changed',
  'drop trigger package_version_removed',
  `create trigger package_version_added after insert on package_version begin ${added(false)}; ${NUMBER}; end`,
  `create trigger package_version_removed after delete on package_version begin ${REMOVED}; end`,
  `create trigger package_version_changed after update of node_id, repo_id, name, version, metadata, created_at
    on package_version begin ${REMOVED}; ${added(false)}; ${NUMBER}; end`,
];

const POSTGRES = [
  `create or replace function bump_package_revision() returns trigger as $$
    declare moved boolean := tg_op = 'UPDATE' and (new.repo_id, new.name) is distinct from (old.repo_id, old.name);
    begin
      if tg_op = 'DELETE' or moved then ${REMOVED}; end if;
      if tg_op = 'DELETE' then return old; end if;
      if moved or (tg_op = 'INSERT' and not ${KNOWN}) then ${added(true)}; else ${CHANGED}; end if;
      new.revision := (${CURRENT});
      return new;
    end $$ language plpgsql`,
];
