/** Manifests that deceive: rows D10 to D19 of the catalogue of bad inputs. */
import assert from 'node:assert/strict';
import { describeRows, type Row } from '../../support/hostile.ts';
import { describeBytes, ImageClient, render, sha256, sha512, TYPES, uniqueBytes } from '../../support/oci.ts';
import { STORAGES } from '../../support/test-app.ts';

import {
  BASE,
  changed,
  having,
  missing,
  put,
  refused,
  respelled,
  valid,
  withLayer,
  without,
} from './manifest-attacks.ts';

const ROWS: readonly Row[] = [
  refused(
    'D10',
    'a digest in the address that the body does not have',
    async (world) => {
      const body = render(await valid(world));
      return [put(body, TYPES.manifest, sha256('other')), put(body, TYPES.manifest, sha512('other'))];
    },
    { codes: ['DIGEST_INVALID'] },
  ),
  refused('D11', 'bodies that are no JSON object', async (world) => {
    const text = JSON.stringify(await valid(world));
    const bodies = [
      '',
      '{',
      'null',
      '[]',
      '"x"',
      '0',
      `\ufeff${text}`,
      `${text}x`,
      `${text}${text}`,
      `[${text}]`,
      text.slice(0, -1),
      text.replaceAll('"', "'"),
    ];
    return [
      ...bodies.map((body) => put(body)),
      put(Buffer.from(text, 'utf16le')),
      put(Buffer.from([0xff, 0xfe, 0x7b, 0x7d])),
    ];
  }),
  {
    id: 'D12',
    name: 'types that say nothing, with a body that tells its kind',
    attacks: async (world) => {
      const types = [
        undefined,
        'text/html',
        '*/*',
        'text/html; charset=utf-8',
        'application/json',
        'nonsense',
        'a/b, c/d',
        `application/octet-stream; a=${'b'.repeat(1024)}`,
      ];
      const documents = await Promise.all(types.map(() => valid(world)));
      return documents.map((document, i) => put(render(without('mediaType')(document)), types[i], `d12-${i}`));
    },
    status: [201],
    shape: 'oci',
    check: async ({ admin }, answers) => {
      for (const [i] of answers.entries()) {
        const { headers } = await admin.request('GET', `${BASE}/manifests/d12-${i}`);
        assert.equal(headers['content-type'], TYPES.manifest);
      }
    },
  },
  refused('D12', 'types that say nothing, with a body that does not either', () => [
    put('{}', undefined),
    put('{"a":1}', 'text/html'),
    put('{}', '*/*'),
  ]),
  refused('D13', 'the type of an index for an image, and the reverse', async (world) => {
    const image = await valid(world);
    const index = { schemaVersion: 2, manifests: [] };
    return [
      put(render(without('mediaType')(image)), TYPES.index),
      put(render(image), TYPES.index),
      put(render(image), TYPES.dockerManifest),
      put(render(index), TYPES.manifest),
      put(render({ ...index, mediaType: TYPES.index }), TYPES.manifest),
      put(render({ ...index, mediaType: TYPES.index }), TYPES.dockerList),
    ];
  }),
  refused('D14', 'a document that is an image to one reader and an index to another', async (world) => {
    const image = await valid(world);
    const both = { ...image, manifests: [] };
    return [TYPES.manifest, TYPES.index, TYPES.dockerManifest, 'application/vnd.example.unknown+json', undefined].map(
      (type) => put(render(type === TYPES.manifest ? both : without('mediaType')(both)), type),
    );
  }),
  refused(
    'D15',
    'keys given twice, plainly or in disguise, that change what is referred to',
    changed(
      respelled('layers', '"layers":[],"layers":'),
      respelled('layers', '"lay\\u0065rs":[],"layers":'),
      respelled('config', '"config":{},"config":'),
      respelled('digest', '"digest":"sha256:00","digest":'),
      respelled('mediaType', '"mediaType":"a/b","mediaType":'),
      respelled('schemaVersion', '"manifests":[],"manifests":[],"schemaVersion":'),
      respelled('schemaVersion', '"subject":{},"subject":{},"schemaVersion":'),
    ),
  ),
  {
    id: 'D15',
    name: 'a key given twice that changes nothing of that',
    attacks: changed(respelled('schemaVersion', '"annotations":{"a":"1","a":"2"},"schemaVersion":')),
    status: [201],
    shape: 'oci',
  },
  refused(
    'D16',
    'layers whose digest is none',
    changed(
      ...[
        'sha256:../../etc',
        'sha256:',
        'sha256',
        '',
        {},
        7,
        null,
        [],
        true,
        `sha256:${'A'.repeat(64)}`,
        `md5:${'a'.repeat(32)}`,
        'toString',
      ].map((digest) => withLayer({ digest })),
      having({ layers: [null] }),
      having({ layers: ['x'] }),
      having({ layers: {} }),
      having({ config: null }),
      having({ config: [] }),
      withLayer({ mediaType: 7 }),
      withLayer({ mediaType: 'no type' }),
    ),
  ),
  refused(
    'D17',
    'layers whose size is none',
    changed(
      ...[-1, 1.5, '10', 2 ** 53, null, true, {}].map((size) => withLayer({ size })),
      (document) => JSON.stringify(withLayer({ size: 'SIZE' })(document)).replace('"SIZE"', '18446744073709551616'),
      (document) => JSON.stringify(withLayer({ size: 'SIZE' })(document)).replace('"SIZE"', '1e999'),
      (document) => JSON.stringify(withLayer({ size: 'SIZE' })(document)).replace('"SIZE"', 'NaN'),
    ),
  ),
  {
    id: 'D18',
    name: 'a layer whose size is another one',
    attacks: changed(withLayer({ size: 12345 })),
    status: [201],
    shape: 'oci',
  },
  refused(
    'D19',
    'layers that are absent, or lie where the caller may not look',
    async (world) => {
      const elsewhere = uniqueBytes();
      await new ImageClient(world.admin, '/v2/docker-other/app').pushBlob(elsewhere);
      const document = await valid(world);
      const by = world.as('writer');
      return [uniqueBytes(), elsewhere].map((bytes) => ({
        ...put(render({ ...document, layers: [describeBytes(TYPES.layer, bytes)] })),
        by,
      }));
    },
    {
      codes: ['MANIFEST_BLOB_UNKNOWN'],
      check: (_world, [absent, forbidden]) => {
        const plain = (text: string) => text.replaceAll(/[0-9a-f]{64}/g, '');
        assert.equal(plain(absent!.text), plain(forbidden!.text));
      },
    },
  ),
  refused('D19', 'each missing digest is named', changed(having({ layers: missing(3) })), {
    codes: ['MANIFEST_BLOB_UNKNOWN'],
    check: (_world, [answer]) => {
      const { errors } = JSON.parse(answer!.text) as { errors: { code: string; detail: { digest: string } }[] };
      assert.deepEqual(
        errors.map(({ detail }) => detail.digest).sort(),
        missing(3)
          .map(({ digest }) => digest)
          .sort(),
      );
    },
  }),
];

for (const storage of STORAGES) describeRows('hostile manifests', storage, ROWS);
