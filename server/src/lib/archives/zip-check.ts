/**
 * Whether a zip file says the same to every reader: one that goes by its directory and one that goes by the entries.
 * Programs that install packages differ in this, so what was checked would not be what is installed.
 */
import { type ArchiveLimits, ArchiveProblem, type ByteSource } from './budget.ts';

const END = 0x06054b50;
const END_BYTES = 22;
const ZIP64_LOCATOR_BYTES = 20;
const ENTRY = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL = 0x04034b50;
const LOCAL_BYTES = 30;
const MAX_DIRECTORY_BYTES = 32 * 1024 * 1024;
const HARMLESS_BYTES = 64 * 1024 * 1024;
const BLOCK_BYTES = 128 * 1024;

interface Listed {
  readonly name: Buffer;
  readonly offset: number;
  readonly compressed: number;
  readonly method: number;
}

/** Throws an ArchiveProblem where directory and entries disagree, hide something, or promise too much. */
export async function checkZip(source: ByteSource, limits: ArchiveLimits): Promise<void> {
  const { start, size, count } = await findDirectory(source);
  if (count > limits.maxEntries) throw new ArchiveProblem(`it has more than ${limits.maxEntries} entries`);
  const { entries, unpacked } = readDirectory(await read(source, start, size), count);
  if (unpacked > HARMLESS_BYTES && unpacked > source.size * limits.maxRatio) {
    throw new ArchiveProblem(`it unpacks to more than ${limits.maxRatio} times its size`);
  }
  await compareEntries(new Blocks(source), entries, start);
}

async function findDirectory(source: ByteSource): Promise<{ start: number; size: number; count: number }> {
  if (source.size < END_BYTES) throw new ArchiveProblem('it is no zip file');
  const at = source.size - END_BYTES;
  const end = await read(source, at, END_BYTES);
  if (end.readUInt32LE(0) !== END || end.readUInt16LE(20) !== 0) {
    throw new ArchiveProblem('it has a comment or other bytes behind its directory, or is cut short');
  }
  const [disk, firstDisk, here, count] = [4, 6, 8, 10].map((offset) => end.readUInt16LE(offset));
  const [size = 0, start = 0] = [12, 16].map((offset) => end.readUInt32LE(offset));
  if (count === 0xffff || size === 0xffffffff || start === 0xffffffff) return findLargeDirectory(source, at);
  if (disk !== 0 || firstDisk !== 0 || here !== count) throw new ArchiveProblem('it is one of several volumes');
  requireDirectory(start, size, at);
  return { start, size, count: count ?? 0 };
}

/** Where numbers of 32 bits do not suffice (APPNOTE 4.3.14). */
async function findLargeDirectory(
  source: ByteSource,
  end: number,
): Promise<{ start: number; size: number; count: number }> {
  const locator = await read(source, end - ZIP64_LOCATOR_BYTES, ZIP64_LOCATOR_BYTES);
  if (locator.readUInt32LE(0) !== 0x07064b50) throw new ArchiveProblem('it has no zip64 directory although it says so');
  const at = Number(locator.readBigUInt64LE(8));
  if (at > end) throw new ArchiveProblem('it is damaged');
  const large = await read(source, at, 56);
  if (large.readUInt32LE(0) !== 0x06064b50) throw new ArchiveProblem('it is damaged');
  const [count = 0, size = 0, start = 0] = [32, 40, 48].map((offset) => Number(large.readBigUInt64LE(offset)));
  requireDirectory(start, size, at);
  return { start, size, count };
}

function requireDirectory(start: number, size: number, end: number): void {
  if (size > MAX_DIRECTORY_BYTES) throw new ArchiveProblem(`its directory is larger than ${MAX_DIRECTORY_BYTES} bytes`);
  if (start + size !== end) throw new ArchiveProblem('its directory is not where it says');
}

function readDirectory(bytes: Buffer, count: number): { entries: Listed[]; unpacked: number } {
  const entries: Listed[] = [];
  const names = new Set<string>();
  let unpacked = 0;
  let at = 0;
  for (; at < bytes.length; ) {
    if (at + ENTRY_BYTES > bytes.length || bytes.readUInt32LE(at) !== ENTRY) throw new ArchiveProblem('it is damaged');
    const [nameBytes = 0, extraBytes = 0, commentBytes = 0] = [28, 30, 32].map((o) => bytes.readUInt16LE(at + o));
    const name = bytes.subarray(at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes);
    const extra = bytes.subarray(at + ENTRY_BYTES + nameBytes, at + ENTRY_BYTES + nameBytes + extraBytes);
    const large = largeNumbers(extra);
    const number = (offset: number) => {
      const small = bytes.readUInt32LE(at + offset);
      return small === 0xffffffff ? large() : small;
    };
    // The order is that of the zip64 field.
    const size = number(24);
    const compressed = number(20);
    const offset = number(42);
    const key = name.toString('latin1');
    if (names.has(key)) throw new ArchiveProblem('it has two entries of one name');
    names.add(key);
    unpacked += size;
    entries.push({ name, offset, compressed, method: bytes.readUInt16LE(at + 10) });
    at += ENTRY_BYTES + nameBytes + extraBytes + commentBytes;
  }
  if (at !== bytes.length || entries.length !== count) throw new ArchiveProblem('its directory is damaged');
  return { entries, unpacked };
}

function largeNumbers(extra: Buffer): () => number {
  let field: Buffer | undefined;
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) === 1) field = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
  }
  let next = 0;
  return () => {
    if (!field || next + 8 > field.length) throw new ArchiveProblem('it is damaged');
    next += 8;
    return Number(field.readBigUInt64LE(next - 8));
  };
}

/** The entries lie one behind the other, from the beginning to the directory, under the names that the directory has. */
async function compareEntries(blocks: Blocks, entries: readonly Listed[], directory: number): Promise<void> {
  let expected = 0;
  for (const entry of entries.toSorted((a, b) => a.offset - b.offset)) {
    if (entry.offset !== expected) throw new ArchiveProblem('it has bytes that its directory does not name');
    const head = await blocks.read(entry.offset, LOCAL_BYTES);
    if (head.readUInt32LE(0) !== LOCAL) throw new ArchiveProblem('its directory names entries that are not there');
    const [flags = 0, method, nameBytes = 0, extraBytes = 0] = [6, 8, 26, 28].map((o) => head.readUInt16LE(o));
    const name = await blocks.read(entry.offset + LOCAL_BYTES, nameBytes);
    if (!name.equals(entry.name) || method !== entry.method) {
      throw new ArchiveProblem('its entries are not what its directory says');
    }
    const compressed = head.readUInt32LE(18);
    const described = (flags & 8) !== 0;
    if (!described && compressed !== 0xffffffff && compressed !== entry.compressed) {
      throw new ArchiveProblem('its entries are not as long as its directory says');
    }
    expected = entry.offset + LOCAL_BYTES + nameBytes + extraBytes + entry.compressed;
    if (described) expected = await afterDescriptor(blocks, expected, entry.compressed);
  }
  if (expected !== directory) throw new ArchiveProblem('it has bytes that its directory does not name');
}

/** Lengths that come behind the bytes, as programs write them that do not know them before: of 32 or of 64 bits. */
async function afterDescriptor(blocks: Blocks, at: number, compressed: number): Promise<number> {
  const bytes = await blocks.read(at, 24);
  if (bytes.readUInt32LE(0) !== 0x08074b50) throw new ArchiveProblem('it is damaged');
  const next = (offset: number) => [LOCAL, ENTRY].includes(bytes.length >= offset + 4 ? bytes.readUInt32LE(offset) : 0);
  if (bytes.readUInt32LE(8) === compressed && next(16)) return at + 16;
  if (Number(bytes.readBigUInt64LE(8)) === compressed) return at + 24;
  throw new ArchiveProblem('its entries are not as long as its directory says');
}

async function read(source: ByteSource, start: number, length: number): Promise<Buffer> {
  if (start < 0 || start + length > source.size) throw new ArchiveProblem('it is cut short');
  if (length === 0) return Buffer.alloc(0);
  const bytes = Buffer.concat(await Array.fromAsync(await source.open({ start, end: start + length - 1 })));
  if (bytes.length !== length) throw new ArchiveProblem('it is cut short');
  return bytes;
}

/** Small reads one after the other, of which many lie in one block. */
class Blocks {
  readonly #source: ByteSource;
  #start = 0;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(source: ByteSource) {
    this.#source = source;
  }

  async read(start: number, length: number): Promise<Buffer> {
    const at = start - this.#start;
    if (at >= 0 && at + length <= this.#bytes.length) return this.#bytes.subarray(at, at + length);
    if (start + length > this.#source.size) throw new ArchiveProblem('it is cut short');
    this.#start = start;
    this.#bytes = await read(this.#source, start, Math.min(Math.max(length, BLOCK_BYTES), this.#source.size - start));
    return this.#bytes.subarray(0, length);
  }
}
