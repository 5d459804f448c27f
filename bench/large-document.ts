import { createServer, type Server } from 'node:http';
import { gunzipSync } from 'node:zlib';
import type { Database } from '../server/src/db/database.ts';
import { openPostgres } from '../server/src/db/dialects/postgres.ts';
import { openSqlite } from '../server/src/db/dialects/sqlite.ts';
import { startPostgres } from '../server/test/support/postgres.ts';
import type { Context } from './context.ts';
import { findDatabase } from './fill.ts';
import { Connection, type Reply } from './load/connection.ts';
import type { MeasureName } from './options.ts';
import { percentile, spreadOf } from './stats.ts';
import type { Target } from './targets/target.ts';
import { basicOf, type Waits, withWaits } from './waits.ts';

const warmBarMs = 10;
const publishBarMs = 200;
const waitBarMs = 50;
const warmReads = 100;
const publishes = 10;

/** A document that is made of very many releases, as a server has it that was just started. */
export type LargeDocument = {
  readonly measure: MeasureName;
  readonly label: string;
  readonly what: string;
  readonly path: string;
  readonly accept?: string;
  /** What others ask for meanwhile, again and again. */
  readonly probe: string;
  readonly publish?: Publishing | undefined;
};

export type Publishing = {
  readonly what: string;
  /** Answers how long it took, and what the document holds from then on. */
  readonly send: (n: number) => Promise<{ readonly ms: number; readonly seen: string }>;
};

export type Place = { readonly database: 'SQLite' | 'PostgreSQL'; readonly url?: string };

/** Measures on SQLite, and on a PostgreSQL that syncs what it commits. */
export async function onEachDatabase(measure: (place: Place) => Promise<void>): Promise<void> {
  await measure({ database: 'SQLite' });
  const postgres = await startPostgres({ fsync: true });
  try {
    await measure({ database: 'PostgreSQL', url: await postgres.createDatabase() });
  } finally {
    await postgres.stop();
  }
}

/**
 * A new server over that database: prepared while it runs, filled while it is stopped, and measured by what comes next,
 * which starts it.
 */
export async function withFilledTarget(
  ctx: Context,
  { database, url }: Place,
  { name, prepare, fill, measure }: Filling,
): Promise<void> {
  const target = ctx.createSubject(`${name}-${database}`, {
    ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8',
    ...(url !== undefined && { ENTREPOT_DATABASE__URL: url }),
  });
  try {
    await target.reset();
    await prepare(target);
    await target.stop();
    const opened = await openDatabase(target, url);
    try {
      await fill(opened);
    } finally {
      await opened.close();
    }
    await measure(target);
  } finally {
    await target.remove();
  }
}

export type Filling = {
  readonly name: string;
  readonly prepare: (target: Target) => Promise<void>;
  readonly fill: (database: Database) => Promise<void>;
  readonly measure: (target: Target) => Promise<void>;
};

/** Starts it again, so that nothing is in its memory but what the probe needs. */
export async function startEmpty(target: Target, probe: string): Promise<void> {
  await target.stop();
  await target.start();
  await ask(target, 'GET', probe);
}

/** What it costs to read the document cold and warm, to publish something into it, and what everybody else waits. */
export async function measureDocument(ctx: Context, target: Target, document: LargeDocument): Promise<void> {
  const { measure, label, what, path, probe, publish, accept } = document;
  const read = () =>
    timed(() => ask(target, 'GET', path, { encoding: 'gzip', ...(accept !== undefined && { accept }) }));
  const cold = await withWaits(target, probe, read);
  const bytes = gunzipSync(cold.result.value.body ?? Buffer.alloc(0));
  addWaits(
    ctx,
    { measure, label: `${label}: the longest request of others while it is made` },
    cold.waits,
    cold.result.ms,
  );
  const warm: number[] = [];
  for (let i = 0; i < warmReads; i++) warm.push((await read()).ms);
  const p95 = percentile(warm, 95);
  ctx.report.add({
    measure,
    label: `${label}: ${what}, warm`,
    unit: 'ms',
    subject: spreadOf(warm),
    verdict: { wanted: `≤ ${warmBarMs} ms`, isMet: spreadOf(warm).median <= warmBarMs },
    note: `p95 ${p95.toFixed(1)} ms; ${megabytes(bytes)}, compressed ${megabytes(cold.result.value.body)}`,
    errors: [],
  });
  if (publish !== undefined) await measurePublishing(ctx, target, { ...document, publish, read });
}

function megabytes(bytes: Buffer | undefined): string {
  return `${((bytes?.length ?? 0) / 1e6).toFixed(1)} MB`;
}

type Published = LargeDocument & { readonly publish: Publishing; readonly read: () => Promise<Timed<Reply>> };

async function measurePublishing(
  ctx: Context,
  target: Target,
  { measure, label, probe, publish, read }: Published,
): Promise<void> {
  const took: number[] = [];
  const answered: number[] = [];
  const errors: string[] = [];
  const { waits, result } = await withWaits(target, probe, async () => {
    let last: { readonly seen: string; readonly body: Buffer | undefined } | undefined;
    for (let i = 0; i < publishes; i++) {
      const { ms, seen } = await publish.send(i);
      const document = await read();
      answered.push(ms);
      took.push(ms + document.ms);
      last = { seen, body: document.value.body };
    }
    return last;
  });
  // Looked at afterwards: unpacking it would hold up whoever takes the time of others.
  if (!result || !gunzipSync(result.body ?? '').includes(result.seen)) {
    errors.push(`${publish.what} is not there after it was published`);
  }
  const p95 = percentile(took, 95);
  ctx.report.add({
    measure,
    label: `${label}: ${publish.what} published, until it is there`,
    unit: 'ms',
    subject: spreadOf(took),
    verdict: { wanted: `p95 ≤ ${publishBarMs} ms`, isMet: p95 <= publishBarMs && errors.length === 0 },
    note: `p95 ${p95.toFixed(0)} ms; the upload alone was answered after ${percentile(answered, 50).toFixed(0)} ms`,
    errors,
  });
  addWaits(
    ctx,
    { measure, label: `${label}: the longest request of others while ${publish.what} is published` },
    waits,
  );
}

/** What others waited for at most, beside how long the work took. */
export function addWaits(
  ctx: Context,
  row: { readonly measure: MeasureName; readonly label: string },
  { ms, longestMs }: Waits,
  took?: number,
): void {
  const after = took === undefined ? '' : `; it took ${(took / 1000).toFixed(1)} s`;
  ctx.report.add({
    ...row,
    unit: 'ms',
    subject: spreadOf([longestMs]),
    verdict: { wanted: `≤ ${waitBarMs} ms`, isMet: longestMs <= waitBarMs },
    note: `${ms.length} requests, p99 ${percentile(ms, 99).toFixed(1)} ms${after}`,
    errors: [],
  });
}

export type Timed<T> = { readonly value: T; readonly ms: number };

export async function timed<T>(work: () => Promise<T>): Promise<Timed<T>> {
  const from = performance.now();
  const value = await work();
  return { value, ms: performance.now() - from };
}

export type Asked = {
  readonly body?: Buffer;
  readonly type?: string;
  readonly encoding?: string;
  readonly accept?: string;
};

/** Asks as the server's administrator, over a connection of its own; throws where the answer is no success. */
export async function ask(target: Target, method: string, path: string, asked: Asked = {}): Promise<Reply> {
  const { host, port } = target.endpoint;
  const { body, type = 'application/octet-stream', encoding, accept } = asked;
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${host}:${port}`,
    `Authorization: ${basicOf(target)}`,
    ...(body ? [`Content-Length: ${body.length}`, `Content-Type: ${type}`] : []),
    ...(encoding === undefined ? [] : [`Accept-Encoding: ${encoding}`]),
    ...(accept === undefined ? [] : [`Accept: ${accept}`]),
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

/** The database of a stopped server. */
async function openDatabase(target: Target, url: string | undefined): Promise<Database> {
  if (url === undefined) return openSqlite(findDatabase(target.dir));
  return openPostgres({ url, poolSize: 2, onError: (error) => console.log(`  ${error.message}`) });
}

export type Upstream = { readonly server: Server; readonly url: string };

/** A server that has one document. */
export async function startUpstream(path: string, body: Buffer, mediaType: string): Promise<Upstream> {
  const server = createServer((request, response) => {
    const isThere = request.url === path;
    response.writeHead(isThere ? 200 : 404, { 'Content-Type': mediaType });
    response.end(isThere ? body : '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The upstream has no port');
  return { server, url: `http://127.0.0.1:${address.port}/` };
}

export function stopUpstream({ server }: Upstream): void {
  server.closeAllConnections();
  server.close();
}
