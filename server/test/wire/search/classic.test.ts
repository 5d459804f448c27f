/** The searches besides AQL, in the world of `search-world.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../../support/test-app.ts';
import { createUser, grant, sendJson } from '../api/api-world.ts';
import { DAY, hex, onEachDatabase, type SearchWorld } from './search-world.ts';

const SEARCH = '/artifactory/api/search';

onEachDatabase('classic searches', (world) => {
  const get = (path: string, headers: Record<string, string> = {}, caller: Caller = world().app.admin) =>
    caller.request('GET', `${SEARCH}/${path}`, { headers });
  const uris = async (path: string, caller?: Caller): Promise<string[]> => {
    const answer = await get(path, {}, caller);
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    const { results } = answer.json() as { results: { uri: string }[] };
    return results
      .map(({ uri }) => decodeURIComponent(uri.replace(`${world().app.url}/artifactory/api/storage/`, '')))
      .sort();
  };
  const status = async (path: string, caller?: Caller) => (await get(path, {}, caller)).status;

  test('find files by a part of their name, whatever its case', async () => {
    assert.deepEqual(await uris('artifact?name=APP'), ['apps/App.zip']);
    assert.deepEqual(await uris('artifact?name=1.j'), ['libs/org/acme/1.0/a1.jar', 'libs/org/other/1.0/o1.jar']);
    assert.deepEqual(await uris('artifact?name=a?.*&repos=both'), [
      'libs/org/acme/1.0/a1.jar',
      'libs/org/acme/1.0/a1.pom',
      'libs/org/acme/1.1/a2.jar',
    ]);
    assert.deepEqual(await uris('artifact?name=root&repos=apps,other'), []);
    assert.deepEqual(await uris('artifact?name=root&repos=nowhere,libs'), ['libs/root.txt']);
    assert.deepEqual(await uris('artifact?name=root&repos=nowhere'), []);
    assert.deepEqual(await uris('artifact?name=%25_'), ['libs/we[ird/w%_.txt']);
    for (const name of ['', '*', '%25', '**', '*.*', '%20'])
      assert.equal(await status(`artifact?name=${name}`), 400, name);
    const answer = await get('artifact?name=a1.jar');
    assert.equal(
      answer.headers['content-type'],
      'application/vnd.org.jfrog.artifactory.search.ArtifactSearchResult+json',
    );
  });

  test('tell all about each file when asked', async () => {
    const answer = await get('artifact?name=a1.jar', { 'X-Result-Detail': 'info, properties' });
    const [row] = (answer.json() as { results: Record<string, unknown>[] }).results;
    const { app } = world();
    assert.deepEqual(row, {
      repo: 'libs',
      path: '/org/acme/1.0/a1.jar',
      created: '2024-01-02T00:00:00.000Z',
      createdBy: 'ann',
      lastModified: '2024-07-02T00:00:00.000Z',
      modifiedBy: 'ann',
      lastUpdated: '2024-07-02T00:00:00.000Z',
      downloadUri: `${app.url}/artifactory/libs/org/acme/1.0/a1.jar`,
      size: '20',
      checksums: { sha1: hex('sha1', 'a1.jar'), md5: hex('md5', 'a1.jar'), sha256: hex('sha256', 'a1.jar') },
      originalChecksums: { sha1: hex('sha1', 'a1.jar'), md5: hex('md5', 'a1.jar'), sha256: hex('sha256', 'a1.jar') },
      properties: { 'build.name': ['b'], 'build.number': ['7'], env: ['test'], license: ['GPL-3'] },
      uri: `${app.url}/artifactory/api/storage/libs/org/acme/1.0/a1.jar`,
    });
    const properties = await get('artifact?name=a2.jar', { 'X-Result-Detail': 'properties' });
    assert.deepEqual((properties.json() as { results: Record<string, unknown>[] }).results[0]?.['properties'], {
      'build.name': ['b'],
      'build.number': ['8'],
      license: ['GPL', 'MIT'],
    });
  });

  test('find archives by what lies in them', async () => {
    const answer = await get('archive?name=*Logger.class');
    assert.deepEqual(answer.json(), {
      results: [
        {
          entry: 'org/acme/Logger.class',
          archiveUris: [`${world().app.url}/artifactory/api/storage/libs/org/acme/1.0/a1.jar`],
        },
      ],
    });
    const both = (await get('archive?name=manifest.mf')).json() as { results: { archiveUris: string[] }[] };
    assert.equal(both.results.length, 1);
    assert.equal(both.results[0]?.archiveUris.length, 2);
    assert.equal(await status('archive?name=*'), 400);
    assert.deepEqual((await get('archive?name=*Logger.class&repos=apps')).json(), { results: [] });
  });

  test('find items by properties', async () => {
    assert.deepEqual(await uris('prop?license=GPL*'), ['libs/org/acme/1.0/a1.jar', 'libs/org/acme/1.1/a2.jar']);
    assert.deepEqual(await uris('prop?build.name=b&build.number=7'), ['libs/org/acme/1.0/a1.jar']);
    assert.deepEqual(await uris('prop?license=MIT,Apache'), ['libs/org/acme/1.1/a2.jar', 'libs/org/other/1.0/o1.jar']);
    assert.deepEqual(await uris('prop?version&repos=both'), ['apps/models/x/v1/m1.bin', 'apps/models/x/v2/m2.bin']);
    assert.deepEqual(await uris('prop?team=x'), ['libs/org/acme']);
    assert.equal(await status('prop?repos=libs'), 400);
  });

  test('find files by checksum', async () => {
    for (const algorithm of ['md5', 'sha1', 'sha256'] as const) {
      assert.deepEqual(await uris(`checksum?${algorithm}=${hex(algorithm, 'App.zip')}`), ['apps/App.zip']);
      assert.equal(await status(`checksum?${algorithm}=abc`), 400);
    }
    assert.deepEqual(await uris(`checksum?sha1=${'0'.repeat(40)}`), []);
    assert.equal(await status('checksum'), 400);
  });

  test('find files by a pattern of their path', async () => {
    const files = async (pattern: string) => (await get(`pattern?pattern=${encodeURIComponent(pattern)}`)).json();
    assert.deepEqual(await files('libs:org/*/1.0/a?.jar'), {
      repoUri: `${world().app.url}/artifactory/libs`,
      sourcePattern: 'libs:org/*/1.0/a?.jar',
      files: ['org/acme/1.0/a1.jar'],
    });
    assert.deepEqual(((await files('libs:*.txt')) as { files: string[] }).files, ['root.txt']);
    assert.deepEqual(((await files('nowhere:*.txt')) as { files: string[] }).files, []);
    for (const pattern of ['libs:**/*.jar', 'libs', 'libs:', ':a', '']) {
      assert.equal(await status(`pattern?pattern=${encodeURIComponent(pattern)}`), 400, pattern);
    }
  });

  test('find files by their dates', async () => {
    const from = Date.parse('2024-01-15');
    const answer = await get(`dates?from=${from}&to=${from + DAY}&dateFields=created,lastModified`);
    assert.deepEqual((answer.json() as { results: unknown[] }).results, [
      {
        uri: `${world().app.url}/artifactory/api/storage/other/secret.txt`,
        created: '2024-01-15T00:00:00.000Z',
        lastModified: '2024-07-15T00:00:00.000Z',
      },
      {
        uri: `${world().app.url}/artifactory/api/storage/other/d/e/f/deep.txt`,
        created: '2024-01-16T00:00:00.000Z',
        lastModified: '2024-07-16T00:00:00.000Z',
      },
    ]);
    assert.deepEqual(
      await uris(`dates?from=${Date.parse('2024-05-30')}&to=${Date.parse('2024-06-02')}&dateFields=lastDownloaded`),
      ['libs/org/acme/1.0/a1.jar'],
    );
    assert.deepEqual(await uris(`creation?from=${from}&repos=other`), ['other/d/e/f/deep.txt', 'other/secret.txt']);
    const none = await get(`creation?from=${Date.now()}`);
    assert.equal(none.status, 404);
    assert.match(none.text, /No results found\./);
    for (const query of [
      'dates?dateFields=created',
      'dates?from=1',
      'dates?from=x&dateFields=created',
      'dates?from=1&dateFields=born',
      'creation?from=-1',
      'creation?from=1e30',
    ]) {
      assert.equal(await status(query), 400, query);
    }
  });

  test('find what nobody uses', async () => {
    const july = Date.parse('2024-07-01');
    const answer = await get(`usage?notUsedSince=${july}&repos=libs`);
    const { results } = answer.json() as { results: { uri: string; downloadCount: number; lastDownloaded: string }[] };
    assert.equal(results.length, 7);
    const used = results.find(({ uri }) => uri.endsWith('a1.jar'));
    assert.deepEqual(used, {
      uri: `${world().app.url}/artifactory/api/storage/libs/org/acme/1.0/a1.jar`,
      downloadCount: 5,
      lastDownloaded: '2024-06-01T00:00:00.000Z',
      remoteDownloadCount: 0,
      remoteLastDownloaded: '1970-01-01T00:00:00.000Z',
    });
    assert.equal(
      (await uris(`usage?notUsedSince=${july}&createdBefore=${Date.parse('2024-01-02')}&repos=libs`)).length,
      1,
    );
    assert.equal((await uris(`usage?notUsedSince=${Date.parse('2024-05-01')}&repos=libs`)).length, 6);
    assert.equal(await status('usage?notUsedSince=1'), 404);
    for (const value of ['NaN', '-1', '1e30', '', '99999999999999999']) {
      assert.equal(await status(`usage?notUsedSince=${value}`), 400, value);
    }
  });

  test('tell files whose client gave no checksum or another one', async () => {
    const { results, limitReached } = (await get('badChecksum?type=sha1&repos=libs')).json() as {
      results: Record<string, string>[];
      limitReached: boolean;
    };
    assert.equal(limitReached, false);
    assert.equal(results.length, 6);
    assert.deepEqual(
      results.find(({ uri }) => uri!.endsWith('root.txt')),
      {
        uri: `${world().app.url}/artifactory/api/storage/libs/root.txt`,
        serverSha1: hex('sha1', 'root.txt'),
        clientSha1: '',
      },
    );
    assert.match((await get('badChecksum')).text, /No checksum type defined/);
    assert.match((await get('badChecksum?type=sha512')).text, /Checksum type: sha512 is not defined/);
  });

  test('know no licences', async () => {
    assert.deepEqual((await get('license?unknown=1')).json(), { results: [] });
  });

  test('lead from files to builds and back', async () => {
    const { app } = world();
    assert.deepEqual((await get(`dependency?sha1=${hex('sha1', 'o1.jar')}`)).json(), {
      results: [{ uri: `${app.url}/artifactory/api/build/b/7` }],
    });
    assert.deepEqual((await get(`dependency?sha1=${hex('sha1', 'a1.jar')}`)).json(), { results: [] });
    assert.equal(await status('dependency?sha1=x'), 400);
    const artifacts = async (body: object) => {
      const answer = await sendJson(app.admin, 'POST', `${SEARCH}/buildArtifacts`, body);
      if (answer.status !== 200) return answer.status;
      return (answer.json() as { results: { downloadUri: string }[] }).results
        .map(({ downloadUri }) => downloadUri.replace(`${app.url}/artifactory/`, ''))
        .sort();
    };
    const both = ['libs/org/acme/1.0/a1.jar', 'libs/org/acme/1.0/a1.pom'];
    assert.deepEqual(await artifacts({ buildName: 'b', buildNumber: '7' }), both);
    assert.deepEqual(await artifacts({ buildName: 'b', buildStatus: 'released' }), both);
    assert.deepEqual(await artifacts({ buildName: 'b', buildNumber: 'LATEST' }), ['libs/org/acme/1.1/a2.jar']);
    assert.deepEqual(
      await artifacts({ buildName: 'b', buildNumber: '7', mappings: [{ input: '(.+)\\.jar' }] }),
      both.slice(0, 1),
    );
    assert.equal(await artifacts({ buildName: 'b', buildNumber: '7', repos: ['apps'] }), 404);
    assert.equal(await artifacts({ buildName: 'b', buildNumber: '9' }), 404);
    assert.equal(await artifacts({ buildName: 'b' }), 400);
  });

  test('show only what the caller may read', async () => {
    const { app } = world();
    const lena = await createUser(app, 'lena');
    await grant(app, 'lena-reads', ['libs'], { lena: ['r'] }, 'org/acme/1.0/**');
    assert.deepEqual(await uris('artifact?name=a', lena), ['libs/org/acme/1.0/a1.jar', 'libs/org/acme/1.0/a1.pom']);
    assert.deepEqual(await uris(`checksum?sha256=${hex('sha256', 'App.zip')}`, lena), []);
    assert.deepEqual(await uris('prop?license', lena), ['libs/org/acme/1.0/a1.jar']);
    assert.equal(
      ((await get('archive?name=manifest.mf', {}, lena)).json() as { results: { archiveUris: string[] }[] }).results[0]
        ?.archiveUris.length,
      1,
    );
    assert.deepEqual((await get('archive?name=root.properties', {}, lena)).json(), { results: [] });
    assert.deepEqual((await get(`dependency?sha1=${hex('sha1', 'o1.jar')}`, {}, lena)).json(), { results: [] });
    assert.equal((await uris('usage?notUsedSince=1800000000000', lena)).length, 2);
    for (const path of ['artifact?name=a', 'prop?license', `checksum?md5=${'0'.repeat(32)}`, 'usage?notUsedSince=1']) {
      assert.equal(await status(path, app.anonymous), 401, path);
    }
  });
});

onEachDatabase('searches for versions', (world) => {
  const path = (version: string, file = version) => `libs/org/acme/lib/${version}/lib-${file}.jar`;
  const get = (query: string) => world().app.admin.request('GET', `${SEARCH}/${query}`);
  const listed = async (query: string) =>
    ((await get(query)).json() as { results: { version: string; integration: boolean }[] }).results.map(
      ({ version, integration }) => `${version}${integration ? ' i' : ''}`,
    );

  test('read coordinates from paths', async () => {
    await deploy(world(), [
      path('1.0'),
      path('1.10'),
      path('1.9-rc1'),
      path('2.0-SNAPSHOT'),
      path('1.9'),
      'libs/org/acme/lib/1.0/lib-1.0-sources.jar',
    ]);
    const gavc = async (query: string) =>
      ((await get(`gavc?${query}`)).json() as { results: { uri: string }[] }).results
        .map(({ uri }) => uri.slice(uri.lastIndexOf('/') + 1))
        .sort();
    assert.deepEqual(await gavc('g=org.acme&a=lib&v=1.0'), ['lib-1.0-sources.jar', 'lib-1.0.jar']);
    assert.deepEqual(await gavc('a=lib&v=1.9*'), ['lib-1.9-rc1.jar', 'lib-1.9.jar']);
    assert.deepEqual(await gavc('g=org.*&a=l?b&c=sources'), ['lib-1.0-sources.jar']);
    assert.deepEqual(await gavc('g=org.other&a=lib'), []);
    assert.deepEqual(await gavc('v=2.0-SNAPSHOT&repos=both'), ['lib-2.0-SNAPSHOT.jar']);
    assert.equal((await get('gavc')).status, 400);
    const [specific] = (
      (await get('gavc?a=lib&v=2.0-SNAPSHOT&specific=true')).json() as { results: Record<string, unknown>[] }
    ).results;
    assert.deepEqual(
      [specific?.['org'], specific?.['module'], specific?.['version'], specific?.['integration']],
      ['org.acme', 'lib', '2.0-SNAPSHOT', true],
    );
  });

  test('tell the versions of a module, newest first', async () => {
    assert.deepEqual(await listed('versions?g=org.acme&a=lib'), ['2.0-SNAPSHOT i', '1.10', '1.9', '1.9-rc1', '1.0']);
    assert.deepEqual(await listed('versions?g=org.acme&a=lib&v=1.9*'), ['1.9', '1.9-rc1']);
    assert.deepEqual(await listed('versions?g=org.acme&a=lib&v=7*'), []);
    const none = await get('versions?g=org.acme&a=nothing');
    assert.equal(none.status, 404);
    assert.match(none.text, /Unable to find artifact versions/);
    const latest = async (query: string) => {
      const answer = await get(`latestVersion?g=org.acme&a=lib${query}`);
      return answer.status === 200
        ? answer.text
        : (answer.json() as { errors: { message: string }[] }).errors[0]?.message;
    };
    assert.equal(await latest(''), '1.10');
    assert.equal(await latest('&v=1.9*'), '1.9');
    assert.equal(await latest('&v=2.0-SNAPSHOT'), '2.0-SNAPSHOT');
    assert.equal(await latest('&v=3.0-SNAPSHOT'), 'Latest integration version not found');
    assert.equal(await latest('&v=9'), 'Latest release version not found');
    assert.equal(await latest('&repos=apps'), 'Unable to find artifact versions');
  });

  test('tell the newest value of the property version', async () => {
    const { admin, url } = world().app;
    const newest = (query: string) => admin.request('GET', `/artifactory/api/versions/${query}`);
    assert.deepEqual((await newest('apps/models')).json(), { version: '2', artifacts: [] });
    assert.deepEqual((await newest('_any/_any?listFiles=1')).json(), {
      version: '2',
      artifacts: [{ uri: `${url}/artifactory/apps/models/x/v2/m2.bin` }],
    });
    assert.deepEqual((await newest('apps/models/x/v1')).json(), { version: '1', artifacts: [] });
    assert.equal((await newest('libs/_any')).status, 404);
    assert.equal((await newest('_any/_any?team=x')).status, 404);
  });
});

async function deploy({ app }: SearchWorld, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const answer = await app.admin.request('PUT', `/artifactory/${path}`, { body: path });
    assert.equal(answer.status, 201, answer.text);
  }
}
