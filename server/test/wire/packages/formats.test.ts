/** What people are shown of packages of each format: deployed here, kept of an upstream, and both through a virtual one. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { makeChart, provenanceOf, put } from '../../formats/helm-samples.ts';
import { makePom } from '../../formats/maven-samples.ts';
import { makePackage, publish, publishDocument } from '../../formats/npm-samples.ts';
import { sdistOf, upload, wheelOf } from '../../formats/pypi-samples.ts';
import { eventually } from '../../support/eventually.ts';
import { describeBytes, ImageClient, makeImage, makeIndex, render, sha256, TYPES } from '../../support/oci.ts';
import { startTestApp, type TestApp } from '../../support/test-app.ts';
import { onEachStorage } from '../api/api-world.ts';
import { ALLOWED } from '../remote/remote-world.ts';
import { detailOf, makeClasses, namesIn, summaryOf, versionsOf } from './packages-world.ts';

const SHOWN_IN = ['far', 'all'] as const;

async function fetched(app: TestApp, path: string): Promise<void> {
  const answer = await app.admin.request('GET', path);
  assert.equal(answer.status, 200, `${path}: ${answer.text}`);
}

onEachStorage(
  'packages as they are shown',
  (world) => {
    let other: TestApp;
    before(async () => {
      other = await startTestApp('sqlite-fs');
    });
    after(() => other?.stop());
    const both = () => ({ app: world().app, other });

    describe('npm', () => {
      const at = (key: string) => `/artifactory/api/npm/${key}`;
      const manifest = {
        homepage: 'https://left.example/',
        repository: { type: 'git', url: 'git+ssh://git@git.example/ann/left.git' },
        bugs: 'javascript:alert(1)',
        author: 'Ann Lee <ann@left.example> (https://ann.example/)',
        keywords: ['pad', 'left'],
        dependencies: { semver: '^7.0.0' },
        peerDependencies: { react: '>=18' },
        peerDependenciesMeta: { react: { optional: true } },
        engines: { node: '>=20' },
      };
      before(async () => {
        const { app } = world();
        await makeClasses(both(), 'n', 'npm', (key) => `${at(key)}/`);
        for (const version of ['1.9.0', '1.10.0', '2.0.0-rc.1']) {
          const made = await makePackage('@far/left', version, { manifest });
          const tag = version.includes('-') ? 'next' : 'latest';
          assert.equal((await publish(other.admin, at('n-up'), publishDocument(made, { tag }))).status, 201);
          const own = await makePackage('@own/right', version, { manifest });
          assert.equal((await publish(app.admin, at('n-own'), publishDocument(own, { tag }))).status, 201);
        }
      });

      test('says all of its manifest that may be shown, and gives the readme as text', async () => {
        const { admin } = world().app;
        const shown = await detailOf(admin, 'n-own', '@own%2fright', '1.10.0');
        assert.equal(shown.description, 'The package @own/right.');
        assert.deepEqual(shown.licenses, ['MIT']);
        assert.equal(shown.homepage, 'https://left.example/');
        assert.equal(shown.source, 'https://git.example/ann/left');
        assert.equal('issues' in shown, false);
        assert.deepEqual(shown.authors, [{ name: 'Ann Lee', email: 'ann@left.example', url: 'https://ann.example/' }]);
        assert.deepEqual(shown.dependencies, [
          { name: 'semver', range: '^7.0.0', scope: 'runtime' },
          { name: 'react', range: '>=18', scope: 'peer', optional: true },
        ]);
        assert.deepEqual(shown.readme, {
          text: '# @own/right\n\nVersion 1.10.0.\n',
          mediaType: 'text/markdown',
          truncated: false,
        });
        assert.deepEqual(shown.tags, ['latest']);
        assert.deepEqual(
          shown.files.map(({ path }) => path),
          ['@own/right/-/@own/right-1.10.0.tgz'].map((path) => shown.files[0]?.path ?? path),
        );
        assert.ok(shown.facts?.some(({ name, value }) => name === 'Engine node' && value === '>=20'));
        assert.deepEqual(shown.properties['npm.version'], ['1.10.0']);
      });

      test('lists versions by their order, the newest first, with their tags', async () => {
        const { versions, total } = await versionsOf(world().app.admin, 'n-own', '@own/right');
        assert.deepEqual(
          versions.map(({ version, tags, preliminary }) => [version, tags, preliminary]),
          [
            ['2.0.0-rc.1', ['next'], true],
            ['1.10.0', ['latest'], false],
            ['1.9.0', [], false],
          ],
        );
        assert.equal(total, 3);
        const summary = await summaryOf(world().app.admin, 'n-own', '@own%2Fright');
        assert.deepEqual([summary.latest, summary.versions], ['1.10.0', 3]);
        assert.deepEqual(summary.tags, [
          { name: 'latest', version: '1.10.0' },
          { name: 'next', version: '2.0.0-rc.1' },
        ]);
      });

      test('shows of a remote repository what was fetched, and nothing of that in its documents', async () => {
        const { app } = world();
        assert.deepEqual(await namesIn(app.admin, 'n-far'), []);
        const before = (await app.admin.request('GET', `${at('n-far')}/@far%2fleft`)).text;
        await fetched(app, `${at('n-all')}/@far/left/-/left-1.9.0.tgz`);
        for (const key of SHOWN_IN) {
          await eventually(async () => {
            const { versions } = await versionsOf(app.admin, `n-${key}`, '@far/left');
            assert.deepEqual(
              versions.map(({ version, heldBy }) => [version, heldBy]),
              [['1.9.0', 'n-far-cache']],
            );
          });
          assert.equal(
            (await detailOf(app.admin, `n-${key}`, '@far/left', '1.9.0')).description,
            'The package @far/left.',
          );
        }
        assert.deepEqual(await namesIn(app.admin, 'n-all'), ['@far/left', '@own/right']);
        assert.equal((await app.admin.request('GET', `${at('n-far')}/@far%2fleft`)).text, before);
      });

      test('counts what was fetched', async () => {
        const { app } = world();
        const path = `${at('n-own')}/@own/right/-/right-1.9.0.tgz`;
        for (let i = 0; i < 2; i++) await fetched(app, path);
        await eventually(async () => {
          assert.equal((await summaryOf(app.admin, 'n-own', '@own/right')).downloads, 2);
          assert.equal((await detailOf(app.admin, 'n-all', '@own/right', '1.9.0')).downloads, 2);
        });
      });

      test('says that a version is deprecated, and why', async () => {
        const { app } = world();
        const document = (await app.admin.request('GET', `${at('n-own')}/@own%2fright?write=true`)).json() as {
          versions: Record<string, { deprecated?: string }>;
        };
        const entry = document.versions['1.9.0'];
        assert.ok(entry);
        entry.deprecated = 'use right-pad';
        const put = await app.admin.request('PUT', `${at('n-own')}/@own%2fright`, {
          body: JSON.stringify(document),
          headers: { 'content-type': 'application/json' },
        });
        assert.ok(put.status < 300, put.text);
        assert.equal((await detailOf(app.admin, 'n-own', '@own/right', '1.9.0')).deprecated, 'use right-pad');
      });
    });

    describe('Maven', () => {
      const more = `<name>The App</name><description>Does
        things</description><url>https://app.example/</url>
        <licenses><license><name>Apache-2.0</name></license></licenses>
        <developers><developer><name>Ann Lee</name></developer></developers>
        <scm><url>https://git.example/app</url></scm>
        <dependencies>
          <dependency><groupId>org.a</groupId><artifactId>b</artifactId><version>1</version></dependency>
          <dependency><groupId>org.a</groupId><artifactId>t</artifactId><scope>test</scope></dependency>
        </dependencies>`;
      const files = (group: string, folder: string, file: string, version = folder): [string, string][] => [
        [`com/${group}/app/${folder}/app-${file}.jar`, `jar of ${file}`],
        [
          `com/${group}/app/${folder}/app-${file}.pom`,
          makePom({ group: `com.${group}`, artifact: 'app', version, more }),
        ],
      ];
      before(async () => {
        const { app } = world();
        await makeClasses(both(), 'm', 'maven', (key) => `/artifactory/${key}/`);
        for (const [key, group] of [
          ['m-up', 'far'],
          ['m-own', 'own'],
        ] as const) {
          const { admin } = key === 'm-up' ? other : app;
          for (const [path, body] of [
            ...files(group, '1.9', '1.9'),
            ...files(group, '1.10', '1.10'),
            ...files(group, '2.0-SNAPSHOT', '2.0-20260102.030405-1'),
            ...files(group, '2.0-SNAPSHOT', '2.0-20260103.030405-2'),
          ]) {
            const answer = await admin.request('PUT', `/artifactory/${key}/${path}`, { body });
            assert.equal(answer.status, 201, answer.text);
          }
        }
      });

      test('says what the POM says, with all files of the release', async () => {
        const shown = await detailOf(world().app.admin, 'm-own', 'com.own%3Aapp', '1.10');
        assert.deepEqual([shown.description, shown.licenses], ['Does things', ['Apache-2.0']]);
        assert.deepEqual([shown.homepage, shown.source], ['https://app.example/', 'https://git.example/app']);
        assert.deepEqual(shown.authors, [{ name: 'Ann Lee' }]);
        assert.deepEqual(shown.dependencies, [
          { name: 'org.a:b', range: '1', scope: 'compile' },
          { name: 'org.a:t', range: '', scope: 'test' },
        ]);
        assert.deepEqual(shown.files.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)).sort(), [
          'app-1.10.jar',
          'app-1.10.pom',
        ]);
      });

      test('shows all builds of a snapshot as one version, which is not the latest', async () => {
        const { admin } = world().app;
        const { versions } = await versionsOf(admin, 'm-own', 'com.own:app');
        assert.deepEqual(
          versions.map(({ version }) => version),
          ['2.0-SNAPSHOT', '1.10', '1.9'],
        );
        assert.equal((await summaryOf(admin, 'm-own', 'com.own:app')).latest, '1.10');
        assert.equal((await detailOf(admin, 'm-own', 'com.own:app', '2.0-SNAPSHOT')).files.length, 4);
      });

      test('shows of a remote repository what was fetched', async () => {
        const { app } = world();
        for (const [path] of files('far', '1.9', '1.9')) await fetched(app, `/artifactory/m-all/${path}`);
        const index = await app.admin.request('GET', '/artifactory/m-far/com/far/app/maven-metadata.xml');
        assert.match(index.text, /<version>1\.10<\/version>/);
        for (const key of SHOWN_IN) {
          await eventually(async () => {
            const shown = await detailOf(app.admin, `m-${key}`, 'com.far:app', '1.9');
            assert.deepEqual([shown.description, shown.files.length], ['Does things', 2]);
          });
          const { versions } = await versionsOf(app.admin, `m-${key}`, 'com.far:app');
          assert.deepEqual(
            versions.map(({ version }) => version),
            ['1.9'],
          );
        }
      });
    });

    describe('PyPI', () => {
      before(async () => {
        const { app } = world();
        await makeClasses(both(), 'p', 'pypi', (key) => `/artifactory/api/pypi/${key}`);
        const make = (name: string, version: string) => ({
          name,
          version,
          requiresPython: '>=3.9',
          requires: ['idna[all] (>=2,<4)', "pytest>=7; extra == 'test'"],
        });
        for (const [key, name] of [
          ['p-up', 'far-one'],
          ['p-own', 'own-one'],
        ] as const) {
          const { admin } = key === 'p-up' ? other : app;
          for (const version of ['1.9', '1.10', '2.0rc1']) {
            assert.equal((await upload(admin, key, await wheelOf(make(name, version)))).status, 200);
          }
          assert.equal((await upload(admin, key, await sdistOf(make(name, '1.10')))).status, 200);
        }
      });

      test('says what the metadata of its archives says', async () => {
        const shown = await detailOf(world().app.admin, 'p-own', 'own-one', '1.10');
        assert.deepEqual([shown.description, shown.licenses], ['A sample', ['MIT']]);
        assert.deepEqual(shown.authors, [{ name: 'Ann' }]);
        assert.deepEqual(shown.dependencies, [
          { name: 'idna[all]', range: '>=2,<4', scope: 'runtime' },
          { name: 'pytest', range: '>=7', scope: 'extra test', optional: true },
        ]);
        assert.equal(shown.readme?.mediaType, 'text/markdown');
        assert.match(shown.readme?.text ?? '', /^# Sample\n\nWhat it is for: ünïcode\./);
        assert.ok(shown.facts?.some(({ name, value }) => name === 'Python' && value === '>=3.9'));
        assert.equal(shown.files.filter(({ path }) => /\.(whl|tar\.gz)$/.test(path)).length, 2);
        const { versions } = await versionsOf(world().app.admin, 'p-own', 'own-one');
        assert.deepEqual(
          versions.map(({ version }) => version),
          ['2.0rc1', '1.10', '1.9'],
        );
      });

      test('shows of a remote repository what was fetched', async () => {
        const { app } = world();
        const page = await app.admin.request('GET', '/artifactory/api/pypi/p-all/simple/far-one/');
        const [, link = ''] = /href="([^"#]*far_one-1\.9-[^"#]*\.whl)/.exec(page.text) ?? [];
        const url = new URL(link, `${app.url}/artifactory/api/pypi/p-all/simple/far-one/`);
        await fetched(app, url.pathname);
        for (const key of SHOWN_IN) {
          await eventually(async () => {
            const shown = await detailOf(app.admin, `p-${key}`, 'far-one', '1.9');
            assert.deepEqual([shown.description, shown.heldBy], ['A sample', 'p-far-cache']);
          });
        }
        const again = await app.admin.request('GET', '/artifactory/api/pypi/p-all/simple/far-one/');
        assert.equal(again.text, page.text);
      });
    });

    describe('Helm', () => {
      const lines = [
        'description: A chart',
        'appVersion: "7"',
        'home: https://chart.example/',
        'dependencies:',
        '  - name: redis',
        '    version: ">=1"',
        '    repository: https://redis.example/',
        'maintainers:',
        '  - name: Ann',
      ];
      before(async () => {
        const { app } = world();
        await makeClasses(both(), 'h', 'helm', (key) => `/artifactory/api/helm/${key}`);
        for (const [key, name] of [
          ['h-up', 'far'],
          ['h-own', 'own'],
        ] as const) {
          const { admin } = key === 'h-up' ? other : app;
          for (const version of ['1.9.0', '1.10.0', '2.0.0-rc.1']) {
            const chart = await makeChart({ name, version, lines, files: { 'README.md': `# ${name} ${version}` } });
            assert.equal((await put(admin, key, chart.filename, chart.bytes)).status, 201);
            if (version === '1.9.0') await put(admin, key, `${chart.filename}.prov`, provenanceOf(chart));
          }
        }
      });

      test('says what Chart.yaml says, with the readme of the archive and the provenance beside it', async () => {
        const shown = await detailOf(world().app.admin, 'h-own', 'own', '1.9.0');
        assert.deepEqual([shown.description, shown.homepage], ['A chart', 'https://chart.example/']);
        assert.deepEqual(shown.dependencies, [{ name: 'redis', range: '>=1', scope: 'https://redis.example/' }]);
        assert.deepEqual(shown.readme, { text: '# own 1.9.0', mediaType: 'text/markdown', truncated: false });
        assert.deepEqual(
          shown.files.map(({ path }) => path),
          ['own-1.9.0.tgz', 'own-1.9.0.tgz.prov'],
        );
        assert.equal((await summaryOf(world().app.admin, 'h-own', 'own')).latest, '1.10.0');
      });

      test('shows of a remote repository what was fetched', async () => {
        const { app } = world();
        const entries = async () => (await app.admin.request('GET', '/artifactory/api/helm/h-all/index.yaml')).text;
        const before = await entries();
        await fetched(app, '/artifactory/api/helm/h-all/far-1.9.0.tgz');
        for (const key of SHOWN_IN) {
          await eventually(async () => {
            assert.equal((await detailOf(app.admin, `h-${key}`, 'far', '1.9.0')).readme?.text, '# far 1.9.0');
          });
        }
        assert.deepEqual(JSON.parse(await entries()).entries, JSON.parse(before).entries);
      });
    });

    describe('Docker', () => {
      const config = {
        os: 'linux',
        architecture: 'arm64',
        created: '2026-01-02T03:04:05Z',
        config: {
          Labels: {
            'org.opencontainers.image.description': 'An image',
            'org.opencontainers.image.licenses': 'MIT',
            'org.opencontainers.image.source': 'https://git.example/image',
          },
          Entrypoint: ['/run', 'it'],
        },
        history: [{ created_by: 'RUN it' }],
      };
      before(async () => {
        const { app } = world();
        await makeClasses(both(), 'd', 'docker', (key) => `/artifactory/api/docker/${key}`);
        for (const key of ['d-up', 'd-own']) {
          const { admin } = key === 'd-up' ? other : app;
          const client = new ImageClient(admin, `/v2/${key}/team/app`);
          const image = makeImage({ config, layers: 2 });
          const pushed = await client.push('1.0', image);
          await client.push('1.1', makeImage({ config }));
          const platform = { os: 'linux', architecture: 'arm64', variant: 'v8' };
          await client.pushManifest('many', makeIndex([{ ...pushed, platform } as typeof pushed]), TYPES.index);
        }
      });

      test('says what its configuration and its labels say, and what it is made of', async () => {
        const { admin } = world().app;
        const shown = await detailOf(admin, 'd-own', 'team/app', '1.0');
        assert.deepEqual([shown.description, shown.licenses], ['An image', ['MIT']]);
        assert.equal(shown.source, 'https://git.example/image');
        assert.equal(shown.image?.platform, 'linux/arm64');
        assert.equal(shown.image?.layers.length, 2);
        assert.ok(shown.facts?.some(({ name, value }) => name === 'Entrypoint' && value === '/run it'));
        assert.equal(shown.files.length, 4);
        const many = await detailOf(admin, 'd-own', 'team%2Fapp', 'many');
        assert.equal(many.image?.images[0]?.platform, 'linux/arm64/v8');
        const { versions } = await versionsOf(admin, 'd-own', 'team/app');
        const tags = versions.filter(({ preliminary }) => !preliminary);
        assert.deepEqual(tags.map(({ version }) => version).sort(), ['1.0', '1.1', 'many']);
        const sizes = shown.files.reduce((sum, { size }) => sum + size, 0);
        assert.equal(versions.find(({ version }) => version === '1.0')?.size, sizes);
      });

      test('shows of a remote repository what was pulled', async () => {
        const { app } = world();
        const client = new ImageClient(app.admin, '/v2/d-all/team/app');
        const manifest = await client.request('GET', '/manifests/1.0');
        assert.equal(manifest.status, 200);
        const far = new ImageClient(app.admin, '/v2/d-far/team/app');
        const pulled = await far.request('GET', '/manifests/1.1');
        assert.equal(pulled.status, 200, pulled.text);
        const { digest } = (pulled.json() as { config: { digest: string } }).config;
        assert.equal((await far.request('GET', `/blobs/${digest}`)).status, 200);
        await eventually(async () => {
          const shown = await detailOf(app.admin, 'd-far', 'team/app', '1.1');
          assert.equal(shown.description, 'An image');
        });
      });

      test('shows charts in images as charts', async () => {
        const { app } = world();
        await makeClasses(both(), 'o', 'helmoci', (key) => `/artifactory/api/docker/${key}`);
        const client = new ImageClient(app.admin, '/v2/o-own/charts/web');
        const chart = await makeChart({ name: 'web', version: '1.2.3', files: { 'README.md': '# web' } });
        const about = render({ name: 'web', version: '1.2.3', description: 'Serves', appVersion: '4' });
        const manifest = render({
          schemaVersion: 2,
          mediaType: TYPES.manifest,
          config: describeBytes('application/vnd.cncf.helm.config.v1+json', about),
          layers: [describeBytes('application/vnd.cncf.helm.chart.content.v1.tar+gzip', chart.bytes)],
        });
        for (const blob of [about, chart.bytes]) await client.pushBlob(blob, sha256(blob));
        await client.pushManifest('1.2.3', manifest);
        const shown = await detailOf(app.admin, 'o-own', 'charts/web', '1.2.3');
        assert.deepEqual([shown.description, shown.readme?.text], ['Serves', '# web']);
      });
    });
  },
  ALLOWED,
);
