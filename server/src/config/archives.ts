import { z } from 'zod';
import { bytes, count, MIB } from './fields.ts';

const GIB = 1024 * MIB;

export const archivesSection = z
  .strictObject({
    maxEntries: count().default(50_000).describe('Archives with more entries are neither unpacked nor looked into.'),
    maxAtomicEntries: count(1, 10_000)
      .default(2000)
      .describe('Files an archive may hold that is to be unpacked as a whole or not at all.'),
    maxTotalBytes: bytes(1)
      .default(10 * GIB)
      .describe('An archive that unpacks to more is refused.'),
    maxRatio: count(2, 100_000)
      .default(250)
      .describe('An archive that unpacks to so many times its size is refused, beyond the first 64 MiB.'),
    maxEntryBytes: bytes(1)
      .default(256 * MIB)
      .describe('Larger entries are not served from inside an archive.'),
    maxNestedBytes: bytes(1, GIB)
      .default(32 * MIB)
      .describe('An archive inside an archive is looked into up to this size.'),
    download: z
      .strictObject({
        enabled: z.boolean().default(true).describe('Whether folders can be downloaded as one archive.'),
        enabledForAnonymous: z.boolean().default(false).describe('Whether callers without credentials may do so.'),
        maxFiles: count(1, 10_000_000).default(5000).describe('Folders of more files are refused.'),
        maxBytes: bytes(1)
          .default(1024 * MIB)
          .describe('Folders of more bytes are refused.'),
        maxConcurrent: count(1, 1000).default(10).describe('How many such downloads may run at once.'),
      })
      .prefault({})
      .readonly()
      .describe('Downloads of whole folders.'),
  })
  .readonly();
