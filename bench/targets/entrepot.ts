import { randomBytes } from 'node:crypto';
import type { Kind } from './target.ts';

const entry = new URL('../../server/src/main.ts', import.meta.url).pathname;
const compileCache = new URL('../../node_modules/.cache/entrepot', import.meta.url).pathname;

// The same as the program itself gives its Node (server/bin/entrepot).
const programEnv = {
  UV_THREADPOOL_SIZE: process.env['UV_THREADPOOL_SIZE'] ?? '8',
  NODE_COMPILE_CACHE: compileCache,
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '65536',
  MALLOC_TRIM_THRESHOLD_: '262144',
};

/** Entrepot as an administrator gets it, but for the settings: authentication on, every acknowledged byte synced. */
export function entrepot(nodeArgs: readonly string[], settings: NodeJS.ProcessEnv = {}): Kind {
  const password = settings['ENTREPOT_ADMIN_PASSWORD'] ?? randomBytes(12).toString('hex');
  return {
    name: 'entrepot',
    namePrefix: 'docker-local/',
    credentials: { user: 'admin', password },
    readyPath: '/artifactory/api/v1/system/readiness',
    prepare: async ({ host, port, dir }) => ({
      file: process.execPath,
      args: [...nodeArgs, entry, 'serve'],
      env: {
        ...withoutSettings(process.env),
        ...programEnv,
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
