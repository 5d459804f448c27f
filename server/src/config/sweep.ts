import { z } from 'zod';
import { count, HOUR_MS, MINUTE_MS, milliseconds } from './fields.ts';

export const sweepSection = z
  .strictObject({
    intervalMs: milliseconds(10).default(MINUTE_MS).describe('How often blobs that may be unreferenced are looked at.'),
    graceMs: milliseconds(0)
      .default(24 * HOUR_MS)
      .describe('How long a blob that was uploaded but that nothing names yet is kept.'),
    reviewDelayMs: milliseconds(0)
      .default(10 * MINUTE_MS)
      .describe('How long after its last reference went a blob is looked at.'),
    readerGraceMs: milliseconds(0)
      .default(10 * MINUTE_MS)
      .describe('How long the bytes of a removed blob stay for downloads that are under way.'),
    batch: count(1, 1000).default(50).describe('Blobs looked at in one transaction.'),
  })
  .readonly();
