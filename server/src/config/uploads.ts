import { z } from 'zod';
import { count, HOUR_MS, MINUTE_MS, milliseconds } from './fields.ts';

export const uploadsSection = z
  .strictObject({
    expireMs: milliseconds(1000)
      .default(24 * HOUR_MS)
      .describe('A resumable upload that nobody continues for so long is dropped.'),
    maxPerPrincipal: count().default(1000).describe('Resumable uploads one user may have open.'),
    finishedMemoryMs: milliseconds(0)
      .default(10 * MINUTE_MS)
      .describe('How long a finished upload answers a repeated finish.'),
  })
  .readonly();
