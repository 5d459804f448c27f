import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Client, clientSuite } from './client-suite.ts';
import { runCommand } from './command.ts';
import { ServerFacts } from './server-facts.ts';

const WANTED = 'pandas';
const PATIENCE_MS = 20_000;
const CLIENT_MS = 5 * 60_000;

/** The index that pip itself uses, and a virtual repository over a remote one of it. */
class PublicIndex {
  readonly #server: ServerFacts;
  readonly #client: Client;
  readonly key = `py-real-${randomBytes(3).toString('hex')}`;
  /** The address of the index at the upstream. */
  simple = '';
  /** Why it cannot be asked; undefined where it can. */
  reason: string | undefined;

  constructor(client: Client) {
    this.#client = client;
    this.#server = new ServerFacts(client.target);
  }

  async create(): Promise<void> {
    const { stdout } = await runCommand(
      'python3',
      ['-c', 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)'],
      { timeoutMs: PATIENCE_MS },
    );
    this.simple = stdout.trim();
    this.reason = await fetch(`${this.simple}/${WANTED}/`, { signal: AbortSignal.timeout(PATIENCE_MS) }).then(
      async (answer) => {
        await answer.body?.cancel();
        return answer.ok ? undefined : `the index that pip uses answers ${answer.status}`;
      },
      () => 'the index that pip uses cannot be reached from here',
    );
    if (this.reason !== undefined) return;
    const packageType = 'pypi';
    const url = this.simple.replace(/\/simple\/?$/, '');
    const repositories = [`${this.key}-local`, `${this.key}-remote`];
    await this.#server.createRepository(`${this.key}-local`, { packageType });
    await this.#server.createRepository(`${this.key}-remote`, { packageType, rclass: 'remote', url });
    await this.#server.createRepository(this.key, { packageType, rclass: 'virtual', repositories });
  }

  async remove(): Promise<void> {
    await this.#server.deleteRepositories(this.key, `${this.key}-remote`, `${this.key}-local`);
  }

  /** The address of the virtual repository's index, with credentials in it. */
  get here(): string {
    const { username, password } = this.#client.target;
    const url = `${this.#server.root}/api/pypi/${this.key}/simple/`;
    return url.replace('://', `://${username}:${encodeURIComponent(password)}@`);
  }

  /** Both, by what they are called. */
  get both(): readonly (readonly [name: string, index: string])[] {
    return [
      ['upstream', `${this.simple}/`],
      ['here', this.here],
    ];
  }
}

function publicIndex(client: Client): PublicIndex {
  const index = new PublicIndex(client);
  before(() => index.create());
  after(() => index.remove());
  return index;
}

clientSuite('pip', (client) => {
  const index = publicIndex(client);
  const pip = ['-m', 'pip', '--isolated', '--disable-pip-version-check', '--no-cache-dir', 'install', '--quiet'];

  for (const state of ['cold', 'warm']) {
    test(`installs ${WANTED} and what it needs from the index that pip uses, ${state}`, async (t) => {
      if (index.reason !== undefined) {
        t.skip(index.reason);
        return;
      }
      const target = join(client.folder, state);
      await client.run([...pip, '--target', target, '--index-url', index.here, WANTED], { timeoutMs: CLIENT_MS });
      const installed = await readdir(target);
      assert.ok(installed.includes(WANTED) && installed.includes('numpy'), installed.join(' '));
      await rm(target, { recursive: true });
    });
  }

  test('resolves to the same files as at the upstream', async (t) => {
    if (index.reason !== undefined) {
      t.skip(index.reason);
      return;
    }
    const found = [];
    for (const [name, url] of index.both) {
      const report = join(client.folder, `${name}.json`);
      const args = ['--dry-run', '--ignore-installed', '--report', report, '--index-url', url, WANTED];
      await client.run([...pip, ...args], { timeoutMs: CLIENT_MS });
      const { install } = JSON.parse(await readFile(report, 'utf8')) as {
        install: { metadata: object; download_info: { url: string; archive_info: object } }[];
      };
      found.push(
        install.map(({ metadata, download_info: told }) => ({
          metadata,
          archive: told.archive_info,
          file: told.url.split('/').at(-1),
        })),
      );
    }
    assert.ok((found[0]?.length ?? 0) > 1);
    assert.deepEqual(found[1], found[0]);
  });
});

clientSuite('uv', (client) => {
  const index = publicIndex(client);
  const env = { UV_NO_CACHE: '1', UV_PYTHON_DOWNLOADS: 'never', UV_NO_PROGRESS: '1' };

  test('locks the same as at the upstream but for hosts', async (t) => {
    if (index.reason !== undefined) {
      t.skip(index.reason);
      return;
    }
    const locks: string[] = [];
    for (const [name, url] of index.both) {
      const folder = join(client.folder, name);
      await mkdir(folder, { recursive: true });
      const project = `[project]\nname = "app"\nversion = "0.1"\nrequires-python = ">=3.11"\ndependencies = ["${WANTED}"]\n`;
      await writeFile(join(folder, 'pyproject.toml'), project);
      await client.run(['lock', '--default-index', url], { cwd: folder, env, timeoutMs: CLIENT_MS });
      locks.push(withoutHosts(await readFile(join(folder, 'uv.lock'), 'utf8')));
    }
    assert.match(locks[0] ?? '', /name = "numpy"/);
    assert.deepEqual(locks[1]?.split('\n'), locks[0]?.split('\n'));
  });
});

clientSuite('poetry', (client) => {
  const index = publicIndex(client);

  test('locks the same as at the upstream but for hosts', async (t) => {
    if (index.reason !== undefined) {
      t.skip(index.reason);
      return;
    }
    const locks: string[] = [];
    for (const [name, url] of index.both) {
      const folder = join(client.folder, name);
      await mkdir(folder, { recursive: true });
      const source = `[[tool.poetry.source]]\nname = "wanted"\nurl = "${url}"\npriority = "primary"\n`;
      const project = `[project]\nname = "app"\nversion = "0.1"\nrequires-python = ">=3.11"\ndependencies = ["${WANTED}"]\n`;
      await writeFile(join(folder, 'pyproject.toml'), `${project}[tool.poetry]\npackage-mode = false\n${source}`);
      const env = { POETRY_CACHE_DIR: join(client.folder, `cache-${name}`), POETRY_VIRTUALENVS_CREATE: 'false' };
      await client.run(['lock', '--no-interaction'], { cwd: folder, env, timeoutMs: CLIENT_MS });
      const lock = withoutHosts(await readFile(join(folder, 'poetry.lock'), 'utf8'));
      // This is of the project file, in which the address is.
      locks.push(lock.replace(/^content-hash = ".*"$/m, ''));
    }
    assert.match(locks[0] ?? '', /name = "numpy"/);
    assert.deepEqual(locks[1]?.split('\n'), locks[0]?.split('\n'));
  });
});

/** Addresses of files by their names, and of indexes by none. */
function withoutHosts(lock: string): string {
  return lock.replace(/"https?:\/\/[^"]*\/([^"/]*)"/g, (_, file: string) =>
    /\.(whl|gz|zip)$/.test(file) ? `"${file}"` : '""',
  );
}
