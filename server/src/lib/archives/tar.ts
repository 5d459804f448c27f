/** Tar files, plain or compressed with gzip, from their beginning to their end. */
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { type ArchiveEntry, ArchiveProblem, type Budget, type ByteSource } from './budget.ts';

export async function* readTar(source: ByteSource, budget: Budget, gzip: boolean): AsyncGenerator<ArchiveEntry> {
  const input = await source.open();
  let trouble: unknown;
  /** Not asked of the stream itself, which a pipeline ends with the error of whatever part of it failed. */
  async function* bytes(): AsyncGenerator<Buffer> {
    try {
      yield* input as AsyncIterable<Buffer>;
    } catch (error) {
      trouble = error;
      throw error;
    }
  }
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        budget.spend(chunk.length);
        done(null, chunk);
      } catch (error) {
        done(error as Error);
      }
    },
  });
  const entries = extract();
  const feeding = gzip ? pipeline(bytes, createGunzip(), counter, entries) : pipeline(bytes, counter, entries);
  // What goes wrong comes out of the entries.
  feeding.catch(() => undefined);
  try {
    for await (const entry of entries) {
      const { name, type, size } = entry.header;
      const isFolder = type === 'directory' || (type === 'file' && name.endsWith('/'));
      const isFile = type === 'file' || type === 'contiguous-file' || type === null || type === undefined;
      yield {
        name,
        type: isFolder ? 'folder' : isFile ? 'file' : 'other',
        size: size ?? 0,
        open: async () => translated(entry as AsyncIterable<Buffer>, () => trouble),
      };
      entry.resume();
    }
    await feeding;
  } catch (error) {
    throw problemOf(error, trouble);
  } finally {
    input.destroy();
    entries.destroy();
  }
}

async function* translated(chunks: AsyncIterable<Buffer>, trouble: () => unknown): AsyncGenerator<Buffer> {
  try {
    yield* chunks;
  } catch (error) {
    throw problemOf(error, trouble());
  }
}

/** What the archive is to blame for; trouble of the store stays what it is. */
function problemOf(error: unknown, trouble: unknown): unknown {
  if (error instanceof ArchiveProblem) return error;
  return trouble ?? new ArchiveProblem('it is damaged, cut short, or no tar file', { cause: error });
}
