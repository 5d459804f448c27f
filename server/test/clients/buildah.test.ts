import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { mediaTypes } from './oci-layout.ts';
import { requireManifest } from './registry-api.ts';
import { imageName, imagePath } from './target.ts';

clientSuite(
  'buildah',
  (client) => {
    const { target } = client;
    const storage = [
      ...['--root', join(client.folder, 'root'), '--runroot', join(client.folder, 'runroot')],
      ...['--storage-driver', 'vfs'],
    ];
    const buildah = (...args: string[]) => client.run([...storage, ...args]);
    const name = imageName('buildah/scratch');
    const login = [
      ...storage,
      'login',
      '--tls-verify=false',
      '-u',
      target.username,
      '--password-stdin',
      target.registry,
    ];

    test('refuses a wrong password at login', async () => {
      const output = await client.fail(login, { input: 'not the password' });
      assert.match(output, /invalid username\/password|unauthorized/i);
    });

    test('builds an image step by step, pushes it and pulls the same content', async () => {
      await client.run(login, { input: target.password });
      const file = join(client.folder, 'hello.txt');
      await writeFile(file, 'built by buildah\n');
      const container = (await buildah('from', 'scratch')).stdout.trim();
      await buildah('copy', container, file, '/hello.txt');
      await buildah('config', '--label', 'kind=test', '--cmd', '/hello', container);
      await buildah('commit', container, `${name}:v1`);
      const digestFile = join(client.folder, 'digest');
      await buildah('push', '--tls-verify=false', '--digestfile', digestFile, `${name}:v1`);
      const stored = await requireManifest(imagePath('buildah/scratch'), 'v1');
      assert.equal(await readFile(digestFile, 'utf8'), stored.digest);
      assert.equal(stored.mediaType, mediaTypes.manifest);

      await buildah('rmi', '-a', '-f');
      const pulled = (await buildah('from', '--tls-verify=false', `${name}:v1`)).stdout.trim();
      const mounted = (await buildah('mount', pulled)).stdout.trim();
      assert.equal(await readFile(join(mounted, 'hello.txt'), 'utf8'), 'built by buildah\n');
      await buildah('umount', pulled);
    });

    test('pushes the Docker schema 2 form of the same image', async () => {
      await buildah('push', '--tls-verify=false', '--format', 'v2s2', `${name}:v1`, `docker://${name}:docker`);
      const stored = await requireManifest(imagePath('buildah/scratch'), 'docker');
      assert.equal(stored.mediaType, mediaTypes.dockerManifest);
    });
  },
  { asRoot: true },
);
