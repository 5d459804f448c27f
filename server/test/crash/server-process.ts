/** The server as its users run it: a process of its own, which tests kill and start again over the same data. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ended, type Guard, openGuard } from '../support/child-guard.ts';
import type { Place } from './place.ts';

export const ADMIN_PASSWORD = 'correct-horse-battery';

export interface ServerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A program and its arguments in front of the server's; the program must become the server or stay its parent. */
  readonly wrap?: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const START_LIMIT_MS = 60_000;

let guard: Promise<Guard> | undefined;
let count = 0;
const running = new Set<ServerProcess>();

/** Ends what a failed test left running at this place. */
export async function endAll(place: Place): Promise<void> {
  for (const server of running) if (server.place === place) await server.kill();
}

/** A folder that vanishes with this test process, and the watch over the servers it starts. */
export function testGuard(): Promise<Guard> {
  guard ??= openGuard('crash');
  return guard;
}

export class ServerProcess {
  readonly place: Place;
  readonly exited: Promise<Exit>;
  /** Everything it wrote so far. */
  output = '';
  readonly #child: ChildProcess;

  private constructor(place: Place, child: ChildProcess, name: string) {
    this.place = place;
    this.#child = child;
    const collect = (chunk: Buffer) => {
      this.output = (this.output + chunk.toString()).slice(-200_000);
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    this.exited = ended(child).then(async () => {
      running.delete(this);
      await (await testGuard()).forget(name);
      return { code: child.exitCode, signal: child.signalCode };
    });
  }

  /** Starts the server and returns at once; `ready` tells when it serves. */
  static async spawn(place: Place, options: ServerOptions = {}): Promise<ServerProcess> {
    const watch = await testGuard();
    const [program = process.execPath, ...rest] = [
      ...(options.wrap ?? []),
      process.execPath,
      join(ROOT, 'server/src/main.ts'),
      'serve',
    ];
    const child = spawn(program, rest, {
      cwd: ROOT,
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: watch.folder,
        // Most of a start is the compiler's work, which is the same each time.
        NODE_COMPILE_CACHE: join(watch.folder, 'compiled'),
        ENTREPOT_HTTP__HOST: '127.0.0.1',
        ENTREPOT_HTTP__PORT: String(place.port),
        ENTREPOT_HTTP__ACCESS_LOG: 'false',
        ENTREPOT_DATA__DIR: place.dataDir,
        ENTREPOT_ADMIN_PASSWORD: ADMIN_PASSWORD,
        ENTREPOT_BOOTSTRAP: 'minimal',
        ENTREPOT_JOBS__POLL_MS: '50',
        ...place.env,
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.once('error', () => undefined);
    if (child.pid === undefined) throw new Error(`${program} could not be run`);
    const name = `server-${++count}`;
    const server = new ServerProcess(place, child, name);
    running.add(server);
    await watch.watch(name, child.pid);
    return server;
  }

  /** Starts the server and waits until it serves. */
  static async start(place: Place, options: ServerOptions = {}): Promise<ServerProcess> {
    const server = await ServerProcess.spawn(place, options);
    await server.ready();
    return server;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async ready(): Promise<void> {
    const limit = performance.now() + START_LIMIT_MS;
    while (!this.output.includes('Entrepot is ready')) {
      if (!this.running) throw new Error(`the server ended before it was ready: ${this.output.slice(-2000)}`);
      if (performance.now() > limit) throw new Error(`the server was not ready in time: ${this.output.slice(-2000)}`);
      await Promise.race([delay(5), this.exited]);
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Ends it as a power cut of the process alone would. */
  async kill(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.exited;
  }

  /** Asks it to stop and waits until it has. */
  async stop(): Promise<Exit> {
    this.signal('SIGTERM');
    return this.exited;
  }
}
