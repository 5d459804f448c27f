import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Client, requireClient } from './client-suite.ts';
import { tryCommand } from './command.ts';
import { containerdSocket, startContainerd } from './containerd-daemon.ts';
import { startDaemon } from './daemon.ts';

/** Where the engine of the suite listens. */
export function engineSocket(client: Client): string {
  return join(client.folder, 'docker.sock');
}

/** The containerd of an engine that keeps its images there. */
export async function startOwnContainerd(client: Client): Promise<void> {
  const [containerd, ctr] = [requireClient('containerd2').path, requireClient('ctr2').path];
  const home = join(client.folder, 'containerd');
  client.use(await startContainerd({ containerd, ctr, home, env: client.env }));
}

/** Starts the suite's client, an engine, with all it has in the suite's folder; it ends with the suite. */
export async function startEngine(client: Client, store: 'classic' | 'containerd'): Promise<void> {
  const socket = engineSocket(client);
  const own =
    store === 'classic'
      ? ['--storage-driver', 'vfs']
      : [
          ...['--containerd', containerdSocket(join(client.folder, 'containerd'))],
          ...['--storage-driver', 'native', '--feature', 'containerd-snapshotter=true'],
        ];
  const config = join(client.folder, 'daemon.json');
  // The key is a relic of signed manifests, which the classic engine writes into the system's folder otherwise.
  const settings = store === 'classic' ? { 'deprecated-key-path': join(client.folder, 'key.json') } : {};
  await writeFile(config, JSON.stringify(settings));
  const args = [
    ...['--config-file', config, '-H', `unix://${socket}`, '--pidfile', join(client.folder, 'docker.pid')],
    ...['--data-root', join(client.folder, 'data'), '--exec-root', join(client.folder, 'exec')],
    ...['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--userland-proxy=false'],
    ...['--insecure-registry', '127.0.0.0/8', ...own],
  ];
  // The classic engine starts a containerd of its own and looks for it on PATH.
  const path = `${dirname(client.path)}:${process.env['PATH'] ?? ''}:/usr/sbin`;
  client.use(
    await startDaemon(client.path, args, {
      env: { ...client.env, PATH: path },
      logPath: join(client.folder, 'docker.log'),
      isReady: async () => {
        const env = { ...client.env, DOCKER_HOST: `unix://${socket}` };
        return (await tryCommand(requireClient('docker20').path, ['version'], { env })).code === 0;
      },
    }),
  );
}
