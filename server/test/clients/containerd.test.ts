import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, test } from 'node:test';
import { clientSuite, requireClient } from './client-suite.ts';
import { type CommandResult, failCommand, runCommand } from './command.ts';
import { containerdSocket, startContainerd } from './containerd-daemon.ts';
import { buildMultiArchImage, digestOf, writeLayout } from './oci-layout.ts';
import { assertRegistryHolds } from './round-trip.ts';
import { MIRRORED } from './server-under-test.ts';
import { imageName, imagePath } from './target.ts';

/** containerd brings its own ctr, which the module of version 2 builds as a program of its own. */
const generations = { containerd: undefined, containerd2: 'ctr2' } as const;

for (const generation of ['containerd', 'containerd2'] as const) {
  const other = generations[generation];
  clientSuite(
    generation,
    (client) => {
      const { target } = client;
      const ctr = other === undefined ? join(dirname(client.path), 'ctr') : requireClient(other).path;
      const image = buildMultiArchImage(generation);
      const name = `${imageName(`${generation}/multi`)}:v1`;
      const access = ['--plain-http', '--user', `${target.username}:${target.password}`];
      // The pulling daemon has a content store of its own, so everything it holds came from the registry.
      const pusher = join(client.folder, 'pusher');
      const puller = join(client.folder, 'puller');

      const ctrArguments = (home: string, args: readonly string[]) => ['-a', containerdSocket(home), ...args];

      async function run(home: string, ...args: string[]): Promise<CommandResult> {
        return await runCommand(ctr, ctrArguments(home, args), { env: client.env });
      }

      before(async () => {
        for (const home of [pusher, puller]) {
          client.use(await startContainerd({ containerd: client.path, ctr, home, env: client.env }));
        }
        const layout = join(client.folder, 'source');
        await writeLayout(layout, image, 'v1');
        const archive = join(client.folder, 'source.tar');
        await runCommand('tar', ['-C', layout, '-cf', archive, '.']);
        await run(pusher, 'images', 'import', '--all-platforms', '--no-unpack', '--base-name', 'source', archive);
        await run(pusher, 'images', 'tag', 'source:v1', name);
      });

      test('reports a wrong password as unauthorized', async () => {
        const push = ['images', 'push', '--plain-http', '--user', `${target.username}:not the password`, name];
        assert.match(await failCommand(ctr, ctrArguments(pusher, push), { env: client.env }), /401|unauthorized/i);
      });

      test('pushes a multi-architecture image with attestations', async () => {
        await run(pusher, 'images', 'push', ...access, name);
        await assertRegistryHolds(imagePath(`${generation}/multi`), 'v1', image);
      });

      test('pushes it again without sending anything', async () => {
        await run(pusher, 'images', 'push', ...access, name);
        await assertRegistryHolds(imagePath(`${generation}/multi`), 'v1', image);
      });

      test('refuses to resolve an image without credentials', async () => {
        const pull = ['images', 'pull', '--plain-http', '--snapshotter', 'native', name];
        assert.match(
          await failCommand(ctr, ctrArguments(puller, pull), { env: client.env }),
          /401|unauthorized|denied/i,
        );
      });

      test('pulls from this server as from a mirror of another registry', async (t) => {
        const path = imagePath(`${generation}/multi`).slice(target.repository.length + 1);
        const asked = await fetch(new URL(`/v2/${path}/manifests/v1?ns=${MIRRORED}`, target.url));
        if (asked.headers.get('oci-namespace') === null) {
          t.skip('the server under test is no mirror');
          return;
        }
        const hosts = join(client.folder, 'hosts');
        await mkdir(join(hosts, MIRRORED), { recursive: true });
        // The registry itself is nowhere: what comes can only come from the mirror.
        const settings = `server = "http://127.0.0.1:1"\n[host."http://${target.registry}"]\n  capabilities = ["pull", "resolve"]\n`;
        await writeFile(join(hosts, MIRRORED, 'hosts.toml'), settings);
        const credentials = ['--user', `${target.username}:${target.password}`];
        const reference = `${MIRRORED}/${path}:v1`;
        await run(puller, 'content', 'fetch', '--hosts-dir', hosts, ...credentials, '--all-platforms', reference);
        const { stdout } = await run(puller, 'images', 'ls', `name==${reference}`);
        assert.match(stdout, new RegExp(image.root.digest));
      });

      test('pulls and unpacks the image of the own platform', async () => {
        await run(puller, 'images', 'pull', ...access, '--snapshotter', 'native', name);
        const check = await run(puller, 'images', 'check', '--snapshotter', 'native');
        assert.match(check.stdout, new RegExp(`${image.root.digest}\\s+complete .* true`));
        const mounted = join(client.folder, 'mounted');
        await mkdir(mounted);
        await run(puller, 'images', 'mount', '--snapshotter', 'native', name, mounted);
        assert.equal(
          await readFile(join(mounted, 'hello'), 'utf8'),
          `${generation} for ${process.arch === 'x64' ? 'amd64' : process.arch}\n`,
        );
        await run(puller, 'images', 'unmount', mounted);
      });

      test('fetches all platforms and attestations with the digests that were pushed', async () => {
        await run(puller, 'content', 'fetch', ...access, '--all-platforms', name);
        const listed = (await run(puller, 'content', 'ls', '-q')).stdout.trim().split('\n');
        assert.deepEqual(listed.sort(), [...image.blobs.keys()].sort());
        for (const digest of image.blobs.keys()) {
          const { stdout } = await runCommand(ctr, ctrArguments(puller, ['content', 'get', digest]), {
            env: client.env,
            encoding: 'latin1',
          });
          assert.equal(digestOf(Buffer.from(stdout, 'latin1')), digest);
        }
      });

      test('pulls by digest', async () => {
        const byDigest = `${imageName(`${generation}/multi`)}@${image.root.digest}`;
        await run(puller, 'images', 'pull', ...access, '--snapshotter', 'native', byDigest);
        const { stdout } = await run(puller, 'images', 'ls', `name==${byDigest}`);
        assert.match(stdout, new RegExp(image.root.digest));
      });
    },
    { needs: other === undefined ? [] : [other], asRoot: true },
  );
}
