import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { Connection } from './connection.ts';

const replies = [
  { bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLocation: /a\r\n\r\nhello', status: 200, body: 'hello' },
  {
    bytes:
      'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n',
    status: 201,
    body: 'abc0123456789',
  },
  {
    bytes: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n',
    status: 202,
    body: '',
  },
  { bytes: 'HTTP/1.1 204 No Content\r\n\r\n', status: 204, body: '' },
];

test('reads replies wherever their bytes are cut', async () => {
  let pieces: string[] = [];
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('data', () => {
      for (const [index, piece] of pieces.entries()) setTimeout(() => socket.write(piece), index * 2);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connection = new Connection({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  for (const reply of replies) {
    for (let cut = 1; cut < reply.bytes.length; cut++) {
      pieces = [reply.bytes.slice(0, cut), reply.bytes.slice(cut)];
      const got = await connection.exchange({ head: 'GET / HTTP/1.1\r\n\r\n', keepsBody: true });
      assert.deepEqual(
        [got.status, got.body?.toString(), got.bodyBytes],
        [reply.status, reply.body, reply.body.length],
        `cut at ${cut}`,
      );
    }
  }
  connection.close();
  server.close();
});

test('fails when the server leaves in the middle of a body', async () => {
  const server = createServer((socket) => {
    socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connection = new Connection({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  await assert.rejects(connection.exchange({ head: 'GET / HTTP/1.1\r\n\r\n' }), /closed the connection/);
  server.close();
});
