/** What the server owes to whom: refusals of bytes that are no request come in their turn, and waiting is told from idling. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ALLOW } from './request-head.ts';

const CLIENT_ERRORS: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The headers are too large.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The extensions of a chunk are too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time.'],
};
/** A client that still sends gets this long to read the answer. */
const LINGER_MS = 500;

/** Keeps track of which requests of each connection are not answered yet. */
export class Connections {
  readonly #pending = new WeakMap<Socket, Set<ServerResponse>>();
  readonly #refused = new WeakSet<Socket>();

  /** To be told of each request before it is answered. */
  add(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const pending = this.#pending.get(socket) ?? new Set();
    this.#pending.set(socket, pending.add(response));
    response.once('close', () => pending.delete(response));
  }

  /** Whether it is the server that keeps the client waiting: it has all there is to work on, and has not answered. */
  isAtWork(socket: Socket): boolean {
    const responses = [...(this.#pending.get(socket) ?? [])];
    return responses.some(({ req, headersSent }) => !headersSent && (req.complete || req.readableLength > 0));
  }

  /** What the parser could not make sense of. */
  refuse(error: Error & { code?: string }, socket: Socket): void {
    // The parser complains again of every further byte.
    if (this.#refused.has(socket)) return;
    this.#refused.add(socket);
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const [status, message] = CLIENT_ERRORS[error.code ?? ''] ?? [400, 'The request is not valid HTTP/1.1.'];
    const responses = [...(this.#pending.get(socket) ?? [])];
    const last = responses.at(-1);
    // The answers to complete requests come first. When it is the body of the last that is broken, there is nothing
    // to wait for, and no way to answer it behind others.
    if (!last) answer(socket, status, message);
    else if (last.req.complete) last.once('finish', () => answer(socket, status, message));
    else if (responses.length === 1 && !last.headersSent) answer(socket, status, message);
    else socket.destroy();
  }

  /** A CONNECT request, which Node takes off its connection. */
  refuseTunnel(socket: Socket): void {
    // Node has taken its own listener off too, and an error that nobody hears ends the process.
    socket.on('error', () => socket.destroy());
    answer(socket, 405, 'This method is not supported.', [`Allow: ${ALLOW}`]);
  }
}

function answer(socket: Socket, status: number, message: string, headers: readonly string[] = []): void {
  if (!socket.writable) return;
  const body = JSON.stringify({ errors: [{ status, message }] });
  const lines = [
    `HTTP/1.1 ${status} Refused`,
    'Connection: close',
    'Content-Type: application/json',
    'X-Content-Type-Options: nosniff',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
  // Closing while bytes of the client are unread resets the connection, and the answer with it.
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.resume();
}
