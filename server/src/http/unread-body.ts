/** What to do with a body that nobody read: answering early must neither hang the client nor swallow gigabytes. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Read and dropped so that the connection can be used again. */
const DRAIN_BYTES = 64 * 1024;
/** Read and dropped before the connection is closed, for clients that look at the answer only after sending. */
const LINGER_BYTES = 8 * 1024 * 1024;
const LINGER_MS = 2000;

/** Called before the answer is sent. */
export function finishBody(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
  if (request.complete || response.headersSent) return;
  const length = Number(request.headers['content-length'] ?? Number.NaN);
  const chunked = request.headers['transfer-encoding'] !== undefined;
  if (!chunked && !(length > 0)) return;
  const closing = response.hasHeader('Connection');
  if (!chunked && length <= DRAIN_BYTES && !expectsContinue && !closing) return;
  response.setHeader('Connection', 'close');
  // A client that waits for `100 Continue` has sent nothing yet.
  response.once('finish', () => (expectsContinue ? request.socket.end() : linger(request)));
}

function linger(request: IncomingMessage): void {
  const { socket } = request;
  let left = LINGER_BYTES;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) socket.destroy();
  });
  request.once('end', () => socket.end());
  request.resume();
}
