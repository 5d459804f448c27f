import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import type { Exchange } from './exchange.ts';
import { send } from './send.ts';

const ROUNDS = 100;

interface Opened {
  readonly client: Socket;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

async function open(server: Server): Promise<Opened> {
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => undefined);
  client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [request, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
  return { client, request, response };
}

/** Sends an endless answer, whose making ends when nobody wants more of it. */
function sendEndless({ request, response }: Opened): { readonly sent: Promise<void>; isEnded(): boolean } {
  let ended = false;
  async function* pieces() {
    try {
      for (;;) yield Buffer.alloc(64 * 1024);
    } finally {
      ended = true;
    }
  }
  const exchange = { request, response, note: {} } as unknown as Exchange;
  return { sent: assert.rejects(send(exchange, { status: 200, pieces: pieces() })), isEnded: () => ended };
}

test('an answer ends whenever its client leaves, and so does the making of it', { timeout: 60_000 }, async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  for (let round = 0; round < ROUNDS; round++) {
    const opened = await open(server);
    const { sent, isEnded } = sendEndless(opened);
    await once(opened.client, 'data');
    opened.client.pause();
    for (let turn = 0; turn < round % 10; turn++) await new Promise(setImmediate);
    opened.client.destroy();
    await sent;
    assert.ok(isEnded());
  }
  server.close();
});

test('an answer ends even where what was written is dropped without a word', { timeout: 10_000 }, async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const opened = await open(server);
  // As Node does for a moment after a connection has ended.
  opened.response.write = () => false;
  const { sent, isEnded } = sendEndless(opened);
  opened.client.destroy();
  await sent;
  assert.ok(isEnded());
  server.close();
});
