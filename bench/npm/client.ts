import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../server/test/clients/command.ts';

const limitMs = 10 * 60_000;

/** A registry as npm is told of it. */
export type Registry = {
  /** With a slash at its end. */
  readonly url: string;
  readonly token?: string;
};

/** The registry that this machine's npm asks when nobody names one. */
export async function askOwnRegistry(): Promise<string> {
  const { stdout } = await runCommand('npm', ['config', 'get', 'registry']);
  return stdout.trim();
}

export async function readNpmVersion(): Promise<string> {
  return (await runCommand('npm', ['--version'])).stdout.trim();
}

/** An npm with settings of its own, nothing in its cache, and a new folder with an application. */
export class NpmClient {
  readonly folder: string;
  readonly #home: string;

  private constructor(home: string) {
    this.#home = home;
    this.folder = join(home, 'app');
  }

  static async create(home: string, registry: Registry, files: Readonly<Record<string, string>>): Promise<NpmClient> {
    const client = new NpmClient(home);
    await client.remove();
    await mkdir(client.folder, { recursive: true });
    for (const [name, text] of Object.entries(files)) await writeFile(join(client.folder, name), text);
    const { url, token } = registry;
    const lines = [
      `registry=${url}`,
      ...(token === undefined ? [] : [`${url.replace(/^\w+:/, '')}:_authToken=${token}`]),
    ];
    await writeFile(join(home, 'npmrc'), `${lines.join('\n')}\n`);
    return client;
  }

  /** Resolves with the seconds the command took. */
  async run(command: 'ci' | 'install', options: readonly string[] = []): Promise<number> {
    const args = [command, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', ...options];
    const { durationMs } = await runCommand('npm', args, { cwd: this.folder, env: this.#env(), timeoutMs: limitMs });
    return durationMs / 1000;
  }

  async remove(): Promise<void> {
    await rm(this.#home, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Nothing that this machine's npm is told otherwise reaches it. */
  #env(): Record<string, string | undefined> {
    const others = Object.keys(process.env).filter((name) => /^npm_/i.test(name));
    return {
      ...Object.fromEntries(others.map((name) => [name, undefined])),
      HOME: this.#home,
      npm_config_userconfig: join(this.#home, 'npmrc'),
      npm_config_globalconfig: join(this.#home, 'none'),
      npm_config_cache: join(this.#home, 'cache'),
      npm_config_update_notifier: 'false',
    };
  }
}
