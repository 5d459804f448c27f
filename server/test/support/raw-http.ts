/** A client that sends any bytes over a socket of its own and reads what comes back, for requests no library makes. */
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** By lower-case name; a repeated header is joined with a comma and a space. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

export interface RawOutcome {
  /** Final answers, in the order of their arrival. */
  readonly answers: readonly RawAnswer[];
  /** Statuses of interim answers, such as 100. */
  readonly interim: readonly number[];
  /** Whether the server ended the connection. */
  readonly closed: boolean;
  /** Bytes that were no complete answer. */
  readonly rest: string;
}

export interface RawOptions {
  /** Ends the wait when so many final answers are complete; without it, only the end of the connection does. */
  readonly answers?: number;
  /** Limit of the wait. */
  readonly waitMs?: number;
  /** The answers are to HEAD requests, so they have no bodies. */
  readonly head?: boolean;
}

/** Sends the bytes at once and waits for the answers, for the server to close, or for the limit. */
export async function sendRaw(port: number, bytes: string | Buffer, options: RawOptions = {}): Promise<RawOutcome> {
  const connection = await openRaw(port);
  try {
    connection.send(bytes);
    return await connection.outcome(options);
  } finally {
    connection.socket.destroy();
  }
}

export class RawConnection {
  readonly socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #closed = false;
  #changed: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#changed();
    });
    // A reset is an end like any other to whoever waits for one.
    socket.on('error', () => undefined);
    socket.once('end', () => this.#end());
    socket.once('close', () => this.#end());
  }

  /** Bytes sent one by one are Latin-1, so that a text can stand for any of them. */
  send(bytes: string | Buffer): void {
    if (this.socket.writable) this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** What came back, as soon as it is what the options wait for; at the limit, what there is. */
  async outcome(options: RawOptions = {}): Promise<RawOutcome> {
    const limit = Promise.withResolvers<void>();
    const timer = setTimeout(limit.resolve, options.waitMs ?? 10_000);
    let late = false;
    void limit.promise.then(() => {
      late = true;
    });
    try {
      for (;;) {
        const seen = parseAnswers(this.#received, options.head ?? false);
        const enough = options.answers !== undefined && seen.answers.length >= options.answers;
        if (enough || this.#closed || late) return { ...seen, closed: this.#closed };
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#changed = resolve;
        await Promise.race([promise, limit.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves when the server has ended the connection; false when it has not within the limit. */
  async isClosedWithin(waitMs: number): Promise<boolean> {
    return (await this.outcome({ waitMs })).closed;
  }

  #end(): void {
    this.#closed = true;
    this.#changed();
  }
}

/** A connection over which the test sends what it likes, when it likes. */
export async function openRaw(port: number, host = '127.0.0.1'): Promise<RawConnection> {
  const socket = connect({ port, host, noDelay: true });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('connect', resolve);
  socket.once('error', reject);
  await promise;
  socket.off('error', reject);
  return new RawConnection(socket);
}

/** Several statuses in a row, as clients must be able to tell them apart (RFC 9112, section 9.3). */
function parseAnswers(bytes: Buffer, head: boolean): Omit<RawOutcome, 'closed'> {
  const answers: RawAnswer[] = [];
  const interim: number[] = [];
  let at = 0;
  for (;;) {
    const end = bytes.indexOf('\r\n\r\n', at);
    if (end < 0) break;
    const [statusLine = '', ...lines] = bytes.toString('latin1', at, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1] ?? Number.NaN);
    if (Number.isNaN(status)) break;
    const headers = parseHeaders(lines);
    const hasBody = status >= 200 && status !== 204 && status !== 304 && !head;
    const length = hasBody ? Number(headers['content-length'] ?? 0) : 0;
    const start = end + 4;
    if (bytes.length < start + length) break;
    if (status < 200) interim.push(status);
    else answers.push({ status, headers, text: bytes.toString('utf8', start, start + length) });
    at = start + length;
  }
  return { answers, interim, rest: bytes.toString('latin1', at) };
}

function parseHeaders(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  return headers;
}
