import { z } from 'zod';
import { bytes, count, KIB, MIB, MINUTE_MS, milliseconds, secret } from './fields.ts';

const s3Fields = z
  .strictObject({
    bucket: z.string().min(3).max(63).optional().describe('Name of the bucket; needed when `storage.driver` is `s3`.'),
    region: z.string().min(1).default('us-east-1').describe('Region of the bucket.'),
    endpoint: z
      .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
      .optional()
      .describe('Address of an S3-compatible service. Without it, that of AWS for the region.'),
    accessKeyId: z
      .string()
      .min(1)
      .optional()
      .describe('Without it, credentials are found the way the AWS tools do: environment, profile, machine role.'),
    secretAccessKey: secret().optional().describe('The secret that belongs to `accessKeyId`.'),
    prefix: z.string().default('').describe('Put before the name of every object.'),
    forcePathStyle: z
      .boolean()
      .default(true)
      .describe('Whether the bucket is named in the path instead of the host name.'),
    partSizeBytes: bytes(5 * MIB, 5 * KIB * MIB)
      .default(8 * MIB)
      .describe('Size of the parts of a large object.'),
    concurrency: count(1, 64).default(4).describe('Parts of one object sent at the same time.'),
  })
  .refine((s3) => (s3.accessKeyId === undefined) === (s3.secretAccessKey === undefined), {
    message: 'needs both accessKeyId and secretAccessKey, or neither',
  })
  .readonly();

export const storageSection = z
  .strictObject({
    driver: z.enum(['fs', 's3']).default('fs').describe('Where bytes rest: `fs` in `data.dir`, `s3` in a bucket.'),
    inlineBytes: bytes(0, MIB)
      .default(16 * KIB)
      .describe('Blobs up to this size are kept in the database.'),
    freeSpaceFloorBytes: bytes()
      .default(256 * MIB)
      .describe('With less free space than this on the disk, uploads are refused.'),
    quotaBytes: bytes(1)
      .optional()
      .describe('How many bytes of files are stored at most, each content once. Deploys beyond are refused with 413.'),
    redirect: z
      .boolean()
      .default(false)
      .describe('Whether downloads are redirected to signed addresses of the bucket, where a client can follow.'),
    redirectMinBytes: bytes()
      .default(64 * KIB)
      .describe('Smaller files are served directly.'),
    redirectTtlMs: milliseconds(1000)
      .default(5 * MINUTE_MS)
      .describe('How long a signed address is good.'),
    s3: s3Fields.prefault({}).describe('The bucket.'),
  })
  .refine((storage) => storage.driver !== 's3' || storage.s3.bucket !== undefined, {
    message: 'is missing: the s3 driver needs the name of a bucket',
    path: ['s3', 'bucket'],
  })
  .readonly();
