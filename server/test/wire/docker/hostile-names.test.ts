/** Names, tags and digests that are none: rows D01 to D09 of the catalogue of bad inputs. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { describeRows, type Row } from '../../support/hostile.ts';
import { codeOf, ImageClient, makeImage, TYPES } from '../../support/oci.ts';
import { STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const BASE = '/v2/docker-local';
const long = (length: number) => 'a'.repeat(length);
const BAD_NAMES = [
  'T/A',
  'a___b',
  '-a',
  'a..b',
  'a/',
  'a-',
  '.a',
  'a/-b',
  'a/b_',
  'a//b',
  'ä',
  'a+b',
  'a~b',
  '_a',
  'a.-b',
].map(encodeURI);
const LONG_NAMES = [long(256), long(300), `${'a/'.repeat(128)}a`, `${long(100)}/`.repeat(3) + long(100)];
const BAD_TAGS = [long(129), '.x', '-x', 'a%2Fb', 'a%20b', 't%C3%A4g', 'a+b', 'a@b', '%25', '~', 'a%3Bb', '_uploads'];
const hex = (length: number) => '0123456789abcdef'.repeat(16).slice(0, length);
const BAD_DIGESTS = [
  `md5:${hex(32)}`,
  `sha256:${hex(64).toUpperCase()}`,
  `sha256:${hex(63)}`,
  `sha256:${hex(65)}`,
  `sha512:${hex(64)}`,
  `SHA256:${hex(64)}`,
  `sha256%3A${hex(63)}`,
  `sha384:${hex(96)}`,
  'sha256:',
  ':',
  `:${hex(64)}`,
  'sha256',
  `__proto__:${hex(64)}`,
  `constructor:${hex(64)}`,
  'toString:x',
  `${long(5000)}:${hex(64)}`,
  `sha256:${hex(64)}:`,
  `sha256:${hex(64)}@x`,
];

/** A manifest that could be stored if its name or tag could be. */
async function validManifest(world: World): Promise<Buffer> {
  const image = makeImage({ layers: 0 });
  await new ImageClient(world.admin, `${BASE}/names`).pushBlob(image.config);
  return image.bytes;
}

const ROWS: readonly Row[] = [
  {
    id: 'D01',
    name: 'writing to names that are none',
    attacks: async (world) => {
      const body = await validManifest(world);
      return BAD_NAMES.flatMap((name) => [
        { method: 'POST', path: `${BASE}/${name}/blobs/uploads/` },
        {
          method: 'PUT',
          path: `${BASE}/${name}/manifests/latest`,
          options: { body, headers: { 'content-type': TYPES.manifest } },
        },
        { method: 'DELETE', path: `${BASE}/${name}/manifests/latest` },
      ]);
    },
    status: [400],
    codes: ['NAME_INVALID'],
    shape: 'oci',
  },
  {
    id: 'D01',
    name: 'reading names that are none',
    attacks: () =>
      BAD_NAMES.flatMap((name) => [
        { method: 'GET', path: `${BASE}/${name}/manifests/latest` },
        { method: 'HEAD', path: `${BASE}/${name}/manifests/latest` },
        { method: 'GET', path: `${BASE}/${name}/tags/list` },
      ]),
    status: [404],
    shape: 'oci',
  },
  {
    id: 'D02',
    name: 'starting an upload under a name that is too long',
    attacks: () => LONG_NAMES.map((name) => ({ method: 'POST', path: `${BASE}/${name}/blobs/uploads/` })),
    status: [400],
    codes: ['NAME_INVALID'],
    shape: 'oci',
  },
  {
    id: 'D02',
    name: 'reading a name that is too long',
    attacks: () => LONG_NAMES.map((name) => ({ method: 'GET', path: `${BASE}/${name}/manifests/a` })),
    status: [404],
    codes: ['NAME_UNKNOWN'],
    shape: 'oci',
  },
  {
    id: 'D03',
    name: 'an encoded slash or dot is not the plain one',
    attacks: async ({ admin }) => {
      await new ImageClient(admin, `${BASE}/t/a`).push('latest', makeImage());
      return ['t%2Fa', 't%2fa', 't/%2e%2e/t/a', 't/%2e/a', '%2e/t/a'].flatMap((name) =>
        ['manifests/latest', 'tags/list'].map((rest) => ({ method: 'GET', path: `${BASE}/${name}/${rest}` })),
      );
    },
    status: [400, 404],
    shape: 'oci',
  },
  {
    id: 'D05',
    name: 'pushing to tags that are none',
    attacks: async (world) => {
      const body = await validManifest(world);
      return BAD_TAGS.map((tag) => ({
        method: 'PUT',
        path: `${BASE}/names/manifests/${tag}`,
        options: { body, headers: { 'content-type': TYPES.manifest } },
      }));
    },
    status: [400],
    codes: ['TAG_INVALID'],
    shape: 'oci',
  },
  {
    id: 'D05',
    name: 'reading tags that are none',
    attacks: () =>
      BAD_TAGS.flatMap((tag) => ['GET', 'HEAD'].map((method) => ({ method, path: `${BASE}/names/manifests/${tag}` }))),
    status: [404],
    shape: 'oci',
  },
  {
    id: 'D06',
    name: 'reading a manifest by a digest that is none',
    attacks: () => BAD_DIGESTS.map((digest) => ({ method: 'GET', path: `${BASE}/names/manifests/${digest}` })),
    status: [404, 400],
    shape: 'oci',
  },
  {
    id: 'D06',
    name: 'pushing a manifest by a digest that is none',
    attacks: async (world) => {
      const body = await validManifest(world);
      return [...BAD_DIGESTS.filter((digest) => digest !== 'sha256'), 'sha256:zz', 'sha256:baddigeststring'].map(
        (digest) => ({
          method: 'PUT',
          path: `${BASE}/names/manifests/${digest}`,
          options: { body, headers: { 'content-type': TYPES.manifest } },
        }),
      );
    },
    status: [400],
    codes: ['DIGEST_INVALID'],
    shape: 'oci',
  },
  {
    id: 'D07-D09',
    name: 'blobs by digests that are none',
    attacks: () =>
      BAD_DIGESTS.flatMap((digest) =>
        ['GET', 'HEAD', 'DELETE'].map((method) => ({ method, path: `${BASE}/names/blobs/${digest}` })),
      ),
    status: [400, 404],
    codes: ['DIGEST_INVALID', 'BLOB_UNKNOWN'],
    shape: 'oci',
  },
  {
    id: 'D08',
    name: 'an unknown blob by a digest of another algorithm',
    attacks: () => [{ method: 'GET', path: `${BASE}/names/blobs/sha512:${hex(128)}` }],
    status: [404],
    codes: ['BLOB_UNKNOWN'],
    shape: 'oci',
  },
];

for (const storage of STORAGES) describeRows('hostile names', storage, ROWS);

describe('names that look like the protocol', () => {
  let world: World;
  before(async () => {
    world = await startWorld('sqlite-fs');
  });
  after(() => world.stop());

  const names = [
    'blobs/uploads',
    'a/blobs/uploads/b',
    'manifests',
    'a/manifests/b',
    'tags/list',
    'a/tags/list/b',
    'referrers/sha256',
    'uploads',
    'token',
    'v2',
    'a/blobs',
  ];
  for (const name of names) {
    test(`D04: an image called ${name} is pushed, listed, pulled and deleted`, async () => {
      const { admin } = world;
      const client = new ImageClient(admin, `${BASE}/${name}`);
      const image = makeImage();
      const session = await client.startUpload();
      assert.equal((await admin.request('GET', session)).status, 204);
      assert.equal((await admin.request('DELETE', session)).status, 204);
      await client.push('v1', image);
      assert.equal(await client.statusOf('/manifests/v1'), 200);
      const tags = await client.request('GET', '/tags/list');
      assert.deepEqual(tags.json(), { name: `docker-local/${name}`, tags: ['v1'] });
      assert.equal((await client.request('GET', `/referrers/${image.digest}`)).status, 200);
      assert.equal((await client.request('DELETE', `/manifests/${image.digest}`)).status, 202);
      assert.equal(codeOf(await client.request('GET', '/manifests/v1')), 'MANIFEST_UNKNOWN');
    });
  }
});
