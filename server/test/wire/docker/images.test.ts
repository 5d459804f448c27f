/** Kinds of images and artifacts that clients push, and what the tree knows of them afterwards. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  codeOf,
  describeBytes,
  ImageClient,
  makeImage,
  makeIndex,
  render,
  sha256,
  TYPES,
  uniqueBytes,
} from '../../support/oci.ts';
import { STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

for (const storage of STORAGES) {
  describe(`images on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage);
    });
    after(() => world.stop());
    const clientOf = (name: string) => new ImageClient(world.admin, `/v2/docker-local/${name}`);

    /** Paths below an image's folder, with the types of the files. */
    async function treeOf(image: string): Promise<Record<string, string | null>> {
      const rows = await world.database.kysely
        .selectFrom('node')
        .select(['parent', 'name', 'media_type', 'folder'])
        .where('parent', 'like', `${image}%`)
        .execute();
      const files = rows.filter(
        ({ folder, parent }) => folder === 0 && (parent === image || parent.startsWith(`${image}/`)),
      );
      return Object.fromEntries(
        files.map((row) => [`${row.parent}/${row.name}`.slice(image.length + 1), row.media_type]),
      );
    }

    async function propertiesOf(parent: string): Promise<Record<string, string[]>> {
      const rows = await world.database.kysely
        .selectFrom('property')
        .innerJoin('node', 'node.id', 'property.node_id')
        .select(['property.key', 'property.value'])
        .where('node.parent', '=', parent)
        .where('node.name', 'in', ['manifest.json', 'list.manifest.json'])
        .orderBy('property.key')
        .execute();
      const found: Record<string, string[]> = {};
      for (const { key, value } of rows) found[key] = [...(found[key] ?? []), value];
      return found;
    }

    test('an image lies as its manifest and layers under its tag, with the properties of Artifactory', async () => {
      const client = clientOf('team/app');
      const config = {
        architecture: 'amd64',
        os: 'linux',
        config: { Labels: { maintainer: 'ann', 'org.example.kind': 'ä', empty: '' } },
      };
      const image = makeImage({ layers: 2, config });
      await client.push('1.0', image);
      assert.deepEqual(await treeOf('team/app/1.0'), {
        'manifest.json': TYPES.manifest,
        ...Object.fromEntries(
          [image.config, ...image.layers].map((blob) => [
            `sha256__${sha256(blob).slice(7)}`,
            'application/octet-stream',
          ]),
        ),
      });
      const properties = await propertiesOf('team/app/1.0');
      assert.deepEqual(properties['docker.repoName'], ['team/app']);
      assert.deepEqual(properties['docker.manifest'], ['1.0']);
      assert.deepEqual(properties['docker.manifest.type'], [TYPES.manifest]);
      assert.deepEqual(properties['docker.manifest.digest'], [image.digest]);
      assert.deepEqual(properties['docker.label.maintainer'], ['ann']);
      assert.deepEqual(properties['docker.label.org.example.kind'], ['ä']);
      assert.deepEqual(properties['docker.label.empty'], ['']);
    });

    test('the properties follow a manifest whose tag went to another', async () => {
      const client = clientOf('moving');
      const [old, next] = [makeImage({ config: { config: { Labels: { a: '1' } } } }), makeImage()];
      await client.push('v', old);
      await client.push('v', next);
      assert.deepEqual((await propertiesOf(`moving/${old.digest}`))['docker.manifest'], [old.digest]);
      assert.deepEqual((await propertiesOf(`moving/${old.digest}`))['docker.label.a'], ['1']);
      assert.equal((await propertiesOf('moving/v'))['docker.label.a'], undefined);
    });

    test('labels that are strange do not stop a push', async () => {
      const client = clientOf('labels');
      const Labels = {
        ok: 'yes',
        number: 1,
        nested: { a: 1 },
        list: ['a'],
        long: 'x'.repeat(10_000),
        wide: '€'.repeat(2000),
        ['k'.repeat(300)]: 'v',
        nul: 'a\0b',
        lone: '\ud800',
      };
      await client.push('v', makeImage({ config: { config: { Labels } } }));
      const properties = await propertiesOf('labels/v');
      assert.deepEqual(properties['docker.label.ok'], ['yes']);
      assert.deepEqual(properties['docker.label.nul'], ['ab']);
      assert.equal(properties['docker.label.number'], undefined);
      assert.ok(Buffer.byteLength(properties['docker.label.long']![0]!) < 3000);
      assert.match(properties['docker.label.wide']![0]!, /^€+$/);
    });

    test('a Docker image, its list and a Helm chart without a type of its own are kept as they are', async () => {
      const client = clientOf('kinds');
      const docker = makeImage({ extra: { mediaType: TYPES.dockerManifest } });
      for (const blob of [docker.config, ...docker.layers]) await client.pushBlob(blob);
      await client.pushManifest('docker', docker.bytes, TYPES.dockerManifest);
      const list = makeIndex([describeBytes(TYPES.dockerManifest, docker.bytes)], { mediaType: TYPES.dockerList });
      await client.pushManifest('list', list, TYPES.dockerList);
      const config = await client.pushBlob(render({ name: 'chart', version: '1.0.0+build' }));
      const chart = await client.pushBlob(uniqueBytes());
      const helm = render({
        schemaVersion: 2,
        config: { mediaType: 'application/vnd.cncf.helm.config.v1+json', digest: config, size: 40 },
        layers: [{ mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip', digest: chart, size: 64 }],
      });
      await client.pushManifest('1.0.0_build', helm, TYPES.manifest);
      for (const [tag, type] of [
        ['docker', TYPES.dockerManifest],
        ['list', TYPES.dockerList],
        ['1.0.0_build', TYPES.manifest],
      ] as const) {
        assert.equal((await client.request('GET', `/manifests/${tag}`)).headers['content-type'], type);
      }
    });

    test('layers that are not meant to be pushed need not be there', async () => {
      const client = clientOf('foreign');
      const image = makeImage();
      await client.pushBlob(image.config);
      const foreign = (mediaType: string, fields: object = {}) =>
        render({
          ...(JSON.parse(image.bytes.toString()) as object),
          layers: [{ mediaType, digest: sha256(mediaType), size: 1, ...fields }],
        });
      const urls = ['https://example.test/layer'];
      for (const type of [
        'application/vnd.oci.image.layer.nondistributable.v1.tar',
        'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
        'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
      ]) {
        await client.pushManifest('n', foreign(type));
        await client.pushManifest('n', foreign(type, { urls }));
      }
      await client.pushManifest('f', foreign('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', { urls }));
      const plain = await client.putManifest('p', foreign(TYPES.layer, { urls }));
      assert.equal(codeOf(plain), 'MANIFEST_BLOB_UNKNOWN');
    });

    test('an index may hold indexes, be empty, and name the cache of a build, whose entries are blobs', async () => {
      const client = clientOf('indexes');
      const image = makeImage();
      const child = await client.push(image.digest, image);
      let inner = makeIndex([child]);
      for (let depth = 0; depth < 20; depth++) {
        const entry = await client.pushManifest(sha256(inner), inner, TYPES.index);
        inner = makeIndex([entry]);
      }
      await client.pushManifest('nested', inner, TYPES.index);
      await client.pushManifest('empty', makeIndex([]), TYPES.index);
      const layers = [uniqueBytes(), uniqueBytes()];
      const cacheConfig = render({ layers: layers.map((layer) => ({ blob: sha256(layer) })) });
      for (const blob of [...layers, cacheConfig]) await client.pushBlob(blob);
      const cache = makeIndex([
        ...layers.map((layer) => describeBytes('application/vnd.docker.image.rootfs.diff.tar.gzip', layer)),
        describeBytes('application/vnd.buildkit.cacheconfig.v0', cacheConfig),
      ]);
      await client.pushManifest('cache', cache, TYPES.index);
      assert.deepEqual((await client.request('GET', '/manifests/cache')).bytes, cache);
      for (const layer of layers) assert.equal(await client.statusOf(`/blobs/${sha256(layer)}`), 200);
    });

    test('an index whose children are not there is refused, with each of them named', async () => {
      const client = clientOf('sparse');
      const here = await client.push('here', makeImage());
      const missing = [makeImage(), makeImage()].map(({ bytes }) => describeBytes(TYPES.manifest, bytes));
      const answer = await client.putManifest('sparse', makeIndex([here, ...missing]), TYPES.index);
      assert.equal(answer.status, 400);
      const { errors } = answer.json() as { errors: { code: string; detail: { digest: string } }[] };
      assert.ok(errors.every(({ code }) => code === 'MANIFEST_BLOB_UNKNOWN'));
      assert.deepEqual(errors.map(({ detail }) => detail.digest).sort(), missing.map(({ digest }) => digest).sort());
    });

    test('artifacts of the withdrawn kind and of kinds nobody knows are kept', async () => {
      const client = clientOf('artifacts');
      const blob = uniqueBytes();
      await client.pushBlob(blob);
      const type = 'application/vnd.oci.artifact.manifest.v1+json';
      const artifact = render({
        mediaType: type,
        artifactType: 'application/vnd.x+json',
        blobs: [describeBytes('a/b', blob)],
      });
      await client.pushManifest('old', artifact, type);
      await client.pushManifest('unknown', render({ anything: [1] }), 'application/vnd.example.thing.v1+json');
      assert.equal(
        (await client.request('GET', '/manifests/unknown')).headers['content-type'],
        'application/vnd.example.thing.v1+json',
      );
      const lacking = render({ mediaType: type, blobs: [describeBytes('a/b', uniqueBytes())] });
      assert.equal(codeOf(await client.putManifest('lacking', lacking, type)), 'MANIFEST_BLOB_UNKNOWN');
    });

    test('the type of a manifest may have parameters, which are not sent back', async () => {
      const client = clientOf('parameters');
      const image = makeImage();
      for (const bytes of [image.config, ...image.layers]) await client.pushBlob(bytes);
      const put = await client.request('PUT', '/manifests/v', {
        body: image.bytes,
        headers: { 'content-type': `${TYPES.manifest}; charset=utf-8` },
      });
      assert.equal(put.status, 201);
      assert.equal((await client.request('GET', '/manifests/v')).headers['content-type'], TYPES.manifest);
    });

    test('images with the longest names are pushed, listed and pulled', async () => {
      for (const name of ['a'.repeat(255), `${'b/'.repeat(127)}b`, `${'c'.repeat(127)}/${'d'.repeat(127)}`]) {
        const client = clientOf(name);
        const image = makeImage();
        await client.push('t'.repeat(128), image);
        assert.equal(await client.statusOf(`/manifests/${'t'.repeat(128)}`), 200);
        assert.equal(await client.statusOf(`/blobs/${sha256(image.config)}`), 200);
        assert.deepEqual((await client.request('GET', '/tags/list')).json(), {
          name: `docker-local/${name}`,
          tags: ['t'.repeat(128)],
        });
        assert.equal((await client.request('DELETE', `/manifests/${image.digest}`)).status, 202);
      }
    });

    test('an image is deployed and deleted by path only with its folder', async () => {
      const client = clientOf('bypath');
      await client.push('v', makeImage());
      const at = '/artifactory/docker-local/bypath';
      assert.equal((await world.admin.request('GET', `${at}/v/manifest.json`)).status, 200);
      const put = await world.admin.request('PUT', `${at}/v/manifest.json`, { body: '{}' });
      assert.ok([400, 403, 409].includes(put.status));
      assert.equal((await world.admin.request('DELETE', `${at}/v/manifest.json`)).status, 409);
      assert.equal(await client.statusOf('/manifests/v'), 200);
      assert.equal((await world.admin.request('DELETE', `${at}/v`)).status, 204);
      assert.equal(await client.statusOf('/manifests/v'), 404);
    });
  });
}
