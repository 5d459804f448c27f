/** Bodies that are no JSON: YAML, XML, a bare word. */
import { readAll } from '../core/bodies.ts';
import { AppError } from '../core/errors.ts';
import { clip } from '../core/ids.ts';
import type { Exchange } from '../http/exchange.ts';

const MAX_BYTES = 1024 * 1024;

/** The body as text, if it is of one of these media types or of none. */
export async function readTextBody(exchange: Exchange, types: readonly string[]): Promise<string> {
  const type = exchange.request.headers['content-type'];
  const essence = (type?.split(';', 1)[0] ?? '').trim().toLowerCase();
  // A page of another origin can have a browser send a form or plain text unasked; only a program names these types.
  if (type !== undefined && !types.includes(essence)) {
    throw new AppError('invalid', `A body of the type "${clip(type)}" is not understood. Send: ${types.join(' or ')}.`);
  }
  const bytes = await readAll(exchange.body(), { limit: MAX_BYTES, what: 'body' });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new AppError('invalid', 'The body is not UTF-8 text.');
  }
}
