import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../server/test/clients/command.ts';
import { installNode } from '../../server/test/clients/node-clients.ts';
import { environmentOf, INSTALLERS, type Installer, npmrcOf } from '../../server/test/clients/node-installers.ts';
import { clientSources } from '../../server/test/clients/versions.ts';
import { requireInstalled } from '../targets/installed.ts';

const limitMs = 10 * 60_000;

/** A registry as clients are told of it. */
export type Registry = {
  /** With a slash at its end. */
  readonly url: string;
  readonly token?: string;
};

/** A client of the registry that installs applications. */
export type Client = {
  readonly name: 'npm' | 'pnpm' | 'bun';
  readonly version: string;
  readonly file: string;
  readonly installer: Installer;
};

export type Command = 'lock' | 'install' | 'again';

/** The registry that this machine's npm asks when nobody names one. */
export async function askOwnRegistry(): Promise<string> {
  const { stdout } = await runCommand('npm', ['config', 'get', 'registry']);
  return stdout.trim();
}

/** This machine's npm. */
export async function ownNpm(): Promise<Client> {
  const version = (await runCommand('npm', ['--version'])).stdout.trim();
  return { name: 'npm', version, file: 'npm', installer: INSTALLERS.npm11 };
}

/** Another client, installed unless it is. */
export async function otherClient(name: 'pnpm' | 'bun'): Promise<Client> {
  const { path: file, version } = requireInstalled(name, await installNode(name, clientSources[name]));
  return { name, version, file, installer: INSTALLERS[name] };
}

/** A new folder with an application, and a client with settings of its own and nothing in its cache. */
export class Place {
  readonly #client: Client;
  readonly #home: string;

  private constructor(client: Client, home: string) {
    this.#client = client;
    this.#home = home;
  }

  /** With the lock file, where one is given. */
  static async create(
    client: Client,
    home: string,
    { url, token }: Registry,
    { manifest, lock }: { readonly manifest: string; readonly lock?: string | undefined },
  ): Promise<Place> {
    const place = new Place(client, home);
    await place.remove();
    await mkdir(place.#folder, { recursive: true });
    const signIn = token === undefined ? [] : [`${url.replace(/^\w+:/, '')}:_authToken=${token}`];
    await writeFile(join(place.#folder, '.npmrc'), npmrcOf(url, signIn));
    await writeFile(join(place.#folder, 'package.json'), manifest);
    if (lock !== undefined) await writeFile(join(place.#folder, client.installer.lockFile), lock);
    return place;
  }

  /** Resolves with the seconds the command took. */
  async run(command: Command): Promise<number> {
    const { file, installer } = this.#client;
    const options = { cwd: this.#folder, env: this.#env(), timeoutMs: limitMs };
    return (await runCommand(file, installer[command], options)).durationMs / 1000;
  }

  lock(): Promise<string> {
    return readFile(join(this.#folder, this.#client.installer.lockFile), 'utf8');
  }

  async remove(): Promise<void> {
    await rm(this.#home, { recursive: true, force: true, maxRetries: 3 });
  }

  get #folder(): string {
    return join(this.#home, 'app');
  }

  #env(): Record<string, string | undefined> {
    return {
      ...environmentOf(this.#client.installer, join(this.#home, 'cache')),
      HOME: this.#home,
      npm_config_globalconfig: join(this.#home, 'none'),
    };
  }
}
