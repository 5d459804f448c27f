import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tryCommand } from './command.ts';
import { type Daemon, startDaemon } from './daemon.ts';

export interface ContainerdOptions {
  readonly containerd: string;
  readonly ctr: string;
  /** Everything the daemon has, its socket included, is in here. */
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Starts a containerd of its own, without the parts that only Kubernetes or running containers need. */
export async function startContainerd({ containerd, ctr, home, env }: ContainerdOptions): Promise<Daemon> {
  await mkdir(home, { recursive: true });
  const socket = containerdSocket(home);
  const config = join(home, 'config.toml');
  // Version 2 of the format is read by containerd 1 and migrated by containerd 2.
  await writeFile(
    config,
    [
      'version = 2',
      `root = "${join(home, 'root')}"`,
      `state = "${join(home, 'state')}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]',
      `[grpc]\naddress = "${socket}"`,
      `[ttrpc]\naddress = "${socket}.ttrpc"`,
      // The transfer service of containerd 2 unpacks only what is configured; containerd 1 has no such service.
      '[[plugins."io.containerd.transfer.v1.local".unpack_config]]',
      `platform = "linux/${process.arch === 'x64' ? 'amd64' : process.arch}"\nsnapshotter = "native"`,
    ].join('\n'),
  );
  return await startDaemon(containerd, ['-c', config], {
    env,
    logPath: join(home, 'log'),
    isReady: async () => existsSync(socket) && (await tryCommand(ctr, ['-a', socket, 'version'], { env })).code === 0,
  });
}

export function containerdSocket(home: string): string {
  return join(home, 'containerd.sock');
}
