/** Documents are the only bodies that are held whole, and only up to a limit. */
import type { Readable } from 'node:stream';
import { AppError } from './errors.ts';

/** The whole stream, or `too_large` as soon as it exceeds the limit; the rest is not read. */
export async function readAll(
  stream: Readable,
  options: { readonly limit: number; readonly what: string },
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunksOf(stream)) {
    size += chunk.length;
    if (size > options.limit) {
      throw new AppError('too_large', `The ${options.what} is larger than the limit of ${options.limit} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * The chunks of a stream. Leaving the loop early destroys the stream, as one wants of files, but not a request: that
 * would cut the connection over which the refusal has to go.
 */
export function chunksOf(stream: Readable): AsyncIterable<Buffer> {
  return { [Symbol.asyncIterator]: () => stream.iterator({ destroyOnReturn: !isRequest(stream) }) };
}

/** Whether the stream is a request, whose chunks are made for whoever reads it and for nobody else. */
export function isRequest(stream: Readable): boolean {
  return 'httpVersion' in stream;
}
