/** Archives made while they are sent: one file at a time, in constant memory. */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { type Pack, pack } from 'tar-stream';
import { ZipFile } from 'yazl';
import type { ArchiveKind } from './archive.ts';

/** A file as it goes into an archive. */
export interface ArchivedFile {
  readonly name: string;
  readonly size: number;
  readonly modifiedAt: Date;
  open(): Promise<Readable>;
}

/** What is stored is mostly compressed already: more than a light squeeze only costs time. */
const LEVEL = 1;

/** The bytes of an archive of these files. Whoever stops reading ends the work on it. */
export function writeArchive(kind: ArchiveKind, files: AsyncIterable<ArchivedFile>): AsyncGenerator<Buffer> {
  return kind === 'zip' ? writeZip(files) : writeTar(files, kind === 'tar.gz');
}

async function* writeZip(files: AsyncIterable<ArchivedFile>): AsyncGenerator<Buffer> {
  const zip = new ZipFile();
  const output = zip.outputStream as Readable;
  zip.on('error', (error: Error) => output.destroy(error));
  const filling = fillZip(zip, files, output);
  yield* drain(output, filling, () => undefined);
}

async function fillZip(zip: ZipFile, files: AsyncIterable<ArchivedFile>, output: Readable): Promise<void> {
  for await (const file of files) {
    if (output.destroyed) return;
    const input = await file.open();
    const ended = Promise.withResolvers<void>();
    input.once('end', ended.resolve);
    input.once('error', ended.reject);
    output.once('close', ended.resolve);
    const options = { mtime: file.modifiedAt, mode: 0o100644, size: file.size, compressionLevel: LEVEL };
    zip.addReadStream(input, zipName(file.name), options);
    try {
      await ended.promise;
    } finally {
      input.destroy();
      output.removeListener('close', ended.resolve);
    }
  }
  zip.end();
}

/** What looks like a drive at the beginning of a name must not be taken for one. */
function zipName(name: string): string {
  return /^[a-zA-Z]:/.test(name) ? `./${name}` : name;
}

async function* writeTar(files: AsyncIterable<ArchivedFile>, gzip: boolean): AsyncGenerator<Buffer> {
  const tar = pack();
  const output = gzip ? createGzip({ level: LEVEL }) : undefined;
  if (output) pipeline(tar, output).catch(() => undefined);
  const filling = fillTar(tar, files);
  yield* drain(output ?? (tar as unknown as Readable), filling, () => tar.destroy());
}

async function fillTar(tar: Pack, files: AsyncIterable<ArchivedFile>): Promise<void> {
  for await (const { name, size, modifiedAt, open } of files) {
    const input = await open();
    try {
      await pipeline(input, tar.entry({ name, size, mtime: modifiedAt, mode: 0o644 }));
    } finally {
      input.destroy();
    }
  }
  tar.finalize();
}

/** The bytes as they come; what goes wrong at the other end is thrown here. */
async function* drain(output: Readable, filling: Promise<void>, stop: () => void): AsyncGenerator<Buffer> {
  let failure: unknown;
  const filled = filling.catch((error: unknown) => {
    failure = error;
    output.destroy();
  });
  try {
    for await (const chunk of output as AsyncIterable<Buffer>) yield chunk;
    await filled;
  } catch (error) {
    throw failure ?? error;
  } finally {
    output.destroy();
    stop();
    await filled;
  }
  if (failure !== undefined) throw failure;
}
