/** A whole server in this process, on a port of its own and with data of its own, and callers to speak to it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type RunningApp, startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Database } from '../../src/db/database.ts';
import { openPostgres } from '../../src/db/dialects/postgres.ts';
import { openSqlite } from '../../src/db/dialects/sqlite.ts';
import { type Core, type Log, type Outside, openCore } from '../../src/state.ts';
import { sharedPostgres } from './postgres.ts';
import { sharedS3 } from './s3.ts';

export type Storage = 'sqlite-fs' | 'postgres-s3' | 'sqlite-s3' | 'postgres-fs';
/** The two installations that every wire test runs on: the smallest and the largest. */
export const STORAGES: readonly Storage[] = ['sqlite-fs', 'postgres-s3'];

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** The body as JSON; throws if it is none. */
  json(): unknown;
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array | Readable;
}

/** Speaks HTTP as one user, or as nobody. */
export interface Caller {
  readonly authorization: string | undefined;
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>;
}

export interface TestApp {
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  /** What the running server works with; another one after a restart. */
  readonly core: Core;
  readonly admin: Caller;
  readonly anonymous: Caller;
  as(name: string, password: string): Caller;
  /** Stops the server and starts it again over the same data. */
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
  /** Stops the server, has `work` done to its data as commands on its machine would, and starts it again. */
  administer(work: (core: Core) => Promise<void>): Promise<void>;
  /** A second handle on the server's database, to look at what it stored; the caller closes it before the end. */
  openDatabase(): Promise<Database>;
  /** What the server logged as warnings and errors. */
  readonly complaints: readonly { readonly level: string; readonly message: string; readonly fields: object }[];
  /** What else it logged for people to read. */
  readonly news: readonly string[];
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export const ADMIN_PASSWORD = 'correct-horse-battery';

/** Starts a server; `env` is its environment beside what the storage needs, `outside` the world that it sees. */
export async function startTestApp(
  storage: Storage,
  env: Readonly<Record<string, string>> = {},
  outside: Outside = {},
): Promise<TestApp> {
  const dataDir = await mkdtemp(join(tmpdir(), 'entrepot-app-'));
  const place = await placeOf(storage);
  const complaints: TestApp['complaints'][number][] = [];
  const news: string[] = [];
  const log = recordingLog(complaints, news);
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  let app: RunningApp;
  let port = 0;
  let current = env;
  const readConfig = () =>
    loadConfig(
      {
        ENTREPOT_HTTP__HOST: '127.0.0.1',
        ENTREPOT_HTTP__PORT: String(port),
        ENTREPOT_HTTP__DRAIN_MS: '2000',
        ENTREPOT_DATA__DIR: dataDir,
        ENTREPOT_ADMIN_PASSWORD: ADMIN_PASSWORD,
        ENTREPOT_BOOTSTRAP: 'minimal',
        ...place.env,
        ...current,
      },
      () => {
        throw Object.assign(new Error('no file'), { code: 'ENOENT' });
      },
    );
  const start = async () => {
    app = await startApp(readConfig(), log, outside);
    port = app.ports[0]!;
  };
  await start();
  const caller = (authorization: string | undefined): Caller => ({
    authorization,
    request: (method, path, options) => send(agent, port, authorization, method, path, options),
  });
  const basic = (name: string, password: string) => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
  const stop = async () => {
    agent.destroy();
    await app.stop();
    await place.remove();
    await rm(dataDir, { recursive: true, force: true });
  };
  return {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    get port() {
      return port;
    },
    dataDir,
    get core() {
      return app.core;
    },
    admin: caller(basic('admin', ADMIN_PASSWORD)),
    anonymous: caller(undefined),
    as: (name, password) => caller(basic(name, password)),
    async restart(changed) {
      await app.stop();
      current = changed ?? current;
      await start();
    },
    async administer(work) {
      await app.stop();
      const core = await openCore(readConfig(), log, outside);
      try {
        await work(core);
      } finally {
        await core.close();
      }
      await start();
    },
    async openDatabase() {
      const url = place.env['ENTREPOT_DATABASE__URL'];
      if (url === undefined) return openSqlite(join(dataDir, 'metadata.db'));
      return openPostgres({ url, poolSize: 2, onError: () => undefined });
    },
    complaints,
    news,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function placeOf(storage: Storage): Promise<{ env: Record<string, string>; remove(): Promise<void> }> {
  const [databaseName, blobName] = storage.split('-');
  const env: Record<string, string> = {};
  let remove = async () => {};
  if (databaseName === 'postgres') {
    const server = await sharedPostgres();
    const url = await server.createDatabase();
    env['ENTREPOT_DATABASE__URL'] = url;
    remove = () => server.dropDatabase(url);
  }
  if (blobName === 's3') {
    const server = await sharedS3();
    Object.assign(env, {
      ENTREPOT_STORAGE__DRIVER: 's3',
      ENTREPOT_STORAGE__S3__ENDPOINT: server.endpoint,
      ENTREPOT_STORAGE__S3__BUCKET: await server.createBucket(),
      ENTREPOT_STORAGE__S3__ACCESS_KEY_ID: server.accessKeyId,
      ENTREPOT_STORAGE__S3__SECRET_ACCESS_KEY: server.secretAccessKey,
    });
  }
  return { env, remove };
}

function recordingLog(complaints: TestApp['complaints'][number][], news: string[]): Log {
  const record = (level: string) => (fields: object, message: string) => {
    complaints.push({ level, message, fields });
  };
  const info = (_fields: object, message: string) => {
    // A line for each request is none.
    if (message !== 'request') news.push(message);
  };
  return { debug() {}, info, warn: record('warn'), error: record('error') };
}

function send(
  agent: Agent,
  port: number,
  authorization: string | undefined,
  method: string,
  path: string,
  options: RequestOptions = {},
): Promise<Answer> {
  const headers: Record<string, string | string[]> = {};
  if (authorization !== undefined) headers['authorization'] = authorization;
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    headers[name.toLowerCase()] = typeof value === 'string' ? value : [...value];
  }
  const { body } = options;
  const bytes = typeof body === 'string' ? Buffer.from(body) : body instanceof Uint8Array ? body : undefined;
  if (bytes) headers['content-length'] ??= String(bytes.length);
  else if (!body && method !== 'GET' && method !== 'HEAD') headers['content-length'] ??= '0';
  return new Promise((resolve, reject) => {
    const request = httpRequest({ agent, host: '127.0.0.1', port, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const all = Buffer.concat(chunks);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          bytes: all,
          text: all.toString('utf8'),
          json: () => JSON.parse(all.toString('utf8')) as unknown,
        });
      });
    });
    request.once('error', reject);
    if (body && !bytes) (body as Readable).pipe(request);
    else request.end(bytes);
  });
}
