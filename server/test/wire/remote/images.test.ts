/** Images of an upstream registry: pulled through, kept, and found again when the upstream is gone. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { publish, sha256, TYPE } from './images.ts';
import { onEachRemoteStorage } from './remote-world.ts';

onEachRemoteStorage('images through a remote repository', (world) => {
  const settings = () => ({ packageType: 'docker', url: world().upstream.url });

  test('come by tag and by digest, once, and outlive their upstream', async () => {
    const { remote, get, head, upstream } = world();
    const image = publish(upstream, 'team/app', '1');
    await remote('images', settings());
    const manifest = await get('/v2/images/team/app/manifests/1', { accept: TYPE });
    assert.equal(manifest.status, 200, manifest.text);
    assert.ok(manifest.bytes.equals(image.manifest));
    assert.equal(manifest.headers['docker-content-digest'], image.digest);
    for (const bytes of [image.config, image.layer]) {
      const blob = await get(`/v2/images/team/app/blobs/${sha256(bytes)}`);
      assert.equal(blob.status, 200, blob.text);
      assert.ok(blob.bytes.equals(bytes));
    }
    assert.ok((await get(`/v2/images/team/app/manifests/${image.digest}`)).bytes.equals(image.manifest));
    await eventually(async () => {
      const listing = await get('/artifactory/api/storage/images-cache/team/app/1');
      const { children } = listing.json() as { children: { uri: string }[] };
      assert.equal(children.length, 3, listing.text);
    });
    const asked = upstream.asked.length;
    for (const path of ['manifests/1', `blobs/${sha256(image.layer)}`]) {
      assert.equal((await get(`/v2/images/team/app/${path}`)).status, 200);
      assert.equal((await head(`/v2/images/team/app/${path}`)).status, 200);
    }
    assert.equal(upstream.asked.length, asked);
  });

  test('a tag that moved is asked for by HEAD and fetched by its digest', async () => {
    const { remote, get, upstream } = world();
    const first = publish(upstream, 'team/moving', 'latest');
    await remote('moving', { ...settings(), retrievalCachePeriodSecs: 0 });
    assert.ok((await get('/v2/moving/team/moving/manifests/latest')).bytes.equals(first.manifest));
    await eventually(async () => {
      assert.ok((await get('/v2/moving/team/moving/manifests/latest')).bytes.equals(first.manifest));
      assert.ok(upstream.count('/v2/team/moving/manifests/latest', 'HEAD') > 0);
    });
    assert.equal(upstream.count('/v2/team/moving/manifests/latest'), 1);
    const second = publish(upstream, 'team/moving', 'latest');
    await eventually(async () => {
      assert.ok((await get('/v2/moving/team/moving/manifests/latest')).bytes.equals(second.manifest));
    });
    assert.equal(upstream.count('/v2/team/moving/manifests/latest'), 1);
    assert.equal(upstream.count(`/v2/team/moving/manifests/${second.digest}`), 1);
    upstream.on('/v2/team/moving/manifests/latest', ({ send }) => send(404));
    await eventually(async () => assert.equal((await get('/v2/moving/team/moving/manifests/latest')).status, 404));
    assert.equal((await get(`/v2/moving/team/moving/manifests/${second.digest}`)).status, 200);
  });

  test('a layer that is here already is linked without asking, but only where a manifest names it', async () => {
    const { remote, get, upstream, app } = world();
    const layer = randomBytes(50_000);
    const upload = await app.admin.request('POST', `/v2/docker-local/mine/blobs/uploads/?digest=${sha256(layer)}`, {
      body: layer,
      headers: { 'content-type': 'application/octet-stream' },
    });
    assert.equal(upload.status, 201, upload.text);
    await remote('sharing', settings());
    upstream.on(`/v2/team/shared/blobs/${sha256(layer)}`, ({ send }) => send(404));
    assert.equal((await get(`/v2/sharing/team/shared/blobs/${sha256(layer)}`)).status, 404);
    publish(upstream, 'team/shared', '1', layer);
    assert.equal((await get('/v2/sharing/team/shared/manifests/1')).status, 200);
    const asked = upstream.count(`/v2/team/shared/blobs/${sha256(layer)}`);
    const blob = await get(`/v2/sharing/team/shared/blobs/${sha256(layer)}`);
    assert.equal(blob.status, 200, blob.text);
    assert.ok(blob.bytes.equals(layer));
    assert.equal(upstream.count(`/v2/team/shared/blobs/${sha256(layer)}`), asked);
  });

  test('a manifest that is not what it should be is refused', async () => {
    const { remote, get, upstream, blobs } = world();
    const image = publish(upstream, 'team/false', '1');
    await remote('false', settings());
    const before = await blobs();
    const other = Buffer.from(
      image.manifest.toString().replace('amd64', 'arm64').replace('"schemaVersion":2', '"schemaVersion": 2'),
    );
    const headers = { 'Content-Type': TYPE, 'Docker-Content-Digest': image.digest };
    upstream.serve('/v2/team/false/manifests/1', other, headers);
    upstream.serve(`/v2/team/false/manifests/${image.digest}`, other, { 'Content-Type': TYPE });
    upstream.serve('/v2/team/false/manifests/page', '<html>', { 'Content-Type': 'text/html' });
    for (const reference of ['1', image.digest, 'page']) {
      const answer = await get(`/v2/false/team/false/manifests/${reference}`);
      assert.equal(answer.status, 503, answer.text);
    }
    assert.equal(await blobs(), before);
  });
});
