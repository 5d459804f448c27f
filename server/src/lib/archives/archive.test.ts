/** Archives are read within limits, whatever they hold. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { ZipFile } from 'yazl';
import { type ArchiveKind, readArchive } from './archive.ts';
import { ArchiveProblem, type ByteSource } from './budget.ts';

const LIMITS = { maxEntries: 100, maxTotalBytes: 200 * 1024 * 1024, maxRatio: 100 };

function sourceOf(bytes: Buffer): ByteSource {
  return {
    size: bytes.length,
    open: async (range) => Readable.from([range ? bytes.subarray(range.start, range.end + 1) : bytes]),
  };
}

async function zipOf(files: Readonly<Record<string, Buffer | string>>): Promise<Buffer> {
  const zip = new ZipFile();
  for (const [name, bytes] of Object.entries(files)) zip.addBuffer(Buffer.from(bytes), name);
  zip.end();
  return Buffer.concat(await Array.fromAsync(zip.outputStream as Readable));
}

async function tarOf(files: Readonly<Record<string, Buffer | string>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, bytes] of Object.entries(files)) tar.entry({ name }, Buffer.from(bytes));
  tar.finalize();
  return Buffer.concat(await Array.fromAsync(tar as AsyncIterable<Buffer>));
}

async function readAll(kind: ArchiveKind, bytes: Buffer, limits = LIMITS): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const entry of readArchive(kind, sourceOf(bytes), limits)) {
    if (entry.type !== 'file') continue;
    found[entry.name] = Buffer.concat(await Array.fromAsync(await entry.open())).toString();
  }
  return found;
}

const FILES = { 'a.txt': 'one', 'b/c.txt': 'x'.repeat(300_000), empty: '' };

for (const [kind, make] of [
  ['zip', zipOf],
  ['tar', tarOf],
  ['tar.gz', async (files: typeof FILES) => gzipSync(await tarOf(files))],
] as const) {
  test(`every file of a ${kind} comes out as it went in`, async () => {
    assert.deepEqual(await readAll(kind, await make(FILES)), FILES);
  });

  test(`a ${kind} that is cut short anywhere is a problem of its own, or has fewer files`, async () => {
    const bytes = await make(FILES);
    for (const length of [
      0,
      1,
      21,
      100,
      511,
      513,
      Math.floor(bytes.length / 2),
      bytes.length - 1030,
      bytes.length - 1,
    ]) {
      if (length < 0) continue;
      try {
        const found = await readAll(kind, bytes.subarray(0, length));
        for (const [name, text] of Object.entries(found)) assert.equal(text, FILES[name as keyof typeof FILES]);
      } catch (error) {
        assert.ok(error instanceof ArchiveProblem, String(error));
      }
    }
  });

  test(`too many entries of a ${kind} are refused`, async () => {
    const bytes = await make(Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`f${i}`, 'x'])) as never);
    await assert.rejects(readAll(kind, bytes, { ...LIMITS, maxEntries: 10 }), /more than 10 entries/);
    await readAll(kind, bytes, { ...LIMITS, maxEntries: 11 });
  });

  test(`bytes beyond the limit of a ${kind} are refused while they come`, async () => {
    const bytes = await make({ big: 'x'.repeat(1_000_000) } as never);
    await assert.rejects(readAll(kind, bytes, { ...LIMITS, maxTotalBytes: 999_999 }), /more than 999999 bytes/);
  });
}

test('what unpacks to many times its size is refused', async () => {
  const bomb = Buffer.alloc(80 * 1024 * 1024);
  await assert.rejects(readAll('zip', await zipOf({ bomb })), /more than 100 times its size/);
  await assert.rejects(readAll('tar.gz', gzipSync(await tarOf({ bomb }))), /more than 100 times its size/);
});

test('links are not taken for files', async () => {
  const tar = pack();
  tar.entry({ name: 'link', type: 'symlink', linkname: '/etc/passwd' });
  tar.entry({ name: 'hard', type: 'link', linkname: 'link' });
  tar.finalize();
  const bytes = Buffer.concat(await Array.fromAsync(tar as AsyncIterable<Buffer>));
  const types: string[] = [];
  for await (const { type } of readArchive('tar', sourceOf(bytes), LIMITS)) types.push(type);
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from('/etc/passwd'), 'link', { mode: 0o120777 });
  zip.end();
  const zipped = Buffer.concat(await Array.fromAsync(zip.outputStream as Readable));
  for await (const { type } of readArchive('zip', sourceOf(zipped), LIMITS)) types.push(type);
  assert.deepEqual(types, ['other', 'other', 'other']);
});

test('trouble of the store is no problem of the archive', async () => {
  const bytes = await zipOf(FILES);
  for (const kind of ['zip', 'tar', 'tar.gz'] as const) {
    const broken: ByteSource = {
      size: bytes.length,
      open: async () =>
        Readable.from(
          (async function* () {
            yield Buffer.alloc(0);
            throw new Error('the disk is gone');
          })(),
        ),
    };
    await assert.rejects(
      Array.fromAsync(readArchive(kind, broken, LIMITS)),
      (error: Error) => error.message === 'the disk is gone',
    );
  }
});
