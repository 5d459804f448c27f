import { z } from 'zod';

export const repositoriesSection = z
  .strictObject({
    globalRepo: z
      .boolean()
      .default(false)
      .describe(
        'Whether the deprecated virtual repository `repo` is there, which stands for all that the caller may read in any repository.',
      ),
  })
  .readonly();
