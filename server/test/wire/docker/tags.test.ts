/** What tags mean: overwriting them, taking them away, several at once; and what stays readable by digest. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  codeOf,
  describeBytes,
  type Image,
  ImageClient,
  makeImage,
  makeIndex,
  render,
  sha256,
  sha512,
  TYPES,
} from '../../support/oci.ts';
import { STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

let images = 0;

for (const storage of STORAGES) {
  describe(`tags on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage);
    });
    after(() => world.stop());

    /** An image of its own for each test, as the administrator sees it. */
    const fresh = () => new ImageClient(world.admin, `/v2/docker-local/tags/${++images}`);
    const pushBlobs = async (client: ImageClient, image: Image) => {
      for (const blob of [image.config, ...image.layers]) await client.pushBlob(blob);
    };
    const tagsOf = async (client: ImageClient) =>
      ((await client.request('GET', '/tags/list')).json() as { tags: string[] }).tags;
    const digestOf = async (client: ImageClient, reference: string) =>
      (await client.request('HEAD', `/manifests/${reference}`)).headers['docker-content-digest'];

    test('a tag that is pushed again names the new image, and the old one stays readable by digest', async () => {
      const client = fresh();
      const [old, next] = [makeImage(), makeImage()];
      await client.push('latest', old);
      await client.push('latest', next);
      assert.equal(await digestOf(client, 'latest'), next.digest);
      const answer = await client.request('GET', `/manifests/${old.digest}`);
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.bytes, old.bytes);
      for (const blob of [old.config, ...old.layers])
        assert.equal(await client.statusOf(`/blobs/${sha256(blob)}`), 200);
      assert.deepEqual(await tagsOf(client), ['latest']);
      await client.pushManifest('latest', old.bytes);
      assert.equal(await digestOf(client, 'latest'), old.digest);
      assert.equal(await client.statusOf(`/manifests/${next.digest}`), 200);
    });

    test('a tag may change from an image to an index and back', async () => {
      const client = fresh();
      const image = makeImage();
      await client.push('v', image);
      const index = makeIndex([describeBytes(TYPES.manifest, image.bytes)]);
      await client.pushManifest('v', index, TYPES.index);
      assert.equal((await client.request('GET', '/manifests/v')).headers['content-type'], TYPES.index);
      assert.equal(await client.statusOf(`/manifests/${image.digest}`), 200);
      await client.pushManifest('v', image.bytes);
      assert.equal((await client.request('GET', '/manifests/v')).headers['content-type'], TYPES.manifest);
      assert.equal(await client.statusOf(`/manifests/${sha256(index)}`), 200);
    });

    test('pushing over a tag needs the right to delete; pushing the same again does not', async () => {
      const client = fresh();
      const writer = new ImageClient(world.as('writer'), client.base);
      const [old, next] = [makeImage(), makeImage()];
      await writer.push('v1', old);
      await writer.pushManifest('v1', old.bytes);
      await writer.pushManifest('v2', old.bytes);
      await pushBlobs(writer, next);
      const refused = await writer.putManifest('v1', next.bytes);
      assert.equal(refused.status, 403);
      assert.equal(codeOf(refused), 'DENIED');
      assert.equal(await digestOf(client, 'v1'), old.digest);
      await writer.pushManifest(next.digest, next.bytes);
      await new ImageClient(world.as('owner'), client.base).pushManifest('v1', next.bytes);
      assert.equal(await digestOf(client, 'v1'), next.digest);
    });

    test('deleting a tag takes only the tag', async () => {
      const client = fresh();
      const image = makeImage();
      await client.push('a', image);
      await client.pushManifest('b', image.bytes);
      assert.equal((await client.request('DELETE', '/manifests/a')).status, 202);
      assert.equal(codeOf(await client.request('GET', '/manifests/a')), 'MANIFEST_UNKNOWN');
      assert.equal(await digestOf(client, 'b'), image.digest);
      assert.equal((await client.request('DELETE', '/manifests/b')).status, 202);
      assert.deepEqual(await tagsOf(client), []);
      assert.equal(await client.statusOf(`/manifests/${image.digest}`), 200);
      assert.equal(await client.statusOf(`/blobs/${sha256(image.layers[0]!)}`), 200);
      assert.equal(codeOf(await client.request('DELETE', '/manifests/b')), 'MANIFEST_UNKNOWN');
      await client.pushManifest('again', image.bytes);
      assert.deepEqual(await tagsOf(client), ['again']);
    });

    test('deleting by digest takes every tag of it, and no other', async () => {
      const client = fresh();
      const [image, other] = [makeImage(), makeImage()];
      await client.push('a', image);
      for (const tag of ['b', 'c']) await client.pushManifest(tag, image.bytes);
      await client.push('other', other);
      assert.equal((await client.request('DELETE', `/manifests/${image.digest}`)).status, 202);
      for (const reference of ['a', 'b', 'c', image.digest]) {
        assert.equal(codeOf(await client.request('GET', `/manifests/${reference}`)), 'MANIFEST_UNKNOWN');
      }
      assert.deepEqual(await tagsOf(client), ['other']);
      assert.equal((await client.request('DELETE', `/manifests/${image.digest}`)).status, 404);
    });

    test('several tags are put with one request by digest, and each is told', async () => {
      const client = fresh();
      const image = makeImage();
      await pushBlobs(client, image);
      const tags = Array.from({ length: 12 }, (_, i) => `t${i}`);
      const query = tags.map((tag) => `tag=${tag}`).join('&');
      const answer = await client.putManifest(`${image.digest}?${query}`, image.bytes);
      assert.equal(answer.status, 201, answer.text);
      assert.equal(answer.headers['oci-tag'], tags.join(', '));
      assert.equal(answer.headers['docker-content-digest'], image.digest);
      for (const tag of tags) assert.equal(await digestOf(client, tag), image.digest);
      const bad = await client.putManifest(`${image.digest}?tag=fine&tag=.bad`, image.bytes);
      assert.equal(codeOf(bad), 'TAG_INVALID');
      assert.ok(!(await tagsOf(client)).includes('fine'));
      const wrong = await client.putManifest(`${sha256('other')}?tag=fine`, image.bytes);
      assert.equal(codeOf(wrong), 'DIGEST_INVALID');
    });

    test('tags put with a SHA-512 digest answer with that digest', async () => {
      const client = fresh();
      const image = makeImage();
      await pushBlobs(client, image);
      const digest = sha512(image.bytes);
      assert.equal((await client.putManifest(`${digest}?tag=long`, image.bytes)).status, 201);
      assert.equal(await digestOf(client, 'long'), digest);
      assert.equal(await digestOf(client, digest), digest);
      assert.equal(await digestOf(client, image.digest), image.digest);
    });

    test('two tags pushed at once to one image are both there', async () => {
      const client = fresh();
      const all = Array.from({ length: 8 }, () => makeImage());
      for (const image of all) await pushBlobs(client, image);
      await Promise.all(all.map((image, i) => client.pushManifest(`p${i}`, image.bytes)));
      assert.deepEqual(
        await tagsOf(client),
        all.map((_, i) => `p${i}`),
      );
      const answers = await Promise.all(all.map((image) => client.putManifest('same', image.bytes)));
      assert.ok(answers.every(({ status }) => status === 201));
      assert.ok(all.some(({ digest }) => digest === answers[0]!.headers['docker-content-digest']));
      const { bytes } = await client.request('GET', '/manifests/same');
      assert.ok(all.some((image) => image.bytes.equals(bytes)));
      for (const image of all) assert.equal(await client.statusOf(`/manifests/${image.digest}`), 200);
    });

    test('the exact bytes come back, whatever their spelling', async () => {
      const client = fresh();
      const image = makeImage();
      await pushBlobs(client, image);
      const spaced = Buffer.from(`\n  ${JSON.stringify(JSON.parse(image.bytes.toString()), null, 7)}\n\n`);
      await client.pushManifest('spaced', spaced);
      assert.deepEqual((await client.request('GET', '/manifests/spaced')).bytes, spaced);
      assert.equal(await digestOf(client, 'spaced'), sha256(spaced));
    });

    test('tags of 128 characters and tags that differ only in case are kept apart', async () => {
      const client = fresh();
      const tags = ['a'.repeat(128), 'Latest', 'latest', 'LATEST', '_x', '1.0_2-3'];
      for (const tag of tags) await client.push(tag, makeImage());
      assert.deepEqual(await tagsOf(client), [...tags].sort());
      assert.equal(new Set(await Promise.all(tags.map((tag) => digestOf(client, tag)))).size, tags.length);
    });

    test('a blob is not deleted while an image needs it, and is afterwards', async () => {
      const client = fresh();
      const image = makeImage();
      await client.push('v', image);
      const blob = `/blobs/${sha256(image.layers[0]!)}`;
      const refused = await client.request('DELETE', blob);
      assert.equal(refused.status, 405);
      assert.equal(codeOf(refused), 'UNSUPPORTED');
      await client.request('DELETE', `/manifests/${image.digest}`);
      assert.ok([202, 404].includes((await client.request('DELETE', blob)).status));
      assert.equal(await client.statusOf(blob), 404);
      const lone = await client.pushBlob(render({ lone: images }));
      assert.equal((await client.request('DELETE', `/blobs/${lone}`)).status, 202);
      assert.equal(await client.statusOf(`/blobs/${lone}`), 404);
    });
  });
}
