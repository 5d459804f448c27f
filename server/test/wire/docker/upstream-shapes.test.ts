/** Registries as people have them for upstreams: each shape pulled through, by tag and digest, once and then never again. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import type { FakeRegistry } from '../../support/fake-registries.ts';
import { codeOf, describeBytes, type Image, makeImage, makeIndex, render, sha256, TYPES } from '../../support/oci.ts';
import { SHAPES } from '../../support/registry-shapes.ts';
import { type RegistryWorld, startRegistryWorld, withPullToken } from '../../support/registry-world.ts';
import { type Answer, type Caller, STORAGES } from '../../support/test-app.ts';

/** As a client has it that takes whatever there is. */
const ACCEPT = [TYPES.index, TYPES.manifest, TYPES.dockerList, TYPES.dockerManifest].join(', ');

for (const storage of STORAGES) {
  describe(`upstream registries on ${storage}`, () => {
    let world: RegistryWorld;
    const shapes = Object.entries(SHAPES);
    before(async () => {
      world = await startRegistryWorld(
        storage,
        shapes.map(([, shape]) => shape),
      );
    });
    after(() => world.stop());

    for (const [key, shape] of shapes) {
      describe(shape.name, () => {
        const repo = `far-${key.toLowerCase()}`;
        const name = key === 'dockerHub' ? 'library/app' : 'team/app';
        const base = `/v2/${repo}/${name}`;
        let registry: FakeRegistry;
        let image: Image;
        let index: Buffer;
        before(async () => {
          registry = await world.addRemote(repo, shape);
          // Spaces as people write them: what comes back must be the same bytes.
          const made = makeImage({ layers: 2 });
          image = { ...made, bytes: Buffer.from(`${made.bytes.toString().replaceAll('":', '" :')}\n`) };
          image = { ...image, digest: sha256(image.bytes) };
          index = render({
            ...(JSON.parse(makeIndex([describeBytes(TYPES.manifest, image.bytes)]).toString()) as object),
          });
          registry.push(name, 'child', image);
          registry.pushManifest(name, '1.0', index, TYPES.index);
        });

        const pull = async (caller: Caller, path: string, method = 'GET'): Promise<Answer> =>
          caller.request(method, `${base}${path}`, { headers: { accept: ACCEPT } });

        test('an index, its image and all blobs come byte for byte, with a token to pull', async () => {
          const caller = await withPullToken(world.admin, `${repo}/${name}`);
          const head = await pull(caller, '/manifests/1.0', 'HEAD');
          assert.equal(head.status, 200);
          assert.equal(head.headers['docker-content-digest'], sha256(index));
          const byTag = await pull(caller, '/manifests/1.0');
          assert.equal(byTag.status, 200, byTag.text);
          assert.deepEqual(byTag.bytes, index);
          assert.equal(byTag.headers['content-type'], TYPES.index);
          assert.equal(byTag.headers['docker-content-digest'], sha256(index));
          assert.equal(byTag.headers['x-artifactory-docker-registry'], repo);
          const byDigest = await pull(caller, `/manifests/${image.digest}`);
          assert.deepEqual(byDigest.bytes, image.bytes);
          assert.equal(byDigest.headers['content-type'], TYPES.manifest);
          for (const blob of [image.config, ...image.layers]) {
            const answer = await pull(caller, `/blobs/${sha256(blob)}`);
            assert.equal(answer.status, 200, answer.text);
            assert.deepEqual(answer.bytes, blob);
            const known = await pull(caller, `/blobs/${sha256(blob)}`, 'HEAD');
            assert.deepEqual([known.status, Number(known.headers['content-length'])], [200, blob.length]);
          }
        });

        test('what was pulled is asked for no more', async () => {
          registry.forget();
          for (const path of ['/manifests/1.0', `/manifests/${sha256(index)}`, `/manifests/${image.digest}`]) {
            assert.equal((await pull(world.admin, path)).status, 200);
            assert.equal((await pull(world.admin, path, 'HEAD')).status, 200);
          }
          for (const blob of [image.config, ...image.layers]) {
            assert.deepEqual((await pull(world.admin, `/blobs/${sha256(blob)}`)).bytes, blob);
          }
          assert.deepEqual(registry.counts, { manifestGets: 0, manifestHeads: 0, blobGets: 0, tokens: 0 });
        });

        test('it lies in the cache as it would if it had been pushed', async () => {
          const at = async (path: string) =>
            (await world.admin.request('HEAD', `/artifactory/${repo}-cache/${name}/${path}`)).status;
          assert.equal(await at('1.0/list.manifest.json'), 200);
          assert.equal(await at(`${image.digest}/manifest.json`), 200);
          for (const blob of [image.config, ...image.layers]) {
            const path = `${image.digest}/${sha256(blob).replace(':', '__')}`;
            // Bytes are given on as soon as they are verified, and kept then.
            await eventually(async () => assert.equal(await at(path), 200));
          }
          const path = `/artifactory/api/storage/${repo}-cache/${name}/1.0/list.manifest.json?properties`;
          const answer = await world.admin.request('GET', path);
          const { properties } = answer.json() as { properties: Record<string, string[]> };
          assert.deepEqual(properties['docker.manifest'], ['1.0']);
          assert.deepEqual(properties['docker.repoName'], [name]);
          assert.deepEqual(properties['docker.manifest.digest'], [sha256(index)]);
        });

        test('what is missing there is missing here, whatever the registry calls it', async () => {
          for (const path of [`/v2/${repo}/no/such/manifests/1`, `/v2/${repo}/${name}/manifests/none`]) {
            const answer = await world.admin.request('GET', path);
            assert.equal(answer.status, 404, `${path}: ${answer.text}`);
            assert.match(String(codeOf(answer)), /^(MANIFEST|NAME)_UNKNOWN$/);
          }
          const digest = sha256('nowhere');
          assert.equal(codeOf(await pull(world.admin, `/manifests/${digest}`)), 'MANIFEST_UNKNOWN');
          assert.equal(codeOf(await pull(world.admin, `/blobs/${digest}`)), 'BLOB_UNKNOWN');
        });
      });
    }
  });
}
