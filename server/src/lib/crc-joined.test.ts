import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { joinedCrc, shiftOver } from './crc-joined.ts';

test('the sum of two parts is that of what they make', () => {
  for (const first of [0, 1, 3, 1000]) {
    for (const second of [0, 1, 2, 7, 255, 256, 65_536, 100_001]) {
      const [one, other] = [randomBytes(first), randomBytes(second)];
      const joined = joinedCrc(crc32(one), crc32(other), shiftOver(second));
      assert.equal(joined, crc32(Buffer.concat([one, other])), `${first} and ${second}`);
    }
  }
});

test('many parts one after another', () => {
  const parts = Array.from({ length: 200 }, (_, i) => randomBytes((i * 37) % 500));
  const sum = parts.reduce((known, part) => joinedCrc(known, crc32(part), shiftOver(part.length)), 0);
  assert.equal(sum, crc32(Buffer.concat(parts)));
});
