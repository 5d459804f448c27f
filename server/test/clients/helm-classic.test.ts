import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { writeChart } from './helm-chart.ts';
import { basicAuthorization } from './registry-api.ts';
import { type ServerUnderTest, startServer } from './server-under-test.ts';

/** Repositories of charts: what is put into a local one is found and installed through all classes of repositories. */
const versions = ['0.1.0', '0.2.0', '0.3.0-rc.1+build.7'] as const;
const classes = ['local', 'virtual', 'remote', 'virtual-remote'] as const;
const hasGpg = spawnSync('gpg', ['--version']).status === 0;
const key = 'Chart Tests <charts@example.org>';

for (const name of ['helm3', 'helm4'] as const) {
  clientSuite(name, (client) => {
    const { target } = client;
    const authorization = basicAuthorization(target.username, target.password);
    const login = ['--username', target.username, '--password', target.password];
    const keyOf = (kind: string) => `${name}-${kind}`;
    const urlOf = (kind: string) => `${target.url.origin}/artifactory/api/helm/${keyOf(kind)}`;
    let upstream: ServerUnderTest;
    let far: URL;

    before(async () => {
      upstream = await startServer('sqlite-fs', `clients-${name}-upstream`);
      far = new URL(upstream.targetUrl);
      await create(far.origin, basicAuthorization(far.username, far.password), 'charts', { rclass: 'local' });
      const { username, password } = far;
      const url = `${far.origin}/artifactory/api/helm/charts`;
      const own = (kind: string, settings: object) => create(target.url.origin, authorization, keyOf(kind), settings);
      await own('local', { rclass: 'local' });
      await own('remote', { rclass: 'remote', url, username, password });
      const virtual = { rclass: 'virtual', defaultDeploymentRepo: keyOf('local') };
      await own('virtual', { ...virtual, repositories: [keyOf('local')] });
      await own('virtual-remote', { rclass: 'virtual', repositories: [keyOf('remote')] });
      for (const version of versions) await writeChart(join(client.folder, version, 'hello'), version);
      if (hasGpg) makeKeys(join(client.folder, 'gnupg'));
    });
    after(async () => await upstream?.[Symbol.asyncDispose]());

    test('packages charts, put by curl, by the requests of cm-push, and with provenance', async () => {
      const [first, second, third] = await Promise.all(versions.map(packageChart));
      const places = [
        [`${far.origin}/artifactory/charts`, basicAuthorization(far.username, far.password)],
        [`${target.url.origin}/artifactory/${keyOf('virtual')}`, authorization],
      ] as const;
      for (const [place, credentials] of places) {
        const headers = { authorization: credentials };
        const put = async (path: string, file: string) => {
          const answer = await fetch(`${place}/${path}`, { method: 'PUT', headers, body: await readFile(file) });
          assert.equal(answer.status, 201, await answer.text());
        };
        await put('team/hello-0.1.0.tgz', first ?? '');
        await put('hello-0.2.0.tgz', second ?? '');
        if (hasGpg) await put('hello-0.2.0.tgz.prov', `${second}.prov`);
      }
      for (const [place, credentials] of [
        [`${far.origin}/artifactory/api/helm/charts`, places[0][1]],
        [urlOf('local'), authorization],
      ] as const) {
        const form = new FormData();
        form.append('chart', new Blob([await readFile(third ?? '')]), 'hello-0.3.0-rc.1+build.7.tgz');
        const upload = { method: 'POST', headers: { authorization: credentials } };
        const pushed = await fetch(`${place}/api/charts`, { ...upload, body: form });
        assert.deepEqual([pushed.status, await pushed.json()], [201, { saved: true }]);
        const again = await fetch(`${place}/api/charts`, { ...upload, body: await readFile(third ?? '') });
        assert.equal(again.status, 409);
      }
    });

    for (const kind of classes) {
      test(`${kind}: adds the repository, and finds what is in it`, async () => {
        await client.run(['repo', 'add', kind, urlOf(kind), ...login]);
        const { stdout } = await client.run(['search', 'repo', `${kind}/`, '--versions', '--devel', '-o', 'json']);
        const found = (JSON.parse(stdout) as { name: string; version: string }[]).map((each) => each.version);
        assert.deepEqual(found, versions.toReversed());
      });

      test(`${kind}: pulls the archives, also of a folder and of a version with build metadata`, async () => {
        const pulled = join(client.folder, `pulled-${kind}`);
        await mkdir(pulled);
        for (const version of versions) {
          await client.run(['pull', `${kind}/hello`, '--version', version, '-d', pulled]);
          const file = `hello-${version}.tgz`;
          assert.deepEqual(await readFile(join(pulled, file)), await readFile(join(client.folder, version, file)));
        }
      });

      test(`${kind}: renders the templates of the newest version`, async () => {
        const { stdout } = await client.run(['template', 'x', `${kind}/hello`]);
        assert.match(stdout, /greeting: hello from 0\.2\.0/);
        const direct = await client.run(['template', 'x', 'hello', '--repo', urlOf(kind), ...login]);
        assert.match(direct.stdout, /greeting: hello from 0\.2\.0/);
      });

      test(`${kind}: verifies the provenance`, { skip: hasGpg ? false : 'needs gpg' }, async () => {
        const pulled = join(client.folder, `verified-${kind}`);
        await mkdir(pulled);
        const verify = ['--verify', '--keyring', join(client.folder, 'gnupg', 'public.gpg'), '-d', pulled];
        const { stdout, stderr } = await client.run(['pull', `${kind}/hello`, '--version', '0.2.0', ...verify]);
        assert.match(stdout + stderr, /Signed by: Chart Tests/);
        const output = await client.fail(['pull', `${kind}/hello`, '--version', '0.1.0', ...verify]);
        assert.match(output, /404|failed to fetch provenance/i);
      });
    }

    test('resolves the dependencies of a chart', async () => {
      const folder = join(client.folder, 'parent');
      await mkdir(join(folder, 'templates'), { recursive: true });
      const dependency = `dependencies:\n- name: hello\n  version: ">=0.1.0"\n  repository: "${urlOf('virtual')}"\n`;
      await writeFile(join(folder, 'Chart.yaml'), `apiVersion: v2\nname: parent\nversion: 1.0.0\n${dependency}`);
      await client.run(['dependency', 'update', folder]);
      await readFile(join(folder, 'charts', 'hello-0.2.0.tgz'));
      assert.match(await readFile(join(folder, 'Chart.lock'), 'utf8'), /version: 0\.2\.0/);
    });

    test('shows why it is refused, and what is not there', async () => {
      const wrong = ['--username', target.username, '--password', 'not the password'];
      const refused = await client.fail(['repo', 'add', 'wrong', urlOf('local'), ...wrong]);
      assert.match(refused, /401/);
      const missing = await client.fail(['repo', 'add', 'missing', urlOf('none'), ...login]);
      assert.match(missing, /404 There is no repository/);
      const gone = await client.fail(['pull', 'local/hello', '--version', '9.9.9']);
      assert.match(gone, /9\.9\.9/);
    });

    async function packageChart(version: string): Promise<string> {
      const folder = join(client.folder, version);
      const gnupg = join(client.folder, 'gnupg');
      const signing = ['--sign', '--key', 'Chart Tests', '--keyring', join(gnupg, 'secret.gpg')];
      await client.run(['package', join(folder, 'hello'), '-d', folder, ...(hasGpg ? signing : [])]);
      return join(folder, `hello-${version}.tgz`);
    }
  });
}

async function create(origin: string, authorization: string, repository: string, settings: object): Promise<void> {
  const answer = await fetch(`${origin}/artifactory/api/repositories/${repository}`, {
    method: 'PUT',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ key: repository, packageType: 'helm', ...settings }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

/** Keys in the old form of a key ring, which is what the client reads. */
function makeKeys(folder: string): void {
  mkdirSync(folder, { mode: 0o700 });
  const gpg = (args: readonly string[]) => {
    const result = spawnSync('gpg', ['--homedir', folder, '--batch', '--yes', '--passphrase', '', ...args]);
    assert.equal(result.status, 0, result.stderr.toString());
  };
  try {
    gpg(['--pinentry-mode', 'loopback', '--quick-generate-key', key, 'rsa2048', 'sign', 'never']);
    gpg(['--pinentry-mode', 'loopback', '--output', join(folder, 'secret.gpg'), '--export-secret-keys', key]);
    gpg(['--output', join(folder, 'public.gpg'), '--export', key]);
  } finally {
    spawnSync('gpgconf', ['--homedir', folder, '--kill', 'all']);
  }
}
