/** How often an upstream is asked for manifests, which registries count, and what becomes of its tags here. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import type { FakeRegistry } from '../../support/fake-registries.ts';
import { codeOf, type Image, makeImage, sha256, TYPES } from '../../support/oci.ts';
import { SHAPES } from '../../support/registry-shapes.ts';
import { type RegistryWorld, startRegistryWorld, withPullToken } from '../../support/registry-world.ts';
import { type Answer, STORAGES } from '../../support/test-app.ts';

/** Each request asks again whether the tag still points there. */
const ALWAYS = { retrievalCachePeriodSecs: 0, missedRetrievalCachePeriodSecs: 0 };

for (const storage of STORAGES) {
  describe(`tags of Docker Hub on ${storage}`, () => {
    let world: RegistryWorld;
    let hub: FakeRegistry;
    before(async () => {
      world = await startRegistryWorld(storage, [SHAPES.dockerHub]);
      hub = await world.addRemote('hub', SHAPES.dockerHub, { ...ALWAYS, url: 'https://index.docker.io/v1/' });
    });
    after(() => world.stop());

    const get = (path: string, method = 'GET'): Promise<Answer> =>
      world.admin.request(method, `/v2/hub/${path}`, { headers: { accept: `${TYPES.manifest}, ${TYPES.index}` } });
    const blobsOf = (image: Image) => [image.config, ...image.layers];
    const pullBlobs = async (name: string, image: Image) => {
      for (const blob of blobsOf(image)) {
        assert.deepEqual((await get(`${name}/blobs/${sha256(blob)}`)).bytes, blob);
      }
    };
    /** Bytes are given on as soon as they are verified, and kept then. */
    const stored = (path: string) => eventually(async () => assert.ok(await holds(path), path));
    const holds = async (path: string) =>
      (await world.admin.request('HEAD', `/artifactory/hub-cache/${path}`)).status === 200;

    test('a tag that did not move costs a HEAD and no pull, however often it is pulled', async () => {
      const image = makeImage();
      hub.push('team/still', '1', image);
      assert.equal((await get('team/still/manifests/1')).status, 200);
      hub.forget();
      for (let i = 0; i < 5; i++) {
        assert.deepEqual((await get('team/still/manifests/1')).bytes, image.bytes);
        assert.equal((await get('team/still/manifests/1', 'HEAD')).status, 200);
        assert.deepEqual((await get(`team/still/manifests/${image.digest}`)).bytes, image.bytes);
      }
      const { manifestGets, manifestHeads } = hub.counts;
      assert.equal(manifestGets, 0);
      // Whoever comes before the last question is over shares its answer.
      assert.ok(manifestHeads > 0 && manifestHeads <= 10, String(manifestHeads));
    });

    test('a tag that moved costs one pull; the image before stays by its digest, with its blobs', async () => {
      const [first, second] = [makeImage(), makeImage()];
      hub.push('team/moves', 'latest', first);
      assert.deepEqual((await get('team/moves/manifests/latest')).bytes, first.bytes);
      await pullBlobs('team/moves', first);
      for (const blob of blobsOf(first)) await stored(`team/moves/latest/${sha256(blob).replace(':', '__')}`);
      hub.push('team/moves', 'latest', second);
      hub.forget();
      const moved = await get('team/moves/manifests/latest');
      assert.deepEqual(moved.bytes, second.bytes);
      assert.equal(moved.headers['docker-content-digest'], second.digest);
      assert.equal(hub.counts.manifestGets, 1);
      assert.deepEqual((await get(`team/moves/manifests/${first.digest}`)).bytes, first.bytes);
      hub.trouble = { status: 503 };
      await pullBlobs('team/moves', first);
      await stored(`team/moves/${first.digest}/manifest.json`);
      hub.trouble = undefined;
    });

    test('a tag that moved back, or to what another tag names, costs no pull', async () => {
      const [first, second] = [makeImage(), makeImage()];
      hub.push('team/back', '1', first);
      hub.push('team/back', '2', second);
      for (const tag of ['1', '2']) assert.equal((await get(`team/back/manifests/${tag}`)).status, 200);
      hub.push('team/back', '1', second);
      hub.forget();
      // Who comes while the answer before is still being stored is given that one.
      const gives = (bytes: Buffer) =>
        eventually(async () => assert.deepEqual((await get('team/back/manifests/1')).bytes, bytes));
      await gives(second.bytes);
      hub.push('team/back', '1', first);
      await gives(first.bytes);
      assert.equal(hub.counts.manifestGets, 0);
    });

    test('a client that asks by HEAD first and then by digest has pulled the tag', async () => {
      const image = makeImage();
      hub.push('team/head', '1', image);
      hub.forget();
      const head = await get('team/head/manifests/1', 'HEAD');
      assert.deepEqual([head.status, head.headers['docker-content-digest']], [200, image.digest]);
      assert.equal(Number(head.headers['content-length']), image.bytes.length);
      assert.equal(hub.counts.manifestGets, 0);
      assert.deepEqual((await get(`team/head/manifests/${image.digest}`)).bytes, image.bytes);
      await pullBlobs('team/head', image);
      assert.equal(hub.counts.manifestGets, 1);
      hub.trouble = { status: 503 };
      const kept = await get('team/head/manifests/1');
      assert.deepEqual(kept.bytes, image.bytes);
      await stored(`team/head/1/${sha256(image.config).replace(':', '__')}`);
      hub.trouble = undefined;
      // Another tag of what is kept by now costs nothing at all.
      hub.push('team/head', '2', image);
      assert.equal((await get('team/head/manifests/2', 'HEAD')).status, 200);
      await stored('team/head/2/manifest.json');
      assert.equal(hub.counts.manifestGets, 1);
    });

    test('an official image is one image under both its names, with a token for the short one', async () => {
      const image = makeImage();
      hub.push('library/nginx', '1', image);
      const caller = await withPullToken(world.admin, 'hub/nginx');
      const short = await caller.request('GET', '/v2/hub/nginx/manifests/1');
      assert.equal(short.status, 200, short.text);
      assert.deepEqual(short.bytes, image.bytes);
      for (const blob of blobsOf(image)) {
        assert.deepEqual((await caller.request('GET', `/v2/hub/nginx/blobs/${sha256(blob)}`)).bytes, blob);
      }
      hub.forget();
      assert.deepEqual((await get('library/nginx/manifests/1')).bytes, image.bytes);
      await pullBlobs('library/nginx', image);
      assert.deepEqual([hub.counts.manifestGets, hub.counts.blobGets], [0, 0]);
      await stored('library/nginx/1/manifest.json');
      assert.ok(!(await holds('nginx/1/manifest.json')));
    });

    test('when the limit is reached, what is kept is served and the rest is told to wait', async () => {
      const image = makeImage();
      hub.push('team/limited', '1', image);
      hub.push('team/limited', '2', makeImage());
      assert.equal((await get('team/limited/manifests/1')).status, 200);
      hub.push('team/limited', '1', makeImage());
      hub.remaining = 0;
      const kept = await get('team/limited/manifests/1');
      assert.deepEqual([kept.status, kept.bytes], [200, image.bytes]);
      assert.ok(kept.headers['warning'], 'no warning');
      const refused = await get('team/limited/manifests/2');
      assert.deepEqual([refused.status, codeOf(refused)], [429, 'TOOMANYREQUESTS']);
      assert.match(String(refused.headers['retry-after']), /^\d+$/);
      hub.remaining = 100;
    });
  });
}
