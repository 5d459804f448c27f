import { createServer, type Server } from 'node:http';
import { gunzipSync } from 'node:zlib';
import type { Database } from '../../server/src/db/database.ts';
import { openPostgres } from '../../server/src/db/dialects/postgres.ts';
import { openSqlite } from '../../server/src/db/dialects/sqlite.ts';
import { startPostgres } from '../../server/test/support/postgres.ts';
import { type ChartCount, chartArchive, chartName, fillCharts, upstreamIndex } from '../charts.ts';
import type { Context } from '../context.ts';
import { findDatabase } from '../fill.ts';
import { Connection, type Reply } from '../load/connection.ts';
import { percentile, spreadOf } from '../stats.ts';
import { createRepository } from '../targets/administration.ts';
import type { Target } from '../targets/target.ts';
import { basicOf, withWaits } from '../waits.ts';

const warmBarMs = 10;
const publishBarMs = 200;
const waitBarMs = 50;
const warmReads = 100;
const publishes = 10;
/** Answered from memory after the first time. */
const probe = '/artifactory/api/storage/generic-local/small';
const few: ChartCount = { prefix: 'few', names: 50, versions: 10 };

type Case = {
  readonly label: string;
  /** The repository whose index is read. */
  readonly key: string;
  readonly publishesTo?: string;
};

const cases: readonly Case[] = [
  { label: 'local', key: 'charts-local', publishesTo: 'charts-local' },
  { label: 'remote', key: 'charts-remote' },
  { label: 'virtual over the local one', key: 'charts', publishesTo: 'charts' },
  { label: 'virtual over the remote one', key: 'charts-far', publishesTo: 'charts-far' },
];

/** What an index of 50,000 charts costs those who read it, those who publish to it and everybody else. */
export async function measureChartIndex(ctx: Context): Promise<void> {
  if (ctx.options.subject !== 'entrepot') {
    console.log('  left out: only Entrepot has repositories of charts');
    return;
  }
  const size: ChartCount = { prefix: 'chart', names: ctx.options.isQuick ? 1000 : 5000, versions: 10 };
  const upstreams = [
    await startUpstream(upstreamIndex({ ...few, prefix: 'beside' })),
    await startUpstream(upstreamIndex({ ...size, prefix: 'far' })),
  ] as const;
  try {
    await measureOn(ctx, { database: 'SQLite', size, upstreams });
    const postgres = await startPostgres({ fsync: true });
    try {
      await measureOn(ctx, { database: 'PostgreSQL', url: await postgres.createDatabase(), size, upstreams });
    } finally {
      await postgres.stop();
    }
  } finally {
    for (const { server } of upstreams) {
      server.closeAllConnections();
      server.close();
    }
  }
}

type Upstream = { readonly server: Server; readonly url: string };

async function startUpstream(index: Buffer): Promise<Upstream> {
  const server = createServer((request, response) => {
    const isIndex = request.url === '/index.yaml';
    response.writeHead(isIndex ? 200 : 404, { 'Content-Type': 'application/x-yaml' });
    response.end(isIndex ? index : '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The upstream has no port');
  return { server, url: `http://127.0.0.1:${address.port}/` };
}

type Place = {
  readonly database: 'SQLite' | 'PostgreSQL';
  readonly url?: string;
  readonly size: ChartCount;
  readonly upstreams: readonly [few: Upstream, many: Upstream];
};

async function measureOn(ctx: Context, place: Place): Promise<void> {
  const { database, url, size, upstreams } = place;
  const target = ctx.createSubject(`charts-${database}`, {
    ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8',
    ...(url !== undefined && { ENTREPOT_DATABASE__URL: url }),
  });
  try {
    await target.reset();
    await prepare(target, upstreams);
    await target.stop();
    const opened = await open(target, url);
    try {
      await fillCharts(opened, 'charts-local', size);
      await fillCharts(opened, 'charts-few', few);
    } finally {
      await opened.close();
    }
    for (const one of cases) {
      // Started again, nothing of it is in memory.
      await target.stop();
      await target.start();
      await ask(target, 'GET', probe);
      await measureCase(ctx, target, { ...one, label: `${database}, ${one.label}`, count: size.names * size.versions });
    }
  } finally {
    await target.remove();
  }
}

async function open(target: Target, url: string | undefined): Promise<Database> {
  if (url === undefined) return openSqlite(findDatabase(target.dir));
  return openPostgres({ url, poolSize: 2, onError: (error) => console.log(`  ${error.message}`) });
}

async function prepare(target: Target, [small, large]: Place['upstreams']): Promise<void> {
  const create = (key: string, settings: object) => createRepository(target, key, { packageType: 'helm', ...settings });
  await create('charts-local', { rclass: 'local' });
  await create('charts-few', { rclass: 'local' });
  await create('charts-remote', { rclass: 'remote', url: large.url });
  await create('charts-beside', { rclass: 'remote', url: small.url });
  await create('charts', {
    rclass: 'virtual',
    repositories: ['charts-local', 'charts-beside'],
    defaultDeploymentRepo: 'charts-local',
  });
  await create('charts-far', {
    rclass: 'virtual',
    repositories: ['charts-few', 'charts-remote'],
    defaultDeploymentRepo: 'charts-few',
  });
  await ask(target, 'PUT', '/artifactory/generic-local/small', { body: Buffer.from('content') });
}

async function measureCase(ctx: Context, target: Target, one: Case & { readonly count: number }): Promise<void> {
  const { label, key, publishesTo, count } = one;
  const path = `/artifactory/api/helm/${key}/index.yaml`;
  const read = () => timed(() => ask(target, 'GET', path, { encoding: 'gzip' }));
  const cold = await withWaits(target, probe, read);
  const bytes = gunzipSync(cold.result.value.body ?? Buffer.alloc(0));
  addWaits(ctx, `${label}: the longest request of others while it is made`, cold.waits, cold.result.ms);
  const warm: number[] = [];
  for (let i = 0; i < warmReads; i++) warm.push((await read()).ms);
  const p95 = percentile(warm, 95);
  ctx.report.add({
    measure: 'chart-index',
    label: `${label}: index of ${count} charts, warm`,
    unit: 'ms',
    subject: spreadOf(warm),
    verdict: { wanted: `≤ ${warmBarMs} ms`, isMet: spreadOf(warm).median <= warmBarMs },
    note: `p95 ${p95.toFixed(1)} ms; ${megabytes(bytes)}, compressed ${megabytes(cold.result.value.body)}`,
    errors: [],
  });
  if (publishesTo !== undefined) await measurePublishing(ctx, target, { label, publishesTo, read });
}

function megabytes(bytes: Buffer | undefined): string {
  return `${((bytes?.length ?? 0) / 1e6).toFixed(1)} MB`;
}

type Publishing = {
  readonly label: string;
  readonly publishesTo: string;
  readonly read: () => Promise<Timed<Reply>>;
};

async function measurePublishing(
  ctx: Context,
  target: Target,
  { label, publishesTo, read }: Publishing,
): Promise<void> {
  const took: number[] = [];
  const answered: number[] = [];
  const errors: string[] = [];
  const { waits } = await withWaits(target, probe, async () => {
    for (let i = 0; i < publishes; i++) {
      const [name, version] = [chartName(few, i), `2.${i}.0`];
      const body = await chartArchive(name, version);
      const put = await timed(() =>
        ask(target, 'PUT', `/artifactory/api/helm/${publishesTo}/${name}-${version}.tgz`, { body }),
      );
      const index = await read();
      answered.push(put.ms);
      took.push(put.ms + index.ms);
      if (i === publishes - 1 && !gunzipSync(index.value.body ?? '').includes(`"${name}-${version}.tgz"`)) {
        errors.push('the index does not hold what was published');
      }
    }
  });
  const p95 = percentile(took, 95);
  ctx.report.add({
    measure: 'chart-index',
    label: `${label}: a chart published, until the index has it`,
    unit: 'ms',
    subject: spreadOf(took),
    verdict: { wanted: `p95 ≤ ${publishBarMs} ms`, isMet: p95 <= publishBarMs && errors.length === 0 },
    note: `p95 ${p95.toFixed(0)} ms; the upload alone was answered after ${percentile(answered, 50).toFixed(0)} ms`,
    errors,
  });
  addWaits(ctx, `${label}: the longest request of others while charts are published`, waits);
}

function addWaits(
  ctx: Context,
  label: string,
  { ms, longestMs }: { ms: readonly number[]; longestMs: number },
  took?: number,
) {
  const after = took === undefined ? '' : `; it took ${(took / 1000).toFixed(1)} s`;
  ctx.report.add({
    measure: 'chart-index',
    label,
    unit: 'ms',
    subject: spreadOf([longestMs]),
    verdict: { wanted: `≤ ${waitBarMs} ms`, isMet: longestMs <= waitBarMs },
    note: `${ms.length} requests, p99 ${percentile(ms, 99).toFixed(1)} ms${after}`,
    errors: [],
  });
}

type Timed<T> = { readonly value: T; readonly ms: number };

async function timed<T>(work: () => Promise<T>): Promise<Timed<T>> {
  const from = performance.now();
  const value = await work();
  return { value, ms: performance.now() - from };
}

type Asked = { readonly body?: Buffer; readonly encoding?: string };

async function ask(target: Target, method: string, path: string, asked: Asked = {}): Promise<Reply> {
  const { host, port } = target.endpoint;
  const { body, encoding } = asked;
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${host}:${port}`,
    `Authorization: ${basicOf(target)}`,
    ...(body ? [`Content-Length: ${body.length}`, 'Content-Type: application/octet-stream'] : []),
    ...(encoding === undefined ? [] : [`Accept-Encoding: ${encoding}`]),
  ];
  const connection = new Connection({ host, port });
  try {
    const head = `${lines.join('\r\n')}\r\n\r\n`;
    const reply = await connection.exchange({ head, keepsBody: true, ...(body && { body: [body] }) });
    if (reply.status >= 300)
      throw new Error(`${method} ${path} was answered ${reply.status}: ${reply.body?.toString()}`);
    return reply;
  } finally {
    connection.close();
  }
}
