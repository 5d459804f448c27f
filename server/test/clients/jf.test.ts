import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import type { CommandResult } from './command.ts';
import { renderTar } from './tar.ts';

const GIBIBYTE = 1 << 30;

interface Info {
  readonly size: string;
  readonly checksums: { readonly sha1: string; readonly md5: string; readonly sha256: string };
}

interface Found {
  readonly path: string;
  readonly props?: Readonly<Record<string, readonly string[]>>;
}

interface BuildModule {
  readonly id: string;
  readonly type: string;
  readonly artifacts?: readonly { readonly name: string; readonly path: string; readonly sha256: string }[];
  readonly dependencies?: readonly { readonly id: string }[];
  readonly sha1?: string;
}

interface BuildInfo {
  readonly modules: readonly BuildModule[];
  readonly properties?: Readonly<Record<string, string>>;
  readonly statuses?: readonly { readonly status: string; readonly repository?: string; readonly comment?: string }[];
  readonly vcs?: readonly { readonly url: string }[];
}

clientSuite('jf', (client) => {
  const { target, folder } = client;
  const run = `jf-${randomBytes(3).toString('hex')}`;
  const [repo, other] = [`${run}-a`, `${run}-b`];
  const env = {
    JFROG_CLI_HOME_DIR: join(folder, 'jfrog'),
    JFROG_CLI_TEMP_DIR: folder,
    CI: 'true',
    // Builds are gathered below the folder for temporary files.
    TMPDIR: folder,
  };
  const work = join(folder, 'work');
  const big = randomBytes(40_000);
  const authorization = `Basic ${Buffer.from(`${target.username}:${target.password}`).toString('base64')}`;

  const jf = (...args: readonly string[]): Promise<CommandResult> => client.run(args, { cwd: work, env });

  /** Looks at the server past the client. */
  async function ask(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(new URL(path, target.url), {
      method,
      headers: { authorization, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }
  async function json<T>(path: string): Promise<T> {
    const answer = await ask('GET', path);
    assert.equal(answer.status, 200, `${path}: ${answer.status}`);
    return (await answer.json()) as T;
  }
  const statusOf = async (path: string) => (await ask('GET', `/artifactory/${path}`)).status;
  const infoOf = (path: string) => json<Info>(`/artifactory/api/storage/${path}`);
  async function bytesOf(path: string): Promise<Buffer> {
    return Buffer.from(await (await ask('GET', `/artifactory/${path}`)).arrayBuffer());
  }
  async function propertiesOf(path: string): Promise<Record<string, string[]>> {
    const answer = await ask('GET', `/artifactory/api/storage/${path}?properties`);
    if (answer.status === 404) return {};
    return ((await answer.json()) as { properties: Record<string, string[]> }).properties;
  }
  const buildOf = async (name: string, number: string) =>
    (await json<{ buildInfo: BuildInfo }>(`/artifactory/api/build/${encodeURIComponent(name)}/${number}`)).buildInfo;
  async function numbersOf(name: string): Promise<string[]> {
    const list = await json<{ buildsNumbers: { uri: string }[] }>(`/artifactory/api/build/${encodeURIComponent(name)}`);
    return list.buildsNumbers.map(({ uri }) => uri.slice(1));
  }
  async function search(...args: readonly string[]): Promise<Found[]> {
    return JSON.parse((await jf('rt', 'search', ...args)).stdout) as Found[];
  }
  const pathsOf = (found: readonly Found[]) => found.map(({ path }) => path).sort();

  before(async () => {
    await mkdir(join(work, 'files/sub'), { recursive: true });
    await writeFile(join(work, 'files/one.txt'), 'one\n');
    await writeFile(join(work, 'files/sub/two.txt'), 'two\n');
    await writeFile(join(work, 'files/big.bin'), big);
    for (const key of [repo, other]) {
      const body = { rclass: 'local', packageType: 'generic' };
      assert.equal((await ask('PUT', `/artifactory/api/repositories/${key}`, body)).status, 200);
    }
  });
  after(async () => {
    for (const key of [repo, other]) await ask('DELETE', `/artifactory/api/repositories/${key}`);
  });

  const login = ['config', 'add', 'here', `--url=${target.url.href}`, `--user=${target.username}`];

  test('refuses a wrong password when a server is added', async () => {
    const output = await client.fail([...login, '--password=wrong'], { cwd: work, env });
    assert.match(output, /401|Unauthorized/);
  });

  test('adds a server, storing a token in the place of the password', async () => {
    await jf(...login, `--password=${target.password}`);
    const [file = ''] = (await readdir(env.JFROG_CLI_HOME_DIR)).filter((name) => name.startsWith('jfrog-cli.conf.v'));
    const text = await readFile(join(env.JFROG_CLI_HOME_DIR, file), 'utf8');
    assert.ok(!text.includes(target.password));
    const { servers } = JSON.parse(text) as { servers: { artifactoryUrl: string }[] };
    assert.equal(servers[0]?.artifactoryUrl, new URL('/artifactory/', target.url).href);
  });

  test('pings', async () => {
    assert.match((await jf('rt', 'ping')).stdout, /OK/);
  });

  test('uploads files by a pattern, with properties and checksums', async () => {
    const { stdout } = await jf(
      'rt',
      'upload',
      'files/(*).txt',
      `${repo}/up/{1}-x.txt`,
      '--target-props=k=v;multi=a,b;odd=x\\;y',
      '--detailed-summary',
    );
    const summary = JSON.parse(stdout) as { files: { target: string; sha256: string }[] };
    assert.equal(summary.files.length, 2);
    for (const { target: address, sha256 } of summary.files) {
      const path = new URL(address).pathname.replace(/^\/artifactory\//, '');
      assert.equal((await infoOf(path)).checksums.sha256, sha256);
      assert.deepEqual(await propertiesOf(path), { k: ['v'], multi: ['a', 'b'], odd: ['x;y'] });
    }
    assert.equal((await bytesOf(`${repo}/up/sub/two-x.txt`)).toString(), 'two\n');
  });

  test('links what the server has already by its checksum', async () => {
    await jf('rt', 'upload', 'files/big.bin', `${repo}/big/first.bin`);
    const { stderr } = await client.run(['rt', 'upload', 'files/big.bin', `${repo}/big/second.bin`], {
      cwd: work,
      env: { ...env, JFROG_CLI_LOG_LEVEL: 'DEBUG' },
    });
    assert.match(stderr, /Checksum deploy/);
    assert.deepEqual(await bytesOf(`${repo}/big/second.bin`), big);
  });

  test('uploads a file of one GiB', async () => {
    const large = join(work, 'large.bin');
    const sent = await writeLarge(large);
    const parts = ['--min-split=100', '--split-count=4'];
    const { stderr } = await client.run(['rt', 'upload', 'large.bin', `${repo}/large/`, ...parts], {
      cwd: work,
      env: { ...env, JFROG_CLI_LOG_LEVEL: 'DEBUG' },
      timeoutMs: 300_000,
    });
    assert.match(stderr, /api\/v1\/uploads\/create/);
    const info = await infoOf(`${repo}/large/large.bin`);
    assert.deepEqual([info.size, info.checksums.sha256], [String(GIBIBYTE), sent]);
    await rm(large);
  });

  test('downloads it again in parts', async () => {
    await jf('rt', 'download', `${repo}/large/large.bin`, 'back/', '--flat');
    assert.equal((await stat(join(work, 'back/large.bin'))).size, GIBIBYTE);
    assert.equal(
      await hashOf(join(work, 'back/large.bin')),
      (await infoOf(`${repo}/large/large.bin`)).checksums.sha256,
    );
    await rm(join(work, 'back'), { recursive: true });
  });

  test('downloads by patterns and properties', async () => {
    await jf('rt', 'download', `${repo}/up/(*)-x.txt`, 'down/{1}', '--props=k=v');
    assert.equal(await readFile(join(work, 'down/one'), 'utf8'), 'one\n');
    assert.equal(await readFile(join(work, 'down/sub/two'), 'utf8'), 'two\n');
    await jf('rt', 'download', `${repo}/big/*`, 'big/', '--flat');
    assert.deepEqual(await readFile(join(work, 'big/second.bin')), big);
    await jf('rt', 'download', `${repo}/up/*`, 'none/', '--props=k=other');
    await assert.rejects(readdir(join(work, 'none')));
  });

  test('searches by path and properties', async () => {
    assert.deepEqual(pathsOf(await search(`${repo}/up/*`, '--props=multi=b')), [
      `${repo}/up/one-x.txt`,
      `${repo}/up/sub/two-x.txt`,
    ]);
    const [first] = await search(`${repo}/*/one*`);
    assert.deepEqual(first?.props, { k: ['v'], multi: ['a', 'b'], odd: ['x;y'] });
    assert.deepEqual(pathsOf(await search(`${repo}/up/*`, '--exclude-props=k=v')), []);
    assert.deepEqual(pathsOf(await search(`${repo}/*`, '--exclusions=*/sub/*;*/big/*;*/large/*')), [
      `${repo}/up/one-x.txt`,
    ]);
    assert.ok(pathsOf(await search(`${repo}/up/*`, '--include-dirs')).includes(`${repo}/up/sub`));
    const sorted = await search(`${repo}/up/*`, '--sort-by=name', '--sort-order=desc', '--limit=1');
    assert.deepEqual(pathsOf(sorted), [`${repo}/up/sub/two-x.txt`]);
  });

  test('sets and deletes properties', async () => {
    await jf('rt', 'set-props', `${repo}/big/*`, 'p=1;q=a b,c');
    assert.deepEqual(await propertiesOf(`${repo}/big/first.bin`), { p: ['1'], q: ['a b', 'c'] });
    await jf('rt', 'delete-props', `${repo}/big/second.bin`, 'p');
    assert.deepEqual(await propertiesOf(`${repo}/big/second.bin`), { q: ['a b', 'c'] });
    assert.deepEqual(await propertiesOf(`${repo}/big/first.bin`), { p: ['1'], q: ['a b', 'c'] });
  });

  test('copies and moves files', async () => {
    await jf('rt', 'copy', `${repo}/big/(*).bin`, `${other}/copied/{1}.copy`);
    assert.deepEqual(await bytesOf(`${other}/copied/first.copy`), big);
    assert.deepEqual(await propertiesOf(`${other}/copied/first.copy`), { p: ['1'], q: ['a b', 'c'] });
    assert.equal(await statusOf(`${repo}/big/first.bin`), 200);
    await jf('rt', 'move', `${repo}/up/`, `${other}/moved/`);
    assert.equal((await bytesOf(`${other}/moved/up/sub/two-x.txt`)).toString(), 'two\n');
    assert.equal(await statusOf(`${repo}/up/one-x.txt`), 404);
    await jf('rt', 'copy', `${other}/moved/*`, `${repo}/dry/`, '--dry-run');
    assert.equal(await statusOf(`${repo}/dry/moved/up/one-x.txt`), 404);
  });

  test('deletes files', async () => {
    await jf('rt', 'delete', `${other}/moved/up/sub/`, '--quiet');
    assert.equal(await statusOf(`${other}/moved/up/sub/two-x.txt`), 404);
    assert.equal(await statusOf(`${other}/moved/up/one-x.txt`), 200);
    await jf('rt', 'delete', `${other}/copied/*`, '--props=p=1', '--quiet');
    assert.equal(await statusOf(`${other}/copied/first.copy`), 404);
    assert.equal(await statusOf(`${other}/copied/second.copy`), 200);
  });

  test('has archives unpacked by the server', async () => {
    await writeFile(join(work, 'pack.tar'), renderTar({ 'a.txt': 'a', 'deep/b.txt': 'b' }));
    await jf('rt', 'upload', 'pack.tar', `${repo}/unpacked/`, '--explode');
    assert.equal((await bytesOf(`${repo}/unpacked/deep/b.txt`)).toString(), 'b');
    assert.equal(await statusOf(`${repo}/unpacked/pack.tar`), 404);
  });

  test('creates, updates and deletes repositories from templates', async () => {
    const key = `${run}-t`;
    const template = { key, rclass: 'local', packageType: 'generic', description: '$'.concat('{what}') };
    await writeFile(join(work, 'template.json'), JSON.stringify(template));
    await jf('rt', 'repo-create', 'template.json', '--vars=what=first');
    const first = await json<{ description: string; rclass: string }>(`/artifactory/api/repositories/${key}`);
    assert.deepEqual([first.rclass, first.description], ['local', 'first']);
    await jf('rt', 'repo-update', 'template.json', '--vars=what=second');
    const second = await json<{ description: string }>(`/artifactory/api/repositories/${key}`);
    assert.equal(second.description, 'second');
    await jf('rt', 'repo-delete', `${run}-t*`, '--quiet');
    assert.equal((await ask('GET', `/artifactory/api/repositories/${key}`)).status, 400);
  });

  test('creates repositories in a batch', async () => {
    const [member, all] = [`${run}-member`, `${run}-all`];
    const templates = [
      { key: member, rclass: 'local', packageType: 'generic' },
      { key: all, rclass: 'virtual', packageType: 'generic', repositories: [member] },
    ];
    await writeFile(join(work, 'templates.json'), JSON.stringify(templates));
    await jf('rt', 'repo-create', 'templates.json');
    const made = await json<{ rclass: string; repositories: string[] }>(`/artifactory/api/repositories/${all}`);
    assert.deepEqual([made.rclass, made.repositories], ['virtual', [member]]);
    for (const key of [all, member]) await jf('rt', 'repo-delete', key, '--quiet');
  });

  const build = `${run}/build`;

  test('publishes a build with its files, its environment and its sources', async () => {
    await jf('rt', 'upload', 'files/*', `${repo}/build/`, '--flat=false', `--build-name=${build}`, '--build-number=1');
    await client.run(['rt', 'build-collect-env', build, '1'], { cwd: work, env: { ...env, SHOWN: 'yes' } });
    await writeGit(join(work, '.git'));
    await jf('rt', 'build-add-git', build, '1');
    await jf('rt', 'build-add-dependencies', build, '1', 'files/big.bin');
    const { stdout } = await jf('rt', 'build-publish', build, '1', '--build-url=http://ci/1', '--detailed-summary');
    const info = await buildOf(build, '1');
    const [first] = info.modules;
    assert.deepEqual(first?.artifacts?.map(({ path }) => path).sort(), [
      'build/files/big.bin',
      'build/files/one.txt',
      'build/files/sub/two.txt',
    ]);
    assert.deepEqual(
      first?.dependencies?.map(({ id }) => id),
      ['big.bin'],
    );
    assert.equal(info.properties?.['buildInfo.env.SHOWN'], 'yes');
    assert.equal(info.vcs?.[0]?.url, 'https://example.com/sources.git');
    const properties = await propertiesOf(`${repo}/build/files/one.txt`);
    assert.deepEqual([properties['build.name'], properties['build.number']], [[build], ['1']]);
    const [published] = (JSON.parse(stdout) as { files: { sha256: string }[] }).files;
    assert.match(published?.sha256 ?? '', /^[0-9a-f]{64}$/);
  });

  test('appends a published build to another', async () => {
    await jf('rt', 'build-append', `${run}-whole`, '1', build, '1');
    await jf('rt', 'build-publish', `${run}-whole`, '1');
    const [part] = (await buildOf(`${run}-whole`, '1')).modules;
    assert.deepEqual([part?.id, part?.type], [`${build}/1`, 'build']);
    assert.match(part?.sha1 ?? '', /^[0-9a-f]{40}$/);
  });

  test('finds and fetches the files of a build', async () => {
    await jf('rt', 'upload', 'files/one.txt', `${repo}/build/stranger.txt`);
    const own = ['big.bin', 'one.txt', 'sub/two.txt'].map((name) => `${repo}/build/files/${name}`);
    assert.deepEqual(pathsOf(await search(`${repo}/build/*`, `--build=${build}/1`)), own);
    await jf('rt', 'download', `${repo}/build/*`, 'of-build/', `--build=${run}-whole/1`);
    assert.equal(await readFile(join(work, 'of-build/build/files/sub/two.txt'), 'utf8'), 'two\n');
    await assert.rejects(readFile(join(work, 'of-build/build/stranger.txt')));
  });

  test('promotes a build', async () => {
    const more = ['--status=staged', '--comment=fine', '--copy', '--props=promoted=yes'];
    await jf('rt', 'build-promote', build, '1', other, ...more);
    assert.equal((await bytesOf(`${other}/build/files/one.txt`)).toString(), 'one\n');
    assert.deepEqual((await propertiesOf(`${other}/build/files/one.txt`))['promoted'], ['yes']);
    const [status] = (await buildOf(build, '1')).statuses ?? [];
    assert.deepEqual([status?.status, status?.repository, status?.comment], ['staged', other, 'fine']);
  });

  test('discards builds with their files', async () => {
    const name = `${run}-many`;
    for (const number of ['1', '2', '3', '4']) {
      await writeFile(join(work, `of-${number}.txt`), `of ${number}`);
      await jf('rt', 'upload', `of-${number}.txt`, `${repo}/many/`, `--build-name=${name}`, `--build-number=${number}`);
      await jf('rt', 'build-publish', name, number);
    }
    await jf('rt', 'build-discard', name, '--max-builds=2', '--exclude-builds=1', '--delete-artifacts');
    assert.deepEqual(await numbersOf(name), ['4', '3', '1']);
    assert.equal(await statusOf(`${repo}/many/of-2.txt`), 404);
    assert.equal(await statusOf(`${repo}/many/of-1.txt`), 200);
  });

  test('replaces a build when told to', async () => {
    const name = `${run}-over`;
    for (const flags of [[], ['--overwrite']]) {
      await jf('rt', 'upload', 'files/one.txt', `${repo}/over/`, `--build-name=${name}`, '--build-number=1');
      await jf('rt', 'build-publish', name, '1', ...flags);
    }
    assert.deepEqual(await numbersOf(name), ['1']);
  });
});

/** A file of one GiB that no disk can shorten; returns its SHA-256. */
async function writeLarge(path: string): Promise<string> {
  const hash = createHash('sha256');
  const block = randomBytes(1 << 20);
  const file = await open(path, 'w');
  for (let i = 0; i < GIBIBYTE / block.length; i++) {
    block.writeUInt32LE(i);
    hash.update(block);
    await file.write(block);
  }
  await file.close();
  return hash.digest('hex');
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path);
  for await (const chunk of file.createReadStream()) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** As much of a repository of sources as the client reads. */
async function writeGit(folder: string): Promise<void> {
  await mkdir(join(folder, 'refs/heads'), { recursive: true });
  await writeFile(join(folder, 'HEAD'), 'ref: refs/heads/main\n');
  await writeFile(join(folder, 'refs/heads/main'), `${'1'.repeat(40)}\n`);
  await writeFile(join(folder, 'config'), '[remote "origin"]\n\turl = https://example.com/sources.git\n');
}
