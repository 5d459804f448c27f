/** Upstream registries that answer wrongly: clients are told so in their own protocol, and nothing wrong is kept. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { codeOf, describeBytes, makeImage, render, sha256, TYPES, uniqueBytes } from '../../support/oci.ts';
import { type RegistryWorld, startRegistryWorld } from '../../support/registry-world.ts';
import { type Answer, STORAGES } from '../../support/test-app.ts';

interface Fault {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

const OTHER = makeImage();
const manifest = (body: Buffer, headers: Record<string, string> = {}): Fault => ({
  headers: { 'content-type': TYPES.manifest, 'docker-content-digest': sha256(body), ...headers },
  body,
});

function manyLayers(count: number): Buffer {
  return render({
    schemaVersion: 2,
    config: describeBytes('a/b', Buffer.from('{}')),
    layers: Array.from({ length: count }, (_, i) => describeBytes('a/b', Buffer.from(`${i} of ${count}`))),
  });
}

/** What comes for any manifest of the image of that name, and what the client must get. */
const MANIFESTS: Readonly<Record<string, Fault & { readonly wanted: number; readonly code: string }>> = {
  page: {
    headers: { 'content-type': 'text/html' },
    body: Buffer.from('<html>log in</html>'),
    wanted: 503,
    code: 'UNAVAILABLE',
  },
  'page-as-json': {
    headers: { 'content-type': 'application/json' },
    body: Buffer.from('<html>'),
    wanted: 503,
    code: 'UNAVAILABLE',
  },
  empty: { ...manifest(Buffer.from('')), wanted: 503, code: 'UNAVAILABLE' },
  array: { ...manifest(Buffer.from('[]')), wanted: 503, code: 'UNAVAILABLE' },
  'other-digest': {
    ...manifest(OTHER.bytes, { 'docker-content-digest': sha256('x') }),
    wanted: 503,
    code: 'UNAVAILABLE',
  },
  'too-large': {
    ...manifest(render({ schemaVersion: 2, mediaType: TYPES.manifest, padding: 'x'.repeat(4_194_305) })),
    wanted: 503,
    code: 'UNAVAILABLE',
  },
  'two-kinds': {
    ...manifest(render({ ...(JSON.parse(OTHER.bytes.toString()) as object), manifests: [] })),
    wanted: 503,
    code: 'UNAVAILABLE',
  },
  'twice-layers': {
    ...manifest(Buffer.from(OTHER.bytes.toString().replace('"layers":', '"layers":[],"layers":'))),
    wanted: 503,
    code: 'UNAVAILABLE',
  },
  'many-layers': { ...manifest(manyLayers(20_000)), wanted: 503, code: 'UNAVAILABLE' },
  // A page of values in one statement would be too many.
  'some-layers': { ...manifest(manyLayers(4900)), wanted: 200, code: '' },
  deep: { ...manifest(Buffer.from(`{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`)), wanted: 503, code: 'UNAVAILABLE' },
  'schema-1': {
    ...manifest(render({ schemaVersion: 1, fsLayers: [] }), { 'content-type': TYPES.schema1 }),
    wanted: 503,
    code: 'UNAVAILABLE',
  },
  moved: {
    status: 302,
    headers: { location: 'http://169.254.169.254/latest/meta-data' },
    wanted: 503,
    code: 'UNAVAILABLE',
  },
  teapot: { status: 418, body: Buffer.from('{}'), wanted: 503, code: 'UNAVAILABLE' },
  broken: {
    status: 500,
    headers: { 'content-type': 'text/html' },
    body: Buffer.from('<html>'),
    wanted: 503,
    code: 'UNAVAILABLE',
  },
  refused: { status: 403, body: Buffer.from('{}'), wanted: 404, code: 'NAME_UNKNOWN' },
  challenged: {
    status: 401,
    headers: { 'www-authenticate': 'Bearer realm="http://nowhere.example/token",service="x"' },
    wanted: 503,
    code: 'UNAVAILABLE',
  },
};

for (const storage of STORAGES) {
  describe(`faulty upstream registries on ${storage}`, () => {
    let world: RegistryWorld;
    const asked: string[] = [];
    before(async () => {
      world = await startRegistryWorld(storage, []);
      for (const name of Object.keys(MANIFESTS)) {
        await world.net.serve(`${name}.example`, (request, response) => {
          asked.push(`${request.method} ${request.target}`);
          const { status = 200, headers = {}, body } = MANIFESTS[name] ?? {};
          response.writeHead(status, { ...headers, ...(body && { 'content-length': body.length }) });
          response.end(request.method === 'HEAD' ? undefined : body);
        });
        await world.create(`far-${name}`, {
          rclass: 'remote',
          url: `http://${name}.example/`,
          socketTimeoutMillis: 2000,
        });
      }
    });
    after(() => world.stop());

    const pull = (name: string, reference: string): Promise<Answer> =>
      world.admin.request('GET', `/v2/far-${name}/team/app/manifests/${reference}`);

    for (const [name, { wanted, code }] of Object.entries(MANIFESTS)) {
      test(`a manifest: ${name.replaceAll('-', ' ')}`, async () => {
        const answer = await pull(name, 'latest');
        assert.equal(answer.status, wanted, answer.text.slice(0, 300));
        if (wanted === 200) return;
        assert.equal(codeOf(answer), code, answer.text);
        const [error] = (answer.json() as { errors: { message: string }[] }).errors;
        assert.match(String(error?.message), /^[A-Z"].{20,}[.]$/s, 'no sentence');
        const listing = await world.admin.request('GET', `/artifactory/api/storage/far-${name}-cache/team`);
        assert.equal(listing.status, 404, 'something was kept');
      });
    }

    test('bytes of another digest than was asked for', async () => {
      const answer = await pull('some-layers', sha256(uniqueBytes()));
      assert.deepEqual([answer.status, codeOf(answer)], [503, 'UNAVAILABLE']);
    });

    test('a blob that is longer than its manifest says, or other than its digest', async () => {
      const image = makeImage({ layers: 2 });
      const [layer = Buffer.from(''), second = Buffer.from('')] = image.layers;
      await world.net.serve('blobs.example', (request, response) => {
        const isManifest = request.target.includes('/manifests/');
        const body = isManifest
          ? image.bytes
          : request.target.includes(sha256(layer))
            ? Buffer.concat([layer, Buffer.from('more')])
            : Buffer.from(second.toString().replaceAll(/[0-9]/g, '0'));
        response.writeHead(200, {
          'content-type': isManifest ? TYPES.manifest : 'application/octet-stream',
          'content-length': body.length,
        });
        response.end(request.method === 'HEAD' ? undefined : body);
      });
      await world.create('far-blobs', { rclass: 'remote', url: 'http://blobs.example' });
      assert.equal((await world.admin.request('GET', '/v2/far-blobs/team/app/manifests/1')).status, 200);
      for (const blob of [layer, second]) {
        const path = `/v2/far-blobs/team/app/blobs/${sha256(blob)}`;
        const answer = await world.admin.request('GET', path).catch((error: unknown) => error as Error);
        if (answer instanceof Error) continue;
        assert.equal(answer.status, 503, answer.text);
        assert.equal(codeOf(answer), 'UNAVAILABLE');
      }
      const cached = await world.admin.request('GET', '/artifactory/api/storage/far-blobs-cache/team/app/1');
      const { children } = cached.json() as { children: { uri: string }[] };
      assert.deepEqual(
        children.map(({ uri }) => uri),
        ['/manifest.json'],
      );
    });

    test('nothing was asked of an address that is nobody’s to ask', () => {
      assert.ok(!world.net.dialled.some((address) => address.startsWith('169.254.')));
      assert.ok(asked.length > 0);
    });
  });
}
