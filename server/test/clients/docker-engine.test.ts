import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { clientSuite, requireClient } from './client-suite.ts';
import { failCommand, runCommand } from './command.ts';
import { engineSocket, startEngine, startOwnContainerd } from './docker-daemon.ts';
import { buildMultiArchImage, mediaTypes, writeLayout } from './oci-layout.ts';
import { listTags, pushImage, requireManifest } from './registry-api.ts';
import { assertRegistryHolds } from './round-trip.ts';
import { imageName, imagePath } from './target.ts';
import { createRepository, startEntrepotUpstream } from './upstreams.ts';

const run = Math.random().toString(36).slice(2, 8);

/*
 * Engines with all they have in a folder of the test: no bridge, no firewall rules, and a storage driver that needs no
 * overlay mounts. 20.10 keeps images in Docker's classic store, 29 in containerd's. One command line drives both.
 */
const engines = {
  dockerd20: { needs: ['docker20', 'containerd'], store: 'classic', manifestType: mediaTypes.dockerManifest },
  dockerd29: { needs: ['docker20', 'containerd2', 'ctr2'], store: 'containerd', manifestType: mediaTypes.manifest },
} as const;

for (const engine of ['dockerd20', 'dockerd29'] as const) {
  const { needs, store, manifestType } = engines[engine];
  clientSuite(
    engine,
    (client) => {
      const { target } = client;
      const cli = requireClient('docker20').path;
      const env = { ...client.env, DOCKER_HOST: `unix://${engineSocket(client)}`, DOCKER_BUILDKIT: '0' };
      const docker = (...args: string[]) => runCommand(cli, args, { env, timeoutMs: 120_000 });
      const name = imageName(`${engine}/built`);
      const login = ['login', '-u', target.username, '--password-stdin', target.registry];

      before(async () => {
        if (store === 'containerd') await startOwnContainerd(client);
        await startEngine(client, store);
        const context = join(client.folder, 'context');
        await mkdir(context);
        await writeFile(join(context, 'hello.txt'), `built by ${engine}\n`);
        await writeFile(join(context, 'Dockerfile'), 'FROM scratch\nCOPY hello.txt /hello.txt\nCMD ["/hello"]\n');
        await docker('build', '-t', `${name}:v1`, context);
      });

      test('refuses a wrong password at login', async () => {
        const output = await failCommand(cli, login, { env, input: 'not the password' });
        assert.match(output, /401 Unauthorized|incorrect username or password|unauthorized/i);
      });

      test('logs in with the password', async () => {
        const { stdout } = await runCommand(cli, login, { env, input: target.password });
        assert.match(stdout, /Login Succeeded/);
      });

      test('pushes what it built', async () => {
        const { stdout } = await docker('push', `${name}:v1`);
        const stored = await requireManifest(imagePath(`${engine}/built`), 'v1');
        assert.match(stdout, new RegExp(`v1: digest: ${stored.digest} size: ${stored.bytes.length}`));
        assert.equal(stored.mediaType, manifestType);
      });

      test('pushes the same layers to another image without sending them', async () => {
        const other = imageName(`${engine}/other`);
        await docker('tag', `${name}:v1`, `${other}:v1`);
        const { stdout } = await docker('push', `${other}:v1`);
        if (store === 'classic') assert.match(stdout, /Mounted from .*\/built/);
        const [first, second] = await Promise.all(
          ['built', 'other'].map(async (each) => await requireManifest(imagePath(`${engine}/${each}`), 'v1')),
        );
        assert.equal(second?.digest, first?.digest);
      });

      test('pulls what it pushed into an empty store', async () => {
        const { digest } = await requireManifest(imagePath(`${engine}/built`), 'v1');
        await docker('rmi', '-f', `${name}:v1`, `${imageName(`${engine}/other`)}:v1`);
        const { stdout } = await docker('pull', `${name}:v1`);
        assert.match(stdout, new RegExp(`Digest: ${digest}`));
        const container = (await docker('create', `${name}:v1`)).stdout.trim();
        const copied = join(client.folder, 'hello.txt');
        await docker('cp', `${container}:/hello.txt`, copied);
        assert.equal(await readFile(copied, 'utf8'), `built by ${engine}\n`);
        await docker('rm', container);
      });

      test('pulls by digest', async () => {
        const { digest } = await requireManifest(imagePath(`${engine}/built`), 'v1');
        await docker('rmi', '-f', `${name}:v1`);
        const { stdout } = await docker('pull', `${name}@${digest}`);
        assert.match(stdout, new RegExp(`Digest: ${digest}`));
      });

      test('pulls local and remote images through a virtual repository, and pushes to its default', async () => {
        const keys = { local: `${engine}-own-${run}`, remote: `${engine}-far-${run}`, virtual: `${engine}-all-${run}` };
        await using upstream = await startEntrepotUpstream();
        const image = buildMultiArchImage(`${engine} far away`);
        await upstream.push('far/app', 'v1', image);
        await createRepository(keys.local, { rclass: 'local' });
        await createRepository(keys.remote, { rclass: 'remote', ...upstream.settings });
        await createRepository(keys.virtual, {
          rclass: 'virtual',
          repositories: [keys.local, keys.remote],
          defaultDeploymentRepo: keys.local,
        });
        const far = `${target.registry}/${keys.virtual}/far/app`;
        assert.match((await docker('pull', `${far}:v1`)).stdout, new RegExp(`Digest: ${image.root.digest}`));
        await docker('rmi', '-f', `${far}:v1`);
        const own = `${target.registry}/${keys.virtual}/own/app:v1`;
        await docker('pull', `${name}:v1`);
        await docker('tag', `${name}:v1`, own);
        await docker('push', own);
        const { digest } = await requireManifest(`${keys.local}/own/app`, 'v1');
        await docker('rmi', '-f', own);
        assert.match((await docker('pull', own)).stdout, new RegExp(`Digest: ${digest}`));
        await upstream.stop();
        const meanwhile = `${target.registry}/${keys.virtual}/own/meanwhile:v1`;
        await docker('tag', `${name}:v1`, meanwhile);
        await docker('push', meanwhile);
        assert.equal((await requireManifest(`${keys.local}/own/meanwhile`, 'v1')).digest, digest);
        assert.match(
          (await docker('pull', `${far}@${image.root.digest}`)).stdout,
          new RegExp(`Digest: ${image.root.digest}`),
        );
      });

      test('picks its own platform out of a multi-architecture image with attestations', async () => {
        const image = buildMultiArchImage(engine);
        await pushImage(imagePath(`${engine}/multi`), 'v1', image);
        const multi = `${imageName(`${engine}/multi`)}:v1`;
        const { stdout } = await docker('pull', multi);
        assert.match(stdout, new RegExp(`Digest: ${image.root.digest}`));
        const { stdout: platform } = await docker('image', 'inspect', '--format', '{{.Os}}/{{.Architecture}}', multi);
        assert.equal(platform.trim(), `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`);
      });

      test('pushes a whole multi-architecture image', {
        skip: store === 'classic' ? 'the classic store keeps one platform only' : false,
      }, async () => {
        const image = buildMultiArchImage(`${engine} loaded`);
        const layout = join(client.folder, 'layout');
        const loaded = `${imageName(`${engine}/loaded`)}:v1`;
        // The engine takes the entry's annotation for the image's whole name.
        await writeLayout(layout, image, loaded);
        const archive = join(client.folder, 'layout.tar');
        await runCommand('tar', ['-C', layout, '-cf', archive, '.']);
        await docker('load', '-i', archive);
        await docker('push', loaded);
        await assertRegistryHolds(imagePath(`${engine}/loaded`), 'v1', image);
      });

      test('assembles a manifest list with the command line alone', {
        skip: store === 'containerd' ? 'the command line of 20.10 reads no OCI manifests' : false,
      }, async () => {
        const list = `${imageName(`${engine}/list`)}:v1`;
        await docker('manifest', 'create', '--insecure', list, `${name}:v1`);
        await docker('manifest', 'push', '--insecure', list);
        const stored = await requireManifest(imagePath(`${engine}/list`), 'v1');
        assert.ok([mediaTypes.dockerList, mediaTypes.index].includes(stored.mediaType as never), stored.mediaType);
        const { stdout } = await docker('manifest', 'inspect', '--insecure', list);
        const { digest } = await requireManifest(imagePath(`${engine}/built`), 'v1');
        assert.equal((JSON.parse(stdout) as { manifests: { digest: string }[] }).manifests[0]?.digest, digest);
      });

      test('pushes all tags of an image', async () => {
        const tags = imageName(`${engine}/tags`);
        await docker('pull', `${name}:v1`);
        for (const tag of ['1', '1.0', 'latest']) await docker('tag', `${name}:v1`, `${tags}:${tag}`);
        await docker('push', '--all-tags', tags);
        assert.deepEqual(await listTags(imagePath(`${engine}/tags`)), ['1', '1.0', 'latest']);
      });

      test('searches the registry', async () => {
        const { stdout } = await docker('search', `${target.registry}/${engine}`);
        assert.ok(stdout.includes(`${engine}/built`), stdout);
      });

      test('logs out, and is refused from then on', async () => {
        await docker('logout', target.registry);
        const output = await failCommand(cli, ['pull', `${name}:v1`], { env });
        assert.match(output, /unauthorized|no basic auth credentials|authentication required|login prior to pull|401/i);
      });
    },
    { needs, asRoot: true },
  );
}
