/** Bad inputs of the Python protocol, each with what must come back. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import {
  fieldsOf,
  formOf,
  indexOf,
  type Part,
  type Sample,
  sdistOf,
  upload,
  wheelOf,
} from '../../formats/pypi-samples.ts';
import { tarOf, zipOf } from '../../support/archives.ts';
import { type Attack, describeRows, type Row } from '../../support/hostile.ts';
import type { RequestOptions } from '../../support/test-app.ts';
import type { World } from '../../support/wire-world.ts';
import { LOCAL, preparePypi } from './pypi-world.ts';

const ADDRESS = `/artifactory/api/pypi/${LOCAL}/`;
const post = (options: RequestOptions): Attack => ({ method: 'POST', path: ADDRESS, options });
const form = (parts: readonly Part[], boundary?: string) => post(formOf(parts, boundary));
const get = (path: string, options: RequestOptions = {}): Attack => ({
  method: 'GET',
  path: `/artifactory/api/pypi/${LOCAL}/${path}`,
  options,
});

/** The sample with other bytes under its name, declared as they are. */
const withBytes = (sample: Sample, bytes: Buffer): Attack => form(fieldsOf({ ...sample, bytes }));
const withFields = (sample: Sample, changes: Record<string, string | undefined>) => form(fieldsOf(sample, changes));
const withName = (sample: Sample, filename: string) => form(fieldsOf({ ...sample, filename }));

const METADATA = (name: string, version = '1.0.0') => `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`;
const WHEEL = 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n';
const INFO = 'sample_one-1.0.0.dist-info';

const ROWS: readonly Row[] = [
  {
    id: 'Y01',
    name: 'forms without what a form needs',
    async attacks() {
      const wheel = await wheelOf();
      const fields = fieldsOf(wheel);
      return [
        withFields(wheel, { ':action': undefined }),
        withFields(wheel, { ':action': 'explode' }),
        withFields(wheel, { name: undefined }),
        withFields(wheel, { version: undefined }),
        form(fields.filter(([name]) => name !== 'content')),
        form([...fields.slice(0, -1), ['content', wheel.bytes]]),
        form([...fields.slice(0, -1), ['contents', wheel.bytes, wheel.filename]]),
        post({}),
        post({ headers: { 'content-type': 'application/json' }, body: '{}' }),
      ];
    },
    status: [400],
    shape: 'text',
  },
  {
    id: 'Y01b',
    name: 'actions of old',
    async attacks() {
      const wheel = await wheelOf();
      return ['submit', 'doc_upload', 'verify'].map((action) => withFields(wheel, { ':action': action }));
    },
    status: [410],
    shape: 'text',
  },
  {
    id: 'Y02',
    name: 'forms that are none',
    async attacks() {
      const wheel = await wheelOf();
      const fields = fieldsOf(wheel);
      const { body } = formOf(fields, 'mark');
      const typed = (type: string) => post({ headers: { 'content-type': type }, body });
      const part = 'Content-Disposition: form-data; name="x"\r\n';
      const raw = (text: string) =>
        post({ headers: { 'content-type': 'multipart/form-data; boundary=mark' }, body: text });
      return [
        typed('multipart/form-data'),
        typed('multipart/form-data; boundary='),
        typed(`multipart/form-data; boundary=${'m'.repeat(300)}`),
        typed('multipart/form-data; boundary=other'),
        typed('multipart/mixed; boundary=mark'),
        raw(`--mark\r\n${part}X: ${'y'.repeat(64_000)}\r\n\r\nv\r\n--mark--\r\n`),
        raw(
          `--mark\r\nContent-Type: multipart/mixed; boundary=inner\r\n${part}\r\n--inner\r\n\r\nx\r\n--inner--\r\n--mark--\r\n`,
        ),
        raw(`--mark\r\n${part}\r\nno end`),
        raw('--mark--'),
        raw(''),
        post({ headers: { 'content-type': 'multipart/form-data; boundary=mark' }, body: body.subarray(0, -8) }),
      ];
    },
    status: [400],
    shape: 'text',
  },
  {
    id: 'Y02b',
    name: 'forms that are too large',
    async attacks() {
      const wheel = await wheelOf();
      const many: Part[] = Array.from({ length: 10_000 }, () => ['classifiers', 'x']);
      return [
        form([...many, ...fieldsOf(wheel)]),
        withFields(wheel, { description: 'x'.repeat(9_000_000) }),
        form([...Array.from({ length: 30 }, (_, i): Part => [`f${i}`, 'x'.repeat(400_000)]), ...fieldsOf(wheel)]),
      ];
    },
    status: [413],
    shape: 'text',
  },
  {
    id: 'Y03',
    name: 'files that are two, come too soon, or have names that are none',
    async attacks() {
      const wheel = await wheelOf();
      const fields = fieldsOf(wheel);
      const file = fields.at(-1)!;
      const names = [
        `../${wheel.filename}`,
        `a/${wheel.filename}`,
        `a\\\\${wheel.filename}`,
        '..',
        '',
        `${wheel.filename}\u0000.whl`,
        `\\"${wheel.filename}`,
        `x\r\nX-Evil: 1\r\n\r\n${wheel.filename}`,
        'sample_one-1.0.0-py3-none-any.whl.exe',
      ];
      return [
        form([...fields, file]),
        form([file, ...fields.slice(0, -1)]),
        ...names.map((name) => withName(wheel, name)),
      ];
    },
    status: [400],
    shape: 'text',
  },
  {
    id: 'Y04',
    name: 'names of files that are not what the form says, or nothing',
    async attacks() {
      const [wheel, sdist] = [await wheelOf(), await sdistOf()];
      return [
        withFields(wheel, { name: 'another' }),
        withFields(wheel, { version: '2.0' }),
        withFields(sdist, { name: 'sample' }),
        ...[
          'a-1.0.exe',
          'sample_one.whl',
          'sample_one-1.0.0.whl',
          'sample_one-1.0.0-py3-none.whl',
          'x'.repeat(3000),
        ].map((name) => withName(wheel, name)),
        ...['', ' ', '../evil', 'a/b', '-x', 'x'.repeat(300), 'ünï', '<script>'].map((name) =>
          withFields(wheel, { name }),
        ),
      ];
    },
    status: [400],
    shape: 'text',
  },
  {
    id: 'Y05',
    name: 'versions that are none',
    async attacks() {
      const wheel = await wheelOf();
      const versions = ['1.0.x', '1!0!1', 'latest', '1'.repeat(300), '', '1.0/..', '<img src=x>'];
      return versions.map((version) => withFields(wheel, { version }));
    },
    status: [400],
    shape: 'text',
  },
  {
    id: 'Y06',
    name: 'digests that are wrong, or none',
    async attacks() {
      const wheel = await wheelOf();
      return [
        withFields(wheel, { md5_digest: '0'.repeat(32) }),
        withFields(wheel, { sha256_digest: '0'.repeat(64) }),
        withFields(wheel, { md5_digest: 'xyz' }),
        withFields(wheel, { sha256_digest: '0'.repeat(63) }),
        withFields(wheel, { blake2_256_digest: 'g'.repeat(64) }),
        form([
          ...fieldsOf(wheel, { md5_digest: undefined, sha256_digest: undefined }),
          ['sha256_digest', '0'.repeat(64)],
        ]),
      ];
    },
    status: [400],
    shape: 'text',
  },
  {
    id: 'Y07',
    name: 'wheels and source distributions that are not what they say',
    async attacks() {
      const [wheel, sdist] = [await wheelOf(), await sdistOf()];
      const zip = async (files: Record<string, string>) => withBytes(wheel, await zipOf(files));
      const tar = async (files: Record<string, string>) => withBytes(sdist, gzipSync(await tarOf(files)));
      const good = { [`${INFO}/METADATA`]: METADATA('sample-one'), [`${INFO}/WHEEL`]: WHEEL };
      return [
        await zip({ [`${INFO}/WHEEL`]: WHEEL }),
        await zip({ [`${INFO}/METADATA`]: METADATA('sample-one') }),
        await zip({ ...good, 'other-1.0.dist-info/METADATA': METADATA('other') }),
        await zip({ ...good, [`${INFO}/METADATA`]: METADATA('other') }),
        await zip({ ...good, [`${INFO}/METADATA`]: METADATA('sample-one', '2.0') }),
        await zip({ ...good, [`${INFO}/METADATA`]: 'Name: sample-one\n' }),
        await zip({ ...good, [`${INFO}/METADATA`]: 'no header\n\n' }),
        await zip({ ...good, [`${INFO}/METADATA`]: `${METADATA('sample-one')}${'Requires-Dist: x\n'.repeat(10_000)}` }),
        await zip({ ...good, [`${INFO}/METADATA`]: `${METADATA('sample-one')}\n${'x'.repeat(5_000_000)}` }),
        await zip({ [`deep/${INFO}/METADATA`]: METADATA('sample-one'), [`${INFO}/WHEEL`]: WHEEL }),
        await tar({ 'sample_one-1.0.0/setup.py': '' }),
        await tar({ 'sample_one-1.0.0/deep/PKG-INFO': METADATA('sample-one') }),
        await tar({ 'sample_one-1.0.0/PKG-INFO': METADATA('other') }),
        await tar({ 'sample_one-1.0.0/PKG-INFO': METADATA('sample-one', '1.0.1') }),
        withBytes(sdist, gzipSync(await tarOf([{ name: 'sample_one-1.0.0/PKG-INFO', link: '/etc/passwd' }]))),
        withBytes(wheel, Buffer.alloc(0)),
        withBytes(sdist, Buffer.alloc(0)),
      ];
    },
    status: [400],
    shape: 'text',
  },
  {
    id: 'Y08',
    name: 'zips that two readers read differently',
    async attacks() {
      const wheel = await wheelOf();
      const { bytes } = wheel;
      const renamed = Buffer.from(bytes);
      renamed.write('S', renamed.indexOf('sample_one/__init__.py'));
      const commented = Buffer.concat([bytes, Buffer.from('x')]);
      commented.writeUInt16LE(1, bytes.length - 2);
      const doubled = Buffer.from(
        (
          await zipOf({
            'a.py': '1',
            'b.py': '2',
            [`${INFO}/METADATA`]: METADATA('sample-one'),
            [`${INFO}/WHEEL`]: WHEEL,
          })
        )
          .toString('latin1')
          .replaceAll('b.py', 'a.py'),
        'latin1',
      );
      const cut = bytes.subarray(0, -30);
      return [
        renamed,
        commented,
        doubled,
        cut,
        Buffer.concat([bytes, bytes]),
        Buffer.concat([Buffer.from('#!'), bytes]),
      ].map((changed) => withBytes(wheel, changed));
    },
    status: [400],
    shape: 'text',
  },
  {
    id: 'Y09',
    name: 'one kind of archive under the name of another',
    async attacks() {
      const [wheel, sdist] = [await wheelOf(), await sdistOf()];
      return [
        withBytes(wheel, sdist.bytes),
        withBytes(sdist, wheel.bytes),
        withBytes(sdist, Buffer.concat([sdist.bytes.subarray(0, 100), wheel.bytes])),
        withBytes(wheel, Buffer.concat([sdist.bytes, wheel.bytes])),
      ];
    },
    status: [400],
    shape: 'text',
  },
  {
    id: 'Y10',
    name: 'archives that unpack to very much more',
    async attacks() {
      const [wheel, sdist] = [await wheelOf(), await sdistOf()];
      const zeros = Buffer.alloc(80 * 1024 * 1024);
      const bomb = gzipSync(
        await tarOf({ 'sample_one-1.0.0/zeros': zeros, 'sample_one-1.0.0/PKG-INFO': METADATA('sample-one') }),
      );
      // Several compressed streams one behind the other are one, so that its length says nothing of what it unpacks to.
      const many = gzipSync(Buffer.alloc(64 * 1024 * 1024));
      return [
        withBytes(
          wheel,
          await zipOf({ zeros, [`${INFO}/METADATA`]: METADATA('sample-one'), [`${INFO}/WHEEL`]: WHEEL }),
        ),
        withBytes(sdist, bomb),
        withBytes(sdist, Buffer.concat([bomb.subarray(0, 60_000), ...Array.from({ length: 150 }, () => many)])),
      ];
    },
    status: [400],
    shape: 'text',
    withinMs: 5000,
  },
  {
    id: 'Y13',
    name: 'the same file with other bytes',
    async attacks(world) {
      await upload(world.as('writer'), LOCAL, await wheelOf({ name: 'taken' }));
      const other = await wheelOf({ name: 'taken', value: 'other' });
      return [{ ...form(fieldsOf(other)), by: world.as('writer') }];
    },
    status: [403],
    shape: 'text',
    check: (_world, [answer]) => assert.match(answer!.text, /overwrite artifact/),
  },
  {
    id: 'Y15',
    name: 'addresses that are no project',
    attacks: () =>
      [
        'simple/../x',
        'simple/%2e%2e/x/',
        'simple/a%2Fb/',
        'simple/a%00b/',
        'simple/-/',
        'simple/a%20b/',
        'simple//',
        'packages/',
        'packages/../x',
        'packages/a%5Cb',
        `simple/${'x'.repeat(900)}/`,
        'pypi//json',
        'integrity/a/b/c/provenance',
      ].map((path) => get(path)),
    status: [400, 404],
    shape: 'text',
  },
  {
    id: 'Y16',
    name: 'forms of the index that there are not',
    async attacks(world) {
      await upload(world.as('writer'), LOCAL, await wheelOf({ name: 'formed' }));
      const headers = { accept: 'application/vnd.pypi.simple.v99+json' };
      return [get('simple/', { headers }), get('simple/formed/', { headers }), get('simple/formed/?format=image/png')];
    },
    status: [406],
    shape: 'text',
  },
  {
    id: 'Y17',
    name: 'the metadata of files that have none by themselves',
    async attacks(world) {
      const sdist = await sdistOf({ name: 'plain' });
      await upload(world.as('writer'), LOCAL, sdist);
      return [
        `plain/1.0.0/${sdist.filename}.metadata`,
        'plain/1.0.0/none-1.0-py3-none-any.whl.metadata',
        'x.metadata',
      ].map((path) => get(`packages/${path}`));
    },
    status: [404],
    shape: 'text',
  },
  {
    id: 'Y20',
    name: 'passwords of 64 kB',
    attacks: () => {
      const authorization = `Basic ${Buffer.from(`__token__:pypi-${'A'.repeat(8000)}`).toString('base64')}`;
      return [get('simple/', { headers: { authorization } })];
    },
    status: [401],
    shape: 'text',
  },
  {
    id: 'YX1',
    name: 'calls by XML-RPC that are none, or bombs',
    attacks: () =>
      [
        '',
        '<a>',
        '<methodCall/>',
        '<methodCall><methodName>system.exec</methodName></methodCall>',
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><methodCall><methodName>&b;</methodName></methodCall>',
        `<methodCall>${'<value>'.repeat(5000)}`,
      ].map((body) => post({ headers: { 'content-type': 'text/xml' }, body })),
    status: [400],
    shape: 'text',
  },
];

/** What was sent as text is shown as text. */
const SHOWN: Row = {
  id: 'Y11',
  name: 'markup in what a wheel says is shown as text',
  async attacks() {
    const wheel = await wheelOf({ name: 'markup', requiresPython: '>=3<a href=x>"' });
    return [form(fieldsOf(wheel))];
  },
  status: [200],
  shape: 'any',
  async check(world: World) {
    const page = await world.admin.request('GET', `${indexOf(LOCAL)}markup/`);
    assert.match(page.text, /data-requires-python="&#62;=3&#60;a href=x&#62;&#34;"/);
    assert.equal(page.text.match(/<a /g)?.length, 1);
  },
};

/** Names that are one project are one, whoever published them. */
const ONE: Row = {
  id: 'Y14',
  name: 'spellings of a name are one project',
  async attacks() {
    return [
      form(fieldsOf(await wheelOf({ name: 'One.Name', version: '1.0' }))),
      form(fieldsOf(await wheelOf({ name: 'one-name', version: '2.0' }))),
      form(fieldsOf(await wheelOf({ name: 'ONE__name', version: '3.0' }))),
    ];
  },
  status: [200],
  shape: 'any',
  async check(world: World) {
    const page = await world.admin.request('GET', `${indexOf(LOCAL)}one-name/`);
    assert.equal(page.text.match(/<a /g)?.length, 3);
  },
};

for (const storage of ['sqlite-fs', 'postgres-s3'] as const) {
  describeRows('bad inputs of the Python protocol', storage, [...ROWS, SHOWN, ONE], { prepare: preparePypi });
}
