/** How clients of npm's registry are told to install an application, each with nothing in its cache. */

/** A registry as clients are told of it; its address ends with a slash. */
export interface Registry {
  readonly url: string;
  readonly credentials?: { readonly username: string; readonly password: string };
}

export interface Installer {
  readonly lockFile: string;
  /** Makes the lock file, and as little else as it can. */
  readonly lock: readonly string[];
  readonly install: readonly string[];
  /** Installs what the lock file says, and fails where it would have to change. */
  readonly again: readonly string[];
  readonly env?: (cache: string) => Readonly<Record<string, string>>;
  /** What it is told in a file besides `.npmrc`. */
  readonly settings?: (registry: Registry) => Readonly<Record<string, string>>;
  /** What stays of the lock file when addresses are left aside. */
  readonly plain?: (lock: string) => string;
}

const npm: Installer = {
  lockFile: 'package-lock.json',
  lock: ['install', '--package-lock-only', '--ignore-scripts'],
  install: ['install', '--ignore-scripts'],
  again: ['ci', '--ignore-scripts'],
  env: (cache) => ({ npm_config_cache: cache }),
};

/** By the name of the client. */
export const INSTALLERS = {
  npm11: npm,
  npm10: npm,
  npm9: {
    ...npm,
    // It takes licences from abbreviated documents, where upstreams have them that give the full ones in their place.
    plain: (lock) => JSON.stringify(JSON.parse(lock), (key, value) => (key === 'license' ? undefined : value), 1),
  },
  pnpm: {
    lockFile: 'pnpm-lock.yaml',
    lock: ['install', '--lockfile-only', '--ignore-scripts'],
    install: ['install', '--ignore-scripts', '--no-frozen-lockfile'],
    again: ['install', '--ignore-scripts', '--frozen-lockfile'],
    env: (cache) => ({ npm_config_store_dir: cache, npm_config_cache_dir: `${cache}-documents` }),
  },
  yarn1: {
    lockFile: 'yarn.lock',
    lock: ['install', '--ignore-scripts', '--non-interactive'],
    install: ['install', '--ignore-scripts', '--non-interactive'],
    again: ['install', '--ignore-scripts', '--non-interactive', '--frozen-lockfile'],
    env: (cache) => ({ YARN_CACHE_FOLDER: cache }),
    // It has a name of its own for the public registry.
    plain: (lock) => lock.replaceAll(/resolved "https:\/\/[^/"]+\//g, 'resolved "<registry>/'),
  },
  yarn4: {
    lockFile: 'yarn.lock',
    lock: ['install', '--mode=update-lockfile'],
    install: ['install', '--mode=skip-build'],
    again: ['install', '--mode=skip-build', '--immutable'],
    env: (cache) => ({
      YARN_CACHE_FOLDER: cache,
      YARN_ENABLE_GLOBAL_CACHE: 'false',
      YARN_ENABLE_TELEMETRY: '0',
      YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
      YARN_NODE_LINKER: 'node-modules',
    }),
    settings: ({ url, credentials }) => ({
      '.yarnrc.yml': [
        `npmRegistryServer: ${JSON.stringify(url)}`,
        ...(credentials
          ? [
              `npmAuthIdent: ${JSON.stringify(`${credentials.username}:${credentials.password}`)}`,
              'npmAlwaysAuth: true',
              'unsafeHttpWhitelist: ["127.0.0.1"]',
            ]
          : []),
        '',
      ].join('\n'),
    }),
  },
  bun: {
    lockFile: 'bun.lock',
    lock: ['install', '--lockfile-only', '--ignore-scripts'],
    install: ['install', '--ignore-scripts'],
    again: ['install', '--ignore-scripts', '--frozen-lockfile'],
    env: (cache) => ({ BUN_INSTALL_CACHE_DIR: cache }),
    // It writes no address where the registry is the one that it has built in.
    plain: (lock) => lock.replaceAll(/"https?:\/\/[^"]+"/g, '""'),
  },
} as const satisfies Readonly<Record<string, Installer>>;

/** What `.npmrc` says of the registry; `signIn` are further lines of it. */
export function npmrcOf(url: string, signIn: readonly string[] = []): string {
  return [`registry=${url}`, 'audit=false', 'fund=false', 'update-notifier=false', ...signIn, ''].join('\n');
}

/** What a client's environment differs in from this one: nothing that this machine's npm is told reaches it. */
export function environmentOf({ env }: Installer, cache: string): Record<string, string | undefined> {
  const others = Object.keys(process.env).filter((name) => /^npm_/i.test(name));
  return { ...Object.fromEntries(others.map((name) => [name, undefined])), ...env?.(cache) };
}

/** The same package may come from any host: its path and its checksum tell which it is. */
export function withoutHosts(lock: string, { plain = (text) => text }: Installer, url: string): string {
  return plain(lock).replaceAll(url, '<registry>/');
}
