/** What the server tells people to set their clients up with, used as it is given: Python's clients. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fieldsOf, formOf, wheelOf } from '../formats/pypi-samples.ts';
import { type Client, clientSuite } from './client-suite.ts';
import { SetUpWorld } from './setup-world.ts';

const SETTINGS = 'Take packages from this repository';
const NAME = { PACKAGE_NAME: 'set-up-sample' };

/** A repository with a package in it. */
function worldOf(client: Client, name: string): SetUpWorld {
  const world = new SetUpWorld(client, name);
  before(async () => {
    await world.open('pypi');
    const { headers, body } = formOf(fieldsOf(await wheelOf({ name: NAME.PACKAGE_NAME, version: '1.0' })));
    const answer = await world.server.ask('POST', `api/pypi/${world.local}/`, new Uint8Array(body), headers);
    assert.equal(answer.status, 200, await answer.text());
  });
  after(() => world.close());
  return world;
}

/** A project that its client builds. */
async function writeProject(folder: string, name: string, more = ''): Promise<void> {
  const module = name.replaceAll('-', '_');
  await mkdir(join(folder, module), { recursive: true });
  await writeFile(join(folder, module, '__init__.py'), '"""Set up."""\n\n__version__ = "0.1.0"\n');
  const fields = [
    `name = "${name}"`,
    'version = "0.1.0"',
    'description = "of the client tests"',
    'authors = [{ name = "Ann", email = "ann@example.com" }]',
    'requires-python = ">=3.9"',
    'dependencies = []',
  ];
  await writeFile(join(folder, 'pyproject.toml'), `[project]\n${fields.join('\n')}\n${more}`);
}

for (const name of ['pip', 'pip23'] as const) {
  clientSuite(name, (client) => {
    const world = worldOf(client, name);
    const target = join(client.folder, 'installed');
    // The machine's own settings are none of the person's, whose file is named to the client.
    const env = { PIP_CONFIG_FILE: join(client.folder, 'desk/pip.conf'), PIP_NO_CACHE_DIR: '1' };
    const commands = { pip: [client.path, '-m', 'pip'] };
    const installed = async (folder: string) => {
      assert.match(await readFile(join(folder, 'set_up_sample/__init__.py'), 'utf8'), /1\.0/);
    };

    test('installs with the settings file', async () => {
      const desk = await world.desk('desk', commands, { ...env, PIP_TARGET: target });
      await world.write(desk, world.snippet('pip', SETTINGS));
      await world.run(desk, [world.snippet('pip', 'Install a package', NAME)]);
      await installed(target);
    });

    test('installs without any settings', async () => {
      const other = join(client.folder, 'other');
      const desk = await world.desk('bare', commands, {
        PIP_CONFIG_FILE: '/dev/null',
        PIP_NO_CACHE_DIR: '1',
        PIP_TARGET: other,
      });
      await world.run(desk, [world.snippet('pip', 'Install a package without any settings', NAME)]);
      await installed(other);
    });
  });
}

clientSuite('uv', (client) => {
  const world = worldOf(client, 'uv');

  test('adds a package to a project, builds it and publishes it', async () => {
    const env = { UV_PYTHON_DOWNLOADS: 'never', UV_NO_PROGRESS: '1', UV_NO_CACHE: '1', UV_TRUSTED_PUBLISHING: 'never' };
    const desk = await world.desk('project', { uv: [client.path] }, env);
    // A backend of its own, so that building needs nothing else.
    const backend = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n';
    await writeProject(desk.folder, 'uv-own', backend);
    await writeFile(join(desk.folder, 'backend.py'), BACKEND);
    await world.write(desk, world.snippet('uv', SETTINGS));
    const credentials = world.snippet('uv', 'Credentials for installing');
    await world.run(desk, [credentials, world.snippet('uv', 'Add a package to the project', NAME)]);
    assert.match(await readFile(join(desk.folder, 'uv.lock'), 'utf8'), /name = "set-up-sample"\nversion = "1\.0"/);
    await world.run(desk, [
      credentials,
      world.snippet('uv', 'Credentials for publishing'),
      world.snippet('uv', 'Build and publish the project'),
    ]);
    assert.ok((await world.server.filesBelow(world.local)).includes('/uv-own/0.1.0/uv_own-0.1.0-py3-none-any.whl'));
  });
});

clientSuite('poetry', (client) => {
  const world = worldOf(client, 'poetry');

  test('adds a package to a project, builds it and publishes it', async () => {
    const env = {
      POETRY_VIRTUALENVS_IN_PROJECT: 'true',
      POETRY_NO_INTERACTION: '1',
      PYTHON_KEYRING_BACKEND: 'keyring.backends.null.Keyring',
    };
    const desk = await world.desk('project', { poetry: [client.path] }, env);
    const backend = '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n';
    await writeProject(desk.folder, 'poetry-own', backend);
    await world.write(desk, world.snippet('poetry', SETTINGS));
    await world.run(desk, [
      world.snippet('poetry', 'Store the credentials'),
      world.snippet('poetry', 'Add a package to the project', NAME),
    ]);
    assert.match(await readFile(join(desk.folder, 'poetry.lock'), 'utf8'), /name = "set-up-sample"\nversion = "1\.0"/);
    await world.run(desk, [
      world.snippet('poetry', 'Name the repository'),
      world.snippet('poetry', 'Build and publish the project'),
    ]);
    const files = await world.server.filesBelow(world.local);
    assert.ok(files.includes('/poetry-own/0.1.0/poetry_own-0.1.0-py3-none-any.whl'), files.join());
  });
});

clientSuite('pipenv', (client) => {
  const world = worldOf(client, 'pipenv');

  test('adds a package to a project', async () => {
    const env = {
      PIPENV_VENV_IN_PROJECT: '1',
      PIPENV_YES: '1',
      PIPENV_NOSPIN: '1',
      PIPENV_CACHE_DIR: join(client.folder, 'cache'),
    };
    const desk = await world.desk('project', { pipenv: [client.path] }, env);
    await world.write(desk, world.snippet('pipenv', SETTINGS));
    await world.run(desk, [world.snippet('pipenv', 'Add a package to the project', NAME)], { timeoutMs: 300_000 });
    const lock = await readFile(join(desk.folder, 'Pipfile.lock'), 'utf8');
    assert.match(lock, /"set-up-sample": \{[^}]*"version": "==1\.0"/s);
  });
});

for (const name of ['twine', 'twine4'] as const) {
  clientSuite(name, (client) => {
    const world = worldOf(client, name);

    test('publishes to the repository that its file names', async () => {
      const desk = await world.desk('project', { twine: [client.path] });
      const wheel = await wheelOf({ name: 'twine-own', version: '0.1.0' });
      await mkdir(join(desk.folder, 'dist'));
      await writeFile(join(desk.folder, 'dist', wheel.filename), wheel.bytes);
      await world.write(desk, world.snippet('twine', 'Name the repository'));
      await world.run(desk, [world.snippet('twine', 'Publish what was built')]);
      const files = await world.server.filesBelow(world.local);
      assert.ok(files.includes('/twine-own/0.1.0/twine_own-0.1.0-py3-none-any.whl'), files.join());
    });
  });
}

clientSuite('flit', (client) => {
  const world = worldOf(client, 'flit');

  test('builds and publishes to the repository that its file names', async () => {
    const desk = await world.desk('project', { flit: [client.path] });
    const backend = '[build-system]\nrequires = ["flit_core >=3.2,<4"]\nbuild-backend = "flit_core.buildapi"\n';
    await writeProject(desk.folder, 'flit-own', backend);
    const path = await world.write(desk, world.snippet('flit', 'Name the repository'));
    assert.equal(dirname(path), desk.home);
    await world.run(desk, [world.snippet('flit', 'Build and publish the project')]);
    const files = await world.server.filesBelow(world.local);
    assert.ok(files.includes('/flit-own/0.1.0/flit_own-0.1.0.tar.gz'), files.join());
  });
});

/** The least that builds a wheel and a source distribution. */
const BACKEND = `import io, tarfile, zipfile
INFO = "Metadata-Version: 2.1\\nName: uv-own\\nVersion: 0.1.0\\nRequires-Dist: set-up-sample\\n"
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "uv_own-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("uv_own/__init__.py", "")
        wheel.writestr("uv_own-0.1.0.dist-info/METADATA", INFO)
        wheel.writestr("uv_own-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("uv_own-0.1.0.dist-info/RECORD", "")
    return name
build_editable = build_wheel
def build_sdist(folder, config_settings=None):
    with tarfile.open(folder + "/uv_own-0.1.0.tar.gz", "w:gz") as sdist:
        for name in ["backend.py", "pyproject.toml"]:
            sdist.add(name, "uv_own-0.1.0/" + name)
        info = tarfile.TarInfo("uv_own-0.1.0/PKG-INFO")
        info.size = len(INFO)
        sdist.addfile(info, io.BytesIO(INFO.encode()))
    return "uv_own-0.1.0.tar.gz"
`;
