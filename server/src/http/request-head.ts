/** What Node's parser lets pass of a request's head but two readers could understand differently. */
import type { IncomingMessage } from 'node:http';
import { AppError } from '../core/errors.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
/** Spoken by WebDAV clients, about files only. */
const DAV_METHODS = ['PROPFIND', 'MKCOL', 'MOVE', 'COPY'];
/** Headers beyond this are refused; Node drops those beyond twice as many. */
export const MAX_HEADERS = 100;
/** Bodies of requests that have no use for one are dropped up to this size. */
const MAX_IDLE_BODY = 64 * 1024;

/** The answer to a method that is offered nowhere. */
export const ALLOW = METHODS.join(', ');

/** Throws for a head that is not plainly one request; what follows it on the connection is not to be trusted then. */
export function checkHead(request: IncomingMessage): void {
  const { rawHeaders, headers, method = '', httpVersion } = request;
  if (httpVersion !== '1.1' && httpVersion !== '1.0') throw refusal('The version of HTTP is neither 1.0 nor 1.1.');
  if (rawHeaders.length > MAX_HEADERS * 2) throw refusal(`More than ${MAX_HEADERS} headers were sent.`, 431);
  let hosts = 0;
  let authorizations = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
    else if (name.length === 13 && name.toLowerCase() === 'authorization') authorizations += 1;
  }
  if (hosts > 1) throw refusal('The request has more than one Host header.');
  if (hosts === 0 && httpVersion === '1.1') throw refusal('The request has no Host header.');
  if (authorizations > 1) throw refusal('The request has more than one Authorization header.');
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    throw refusal('The only transfer coding that is understood is "chunked".');
  }
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue') {
    throw new AppError('expectation_failed', 'Only "Expect: 100-continue" is understood.', { closes: true });
  }
  if (!METHODS.includes(method) && !DAV_METHODS.includes(method)) {
    throw new AppError('not_supported', 'This method is not supported.', { headers: { Allow: ALLOW } });
  }
  if ((method === 'GET' || method === 'HEAD') && Number(headers['content-length'] ?? 0) > MAX_IDLE_BODY) {
    throw new AppError('too_large', `A ${method} request has no use for a body of this size.`, { closes: true });
  }
}

function refusal(message: string, status = 400): AppError {
  return new AppError('invalid', message, { status, closes: true });
}
