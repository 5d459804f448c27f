/** Reading blobs and manifests: ranges, conditions, HEAD, and which kind of manifest a client gets. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import {
  describeBytes,
  type Image,
  ImageClient,
  makeImage,
  makeIndex,
  sha256,
  sha512,
  TYPES,
} from '../../support/oci.ts';
import { STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const SIZES = { 'a small blob': 1000, 'a blob that is kept as an object': 300_000 } as const;

for (const storage of STORAGES) {
  describe(`reading blobs on ${storage}`, () => {
    let world: World;
    let client: ImageClient;
    before(async () => {
      world = await startWorld(storage);
      client = new ImageClient(world.admin, '/v2/docker-local/read');
    });
    after(() => world.stop());

    for (const [what, size] of Object.entries(SIZES)) {
      const bytes = randomBytes(size);
      const path = `/blobs/${sha256(bytes)}`;
      const get = (headers: Readonly<Record<string, string>> = {}, method = 'GET') =>
        client.request(method, path, { headers });

      test(`${what} has its headers, and HEAD has the same`, async () => {
        await client.pushBlob(bytes);
        const answer = await get();
        assert.equal(answer.status, 200);
        assert.deepEqual(answer.bytes, bytes);
        assert.equal(answer.headers['content-length'], String(size));
        assert.equal(answer.headers['content-type'], 'application/octet-stream');
        assert.equal(answer.headers['docker-content-digest'], sha256(bytes));
        assert.equal(answer.headers.etag, `"${sha256(bytes)}"`);
        assert.equal(answer.headers['accept-ranges'], 'bytes');
        assert.equal(answer.headers['cache-control'], 'private, max-age=31536000, immutable');
        assert.equal(answer.headers['content-encoding'], undefined);
        const head = await get({}, 'HEAD');
        assert.equal(head.status, 200);
        assert.equal(head.bytes.length, 0);
        const { date: _, 'x-request-id': __, ...sameHead } = head.headers;
        const { date: ___, 'x-request-id': ____, ...sameGet } = answer.headers;
        assert.deepEqual(sameHead, sameGet);
      });

      const last = size - 1;
      for (const [range, start, end] of [
        ['bytes=0-0', 0, 0],
        ['bytes=10-99', 10, 99],
        ['bytes=500-', 500, last],
        ['bytes=-100', size - 100, last],
        [`bytes=-${size * 2}`, 0, last],
        [`bytes=900-${size * 2}`, 900, last],
        [`bytes=${last}-`, last, last],
      ] as const) {
        test(`${what} is served in part for ${range}`, async () => {
          const answer = await get({ range });
          assert.equal(answer.status, 206);
          assert.equal(answer.headers['content-range'], `bytes ${start}-${end}/${size}`);
          assert.equal(answer.headers['content-length'], String(end - start + 1));
          assert.deepEqual(answer.bytes, bytes.subarray(start, end + 1));
          const head = await get({ range }, 'HEAD');
          assert.ok([200, 206].includes(head.status));
        });
      }

      test(`${what} is served in several parts`, async () => {
        const answer = await get({ range: `bytes=0-9, 100-109,-10` });
        assert.equal(answer.status, 206);
        const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(String(answer.headers['content-type']))?.[1];
        const parts = answer.bytes.toString('latin1').split(`\r\n--${boundary}`);
        assert.equal(parts.at(-1), '--\r\n');
        const expected = [
          [0, 9],
          [100, 109],
          [size - 10, last],
        ] as const;
        for (const [i, [start, end]] of expected.entries()) {
          const [head, body] = parts[i + 1]!.split('\r\n\r\n') as [string, string];
          assert.match(head, new RegExp(`Content-Range: bytes ${start}-${end}/${size}`));
          assert.equal(body, bytes.toString('latin1', start, end + 1));
        }
        assert.equal(answer.headers['content-length'], String(answer.bytes.length));
      });

      test(`${what} honours conditions on its tag`, async () => {
        const digest = sha256(bytes);
        for (const tag of [`"${digest}"`, digest, `W/"${digest}"`, `"x", "${digest}"`, '*']) {
          const answer = await get({ 'if-none-match': tag });
          assert.equal(answer.status, 304, tag);
          assert.equal(answer.bytes.length, 0);
          assert.equal(answer.headers.etag, `"${digest}"`);
        }
        assert.equal((await get({ 'if-none-match': '"x"' })).status, 200);
        assert.equal((await get({ range: 'bytes=0-9', 'if-range': `"${digest}"` })).status, 206);
        assert.equal((await get({ range: 'bytes=0-9', 'if-range': '"x"' })).status, 200);
        assert.equal((await get({ 'if-modified-since': new Date().toUTCString() })).status, 200);
      });
    }

    test('a blob answers to each of its digests with that digest', async () => {
      const bytes = randomBytes(500);
      const long = sha512(bytes);
      await client.pushBlob(bytes, long);
      assert.equal((await client.request('HEAD', `/blobs/${long}`)).headers['docker-content-digest'], long);
      assert.equal((await client.request('GET', `/blobs/${long.replace(':', '%3A')}`)).status, 200);
      const short = await client.request('HEAD', `/blobs/${sha256(bytes)}`);
      assert.equal(short.headers['docker-content-digest'], sha256(bytes));
    });

    test('the empty blob is a blob', async () => {
      const digest = await client.pushBlob(Buffer.alloc(0));
      const answer = await client.request('GET', `/blobs/${digest}`);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['content-length'], '0');
      assert.equal((await client.request('GET', `/blobs/${digest}`, { headers: { range: 'bytes=0-' } })).status, 416);
    });

    test('errors of HEAD have headers only', async () => {
      for (const path of [`/blobs/${sha256('none')}`, '/manifests/none', `/manifests/${sha256('none')}`]) {
        const answer = await client.request('HEAD', path);
        assert.equal(answer.status, 404);
        assert.equal(answer.bytes.length, 0);
      }
    });
  });
}

describe('reading manifests', () => {
  let world: World;
  let client: ImageClient;
  let amd64: Image;
  let arm64: Image;
  let index: Buffer;
  let list: Buffer;
  before(async () => {
    world = await startWorld('sqlite-fs');
    client = new ImageClient(world.admin, '/v2/docker-local/manifests');
    [amd64, arm64] = [makeImage(), makeImage()];
    for (const image of [amd64, arm64]) await client.push(image.digest, image);
    const entry = (image: Image, platform: object) => ({ ...describeBytes(TYPES.manifest, image.bytes), platform });
    const attestation = entry(arm64, { os: 'unknown', architecture: 'unknown' });
    const entries = [
      attestation,
      entry(arm64, { os: 'linux', architecture: 'arm64' }),
      entry(amd64, { os: 'linux', architecture: 'amd64' }),
    ];
    index = makeIndex(entries);
    list = makeIndex(entries, { mediaType: TYPES.dockerList });
    await client.pushManifest('index', index, TYPES.index);
    await client.pushManifest('list', list, TYPES.dockerList);
    await client.pushManifest('arm', makeIndex([entries[1]!]), TYPES.index);
    await client.pushManifest('image', amd64.bytes);
  });
  after(() => world.stop());

  const get = async (reference: string, accept?: string | readonly string[]) => {
    const answer = await client.request(
      'GET',
      `/manifests/${reference}`,
      accept === undefined ? {} : { headers: { accept } },
    );
    assert.equal(answer.status, 200, answer.text);
    const head = await client.request(
      'HEAD',
      `/manifests/${reference}`,
      accept === undefined ? {} : { headers: { accept } },
    );
    for (const name of ['content-type', 'content-length', 'docker-content-digest', 'etag'] as const) {
      assert.equal(head.headers[name], answer.headers[name], name);
    }
    return answer;
  };

  test('a manifest has its stored type, its length and its digest', async () => {
    for (const [reference, bytes, type] of [
      ['image', amd64.bytes, TYPES.manifest],
      ['index', index, TYPES.index],
      ['list', list, TYPES.dockerList],
    ] as const) {
      const answer = await get(reference);
      assert.deepEqual(answer.bytes, bytes);
      assert.equal(answer.headers['content-type'], type);
      assert.equal(answer.headers['content-length'], String(bytes.length));
      assert.equal(answer.headers['docker-content-digest'], sha256(bytes));
      assert.equal(answer.headers.etag, `"${sha256(bytes)}"`);
      assert.equal(answer.headers['cache-control'], 'no-cache');
      assert.match(String(answer.headers.vary), /accept/i);
      const byDigest = await get(sha256(bytes));
      assert.equal(byDigest.headers['cache-control'], 'private, max-age=31536000, immutable');
    }
  });

  for (const [what, accept, expected] of [
    ['only images', TYPES.manifest, 'child'],
    ['only Docker images', TYPES.dockerManifest, 'child'],
    ['images, but no index', `${TYPES.manifest}, ${TYPES.index};q=0`, 'child'],
    ['images and an index', `${TYPES.manifest}, ${TYPES.index}`, 'index'],
    ['images and a Docker list', `${TYPES.manifest}, ${TYPES.dockerList}`, 'index'],
    ['images and anything', `${TYPES.manifest}, */*`, 'index'],
    ['images and any application', `${TYPES.manifest}, application/*`, 'index'],
    ['anything', '*/*', 'index'],
    ['nothing it knows', 'text/plain', 'index'],
    ['an index in a header of its own', [TYPES.manifest, TYPES.index], 'index'],
  ] as const) {
    test(`a client that accepts ${what} gets the ${expected} of an index`, async () => {
      for (const [tag, bytes] of [
        ['index', index],
        ['list', list],
      ] as const) {
        const answer = await get(tag, accept);
        const wanted = expected === 'child' ? amd64.bytes : bytes;
        assert.deepEqual(answer.bytes, wanted);
        assert.equal(answer.headers['docker-content-digest'], sha256(wanted));
      }
    });
  }

  test('an index without the default platform, and one that is asked for by digest, is given as it is', async () => {
    assert.equal((await get('arm', TYPES.manifest)).headers['content-type'], TYPES.index);
    assert.equal((await get(sha256(index), TYPES.manifest)).headers['content-type'], TYPES.index);
  });

  test('conditions on a manifest are honoured', async () => {
    for (const tag of [`"${sha256(index)}"`, sha256(index), `W/"${sha256(index)}"`]) {
      const answer = await client.request('GET', '/manifests/index', { headers: { 'if-none-match': tag } });
      assert.equal(answer.status, 304);
    }
    const moved = await client.request('GET', '/manifests/index', {
      headers: { 'if-none-match': `"${sha256(list)}"` },
    });
    assert.equal(moved.status, 200);
  });
});
