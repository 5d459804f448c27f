import { z } from 'zod';
import { count } from './fields.ts';

export const trashSection = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe('Whether what is deleted is kept in the repository `auto-trashcan` until its time is over.'),
    retentionDays: count(0, 3650).default(14).describe('How many days it is kept.'),
  })
  .readonly();
