import { randomBytes } from 'node:crypto';
import type { Kind } from './target.ts';

/** The program itself, so that what it gives its Node is measured with it. */
const program = new URL('../../server/bin/entrepot', import.meta.url).pathname;

/** Entrepot as an administrator gets it, but for the settings: authentication on, every acknowledged byte synced. */
export function entrepot(
  { nodeArgs, memory }: { readonly nodeArgs: readonly string[]; readonly memory: string },
  settings: NodeJS.ProcessEnv = {},
): Kind {
  const password = settings['ENTREPOT_ADMIN_PASSWORD'] ?? randomBytes(12).toString('hex');
  return {
    name: 'entrepot',
    namePrefix: 'docker-local/',
    credentials: { user: 'admin', password },
    readyPath: '/artifactory/api/v1/system/readiness',
    prepare: async ({ host, port, dir }) => ({
      file: program,
      args: ['serve'],
      env: {
        ...withoutSettings(process.env),
        ...(nodeArgs.length > 0 && { NODE_OPTIONS: nodeArgs.join(' ') }),
        ENTREPOT_MEMORY: memory,
        ENTREPOT_HTTP__HOST: host,
        ENTREPOT_HTTP__PORT: String(port),
        ENTREPOT_DATA__DIR: dir,
        ENTREPOT_ADMIN_PASSWORD: password,
        // Repositories that a measure makes have their keys to themselves.
        ENTREPOT_BOOTSTRAP: 'minimal',
        ...settings,
      },
    }),
  };
}

/** The defaults are measured, so settings of the caller's shell do not reach the server. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(ENTREPOT|BENCH)_/.test(name)));
}
