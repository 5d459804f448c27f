import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { listTags, requireManifest } from './registry-api.ts';
import { imageName, imagePath } from './target.ts';

clientSuite(
  'podman',
  (client) => {
    const { target } = client;
    // The vfs driver needs neither overlay mounts nor user namespaces, so it works inside containers as well.
    const storage = [
      ...['--root', join(client.folder, 'root'), '--runroot', join(client.folder, 'runroot')],
      ...['--storage-driver', 'vfs'],
    ];
    const podman = (...args: string[]) => client.run([...storage, ...args]);
    const name = imageName('podman/built');
    const path = imagePath('podman/built');
    const context = join(client.folder, 'context');
    const login = [
      ...storage,
      'login',
      '--tls-verify=false',
      '-u',
      target.username,
      '--password-stdin',
      target.registry,
    ];

    before(async () => {
      await mkdir(context);
      await writeFile(join(context, 'hello.txt'), 'built by podman\n');
      await writeFile(join(context, 'Containerfile'), 'FROM scratch\nCOPY hello.txt /hello.txt\nLABEL kind="test"\n');
    });

    test('refuses a wrong password at login', async () => {
      const output = await client.fail(login, { input: 'not the password' });
      assert.match(output, /invalid username\/password|unauthorized/i);
    });

    test('logs in with the password', async () => {
      const { stdout } = await client.run(login, { input: target.password });
      assert.match(stdout, /Login Succeeded/);
    });

    test('builds an image from scratch, pushes it and pulls the same content', async () => {
      await podman('build', '--isolation', 'chroot', '--network', 'host', '-t', `${name}:v1`, context);
      const digestFile = join(client.folder, 'digest');
      await podman('push', '--tls-verify=false', '--digestfile', digestFile, `${name}:v1`);
      const stored = await requireManifest(path, 'v1');
      assert.equal(await readFile(digestFile, 'utf8'), stored.digest);

      await podman('rmi', '-f', `${name}:v1`);
      await podman('pull', '--tls-verify=false', `${name}:v1`);
      const { stdout } = await podman('image', 'inspect', '--format', '{{.Digest}} {{.Labels.kind}}', `${name}:v1`);
      assert.equal(stdout.trim(), `${stored.digest} test`);
      const mounted = await podman('image', 'mount', `${name}:v1`);
      assert.equal(await readFile(join(mounted.stdout.trim(), 'hello.txt'), 'utf8'), 'built by podman\n');
      await podman('image', 'unmount', `${name}:v1`);
    });

    test('pulls by digest', async () => {
      const { digest } = await requireManifest(path, 'v1');
      await podman('rmi', '-f', `${name}:v1`);
      await podman('pull', '--tls-verify=false', `${name}@${digest}`);
      const { stdout } = await podman('images', '--digests', '--format', '{{.Digest}}');
      assert.ok(stdout.split('\n').includes(digest), stdout);
    });

    test('assembles a manifest list from pushed images and pushes it', async () => {
      const list = imageName('podman/list');
      const { digest } = await requireManifest(path, 'v1');
      await podman('manifest', 'create', 'assembled');
      await podman('manifest', 'add', '--tls-verify=false', 'assembled', `docker://${name}:v1`);
      await podman('manifest', 'push', '--tls-verify=false', '--all', 'assembled', `docker://${list}:v1`);
      const stored = await requireManifest(imagePath('podman/list'), 'v1');
      assert.match(stored.mediaType, /image\.index|manifest\.list/);
      const { manifests } = JSON.parse(stored.bytes.toString()) as { manifests: { digest: string }[] };
      assert.deepEqual(
        manifests.map((manifest) => manifest.digest),
        [digest],
      );
    });

    test('lists the tags of an image, and searches the registry', async () => {
      const tags = await podman('search', '--tls-verify=false', '--list-tags', name);
      const rows = tags.stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/\s+/));
      assert.deepEqual(
        rows.slice(1),
        (await listTags(path)).map((tag) => [name, tag]),
      );
      const found = await podman(
        'search',
        '--tls-verify=false',
        '--limit',
        '100',
        '--format',
        '{{.Name}}',
        `${target.registry}/podman`,
      );
      assert.ok(found.stdout.split('\n').includes(name), found.stdout);
    });

    test('logs out, and is refused from then on', async () => {
      await client.run([...storage, 'logout', target.registry]);
      await podman('rmi', '-a', '-f');
      const output = await client.fail([...storage, 'pull', '--tls-verify=false', `${name}:v1`]);
      assert.match(output, /unauthorized|authentication required/i);
    });
  },
  { asRoot: true },
);
