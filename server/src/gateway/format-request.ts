/** A request as a format meets it. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { ProtocolRequest } from '../core/protocol.ts';
import type { Exchange } from '../http/exchange.ts';

/**
 * What is read of it is made when it is asked for. A class and no literal with getters: of each of those V8 makes a hidden
 * class in the old space of its heap, which keeps the whole request until a full collection.
 */
export class FormatRequest implements ProtocolRequest {
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly #exchange: Exchange;
  #query: URLSearchParams | undefined;

  constructor(exchange: Exchange, path: string, params: Readonly<Record<string, string>>) {
    this.path = path;
    this.params = params;
    this.#exchange = exchange;
  }

  get method(): string {
    return this.#exchange.request.method ?? 'GET';
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.rawQuery);
    return this.#query;
  }

  get rawQuery(): string {
    return this.#exchange.target.rawQuery;
  }

  get headers(): IncomingHttpHeaders {
    return this.#exchange.request.headers;
  }

  get body(): Readable {
    return this.#exchange.body();
  }

  get encodedBody(): Readable {
    return this.#exchange.body({ encoded: true });
  }

  get signal(): AbortSignal {
    return this.#exchange.signal;
  }
}
