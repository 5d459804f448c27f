import { connect, type Socket } from 'node:net';

export type Reply = {
  readonly status: number;
  /** The status line and headers as they came. */
  readonly head: string;
  readonly bodyBytes: number;
  /** Present only when the caller asked to keep the body. */
  readonly body: Buffer | undefined;
};

export type Exchange = {
  /** Request line and headers, ending with the empty line. */
  readonly head: Buffer | string;
  readonly body?: Iterable<Buffer>;
  readonly isHead?: boolean;
  readonly keepsBody?: boolean;
};

export type Address = { readonly host: string; readonly port: number };

const idleLimitMs = 60_000;
const headLimitBytes = 64 * 1024;
const readBufferBytes = 256 * 1024;

type State = 'head' | 'fixed' | 'chunk-size' | 'chunk-body' | 'chunk-end' | 'trailer';

/**
 * One keep-alive HTTP/1.1 connection with one request in flight. It reads into one reused buffer and counts bodies
 * without copying them, so that the client costs far less than the server that is measured.
 */
export class Connection {
  readonly address: Address;
  #socket: Socket | undefined;
  #waiting: { exchange: Exchange; resolve: (reply: Reply) => void; reject: (error: Error) => void } | undefined;
  #state: State = 'head';
  #partialHead = '';
  #head = '';
  #status = 0;
  #remaining = 0;
  #bodyBytes = 0;
  #sizeLine = '';
  #kept: Buffer[] = [];
  #isSending = false;

  constructor(address: Address) {
    this.address = address;
  }

  /** Sends one request and resolves with its reply, opening the connection first when there is none. */
  async exchange(exchange: Exchange): Promise<Reply> {
    const socket = this.#socket ?? (await this.#open());
    return new Promise<Reply>((resolve, reject) => {
      this.#waiting = { exchange, resolve, reject };
      if (exchange.body === undefined) {
        socket.write(exchange.head);
        return;
      }
      socket.cork();
      socket.write(exchange.head);
      this.#isSending = true;
      this.#send(socket, exchange.body[Symbol.iterator]());
      socket.uncork();
    });
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const buffer = Buffer.allocUnsafe(readBufferBytes);
      const socket = connect({
        host: this.address.host,
        port: this.address.port,
        noDelay: true,
        onread: {
          buffer,
          callback: (length) => {
            this.#receive(buffer.subarray(0, length));
            return true;
          },
        },
      });
      socket.setTimeout(idleLimitMs, () => socket.destroy(new Error(`No byte moved for ${idleLimitMs} ms`)));
      socket.once('connect', () => {
        this.#socket = socket;
        resolve(socket);
      });
      socket.on('error', (error) => {
        reject(error);
        this.#fail(error);
      });
      socket.on('close', () => {
        if (this.#socket === socket) this.#socket = undefined;
        this.#fail(new Error('The server closed the connection before its reply was complete'));
      });
    });
  }

  #send(socket: Socket, parts: Iterator<Buffer>, first = parts.next()): void {
    let part = first;
    while (part.done !== true && !socket.destroyed) {
      const hasRoom = socket.write(part.value);
      part = parts.next();
      if (!hasRoom && part.done !== true) {
        const rest = part;
        socket.once('drain', () => this.#send(socket, parts, rest));
        return;
      }
    }
    this.#isSending = false;
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#state = 'head';
    this.#partialHead = '';
    this.#isSending = false;
    this.#socket?.destroy();
    this.#socket = undefined;
    waiting?.reject(error);
  }

  #receive(bytes: Buffer): void {
    let offset = 0;
    while (offset < bytes.length && this.#waiting !== undefined) {
      offset = this.#step(bytes, offset);
    }
  }

  /** Consumes what one state can take of the bytes and returns where the next state goes on. */
  #step(bytes: Buffer, offset: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(bytes, offset);
      case 'fixed':
        return this.#readFixed(bytes, offset);
      case 'chunk-body': {
        const end = this.#takeBody(bytes, offset);
        if (this.#remaining === 0) this.#state = 'chunk-end';
        return end;
      }
      case 'chunk-size':
      case 'chunk-end':
      case 'trailer':
        return this.#readLine(bytes, offset);
    }
  }

  #readHead(bytes: Buffer, offset: number): number {
    let end = this.#partialHead === '' ? bytes.indexOf('\r\n\r\n', offset, 'latin1') : -1;
    if (end >= 0) {
      this.#head = bytes.toString('latin1', offset, end);
      end += 4;
    } else {
      // The head came in several reads, so the end may lie across two of them.
      const before = this.#partialHead.length;
      this.#partialHead += bytes.toString('latin1', offset);
      const found = this.#partialHead.indexOf('\r\n\r\n');
      if (found < 0) {
        if (this.#partialHead.length > headLimitBytes) this.#fail(new Error('The reply head has no end'));
        return bytes.length;
      }
      this.#head = this.#partialHead.slice(0, found);
      end = offset + found + 4 - before;
      this.#partialHead = '';
    }
    this.#startBody();
    return end;
  }

  #startBody(): void {
    this.#status = Number(this.#head.slice(9, 12));
    this.#bodyBytes = 0;
    this.#kept = [];
    // An interim reply is followed by the real one.
    if (this.#status >= 100 && this.#status < 200) return;
    if (this.#waiting?.exchange.isHead === true || this.#status === 204 || this.#status === 304) {
      this.#finish();
      return;
    }
    const length = headerOf(this.#head, 'content-length');
    if (length !== undefined) {
      this.#remaining = Number(length);
      this.#state = 'fixed';
      if (this.#remaining === 0) this.#finish();
    } else if (headerOf(this.#head, 'transfer-encoding') === 'chunked') {
      this.#state = 'chunk-size';
      this.#sizeLine = '';
    } else {
      this.#fail(new Error(`The ${this.#status} reply tells neither length nor chunks`));
    }
  }

  #readFixed(bytes: Buffer, offset: number): number {
    const end = this.#takeBody(bytes, offset);
    if (this.#remaining === 0) this.#finish();
    return end;
  }

  #takeBody(bytes: Buffer, offset: number): number {
    const taken = Math.min(this.#remaining, bytes.length - offset);
    if (this.#waiting?.exchange.keepsBody === true) {
      this.#kept.push(Buffer.from(bytes.subarray(offset, offset + taken)));
    }
    this.#remaining -= taken;
    this.#bodyBytes += taken;
    return offset + taken;
  }

  #readLine(bytes: Buffer, offset: number): number {
    const end = bytes.indexOf(10, offset);
    if (end < 0) {
      this.#sizeLine += bytes.toString('latin1', offset);
      return bytes.length;
    }
    const line = (this.#sizeLine + bytes.toString('latin1', offset, end)).trim();
    this.#sizeLine = '';
    if (this.#state === 'chunk-end') {
      this.#state = 'chunk-size';
    } else if (this.#state === 'chunk-size') {
      this.#remaining = Number.parseInt(line, 16);
      if (Number.isNaN(this.#remaining)) this.#fail(new Error(`"${line}" is no chunk size`));
      else this.#state = this.#remaining === 0 ? 'trailer' : 'chunk-body';
    } else if (line === '') {
      this.#finish();
    }
    return end + 1;
  }

  #finish(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#state = 'head';
    // A reply before the end of the request's body leaves bytes on the connection that nobody will read.
    if (this.#isSending || /^connection: *close/im.test(this.#head)) {
      this.#isSending = false;
      this.close();
    }
    waiting?.resolve({
      status: this.#status,
      head: this.#head,
      bodyBytes: this.#bodyBytes,
      body: waiting.exchange.keepsBody === true ? Buffer.concat(this.#kept) : undefined,
    });
  }
}

/** The value of the first header of that (lower-case) name; `undefined` if absent. */
export function headerOf(head: string, name: string): string | undefined {
  const pattern = patterns.get(name) ?? remember(name);
  return pattern.exec(head)?.[1]?.trim();
}

const patterns = new Map<string, RegExp>();

function remember(name: string): RegExp {
  const pattern = new RegExp(`\\r\\n${name}:([^\\r]*)`, 'i');
  patterns.set(name, pattern);
  return pattern;
}
