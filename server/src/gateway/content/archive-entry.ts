/** Files inside archives, `a.jar!/META-INF/MANIFEST.MF`, and inside an archive in an archive. */
import { Readable } from 'node:stream';
import { atRest } from '../../core/arriving.ts';
import { AppError } from '../../core/errors.ts';
import type { RepoPath } from '../../core/ids.ts';
import type { Reply } from '../../core/protocol.ts';
import { archiveKindOf, readArchive } from '../../lib/archives/archive.ts';
import { type ArchiveEntry, type ArchiveLimits, ArchiveProblem, type ByteSource } from '../../lib/archives/budget.ts';
import { attachmentHeader } from '../../lib/content-disposition.ts';
import { Hashes } from '../../lib/hashes.ts';
import type { ContentRequest } from './content-request.ts';
import { mediaTypeOf } from './media-types.ts';

export interface EntryLimits extends ArchiveLimits {
  readonly maxEntryBytes: number;
  readonly maxNestedBytes: number;
}

const INTO = '!/';
const SIDECAR = /^(.+)\.(sha256|sha1|md5)$/;
/** Entries up to this size are unpacked once, into memory; larger ones once to be summed and once to be sent. */
const HELD_BYTES = 1024 * 1024;

/** An archive that can be read, and the name of something in it. */
interface Place {
  readonly source: ByteSource;
  readonly archive: string;
  readonly entry: string;
}

interface Summed {
  readonly size: number;
  readonly sums: Readonly<Record<'sha256' | 'sha1' | 'md5', string>>;
  readonly bytes: Buffer | undefined;
}

/** The answer for a path that leads into an archive; undefined where there is no such archive or nothing in it. */
export function entryReply(request: ContentRequest): Promise<Reply | undefined> {
  return request.looking.pass(() => lookFor(request));
}

async function lookFor(request: ContentRequest): Promise<Reply | undefined> {
  const place = await placeOf(request);
  if (!place) return undefined;
  try {
    const summed = await sum(place, request.archives);
    if (summed) return bodyReply(request, place, summed);
    const [, of, algorithm] = SIDECAR.exec(place.entry) ?? [];
    const target = of === undefined ? undefined : await sum({ ...place, entry: of }, request.archives);
    if (!target) return undefined;
    const value = target.sums[algorithm as 'sha256' | 'sha1' | 'md5'];
    return { status: 200, bytes: Buffer.from(value), headers: { 'Content-Type': 'application/x-checksum' } };
  } catch (error) {
    throw refusalOf(error);
  }
}

function refusalOf(error: unknown): unknown {
  if (!(error instanceof ArchiveProblem)) return error;
  return new AppError('invalid', `The archive cannot be looked into: ${error.message}.`, {}, { cause: error });
}

/** The file whose path is a beginning of the path asked for; one archive in another is opened as well. */
async function placeOf({ repo, plain, archives }: ContentRequest): Promise<Place | undefined> {
  const parts = plain.path.split(INTO);
  for (let count = 1; count < parts.length; count++) {
    const archive = parts.slice(0, count).join(INTO) as RepoPath;
    const found = await repo.serve({ path: archive }, 'bytes');
    if (!found) continue;
    const asset = await atRest(found);
    const [entry = '', nested, ...deeper] = parts.slice(count);
    if (deeper.length > 0 || archiveKindOf(archive) === undefined) return undefined;
    const place = { source: asset.content, archive, entry };
    return nested === undefined ? place : nestedPlace(place, nested, archives);
  }
  return undefined;
}

async function nestedPlace(outer: Place, entry: string, limits: EntryLimits): Promise<Place | undefined> {
  if (archiveKindOf(outer.entry) === undefined) return undefined;
  try {
    const bytes = await withEntry(outer, limits, (found) => gather(found, limits.maxNestedBytes));
    return bytes && { source: sourceOf(bytes), archive: outer.entry, entry };
  } catch (error) {
    throw refusalOf(error);
  }
}

async function sum(place: Place, limits: EntryLimits): Promise<Summed | undefined> {
  return withEntry(place, limits, async (entry) => {
    if (entry.size > limits.maxEntryBytes) throw tooLarge(limits.maxEntryBytes);
    const hashes = new Hashes(['sha256', 'sha1', 'md5']);
    let held: Buffer[] | undefined = [];
    for await (const chunk of await entry.open()) {
      hashes.update(chunk);
      if (hashes.bytes > limits.maxEntryBytes) throw tooLarge(limits.maxEntryBytes);
      if (hashes.bytes > HELD_BYTES) held = undefined;
      held?.push(chunk);
    }
    const { sha256 = '', sha1 = '', md5 = '' } = hashes.values();
    return { size: hashes.bytes, sums: { sha256, sha1, md5 }, bytes: held && Buffer.concat(held) };
  });
}

/** Runs `use` on the entry of this name while the archive is open; undefined if it has none. */
async function withEntry<T>(
  { source, archive, entry: name }: Place,
  limits: ArchiveLimits,
  use: (entry: ArchiveEntry) => Promise<T>,
): Promise<T | undefined> {
  const kind = archiveKindOf(archive);
  if (!kind) return undefined;
  for await (const entry of readArchive(kind, source, limits)) {
    if (entry.type === 'file' && entry.name.replace(/^(\.\/)+/, '') === name) return await use(entry);
  }
  return undefined;
}

function bodyReply(request: ContentRequest, place: Place, { size, sums, bytes }: Summed): Reply {
  const name = place.entry.slice(place.entry.lastIndexOf('/') + 1);
  const isBrowsed = request.repo.settings['archiveBrowsingEnabled'] === true;
  const headers = {
    'Content-Type': mediaTypeOf(name),
    'Content-Length': String(size),
    'Accept-Ranges': 'bytes',
    ...(!isBrowsed && { 'Content-Disposition': attachmentHeader(name) }),
    'X-Artifactory-Filename': encodeURIComponent(name),
    'X-Checksum-Md5': sums.md5,
    'X-Checksum-Sha1': sums.sha1,
    'X-Checksum-Sha256': sums.sha256,
    'Content-Security-Policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
  };
  return bytes ? { status: 200, bytes, headers } : { status: 200, pieces: chunksOf(place, request.archives), headers };
}

async function* chunksOf(place: Place, limits: EntryLimits): AsyncGenerator<Buffer> {
  const kind = archiveKindOf(place.archive);
  if (!kind) return;
  for await (const entry of readArchive(kind, place.source, limits)) {
    if (entry.type !== 'file' || entry.name.replace(/^(\.\/)+/, '') !== place.entry) continue;
    yield* await entry.open();
    return;
  }
}

async function gather(entry: ArchiveEntry, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of await entry.open()) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function sourceOf(bytes: Buffer): ByteSource {
  return {
    size: bytes.length,
    open: async (range) => Readable.from([range ? bytes.subarray(range.start, range.end + 1) : bytes]),
  };
}

function tooLarge(maxBytes: number): ArchiveProblem {
  return new ArchiveProblem(`what is asked for in it is larger than ${maxBytes} bytes`);
}
