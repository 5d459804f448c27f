/** One small file out of an archive, such as its readme. */
import { type ArchiveKind, readArchive } from './archive.ts';
import { ArchiveProblem, type ByteSource } from './budget.ts';

/** Looking further for a text that somebody wants to read costs more than it is worth. */
const LIMITS = { maxEntries: 20_000, maxTotalBytes: 128 * 1024 * 1024, maxRatio: 200 };
const MAX_BYTES = 1024 * 1024;

/** The first file whose name matches, of a long one its beginning; undefined where there is none, or nothing can be read. */
export async function firstFile(
  kind: ArchiveKind,
  source: ByteSource,
  name: RegExp,
): Promise<{ readonly name: string; readonly bytes: Buffer } | undefined> {
  try {
    for await (const entry of readArchive(kind, source, LIMITS)) {
      if (entry.type !== 'file' || !name.test(entry.name)) continue;
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of await entry.open()) {
        chunks.push(chunk);
        size += chunk.length;
        if (size >= MAX_BYTES) break;
      }
      return { name: entry.name, bytes: Buffer.concat(chunks).subarray(0, MAX_BYTES) };
    }
  } catch (error) {
    if (!(error instanceof ArchiveProblem)) throw error;
  }
  return undefined;
}
