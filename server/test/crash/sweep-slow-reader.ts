/** A client that stops reading in the middle of an answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { TestApp } from '../support/test-app.ts';

export class SlowReader {
  readonly #incoming: IncomingMessage;
  readonly #expected: Buffer;

  private constructor(incoming: IncomingMessage, expected: Buffer) {
    this.#incoming = incoming;
    this.#expected = expected;
  }

  /** Resolves when the answer has begun; nothing of its body is read yet. */
  static async start(app: TestApp, path: string, expected: Buffer): Promise<SlowReader> {
    const { authorization = '' } = app.admin;
    const outgoing = request({ host: '127.0.0.1', port: app.port, path, headers: { authorization }, agent: false });
    outgoing.end();
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
    assert.equal(incoming.statusCode, 200);
    return new SlowReader(incoming, expected);
  }

  async requireRest(): Promise<void> {
    const read = Buffer.concat(await Array.fromAsync(this.#incoming as AsyncIterable<Buffer>));
    assert.ok(read.equals(this.#expected), `${read.length} of ${this.#expected.length} bytes came, or others`);
  }
}
