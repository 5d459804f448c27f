import { z } from 'zod';
import { count, MINUTE_MS, milliseconds } from './fields.ts';

export const searchSection = z
  .strictObject({
    indexArchives: z
      .boolean()
      .default(true)
      .describe('Whether the names of what lies in jars, zips and the like are kept, so that they can be searched.'),
    timeoutMs: milliseconds(100)
      .default(10 * MINUTE_MS)
      .describe('A search that takes longer, its answer included, is given up.'),
    maxPerUser: count().default(10).describe('Searches one user may have under way.'),
  })
  .readonly();
