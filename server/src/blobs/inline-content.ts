/** Bytes in memory, read as those at rest are. */
import { Readable } from 'node:stream';
import type { ByteRange, Content } from '../core/repository.ts';

export function inlineContent(bytes: Buffer): Content {
  const slice = (range?: ByteRange) => (range ? bytes.subarray(range.start, range.end + 1) : bytes);
  return {
    size: bytes.length,
    inline: bytes,
    open: async (range) => Readable.from([slice(range)]),
    pump: (range, write) => write(slice(range)),
  };
}
