/** The clients of npm's registry, through local, remote and virtual repositories, with what people see when it fails. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Client, clientSuite, requireClient } from './client-suite.ts';
import { runCommand } from './command.ts';
import { ServerFacts } from './server-facts.ts';

const run = `npm-${randomBytes(3).toString('hex')}`;

/** The three classes over what is published to the first. */
class Registries {
  readonly local: string;
  readonly remote: string;
  readonly virtual: string;
  readonly #client: Client;
  readonly #server: ServerFacts;

  constructor(client: Client, name: string) {
    this.#client = client;
    this.#server = new ServerFacts(client.target);
    this.local = `${run}-${name}-local`;
    this.remote = `${run}-${name}-remote`;
    this.virtual = `${run}-${name}`;
  }

  url(key: string): string {
    return `${new URL(this.#client.target.url).origin}/artifactory/api/npm/${key}/`;
  }

  /** Credentials for all of them, as every client reads them from a settings file. */
  settings(key: string): string {
    const { username, password } = this.#client.target;
    const auth = Buffer.from(`${username}:${password}`).toString('base64');
    const own = (name: string) => `${this.url(name).replace(/^https?:/, '')}:_auth=${auth}`;
    return [`registry=${this.url(key)}`, own(key), own(this.local), 'audit=false', 'fund=false', ''].join('\n');
  }

  async create(): Promise<void> {
    const { username, password } = this.#client.target;
    const npm = { packageType: 'npm' };
    await this.#server.createRepository(this.local, npm);
    await this.#server.createRepository(this.remote, {
      ...npm,
      rclass: 'remote',
      // Another name for this server, which takes its own for a loop.
      url: this.url(this.local).replace('127.0.0.1', 'localhost'),
      username,
      password,
      retrievalCachePeriodSecs: 0,
    });
    await this.#server.createRepository(this.virtual, {
      ...npm,
      rclass: 'virtual',
      repositories: [this.local],
      defaultDeploymentRepo: this.local,
    });
  }

  async remove(): Promise<void> {
    await this.#server.deleteRepositories(this.virtual, this.remote, this.local);
  }
}

async function writePackage(folder: string, manifest: Readonly<Record<string, unknown>>): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ license: 'MIT', description: 'A test.', ...manifest }),
  );
  await writeFile(join(folder, 'index.js'), `module.exports = ${JSON.stringify(manifest['version'] ?? 0)};\n`);
  return folder;
}

for (const name of ['npm11', 'npm10', 'npm9'] as const) {
  clientSuite(name, (client) => {
    const registries = new Registries(client, name);
    const place = (key: string) => join(client.folder, key);
    const inPlace = (key: string) => ({
      cwd: place(key),
      env: { npm_config_cache: join(client.folder, `cache-${key}`) },
    });

    before(async () => {
      await registries.create();
      for (const key of [registries.local, registries.remote, registries.virtual]) {
        await writePackage(place(key), { name: `app-${key}`, version: '1.0.0', private: true });
        await writeFile(join(place(key), '.npmrc'), registries.settings(key));
      }
    });
    after(() => registries.remove());

    const publish = async (key: string, manifest: Readonly<Record<string, unknown>>, args: readonly string[] = []) => {
      const folder = await writePackage(
        join(client.folder, `pack-${String(manifest['version'])}-${Math.random()}`),
        manifest,
      );
      await writeFile(join(folder, '.npmrc'), registries.settings(key));
      return { cwd: folder, args: ['publish', ...args] };
    };

    test('publishes, also scoped and through the virtual repository', async () => {
      const first = await publish(registries.local, { name: '@people/leaf', version: '1.0.0' });
      await client.run(first.args, { cwd: first.cwd });
      const second = await publish(registries.virtual, {
        name: 'tree',
        version: '1.0.0',
        dependencies: { '@people/leaf': '^1.0.0' },
      });
      await client.run(second.args, { cwd: second.cwd });
      const beta = await publish(registries.virtual, { name: 'tree', version: '2.0.0-beta.1' }, ['--tag', 'beta']);
      await client.run(beta.args, { cwd: beta.cwd });
    });

    test('refuses to publish the same again, and says why', async () => {
      const changed = { name: '@people/leaf', version: '1.0.0', description: 'Not the same.' };
      const again = await publish(registries.local, changed, ['--force']);
      const output = await client.fail(again.args, { cwd: again.cwd });
      assert.match(output, /cannot publish over.*@people\/leaf@1\.0\.0|previously published/i);
    });

    test('installs through each class, and again from the lock file', async () => {
      for (const key of [registries.local, registries.remote, registries.virtual]) {
        await client.run(['install', 'tree'], inPlace(key));
        const lock = await readFile(join(place(key), 'package-lock.json'), 'utf8');
        assert.match(lock, new RegExp(`/api/npm/${key}/tree/-/tree-1\\.0\\.0\\.tgz`));
        assert.match(lock, new RegExp(`/api/npm/${key}/@people/leaf/-/`));
        await client.run(['ci'], { ...inPlace(key), env: { npm_config_cache: join(client.folder, `second-${key}`) } });
        assert.match(await readFile(join(place(key), 'node_modules/@people/leaf/index.js'), 'utf8'), /1\.0\.0/);
      }
    });

    test('shows, tags, deprecates and searches', async () => {
      const at = inPlace(registries.virtual);
      const { stdout } = await client.run(['view', 'tree', 'dist-tags', '--json'], at);
      assert.deepEqual(JSON.parse(stdout), { latest: '1.0.0', beta: '2.0.0-beta.1' });
      await client.run(['dist-tag', 'add', 'tree@1.0.0', 'stable'], at);
      assert.match((await client.run(['dist-tag', 'ls', 'tree'], at)).stdout, /stable: 1\.0\.0/);
      await client.run(['dist-tag', 'rm', 'tree', 'stable'], at);
      await client.run(['deprecate', 'tree@1.0.0', 'use a forest'], at);
      const view = await client.run(['view', 'tree@1.0.0', 'deprecated', '--prefer-online'], at);
      assert.match(view.stdout, /use a forest/);
      const found = await client.run(['search', 'leaf', '--json'], at);
      assert.match(found.stdout, /@people\/leaf/);
    });

    test('tells who it is, audits, and pings', async () => {
      const at = inPlace(registries.virtual);
      assert.equal((await client.run(['whoami'], at)).stdout.trim(), client.target.username);
      await client.run(['ping'], at);
      const audit = await client.run(['audit', '--audit=true', '--json'], at);
      assert.equal(
        (JSON.parse(audit.stdout) as { metadata: { vulnerabilities: { total: number } } }).metadata.vulnerabilities
          .total,
        0,
      );
    });

    test('says in a sentence what is missing, and who may not', async () => {
      const at = inPlace(registries.virtual);
      assert.match(await client.fail(['install', 'no-such-package-here'], at), /404[\s\S]*no-such-package-here/);
      await writeFile(join(client.folder, 'nobody.npmrc'), `registry=${registries.url(registries.virtual)}\n`);
      const nobody = ['whoami', '--userconfig', join(client.folder, 'nobody.npmrc')];
      assert.match(await client.fail(nobody, { cwd: client.folder }), /ENEEDAUTH|login|sign/i);
    });

    test('signs in in a browser, and out again', async () => {
      const folder = join(client.folder, 'web');
      await mkdir(folder, { recursive: true });
      const settings = join(folder, 'user.npmrc');
      const common = ['--registry', registries.url(registries.virtual), '--userconfig', settings];
      await signInByBrowser(client, ['login', '--auth-type=web', '--browser=false', ...common], folder);
      assert.match(await readFile(settings, 'utf8'), /:_authToken=etp_/);
      assert.equal((await client.run(['whoami', ...common], { cwd: folder })).stdout.trim(), client.target.username);
      await client.run(['logout', ...common], { cwd: folder });
      assert.doesNotMatch(await readFile(settings, 'utf8').catch(() => ''), /_authToken/);
    });

    test('removes one version and then the package', async () => {
      const at = inPlace(registries.local);
      await client.run(['unpublish', 'tree@2.0.0-beta.1', '--force'], at);
      const { stdout } = await client.run(['view', 'tree', 'versions', '--json', '--prefer-online'], at);
      assert.deepEqual([JSON.parse(stdout)].flat(), ['1.0.0']);
      await client.run(['unpublish', 'tree', '--force'], at);
      assert.match(await client.fail(['view', 'tree', '--prefer-online'], at), /404/);
    });
  });
}

/** Runs the client until it names a page, signs in there as a person would, and waits for the client. */
async function signInByBrowser(client: Client, args: readonly string[], cwd: string): Promise<void> {
  const child = spawn(client.path, args, {
    cwd,
    env: { ...process.env, ...client.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let printed = '';
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const address = new Promise<string>((resolve) => {
    const see = (chunk: Buffer) => {
      printed += chunk.toString();
      const [url] = /http:\/\/\S+\/v1\/login\/[\w-]+/.exec(printed) ?? [];
      if (url !== undefined) resolve(url);
    };
    child.stdout.on('data', see);
    child.stderr.on('data', see);
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 45_000);
  try {
    const url = await Promise.race([address, closed.then(() => assert.fail(`it named no page: ${printed}`))]);
    const { username, password } = client.target;
    const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ username, password }) });
    assert.equal(answer.status, 200);
    assert.equal(await closed, 0, printed);
  } finally {
    clearTimeout(timer);
  }
}

interface Installer {
  readonly install: readonly string[];
  readonly publish?: readonly string[];
  /** Run before it. */
  readonly prepare?: readonly string[];
  /** What it reads besides `.npmrc`. */
  settings?(registries: Registries, client: Client, key: string): Promise<void>;
  readonly env?: Readonly<Record<string, string>>;
}

const INSTALLERS: Readonly<Record<'pnpm' | 'yarn1' | 'yarn4' | 'bun', Installer>> = {
  pnpm: { install: ['add', 'trunk'], publish: ['publish', '--no-git-checks'] },
  yarn1: {
    install: ['add', 'trunk', '--non-interactive'],
    publish: ['publish', '--non-interactive', '--new-version', '1.1.0', '--no-git-tag-version'],
  },
  yarn4: {
    install: ['add', 'trunk'],
    publish: ['npm', 'publish'],
    prepare: ['install'],
    env: { YARN_ENABLE_TELEMETRY: '0', YARN_NODE_LINKER: 'node-modules', YARN_ENABLE_IMMUTABLE_INSTALLS: 'false' },
    async settings(registries, client, key) {
      const { username, password } = client.target;
      const lines = [
        `npmRegistryServer: ${JSON.stringify(registries.url(key))}`,
        `npmAuthIdent: ${JSON.stringify(`${username}:${password}`)}`,
        'npmAlwaysAuth: true',
        // It takes nothing that is younger than some days, which the times in documents tell it.
        'npmMinimalAgeGate: 0',
        'unsafeHttpWhitelist: ["127.0.0.1"]',
      ];
      await writeFile(join(client.folder, key, '.yarnrc.yml'), `${lines.join('\n')}\n`);
      await writeFile(join(client.folder, key, 'yarn.lock'), '');
    },
  },
  bun: { install: ['add', 'trunk'], publish: ['publish'] },
};

for (const [name, installer] of Object.entries(INSTALLERS)) {
  clientSuite(
    name as keyof typeof INSTALLERS,
    (client) => {
      const registries = new Registries(client, name);
      const npm = async (key: string) => {
        const folder = await writePackage(join(client.folder, key), { name: `${key}-app`, version: '1.0.0' });
        await writeFile(join(folder, '.npmrc'), `${registries.settings(key)}always-auth=true\n`);
        await installer.settings?.(registries, client, key);
        return { cwd: folder, env: { ...installer.env, YARN_CACHE_FOLDER: join(client.folder, `yarn-${key}`) } };
      };

      before(async () => {
        await registries.create();
        for (const manifest of [
          { name: '@people/twig', version: '1.0.0' },
          { name: 'trunk', version: '1.0.0', dependencies: { '@people/twig': '^1.0.0' } },
        ]) {
          const folder = await writePackage(join(client.folder, `pack-${manifest.name.replace('/', '-')}`), manifest);
          await writeFile(join(folder, '.npmrc'), registries.settings(registries.local));
          await runCommand(requireClient('npm11').path, ['publish'], { cwd: folder, env: client.env });
        }
      });
      after(() => registries.remove());

      test('installs through each class', async () => {
        for (const key of [registries.local, registries.remote, registries.virtual]) {
          const at = await npm(key);
          await client.run(installer.install, at);
          assert.match(await readFile(join(at.cwd, 'node_modules/trunk/index.js'), 'utf8'), /1\.0\.0/, key);
        }
      });

      if (installer.publish) {
        const { publish } = installer;
        test('publishes, and refuses to do it twice with a sentence', async () => {
          const at = await npm(registries.virtual);
          if (installer.prepare) await client.run(installer.prepare, at);
          await client.run(publish, at);
          await writeFile(join(at.cwd, 'index.js'), 'module.exports = "not the same";\n');
          const output = await client.fail(publish, at);
          assert.match(output, /cannot publish over|already|previously published|403/i);
        });
      }

      test('says what is missing', async () => {
        const at = await npm(registries.virtual);
        const [command = 'add', , ...rest] = installer.install;
        assert.match(
          await client.fail([command, 'no-such-package-here', ...rest], at),
          /404|not found|no-such-package-here/i,
        );
      });
    },
    { needs: ['npm11'] },
  );
}
