import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import type { Kind } from './target.ts';

const binary = 'docker-registry';
const installLimitMs = 300_000;

/** Debian's registry without authentication and access log, with its in-memory cache: every advantage is its own. */
export const dockerRegistry: Kind = kindOf('docker-registry', {});

/** The same as a cache in front of another registry. */
export function dockerProxy(remoteUrl: string): Kind {
  return kindOf('docker-registry proxy', { proxy: { remoteurl: remoteUrl } });
}

function kindOf(name: string, further: object): Kind {
  return {
    name,
    namePrefix: '',
    credentials: undefined,
    readyPath: '/v2/',
    prepare: async ({ host, port, dir }) => {
      const file = `${dir}/config.yml`;
      await writeFile(file, renderConfig(`${host}:${port}`, `${dir}/storage`, further));
      return { file: binary, args: ['serve', file], env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' } };
    },
  };
}

function renderConfig(address: string, storageDir: string, further: object): string {
  // JSON is YAML, and needs no rules for quoting.
  return JSON.stringify({
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: storageDir },
      cache: { blobdescriptor: 'inmemory' },
      delete: { enabled: true },
    },
    http: { addr: address, secret: 'bench' },
    ...further,
  });
}

/** The installed version; installs the package when it is absent and the user may. */
export function requireDockerRegistry(): string {
  const found = readVersion();
  if (found !== undefined) return found;
  if (process.getuid?.() !== 0) {
    throw new Error('The Debian package docker-registry is not installed, and only root can install it.');
  }
  // The run level keeps the package from starting its own service.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const options = { env, stdio: ['ignore', 'ignore', 'inherit'] as const, timeout: installLimitMs };
  spawnSync('apt-get', ['update', '-q'], { ...options, stdio: [...options.stdio] });
  spawnSync('apt-get', ['install', '-y', '-q', binary], { ...options, stdio: [...options.stdio] });
  const installed = readVersion();
  if (installed === undefined) throw new Error('The Debian package docker-registry could not be installed.');
  return installed;
}

function readVersion(): string | undefined {
  const run = spawnSync(binary, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  return run.status === 0 ? run.stdout.trim() : undefined;
}
