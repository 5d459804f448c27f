import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Piece, Rendered } from './rendered.ts';

const words = (count: number) => Array.from({ length: count }, (_, i) => `word ${i % 997} of many, `).join('');

const BODIES: Readonly<Record<string, Rendered>> = {
  'no bytes': new Rendered([], 'text/plain'),
  'one piece': new Rendered([new Piece('some text')], 'text/plain'),
  'pieces, one of them empty': new Rendered(
    [new Piece('{'), new Piece(''), new Piece(words(20_000)), new Piece(randomBytes(70_000)), new Piece('}')],
    'text/plain',
  ),
};

for (const [what, rendered] of Object.entries(BODIES)) {
  test(`${what}: the compressed form is one gzip stream of the plain one`, async () => {
    assert.equal(rendered.size, rendered.bytes.length);
    assert.deepEqual(Buffer.concat(await rendered.chunks()), rendered.bytes);
    assert.deepEqual(gunzipSync(Buffer.concat(await rendered.gzip())), rendered.bytes);
  });

  test(`${what}: is the same after it was compressed, plain and in another document`, async () => {
    const before = Buffer.concat(await rendered.chunks());
    await rendered.gzip();
    assert.deepEqual(Buffer.concat(await rendered.chunks()), before);
    const twice = new Rendered([...rendered.pieces, ...rendered.pieces], 'text/plain');
    assert.deepEqual(gunzipSync(Buffer.concat(await twice.gzip())), Buffer.concat([before, before]));
    assert.deepEqual(gunzipSync(Buffer.concat(await rendered.gzip())), before);
  });

  test(`${what}: checksums are those of all the bytes`, async () => {
    for (const algorithm of ['sha512', 'sha256', 'sha1', 'md5'] as const) {
      assert.equal(await rendered.sum(algorithm), createHash(algorithm).update(rendered.bytes).digest('hex'));
    }
  });
}

test('bytes in one buffer are cut, and are what they were', async () => {
  const bytes = Buffer.from(words(50_000));
  const rendered = await Rendered.of({ bytes, mediaType: 'text/plain' });
  assert.ok(rendered.pieces.length > 1);
  assert.deepEqual(rendered.bytes, bytes);
  assert.deepEqual(gunzipSync(Buffer.concat(await rendered.gzip())), bytes);
});

test('the tag tells one content from another', () => {
  const of = (...texts: string[]) =>
    new Rendered(
      texts.map((text) => new Piece(text)),
      'text/plain',
    ).etag;
  assert.equal(of('a', 'b'), of('a', 'b'));
  assert.notEqual(of('a', 'b'), of('b', 'a'));
  assert.notEqual(of('a'), of('b'));
});
