import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { BlobSource } from './content.ts';

for (const sizeBytes of [100, 32_768, 100_000, 4 * 1024 * 1024, 10_000_000]) {
  test(`sends ${sizeBytes} bytes of the promised digest, plain and in chunks`, () => {
    const source = new BlobSource(sizeBytes);
    const blob = source.create();
    for (const body of [
      Buffer.concat([...source.body(blob)]),
      decodeChunks(Buffer.concat([...source.chunkedBody(blob)])),
    ]) {
      assert.equal(body.length, sizeBytes);
      assert.equal(`sha256:${createHash('sha256').update(body).digest('hex')}`, blob.digest);
    }
    assert.notEqual(source.create().digest, blob.digest);
  });
}

function decodeChunks(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let offset = 0; ; ) {
    const end = bytes.indexOf('\r\n', offset);
    const size = Number.parseInt(bytes.toString('latin1', offset, end), 16);
    if (size === 0) return Buffer.concat(parts);
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    offset = end + 2 + size + 2;
  }
}
