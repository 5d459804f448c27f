/** Real clients through remote and virtual repositories, with upstreams that are there and that are gone. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Client, clientSuite, openClient, requireClient } from './client-suite.ts';
import { buildMultiArchImage, type MultiArchImage, writeLayout } from './oci-layout.ts';
import { listTags, pushImage, requireManifest } from './registry-api.ts';
import { assertLayoutHolds, assertRegistryHolds } from './round-trip.ts';
import { requireTarget } from './target.ts';
import { createRepository, startDebianUpstream, startEntrepotUpstream, type UpstreamRegistry } from './upstreams.ts';

const run = Math.random().toString(36).slice(2, 8);

/** What one client does with an image, by its full name. */
interface Puller {
  login(): Promise<void>;
  /** Pulls everything of the image and checks the bytes. */
  pull(reference: string, image: MultiArchImage): Promise<void>;
  push(image: MultiArchImage, reference: string): Promise<void>;
}

clientSuite(
  'skopeo',
  (client) => {
    const { target } = client;
    const upstreams: UpstreamRegistry[] = [];
    const image = buildMultiArchImage(`pull-through-${run}`);
    const other = buildMultiArchImage(`pull-through-other-${run}`);
    const own = buildMultiArchImage(`pull-through-own-${run}`);
    const repositories = { local: `through-local-${run}`, virtual: `through-virtual-${run}` };
    const remoteOf = (upstream: UpstreamRegistry) =>
      `through-${upstream.name === 'Entrepot' ? 'far' : 'debian'}-${run}`;
    const nameIn = (repository: string, name: string) => `${target.registry}/${repository}/${name}`;
    const crane = craneOf(openOther('crane'));
    const oras = orasOf(openOther('oras'));
    const podman = podmanOf(openOther('podman'));
    const skopeo = skopeoOf(client);
    const pullers: readonly (readonly [string, Puller])[] = [
      ['skopeo', skopeo],
      ['crane', crane],
      ['oras', oras],
      ['podman', podman],
    ];

    before(async () => {
      upstreams.push(await startEntrepotUpstream());
      const debian = await startDebianUpstream();
      if (debian) upstreams.push(debian);
      await createRepository(repositories.local, { rclass: 'local' });
      for (const upstream of upstreams) {
        await createRepository(remoteOf(upstream), { rclass: 'remote', ...upstream.settings });
        await upstream.push('team/app', 'v1', image);
        await upstream.push('team/app', 'v2', other);
        await upstream.push(`only/${remoteOf(upstream)}`, 'v1', other);
      }
      await createRepository(repositories.virtual, {
        rclass: 'virtual',
        repositories: [repositories.local, ...upstreams.map(remoteOf)],
        defaultDeploymentRepo: repositories.local,
      });
      await pushImage(`${repositories.local}/own/app`, 'v1', own);
      for (const [, puller] of pullers) await puller.login();
    });
    after(async () => {
      for (const upstream of upstreams) await upstream[Symbol.asyncDispose]();
    });

    for (const [name, puller] of pullers) {
      test(`${name} pulls by tag and by digest through a remote repository`, async () => {
        for (const upstream of upstreams) {
          const path = nameIn(remoteOf(upstream), 'team/app');
          await puller.pull(`${path}:v1`, image);
          await puller.pull(`${path}@${image.root.digest}`, image);
        }
      });

      test(`${name} pulls local and remote images through a virtual repository`, async () => {
        await puller.pull(`${nameIn(repositories.virtual, 'own/app')}:v1`, own);
        await puller.pull(`${nameIn(repositories.virtual, 'team/app')}:v2`, other);
        for (const upstream of upstreams) {
          await puller.pull(`${nameIn(repositories.virtual, `only/${remoteOf(upstream)}`)}:v1`, other);
        }
      });

      test(`${name} pushes through the virtual repository, to its default`, async () => {
        const pushed = buildMultiArchImage(`pushed-by-${name}-${run}`);
        await puller.push(pushed, `${nameIn(repositories.virtual, `pushed/${name}`)}:v1`);
        const stored = await requireManifest(`${repositories.local}/pushed/${name}`, 'v1');
        await puller.pull(`${nameIn(repositories.virtual, `pushed/${name}`)}@${stored.digest}`, {
          ...pushed,
          root: { ...pushed.root, digest: stored.digest },
        });
      });
    }

    test('an image of a remote repository is copied to a name of our own, with what it shares', async () => {
      for (const upstream of upstreams) {
        const from = nameIn(repositories.virtual, `only/${remoteOf(upstream)}`);
        const to = `copied/${remoteOf(upstream)}`;
        await client.run([
          ...['copy', '--all', '--preserve-digests', '--src-tls-verify=false', '--dest-tls-verify=false'],
          ...[`docker://${from}:v1`, `docker://${nameIn(repositories.virtual, to)}:v1`],
        ]);
        await assertRegistryHolds(`${repositories.local}/${to}`, 'v1', other);
      }
    });

    test('tags of the upstream are listed', async () => {
      for (const upstream of upstreams) {
        assert.deepEqual(await listTags(`${remoteOf(upstream)}/team/app`), ['v1', 'v2']);
      }
      assert.deepEqual(await listTags(`${repositories.virtual}/team/app`), ['v1', 'v2']);
    });

    test('with all upstreams gone, what was pulled still is, and pushes through the virtual repository go on', async () => {
      for (const upstream of upstreams) await upstream.stop();
      for (const [name, puller] of pullers) {
        const pushed = buildMultiArchImage(`pushed-meanwhile-by-${name}-${run}`);
        const path = `pushed-meanwhile/${name}`;
        await puller.push(pushed, `${nameIn(repositories.virtual, path)}:v1`);
        const { digest } = await requireManifest(`${repositories.local}/${path}`, 'v1');
        await puller.pull(`${nameIn(repositories.virtual, path)}@${digest}`, {
          ...pushed,
          root: { ...pushed.root, digest },
        });
      }
      for (const [, puller] of pullers) {
        for (const upstream of upstreams) {
          await puller.pull(`${nameIn(remoteOf(upstream), 'team/app')}:v1`, image);
          await puller.pull(`${nameIn(repositories.virtual, `only/${remoteOf(upstream)}`)}:v1`, other);
        }
        await puller.pull(`${nameIn(repositories.virtual, 'team/app')}:v2`, other);
      }
      const missing = await client.fail([
        ...['inspect', '--tls-verify=false', '--retry-times', '0'],
        `docker://${nameIn(remoteOf(upstreams[0] ?? assert.fail()), 'never/pulled')}:v1`,
      ]);
      assert.doesNotMatch(missing, /unauthorized|denied/i);
    });
  },
  { needs: ['crane', 'oras', 'podman'], asRoot: true },
);

function openOther(name: 'crane' | 'oras' | 'podman'): Client {
  const { path, version } = requireClient(name);
  return openClient(path, version);
}

let pulls = 0;
function freshFolder(client: Client): string {
  pulls += 1;
  return join(client.folder, `pulled-${pulls}`);
}

async function layoutOf(client: Client, image: MultiArchImage): Promise<string> {
  const folder = freshFolder(client);
  await writeLayout(folder, image, 'v1');
  return folder;
}

function skopeoOf(client: Client): Puller {
  const { username, password, registry } = requireTarget();
  return {
    async login() {
      const args = ['login', '--tls-verify=false', '-u', username, '--password-stdin', registry];
      await client.run(args, { input: password });
    },
    async pull(reference, image) {
      const to = freshFolder(client);
      const options = ['copy', '--all', '--preserve-digests', '--src-tls-verify=false'];
      await client.run([...options, `docker://${reference}`, `oci:${to}:v1`]);
      await assertLayoutHolds(to, image);
    },
    async push(image, reference) {
      const options = ['copy', '--all', '--preserve-digests', '--dest-tls-verify=false'];
      await client.run([...options, `oci:${await layoutOf(client, image)}:v1`, `docker://${reference}`]);
    },
  };
}

function craneOf(client: Client): Puller {
  const { username, password, registry } = requireTarget();
  return {
    async login() {
      await client.run(['auth', 'login', registry, '-u', username, '--password-stdin'], { input: password });
    },
    async pull(reference, image) {
      const to = freshFolder(client);
      await client.run(['pull', '--format=oci', reference, to]);
      await assertLayoutHolds(to, image);
    },
    async push(image, reference) {
      await client.run(['push', await layoutOf(client, image), reference]);
    },
  };
}

function orasOf(client: Client): Puller {
  const { username, password, registry } = requireTarget();
  return {
    async login() {
      const args = ['login', '--plain-http', registry, '-u', username, '--password-stdin'];
      await client.run(args, { input: password });
    },
    async pull(reference, image) {
      const to = freshFolder(client);
      await client.run(['cp', '--from-plain-http', reference, '--to-oci-layout', `${to}:v1`]);
      await assertLayoutHolds(to, image);
    },
    async push(image, reference) {
      const from = `${await layoutOf(client, image)}:v1`;
      await client.run(['cp', '--from-oci-layout', from, '--to-plain-http', reference]);
    },
  };
}

/** Pulls one platform into its own store, as people do, and pushes what skopeo would. */
function podmanOf(client: Client): Puller {
  const { username, password, registry } = requireTarget();
  const storage = [
    ...['--root', join(client.folder, 'root'), '--runroot', join(client.folder, 'runroot')],
    ...['--storage-driver', 'vfs'],
  ];
  return {
    async login() {
      const args = [...storage, 'login', '--tls-verify=false', '-u', username, '--password-stdin', registry];
      await client.run(args, { input: password });
    },
    async pull(reference, image) {
      await client.run([...storage, 'pull', '--tls-verify=false', '--platform', 'linux/amd64', reference]);
      const { stdout } = await client.run([...storage, 'image', 'inspect', '--format', '{{.Digest}}', reference]);
      const known = [image.root.digest, ...image.children.map(({ digest }) => digest)];
      assert.ok(known.includes(stdout.trim()), stdout);
      await client.run([...storage, 'rmi', '-f', reference]);
    },
    async push(image, reference) {
      const name = `pushed-${freshFolder(client).split('-').at(-1)}`;
      await client.run([...storage, 'manifest', 'create', name]);
      const from = `oci:${await layoutOf(client, image)}:v1`;
      await client.run([...storage, 'manifest', 'add', '--all', name, from]);
      await client.run([...storage, 'manifest', 'push', '--tls-verify=false', '--all', name, `docker://${reference}`]);
    },
  };
}
