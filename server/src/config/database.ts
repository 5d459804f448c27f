import { z } from 'zod';
import { count, secret } from './fields.ts';

export const databaseSection = z
  .strictObject({
    url: secret()
      .refine(
        (url) => /^postgres(ql)?:\/\/./.test(url.reveal()),
        'must be a PostgreSQL address, such as "postgres://user:password@host:5432/entrepot"',
      )
      .meta({ secret: true })
      .optional()
      .describe(
        'Address of a PostgreSQL database: `postgres://user:password@host:5432/name`. Without it, an SQLite file in `data.dir` is used. A pooler between here and there has to know prepared statements.',
      ),
    poolSize: count(2, 1000).default(10).describe('Connections to PostgreSQL that one process opens at most.'),
  })
  .readonly();
