/** Servers that tests start must not outlive them, however the test process ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Guard {
  /** A temporary folder of the guard's own, which others may pass through but not list. */
  readonly folder: string;
  /** Has this process killed when the test process is gone. */
  watch(name: string, pid: number): Promise<void>;
  forget(name: string): Promise<void>;
  /** Removes the folder; what was watched must have been stopped. */
  release(): Promise<void>;
}

// The watcher reads from a pipe nobody writes to: it ends when the test process does, even by SIGKILL. SIGQUIT makes
// PostgreSQL end its children too.
const WATCHER = `
read _
for file in "$1"/*.guarded; do [ -f "$file" ] && kill -QUIT "$(cat "$file")"; done
sleep 1
for file in "$1"/*.guarded; do [ -f "$file" ] && kill -KILL "$(cat "$file")"; done
rm -rf "$@"`;

/** Makes a temporary folder that vanishes, with the processes watched and the other files, when this process ends. */
export async function openGuard(subject: string, alsoRemove: readonly string[] = []): Promise<Guard> {
  const folder = await mkdtemp(join(tmpdir(), `entrepot-${subject}-`));
  await chmod(folder, 0o711);
  const watcher = spawn('sh', ['-c', WATCHER, 'sh', folder, ...alsoRemove], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watcher.unref();
  // A pipe of a child is a socket, which alone would keep this process alive.
  if (watcher.stdin && 'unref' in watcher.stdin) (watcher.stdin as { unref(): void }).unref();
  return {
    folder,
    watch: (name, pid) => writeFile(join(folder, `${name}.guarded`), String(pid)),
    forget: (name) => rm(join(folder, `${name}.guarded`), { force: true }),
    async release() {
      watcher.kill('SIGKILL');
      for (const path of [folder, ...alsoRemove]) await rm(path, { recursive: true, force: true });
    },
  };
}

/** Resolves when the process has ended. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once('exit', () => resolve());
  child.ref();
  await promise;
}

/** Ports that were free on loopback a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listen));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function listen() {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  return server;
}
