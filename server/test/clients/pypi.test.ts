import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sdistOf, sha256, wheelOf } from '../formats/pypi-samples.ts';
import { type Client, clientSuite } from './client-suite.ts';
import { PythonIndex, stopUpstream } from './python-index.ts';

after(stopUpstream);

function indexOf(client: Client, name: string): PythonIndex {
  const index = new PythonIndex(client, name);
  before(() => index.create());
  after(() => index.remove());
  return index;
}

for (const twine of ['twine', 'twine4'] as const)
  clientSuite(twine, (client) => {
    const index = indexOf(client, twine);
    const uploadOptions = (...options: string[]) => [
      ...['upload', '--non-interactive', '--disable-progress-bar', '--repository-url', index.uploadUrl],
      ...['-u', index.user, '-p', index.password, ...options],
    ];

    let wheel = '';

    test('checks and publishes a wheel and a source distribution', async () => {
      wheel = await index.write('one', await wheelOf({ name: 'Twine.Sample' }));
      const sdist = await index.write('one', await sdistOf({ name: 'Twine.Sample' }));
      await client.run(['check', '--strict', wheel, sdist]);
      await client.run(uploadOptions(wheel, sdist));
      assert.deepEqual(await index.filesOf('twine-sample'), [
        'twine_sample-1.0.0-py3-none-any.whl',
        'twine_sample-1.0.0.tar.gz',
      ]);
    });

    test('publishes the same once more, and is told that other contents are refused', async () => {
      await client.run(uploadOptions(wheel));
      const other = await index.write('two', await wheelOf({ name: 'Twine.Sample', value: 'other' }));
      const output = (await client.fail(uploadOptions(other))).replace(/\s+/g, ' ');
      assert.match(output, /403 .*exists with other contents, and you have no right to overwrite artifact/);
      // Newer ones skip nothing but at the public index.
      if (twine === 'twine') return;
      const skipped = await client.run(uploadOptions('--skip-existing', other));
      assert.match(
        skipped.stdout.replace(/\s+/g, ' '),
        /Skipping twine_sample-1\.0\.0-py3-none-any\.whl because it appears to already exist/,
      );
    });

    test('is told in a sentence what is wrong', async () => {
      const sample = await wheelOf({ name: 'broken' });
      const bytes = Buffer.concat([sample.bytes, Buffer.from('more')]);
      const output = (await client.fail(uploadOptions(await index.write('broken', { ...sample, bytes })))).replace(
        /\s+/g,
        ' ',
      );
      assert.match(output, /400 .* is not valid: it has a comment or other bytes behind its directory/);
      const wrong = ['-u', index.user, '-p', 'wrong'];
      const options = ['upload', '--non-interactive', '--repository-url', index.uploadUrl, ...wrong];
      const fine = await index.write('fine', await wheelOf({ name: 'fine' }));
      assert.match(await client.fail([...options, fine]), /401/);
    });
  });

for (const pipName of ['pip', 'pip23'] as const)
  clientSuite(pipName, (client) => {
    const index = indexOf(client, pipName);
    const name = 'pip-sample';
    before(() => index.publishReleases(name));
    const pip = (...args: string[]) => [
      ...['-m', 'pip', '--isolated', '--disable-pip-version-check', '--no-cache-dir', ...args],
      ...['--index-url', index.ownIndexUrl],
    ];
    const target = (folder: string) => join(client.folder, folder);

    test('installs the newest release that fits, with what it needs', async () => {
      await client.run(pip('install', '--target', target('a'), 'Pip_Sample'));
      const { stdout } = await client.run(['-c', 'import pip_sample, pip_sample_helper; print(pip_sample.VALUE)'], {
        env: { PYTHONPATH: target('a') },
      });
      assert.equal(stdout.trim(), '1.1');
    });

    test('resolves by metadata alone, and reports digests', async () => {
      const report = target('report.json');
      const { stdout } = await client.run(
        pip('install', '-v', '--dry-run', '--ignore-installed', '--report', report, name),
      );
      // Older ones know no name for it that the newer index has.
      if (pipName === 'pip') assert.match(stdout, /Obtaining dependency information for pip-sample.*\.whl\.metadata/s);
      const { install } = JSON.parse(await readFile(report, 'utf8')) as {
        install: { metadata: { version: string }; download_info: { archive_info: { hashes: object } } }[];
      };
      assert.deepEqual(install.map(({ metadata }) => metadata.version).sort(), ['1.1', '1.5']);
      for (const { download_info: told } of install)
        assert.deepEqual(Object.keys(told.archive_info.hashes), ['sha256']);
    });

    test('takes yanked and pre-releases only when they are asked for, and is told why', async () => {
      const yanked = await client.run(pip('install', '--target', target('b'), `${name}==1.2`));
      assert.match(yanked.stdout + yanked.stderr, /yanked.*Broken beyond repair/s);
      const { stdout } = await client.run(pip('download', '--no-deps', '--pre', '-d', target('c'), name));
      assert.match(stdout, /pip_sample-2\.0rc1-py3-none-any\.whl/);
      const refused = await client.fail(pip('install', '--target', target('d'), `${name}==3.0`));
      assert.match(refused, /3\.0 Requires-Python >=99/);
    });

    test('lists versions, and downloads by digest', async () => {
      const { stdout } = await client.run(pip('index', 'versions', name));
      assert.match(stdout, /Available versions: 1\.1, 1\.0/);
      const wheel = await wheelOf({ name, version: '1.0' });
      const listed = await index.server.textOf(`api/pypi/${index.key}/simple/${name}/`);
      const digest = /pip_sample-1\.0-py3-none-any\.whl#sha256=([0-9a-f]{64})/.exec(listed)?.[1] ?? '';
      assert.notEqual(digest, sha256(wheel.bytes.subarray(1)));
      await writeFile(target('good.txt'), `${name}==1.0 --hash=sha256:${digest}\n`);
      await client.run(pip('install', '--target', target('e'), '--require-hashes', '-r', target('good.txt')));
      await writeFile(target('bad.txt'), `${name}==1.0 --hash=sha256:${'0'.repeat(64)}\n`);
      const refused = await client.fail(
        pip('install', '--target', target('f'), '--require-hashes', '-r', target('bad.txt')),
      );
      assert.match(refused, /DO NOT MATCH THE HASHES/);
    });

    test('searches by name', async () => {
      const { stdout } = await client.run([
        ...['-m', 'pip', '--isolated', '--disable-pip-version-check', 'search', 'pip-sam'],
        ...['--index', index.ownIndexUrl.replace('simple/', 'pypi')],
      ]);
      assert.match(stdout, /pip-sample \(3\.0\)\s+-/);
    });

    test('is told of names that nobody published, and of a wrong password', async () => {
      assert.match(
        await client.fail(pip('download', '-d', target('g'), 'nobody-has-this')),
        /No matching distribution/,
      );
      const wrong = index.ownIndexUrl.replace(encodeURIComponent(index.password), 'wrong');
      const args = pip('download', '--no-input', '-d', target('g'), name).map((arg) =>
        arg === index.ownIndexUrl ? wrong : arg,
      );
      assert.match(await client.fail(args), /401|No matching distribution/);
    });
  });

clientSuite('uv', (client) => {
  const index = indexOf(client, 'uv');
  const name = 'uv-sample';
  before(() => index.publishReleases(name));
  const env = { UV_NO_CONFIG: '1', UV_PYTHON_DOWNLOADS: 'never', UV_NO_PROGRESS: '1', UV_NO_CACHE: '1' };
  const credentials = () => ['--username', index.user, '--password', index.password];

  test('publishes, again without a change, and is told that other contents are refused', async () => {
    const path = await index.write('uv', await wheelOf({ name: 'uv-own' }));
    const publish = ['publish', '--publish-url', index.uploadUrl, ...credentials(), '--trusted-publishing', 'never'];
    await client.run([...publish, path], { env });
    await client.run([...publish, path], { env });
    const other = await index.write('other', await wheelOf({ name: 'uv-own', value: 'other' }));
    const output = (await client.fail([...publish, other], { env })).replace(/[\s│]+/g, ' ');
    assert.match(output, /exists with other contents, and you have no right to overwrite artifact/);
    await client.run([...publish, '--check-url', index.ownIndexUrl, path], { env });
    assert.deepEqual(await index.filesOf('uv-own'), ['uv_own-1.0.0-py3-none-any.whl']);
  });

  test('installs the newest release that fits, with what it needs', async () => {
    const target = join(client.folder, 'installed');
    await client.run(['pip', 'install', '--target', target, '--index-url', index.ownIndexUrl, name], { env });
    assert.match(await readFile(join(target, 'uv_sample/__init__.py'), 'utf8'), /1\.1/);
    assert.match(await readFile(join(target, 'uv_sample_helper/__init__.py'), 'utf8'), /1\.5/);
  });

  test('locks a project, and locks it as it was at a time', async () => {
    const folder = join(client.folder, 'project');
    await mkdir(folder, { recursive: true });
    const project = `[project]\nname = "app"\nversion = "0.1"\nrequires-python = ">=3.8"\ndependencies = ["${name}"]\n`;
    const source = `[[tool.uv.index]]\nname = "own"\nurl = "${index.indexUrl}"\ndefault = true\n`;
    await writeFile(join(folder, 'pyproject.toml'), `${project}${source}`);
    const signed = {
      ...env,
      UV_NO_CONFIG: '0',
      UV_INDEX_OWN_USERNAME: index.user,
      UV_INDEX_OWN_PASSWORD: index.password,
    };
    await client.run(['lock'], { cwd: folder, env: signed });
    const lock = await readFile(join(folder, 'uv.lock'), 'utf8');
    assert.match(lock, /name = "uv-sample"\nversion = "1\.1"/);
    assert.match(
      lock,
      /packages\/uv-sample\/1\.1\/uv_sample-1\.1-py3-none-any\.whl", hash = "sha256:[0-9a-f]{64}", size = \d+/,
    );
    const before = await client.fail(['lock', '--upgrade', '--exclude-newer', '2020-01-01T00:00:00Z'], {
      cwd: folder,
      env: signed,
    });
    assert.match(before, /no versions? of uv-sample|requirements are unsatisfiable|No solution/i);
  });
});

clientSuite('poetry', (client) => {
  const index = indexOf(client, 'poetry');
  const name = 'poetry-sample';
  before(() => index.publishReleases(name));
  const env = {
    POETRY_VIRTUALENVS_CREATE: 'true',
    POETRY_VIRTUALENVS_IN_PROJECT: 'true',
    POETRY_NO_INTERACTION: '1',
    PYTHON_KEYRING_BACKEND: 'keyring.backends.null.Keyring',
    POETRY_HTTP_BASIC_OWN_USERNAME: '',
    POETRY_HTTP_BASIC_OWN_PASSWORD: '',
  };
  const signed = () => ({
    ...env,
    POETRY_HTTP_BASIC_OWN_USERNAME: index.user,
    POETRY_HTTP_BASIC_OWN_PASSWORD: index.password,
    POETRY_REPOSITORIES_OWN_URL: index.uploadUrl,
  });

  test('builds and publishes', async () => {
    const folder = await project(client, 'poetry-own', '');
    await client.run(['build'], { cwd: folder, env: signed() });
    await client.run(['publish', '-r', 'own'], { cwd: folder, env: signed() });
    assert.deepEqual(await index.filesOf('poetry-own'), [
      'poetry_own-0.1.0-py3-none-any.whl',
      'poetry_own-0.1.0.tar.gz',
    ]);
    await writeFile(join(folder, 'poetry_own/__init__.py'), 'VALUE = 2\n');
    await client.run(['build', '--clean'], { cwd: folder, env: signed() });
    const output = (await client.fail(['publish', '-r', 'own'], { cwd: folder, env: signed() })).replace(/\s+/g, ' ');
    assert.match(output, /exists with other contents|403/);
  });

  test('adds a package from the repository, and installs it', async () => {
    const source = `[[tool.poetry.source]]\nname = "own"\nurl = "${index.indexUrl}"\npriority = "primary"\n`;
    const folder = await project(client, 'poetry-app', source);
    await client.run(['add', `${name}@^1`], { cwd: folder, env: signed() });
    const lock = await readFile(join(folder, 'poetry.lock'), 'utf8');
    assert.match(lock, /name = "poetry-sample"\nversion = "1\.1"/);
    const script = 'import poetry_sample, poetry_sample_helper; print(poetry_sample.VALUE)';
    const { stdout } = await client.run(['run', 'python', '-c', script], { cwd: folder, env: signed() });
    assert.match(stdout, /1\.1/);
  });
});

async function project(client: Client, name: string, more: string): Promise<string> {
  const folder = join(client.folder, name);
  const module = name.replaceAll('-', '_');
  await mkdir(join(folder, module), { recursive: true });
  await writeFile(
    join(folder, module, '__init__.py'),
    `"""A module of the client tests."""\n\n__version__ = "0.1.0"\n`,
  );
  await writeFile(
    join(folder, 'pyproject.toml'),
    `[project]\nname = "${name}"\nversion = "0.1.0"\ndescription = "of the client tests"\nauthors = [{ name = "Ann", email = "ann@example.com" }]\nrequires-python = ">=3.9"\ndependencies = []\n${more}[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n`,
  );
  return folder;
}

clientSuite('pipenv', (client) => {
  const index = indexOf(client, 'pipenv');
  const name = 'pipenv-sample';
  before(() => index.publishReleases(name));

  test('locks and installs', async () => {
    const folder = join(client.folder, 'pipenv');
    await mkdir(folder, { recursive: true });
    const source = `[[source]]\nname = "own"\nurl = "${index.ownIndexUrl}"\nverify_ssl = false\n`;
    await writeFile(join(folder, 'Pipfile'), `${source}[packages]\n${name} = "*"\n`);
    const env = {
      PIPENV_VENV_IN_PROJECT: '1',
      PIPENV_YES: '1',
      PIPENV_NOSPIN: '1',
      PIPENV_CACHE_DIR: join(folder, 'cache'),
    };
    await client.run(['install'], { cwd: folder, env });
    const lock = JSON.parse(await readFile(join(folder, 'Pipfile.lock'), 'utf8')) as {
      default: Record<string, { version: string; hashes: string[] }>;
    };
    assert.equal(lock.default[name]?.version, '==1.1');
    assert.equal(lock.default[`${name}-helper`]?.version, '==1.5');
    assert.match(lock.default[name]?.hashes[0] ?? '', /^sha256:/);
    const script = 'import pipenv_sample; print(pipenv_sample.VALUE)';
    const { stdout } = await client.run(['run', 'python', '-c', script], { cwd: folder, env });
    assert.match(stdout, /1\.1/);
  });
});

clientSuite('flit', (client) => {
  const index = indexOf(client, 'flit');

  test('builds and publishes', async () => {
    const folder = join(client.folder, 'flit');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'flit_own.py'), '"""A module of the client tests."""\n\n__version__ = "0.1"\n');
    await writeFile(
      join(folder, 'pyproject.toml'),
      '[build-system]\nrequires = ["flit_core >=3.2,<4"]\nbuild-backend = "flit_core.buildapi"\n[project]\nname = "flit_own"\nauthors = [{ name = "Ann" }]\ndynamic = ["version", "description"]\n',
    );
    const env = { FLIT_INDEX_URL: index.uploadUrl, FLIT_USERNAME: index.user, FLIT_PASSWORD: index.password };
    await client.run(['publish'], { cwd: folder, env });
    assert.deepEqual(await index.filesOf('flit-own'), ['flit_own-0.1-py2.py3-none-any.whl', 'flit_own-0.1.tar.gz']);
    await client.run(['publish'], { cwd: folder, env });
  });
});
