import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { writeChart } from './helm-chart.ts';
import { digestOf } from './oci-layout.ts';
import { listTags, requireManifest } from './registry-api.ts';
import { imageName, imagePath } from './target.ts';

/** One chart in three versions; OCI tags cannot hold the `+` of build metadata, which Helm writes as `_`. */
const versions = ['0.1.0', '0.2.0', '0.3.0+build.7'] as const;
const configType = 'application/vnd.cncf.helm.config.v1+json';
const chartType = 'application/vnd.cncf.helm.chart.content.v1.tar+gzip';

for (const name of ['helm3', 'helm4'] as const) {
  clientSuite(name, (client) => {
    const { target } = client;
    const repository = `oci://${imageName(name)}`;
    const path = imagePath(`${name}/hello`);

    before(async () => {
      for (const version of versions) await writeChart(join(client.folder, version, 'hello'), version);
    });

    const login = ['registry', 'login', '--plain-http', target.registry, '-u', target.username, '--password-stdin'];

    test('refuses a wrong password at login', async () => {
      const output = await client.fail(login, { input: 'not the password' });
      assert.match(output, /unauthorized|401/i);
    });

    test('logs in with the password', async () => {
      const { stdout, stderr } = await client.run(login, { input: target.password });
      assert.match(stdout + stderr, /Login Succeeded/);
    });

    test('pushes a chart and pulls the same archive', async () => {
      const archive = await packageChart('0.1.0');
      const push = await client.run(['push', '--plain-http', archive, repository]);
      const stored = await requireManifest(path, '0.1.0');
      assert.match(push.stdout + push.stderr, new RegExp(`Digest: ${stored.digest}`));
      const manifest = JSON.parse(stored.bytes.toString()) as {
        config: { mediaType: string };
        layers: { mediaType: string; digest: string }[];
      };
      assert.equal(manifest.config.mediaType, configType);
      const bytes = await readFile(archive);
      const [chart] = manifest.layers;
      assert.deepEqual([chart?.mediaType, chart?.digest], [chartType, digestOf(bytes)]);

      const pulled = join(client.folder, 'pulled');
      await mkdir(pulled);
      await client.run(['pull', '--plain-http', `${repository}/hello`, '--version', '0.1.0', '-d', pulled]);
      assert.deepEqual(await readFile(join(pulled, 'hello-0.1.0.tgz')), bytes);
    });

    test('pushes a version with build metadata under a tag with an underscore', async () => {
      await client.run(['push', '--plain-http', await packageChart('0.3.0+build.7'), repository]);
      assert.deepEqual(await listTags(path), ['0.1.0', '0.3.0_build.7']);
      const { stdout } = await client.run([
        ...['show', 'chart', '--plain-http', `${repository}/hello`, '--version', '0.3.0+build.7'],
      ]);
      assert.match(stdout, /^version: 0\.3\.0\+build\.7$/m);
    });

    test('finds the newest version of a range among the tags', async () => {
      await client.run(['push', '--plain-http', await packageChart('0.2.0'), repository]);
      const show = ['show', 'chart', '--plain-http', `${repository}/hello`, '--version'];
      const { stdout } = await client.run([...show, '>=0.1.0 <0.3.0']);
      assert.match(stdout, /^version: 0\.2\.0$/m);
    });

    test('renders the templates of a chart in the registry', async () => {
      const { stdout } = await client.run([
        'template',
        '--plain-http',
        'x',
        `${repository}/hello`,
        '--version',
        '0.2.0',
      ]);
      assert.match(stdout, /greeting: hello from 0\.2\.0/);
    });

    test('logs out, and is refused from then on', async () => {
      await client.run(['registry', 'logout', target.registry]);
      const show = ['show', 'chart', '--plain-http', `${repository}/hello`, '--version', '0.2.0'];
      assert.match(await client.fail(show), /unauthorized|401|authentication required|credential not found/i);
    });

    async function packageChart(version: string): Promise<string> {
      const folder = join(client.folder, version);
      await client.run(['package', join(folder, 'hello'), '-d', folder]);
      return join(folder, `hello-${version}.tgz`);
    }
  });
}
