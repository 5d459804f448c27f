import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { ZipFile } from 'yazl';
import { zipOf } from '../../../test/support/archives.ts';
import { ArchiveProblem, type ByteSource } from './budget.ts';
import { checkZip } from './zip-check.ts';

const LIMITS = { maxEntries: 1000, maxTotalBytes: 1e9, maxRatio: 50 };

function sourceOf(bytes: Buffer): ByteSource {
  return {
    size: bytes.length,
    open: async (range) => Readable.from([bytes.subarray(range?.start ?? 0, (range?.end ?? bytes.length) + 1)]),
  };
}

const check = (bytes: Buffer) => checkZip(sourceOf(bytes), LIMITS);
const honest = () => zipOf({ 'a/one.txt': 'one', 'a/two.txt': Buffer.alloc(300_000, 7), 'three.txt': '' });

/** The zip with every place where `from` is written changed into `to`, from the n-th such place on. */
function replaced(zip: Buffer, from: string, to: string, skip = 0): Buffer {
  const changed = Buffer.from(zip);
  let at = changed.indexOf(from);
  for (let i = 0; i < skip; i++) at = changed.indexOf(from, at + 1);
  changed.write(to, at, 'latin1');
  return changed;
}

test('honest zips pass, those of streaming programs too', async () => {
  await check(await honest());
  await check(await zipOf({}));
  const zip = new ZipFile();
  zip.addReadStream(Readable.from([Buffer.from('streamed')]), 'streamed.txt');
  zip.addReadStream(Readable.from([Buffer.alloc(100_000, 3)]), 'more.txt', { forceZip64Format: true });
  zip.addBuffer(Buffer.from('x'), 'x', { forceZip64Format: true });
  zip.end({ forceZip64Format: true, comment: '' });
  await check(Buffer.concat(await Array.fromAsync(zip.outputStream as unknown as AsyncIterable<Buffer>)));
});

test('what two readers could read differently is refused', async () => {
  const zip = await honest();
  const end = zip.length - 22;
  const withComment = Buffer.concat([zip, Buffer.from('comment')]);
  withComment.writeUInt16LE(7, end + 20);
  const otherCount = Buffer.from(zip);
  otherCount.writeUInt16LE(2, end + 8);
  otherCount.writeUInt16LE(2, end + 10);
  const directory = zip.readUInt32LE(end + 16);
  const hole = Buffer.concat([zip.subarray(0, directory), Buffer.from('hidden'), zip.subarray(directory)]);
  hole.writeUInt32LE(directory + 6, hole.length - 22 + 16);
  const bad: Record<string, Buffer> = {
    'another name in the entry': replaced(zip, 'a/one.txt', 'a/six.txt'),
    'another name in the directory': replaced(zip, 'a/one.txt', 'a/six.txt', 1),
    'two of one name': replaced(replaced(zip, 'a/two.txt', 'a/one.txt'), 'a/two.txt', 'a/one.txt'),
    'bytes before': Buffer.concat([Buffer.from('#!/bin/sh\n'), zip]),
    'bytes behind': Buffer.concat([zip, Buffer.from('x')]),
    'a zip behind a zip': Buffer.concat([zip, zip]),
    comment: withComment,
    'a wrong count': otherCount,
    'bytes that nothing names': hole,
    'cut short': zip.subarray(0, -5),
    'cut at its beginning': zip.subarray(5),
    nothing: Buffer.alloc(0),
    zeros: Buffer.alloc(100),
  };
  for (const [name, bytes] of Object.entries(bad)) await assert.rejects(check(bytes), ArchiveProblem, name);
});

test('what unpacks to very much more than it is, is refused by what it says', async () => {
  const bomb = await zipOf({ zeros: Buffer.alloc(80 * 1024 * 1024) });
  await assert.rejects(check(bomb), /unpacks to more than 50 times/);
  await assert.rejects(
    check(await zipOf(Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`f${i}`, ''])))),
    /more than 1000 entries/,
  );
});

test('damage of any byte is no more than a problem', async () => {
  const zip = await zipOf({ 'a.txt': 'aaaa', 'b.txt': 'bbbb' });
  for (let at = 0; at < zip.length; at++) {
    for (const value of [0, 1, 0x7f, 0xff]) {
      const damaged = Buffer.from(zip);
      damaged[at] = value;
      await check(damaged).catch((error: unknown) =>
        assert.ok(error instanceof ArchiveProblem, `${at}: ${String(error)}`),
      );
    }
  }
});
