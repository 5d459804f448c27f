/** Manifests that overload, or hold what nobody expects: rows D20 to D31 of the catalogue of bad inputs. */
import assert from 'node:assert/strict';
import { describeRows, type Row, type SkippedRow } from '../../support/hostile.ts';
import { describeBytes, ImageClient, render, sha256, TYPES } from '../../support/oci.ts';
import { STORAGES } from '../../support/test-app.ts';

import {
  BASE,
  changed,
  type Document,
  having,
  MIB,
  missing,
  put,
  refused,
  valid,
  withLayer,
  without,
} from './manifest-attacks.ts';

const ROWS: readonly Row[] = [
  refused('D20', '24,000 layers that are all missing', changed(having({ layers: missing(24_000) })), {
    codes: ['MANIFEST_BLOB_UNKNOWN'],
    long: true,
    withinMs: 5000,
    check: (_world, [answer]) => {
      const { errors } = JSON.parse(answer!.text) as { errors: { message: string }[] };
      assert.equal(errors.length, 100);
      assert.match(errors[0]!.message, /23900 more/);
    },
  }),
  refused(
    'D21',
    'a body of one byte too many',
    async (world) => {
      const text = JSON.stringify(await valid(world));
      return [put(text + ' '.repeat(4 * MIB + 1 - text.length))];
    },
    { status: [413] },
  ),
  {
    id: 'D21',
    name: 'a body of just as many bytes as are allowed',
    attacks: async (world) => {
      const text = JSON.stringify(await valid(world));
      return [put(text + ' '.repeat(4 * MIB - text.length))];
    },
    status: [201],
    shape: 'oci',
  },
  refused(
    'D22',
    'deep nesting',
    () => [
      put('['.repeat(100_000)),
      put(`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`),
      put(`{"a":${'['.repeat(2_000_000)}`),
    ],
    { withinMs: 3000 },
  ),
  {
    id: 'D23',
    name: 'a quarter of a million keys',
    attacks: changed((document) => {
      const keys = Array.from({ length: 250_000 }, (_, i) => `"k${i}":0`).join(',');
      return JSON.stringify(document).replace('{', `{${keys},`);
    }),
    status: [400, 201],
    shape: 'oci',
    withinMs: 5000,
  },
  {
    id: 'D24',
    name: 'annotations whose names mean something to JavaScript',
    attacks: changed((document) =>
      JSON.stringify({ ...document, subject: { mediaType: TYPES.manifest, digest: sha256('d24'), size: 1 } }).replace(
        '{',
        '{"annotations":{"__proto__":"p","constructor.prototype":"c","toString":"t"},',
      ),
    ),
    status: [201],
    shape: 'oci',
    check: async ({ admin }) => {
      const { text } = await admin.request('GET', `${BASE}/referrers/${sha256('d24')}`);
      assert.match(text, /"annotations":\{"__proto__":"p","constructor.prototype":"c","toString":"t"\}/);
      assert.equal(Object.hasOwn(Object.prototype, 'p'), false);
    },
  },
  refused(
    'D25',
    'schema versions that are not 2',
    changed(
      having({ schemaVersion: 1 }),
      having({ schemaVersion: 3 }),
      having({ schemaVersion: '2' }),
      having({ schemaVersion: null }),
      without('schemaVersion'),
    ),
  ),
  refused(
    'D26',
    'subjects that are none',
    changed(
      ...['sha256:zz', '', 7, null].map((digest) => having({ subject: { mediaType: 'a/b', digest, size: 1 } })),
      having({ subject: 'x' }),
      having({ subject: [] }),
      having({ subject: null }),
      having({ subject: {} }),
    ),
  ),
  refused(
    'D28',
    'layers from addresses that are no web addresses',
    changed(
      ...[
        'file:///etc/passwd',
        'javascript:alert(1)',
        'ftp://a/b',
        'http://',
        '//a/b',
        'http://a/b#c',
        'http://a b',
        7,
      ].map((url) =>
        withLayer({ mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', urls: [url] }),
      ),
    ),
  ),
  {
    id: 'D28',
    name: 'layers from other addresses are stored and never fetched',
    attacks: async (world) => {
      const document = await valid(world);
      const foreign = (digest: string, urls: readonly string[]) =>
        put(
          render(
            withLayer({ digest, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', urls })(
              document,
            ),
          ),
        );
      return [
        foreign(sha256('foreign'), [`${world.app.url}/metrics`, 'http://169.254.169.254/latest/meta-data']),
        foreign(
          sha256('foreign 2'),
          Array.from({ length: 10_000 }, (_, i) => `https://example.test/${i}`),
        ),
      ];
    },
    status: [201],
    shape: 'oci',
  },
  refused('D29', 'embedded data that is not what its descriptor says, or is large', async (world) => {
    const document = await valid(world);
    const bytes = Buffer.from('data');
    const good = describeBytes('a/b', bytes);
    const large = Buffer.alloc(2.5 * MIB, 'x');
    await new ImageClient(world.admin, BASE).pushBlob(bytes);
    return [
      { ...good, data: Buffer.from('DATA').toString('base64') },
      { ...good, size: 5, data: bytes.toString('base64') },
      { ...good, data: 7 },
      { ...good, data: '%%%%' },
      { ...good, data: '' },
      { ...describeBytes('a/b', large), data: large.toString('base64') },
    ].map((layer) => put(render({ ...document, layers: [layer] })));
  }),
  {
    id: 'D30',
    name: 'annotations with control characters are kept as they are',
    attacks: changed(having({ annotations: { a: 'x\r\nSet-Cookie: y', b: '\u001b[31m', c: '<script>', d: '\u0000' } })),
    status: [201],
    shape: 'oci',
    check: async ({ admin }) => {
      const { text, headers } = await admin.request('GET', `${BASE}/manifests/latest`);
      assert.deepEqual((JSON.parse(text) as Document)['annotations'], {
        a: 'x\r\nSet-Cookie: y',
        b: '\u001b[31m',
        c: '<script>',
        d: '\u0000',
      });
      assert.equal(headers['set-cookie'], undefined);
    },
  },
  refused(
    'D30',
    'annotations that are no texts, or larger than 1 MiB',
    changed(
      ...[{ a: 1 }, { a: null }, { a: {} }, [], 'x', { a: 'x'.repeat(MIB + 1) }].map((annotations) =>
        having({ annotations }),
      ),
    ),
  ),
  {
    id: 'D31',
    name: 'configurations that are no JSON, deep or large',
    attacks: async (world) => {
      const client = new ImageClient(world.admin, BASE);
      const configs = [
        Buffer.from('no JSON'),
        Buffer.from('['.repeat(200_000)),
        Buffer.alloc(9 * MIB, ' '),
        Buffer.from('{"config":{"Labels":[["a"]]}}'),
        Buffer.from('{"config":{"Labels":{"a":{},"b":"\\u0000","__proto__":"p"}}}'),
        Buffer.alloc(0),
      ];
      for (const config of configs) await client.pushBlob(config);
      return configs.map((config) =>
        put(
          render({
            schemaVersion: 2,
            mediaType: TYPES.manifest,
            config: describeBytes(TYPES.config, config),
            layers: [],
          }),
        ),
      );
    },
    status: [201],
    shape: 'oci',
  },
];

const SKIPPED: readonly SkippedRow[] = [
  {
    row: 'D26: a manifest that is its own subject, and cycles of subjects',
    reason: 'no manifest can hold its own digest',
  },
  { row: 'D27: an index nested deeper than 16', reason: 'nothing walks down an index, so its depth has no limit' },
];

for (const storage of STORAGES) describeRows('hostile contents', storage, ROWS, { skipped: SKIPPED });
