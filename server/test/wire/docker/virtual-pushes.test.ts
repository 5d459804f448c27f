/** Images pushed through a virtual repository: they go to its default, with what other members have of them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { FakeRegistry } from '../../support/fake-registries.ts';
import { codeOf, describeBytes, ImageClient, makeImage, makeIndex, sha256, TYPES } from '../../support/oci.ts';
import { SHAPES } from '../../support/registry-shapes.ts';
import { type RegistryWorld, startRegistryWorld, withPullToken } from '../../support/registry-world.ts';
import { STORAGES } from '../../support/test-app.ts';
import { grant } from '../../support/wire-world.ts';

for (const storage of STORAGES) {
  describe(`pushes through a virtual repository on ${storage}`, () => {
    let world: RegistryWorld;
    let far: FakeRegistry;
    before(async () => {
      world = await startRegistryWorld(storage, [SHAPES.mcr], {
        prepare: (core) => grant(core, 'far', ['far'], [{ kind: 'user', name: 'owner', actions: ['read', 'deploy'] }]),
      });
      far = await world.addRemote('far', SHAPES.mcr);
      // Only `owner` and `other` may read in `docker-other`.
      const repositories = ['docker-local', 'docker-other', 'far'];
      await world.create('all', { rclass: 'virtual', repositories, defaultDeploymentRepo: 'docker-local' });
      await world.create('readable', { rclass: 'virtual', repositories });
    });
    after(() => world.stop());

    const image = (name: string, repo = 'all', as: Parameters<RegistryWorld['as']>[0] = 'owner') =>
      new ImageClient(world.as(as), `/v2/${repo}/${name}`);

    test('an image goes to the default repository, under the address that the client used', async () => {
      const made = makeImage();
      const session = await image('pushed/one').startUpload();
      assert.match(session, /^\/v2\/all\/pushed\/one\/blobs\/uploads\//);
      for (const blob of [made.config, ...made.layers]) await image('pushed/one').pushBlob(blob);
      const put = await image('pushed/one').putManifest('1', made.bytes);
      assert.equal(put.headers.location, `/v2/all/pushed/one/manifests/${made.digest}`);
      const stored = await image('pushed/one', 'docker-local').request('GET', '/manifests/1');
      assert.deepEqual(stored.bytes, made.bytes);
      const through = await image('pushed/one').request('GET', '/manifests/1');
      assert.deepEqual(through.bytes, made.bytes);
      assert.equal(through.headers['x-artifactory-docker-registry'], 'docker-local');
      assert.equal((await image('pushed/one').request('DELETE', `/manifests/${made.digest}`)).status, 202);
      assert.equal(await image('pushed/one', 'docker-local').statusOf('/manifests/1'), 404);
    });

    test('without a default repository nothing can be pushed', async () => {
      const answer = await image('pushed/none', 'readable').request('POST', '/blobs/uploads/');
      assert.deepEqual([answer.status, codeOf(answer)], [405, 'UNSUPPORTED']);
      assert.match(answer.text, /No local repository was configured/);
    });

    test('a manifest may name blobs that another member has, and then they are here too', async () => {
      const made = makeImage();
      const elsewhere = image('shared/blobs', 'docker-other');
      await elsewhere.push('base', made);
      const next = makeImage({ extra: { layers: made.layers.map((layer) => describeBytes(TYPES.layer, layer)) } });
      const client = image('shared/blobs');
      await client.pushBlob(next.config);
      await client.pushManifest('next', next.bytes);
      assert.equal((await elsewhere.request('DELETE', '/manifests/base')).status, 202);
      assert.equal((await elsewhere.request('DELETE', `/manifests/${made.digest}`)).status, 202);
      for (const blob of [next.config, ...made.layers]) {
        const answer = await image('shared/blobs', 'docker-local').request('GET', `/blobs/${sha256(blob)}`);
        assert.deepEqual(answer.bytes, blob);
      }
    });

    test('who may not read them there has to push them', async () => {
      const made = makeImage();
      await image('shared/hidden', 'docker-other').push('base', made);
      const client = image('shared/hidden', 'all', 'writer');
      assert.equal((await client.request('HEAD', `/blobs/${sha256(made.config)}`)).status, 404);
      const refused = await client.putManifest('1', made.bytes);
      assert.deepEqual([refused.status, codeOf(refused)], [400, 'MANIFEST_BLOB_UNKNOWN']);
      assert.equal(await image('shared/hidden', 'docker-local').statusOf('/manifests/1'), 404);
    });

    test('an index may name images that another member has, which come along whole', async () => {
      const children = [makeImage(), makeImage()];
      const elsewhere = image('shared/index', 'docker-other');
      for (const [i, child] of children.entries()) await elsewhere.push(`child-${i}`, child);
      const inner = makeIndex(children.map(({ bytes }) => describeBytes(TYPES.manifest, bytes)));
      await elsewhere.pushManifest('inner', inner, TYPES.index);
      const outer = makeIndex([describeBytes(TYPES.index, inner)]);
      await image('shared/index').pushManifest('outer', outer, TYPES.index);
      const stored = image('shared/index', 'docker-local');
      assert.deepEqual((await stored.request('GET', '/manifests/outer')).bytes, outer);
      assert.deepEqual((await stored.request('GET', `/manifests/${sha256(inner)}`)).bytes, inner);
      for (const child of children) {
        assert.deepEqual((await stored.request('GET', `/manifests/${child.digest}`)).bytes, child.bytes);
        for (const blob of [child.config, ...child.layers]) {
          assert.equal(await stored.statusOf(`/blobs/${sha256(blob)}`), 200);
        }
      }
    });

    test('blobs that an upstream has are fetched when a manifest names them', async () => {
      const made = makeImage({ layers: 2 });
      far.push('team/base', '1', made);
      const client = image('team/base');
      assert.equal((await client.request('GET', '/manifests/1')).status, 200);
      const [layer] = made.layers;
      const head = await client.request('HEAD', `/blobs/${sha256(layer ?? '')}`);
      assert.deepEqual([head.status, far.counts.blobGets], [200, 0]);
      const next = makeImage({ extra: { layers: made.layers.map((each) => describeBytes(TYPES.layer, each)) } });
      await client.pushBlob(next.config);
      await client.pushManifest('2', next.bytes);
      assert.equal(far.counts.blobGets, 2);
      for (const each of made.layers) {
        const answer = await image('team/base', 'docker-local').request('GET', `/blobs/${sha256(each)}`);
        assert.deepEqual(answer.bytes, each);
      }
    });

    test('a blob is mounted from an image that another member has', async () => {
      const made = makeImage();
      await image('mount/source', 'docker-other').push('1', made);
      const digest = sha256(made.config);
      const path = `/v2/all/mount/target/blobs/uploads/?mount=${digest}&from=all/mount/source`;
      const mounted = await world.as('owner').request('POST', path);
      assert.equal(mounted.status, 201, mounted.text);
      assert.equal(await image('mount/target', 'docker-local').statusOf(`/blobs/${digest}`), 200);
      const hidden = await world.as('writer').request('POST', path);
      assert.ok(hidden.status === 202 || hidden.status === 201, hidden.text);
    });

    test('who may push is not told of upstreams in trouble when they ask what is there', async () => {
      const made = makeImage({ layers: 2 });
      const client = image('pushed/meanwhile');
      const paths = [`/blobs/${sha256(made.config)}`, '/manifests/1', `/manifests/${made.digest}`];
      for (const status of [500, 503, 429]) {
        far.trouble = { status };
        for (const path of paths) {
          const asked = `${status} for ${path}`;
          assert.equal((await client.request('HEAD', path)).status, 404, asked);
          // Who wants the bytes must not take trouble for absence.
          const got = await client.request('GET', path);
          assert.ok(got.status === 503 || got.status === 429, `${asked}: ${got.status}`);
          // Nor where nobody can push.
          const unmoved = await image('pushed/meanwhile', 'readable').request('HEAD', path);
          assert.ok(unmoved.status === 503 || unmoved.status === 429, `${asked}: ${unmoved.status}`);
        }
      }
      await client.push('1', made);
      await client.push('2', made);
      const mount = `/v2/all/pushed/mounted/blobs/uploads/?mount=${sha256(made.config)}&from=all/pushed/never`;
      assert.equal((await world.as('owner').request('POST', mount)).status, 202);
      far.trouble = undefined;
      const stored = await image('pushed/meanwhile', 'docker-local').request('GET', '/manifests/2');
      assert.deepEqual(stored.bytes, made.bytes);
    });

    test('who has a token for pulling alone is told of upstreams in trouble, also by HEAD', async () => {
      const name = 'all/pulled/meanwhile';
      const puller = new ImageClient(await withPullToken(world.as('owner'), name), `/v2/${name}`);
      far.trouble = { status: 503 };
      for (const path of ['/manifests/1', `/blobs/${sha256('x')}`]) {
        // The one before may have made it ask for time.
        const { status } = await puller.request('HEAD', path);
        assert.ok(status === 503 || status === 429, `${path}: ${status}`);
        assert.equal((await image('pulled/meanwhile').request('HEAD', path)).status, 404, path);
      }
      far.trouble = undefined;
    });

    test('nothing is pushed to a remote repository or its cache', async () => {
      for (const repo of ['far', 'far-cache']) {
        const answer = await image('pushed/far', repo).request('POST', '/blobs/uploads/');
        assert.ok(answer.status === 404 || answer.status === 405, `${repo}: ${answer.status}`);
        const made = makeImage();
        const put = await image('pushed/far', repo).putManifest('1', made.bytes);
        assert.ok(put.status >= 400 && put.status < 500, `${repo}: ${put.status} ${put.text}`);
      }
      const digest = sha256('x');
      const removed = await image('team/base', 'far').request('DELETE', `/manifests/${digest}`);
      assert.ok(removed.status === 404 || removed.status === 405, String(removed.status));
    });
  });
}
