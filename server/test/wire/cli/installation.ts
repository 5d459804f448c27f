/** A data folder and a database, the real command over them, and a server of its own process when one is wanted. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Database } from '../../../src/db/database.ts';
import { openPostgres } from '../../../src/db/dialects/postgres.ts';
import { openSqlite } from '../../../src/db/dialects/sqlite.ts';
import { ended, freePorts, openGuard } from '../../support/child-guard.ts';
import { sharedPostgres } from '../../support/postgres.ts';

export const ADMIN_PASSWORD = 'correct-horse-battery';
const COMMAND = fileURLToPath(new URL('../../../bin/entrepot', import.meta.url));
const START_LIMIT_MS = 30_000;

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface ServerProcess {
  readonly url: string;
  readonly pid: number;
  /** Sends a request as the user and returns the status. */
  status(path: string, options?: StatusOptions): Promise<number>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface StatusOptions {
  readonly user?: readonly [name: string, password: string];
  readonly method?: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Installation {
  readonly dataDir: string;
  readonly #databaseUrl: string | undefined;
  readonly #servers = new Set<ServerProcess>();

  private constructor(dataDir: string, databaseUrl: string | undefined) {
    this.dataDir = dataDir;
    this.#databaseUrl = databaseUrl;
  }

  static async make(kind: 'sqlite' | 'postgres'): Promise<Installation> {
    const url = kind === 'postgres' ? await (await sharedPostgres()).createDatabase() : undefined;
    return new Installation(await mkdtemp(join(tmpdir(), 'entrepot-cli-')), url);
  }

  /** Runs the command to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const child = this.#spawn(args, options.env);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
    const { promise, resolve } = Promise.withResolvers<number | null>();
    child.once('close', resolve);
    return { code: await promise, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
  }

  /** Runs a command that must succeed, and returns what it printed. */
  async succeed(args: readonly string[], options?: RunOptions): Promise<string> {
    const { code, out, err } = await this.run(args, options);
    assert.equal(code, 0, `${args.join(' ')}: ${out}${err}`);
    return out;
  }

  /** Runs a command that must fail, and returns the one line it says. */
  async fail(args: readonly string[], options?: RunOptions): Promise<string> {
    const { code, out, err } = await this.run(args, options);
    assert.equal(code, 1, `${args.join(' ')}: ${out}${err}`);
    assert.equal(err.trim().split('\n').length, 1, err);
    assert.doesNotMatch(err, /\bat .*:\d+:\d+/);
    return err.trim();
  }

  /** Starts a server; `env` is added to its settings. */
  async serve(env: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
    const [port = 0] = await freePorts(1);
    const guard = await openGuard('server');
    const child = this.#spawn(['serve'], {
      ENTREPOT_HTTP__PORT: String(port),
      ENTREPOT_ADMIN_PASSWORD: ADMIN_PASSWORD,
      ENTREPOT_BOOTSTRAP: 'minimal',
      ENTREPOT_LOG__LEVEL: 'error',
      // What is deleted gives its bytes back.
      ENTREPOT_TRASH__ENABLED: 'false',
      ...env,
    });
    const pid = child.pid ?? 0;
    await guard.watch('server', pid);
    await isReady(child);
    const url = `http://127.0.0.1:${port}`;
    const server: ServerProcess = {
      url,
      pid,
      async status(path, { user = ['admin', ADMIN_PASSWORD], method = 'GET', body, headers } = {}) {
        const authorization = `Basic ${Buffer.from(user.join(':')).toString('base64')}`;
        const response = await fetch(`${url}${path}`, {
          method,
          headers: { authorization, ...headers },
          ...(body !== undefined && { body }),
        });
        await response.arrayBuffer();
        return response.status;
      },
      stop: async (signal = 'SIGTERM') => {
        this.#servers.delete(server);
        child.kill(signal);
        await ended(child);
        await guard.forget('server');
        await guard.release();
      },
    };
    this.#servers.add(server);
    return server;
  }

  /** A handle on the database itself; the caller closes it. */
  async openDatabase(): Promise<Database> {
    if (this.#databaseUrl === undefined) return openSqlite(join(this.dataDir, 'metadata.db'));
    return openPostgres({ url: this.#databaseUrl, poolSize: 2, onError: () => undefined });
  }

  async remove(): Promise<void> {
    for (const server of this.#servers) await server.stop('SIGKILL');
    if (this.#databaseUrl !== undefined) await (await sharedPostgres()).dropDatabase(this.#databaseUrl);
    await rm(this.dataDir, { recursive: true, force: true });
  }

  #spawn(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('ENTREPOT_'));
    return spawn(COMMAND, [...args], {
      cwd: this.dataDir,
      env: {
        ...Object.fromEntries(inherited),
        ENTREPOT_HTTP__HOST: '127.0.0.1',
        ENTREPOT_DATA__DIR: this.dataDir,
        ...(this.#databaseUrl !== undefined && { ENTREPOT_DATABASE__URL: this.#databaseUrl }),
        ...env,
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }
}

/** Runs the tests once on each database, over one installation each. */
export function onEachDatabase(what: string, tests: (installation: () => Installation) => void): void {
  for (const kind of ['sqlite', 'postgres'] as const) {
    describe(`${what} on ${kind}`, () => {
      let installation: Installation;
      before(async () => {
        installation = await Installation.make(kind);
      });
      after(() => installation?.remove());
      tests(() => installation);
    });
  }
}

async function isReady(child: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let said = '';
  const timer = setTimeout(() => reject(new Error(`the server did not start in time: ${said}`)), START_LIMIT_MS);
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    if (said.includes('is ready')) resolve();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.once('exit', () => reject(new Error(`the server ended: ${said}`)));
  try {
    await promise;
  } finally {
    clearTimeout(timer);
  }
}
