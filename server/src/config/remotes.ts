import { z } from 'zod';
import { addressRange } from './fields.ts';

export const remotesSection = z
  .strictObject({
    allowedAddresses: z
      .array(addressRange())
      .default([])
      .readonly()
      .describe(
        'Addresses and ranges that may be asked although they are loopback or link-local, or private and not the host of the repository itself. Addresses of cloud metadata count only when listed one by one.',
      ),
  })
  .readonly();
