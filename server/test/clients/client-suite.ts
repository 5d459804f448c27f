import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { getClient } from './client-folder.ts';
import { type CommandOptions, type CommandResult, failCommand, runCommand } from './command.ts';
import { requireTarget, type Target } from './target.ts';
import type { ClientName } from './versions.ts';

/** One client with a home of its own: no credentials, caches or settings of the person running the suite. */
export interface Client {
  readonly path: string;
  readonly version: string;
  readonly target: Target;
  /** A folder for what the tests write, removed at the end. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Keeps something until the end of the suite, such as a daemon of the client. */
  use<T extends AsyncDisposable>(resource: T): T;
  /** Runs the client; it must succeed. */
  run(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Runs the client; it must fail. Answers all it printed. */
  fail(args: readonly string[], options?: CommandOptions): Promise<string>;
}

export interface SuiteOptions {
  /** Clients that this one cannot work without. */
  readonly needs?: readonly ClientName[];
  /** Whether the client mounts file systems. */
  readonly asRoot?: boolean;
}

/** Declares the tests of one client, or one skipped test with the reason why it cannot run. */
export function clientSuite(name: ClientName, define: (client: Client) => void, options: SuiteOptions = {}): void {
  const skip = findReasonToSkip(name, options);
  if (skip !== undefined) {
    test(name, { skip });
    return;
  }
  const { path, version } = requireClient(name);
  describe(name, () => define(openClient(path, version)));
}

function findReasonToSkip(name: ClientName, { needs = [], asRoot = false }: SuiteOptions): string | undefined {
  for (const each of [name, ...needs]) {
    const found = getClient(each);
    if (found.state === 'absent') return each === name ? found.reason : `needs ${each}: ${found.reason}`;
  }
  return asRoot && process.getuid?.() !== 0 ? 'needs root, to mount file systems' : undefined;
}

/** Answers an installed client; for the suites that declared to need it. */
export function requireClient(name: ClientName): { readonly path: string; readonly version: string } {
  const installed = getClient(name);
  if (installed.state === 'absent') throw new Error(`${name} is absent: ${installed.reason}`);
  return installed;
}

/** Prepares a client's folder and environment, and removes the folder after the enclosing suite. */
export function openClient(path: string, version: string): Client {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-client-'));
  const cleanup = new AsyncDisposableStack();
  // Daemons write into the folder until they end, so it goes last, after all that was deferred later.
  cleanup.defer(() => removeFolder(folder));
  after(async () => await cleanup.disposeAsync());
  const env = isolatedEnvironment(folder);
  return {
    path,
    version,
    target: requireTarget(),
    folder,
    env,
    use: (resource) => cleanup.use(resource),
    run: async (args, options) => await runCommand(path, args, mergeOptions(env, options)),
    fail: async (args, options) => await failCommand(path, args, mergeOptions(env, options)),
  };
}

/** Makes the environment a client looks for its files in: the Docker, XDG, Helm and regclient conventions. */
export function isolatedEnvironment(folder: string): Record<string, string | undefined> {
  const home = join(folder, 'home');
  const runtime = join(home, 'run');
  mkdirSync(runtime, { recursive: true, mode: 0o700 });
  return {
    HOME: home,
    DOCKER_CONFIG: join(home, '.docker'),
    REGISTRY_AUTH_FILE: join(home, 'auth.json'),
    REGCTL_CONFIG: join(home, 'regctl.json'),
    XDG_CONFIG_HOME: join(home, '.config'),
    XDG_CACHE_HOME: join(home, '.cache'),
    XDG_DATA_HOME: join(home, '.local/share'),
    XDG_RUNTIME_DIR: runtime,
    // Loopback must never be asked of a proxy.
    NO_PROXY: '127.0.0.1',
    no_proxy: '127.0.0.1',
  };
}

function mergeOptions(env: Client['env'], options: CommandOptions = {}): CommandOptions {
  return { ...options, env: { ...env, ...options.env } };
}

/** Removes a folder, after undoing what a container runtime left mounted in it. */
function removeFolder(folder: string): void {
  const mounts = existsSync('/proc/self/mounts') ? readFileSync('/proc/self/mounts', 'utf8').split('\n') : [];
  const points = mounts.map((line) => line.split(' ')[1] ?? '').filter((point) => point.startsWith(`${folder}/`));
  for (const point of points.reverse()) spawnSync('umount', [point]);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
