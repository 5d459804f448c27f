import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { clientSuite, requireClient } from './client-suite.ts';
import { failCommand, runCommand, tryCommand } from './command.ts';
import { startDaemon } from './daemon.ts';
import { type Descriptor, mediaTypes } from './oci-layout.ts';
import { basicAuthorization, listTags, requireManifest } from './registry-api.ts';
import { imageName, imagePath } from './target.ts';

clientSuite(
  'buildkitd',
  (client) => {
    const { target } = client;
    const buildctl = requireClient('buildctl').path;
    const address = `unix://${join(client.folder, 'buildkit.sock')}`;
    const context = join(client.folder, 'context');

    const build = (...args: string[]) => [
      ...['--addr', address, 'build', '--progress', 'plain', '--frontend', 'dockerfile.v0'],
      ...['--local', `context=${context}`, '--local', `dockerfile=${context}`, ...args],
    ];
    const run = async (...args: string[]) =>
      await runCommand(buildctl, build(...args), { env: client.env, timeoutMs: 120_000 });

    async function writeCredentials(password: string): Promise<void> {
      const [, auth] = basicAuthorization(target.username, password).split(' ');
      const folder = join(client.folder, 'home/.docker');
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: { [target.registry]: { auth } } }));
    }

    before(async () => {
      await mkdir(context);
      await writeFile(join(context, 'hello.txt'), 'built by BuildKit\n');
      await writeFile(
        join(context, 'Dockerfile'),
        'FROM scratch\nCOPY hello.txt /hello.txt\nCOPY hello.txt /twice.txt\n',
      );
      const config = join(client.folder, 'buildkitd.toml');
      await writeFile(config, `[registry."${target.registry}"]\nhttp = true\n`);
      client.use(
        await startDaemon(
          client.path,
          [
            ...['--addr', address, '--root', join(client.folder, 'root'), '--config', config],
            ...['--containerd-worker=false', '--oci-worker=true', '--oci-worker-snapshotter=native'],
            ...['--oci-worker-net=host'],
          ],
          {
            env: client.env,
            logPath: join(client.folder, 'log'),
            isReady: async () =>
              (await tryCommand(buildctl, ['--addr', address, 'debug', 'workers'], { env: client.env })).code === 0,
          },
        ),
      );
    });

    test('reports a wrong password as unauthorized', async () => {
      await writeCredentials('not the password');
      const output = `type=image,name=${imageName('buildkit/multi')}:v1,push=true`;
      const printed = await failCommand(buildctl, build('--output', output), { env: client.env, timeoutMs: 120_000 });
      assert.match(printed, /401|unauthorized/i);
    });

    test('builds two platforms with provenance and pushes them as one index', async () => {
      await writeCredentials(target.password);
      await run(
        ...['--opt', 'platform=linux/amd64,linux/arm64', '--opt', 'attest:provenance=mode=max'],
        ...['--output', `type=image,name=${imageName('buildkit/multi')}:v1,push=true`],
      );
      const stored = await requireManifest(imagePath('buildkit/multi'), 'v1');
      assert.equal(stored.mediaType, mediaTypes.index);
      const { manifests } = JSON.parse(stored.bytes.toString()) as { manifests: Descriptor[] };
      assert.deepEqual(
        manifests.map(({ platform }) => `${platform?.os}/${platform?.architecture}`),
        ['linux/amd64', 'linux/arm64', 'unknown/unknown', 'unknown/unknown'],
      );
      for (const { digest } of manifests) {
        assert.equal((await requireManifest(imagePath('buildkit/multi'), digest)).digest, digest);
      }
      assert.deepEqual(await listTags(imagePath('buildkit/multi')), ['v1']);
    });

    test('pushes by digest only', async () => {
      const name = imageName('buildkit/by-digest');
      const metadata = join(client.folder, 'metadata.json');
      await run(
        ...['--output', `type=image,"name=${name}",push-by-digest=true,name-canonical=true,push=true`],
        ...['--metadata-file', metadata],
      );
      const told = JSON.parse(await readFile(metadata, 'utf8')) as Record<string, string>;
      const digest = told['containerimage.digest']!;
      assert.equal((await requireManifest(imagePath('buildkit/by-digest'), digest)).digest, digest);
      assert.deepEqual(await listTags(imagePath('buildkit/by-digest')), []);
    });

    for (const form of ['true', 'false']) {
      test(`exports its cache and builds from it again, image-manifest=${form}`, async () => {
        const path = `buildkit/cache-${form}`;
        const cache = `${imageName(path)}:buildcache`;
        await run('--export-cache', `type=registry,ref=${cache},mode=max,image-manifest=${form},oci-mediatypes=true`);
        const stored = await requireManifest(imagePath(path), 'buildcache');
        assert.equal(stored.mediaType, form === 'true' ? mediaTypes.manifest : mediaTypes.index);

        await runCommand(buildctl, ['--addr', address, 'prune', '--all'], { env: client.env });
        const again = await run('--import-cache', `type=registry,ref=${cache}`);
        assert.match(again.stderr, /importing cache manifest/);
        assert.match(again.stderr, /CACHED/);
        assert.doesNotMatch(again.stderr, /failed to configure registry cache importer/);
      });
    }
  },
  { needs: ['buildctl'], asRoot: true },
);
