/** Tags, referrers and catalogues of upstream registries of every shape. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { FakeRegistry } from '../../support/fake-registries.ts';
import { codeOf, describeBytes, type Image, makeImage, sha256, TYPES } from '../../support/oci.ts';
import { SHAPES } from '../../support/registry-shapes.ts';
import { type RegistryWorld, startRegistryWorld } from '../../support/registry-world.ts';
import { STORAGES } from '../../support/test-app.ts';

for (const storage of STORAGES) {
  describe(`lists of upstream registries on ${storage}`, () => {
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
        let registry: FakeRegistry;
        let image: Image;
        before(async () => {
          registry = await world.addRemote(repo, shape);
          image = makeImage();
          registry.push(name, '1.0', image);
        });

        test('all tags are listed, however many it gives at once', async () => {
          const tags = Array.from({ length: 230 }, (_, i) => `t${String(i).padStart(3, '0')}`);
          for (const tag of tags) registry.pushManifest('team/many', tag, image.bytes, TYPES.manifest);
          const answer = await world.admin.request('GET', `/v2/${repo}/team/many/tags/list`);
          assert.equal(answer.status, 200, answer.text);
          assert.deepEqual(answer.json(), { name: `${repo}/team/many`, tags });
          const page = await world.admin.request('GET', `/v2/${repo}/team/many/tags/list?n=3&last=t100`);
          assert.deepEqual((page.json() as { tags: string[] }).tags, ['t101', 't102', 't103']);
          const unknown = await world.admin.request('GET', `/v2/${repo}/no/such/tags/list`);
          assert.deepEqual([unknown.status, codeOf(unknown)], [404, 'NAME_UNKNOWN']);
        });

        test('referrers are found by its API, or by the tag of old', async () => {
          const subject = describeBytes(TYPES.manifest, image.bytes);
          const artifact = makeImage({ extra: { subject, artifactType: 'application/spdx+json' } });
          registry.refer(name, image.digest, artifact, 'application/spdx+json');
          const answer = await world.admin.request('GET', `/v2/${repo}/${name}/referrers/${image.digest}`);
          assert.equal(answer.status, 200, answer.text);
          const { manifests } = answer.json() as { manifests: { digest: string; artifactType: string }[] };
          assert.deepEqual(
            manifests.map(({ digest, artifactType }) => [digest, artifactType]),
            [[artifact.digest, 'application/spdx+json']],
          );
          const none = await world.admin.request('GET', `/v2/${repo}/${name}/referrers/${sha256('nothing')}`);
          assert.deepEqual([none.status, (none.json() as { manifests: unknown[] }).manifests], [200, []]);
        });

        test('the catalogue is that of the registry, where it has one', async () => {
          const answer = await world.admin.request('GET', `/artifactory/api/docker/${repo}/v2/_catalog`);
          assert.equal(answer.status, 200, answer.text);
          const { repositories } = answer.json() as { repositories: string[] };
          assert.deepEqual(repositories, registry.shape.hasCatalog ? [name, 'team/many'].sort() : []);
        });
      });
    }
  });
}
