/** Puts the parts of an upload together in the background. */
import { z } from 'zod';
import type { MultipartUploads } from '../blobs/multipart.ts';
import type { JobContext, JobDefinition } from '../jobs/job.ts';

export function assemblyJob(
  multiparts: MultipartUploads,
  proceed: (context: JobContext) => () => Promise<void>,
): JobDefinition<{ id: string }> {
  return {
    name: 'multipart',
    payload: z.strictObject({ id: z.string() }),
    maxAttempts: 5,
    leaseMs: 60_000,
    dedupe: ({ id }) => id,
    run: ({ id }, context) => multiparts.assemble(id, { signal: context.signal, alive: proceed(context) }),
  };
}
