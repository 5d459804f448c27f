import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  buildLayer,
  buildMultiArchImage,
  type Descriptor,
  describe as describeBlob,
  digestOf,
  mediaTypes,
  renderJson,
} from './oci-layout.ts';
import { listTags } from './registry-api.ts';
import { imagePath } from './target.ts';
import { closingUrl, WireClient, type WireResponse } from './wire-client.ts';

const cacheConfigType = 'application/vnd.buildkit.cacheconfig.v0';

describe('BuildKit', () => {
  const client = new WireClient({ userAgent: 'buildkit/v0.25.0', tokens: 'post', clientId: 'buildkit-client' });
  const layers = ['one', 'two'].map((text) => buildLayer({ [`${text}.txt`]: text.repeat(100) }).blob);
  const cacheConfig = renderJson({
    layers: layers.map((blob, index) => ({ blob: digestOf(blob), parent: index - 1 })),
    records: [{ digest: digestOf('step'), layers: [{ layer: 1, createdAt: '2024-01-01T00:00:00Z' }] }],
  });

  test('exports a cache as an index whose entries are layers', async () => {
    const path = imagePath('wire/cache-index');
    for (const blob of [...layers, cacheConfig]) await pushWhole(client, path, blob);
    const entries: Descriptor[] = layers.map((blob) => describeBlob(mediaTypes.layer, blob));
    const manifests = [...entries, describeBlob(cacheConfigType, cacheConfig)];
    const index = renderJson({ schemaVersion: 2, mediaType: mediaTypes.index, manifests });
    await putManifest(client, path, { reference: 'buildcache', mediaType: mediaTypes.index, body: index });
    await assertCacheReads(client, path, index);
  });

  test('exports a cache as an image manifest, and overwrites it under the same tag', async () => {
    const path = imagePath('wire/cache-manifest');
    for (const blob of [...layers, cacheConfig]) await pushWhole(client, path, blob);
    const build = (count: number) =>
      renderJson({
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        config: describeBlob(cacheConfigType, cacheConfig),
        layers: layers.slice(0, count).map((blob) => describeBlob(mediaTypes.layer, blob)),
      });
    const put = { reference: 'buildcache', mediaType: mediaTypes.manifest };
    await putManifest(client, path, { ...put, body: build(1) });
    await putManifest(client, path, { ...put, body: build(2) });
    await assertCacheReads(client, path, build(2));
    // The first one lost its tag; a build that still holds its digest must find it.
    const first = await client.send('GET', `/v2/${path}/manifests/${digestOf(build(1))}`, {
      headers: { accept: mediaTypes.manifest },
    });
    assert.equal(first.status, 200);
  });

  test('pushes the platforms by digest only, and joins them under a tag later', async () => {
    const path = imagePath('wire/push-by-digest');
    const image = buildMultiArchImage('push by digest');
    const manifests = [image.root, ...image.children].map(({ digest }) => digest);
    for (const [digest, blob] of image.blobs) {
      if (!manifests.includes(digest)) await pushWhole(client, path, blob);
    }
    for (const { digest, mediaType } of image.children) {
      await putManifest(client, path, { reference: digest, mediaType, body: image.blobs.get(digest)! });
    }
    assert.deepEqual(await listTags(path), []);
    const body = image.blobs.get(image.root.digest)!;
    await putManifest(client, path, { reference: 'v1', mediaType: mediaTypes.index, body });
    assert.deepEqual(await listTags(path), ['v1']);
  });

  test('joins platforms of two images by mounting the blobs of one into the other', async () => {
    const from = imagePath('wire/push-by-digest');
    const to = imagePath('wire/joined');
    const image = buildMultiArchImage('push by digest');
    for (const child of image.children.slice(0, 2)) {
      const body = image.blobs.get(child.digest)!;
      const parsed = JSON.parse(body.toString()) as { config: Descriptor; layers: Descriptor[] };
      for (const { digest } of [parsed.config, ...parsed.layers]) {
        const query = new URLSearchParams({ mount: digest, from });
        const mounted = await client.send('POST', `/v2/${to}/blobs/uploads/?${query}`);
        assert.equal(mounted.status, 201, mounted.body.toString());
      }
      await putManifest(client, to, { reference: child.digest, mediaType: child.mediaType, body });
    }
    const manifests = image.children.slice(0, 2);
    const index = renderJson({ schemaVersion: 2, mediaType: mediaTypes.index, manifests });
    await putManifest(client, to, { reference: 'v1', mediaType: mediaTypes.index, body: index });
  });

  test('is refused an index that names a manifest nobody pushed', async () => {
    const path = imagePath('wire/incomplete');
    const { children } = buildMultiArchImage('never pushed');
    const index = renderJson({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: children.slice(0, 1) });
    const headers = { 'content-type': mediaTypes.index };
    const put = await client.send('PUT', `/v2/${path}/manifests/v1`, { headers, body: index });
    // The specification lets a registry accept sparse indexes; one that checks must name what is missing.
    if (put.status === 201) return;
    assert.ok([400, 404].includes(put.status), String(put.status));
    assert.equal(errorCode(put), 'MANIFEST_BLOB_UNKNOWN');
  });
});

describe('kaniko', () => {
  const client = new WireClient({ userAgent: 'kaniko/v1.23.2', tokens: 'get', clientId: 'go-containerregistry' });
  const path = imagePath('wire/kaniko');

  test('checks that it may push by a session that it leaves open', async () => {
    const started = await client.send('POST', `/v2/${path}/blobs/uploads/`);
    assert.equal(started.status, 202);
    assert.ok(started.headers.location);
  });

  test('gets a clean 404 for a layer that its cache does not have', async () => {
    const miss = await client.send('GET', `/v2/${path}/cache/manifests/${'a'.repeat(64)}`);
    assert.equal(miss.status, 404);
    assert.ok(['NAME_UNKNOWN', 'MANIFEST_UNKNOWN'].includes(errorCode(miss)), miss.body.toString());
  });

  test('pushes a layer with one PATCH of known length, and its image', async () => {
    const layer = buildLayer({ 'kaniko.txt': 'built without a daemon' }).blob;
    const config = renderJson({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [] } });
    for (const blob of [layer, config]) {
      const started = await client.send('POST', `/v2/${path}/blobs/uploads/`);
      const headers = { 'content-type': 'application/octet-stream' };
      const patched = await client.send('PATCH', started.headers.location ?? '', { headers, body: blob });
      assert.ok([201, 202, 204].includes(patched.status), patched.body.toString());
      const put = await client.send('PUT', closingUrl(patched.headers.location, digestOf(blob)));
      assert.equal(put.status, 201, put.body.toString());
    }
    const body = renderJson({
      schemaVersion: 2,
      mediaType: mediaTypes.dockerManifest,
      config: describeBlob(mediaTypes.dockerConfig, config),
      layers: [describeBlob(mediaTypes.dockerLayer, layer)],
    });
    await putManifest(client, path, { reference: 'latest', mediaType: mediaTypes.dockerManifest, body });
  });
});

async function pushWhole(client: WireClient, path: string, blob: Buffer): Promise<void> {
  const started = await client.send('POST', `/v2/${path}/blobs/uploads/`);
  assert.equal(started.status, 202, started.body.toString());
  const put = await client.send('PUT', closingUrl(started.headers.location, digestOf(blob)), { body: blob });
  assert.equal(put.status, 201, put.body.toString());
}

async function putManifest(
  client: WireClient,
  path: string,
  manifest: { reference: string; mediaType: string; body: Buffer },
): Promise<void> {
  const headers = { 'content-type': manifest.mediaType };
  const url = `/v2/${path}/manifests/${manifest.reference}`;
  const put = await client.send('PUT', url, { headers, body: manifest.body });
  assert.equal(put.status, 201, put.body.toString());
  assert.equal(put.headers['docker-content-digest'], digestOf(manifest.body));
}

async function assertCacheReads(client: WireClient, path: string, manifest: Buffer): Promise<void> {
  const get = await client.send('GET', `/v2/${path}/manifests/buildcache`, {
    headers: { accept: `${mediaTypes.index}, ${mediaTypes.manifest}, */*` },
  });
  assert.equal(digestOf(get.body), digestOf(manifest));
}

function errorCode(response: WireResponse): string {
  const { errors } = JSON.parse(response.body.toString()) as { errors: { code: string }[] };
  return errors[0]?.code ?? '';
}
