import { z } from 'zod';
import { addressRange, count, KIB, MIB, milliseconds, origin, SECOND_MS } from './fields.ts';

export const httpSection = z
  .strictObject({
    host: z.string().min(1).default('0.0.0.0').describe('Address to listen on.'),
    port: count(0, 65_535).default(8082).describe('Port to listen on; 0 lets the system choose one.'),
    baseUrl: origin()
      .optional()
      .describe(
        'Scheme, host and port under which clients reach the server, such as `https://repo.example.com`. Without it, links are made from the `Host` header of each request.',
      ),
    trustedProxies: z
      .array(addressRange())
      .default([])
      .readonly()
      .describe('Addresses of reverse proxies whose `X-Forwarded-*` headers are believed.'),
    maxHeaderBytes: bytesOfHeaders().describe('Limit of a request line with all its headers.'),
    headerTimeoutMs: milliseconds()
      .default(15 * SECOND_MS)
      .describe('A connection that has not sent its headers by then is closed.'),
    idleTimeoutMs: milliseconds()
      .default(65 * SECOND_MS)
      .describe('How long a connection is kept open between requests. Longer than that of a proxy in front.'),
    bodyIdleTimeoutMs: milliseconds()
      .default(60 * SECOND_MS)
      .describe('A body of which nothing moves for so long, in or out, is given up.'),
    drainMs: milliseconds(0)
      .default(30 * SECOND_MS)
      .describe('How long a stopping server waits for the requests in progress.'),
    maxConnections: count().default(20_000).describe('Connections beyond this number are refused.'),
    accessLog: z.boolean().default(true).describe('Whether each request is logged.'),
  })
  .readonly();

function bytesOfHeaders() {
  return count(4 * KIB, MIB).default(16 * KIB);
}
