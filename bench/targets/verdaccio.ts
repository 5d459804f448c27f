import { writeFile } from 'node:fs/promises';
import { installNode } from '../../server/test/clients/node-clients.ts';
import type { NpmClient } from '../../server/test/clients/versions.ts';
import { requireInstalled } from './installed.ts';
import type { Kind } from './target.ts';

const source: NpmClient = {
  kind: 'npm',
  package: 'verdaccio',
  version: '6.10.4',
  file: 'bin/verdaccio',
  overrides: { 'node-fetch': '2.7.0' },
};

/** Verdaccio in front of a registry, without authentication and access log, keeping everything it fetched. */
export async function verdaccio(registry: string): Promise<Kind> {
  const installed = requireInstalled(source.package, await installNode(source.package, source));
  return {
    name: `verdaccio ${installed.version}`,
    namePrefix: '',
    credentials: undefined,
    readyPath: '/-/ping',
    prepare: async ({ host, port, dir }) => {
      const file = `${dir}/config.yaml`;
      await writeFile(file, renderConfig(registry, dir));
      return {
        file: process.execPath,
        args: [installed.path, '--config', file, '--listen', `http://${host}:${port}`],
        env: { ...process.env, NODE_ENV: 'production' },
      };
    },
  };
}

function renderConfig(registry: string, dir: string): string {
  // JSON is YAML, and needs no rules for quoting.
  return JSON.stringify({
    storage: `${dir}/storage`,
    auth: { htpasswd: { file: `${dir}/htpasswd` } },
    uplinks: { upstream: { url: registry, cache: true, maxage: '24h', timeout: '60s', max_fails: 100 } },
    packages: { '**': { access: '$all', publish: '$authenticated', proxy: 'upstream' } },
    web: { enable: false },
    log: { type: 'stdout', level: 'error' },
  });
}
