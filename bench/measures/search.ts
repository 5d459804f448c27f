import { DatabaseSync } from 'node:sqlite';
import { openPostgres } from '../../server/src/db/dialects/postgres.ts';
import { makeLargeTree } from '../../server/test/support/large-tree.ts';
import { startPostgres } from '../../server/test/support/postgres.ts';
import type { Context } from '../context.ts';
import { findDatabase } from '../fill.ts';
import { Connection } from '../load/connection.ts';
import { percentile, spreadOf } from '../stats.ts';
import type { Target } from '../targets/target.ts';

const queryBarMs = 200;
const lookupBar = 5000;
const queries = 60;
const lookupConnections = 32;
const repository = 'search-bench';
/** What a PostgreSQL for a million files is given at the least; the rest is as it comes. */
const postgresSettings = { shared_buffers: '512MB', max_wal_size: '2GB' };

type Login = { readonly host: string; readonly port: number; readonly url: string; readonly authorization: string };

/** The files that were put into a database; they are numbered from 0. */
type Filled = {
  readonly database: 'SQLite' | 'PostgreSQL';
  readonly files: number;
  repositoryOf(n: number): string;
  folderOf(n: number): string;
};

/** How long searches take with a million files of five properties each, and what they cost other requests. */
export async function measureSearch(ctx: Context): Promise<void> {
  if (ctx.options.subject !== 'entrepot') {
    console.log('  left out: only Entrepot is filled');
    return;
  }
  const files = ctx.options.isQuick ? 100_000 : 1_000_000;
  await measureSqlite(ctx, files);
  await measurePostgres(ctx, files);
}

async function measureSqlite(ctx: Context, files: number): Promise<void> {
  const target = ctx.subject;
  try {
    await target.reset();
    await createRepository(loginOf(target));
    await target.stop();
    fillTree(target.dir, files);
    await target.start();
    await measureFilled(ctx, target, {
      database: 'SQLite',
      files,
      repositoryOf: () => repository,
      folderOf: (n) => `${groupOf(n)}/a${Math.floor(n / 500) % 200}`,
    });
  } finally {
    await target.remove();
  }
}

async function measurePostgres(ctx: Context, files: number): Promise<void> {
  const server = await startPostgres({ fsync: true, settings: postgresSettings });
  const url = await server.createDatabase();
  const target = ctx.createSubject('postgres', { ENTREPOT_DATABASE__URL: url });
  try {
    // The first start makes the tables, the second finds the repositories.
    await target.reset();
    await target.stop();
    const database = openPostgres({ url, poolSize: 2, onError: (error) => console.log(`  ${error.message}`) });
    await makeLargeTree(database, files);
    await database.close();
    await target.start();
    await measureFilled(ctx, target, {
      database: 'PostgreSQL',
      files,
      repositoryOf: (n) => `big-${n % 10}`,
      folderOf: (n) => `${groupOf(n)}/a${Math.floor(n / 500) % 200}/v${Math.floor(n / 100_000)}`,
    });
  } finally {
    await target.remove();
    await server.stop();
  }
}

async function measureFilled(ctx: Context, target: Target, filled: Filled): Promise<void> {
  const login = loginOf(target);
  await measureQueries(ctx, login, filled);
  await measureLookups(ctx, login, filled);
  await measureDelay(ctx, login, filled);
}

function groupOf(n: number): string {
  return `org/g${Math.floor(n / 10) % 50}`;
}

function loginOf(target: Target): Login {
  const { host, port, credentials } = target.endpoint;
  if (!credentials) throw new Error('Only a server with accounts is searched');
  const basic = Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64');
  return { host, port, url: `http://${host}:${port}/artifactory`, authorization: `Basic ${basic}` };
}

async function createRepository({ url, authorization }: Login): Promise<void> {
  const answer = await fetch(`${url}/api/repositories/${repository}`, {
    method: 'PUT',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ rclass: 'local', packageType: 'generic' }),
  });
  if (!answer.ok) throw new Error(`The repository was not made: ${answer.status} ${await answer.text()}`);
}

/** Files a minute apart, in ten thousand folders, with properties of 100, 1000, 97, 2 and 10 values. */
function fillTree(dataDir: string, files: number): void {
  const db = new DatabaseSync(findDatabase(dataDir));
  try {
    db.exec('pragma journal_mode = off; pragma synchronous = off; pragma foreign_keys = off; begin');
    const numbers = `(with recursive s(n) as (select 0 union all select n + 1 from s where n < ${files - 1}) select n from s)`;
    db.exec(`insert into blob (sha256, sha1, md5, size, store_key, created_at)
      select printf('%064x', n), printf('%040x', n), printf('%032x', n), 1, 'bench-' || n, 1 from ${numbers} where n % 10 = 0`);
    db.exec(`insert into node (id, repo_id, parent, name, folder, sha256, size, media_type, created_at, created_by,
        modified_at, modified_by)
      select 1000000 + n, (select id from repository where key = '${repository}'), ${parentOf('n')}, 'file-' || n || '.jar',
        0, printf('%064x', n - n % 10), n, 'application/java-archive', 1704067200000 + n * 60000, 'admin',
        1704067200000 + n * 60000, 'admin' from ${numbers}`);
    for (const [key, value] of [
      ['build.name', "'b' || (n % 100)"],
      ['build.number', "'' || (n % 1000)"],
      ['version', "'1.' || (n % 97)"],
      ['qa', "case when n % 2 = 0 then 'passed' else 'open' end"],
      ['team', "'t' || (n % 10)"],
    ]) {
      db.exec(`insert into property (node_id, key, value) select 1000000 + n, '${key}', ${value} from ${numbers}`);
    }
    db.exec('commit; pragma journal_mode = wal');
  } finally {
    db.close();
  }
}

function parentOf(n: string): string {
  return `'org/g' || ((${n} / 10) % 50) || '/a' || ((${n} / 500) % 200)`;
}

async function measureQueries(ctx: Context, login: Login, filled: Filled): Promise<void> {
  const { files, repositoryOf, folderOf } = filled;
  const minutes = (n: number) => new Date(1_704_067_200_000 + n * 60_000).toISOString();
  const newest = (property: string, i: number, place = '') =>
    `items.find({${place}"@${property}","path":{"$match":"org/g${i % 50}/*"},"created":{"$gt":"${minutes((i * 997) % files)}"}}).sort({"$desc":["created"]}).limit(100)`;
  const inOne = (i: number) => `"repo":"${repositoryOf(i)}",`;
  const cases: Readonly<Record<string, (i: number) => string>> = {
    'AQL: property, path, created; sorted, 100 rows': (i) => newest(`build.name":"b${i % 100}`, i),
    'the same in one repository': (i) => newest(`build.name":"b${i % 100}`, i, inOne(i)),
    'AQL: property of half the files, path, created; sorted, 100 rows': (i) => newest('qa":"passed', i),
    'the same in one repository, half the files': (i) => newest('qa":"passed', i, inOne(i)),
    'AQL: a file by its place': (i) =>
      `items.find({"repo":"${repositoryOf(i)}","path":"${folderOf(i)}","name":"file-${i}.jar"}).include("name","repo","path","property")`,
  };
  for (const [label, query] of Object.entries(cases)) {
    const times: number[] = [];
    const errors: string[] = [];
    for (let n = 0; n < queries; n++) {
      const startedAt = performance.now();
      const answer = await search(login, query(n * 37 + 1));
      if (!answer.ok) errors.push(`${answer.status}`);
      await answer.arrayBuffer();
      times.push(performance.now() - startedAt);
    }
    const p95 = percentile(times, 95);
    ctx.report.add({
      measure: 'search',
      label: `${filled.database}, ${label}`,
      unit: 'ms',
      subject: spreadOf(times),
      note: `p95 ${p95.toFixed(0)} ms, ${files} files`,
      errors,
      verdict: { wanted: `p95 ≤ ${queryBarMs} ms`, isMet: p95 <= queryBarMs && errors.length === 0 },
    });
  }
}

/** Requests for file info over connections that stay open. */
async function measureLookups(ctx: Context, login: Login, filled: Filled): Promise<void> {
  const perSecond: number[] = [];
  for (let round = 0; round < ctx.options.rounds; round++) {
    const until = performance.now() + ctx.options.roundMs;
    const startedAt = performance.now();
    const counts = await Promise.all(
      Array.from({ length: lookupConnections }, async (_, one) => {
        const connection = new Connection(login);
        let count = 0;
        while (performance.now() < until) {
          await fileInfo(connection, login, filled, (one * 7919 + count * 104_729) % filled.files);
          count += 1;
        }
        connection.close();
        return count;
      }),
    );
    const total = counts.reduce((sum, count) => sum + count, 0);
    perSecond.push((total / (performance.now() - startedAt)) * 1000);
  }
  const subject = spreadOf(perSecond);
  ctx.report.add({
    measure: 'search',
    label: `${filled.database}, file info`,
    unit: 'req/s',
    subject,
    note: 'the client runs in one thread on the same cores, and may be the limit',
    errors: [],
    verdict: { wanted: `≥ ${lookupBar}`, isMet: subject.median >= lookupBar },
  });
}

/** What requests for file info wait while two searches read every file. */
async function measureDelay(ctx: Context, login: Login, filled: Filled): Promise<void> {
  const quiet = await lookupTimes(login, filled);
  const stop = new AbortController();
  const heavy = Array.from({ length: 2 }, async () => {
    while (!stop.signal.aborted) {
      const answer = await search(login, 'items.find({"name":{"$match":"*no such name*"}})', stop.signal).catch(
        () => undefined,
      );
      await answer?.arrayBuffer().catch(() => undefined);
    }
  });
  const busy = await lookupTimes(login, filled);
  stop.abort();
  await Promise.all(heavy);
  ctx.report.add({
    measure: 'search',
    label: `${filled.database}, file info while two searches read everything`,
    unit: 'ms',
    subject: spreadOf(busy),
    note: `p99 ${percentile(busy, 99).toFixed(1)} ms, without searches ${percentile(quiet, 99).toFixed(1)} ms`,
    errors: [],
  });
}

async function lookupTimes(login: Login, filled: Filled): Promise<number[]> {
  const times: number[] = [];
  const connection = new Connection(login);
  for (let n = 0; n < 1000; n++) {
    const startedAt = performance.now();
    await fileInfo(connection, login, filled, (n * 104_729) % filled.files);
    times.push(performance.now() - startedAt);
  }
  connection.close();
  return times;
}

async function fileInfo(
  connection: Connection,
  { host, port, authorization }: Login,
  filled: Filled,
  n: number,
): Promise<void> {
  const path = `${filled.repositoryOf(n)}/${filled.folderOf(n)}/file-${n}.jar`;
  const { status } = await connection.exchange({
    head: `GET /artifactory/api/storage/${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nAuthorization: ${authorization}\r\n\r\n`,
  });
  if (status !== 200) throw new Error(`File info of ${path}: ${status}`);
}

function search({ url, authorization }: Login, query: string, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/api/search/aql`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'text/plain' },
    body: query,
    ...(signal && { signal }),
  });
}
