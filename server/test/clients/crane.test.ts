import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { buildImage, buildLayer, buildMultiArchImage, digestOf, type OciImage, writeLayout } from './oci-layout.ts';
import { getManifest, listTags } from './registry-api.ts';
import { assertLayoutHolds, assertRegistryHolds } from './round-trip.ts';
import { imageName, imagePath } from './target.ts';

clientSuite('crane', (client) => {
  const { target } = client;
  const image = buildMultiArchImage('crane');
  const layout = join(client.folder, 'source');
  const name = imageName('crane/multi');

  async function login(password: string): Promise<void> {
    await client.run(['auth', 'login', target.registry, '-u', target.username, '--password-stdin'], {
      input: password,
    });
  }

  before(async () => await writeLayout(layout, image, 'v1'));

  test('reports a wrong password as unauthorized', async () => {
    await login('not the password');
    const output = await client.fail(['push', layout, `${name}:v1`]);
    assert.match(output, /UNAUTHORIZED|401/);
  });

  test('pushes a multi-architecture image with attestations and pulls the same bytes', async () => {
    await login(target.password);
    await client.run(['push', layout, `${name}:v1`]);
    await assertRegistryHolds(imagePath('crane/multi'), 'v1', image);

    const pulled = join(client.folder, 'pulled');
    await client.run(['pull', '--format=oci', `${name}:v1`, pulled]);
    await assertLayoutHolds(pulled, image);
  });

  test('reads digest, manifest, configuration and files as they were pushed', async () => {
    const digest = await client.run(['digest', `${name}:v1`]);
    assert.equal(digest.stdout.trim(), image.root.digest);
    const manifest = await client.run(['manifest', `${name}:v1`]);
    assert.equal(digestOf(manifest.stdout), image.root.digest);

    const arm = await client.run(['digest', '--platform', 'linux/arm64', `${name}:v1`]);
    assert.equal(arm.stdout.trim(), image.children[1]?.digest);
    const config = await client.run(['config', '--platform', 'linux/arm64', `${name}:v1`]);
    assert.equal((JSON.parse(config.stdout) as { architecture: string }).architecture, 'arm64');

    const exported = join(client.folder, 'export.tar');
    await client.run(['export', `${name}@${image.children[0]?.digest}`, exported]);
    assert.ok((await readFile(exported)).includes('crane for amd64'));
    await client.run(['validate', '--remote', `${name}@${image.children[0]?.digest}`]);
  });

  test('appends a layer to an image', async () => {
    const layer = join(client.folder, 'extra.tar.gz');
    const extra = buildLayer({ 'extra.txt': 'appended' });
    await writeFile(layer, extra.blob);
    const to = imageName('crane/appended');
    await client.run(['append', '-b', `${name}@${image.children[0]?.digest}`, '-f', layer, '-t', `${to}:v1`]);
    const { stdout } = await client.run(['manifest', `${to}:v1`]);
    const { layers } = JSON.parse(stdout) as { layers: { digest: string }[] };
    assert.equal(layers.length, 3);
    assert.equal(layers[2]?.digest, digestOf(extra.blob));
  });

  test('copies to another image, tags it and lists the tags in order', async () => {
    const to = imageName('crane/copied');
    await client.run(['copy', `${name}:v1`, `${to}:v1`]);
    await assertRegistryHolds(imagePath('crane/copied'), 'v1', image);
    await client.run(['tag', `${to}:v1`, 'latest']);
    await client.run(['tag', `${to}:v1`, 'V0']);
    const { stdout } = await client.run(['ls', to]);
    assert.deepEqual(stdout.trim().split('\n'), ['V0', 'latest', 'v1']);
  });

  test('finds its images in the catalog', async () => {
    const { stdout } = await client.run(['catalog', target.registry]);
    assert.ok(stdout.split('\n').includes(imagePath('crane/multi')), stdout);
  });

  test('deletes a tag and keeps the manifest under its other tags', async () => {
    const path = imagePath('crane/copied');
    await client.run(['delete', `${imageName('crane/copied')}:latest`]);
    assert.deepEqual(await listTags(path), ['V0', 'v1']);
    assert.equal((await getManifest(path, 'v1'))?.digest, image.root.digest);
  });

  test('deletes a manifest by digest, and every tag of it', async () => {
    const path = imagePath('crane/copied');
    await client.run(['delete', `${imageName('crane/copied')}@${image.root.digest}`]);
    assert.equal(await getManifest(path, 'v1'), undefined);
    assert.deepEqual(await listTags(path), []);
  });

  test('pushes ten images with a common layer at the same time', async () => {
    const base = buildLayer({ 'base.bin': Buffer.alloc(4 << 20, 'common base ') });
    const images = Array.from({ length: 10 }, (_, index): OciImage => {
      const own = buildLayer({ 'own.txt': `image ${index}` });
      return buildImage([base, own], { os: 'linux', architecture: 'amd64' });
    });
    await Promise.all(
      images.map(async (each, index) => {
        const folder = join(client.folder, `parallel-${index}`);
        await writeLayout(folder, each, 'v1');
        await client.run(['push', folder, `${imageName(`crane/parallel-${index}`)}:v1`]);
      }),
    );
    for (const [index, each] of images.entries()) {
      await assertRegistryHolds(imagePath(`crane/parallel-${index}`), 'v1', each);
      await client.run(['validate', '--remote', `${imageName(`crane/parallel-${index}`)}:v1`]);
    }
  });

  test('pushes ten tags of one image at the same time', async () => {
    const path = imagePath('crane/tags');
    const tags = Array.from({ length: 10 }, (_, index) => `t${index}`);
    await Promise.all(tags.map((tag) => client.run(['push', layout, `${imageName('crane/tags')}:${tag}`])));
    assert.deepEqual(await listTags(path), tags);
    for (const tag of tags) assert.equal((await getManifest(path, tag))?.digest, image.root.digest);
  });
});
