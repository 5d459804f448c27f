import { z } from 'zod';
import { count, HOUR_MS, MINUTE_MS, milliseconds, secret } from './fields.ts';

const throttleFields = z
  .strictObject({
    sourceFailures: count()
      .default(5)
      .describe('Failed logins to one account from one address range before further ones have to wait.'),
    sourceWindowMs: milliseconds(1000)
      .default(15 * MINUTE_MS)
      .describe('Span in which they are counted.'),
    maxDelayMs: milliseconds(0)
      .default(15 * MINUTE_MS)
      .describe('The wait doubles with each further failure up to this.'),
    accountFailures: count().default(30).describe('Failed logins to one account from anywhere.'),
    accountWindowMs: milliseconds(1000).default(HOUR_MS).describe('Span in which they are counted.'),
    accountHardStop: count()
      .default(100)
      .describe('Consecutive failures after which the password is refused until an administrator resets it.'),
    addressFailures: count().default(10).describe('Failed logins from one address range to any account.'),
    addressWindowMs: milliseconds(1000)
      .default(5 * MINUTE_MS)
      .describe('Span in which they are counted.'),
    addressAccounts: count().default(100).describe('Different accounts one address range may fail at in a day.'),
  })
  .readonly();

export const securitySection = z
  .strictObject({
    anonymousAccess: z
      .boolean()
      .default(false)
      .describe('Whether callers without credentials have the rights granted to `anonymous`.'),
    hideUnauthorized: z
      .boolean()
      .default(true)
      .describe('Whether what a caller may not read is answered as not found.'),
    masterKey: secret()
      .optional()
      .describe(
        'Key that seals secrets in the database: 32 bytes in base64 or hex. Without it, one is made at the first start and kept in `data.dir`. Nodes of a cluster need the same.',
      ),
    passwordMinLength: count(8, 128).default(8).describe('Shorter passwords are refused when set.'),
    throttle: throttleFields.prefault({}).describe('Limits of failed logins.'),
  })
  .readonly();
