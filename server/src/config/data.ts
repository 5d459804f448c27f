import { z } from 'zod';

export const dataSection = z
  .strictObject({
    dir: z
      .string()
      .min(1)
      .default('./data')
      .describe('Folder for everything the server keeps on this machine, made if missing.'),
  })
  .readonly();
