/** No search that an index can serve reads a whole table: the plans of what clients send, over many files. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CompiledQuery } from 'kysely';
import type { RepoKey } from '../../src/core/ids.ts';
import type { Database } from '../../src/db/database.ts';
import { type CompiledSearch, compileSearch, type Statement } from '../../src/db/search/compile.ts';
import type { SearchScope } from '../../src/db/search/criteria.ts';
import { parseAql } from '../../src/search/aql/parse.ts';
import { searchOf } from '../../src/search/aql/query.ts';
import { resultShape } from '../../src/search/aql/result-shape.ts';
import { eachDatabase, type TestDatabase } from '../support/databases.ts';
import { type LargeTree, makeLargeTree } from '../support/large-tree.ts';

/** The environment asks for a million, which take minutes to make. */
const FILES = Number(process.env['ENTREPOT_TEST_LARGE_TREE'] ?? 100_000);
/** The files are a minute apart; few are younger than this. */
const LATE = new Date(Date.parse('2024-01-01') + (FILES - 2000) * 60_000).toISOString();
const LATER = new Date(Date.parse(LATE) + 36_000_000).toISOString();
const SHA = '0'.repeat(64);
const JF =
  '.include("name","repo","path","actual_md5","actual_sha1","sha256","size","type","modified","created","property")';

const SHAPES: readonly string[] = [
  `items.find({"$or":[{"$and":[{"repo":"big-1","path":{"$match":"org/g7/*"},"name":{"$match":"*.jar"}}]},{"$and":[{"repo":"big-1","path":"org/g7","name":{"$match":"*.jar"}}]}]})${JF}`,
  `items.find({"type":"any","path":{"$ne":"."},"$or":[{"$and":[{"repo":"big-1","path":{"$match":"org/g7/a1/*"},"name":{"$match":"*"}}]}]})${JF}`,
  `items.find({"$and":[{"@build.name":"b7"},{"@version":{"$match":"1.3*"}}],"$or":[{"@qa":{"$ne":"open"}}],"path":{"$ne":"."},"$or":[{"$and":[{"repo":"big-7","path":{"$match":"org/*"},"name":{"$match":"*"}}]}]})${JF}`,
  'items.find({"@build.name":"b1","path":{"$match":"org/g1/*"},"created":{"$gt":"2024-01-15"}}).sort({"$desc":["created"]}).limit(100)',
  'items.find({"repo":"big-1","path":{"$match":"org/g3/a4/*"}})',
  'items.find({"repo":"big-1","path":"org/g1/a0/v0","name":"file-11.jar"})',
  'items.find({"repo":"big-1","path":"org/g1/a0/v0"}).sort({"$desc":["created"]}).limit(1)',
  'items.find({"path":"org/g1/a0/v0"})',
  'items.find({"name":"file-77.jar"})',
  'items.find({"name":{"$match":"file-777*"}})',
  'items.find({"repo":"big-7","$or":[{"$and":[{"path":{"$match":"*"},"name":{"$match":"file-77.jar"}}]}]})',
  'items.find({"repo":"big-7","$or":[{"$and":[{"path":"org/g7/a0/v0"},{"name":"file-77.jar"}]},{"$and":[{"path":"org/g8/a0/v0"},{"name":"file-87.jar"}]}]})',
  'items.find({"$or":[{"$and":[{"repo":"big-7","path":"org/g7/a0/v0","name":"file-77.jar"}]},{"$and":[{"repo":"big-8","path":"org/g8/a0/v0","name":"file-88.jar"}]}]})',
  'items.find({"@build.name":"b7","@build.number":"7"})',
  'items.find({"@build.name":"b7","$or":[{"@version":"1.1"},{"@version":"1.2"}]}).include("name","repo","path","actual_sha1","actual_md5","sha256")',
  'items.find({"@build.number":{"$match":"77*"}})',
  'items.find({"$msp":[{"@build.number":"77"},{"@build.number":{"$ne":"78"}}],"repo":"big-7","path":{"$match":"org/g7/*"}})',
  'items.find({"type":{"$eq":"any"},"@build.number":"77"}).include("repo","path","name")',
  `items.find({"sha256":"${SHA}"})`,
  `items.find({"actual_sha1":{"$eq":"${'0'.repeat(40)}"}})`,
  `items.find({"actual_md5":"${'0'.repeat(32)}"})`,
  `items.find({"repo":"big-0","sha256":"${SHA}","@build.name":"b0"}).include("path")`,
  `items.find({"created":{"$gt":"${LATE}"}})`,
  `items.find({"modified":{"$gte":"${LATE}"},"repo":"big-3"})`,
  `items.find({"$and":[{"modified":{"$gte":"${LATE}"}},{"modified":{"$lt":"${LATER}"}},{"repo":"big-1","type":"any"}]}).include("repo","path","name","type","modified","size").sort({"$asc":["name","path"]}).offset(0).limit(10000)`,
  'items.find().sort({"$desc":["created"]}).limit(10)',
  'items.find({"artifact.module.build.name":"build-7000","artifact.module.build.number":"7000"})',
  'items.find({"$and":[{"$or":[{"$and":[{"artifact.module.build.name":"build-7000","artifact.module.build.number":"7000"}]}]},{"$or":[{"$and":[{"repo":"big-0","path":{"$match":"*"},"name":{"$match":"*.jar"}}]}]}]})',
  'items.find({"dependency.module.build.name":"build-7000"})',
  'items.find({"archive.entry.name":"Class700.class"})',
  'items.find({"archive.entry.path":"org/c0","archive.entry.name":"Class700.class","repo":"big-0"})',
  'items.find({"repo":"big-0","path":{"$match":"org/g0/*"},"stat.downloaded":{"$before":"30d"}}).include("repo","path","name","stat")',
];

eachDatabase(({ name, create }) => {
  describe(`plans of searches on ${name}`, () => {
    let home: TestDatabase;
    let database: Database;
    let tree: LargeTree;

    before(async () => {
      home = await create();
      database = await home.open();
      tree = await makeLargeTree(database, FILES);
    });
    after(() => home?.close());

    for (const shape of SHAPES) {
      it(shape, async () => {
        const search = compile(shape, tree, name);
        const plans = [
          ...search.alternatives.flatMap(({ probe, statement }) => (probe ? [probe, statement] : [statement])),
        ];
        for (const statement of plans) {
          const offences =
            name === 'sqlite' ? await sqliteScans(database, statement) : await postgresScans(database, statement);
          assert.deepEqual(offences, [], statement.sql);
        }
        for (const { statement } of search.lookups) {
          const params = [name === 'sqlite' ? '[1000001,1000002]' : [1_000_001, 1_000_002], ...statement.params];
          const lookup = { sql: statement.sql, params: params as Statement['params'] };
          const offences =
            name === 'sqlite' ? await sqliteScans(database, lookup) : await postgresScans(database, lookup);
          assert.deepEqual(offences, [], statement.sql);
        }
      });
    }

    it('finds the newest by the order of an index', async () => {
      const search = compile(
        'items.find({"@qa":"passed","created":{"$gt":"2024-01-02"}}).sort({"$desc":["created"]}).limit(10)',
        tree,
        name,
      );
      const statement = search.ordered ?? search.alternatives[0]!.statement;
      const plan = await explain(database, statement, name);
      assert.match(JSON.stringify(plan), /node_created/);
      assert.doesNotMatch(JSON.stringify(plan), /TEMP B-TREE FOR ORDER BY|"Seq Scan"/);
    });
  });
});

function compile(text: string, tree: LargeTree, dialect: 'sqlite' | 'postgres'): CompiledSearch {
  const rule = { layers: [], files: true };
  const repositories = new Map(
    [...tree.repositories].map(([key, id]) => [
      id,
      { id, key: key as RepoKey, packageType: 'generic', layout: undefined, rule },
    ]),
  );
  const scope: SearchScope = {
    repositories,
    readable: [...repositories.values()],
    everyBuild: true,
    expand: (key) => [tree.repositories.get(key) ?? []].flat(),
    nameOf: (id) => repositories.get(id)?.key ?? '',
  };
  const query = parseAql(text, Date.now());
  return compileSearch({ ...searchOf(query, resultShape(query), { isVirtual: () => false }), scope }, dialect);
}

/** The functions of the reader are not there for a plan. */
function plain({ sql, params }: Statement): Statement {
  return { sql: sql.replace(/still_wanted\(\)/g, 'random()'), params };
}

async function explain(database: Database, statement: Statement, dialect: 'sqlite' | 'postgres'): Promise<unknown[]> {
  const { sql, params } = plain(statement);
  const word = dialect === 'sqlite' ? 'explain query plan' : 'explain (format json)';
  return (await database.kysely.executeQuery(CompiledQuery.raw(`${word} ${sql}`, [...params]))).rows;
}

/** Lines that read a whole table or index; the few repositories and what is at hand may be read whole. */
async function sqliteScans(database: Database, statement: Statement): Promise<string[]> {
  const rows = (await explain(database, statement, 'sqlite')) as { detail: string }[];
  return rows
    .map(({ detail }) => detail)
    .filter(
      (detail) =>
        detail.startsWith('SCAN') &&
        !/^SCAN (r$|r |json_each|CONSTANT ROW|\d+-ROW|\d+ CONSTANT|\(?subquery|i USING INDEX node_created$)/i.test(
          detail,
        ),
    );
}

/** `statistic` is asked about old downloads, which nearly all of its rows are: reading them all is right. */
const SMALL = new Set(['repository', 'statistic']);

async function postgresScans(database: Database, statement: Statement): Promise<string[]> {
  const found: string[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (typeof value === 'object' && value !== null) {
      const plan = value as Record<string, unknown>;
      const table = String(plan['Relation Name']);
      if (plan['Node Type'] === 'Seq Scan' && !SMALL.has(table)) found.push(`${table}: ${String(plan['Filter'])}`);
      Object.values(plan).forEach(visit);
    }
  };
  visit(await explain(database, statement, 'postgres'));
  return found;
}
