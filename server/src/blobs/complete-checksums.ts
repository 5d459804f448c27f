/** Computes the SHA-1 and MD5 of blobs that came in without them, so that searches by checksum find them. */
import { AppError } from '../core/errors.ts';
import { getBlob, getInlineBytes, listUnsummed } from '../db/blobs.ts';
import type { BlobStore } from './store.ts';

const BATCH = 50;

/** Goes through blobs without them that are older than `olderThanMs`; what cannot be read is left for the next time. */
export async function completeChecksums(
  blobs: BlobStore,
  options: { readonly olderThanMs: number; proceed(): Promise<void> },
): Promise<void> {
  const { database } = blobs.deps;
  const before = Date.now() - options.olderThanMs;
  const failed = new Set<string>();
  for (;;) {
    const found = await database.read((db) => listUnsummed(db, before, BATCH + failed.size));
    const pending = found.filter((sha256) => !failed.has(sha256));
    if (pending.length === 0) return;
    for (const sha256 of pending) {
      await options.proceed();
      const blob = await database.read((db) => getBlob(db, sha256));
      if (!blob) continue;
      const bytes = blob.storeKey === undefined ? await database.read((db) => getInlineBytes(db, sha256)) : undefined;
      try {
        await blobs.checksums({ ...blob, bytes });
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        failed.add(sha256);
      }
    }
  }
}
