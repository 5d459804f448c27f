import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { clientSuite } from './client-suite.ts';
import { buildImage, buildLayer } from './oci-layout.ts';
import { pushImage } from './registry-api.ts';
import { ServerFacts } from './server-facts.ts';

/** A rule of a policy, as the configuration file has it. */
interface Rule {
  readonly rule: string;
  readonly [setting: string]: unknown;
}

interface Removed {
  readonly repo: string;
  readonly path: string;
  readonly name: string;
}

interface Report {
  readonly policies: readonly { readonly file_count: number; readonly removed_artifacts: readonly Removed[] }[];
}

const DAY = 86_400_000;

clientSuite('artifactory-cleanup', (client) => {
  const { target } = client;
  const server = new ServerFacts(target);
  const run = `cleanup-${randomBytes(3).toString('hex')}`;
  const repositories: string[] = [];

  after(async () => {
    await server.deleteRepositories(...repositories);
    await server.ask('DELETE', `${target.repository}/${run}`);
  });

  /** Headers that make a file some days old. */
  function aged(days: number): Record<string, string> {
    const when = String(Date.now() - days * DAY);
    return { 'X-Artifactory-Created': when, 'X-Artifactory-Last-Modified': when };
  }

  /** A repository of its own for one test, with files of these ages in days. */
  async function repository(name: string, files: Readonly<Record<string, number>>): Promise<string> {
    const key = `${run}-${name}`;
    await server.createRepository(key);
    repositories.push(key);
    for (const [path, days] of Object.entries(files)) await server.deploy(`${key}/${path}`, path, aged(days));
    return key;
  }

  /** Runs a policy of these rules and answers what the tool says it removed, or would. */
  async function clean(rules: readonly Rule[], ...flags: readonly string[]): Promise<string[]> {
    const [config, output] = ['config.yaml', 'report.json'].map((name) => join(client.folder, name));
    const connection = { server: server.root, user: '$CLEANUP_USER', password: '$CLEANUP_PASSWORD' };
    const document = { 'artifactory-cleanup': { ...connection, policies: [{ name: 'policy', rules }] } };
    // The tool reads YAML, of which JSON is a part.
    await writeFile(config as string, JSON.stringify(document));
    await client.run(
      ['--config', config, '--output', output, '--output-format', 'json', '--output-artifacts', ...flags] as string[],
      { cwd: client.folder, env: { CLEANUP_USER: target.username, CLEANUP_PASSWORD: target.password } },
    );
    const { policies } = JSON.parse(await readFile(output as string, 'utf8')) as Report;
    const removed = policies.flatMap(({ removed_artifacts }) => removed_artifacts);
    return removed.map(({ path, name }) => (path === '.' ? name : `${path}/${name}`)).sort();
  }

  /** Tries a policy, which must change nothing, then lets it destroy; answers what it removed. */
  async function tryAndDestroy(key: string, rules: readonly Rule[]): Promise<string[]> {
    const before = await server.filesBelow(key);
    const all = [{ rule: 'Repo', name: key }, ...rules];
    const wouldRemove = await clean(all);
    assert.deepEqual(await server.filesBelow(key), before);
    assert.deepEqual(await clean(all, '--destroy'), wouldRemove);
    const removed = new Set(wouldRemove.map((path) => `/${path}`));
    assert.deepEqual(
      await server.filesBelow(key),
      before.filter((path) => !removed.has(path)),
    );
    return wouldRemove;
  }

  test('refuses to go on without the repository', async () => {
    const rules = [
      { rule: 'Repo', name: `${run}-none` },
      { rule: 'DeleteOlderThan', days: 1 },
    ];
    await assert.rejects(clean(rules), /repository does not exist/);
  });

  test('DeleteOlderThan', async () => {
    const key = await repository('older', { 'old.txt': 40, 'deep/er/old.txt': 31, 'young.txt': 29, 'deep/new.txt': 0 });
    assert.deepEqual(await tryAndDestroy(key, [{ rule: 'DeleteOlderThan', days: 30 }]), ['deep/er/old.txt', 'old.txt']);
  });

  test('DeleteOlderThan, for a day to come', async () => {
    const key = await repository('future', { 'old.txt': 10, 'new.txt': 0 });
    const rules = [
      { rule: 'Repo', name: key },
      { rule: 'DeleteOlderThan', days: 30 },
    ];
    assert.deepEqual(await clean(rules, '--days-in-future', '25'), ['old.txt']);
    assert.deepEqual(await server.filesBelow(key), ['/new.txt', '/old.txt']);
  });

  /** Fetches a file, and waits until that was counted. */
  async function fetchOnce(path: string): Promise<void> {
    await server.textOf(path);
    await eventually(async () => {
      const { downloadCount } = await server.json<{ downloadCount: number }>(`api/storage/${path}?stats`);
      assert.ok(downloadCount > 0);
    });
  }

  test('DeleteWithoutDownloads', async () => {
    const key = await repository('unfetched', { 'a/used.txt': 5, 'a/unused.txt': 5, 'b/unused.txt': 0 });
    await fetchOnce(`${key}/a/used.txt`);
    assert.deepEqual(await tryAndDestroy(key, [{ rule: 'DeleteWithoutDownloads' }]), ['a/unused.txt', 'b/unused.txt']);
  });

  test('DeleteOlderThanNDaysWithoutDownloads', async () => {
    const key = await repository('unfetched-old', { 'used.txt': 50, 'unused.txt': 50, 'young.txt': 5 });
    await fetchOnce(`${key}/used.txt`);
    const rules = [{ rule: 'DeleteOlderThanNDaysWithoutDownloads', days: 30 }];
    assert.deepEqual(await tryAndDestroy(key, rules), ['unused.txt']);
  });

  test('DeleteNotUsedSince', async () => {
    const key = await repository('not-used', { 'long-ago.txt': 90, 'used.txt': 90, 'unused.txt': 90, 'young.txt': 5 });
    await fetchOnce(`${key}/used.txt`);
    const stats = { downloadCount: 3, lastDownloaded: Date.now() - 60 * DAY, lastDownloadedBy: 'somebody' };
    assert.equal((await server.ask('PATCH', `api/metadata/${key}/long-ago.txt`, { stats })).status, 204);
    const rules = [{ rule: 'DeleteNotUsedSince', days: 30 }];
    assert.deepEqual(await tryAndDestroy(key, rules), ['long-ago.txt', 'unused.txt']);
    // Seen from a day when the download is long ago as well.
    const later = await clean([{ rule: 'Repo', name: key }, ...rules], '--days-in-future', '40');
    assert.deepEqual(later, ['used.txt', 'young.txt']);
  });

  test('DeleteLeastRecentlyUsedFiles', async () => {
    const key = await repository('least-used', { 'used.txt': 90, 'old.txt': 80, 'young.txt': 5 });
    await fetchOnce(`${key}/used.txt`);
    assert.deepEqual(await tryAndDestroy(key, [{ rule: 'DeleteLeastRecentlyUsedFiles', keep: 2 }]), ['old.txt']);
  });

  test('KeepLatestNFiles', async () => {
    const key = await repository('latest', { 'a/1.txt': 4, 'b/2.txt': 3, 'a/3.txt': 2, 'b/4.txt': 1 });
    assert.deepEqual(await tryAndDestroy(key, [{ rule: 'KeepLatestNFiles', count: 2 }]), ['a/1.txt', 'b/2.txt']);
  });

  test('KeepLatestNFilesInFolder', async () => {
    const key = await repository('in-folder', { 'a/1.txt': 4, 'a/2.txt': 3, 'b/1.txt': 9, '1.txt': 8, '2.txt': 7 });
    assert.deepEqual(await tryAndDestroy(key, [{ rule: 'KeepLatestNFilesInFolder', count: 1 }]), ['1.txt', 'a/1.txt']);
  });

  test('KeepLatestVersionNFilesInFolder', async () => {
    const key = await repository('versions', {
      'app/app-1.9.0.tgz': 1,
      'app/app-1.10.0.tgz': 3,
      'app/app-1.2.0.tgz': 2,
      'app/tool-1.0.0.tgz': 9,
      'app/unversioned.tgz': 9,
    });
    const removed = await tryAndDestroy(key, [{ rule: 'KeepLatestVersionNFilesInFolder', count: 2 }]);
    assert.deepEqual(removed, ['app/app-1.2.0.tgz']);
  });

  test('KeepLatestNupkgNVersions', async () => {
    const key = await repository('nupkg', {});
    for (const version of ['1.0.1', '1.0.2', '1.0.10', '1.1.0', '1.0.3-beta']) {
      await server.deploy(`${key}/lib.${version}.nupkg;nuget.id=lib;nuget.version=${version}`, version);
    }
    const rules = [
      { rule: 'IncludeFilename', masks: '*.nupkg' },
      { rule: 'KeepLatestNupkgNVersions', count: 1 },
    ];
    assert.deepEqual(await tryAndDestroy(key, rules), ['lib.1.0.1.nupkg', 'lib.1.0.2.nupkg']);
  });

  test('IncludePath, ExcludePath, IncludeFilename and ExcludeFilename', async () => {
    const key = await repository('filters', {
      'ci/x/app.log': 9,
      'ci/x/keep.log': 9,
      'ci/x/app.txt': 9,
      'ci/release/app.log': 9,
      'other/app.log': 9,
    });
    const rules = [
      { rule: 'DeleteOlderThan', days: 1 },
      { rule: 'IncludePath', masks: ['ci/*', 'none/*'] },
      { rule: 'ExcludePath', masks: '*release*' },
      { rule: 'IncludeFilename', masks: ['*.log', '*.tmp'] },
      { rule: 'ExcludeFilename', masks: ['keep*', 'leave*'] },
    ];
    assert.deepEqual(await tryAndDestroy(key, rules), ['ci/x/app.log']);
  });

  test('DeleteByRegexpName and FilterByRegexpPath', async () => {
    const key = await repository('regexp', { 'ci/a1.bin': 1, 'ci/b.bin': 1, 'cd/a2.bin': 1 });
    const rules = [
      { rule: 'FilterByRegexpPath', path: '^ci$' },
      { rule: 'DeleteByRegexpName', regex_pattern: '^a\\d' },
    ];
    // The first of them keeps what its pattern does not fit.
    assert.deepEqual(await tryAndDestroy(key, rules), ['ci/a1.bin']);
  });

  test('PropertyEq and PropertyNeq', async () => {
    const key = await repository('properties', { 'plain.txt': 9 });
    await server.deploy(`${key}/dev.txt;stage=dev`, 'dev');
    await server.deploy(`${key}/held.txt;stage=dev;do_not_delete=1`, 'held');
    await server.deploy(`${key}/prod.txt;stage=prod`, 'prod');
    const keep = { rule: 'PropertyNeq', property_key: 'do_not_delete', property_value: '1' };
    const dev = { rule: 'PropertyEq', property_key: 'stage', property_value: 'dev' };
    assert.deepEqual(await tryAndDestroy(key, [dev, keep]), ['dev.txt']);
    assert.deepEqual(await tryAndDestroy(key, [keep]), ['plain.txt', 'prod.txt']);
  });

  test('RepoList and RepoByMask', async () => {
    const [first, second] = [await repository('many-a', { 'a.txt': 9 }), await repository('many-b', { 'b.txt': 9 })];
    const old = { rule: 'DeleteOlderThan', days: 5 };
    assert.deepEqual(await clean([{ rule: 'RepoList', repos: [first, second] }, old]), ['a.txt', 'b.txt']);
    assert.deepEqual(await clean([{ rule: 'RepoByMask', mask: `${run}-many-*` }, old], '--destroy'), [
      'a.txt',
      'b.txt',
    ]);
    assert.deepEqual([await server.filesBelow(first), await server.filesBelow(second)], [[], []]);
  });

  test('DeleteEmptyFolders', async () => {
    const key = await repository('empty', { 'full/file.txt': 1 });
    for (const path of ['empty/deeper/deepest/', 'full/empty/']) {
      assert.equal((await server.ask('PUT', `${key}/${path}`)).status, 201);
    }
    const rules = [{ rule: 'Repo', name: key }, { rule: 'DeleteEmptyFolders' }];
    // The tool adds up sizes, which folders have as well.
    assert.deepEqual(await clean(rules, '--destroy'), ['empty', 'full/empty']);
    assert.deepEqual(
      [await server.statusOf(`api/storage/${key}/empty`), await server.filesBelow(key)],
      [404, ['/full/file.txt']],
    );
    assert.equal(await server.statusOf(`api/storage/${key}/full/empty`), 404);
  });

  /** Pushes an image with one layer of its own. */
  async function push(name: string, tag: string): Promise<void> {
    const image = buildImage([buildLayer({ 'file.txt': `${name}:${tag}` })], { os: 'linux', architecture: 'amd64' });
    await pushImage(`${target.repository}/${run}/${name}`, tag, image);
  }
  const tagsOf = async (name: string) =>
    (await server.json<{ tags: string[] }>(`api/docker/${target.repository}/v2/${run}/${name}/tags/list`)).tags;
  const images = (name: string) => [
    { rule: 'Repo', name: target.repository },
    { rule: 'IncludeDockerImages', masks: `${run}/${name}:*` },
  ];

  test('KeepLatestNVersionImagesByProperty', async () => {
    for (const tag of ['1.0.0', '1.2.0', '1.10.0', '2.0.0']) await push('versions', tag);
    const rules = [...images('versions'), { rule: 'KeepLatestNVersionImagesByProperty', count: 1 }];
    const superseded = [`${run}/versions/1.0.0`, `${run}/versions/1.2.0`];
    assert.deepEqual(await clean(rules), superseded);
    assert.deepEqual(await tagsOf('versions'), ['1.0.0', '1.10.0', '1.2.0', '2.0.0']);
    assert.deepEqual(await clean(rules, '--destroy'), superseded);
    assert.deepEqual(await tagsOf('versions'), ['1.10.0', '2.0.0']);
  });

  test('DeleteDockerImagesOlderThan and ExcludeDockerImages', async () => {
    for (const tag of ['held', 'other']) await push('ages', tag);
    const rules = [...images('ages'), { rule: 'ExcludeDockerImages', masks: '*:held' }];
    const older = (days: number) => ({ rule: 'DeleteDockerImagesOlderThan', days });
    assert.deepEqual(await clean([...rules, older(30)], '--destroy'), []);
    assert.deepEqual(await clean([...rules, older(30)], '--days-in-future', '40'), [`${run}/ages/other`]);
    // Images cannot be made to look old, but the limit may be a day that is yet to come.
    assert.deepEqual(await clean([...rules, older(-1)], '--destroy'), [`${run}/ages/other`]);
    assert.deepEqual(await tagsOf('ages'), ['held']);
  });

  test('KeepLatestNDockerImages', async () => {
    for (const tag of ['a', 'b', 'c']) await push('latest', tag);
    const rules = [...images('latest'), { rule: 'KeepLatestNDockerImages', count: 2 }];
    assert.deepEqual(await clean(rules, '--destroy'), [`${run}/latest/a`]);
    assert.deepEqual(await tagsOf('latest'), ['b', 'c']);
  });

  test('DeleteDockerImagesNotUsed', async () => {
    for (const tag of ['pulled', 'unused']) await push('unused', tag);
    await fetchOnce(`${target.repository}/${run}/unused/pulled/manifest.json`);
    const rules = (days: number) => [...images('unused'), { rule: 'DeleteDockerImagesNotUsed', days }];
    assert.deepEqual(await clean(rules(30), '--destroy'), []);
    assert.deepEqual(await clean(rules(30), '--days-in-future', '40'), [
      `${run}/unused/pulled`,
      `${run}/unused/unused`,
    ]);
    assert.deepEqual(await tagsOf('unused'), ['pulled', 'unused']);
  });

  test('DeleteDockerImagesOlderThanNDaysWithoutDownloads', async () => {
    const rule = { rule: 'DeleteDockerImagesOlderThanNDaysWithoutDownloads', days: -1 };
    assert.deepEqual(await clean([...images('unused'), rule], '--destroy'), [`${run}/unused/unused`]);
    assert.deepEqual(await tagsOf('unused'), ['pulled']);
  });
});
