import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { clientSuite, requireClient } from './client-suite.ts';
import { runCommand } from './command.ts';
import { buildImage, buildLayer } from './oci-layout.ts';
import { pushImage, requireManifest } from './registry-api.ts';
import { imageName, imagePath } from './target.ts';

clientSuite(
  'umoci',
  (client) => {
    const { username, password } = client.target;

    // umoci edits layouts and leaves the transport to skopeo.
    test('unpacks a pulled image and repacks it with a file more', async () => {
      const skopeo = requireClient('skopeo').path;
      const copy = (...args: string[]) => runCommand(skopeo, ['copy', ...args], { env: client.env });
      const layout = join(client.folder, 'layout');
      const bundle = join(client.folder, 'bundle');
      const name = imageName('umoci/edited');
      const image = buildImage([buildLayer({ 'hello.txt': 'before\n' })], { os: 'linux', architecture: 'amd64' });
      await pushImage(imagePath('umoci/edited'), 'v1', image);

      const credentials = `${username}:${password}`;
      await copy('--src-tls-verify=false', '--src-creds', credentials, `docker://${name}:v1`, `oci:${layout}:v1`);
      await client.run(['unpack', '--image', `${layout}:v1`, bundle]);
      assert.equal(await readFile(join(bundle, 'rootfs/hello.txt'), 'utf8'), 'before\n');
      await writeFile(join(bundle, 'rootfs/more.txt'), 'after\n');
      await client.run(['repack', '--image', `${layout}:v2`, bundle]);
      await copy('--dest-tls-verify=false', '--dest-creds', credentials, `oci:${layout}:v2`, `docker://${name}:v2`);

      const stored = await requireManifest(imagePath('umoci/edited'), 'v2');
      const { layers } = JSON.parse(stored.bytes.toString()) as { layers: { digest: string }[] };
      assert.equal(layers.length, 2);
      const first = JSON.parse(String(image.blobs.get(image.root.digest))) as { layers: { digest: string }[] };
      assert.equal(layers[0]?.digest, first.layers[0]?.digest);
    });
  },
  { needs: ['skopeo'], asRoot: true },
);
