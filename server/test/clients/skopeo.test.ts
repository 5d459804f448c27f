import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { buildImage, buildLayer, buildMultiArchImage, mediaTypes, writeLayout } from './oci-layout.ts';
import { getManifest, listTags, requireManifest } from './registry-api.ts';
import { assertLayoutHolds, assertRegistryHolds } from './round-trip.ts';
import { imageName, imagePath } from './target.ts';

const plain = { from: '--src-tls-verify=false', to: '--dest-tls-verify=false' };

clientSuite('skopeo', (client) => {
  const { target } = client;
  const image = buildMultiArchImage('skopeo');
  const layout = join(client.folder, 'source');

  before(async () => await writeLayout(layout, image, 'v1'));

  test('refuses a wrong password at login', async () => {
    const output = await client.fail(
      ['login', '--tls-verify=false', '-u', target.username, '--password-stdin', target.registry],
      { input: 'not the password' },
    );
    assert.match(output, /unauthorized|invalid username\/password/i);
  });

  test('logs in with the password', async () => {
    const { stdout } = await client.run(
      ['login', '--tls-verify=false', '-u', target.username, '--password-stdin', target.registry],
      { input: target.password },
    );
    assert.match(stdout, /Login Succeeded/);
  });

  test('pushes a multi-architecture image with attestations and pulls the same bytes', async () => {
    const name = imageName('skopeo/multi');
    await client.run(['copy', '--all', '--preserve-digests', plain.to, `oci:${layout}:v1`, `docker://${name}:v1`]);
    await assertRegistryHolds(imagePath('skopeo/multi'), 'v1', image);

    const pulled = join(client.folder, 'pulled');
    await client.run(['copy', '--all', '--preserve-digests', plain.from, `docker://${name}:v1`, `oci:${pulled}:v1`]);
    await assertLayoutHolds(pulled, image);
  });

  test('pulls one architecture by the digest of its manifest', async () => {
    const child = image.children[1]!;
    const pulled = join(client.folder, 'arm64');
    await client.run([
      ...['copy', '--preserve-digests', plain.from],
      ...[`docker://${imageName('skopeo/multi')}@${child.digest}`, `oci:${pulled}:arm64`],
    ]);
    const { stdout } = await client.run(['inspect', '--raw', `oci:${pulled}:arm64`]);
    assert.equal(stdout, image.blobs.get(child.digest)?.toString());
  });

  test('converts an image to the Docker schema 2 form while pushing', async () => {
    const layer = buildLayer({ 'schema2.txt': 'schema2' });
    const single = join(client.folder, 'single');
    await writeLayout(single, buildImage([layer], { os: 'linux', architecture: 'amd64' }), 'v1');
    const name = imageName('skopeo/schema2');
    await client.run(['copy', '--format', 'v2s2', plain.to, `oci:${single}:v1`, `docker://${name}:v1`]);

    const stored = await requireManifest(imagePath('skopeo/schema2'), 'v1');
    assert.equal(stored.mediaType, mediaTypes.dockerManifest);
    const manifest = JSON.parse(stored.bytes.toString()) as {
      config: { mediaType: string };
      layers: { mediaType: string; size: number }[];
    };
    assert.equal(manifest.config.mediaType, mediaTypes.dockerConfig);
    assert.deepEqual(
      manifest.layers.map((entry) => entry.mediaType),
      [mediaTypes.dockerLayer],
    );

    const { stdout } = await client.run(['inspect', '--tls-verify=false', `docker://${name}:v1`]);
    const inspected = JSON.parse(stdout) as { Digest: string; Architecture: string };
    assert.equal(inspected.Digest, stored.digest);
    assert.equal(inspected.Architecture, 'amd64');
  });

  test('copies between two images of the registry by mounting the blobs', async () => {
    const to = imageName('skopeo/mounted');
    const { stderr } = await client.run([
      ...['--debug', 'copy', '--all', '--preserve-digests', plain.from, plain.to],
      ...[`docker://${imageName('skopeo/multi')}:v1`, `docker://${to}:v1`],
    ]);
    await assertRegistryHolds(imagePath('skopeo/mounted'), 'v1', image);
    // Only layers are mounted; skopeo always uploads configurations, which it has read anyway.
    const layers = ['shared', 'amd64', 'arm64'];
    assert.ok(stderr.match(/mount OK/g)!.length >= layers.length, 'a layer was uploaded instead of mounted');
  });

  test('lists the tags', async () => {
    const name = imageName('skopeo/multi');
    await client.run(['copy', '--all', plain.from, plain.to, `docker://${name}:v1`, `docker://${name}:v2.0-rc.1`]);
    const { stdout } = await client.run(['list-tags', '--tls-verify=false', `docker://${name}`]);
    assert.deepEqual((JSON.parse(stdout) as { Tags: string[] }).Tags, ['v1', 'v2.0-rc.1']);
  });

  test('deletes an image, and its tags with it', async () => {
    const path = imagePath('skopeo/mounted');
    await client.run(['delete', '--tls-verify=false', `docker://${imageName('skopeo/mounted')}:v1`]);
    assert.equal(await getManifest(path, 'v1'), undefined);
    assert.equal(await getManifest(path, image.root.digest), undefined);
    assert.deepEqual(await listTags(path), []);
  });
});
