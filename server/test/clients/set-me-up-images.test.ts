/** What the server tells people to set their clients up with, used as it is given: clients of images, and Helm. */
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Client, clientSuite, requireClient } from './client-suite.ts';
import { containerdSocket, startContainerd } from './containerd-daemon.ts';
import { engineSocket, startEngine } from './docker-daemon.ts';
import { buildMultiArchImage, type OciImage, writeLayout } from './oci-layout.ts';
import { SetUpWorld } from './setup-world.ts';

const IMAGE = { IMAGE_NAME: 'team/leaf', IMAGE_TAG: 'v1' };
const CHART = { CHART_NAME: 'leaf', CHART_VERSION: '0.1.0' };

function worldOf(client: Client, packageType: string, name: string): SetUpWorld {
  const world = new SetUpWorld(client, name);
  before(() => world.open(packageType));
  after(() => world.close());
  return world;
}

async function pushImage(world: SetUpWorld, skopeo: string, image: OciImage): Promise<void> {
  const desk = await world.desk('made', { skopeo: [skopeo] });
  await writeLayout(join(desk.folder, 'team/leaf'), image, 'v1');
  await world.run(desk, [
    world.snippet('skopeo', 'Sign in'),
    world.snippet('skopeo', 'Copy an image from a folder', IMAGE),
  ]);
}

clientSuite('skopeo', (client) => {
  const world = worldOf(client, 'docker', 'skopeo');

  test('signs in, pushes and pulls', async () => {
    const image = buildMultiArchImage('set up');
    await pushImage(world, client.path, image);
    const desk = await world.desk('pulled', { skopeo: [client.path, '--override-arch', 'amd64'] });
    await mkdir(join(desk.folder, 'team'));
    const { stdout, stderr } = await world.run(desk, [world.snippet('skopeo', 'Copy an image to a folder', IMAGE)]);
    assert.match(stdout + stderr, /Writing manifest to image destination/);
    assert.ok((await world.server.filesBelow(`${world.local}/team/leaf/v1`)).length > 0);
  });
});

clientSuite('podman', (client) => {
  const world = worldOf(client, 'docker', 'podman');

  test('signs in, pushes and pulls', async () => {
    // The vfs driver needs neither overlay mounts nor user namespaces, so it works inside containers as well.
    const storage = ['--root', join(client.folder, 'root'), '--runroot', join(client.folder, 'runroot')];
    const podman = [client.path, ...storage, '--storage-driver', 'vfs'];
    const desk = await world.desk('context', { podman });
    await writeFile(join(desk.folder, 'Containerfile'), 'FROM scratch\nCOPY Containerfile /file\n');
    const build = 'podman build --isolation chroot --network host -t team/leaf:v1 .\n';
    await world.run(desk, [
      { title: 'build', language: 'shell', code: build },
      world.snippet('podman', 'Sign in'),
      world.snippet('podman', 'Tag and push an image', IMAGE),
      { title: 'remove', language: 'shell', code: 'podman rmi --all --force\n' },
      world.snippet('podman', 'Pull an image', IMAGE),
    ]);
    assert.ok((await world.server.filesBelow(world.local)).includes('/team/leaf/v1/manifest.json'));
  });
});

clientSuite(
  'dockerd20',
  (client) => {
    const world = worldOf(client, 'docker', 'docker');
    before(() => startEngine(client, 'classic'));

    test('signs in, pushes and pulls', async () => {
      const env = { DOCKER_HOST: `unix://${engineSocket(client)}`, DOCKER_BUILDKIT: '0' };
      const desk = await world.desk('context', { docker: [requireClient('docker20').path] }, env);
      await writeFile(join(desk.folder, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /file\nCMD ["/file"]\n');
      await world.run(desk, [
        { title: 'build', language: 'shell', code: 'docker build -t team/leaf:v1 .\n' },
        world.snippet('docker', 'Sign in'),
        world.snippet('docker', 'Tag and push an image', IMAGE),
        { title: 'remove', language: 'shell', code: 'docker rmi --force $(docker images -q)\n' },
        world.snippet('docker', 'Pull an image', IMAGE),
      ]);
      assert.ok((await world.server.filesBelow(world.local)).includes('/team/leaf/v1/manifest.json'));
    });
  },
  { needs: ['docker20', 'containerd'], asRoot: true },
);

clientSuite('oras', (client) => {
  const world = worldOf(client, 'oci', 'oras');
  const open = { ...IMAGE, FILE_NAME: 'file.txt' };

  test('signs in, publishes a file and downloads it', async () => {
    const made = await world.desk('made', { oras: [client.path] });
    await writeFile(join(made.folder, 'file.txt'), 'set up\n');
    await world.run(made, [
      world.snippet('oras', 'Sign in'),
      world.snippet('oras', 'Publish a file as an artifact', open),
    ]);
    const pulled = await world.desk('pulled', { oras: [client.path] });
    await world.run(pulled, [world.snippet('oras', 'Download the files of an artifact', open)]);
    assert.equal(await readFile(join(pulled.folder, 'file.txt'), 'utf8'), 'set up\n');
  });
});

for (const [name, other] of [
  ['containerd', undefined],
  ['containerd2', 'ctr2'],
] as const) {
  clientSuite(
    name,
    (client) => {
      const world = worldOf(client, 'docker', name);
      const ctr = other === undefined ? join(dirname(client.path), 'ctr') : requireClient(other).path;
      const home = join(client.folder, 'daemon');
      before(
        async () => void client.use(await startContainerd({ containerd: client.path, ctr, home, env: client.env })),
      );

      test('pulls images that are named after another registry', async () => {
        const image = buildMultiArchImage(`set up ${name}`);
        await pushImage(world, requireClient('skopeo').path, image);
        const open = { ...IMAGE, MIRRORED_REGISTRY: 'mirrored.invalid' };
        const desk = await world.desk('pull', { ctr: [ctr, '-a', containerdSocket(home)] });
        const settings = world.snippet('containerd', 'Ask this repository for the images of another registry', open);
        // What belongs to the machine lies in a folder of the test.
        await world.write(desk, { ...settings, file: settings.file?.replace('/etc/', 'etc/') ?? '' });
        const pull = world.snippet('containerd', 'Pull an image', open);
        const code = pull.code.replace('/etc/', `${desk.folder}/etc/`).replace(' pull ', ' pull --snapshotter native ');
        await world.run(desk, [{ ...pull, code }]);
        const list = { title: 'list', language: 'shell', code: 'ctr images ls -q\n' };
        assert.equal((await world.run(desk, [list])).stdout, 'mirrored.invalid/team/leaf:v1\n');
      });
    },
    { needs: other === undefined ? ['skopeo'] : ['skopeo', other], asRoot: true },
  );
}

async function writeChart(folder: string, version: string, more = ''): Promise<void> {
  await mkdir(join(folder, 'templates'), { recursive: true });
  await writeFile(join(folder, 'Chart.yaml'), `apiVersion: v2\nname: leaf\nversion: ${version}\n${more}`);
  await writeFile(
    join(folder, 'templates/config.yaml'),
    `apiVersion: v1\nkind: ConfigMap\ndata: { at: "${version}" }\n`,
  );
}

for (const name of ['helm3', 'helm4'] as const) {
  clientSuite(name, (client) => {
    const commands = { helm: [client.path] };
    const registry = worldOf(client, 'helmoci', `${name}-oci`);
    const world = worldOf(client, 'helm', name);
    /** A cluster is not there to install anything in, so what would be installed is shown. */
    const shown = (snippet: ReturnType<SetUpWorld['snippet']>) => ({
      ...snippet,
      code: snippet.code.replace('helm install', 'helm template'),
    });

    test('signs in to a registry, publishes a chart and installs it', async () => {
      const desk = await registry.desk('registry', commands);
      await writeChart(join(desk.folder, 'leaf'), '0.1.0');
      const { stdout } = await registry.run(desk, [
        registry.snippet('helm', 'Sign in'),
        registry.snippet('helm', 'Package and publish the chart of a folder', CHART),
        registry.snippet('helm', 'Download a chart', CHART),
        shown(registry.snippet('helm', 'Install a chart', { ...CHART, RELEASE_NAME: 'mine' })),
      ]);
      assert.match(stdout, /at: "0\.1\.0"/);
    });

    test('publishes a chart to a repository with an index, finds and installs it', async () => {
      const desk = await world.desk('classic', commands);
      await writeChart(join(desk.folder, 'leaf'), '0.1.0');
      const pack = { title: 'package', language: 'shell', code: 'helm package leaf\n' };
      const { stdout } = await world.run(desk, [
        world.snippet('helm', 'Add the repository'),
        pack,
        world.snippet('helm', 'Publish a chart', CHART),
        world.snippet('helm', 'See what there is'),
        world.snippet('helm', 'Download a chart', CHART),
        shown(world.snippet('helm', 'Install a chart', { ...CHART, RELEASE_NAME: 'mine' })),
      ]);
      assert.match(stdout, new RegExp(`${world.key}/leaf\\s+0\\.1\\.0`));
      assert.match(stdout, /at: "0\.1\.0"/);
    });

    test('depends on a chart of the repository', async () => {
      const desk = await world.desk('parent', commands);
      const { code } = world.snippet('helm', 'Let a chart depend on one of this repository', CHART);
      await writeChart(desk.folder, '2.0.0', code);
      await world.run(desk, [{ title: 'update', language: 'shell', code: 'helm dependency update\n' }]);
      await readFile(join(desk.folder, 'charts/leaf-0.1.0.tgz'));
    });
  });

  clientSuite(
    'cm-push',
    (client) => {
      const world = worldOf(client, 'helm', `cm-${name}`);

      test(`publishes a chart by the plugin of ${name}`, async () => {
        // The plugin as it is when it was installed.
        const plugins = join(client.folder, 'plugins');
        await mkdir(join(plugins, 'cm-push/bin'), { recursive: true });
        await cp(client.path, join(plugins, 'cm-push/bin/helm-cm-push'));
        const about = 'name: "cm-push"\nversion: "0.11.1"\nusage: "usage"\ndescription: "Pushes charts"\n';
        await writeFile(join(plugins, 'cm-push/plugin.yaml'), `${about}command: "$HELM_PLUGIN_DIR/bin/helm-cm-push"\n`);
        const desk = await world.desk('push', { helm: [requireClient(name).path] }, { HELM_PLUGINS: plugins });
        await writeChart(join(desk.folder, 'leaf'), '0.1.0');
        await world.run(desk, [
          world.snippet('cm-push', 'Add the repository'),
          world.snippet('cm-push', 'Package and publish the chart of a folder', CHART),
        ]);
        assert.deepEqual(await world.server.filesBelow(world.local), ['/leaf-0.1.0.tgz']);
      });
    },
    { needs: [name] },
  );
}
