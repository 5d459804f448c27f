import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { buildMultiArchImage, digestOf, writeLayout } from './oci-layout.ts';
import { getManifest, hasBlob, listReferrers, listTags } from './registry-api.ts';
import { assertLayoutHolds, assertRegistryHolds } from './round-trip.ts';
import { imageName, imagePath } from './target.ts';

clientSuite('regctl', (client) => {
  const { target } = client;
  const image = buildMultiArchImage('regctl');
  const layout = join(client.folder, 'source');
  const name = imageName('regctl/multi');

  const login = ['registry', 'login', target.registry, '-u', target.username, '--pass-stdin'];

  before(async () => {
    await writeLayout(layout, image, 'v1');
    await client.run(['registry', 'set', '--skip-check', target.registry, '--tls', 'disabled']);
  });

  test('refuses a wrong password at login', async () => {
    const output = await client.fail(login, { input: 'not the password' });
    assert.match(output, /unauthorized/i);
  });

  test('copies a multi-architecture image with attestations in and out unchanged', async () => {
    await client.run(login, { input: target.password });
    await client.run(['image', 'copy', `ocidir://${layout}:v1`, `${name}:v1`]);
    await assertRegistryHolds(imagePath('regctl/multi'), 'v1', image);

    const pulled = join(client.folder, 'pulled');
    await client.run(['image', 'copy', `${name}:v1`, `ocidir://${pulled}:v1`]);
    await assertLayoutHolds(pulled, image);
  });

  test('copies within the registry by digest, with digest tags and referrers', async () => {
    const to = imageName('regctl/copied');
    await client.run(['image', 'copy', '--referrers', '--digest-tags', `${name}@${image.root.digest}`, `${to}:v1`]);
    await assertRegistryHolds(imagePath('regctl/copied'), 'v1', image);
  });

  test('reads a manifest by digest and by platform', async () => {
    const head = await client.run(['manifest', 'head', `${name}:v1`]);
    assert.equal(head.stdout.trim(), image.root.digest);
    const arm = image.children[1]!;
    const body = await client.run(['manifest', 'get', '--format', 'raw-body', `${name}@${arm.digest}`]);
    assert.equal(digestOf(body.stdout), arm.digest);
    const platform = await client.run(['image', 'digest', '--platform', 'linux/arm64', `${name}:v1`]);
    assert.equal(platform.stdout.trim(), arm.digest);
  });

  test('lists tags in order and deletes one, leaving the manifest under the other', async () => {
    const path = imagePath('regctl/multi');
    await client.run(['image', 'copy', `${name}:v1`, `${name}:latest`]);
    const { stdout } = await client.run(['tag', 'ls', name]);
    assert.deepEqual(stdout.trim().split('\n'), ['latest', 'v1']);
    await client.run(['tag', 'delete', `${name}:latest`]);
    assert.deepEqual(await listTags(path), ['v1']);
    assert.equal((await getManifest(path, 'v1'))?.digest, image.root.digest);
  });

  test('uploads a blob in chunks and reads it back', async () => {
    const blobs = imageName('regctl/blobs');
    const content = randomBytes(4_500_000);
    await client.run([
      ...['registry', 'set', '--skip-check', target.registry, '--tls', 'disabled'],
      ...['--blob-chunk', '1000000', '--blob-max', '2000000'],
    ]);
    const { stdout, stderr } = await client.run(['blob', 'put', '-v', 'trace', blobs], { input: content });
    assert.equal(stdout.trim(), digestOf(content));
    assert.equal(stderr.match(/req-method=PATCH/g)?.length, 5, 'the client did not send five chunks');

    const got = await client.run(['blob', 'get', blobs, digestOf(content)], { encoding: 'latin1' });
    assert.equal(digestOf(Buffer.from(got.stdout, 'latin1')), digestOf(content));
  });

  test('puts an artifact under a subject and shows the tree', async () => {
    const subject = `${name}@${image.root.digest}`;
    await client.run(['artifact', 'put', '--artifact-type', 'application/vnd.example.sbom', '--subject', subject], {
      input: '{"packages":[]}',
    });
    const referrers = await listReferrers(imagePath('regctl/multi'), image.root.digest);
    assert.deepEqual(
      referrers.map((referrer) => referrer.artifactType),
      ['application/vnd.example.sbom'],
    );
    const { stdout } = await client.run(['artifact', 'tree', `${name}:v1`]);
    assert.match(stdout, new RegExp(referrers[0]!.digest));
    assert.deepEqual(await listTags(imagePath('regctl/multi')), ['v1']);
    const content = await client.run(['artifact', 'get', `${name}@${referrers[0]!.digest}`]);
    assert.equal(content.stdout, '{"packages":[]}');
  });

  test('deletes a manifest by digest with what refers to it', async () => {
    const path = imagePath('regctl/copied');
    await client.run(['manifest', 'delete', '--referrers', `${imageName('regctl/copied')}@${image.root.digest}`]);
    assert.equal(await getManifest(path, 'v1'), undefined);
  });

  test('deletes a blob', async () => {
    const content = 'short-lived';
    const blobs = imageName('regctl/deleted');
    await client.run(['blob', 'put', blobs], { input: content });
    assert.equal(await hasBlob(imagePath('regctl/deleted'), digestOf(content)), true);
    const got = await client.run(['blob', 'get', blobs, digestOf(content)]);
    assert.equal(got.stdout, content);
    await client.run(['blob', 'delete', blobs, digestOf(content)]);
    assert.equal(await hasBlob(imagePath('regctl/deleted'), digestOf(content)), false);
  });
});
