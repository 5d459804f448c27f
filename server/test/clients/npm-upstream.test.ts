/**
 * A real application of some 600 packages, installed from the registry that this machine's npm asks: directly, and through
 * a virtual repository over a remote one, cold and warm.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Client, clientSuite } from './client-suite.ts';
import { runCommand } from './command.ts';
import { environmentOf, INSTALLERS, type Installer, npmrcOf, type Registry, withoutHosts } from './node-installers.ts';
import { ServerFacts } from './server-facts.ts';

const MANIFEST = join(import.meta.dirname, 'fixtures/npm-app/package.json');
const LIMIT_MS = 10 * 60_000;
const PATIENCE_MS = 20_000;
const WANTED = 'express';
const PACKAGES = 500;

for (const [name, installer] of Object.entries(INSTALLERS) as [keyof typeof INSTALLERS, Installer][]) {
  clientSuite(name, (client) => {
    const server = new ServerFacts(client.target);
    const key = `app-${name}-${randomBytes(3).toString('hex')}`;
    const remote = `${key}-remote`;
    const { username, password } = client.target;
    const here: Registry = { url: `${server.root}/api/npm/${key}/`, credentials: { username, password } };
    let upstream = '';
    let reason: string | undefined;
    let lock = '';

    before(async () => {
      upstream = `${(await runCommand('npm', ['config', 'get', 'registry'])).stdout.trim().replace(/\/+$/, '')}/`;
      reason = await reasonToSkip(upstream);
      if (reason !== undefined) return;
      const packageType = 'npm';
      await server.createRepository(`${key}-local`, { packageType });
      await server.createRepository(remote, { packageType, rclass: 'remote', url: upstream });
      await server.createRepository(key, {
        packageType,
        rclass: 'virtual',
        repositories: [`${key}-local`, remote],
        defaultDeploymentRepo: `${key}-local`,
      });
    });
    after(() => server.deleteRepositories(key, remote, `${key}-local`));

    test('installs an application, cold, and locks what the upstream itself would have it lock', async (t) => {
      if (reason !== undefined) return t.skip(reason);
      const direct = await Place.make(client, installer, 'direct', { url: upstream });
      await direct.run(installer.lock);
      const cold = await Place.make(client, installer, 'cold', here);
      const seconds = await cold.run(installer.install);
      lock = await cold.lock();
      assert.equal(withoutHosts(lock, installer, here.url), withoutHosts(await direct.lock(), installer, upstream));
      if (installer === INSTALLERS.npm11) assert.ok(Object.keys(JSON.parse(lock).packages).length > PACKAGES);
      assert.match(await cold.installed(), /"version": *"4\./);
      await Promise.all([direct.remove(), cold.remove()]);
      t.diagnostic(`cold ${seconds} s`);
    });

    test('installs it again with nothing kept, while the upstream is switched off', async (t) => {
      if (reason !== undefined) return t.skip(reason);
      const answer = await server.ask('POST', `api/repositories/${remote}`, { offline: true });
      assert.equal(answer.status, 200, await answer.text());
      const warm = await Place.make(client, installer, 'warm', here);
      await writeFile(join(warm.folder, installer.lockFile), lock);
      const seconds = await warm.run(installer.again);
      assert.equal(await warm.lock(), lock);
      assert.match(await warm.installed(), /"version": *"4\./);
      await warm.remove();
      t.diagnostic(`warm ${seconds} s`);
    });
  });
}

async function reasonToSkip(upstream: string): Promise<string | undefined> {
  return fetch(`${upstream}${WANTED}`, { signal: AbortSignal.timeout(PATIENCE_MS) }).then(
    async (answer) => {
      await answer.body?.cancel();
      return answer.ok ? undefined : `the registry that npm asks answers ${answer.status}`;
    },
    () => 'the registry that npm asks cannot be reached from here',
  );
}

/** A folder with the application, and a client that has nothing in its cache. */
class Place {
  readonly folder: string;
  readonly #client: Client;
  readonly #installer: Installer;

  private constructor(client: Client, installer: Installer, folder: string) {
    this.#client = client;
    this.#installer = installer;
    this.folder = folder;
  }

  static async make(client: Client, installer: Installer, state: string, registry: Registry): Promise<Place> {
    const folder = join(client.folder, state);
    await mkdir(folder);
    await copyFile(MANIFEST, join(folder, 'package.json'));
    const { url, credentials } = registry;
    const signIn: string[] = [];
    if (credentials) {
      const auth = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');
      signIn.push(`${url.replace(/^https?:/, '')}:_auth=${auth}`, 'always-auth=true');
    }
    await writeFile(join(folder, '.npmrc'), npmrcOf(url, signIn));
    for (const [name, text] of Object.entries(installer.settings?.(registry) ?? {})) {
      await writeFile(join(folder, name), text);
    }
    // Without one of its own, a client might take a folder above it for the project.
    if (installer.lockFile === 'yarn.lock') await writeFile(join(folder, 'yarn.lock'), '');
    return new Place(client, installer, folder);
  }

  /** Answers the seconds it took. */
  async run(args: readonly string[]): Promise<number> {
    const env = environmentOf(this.#installer, `${this.folder}-cache`);
    const { durationMs } = await this.#client.run(args, { cwd: this.folder, env, timeoutMs: LIMIT_MS });
    return Math.round(durationMs / 1000);
  }

  lock(): Promise<string> {
    return readFile(join(this.folder, this.#installer.lockFile), 'utf8');
  }

  /** What the package says of itself that the application asks for. */
  installed(): Promise<string> {
    return readFile(join(this.folder, 'node_modules', WANTED, 'package.json'), 'utf8');
  }

  async remove(): Promise<void> {
    for (const folder of [this.folder, `${this.folder}-cache`, `${this.folder}-cache-documents`]) {
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    }
  }
}
