/** Files that are put, read and deleted in ways nobody should: the G rows of the catalogue of bad inputs. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { describeRows, type Row, requireHarmless, requireNothingLeft, type SkippedRow } from '../../support/hostile.ts';
import { uniqueBytes } from '../../support/oci.ts';
import { sendRaw } from '../../support/raw-http.ts';
import { STORAGES } from '../../support/test-app.ts';
import { countStored, startWorld, type World } from '../../support/wire-world.ts';

const FILES = '/artifactory/generic-local/hostile';
const hash = (algorithm: string, bytes: Buffer | string) => createHash(algorithm).update(bytes).digest('hex');
const put = (name: string, headers: Readonly<Record<string, string>> = {}, body: Buffer | string = 'x') => ({
  method: 'PUT',
  path: `${FILES}/${name}`,
  options: { body, headers },
});

const ACTIVE = [
  'page.html',
  'image.svg',
  'feed.xml',
  'page.xhtml',
  'paper.pdf',
  'page.htm',
  'script.js',
  'no-extension',
  'PAGE.HTML',
];
const NAMES = [
  'a"b',
  "a'b",
  'a%b',
  'ä€.txt',
  `${'x'.repeat(251)}.txt`,
  '€'.repeat(85),
  'a;b=c',
  'a, b',
  '*',
  "filename*=UTF-8''x",
  '\u202egpj.exe',
];

const ROWS: readonly Row[] = [
  {
    id: 'G03',
    name: 'putting into repositories that are not there, and without a name',
    attacks: () => [
      { method: 'PUT', path: '/artifactory/nothing-cache/a', options: { body: 'x' } },
      { method: 'PUT', path: '/artifactory/nothing/a', options: { body: 'x' } },
      { method: 'PUT', path: '/artifactory/nothing', options: { body: 'x' } },
    ],
    status: [404],
    shape: 'rest',
  },
  {
    id: 'G03',
    name: 'putting onto the repository itself, and into one of another type',
    attacks: () => [
      { method: 'PUT', path: '/artifactory/generic-local', options: { body: 'x' } },
      { method: 'PUT', path: '/artifactory/generic-local/', options: { body: 'x' } },
      { method: 'PUT', path: '/artifactory/docker-local/app/v1/manifest.json', options: { body: '{}' } },
    ],
    status: [400, 403, 409],
    shape: 'rest',
  },
  {
    id: 'G06',
    name: 'deploying by checksum what is unknown, malformed, missing or forbidden',
    attacks: async (world) => {
      const secret = uniqueBytes();
      await world.admin.request('PUT', '/artifactory/generic-secret/file', { body: secret });
      const headers: readonly Record<string, string>[] = [
        { 'x-checksum-sha256': hash('sha256', uniqueBytes()) },
        { 'x-checksum-sha256': hash('sha256', secret) },
        { 'x-checksum-sha1': hash('sha1', secret) },
        { 'x-checksum-sha256': 'zz' },
        { 'x-checksum': 'zz' },
        {},
      ];
      return headers.map((one, i) => ({
        ...put(`g06-${i}`, { 'x-checksum-deploy': 'true', ...one }, ''),
        by: world.as('owner'),
      }));
    },
    status: [404],
    shape: 'rest',
    check: (_world, answers) => {
      assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
      assert.match(answers[0]!.text, /Checksum deploy failed\./);
    },
  },
  {
    id: 'M07-M08',
    name: 'checksums that the bytes do not have',
    attacks: () => [
      put('g-sum', { 'x-checksum-sha1': hash('sha1', 'y') }),
      put('g-sum', { 'x-checksum-sha256': hash('sha256', 'y') }),
      put('g-sum', { 'x-checksum-md5': hash('md5', 'y') }),
      put('g-sum', { 'x-checksum': hash('sha1', 'y') }),
      put('g-sum', { 'x-checksum-sha1': hash('sha1', 'x'), 'x-checksum-sha256': hash('sha256', 'y') }),
      put('g-sum', { 'x-checksum-sha256': hash('sha256', 'y') }, Buffer.alloc(100_000)),
    ],
    status: [409],
    shape: 'rest',
  },
  {
    id: 'M08',
    name: 'checksums that are none',
    attacks: () => [
      put('g-sum', { 'x-checksum': 'zz' }),
      put('g-sum', { 'x-checksum': 'a'.repeat(41) }),
      put('g-sum', { 'x-checksum-sha1': 'a'.repeat(10_000) }),
      put('g-sum', { 'x-checksum-sha256': hash('sha1', 'x') }),
      put('g-sum', { 'x-checksum-md5': 'z'.repeat(32) }),
      put('g-sum', { 'x-checksum-sha1': '' }),
    ],
    status: [400, 409],
    shape: 'rest',
  },
  {
    id: 'M09-M10',
    name: 'checksum files of another value, of nothing, and too large',
    attacks: async ({ admin }) => {
      await admin.request('PUT', `${FILES}/summed.jar`, { body: 'jar' });
      return [
        put('summed.jar.sha1', {}, hash('sha1', 'other')),
        put('summed.jar.md5', {}, '<script>alert(1)</script>'),
        put('summed.jar.sha256', {}, ''),
        put('missing.jar.sha1', {}, hash('sha1', 'jar')),
        put('summed.jar.sha1.sha1', {}, 'x'),
        put('summed.jar.sha1', {}, 'x'.repeat(1024 * 1024)),
      ];
    },
    status: [409, 404, 413],
    shape: 'rest',
  },
  {
    id: 'G10',
    name: 'names that could break a header',
    attacks: async ({ admin }) => {
      for (const name of NAMES) await admin.request('PUT', `${FILES}/names/${encodeURIComponent(name)}`, { body: 'x' });
      return NAMES.map((name) => ({ method: 'GET', path: `${FILES}/names/${encodeURIComponent(name)}` }));
    },
    status: [200],
    shape: 'rest',
    check: (_world, answers) => {
      for (const [i, { headers }] of answers.entries()) {
        const value = String(headers['content-disposition']);
        const match =
          /^attachment; (?:filename="([\x20-\x7e]*)"; )?filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]+)$/.exec(value);
        assert.ok(match, value);
        // A name that is not ASCII is given in the one form that can say it.
        assert.equal(match[1] === undefined, /[^\x20-\x7e]/.test(NAMES[i]!), value);
        assert.doesNotMatch(match[1] ?? '', /["\\]/);
        assert.equal(decodeURIComponent(match[2]!), NAMES[i]);
      }
    },
  },
  {
    id: 'G11',
    name: 'files that a browser would run',
    attacks: async ({ admin }) => {
      const body = '<!DOCTYPE html><script>alert(1)</script>';
      for (const name of ACTIVE) await admin.request('PUT', `${FILES}/${name}`, { body });
      return ACTIVE.flatMap((name) => ['GET', 'HEAD'].map((method) => ({ method, path: `${FILES}/${name}` })));
    },
    status: [200],
    shape: 'rest',
    check: (_world, answers) => {
      for (const { headers } of answers) {
        assert.equal(headers['content-security-policy'], "sandbox; default-src 'none'; frame-ancestors 'none'");
        assert.equal(headers['x-content-type-options'], 'nosniff');
        assert.match(String(headers['content-disposition']), /^attachment;/);
      }
    },
  },
  {
    id: 'G12',
    name: 'deleting all that a repository holds without being an administrator',
    attacks: (world) =>
      [world.as('owner'), world.as('reader')].flatMap((by) =>
        ['/artifactory/generic-local', '/artifactory/generic-local/', '/artifactory/generic-local/;a=b'].map(
          (path) => ({ method: 'DELETE', path, by }),
        ),
      ),
    status: [403],
    shape: 'rest',
  },
  {
    id: 'G12',
    name: 'deleting what is not there',
    attacks: () =>
      [`${FILES}/none`, `${FILES}/none/`, '/artifactory/nothing/a'].map((path) => ({ method: 'DELETE', path })),
    status: [404],
    shape: 'rest',
  },
  {
    id: 'G12',
    name: 'deleting and overwriting without the right',
    attacks: async (world) => {
      await world.admin.request('PUT', `${FILES}/kept`, { body: 'kept' });
      return (['reader', 'writer', 'dropper'] as const).flatMap((name) => [
        { method: 'DELETE', path: `${FILES}/kept`, by: world.as(name) },
        { ...put('kept'), by: world.as(name) },
        { method: 'DELETE', path: FILES, by: world.as(name) },
      ]);
    },
    status: [403],
    shape: 'rest',
    check: async ({ admin }) => assert.equal((await admin.request('GET', `${FILES}/kept`)).text, 'kept'),
  },
  {
    id: 'G12',
    name: 'writing without credentials',
    attacks: (world) => [
      { ...put('a'), by: world.anonymous },
      { method: 'DELETE', path: `${FILES}/a`, by: world.anonymous },
      { method: 'GET', path: `${FILES}/a`, by: world.anonymous },
      { method: 'GET', path: '/artifactory/nothing/a', by: world.anonymous },
    ],
    status: [401],
    shape: 'rest',
  },
  {
    id: 'G16',
    name: 'WebDAV without end, with document types, and of what is not spoken here',
    attacks: async ({ admin }) => {
      await admin.request('PUT', `${FILES}/dav/file`, { body: 'x' });
      const body = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>';
      const send = (method: string, headers: Readonly<Record<string, string>>, sent: string | Buffer = '') => ({
        method,
        path: `${FILES}/dav`,
        options: { headers, body: sent },
      });
      return [
        ...['infinity', '', '2', '-1', 'x'].map((depth) => send('PROPFIND', { depth })),
        send('PROPFIND', { depth: '1' }, body),
        send('PROPFIND', { depth: '1' }, 'nonsense'),
        send('PROPFIND', { depth: '1' }, Buffer.alloc(10 * 1024 * 1024, '<')),
        send('MKCOL', {}),
        { ...send('MKCOL', {}, body), path: `${FILES}/dav/new` },
        ...['LOCK', 'UNLOCK', 'PROPPATCH', 'SEARCH', 'REPORT'].map((method) => send(method, {}, body)),
      ];
    },
    status: [405, 400, 403, 413, 415],
    shape: 'rest',
  },
  {
    id: 'G21',
    name: 'parameters that would show the inside are ignored',
    attacks: async ({ admin }) => {
      await admin.request('PUT', `${FILES}/traced`, { body: 'plain' });
      return ['debug=true', 'skipUpdateStats=true', '__proto__=x'].map((query) => ({
        method: 'GET',
        path: `${FILES}/traced?${query}`,
      }));
    },
    status: [200],
    shape: 'rest',
    check: (_world, answers) => {
      for (const { text } of answers) assert.equal(text, 'plain');
    },
  },
  {
    id: 'G28',
    name: 'times of change that are none are ignored',
    attacks: () =>
      ['NaN', '-62167219200001', '1e18', 'yesterday', ''].map((time, i) =>
        put(`g28-${i}`, { 'x-artifactory-last-modified': time, 'last-modified': time }),
      ),
    status: [201],
    shape: 'rest',
    check: async ({ admin }) => {
      const { headers } = await admin.request('GET', `${FILES}/g28-0`);
      assert.ok(Math.abs(Date.parse(String(headers['last-modified'])) - Date.now()) < 60_000);
    },
  },
];

const SKIPPED: readonly SkippedRow[] = [
  { row: 'G03: reading through remote and virtual repositories', reason: 'a later issue' },
  { row: 'G13: deleting a folder of a million files', reason: 'belongs to the benches' },
  { row: 'G14-G15: moving and copying', reason: 'in webdav.test.ts and api/relocations.test.ts' },
  { row: 'G17-G20, G23: storage API and properties', reason: 'in api/storage.test.ts and api/properties.test.ts' },
  { row: 'G25: the trash can', reason: 'in api/trash.test.ts' },
];

for (const storage of STORAGES) {
  describeRows('hostile files', storage, ROWS, {
    skipped: SKIPPED,
    prepare: async (core) => {
      await core.administration.create({ key: 'generic-secret', rclass: 'local', packageType: 'generic' }, '_system_');
    },
  });
}

describe('bodies of another length', () => {
  let world: World;
  before(async () => {
    world = await startWorld('sqlite-fs');
  });
  after(() => world.stop());

  test('G01: what comes after the body is no part of it', async () => {
    const head = `PUT ${FILES}/long HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${world.admin.authorization}\r\nContent-Length: 10\r\n\r\n`;
    const { answers, closed } = await sendRaw(world.app.port, `${head}0123456789extra\r\n\r\n`);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 400],
    );
    assert.ok(closed);
    assert.equal((await world.admin.request('GET', `${FILES}/long`)).text, '0123456789');
  });

  test('G02: a file may be empty, with a length or in chunks', async () => {
    const common = `Host: localhost\r\nAuthorization: ${world.admin.authorization}\r\n`;
    for (const [name, rest] of [
      ['length', 'Content-Length: 0\r\n\r\n'],
      ['chunked', 'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
      ['neither', '\r\n'],
    ]) {
      const { answers } = await sendRaw(world.app.port, `PUT ${FILES}/${name} HTTP/1.1\r\n${common}${rest}`, {
        answers: 1,
      });
      assert.equal(answers[0]!.status, 201);
      assert.equal((JSON.parse(answers[0]!.text) as { size: string }).size, '0');
      assert.equal((await world.admin.request('GET', `${FILES}/${name}`)).headers['content-length'], '0');
    }
  });
});

describe('a full disk', () => {
  test('G05: files and layers are refused while too little space is free, and reading goes on', async () => {
    const world = await startWorld('sqlite-fs', { env: { ENTREPOT_STORAGE__INLINE_BYTES: '10' } });
    try {
      await world.admin.request('PUT', `${FILES}/before`, { body: 'x'.repeat(100) });
      await world.app.restart({
        ENTREPOT_STORAGE__INLINE_BYTES: '10',
        ENTREPOT_STORAGE__FREE_SPACE_FLOOR_BYTES: String(2 ** 53 - 1),
      });
      const before = await countStored(world);
      const body = uniqueBytes(1000);
      for (const [method, path, shape] of [
        ['PUT', `${FILES}/full`, 'rest'],
        ['POST', `/v2/docker-local/full/blobs/uploads/?digest=sha256:${hash('sha256', body)}`, 'oci'],
      ] as const) {
        const answer = await world.admin.request(method, path, { body });
        assert.ok([503, 507].includes(answer.status), String(answer.status));
        requireHarmless(answer, { shape, method, what: path, dataDir: world.app.dataDir });
      }
      await requireNothingLeft(world, before, 'a refused upload');
      assert.equal((await world.admin.request('GET', `${FILES}/before`)).status, 200);
    } finally {
      await world.stop();
    }
  });
});
