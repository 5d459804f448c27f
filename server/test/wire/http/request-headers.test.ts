/** Headers that ask for odd things: rows H31 to H39 and H45 of the catalogue of bad inputs. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { describeRows, type Row } from '../../support/hostile.ts';
import { ImageClient, sha256 } from '../../support/oci.ts';
import type { World } from '../../support/wire-world.ts';

const FILE = '/artifactory/generic-local/headers/file.bin';
const BYTES = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));
const BLOB = `/v2/docker-local/headers/blobs/${sha256(BYTES)}`;

/** The same bytes as a file and as a blob. */
async function prepared({ admin }: World): Promise<readonly string[]> {
  const image = new ImageClient(admin, '/v2/docker-local/headers');
  if ((await image.statusOf(`/blobs/${sha256(BYTES)}`)) !== 200) {
    await image.pushBlob(BYTES);
    assert.equal((await admin.request('PUT', FILE, { body: BYTES })).status, 201);
  }
  return [FILE, BLOB];
}

/** GET requests to both, one for each set of headers. */
function reads(
  sets: readonly Readonly<Record<string, string>>[],
  methods: readonly string[] = ['GET'],
): Row['attacks'] {
  return async (world) => {
    const paths = await prepared(world);
    return paths.flatMap((path) =>
      sets.flatMap((headers) => methods.map((method) => ({ method, path, options: { headers } }))),
    );
  };
}

const ranges = (values: readonly string[]) => values.map((range) => ({ range }));
const FORWARDING = [
  'x-forwarded-for',
  'x-real-ip',
  'x-client-ip',
  'forwarded',
  'x-forwarded',
  'cf-connecting-ip',
  'true-client-ip',
  'x-cluster-client-ip',
  'fastly-client-ip',
  'x-originating-ip',
  'x-remote-addr',
  'x-forwarded-server',
];
const EVIL = {
  'x-jfrog-override-base-url': 'http://evil.test',
  'x-artifactory-override-base-url': 'http://evil.test',
  'x-forwarded-host': 'evil.test',
  'x-forwarded-proto': 'https',
  'x-forwarded-port': '666',
  forwarded: 'host=evil.test;proto=https',
};

const ROWS: readonly Row[] = [
  {
    id: 'H31',
    name: 'ranges that are none are ignored',
    attacks: reads(
      ranges(['bytes=', 'bytes=a-b', 'items=0-1', 'bytes', 'bytes=1', 'bytes=--1', 'bytes=0-1;2-3', 'bytes=0x1-2']),
    ),
    status: [200],
    shape: 'any',
    check: (_world, answers) => {
      for (const { text } of answers) assert.equal(text, BYTES.toString('utf8'));
    },
  },
  {
    id: 'H31',
    name: 'ranges without a byte to serve are refused with the size, and a body of its own length',
    attacks: reads(ranges(['bytes=9-5', 'bytes=1000-', 'bytes=1000-2000', 'bytes=-0', 'bytes=99999999999999999999-']), [
      'GET',
      'HEAD',
    ]),
    status: [416],
    shape: 'any',
    check: (_world, answers) => {
      for (const { headers } of answers) assert.equal(headers['content-range'], 'bytes */1000');
    },
  },
  {
    id: 'H32',
    name: 'many or overlapping ranges never cost more than twice the file',
    attacks: reads(
      ranges([
        `bytes=${Array.from({ length: 1025 }, () => '0-0').join(',')}`,
        `bytes=${Array.from({ length: 20 }, () => '0-').join(',')}`,
        'bytes=0-999,0-999',
        'bytes=0-600,400-999',
      ]),
    ),
    status: [200, 400],
    shape: 'any',
    check: (_world, answers) => {
      for (const { text } of answers) assert.ok(Buffer.byteLength(text) <= 2 * BYTES.toString('utf8').length);
    },
  },
  {
    id: 'H33',
    name: 'conditions that say nothing are ignored',
    attacks: reads([
      { 'if-none-match': `"${'a'.repeat(8000)}"` },
      { 'if-none-match': ',,,"",' },
      { 'if-modified-since': 'garbage' },
      { 'if-modified-since': '-1' },
      { 'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' },
      { range: 'bytes=0-9', 'if-range': '"another"' },
      { range: 'bytes=0-9', 'if-range': 'W/"weak"' },
      { range: 'bytes=0-9', 'if-range': 'Thu, 01 Jan 1970 00:00:00 GMT' },
    ]),
    status: [200],
    shape: 'any',
    check: (_world, answers) => {
      for (const { headers } of answers) assert.equal(headers['content-length'], '1000');
    },
  },
  {
    id: 'H34',
    name: 'bytes are never encoded, whatever a client accepts',
    attacks: reads([
      { 'accept-encoding': 'gzip;q=0, *;q=0' },
      { 'accept-encoding': 'gzip, br, zstd' },
      { 'accept-encoding': 'a'.repeat(8000) },
    ]),
    status: [200],
    shape: 'any',
    check: (_world, answers) => {
      for (const { headers } of answers) assert.equal(headers['content-encoding'], undefined);
    },
  },
  {
    id: 'H35',
    name: 'bodies that say they are encoded are refused and never inflated',
    attacks: () =>
      [Buffer.from('no gzip'), gzipSync(Buffer.alloc(1_000_000))].flatMap((body) =>
        ['gzip', 'br', 'GZIP', 'identity, gzip'].flatMap((coding) => [
          {
            method: 'PUT',
            path: '/artifactory/generic-local/encoded',
            options: { body, headers: { 'content-encoding': coding } },
          },
          {
            method: 'PUT',
            path: '/v2/docker-local/encoded/manifests/a',
            options: { body, headers: { 'content-encoding': coding } },
          },
          {
            method: 'POST',
            path: `/v2/docker-local/encoded/blobs/uploads/?digest=${sha256(body)}`,
            options: { body, headers: { 'content-encoding': coding } },
          },
        ]),
      ),
    status: [400, 415],
    shape: 'any',
  },
  {
    id: 'H36',
    name: 'an Accept of 8 KiB',
    attacks: async (world) => {
      await prepared(world);
      const accept = Array.from({ length: 500 }, (_, i) => `application/x${i};q=0.5`)
        .join(',')
        .slice(0, 8192);
      return ['/v2/docker-local/headers/manifests/none', BLOB].map((path) => ({
        method: 'GET',
        path,
        options: { headers: { accept } },
      }));
    },
    status: [200, 404],
    shape: 'oci',
    withinMs: 500,
  },
  {
    id: 'H37',
    name: 'naming a header in Connection does not strip it',
    attacks: async (world) => {
      await prepared(world);
      return ['Authorization', 'X-Forwarded-For', 'Host', 'Content-Length'].map((name) => ({
        method: 'GET',
        path: FILE,
        options: { headers: { connection: `close, ${name}` } },
      }));
    },
    status: [200],
    shape: 'any',
  },
  {
    id: 'H38',
    name: 'a stranger is not believed to be the server itself',
    attacks: ({ anonymous }) =>
      ['/artifactory/api/v1/metrics', '/metrics', FILE, BLOB, '/v2/'].flatMap((path) =>
        ['127.0.0.1', '::1', 'for=127.0.0.1'].map((value) => ({
          method: 'GET',
          path,
          by: anonymous,
          options: { headers: Object.fromEntries(FORWARDING.map((name) => [name, value])) },
        })),
      ),
    status: [401],
    shape: 'any',
  },
  {
    id: 'H39',
    name: 'a stranger does not choose the address in answers',
    attacks: async (world) => {
      await prepared(world);
      const { anonymous } = world;
      const options = { headers: EVIL };
      return [
        { method: 'GET', path: '/v2/', options, by: anonymous },
        { method: 'GET', path: BLOB, options, by: anonymous },
        { method: 'POST', path: '/v2/docker-local/headers/blobs/uploads/', options },
        { method: 'PUT', path: '/artifactory/generic-local/headers/answer', options: { ...options, body: 'a' } },
        { method: 'GET', path: '/v2/_catalog?n=1', options },
        { method: 'GET', path: '/v2/docker-local/headers/tags/list?n=1', options },
      ];
    },
    status: [200, 201, 202, 401],
    shape: 'any',
    check: (_world, answers) => {
      for (const { headers, text } of answers) assert.doesNotMatch(JSON.stringify([headers, text]), /evil|666|https:/);
    },
  },
  {
    id: 'H45',
    name: 'request ids that are none are replaced',
    attacks: () =>
      ['a b', 'a\tb', 'x'.repeat(10_000), '<script>', '"', 'a/b'].map((id) => ({
        method: 'GET',
        path: '/artifactory/api/system/ping',
        options: { headers: { 'x-request-id': id } },
      })),
    status: [200],
    shape: 'any',
    check: (_world, answers) => {
      for (const { headers } of answers) assert.match(String(headers['x-request-id']), /^[0-9a-f-]{36}$/);
    },
  },
];

describeRows('request headers', 'sqlite-fs', ROWS);
