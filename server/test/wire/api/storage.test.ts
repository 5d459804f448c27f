/** What lies where, through the REST API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeBytes, ImageClient, makeImage, sha256, TYPES } from '../../support/oci.ts';
import type { Caller } from '../../support/test-app.ts';
import { createUser, expectAdminOnly, expectStatus, getJson, grant, onEachStorage, sendJson } from './api-world.ts';

const STORAGE = '/artifactory/api/storage';
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

interface Listed {
  readonly uri: string;
  readonly size: number;
  readonly folder: boolean;
  readonly sha1?: string;
  readonly sha2?: string;
}

onEachStorage('storage', (world) => {
  async function put(path: string, body = 'text'): Promise<void> {
    await expectStatus(world().app.admin.request('PUT', `/artifactory/${path}`, { body }), 201);
  }
  async function list(path: string, query = '', caller: Caller = world().app.admin): Promise<Listed[]> {
    return ((await getJson(caller, `${STORAGE}/${path}?list${query}`)) as { files: Listed[] }).files;
  }

  test('tells of a file what Artifactory tells', async () => {
    const { app } = world();
    await put('generic-local/info/a%20b.txt', 'hello');
    const answer = await app.admin.request('GET', `${STORAGE}/generic-local/info/a%20b.txt`);
    assert.equal(answer.headers['content-type'], 'application/vnd.org.jfrog.artifactory.storage.FileInfo+json');
    const info = answer.json() as Record<string, unknown>;
    for (const field of ['created', 'lastModified', 'lastUpdated']) {
      assert.match(String(info[field]), TIME);
      delete info[field];
    }
    const digests = {
      sha1: 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d',
      md5: '5d41402abc4b2a76b9719d911017c592',
      sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
    };
    assert.deepEqual(info, {
      repo: 'generic-local',
      path: '/info/a b.txt',
      createdBy: 'admin',
      modifiedBy: 'admin',
      downloadUri: `${app.url}/artifactory/generic-local/info/a%20b.txt`,
      mimeType: 'text/plain',
      size: '5',
      checksums: digests,
      originalChecksums: { sha256: digests.sha256 },
      uri: `${app.url}${STORAGE}/generic-local/info/a%20b.txt`,
    });
  });

  test('tells of a folder what lies in it, by name', async () => {
    const { app } = world();
    for (const name of ['b.txt', 'a/x.txt', 'C.txt']) await put(`generic-local/folder/${name}`);
    for (const path of ['generic-local/folder', 'generic-local/folder/']) {
      const answer = await app.admin.request('GET', `${STORAGE}/${path}`);
      assert.equal(answer.headers['content-type'], 'application/vnd.org.jfrog.artifactory.storage.FolderInfo+json');
      assert.equal(answer.headers['cache-control'], 'no-store');
      const info = answer.json() as Record<string, unknown>;
      assert.equal(info['path'], '/folder');
      assert.match(String(info['created']), TIME);
      assert.equal(info['createdBy'], 'admin');
      assert.deepEqual(info['children'], [
        { uri: '/C.txt', folder: false },
        { uri: '/a', folder: true },
        { uri: '/b.txt', folder: false },
      ]);
      assert.equal(info['uri'], `${app.url}${STORAGE}/generic-local/folder`);
    }
    const root = (await getJson(app.admin, `${STORAGE}/docker-local`)) as Record<string, unknown>;
    assert.equal(root['path'], '/');
  });

  test('answers what is not there with 404, and strangers with 401', async () => {
    const { app, ann } = world();
    for (const path of ['generic-local/nowhere', 'missing', 'missing/a']) {
      await expectStatus(app.admin.request('GET', `${STORAGE}/${path}`), 404);
      await expectStatus(app.anonymous.request('GET', `${STORAGE}/${path}`), 401);
      await expectStatus(ann.request('GET', `${STORAGE}/${path}`), 404);
    }
    const answer = await app.admin.request('GET', `${STORAGE}/generic-local/nowhere`);
    assert.deepEqual(answer.json(), { errors: [{ status: 404, message: 'Unable to find item' }] });
    await expectStatus(app.admin.request('GET', `${STORAGE}/generic-local/a%2Fb`), 400);
    await expectStatus(app.admin.request('GET', `${STORAGE}/generic-local/..%2f`), 400);
    const wrong = await expectStatus(app.admin.request('POST', `${STORAGE}/generic-local/a`), 405);
    assert.deepEqual(wrong.headers.allow?.split(', ').sort(), ['DELETE', 'GET', 'HEAD', 'PUT']);
  });

  test('shows a pushed image as its folder with properties and labels', async () => {
    const { app } = world();
    const image = makeImage({ config: { config: { Labels: { team: 'blue', 'org.x/y': 'z=1' } } } });
    await new ImageClient(app.admin, '/v2/docker-local/team/app').push('1.0', image);
    const folder = (await getJson(app.admin, `${STORAGE}/docker-local/team/app/1.0`)) as {
      children: { uri: string }[];
    };
    const names = folder.children.map(({ uri }) => uri);
    assert.ok(names.includes('/manifest.json'));
    assert.ok(names.includes(`/sha256__${sha256(image.config).slice('sha256:'.length)}`));
    const path = `${STORAGE}/docker-local/team/app/1.0/manifest.json`;
    const file = (await getJson(app.admin, path)) as { checksums: { sha256: string }; size: string };
    assert.equal(`sha256:${file.checksums.sha256}`, image.digest);
    assert.equal(file.size, String(image.bytes.length));
    const found = (await getJson(app.admin, `${path}?properties`)) as {
      properties: Record<string, string[]>;
      uri: string;
    };
    const { properties } = found;
    assert.deepEqual(properties['docker.repoName'], ['team/app']);
    assert.deepEqual(properties['docker.manifest'], ['1.0']);
    assert.deepEqual(properties['docker.manifest.digest'], [image.digest]);
    assert.deepEqual(properties['docker.manifest.type'], [TYPES.manifest]);
    assert.deepEqual(properties['sha256'], [image.digest.slice('sha256:'.length)]);
    assert.deepEqual(properties['docker.label.team'], ['blue']);
    assert.deepEqual(properties['docker.label.org.x/y'], ['z=1']);
    assert.equal(found.uri, `${app.url}${path}`);
  });

  test('gives the properties that are asked for, and 404 when there are none', async () => {
    const { admin } = world().app;
    await expectStatus(admin.request('PUT', '/artifactory/generic-local/props/a;k=1,2;l=x', { body: 'a' }), 201);
    await put('generic-local/props/bare');
    const of = async (query: string) =>
      ((await getJson(admin, `${STORAGE}/generic-local/props/a?properties${query}`)) as { properties: unknown })
        .properties;
    assert.deepEqual(await of(''), { k: ['1', '2'], l: ['x'] });
    assert.deepEqual(await of('=l,none'), { l: ['x'] });
    for (const path of ['a?properties=none', 'bare?properties']) {
      const answer = await expectStatus(admin.request('GET', `${STORAGE}/generic-local/props/${path}`), 404);
      assert.match(answer.text, /No properties could be found\./);
    }
    await expectStatus(admin.request('GET', `${STORAGE}/generic-local/props/missing?properties`), 404);
  });

  test('lists a tree as deep as asked, in pages', async () => {
    const files = Array.from({ length: 1100 }, (_, i) => `d${i % 3}/f${String(i).padStart(4, '0')}`);
    const { admin } = world().app;
    for (let i = 0; i < files.length; i += 50) {
      await Promise.all(files.slice(i, i + 50).map((name) => put(`generic-local/tree/sub/${name}`, 'same')));
    }
    await put('generic-local/tree/top.txt');
    await put('generic-local/tree-beside/no.txt');
    assert.deepEqual(
      (await list('generic-local/tree')).map(({ uri }) => uri),
      ['/top.txt'],
    );
    assert.deepEqual(
      (await list('generic-local/tree', '&listFolders=1&includeRootPath=1')).map(({ uri, size }) => [uri, size]),
      [
        ['/', -1],
        ['/sub', -1],
        ['/top.txt', 4],
      ],
    );
    const deep = await list('generic-local/tree', '&deep=1');
    assert.deepEqual(deep.map(({ uri }) => uri).sort(), ['/top.txt', ...files.map((name) => `/sub/${name}`)].sort());
    assert.match(deep[0]?.sha2 ?? '', /^[0-9a-f]{64}$/);
    assert.match(deep[0]?.sha1 ?? '', /^[0-9a-f]{40}$/);
    assert.deepEqual(
      (await list('generic-local/tree', '&deep=1&depth=2&listFolders=1')).map(({ uri }) => uri),
      ['/sub', '/top.txt', '/sub/d0', '/sub/d1', '/sub/d2'],
    );
    assert.ok((await list('generic-local', '&deep=1')).length > files.length);
    await expectStatus(admin.request('GET', `${STORAGE}/generic-local/tree/top.txt?list`), 400);
    await expectStatus(admin.request('GET', `${STORAGE}/generic-local/missing?list`), 404);
    await expectStatus(admin.request('GET', `${STORAGE}/generic-local/tree?list&deep=1&depth=x`), 400);
    await expectStatus(world().app.anonymous.request('GET', `${STORAGE}/generic-local/tree?list`), 401);
  });

  test('finds what changed last below a folder', async () => {
    const { app } = world();
    await put('generic-local/last/a/1');
    await put('generic-local/last/b/2');
    const answer = await app.admin.request('GET', `${STORAGE}/generic-local/last?lastModified`);
    const found = answer.json() as { uri: string; lastModified: string };
    assert.equal(found.uri, `${app.url}${STORAGE}/generic-local/last/b/2`);
    assert.equal(answer.headers['last-modified'], new Date(found.lastModified).toUTCString());
  });

  test('shows nobody what he may not read', async () => {
    const { app } = world();
    await put('generic-local/rights/open/a');
    await put('generic-local/rights/shut/b');
    const rosa = await createUser(app, 'rosa');
    await grant(app, 'rosa-open', ['generic-local'], { rosa: ['r'] }, 'rights/open/**');
    const folder = (await getJson(rosa, `${STORAGE}/generic-local/rights`)) as { children: unknown };
    assert.deepEqual(folder.children, [{ uri: '/open', folder: true }]);
    assert.deepEqual(
      (await list('generic-local', '&deep=1', rosa)).map(({ uri }) => uri),
      ['/rights/open/a'],
    );
    for (const path of ['rights/shut', 'rights/shut/b', 'rights/shut/b?properties', 'rights/shut?list']) {
      await expectStatus(rosa.request('GET', `${STORAGE}/generic-local/${path}`), 404);
    }
    const last = (await getJson(rosa, `${STORAGE}/generic-local?lastModified`)) as { uri: string };
    assert.match(last.uri, /rights\/open\/a$/);
    await expectStatus(rosa.request('GET', `${STORAGE}/docker-local`), 404);
  });

  test('sums up what is stored, for administrators', async () => {
    const { app } = world();
    await expectAdminOnly(world(), [
      ['GET', '/artifactory/api/storageinfo'],
      ['POST', '/artifactory/api/storageinfo/calculate'],
    ]);
    await expectStatus(
      sendJson(app.admin, 'PUT', '/artifactory/api/repositories/counted', { rclass: 'local', packageType: 'generic' }),
      200,
    );
    await put('counted/a/one', 'x'.repeat(2048));
    await put('counted/two', 'x'.repeat(2048));
    const summary = (await getJson(app.admin, '/artifactory/api/storageinfo')) as {
      binariesSummary: Record<string, string>;
      repositoriesSummaryList: Record<string, unknown>[];
    };
    const row = summary.repositoriesSummaryList.find(({ repoKey }) => repoKey === 'counted');
    assert.match(String(row?.['percentage']), /^[\d.]+%$/);
    assert.deepEqual(
      { ...row, percentage: '' },
      {
        repoKey: 'counted',
        repoType: 'LOCAL',
        foldersCount: 1,
        filesCount: 2,
        usedSpace: '4.00 KB',
        usedSpaceInBytes: 4096,
        itemsCount: 3,
        packageType: 'Generic',
        projectKey: 'default',
        percentage: '',
      },
    );
    assert.equal(summary.repositoriesSummaryList.at(-1)?.['repoKey'], 'TOTAL');
    assert.match(summary.binariesSummary['binariesSize'] ?? '', /^[\d.]+ (bytes|KB|MB)$/);
    await expectStatus(app.admin.request('POST', '/artifactory/api/storageinfo/calculate'), 202);
  });

  test('keeps an index and its images apart', async () => {
    const { app } = world();
    const client = new ImageClient(app.admin, '/v2/docker-local/multi');
    const image = makeImage();
    await client.push(image.digest, image);
    const index = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: TYPES.index,
        manifests: [describeBytes(TYPES.manifest, image.bytes)],
      }),
    );
    await client.pushManifest('latest', index, TYPES.index);
    const info = (await getJson(app.admin, `${STORAGE}/docker-local/multi/latest/list.manifest.json`)) as {
      checksums: { sha256: string };
    };
    assert.equal(`sha256:${info.checksums.sha256}`, sha256(index));
    await getJson(app.admin, `${STORAGE}/docker-local/multi/${image.digest}/manifest.json`);
  });
});

onEachStorage(
  'storage with anonymous access',
  (world) => {
    test('shows strangers what they may read, but lists no trees', async () => {
      const { app } = world();
      await expectStatus(app.admin.request('PUT', '/artifactory/generic-local/public/a', { body: 'a' }), 201);
      await expectStatus(app.anonymous.request('GET', `${STORAGE}/generic-local/public/a`), 401);
      await grant(app, 'public', ['generic-local'], { anonymous: ['r'] }, 'public/**');
      await expectStatus(app.anonymous.request('GET', `${STORAGE}/generic-local/public/a`), 200);
      await expectStatus(app.anonymous.request('GET', `${STORAGE}/generic-local/public?list`), 401);
      const rows = (await getJson(app.anonymous, '/artifactory/api/repositories')) as { key: string }[];
      assert.deepEqual(
        rows.map(({ key }) => key),
        ['generic-local'],
      );
      await expectStatus(app.anonymous.request('GET', '/artifactory/api/repositories/generic-local'), 401);
    });
  },
  { ENTREPOT_SECURITY__ANONYMOUS_ACCESS: 'true' },
);
