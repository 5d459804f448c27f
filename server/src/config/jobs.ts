import { z } from 'zod';
import { count, milliseconds } from './fields.ts';

export const jobsSection = z
  .strictObject({
    workers: count(0, 64).default(2).describe('Jobs this process runs at the same time; 0 leaves them to others.'),
    pollMs: milliseconds(10).default(1000).describe('How often work of other processes is looked for.'),
  })
  .readonly();
