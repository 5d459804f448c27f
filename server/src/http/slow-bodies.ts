/** Cuts off clients whose bodies only trickle in: each would hold a connection and a stage for as long as it likes. */
import type { IncomingMessage } from 'node:http';

/** Slower than any line in use; a body of which nothing moves at all is ended by the socket's own timeout. */
const MIN_BYTES_PER_SECOND = 256;

interface Watched {
  /** Bytes the connection had read when it was last looked at, and when that was. */
  bytes: number;
  at: number;
}

export class SlowBodies {
  readonly #windowMs: number;
  readonly #watched = new Map<IncomingMessage, Watched>();
  readonly #timer: NodeJS.Timeout;

  /** A body has this long, again and again, to bring what the least rate demands. */
  constructor(windowMs: number) {
    this.#windowMs = windowMs;
    this.#timer = setInterval(() => this.#look(), windowMs);
    this.#timer.unref();
  }

  /** To be told of each request; those without a body cost nothing. */
  add(request: IncomingMessage): void {
    const { headers, socket } = request;
    if (headers['transfer-encoding'] === undefined && !(Number(headers['content-length'] ?? 0) > 0)) return;
    this.#watched.set(request, { bytes: socket.bytesRead, at: performance.now() });
    request.once('close', () => this.#watched.delete(request));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    for (const [request, seen] of this.#watched) {
      if (request.complete) {
        this.#watched.delete(request);
        continue;
      }
      if (now - seen.at < this.#windowMs * 0.9) continue;
      const moved = request.socket.bytesRead - seen.bytes;
      // Bytes that wait to be read say that it is the server that is slow.
      const tooFew = request.readableLength === 0 && moved < (MIN_BYTES_PER_SECOND * (now - seen.at)) / 1000;
      if (tooFew) request.socket.destroy();
      seen.bytes += moved;
      seen.at = now;
    }
  }
}
