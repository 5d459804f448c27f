/** Pages of packages cost the same wherever they are in a large repository: by the plans of what is asked, on both databases. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CompiledQuery, sql } from 'kysely';
import type { Database } from '../../src/db/database.ts';
import {
  listPackagePage,
  type PackagePage,
  packagePageQuery,
  versionRowsOfQuery,
  versionRowsQuery,
} from '../../src/db/package-listings.ts';
import { versionsWithQuery } from '../../src/db/package-versions.ts';
import { eachDatabase, type TestDatabase } from '../support/databases.ts';

const PACKAGES = 100_000;
const ROWS = 5000;
const REPO = 7;
const ROWS_OF = 9;

const PAGES: readonly (readonly [what: string, page: PackagePage, index: RegExp])[] = [
  ['the first by name', { order: 'name', descending: false, limit: 50 }, /package_by_name/],
  ['one in the middle', { order: 'name', descending: false, limit: 50, after: at(50_000) }, /package_by_name/],
  [
    'one in the middle, backwards',
    { order: 'name', descending: true, limit: 50, after: at(50_000) },
    /package_by_name/,
  ],
  ['one of those that begin so', { order: 'name', descending: false, limit: 50, prefix: 'p07' }, /package_by_name/],
  ['the first by time', { order: 'published', descending: true, limit: 50 }, /package_by_time/],
  [
    'one in the middle by time',
    { order: 'published', descending: true, limit: 50, after: at(50_000) },
    /package_by_time/,
  ],
  [
    'the same from the oldest',
    { order: 'published', descending: false, limit: 50, after: at(50_000) },
    /package_by_time/,
  ],
];

function nameOf(i: number): string {
  return `p${String(i).padStart(6, '0')}`;
}

function at(i: number) {
  return { name: nameOf(i), publishedAt: 1000 + i };
}

eachDatabase(({ name, create }) => {
  describe(`pages of packages on ${name}`, () => {
    let home: TestDatabase;
    let database: Database;

    before(async () => {
      home = await create();
      database = await home.open();
      await fill(database);
    });
    after(() => home?.close());

    for (const [what, page, index] of PAGES) {
      it(`${what} is read from an index, in its order`, async (t) => {
        const plan = JSON.stringify(await explain(database, packagePageQuery(database.kysely, REPO, page).compile()));
        assert.match(plan, index);
        assert.doesNotMatch(plan, /TEMP B-TREE|"Seq Scan"|"Sort"|SCAN /);
        const startedAt = performance.now();
        const found = await listPackagePage(database.kysely, REPO, page);
        t.diagnostic(`${(performance.now() - startedAt).toFixed(2)} ms`);
        assert.equal(found.length, 50);
        if (page.after && page.order === 'name') {
          assert.equal(found[0]?.name, nameOf(page.descending ? 49_999 : 50_001));
        }
      });
    }

    it('packages whose versions are all gone are not passed over one by one', async () => {
      const [first] = await listPackagePage(database.kysely, REPO + 1, { order: 'name', descending: false, limit: 1 });
      assert.equal(first?.name, nameOf(PACKAGES - 1));
    });

    it('the rows of versions are looked up', async () => {
      const queries = [
        versionRowsQuery(database.kysely, ROWS_OF, nameOf(77), { after: '1.0.0', limit: 1000 }),
        versionRowsOfQuery(database.kysely, ROWS_OF, [nameOf(1), nameOf(2), nameOf(3)]),
      ];
      for (const query of queries) {
        const plan = JSON.stringify(await explain(database, query.compile()));
        assert.doesNotMatch(plan, /"Seq Scan"|SCAN /);
      }
    });

    it('versions of all packages are found by a property, in their order', async () => {
      const property = { key: 'colour', value: 'blue' };
      const page = { after: 1_000_000, limit: 100 };
      const query = versionsWithQuery(database.kysely, ROWS_OF, undefined, property, page);
      const plan = JSON.stringify(await explain(database, query.compile()));
      assert.match(plan, /property_value/);
      assert.doesNotMatch(plan, /TEMP B-TREE|"Seq Scan"|"Sort"|SCAN /);
      const found = await query.execute();
      assert.deepEqual(
        found.map((row) => row.package),
        [nameOf(50), nameOf(100)],
      );
    });
  });
});

/** A repository of so many packages, another of which all but the last are gone, and a third with rows of versions. */
async function fill(database: Database): Promise<void> {
  const isPostgres = database.dialect.name === 'postgres';
  const padded = isPostgres ? `'p' || lpad(i::text, 6, '0')` : `printf('p%06d', i)`;
  const run = (into: string, values: string, count: number) =>
    database.transaction(async (tx) => {
      // The numbers are right by construction; keeping them for so many rows of one change would take minutes.
      if (isPostgres) await sql`set local session_replication_role = replica`.execute(tx);
      const numbers = `with recursive n (i) as (select 0 union all select i + 1 from n where i < ${count - 1})`;
      await sql.raw(`insert into ${into} ${numbers} select ${values} from n`).execute(tx);
    });
  const columns = 'package_revision (repo_id, name, revision, files, published_at)';
  await run(columns, `${REPO}, ${padded}, 1, 1, 1000 + i`, PACKAGES);
  await run(columns, `${REPO + 1}, ${padded}, 2, case when i = ${PACKAGES - 1} then 1 else 0 end, 0`, PACKAGES);
  await sql`insert into repository (id, key, rclass, package_type, config, created_at, updated_at)
    values (${ROWS_OF}, 'rows', 'local', 'npm', '{}', 0, 0)`.execute(database.kysely);
  await run(
    'node (id, repo_id, parent, name, folder, sha256, size, created_at, created_by, modified_at, modified_by)',
    `1000000 + i, ${ROWS_OF}, '', ${padded}, 0, null, 1, 0, 'ann', 0, 'ann'`,
    ROWS,
  );
  await run(
    'package_version (node_id, repo_id, name, version, metadata, created_at)',
    `1000000 + i, ${ROWS_OF}, ${padded}, '1.0.0', '{}', 1000 + i`,
    ROWS,
  );
  await run(
    'property (node_id, key, value)',
    `1000000 + i, 'colour', case when i in (0, 50, 100) then 'blue' else 'red' end`,
    ROWS,
  );
  await sql`analyze`.execute(database.kysely);
}

async function explain(database: Database, { sql: text, parameters }: CompiledQuery): Promise<unknown[]> {
  const word = database.dialect.name === 'sqlite' ? 'explain query plan' : 'explain (format json)';
  return (await database.kysely.executeQuery(CompiledQuery.raw(`${word} ${text}`, [...parameters]))).rows;
}
