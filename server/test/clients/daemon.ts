import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface DaemonOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Everything the daemon prints goes here, and its end into the error if it does not become ready. */
  readonly logPath: string;
  /** Answers whether the daemon serves. */
  readonly isReady: () => Promise<boolean>;
  readonly readyMs?: number;
}

/** A process that runs beside the tests; disposing of it ends it and waits for that. */
export class Daemon implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor(child: ChildProcess) {
    this.#child = child;
    // A test that forgets its daemon, or dies before it can stop it, must neither hang nor leave it behind.
    child.unref();
    process.once('exit', () => child.kill('SIGKILL'));
    this.#exited = new Promise((resolve) => {
      child.once('exit', resolve);
      child.once('error', resolve);
    });
  }

  get isRunning(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async stop(): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 20_000);
    await this.#exited;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts a daemon and waits until it serves. Throws with the end of its log when it dies or takes too long. */
export async function startDaemon(command: string, args: readonly string[], options: DaemonOptions): Promise<Daemon> {
  const log = openSync(options.logPath, 'a');
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const daemon = new Daemon(child);
  const deadline = performance.now() + (options.readyMs ?? 60_000);
  while (performance.now() < deadline) {
    if (await options.isReady()) return daemon;
    if (!daemon.isRunning) break;
    await sleep(100);
  }
  await daemon.stop();
  throw new Error(`${command} did not become ready:\n${readFileSync(options.logPath, 'utf8').slice(-4_000)}`);
}
