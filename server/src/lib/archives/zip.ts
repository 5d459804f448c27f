/** Zip files by their central directory, which is what counts where the entries themselves say otherwise. */
import { Readable } from 'node:stream';
import {
  type Entry,
  fromRandomAccessReaderPromise,
  getFileNameLowLevel,
  RandomAccessReader,
  type ZipFile,
} from 'yauzl';
import { type ArchiveEntry, ArchiveProblem, type Budget, type ByteSource } from './budget.ts';

/** Read at once: the directory is asked for in many small pieces, each of which could be a request to a bucket. */
const BLOCK_BYTES = 256 * 1024;
const BLOCKS_KEPT = 4;
const UNIX = 3;
const TYPE_MASK = 0xf000;
const REGULAR_TYPES = new Set([0, 0x8000, 0x4000]);

export async function* readZip(source: ByteSource, budget: Budget): AsyncGenerator<ArchiveEntry> {
  const reader = new SourceReader(source);
  let zip: ZipFile | undefined;
  try {
    zip = await fromRandomAccessReaderPromise(reader, source.size, {
      autoClose: false,
      decodeStrings: false,
      validateEntrySizes: true,
    });
    const opened = zip;
    for await (const entry of zip.eachEntry()) yield entryOf(opened, entry, reader, budget);
  } catch (error) {
    throw problemOf(error, reader);
  } finally {
    zip?.close();
  }
}

function entryOf(zip: ZipFile, entry: Entry, reader: SourceReader, budget: Budget): ArchiveEntry {
  const { generalPurposeBitFlag, fileNameRaw, extraFields } = entry;
  const name = getFileNameLowLevel(generalPurposeBitFlag, fileNameRaw, extraFields ?? [], true);
  return {
    name,
    type: typeOf(entry, name),
    size: entry.uncompressedSize,
    async open() {
      if (entry.isEncrypted()) throw new ArchiveProblem('it is encrypted');
      if (!entry.canDecodeFileData()) throw new ArchiveProblem('it is compressed in a way that is not understood');
      try {
        return counted(await zip.openReadStreamPromise(entry), reader, budget);
      } catch (error) {
        throw problemOf(error, reader);
      }
    },
  };
}

/** Links and devices are files whose attributes say so, where the archive was made on Unix. */
function typeOf(entry: Entry, name: string): ArchiveEntry['type'] {
  const mode = entry.versionMadeBy >> 8 === UNIX ? (entry.externalFileAttributes >>> 16) & TYPE_MASK : 0;
  if (!REGULAR_TYPES.has(mode)) return 'other';
  return name.endsWith('/') || mode === 0x4000 ? 'folder' : 'file';
}

async function* counted(stream: Readable, reader: SourceReader, budget: Budget): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      budget.spend(chunk.length);
      yield chunk;
    }
  } catch (error) {
    throw problemOf(error, reader);
  } finally {
    stream.destroy();
  }
}

/** What the archive is to blame for; trouble of the store stays what it is. */
function problemOf(error: unknown, reader: SourceReader): unknown {
  if (error instanceof ArchiveProblem) return error;
  if (reader.trouble !== undefined) return reader.trouble;
  return new ArchiveProblem('it is damaged, or no zip file', { cause: error });
}

class SourceReader extends RandomAccessReader {
  readonly #source: ByteSource;
  readonly #blocks = new Map<number, Promise<Buffer>>();
  /** Why the bytes could not be read, where they could not. */
  trouble: unknown;

  constructor(source: ByteSource) {
    super();
    this.#source = source;
  }

  override _readStreamForRange(start: number, end: number): Readable {
    return Readable.from(end > start ? this.#bytes(start, end) : [], { objectMode: false });
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    this.#copy(buffer, offset, length, position).then(
      () => callback(null),
      (error: unknown) => callback(error as Error),
    );
  }

  override close(callback: (error: Error | null) => void): void {
    this.#blocks.clear();
    callback(null);
  }

  async *#bytes(start: number, end: number): AsyncGenerator<Buffer> {
    try {
      yield* (await this.#source.open({ start, end: end - 1 })) as AsyncIterable<Buffer>;
    } catch (error) {
      this.trouble = error;
      throw error;
    }
  }

  async #copy(buffer: Buffer, offset: number, length: number, position: number): Promise<void> {
    if (position < 0 || position + length > this.#source.size) throw new ArchiveProblem('it is cut short');
    for (let done = 0; done < length; ) {
      const at = position + done;
      const index = Math.floor(at / BLOCK_BYTES);
      const block = await this.#block(index);
      const copied = block.copy(
        buffer,
        offset + done,
        at - index * BLOCK_BYTES,
        at - index * BLOCK_BYTES + length - done,
      );
      if (copied === 0) throw new ArchiveProblem('it is cut short');
      done += copied;
    }
  }

  #block(index: number): Promise<Buffer> {
    const known = this.#blocks.get(index);
    if (known !== undefined) return known;
    const start = index * BLOCK_BYTES;
    const loading = gather(this.#bytes(start, Math.min(start + BLOCK_BYTES, this.#source.size)));
    this.#blocks.set(index, loading);
    const [oldest] = this.#blocks.keys();
    if (this.#blocks.size > BLOCKS_KEPT && oldest !== undefined) this.#blocks.delete(oldest);
    return loading;
  }
}

async function gather(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(chunks));
}
