import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '../load/connection.ts';
import type { Endpoint } from '../load/session.ts';

const host = '127.0.0.1';
const startLimitMs = 120_000;
const stopLimitMs = 20_000;
const pollMs = 5;

export type Command = {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
};

/** What is particular to one kind of server. */
export type Kind = {
  readonly name: string;
  readonly namePrefix: string;
  readonly credentials: Endpoint['credentials'];
  readonly readyPath: string;
  /** Writes what the server needs to find on disk and tells how it is started. */
  readonly prepare: (place: { readonly host: string; readonly port: number; readonly dir: string }) => Promise<Command>;
};

/** A server under load: its process and the directory it stores in. */
export class Target {
  readonly name: string;
  readonly dir: string;
  readonly #kind: Kind;
  readonly #logFile: string;
  #child: ChildProcess | undefined;
  #endpoint: Endpoint | undefined;

  constructor(kind: Kind, dir: string) {
    this.name = kind.name;
    this.dir = dir;
    this.#kind = kind;
    this.#logFile = `${dir}.log`;
  }

  get endpoint(): Endpoint {
    if (this.#endpoint === undefined) throw new Error(`${this.name} is not running`);
    return this.#endpoint;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} is not running`);
    return pid;
  }

  /** Starts the server on a free port and resolves with the time it took to be ready. */
  async start(): Promise<{ readonly readyMs: number }> {
    await mkdir(this.dir, { recursive: true });
    const port = await findFreePort();
    const command = await this.#kind.prepare({ host, port, dir: this.dir });
    const log = openSync(this.#logFile, 'a');
    const startedAt = performance.now();
    const child = spawn(command.file, command.args, { env: command.env, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#child = child;
    child.on('error', () => undefined);
    await this.#waitUntilReady(child, port);
    const readyMs = performance.now() - startedAt;
    this.#endpoint = {
      host,
      port,
      namePrefix: this.#kind.namePrefix,
      credentials: this.#kind.credentials,
    };
    return { readyMs };
  }

  /** Asks the server to end, and ends it if it does not within a limit. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    this.#endpoint = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), stopLimitMs);
    await exited;
    clearTimeout(timer);
  }

  /** Ends the server at once; for the way out, where nothing can be awaited. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Starts again with nothing stored. */
  async reset(): Promise<void> {
    await this.stop();
    await this.#clear();
    await this.start();
  }

  async remove(): Promise<void> {
    await this.stop();
    await this.#clear();
    await rm(this.#logFile, { force: true });
  }

  async #clear(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }

  async #waitUntilReady(child: ChildProcess, port: number): Promise<void> {
    const deadline = performance.now() + startLimitMs;
    const head = `GET ${this.#kind.readyPath} HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: close\r\n\r\n`;
    while (performance.now() < deadline) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) break;
      const connection = new Connection({ host, port });
      const status = await connection.exchange({ head }).then(
        (reply) => reply.status,
        () => 0,
      );
      connection.close();
      if (status === 200) return;
      await sleep(pollMs);
    }
    const log = readFileSync(this.#logFile, 'utf8').slice(-2000);
    throw new Error(`${this.name} did not become ready. The end of its log:\n${log}`);
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('The system gave no port');
  return address.port;
}
