/** Requests that are not, or not quite, HTTP/1.1: rows H01 to H30 of the catalogue of bad inputs, over raw sockets. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { requireHarmless, requireNothingLeft } from '../../support/hostile.ts';
import { openRaw, type RawAnswer, type RawOptions, type RawOutcome, sendRaw } from '../../support/raw-http.ts';
import { countStored, startWorld, type World } from '../../support/wire-world.ts';

interface RawRow {
  readonly id: string;
  readonly name: string;
  /** Each sent over a connection of its own. */
  readonly requests: readonly (string | Buffer)[];
  /** Of the first answer; `close` stands for a connection that ends without one. */
  readonly status: readonly (number | 'close')[];
  /** Whether the connection must end after the answer. */
  readonly closes?: boolean;
  readonly options?: RawOptions;
  check?(answer: RawAnswer): void;
}

const PING = '/artifactory/api/system/ping';
const FILE = '/artifactory/generic-local/raw/file.bin';
const H = 'Host: localhost\r\n';
let authorization = '';
/** The head of a request, with what is special about it after the common headers. */
const get = (special: string, target = PING) => `GET ${target} HTTP/1.1\r\n${H}${special}\r\n`;
const put = (special: string, body: string) => `PUT ${FILE} HTTP/1.1\r\n${H}@AUTH@${special}\r\n${body}`;
const lengths = ['+1', '-1', '0x1', '1,1', '1e3', '18446744073709551617', ' ', '1 1', '1;2'];
const codings = ['xchunked', 'chunked, identity', 'identity, chunked', 'chunked, chunked', 'chunkedx', '"chunked"'];
const chunked = 'Transfer-Encoding: chunked\r\n';

const ROWS: readonly RawRow[] = [
  { id: 'H01', name: 'no Host', requests: [`GET ${PING} HTTP/1.1\r\n\r\n`], status: [400], closes: true },
  {
    id: 'H02',
    name: 'two Host headers, equal or different',
    requests: [get(H), get('host: evil.test\r\n')],
    status: [400],
  },
  {
    id: 'H03',
    name: 'an absolute target of another authority',
    requests: ['http://evil.test', 'https://evil.test', 'http://localhost:99', 'http://user@localhost'].map((origin) =>
      get('', `${origin}${PING}`),
    ),
    status: [400],
  },
  {
    id: 'H04',
    name: 'an absolute target of the same authority',
    requests: [get('', `http://localhost${PING}`)],
    status: [200],
  },
  {
    id: 'H05',
    name: 'both a length and a coding, in both orders',
    requests: [
      put(`Content-Length: 5\r\n${chunked}`, '0\r\n\r\n'),
      put(`${chunked}Content-Length: 5\r\n`, '0\r\n\r\n'),
    ],
    status: [400],
    closes: true,
  },
  {
    id: 'H06',
    name: 'two lengths, equal or different',
    requests: ['1', '2'].map((second) => put(`Content-Length: 1\r\nContent-Length: ${second}\r\n`, 'ab')),
    status: [400],
    closes: true,
  },
  {
    id: 'H07',
    name: 'lengths that are no number',
    requests: lengths.map((length) => put(`Content-Length: ${length}\r\n`, 'a')),
    status: [400],
    closes: true,
  },
  {
    id: 'H08',
    name: 'transfer codings that are not just chunked',
    requests: [
      ...codings.map((coding) => put(`Transfer-Encoding: ${coding}\r\n`, '1\r\na\r\n0\r\n\r\n')),
      put(`${chunked}${chunked}`, '1\r\na\r\n0\r\n\r\n'),
      put('Transfer-Encoding : chunked\r\n', '1\r\na\r\n0\r\n\r\n'),
    ],
    status: [400, 501],
    closes: true,
  },
  {
    id: 'H09',
    name: 'broken chunks',
    requests: ['ZZ\r\na', '-1\r\na', 'FFFFFFFFFFFFFFFFF\r\na', '1\r\nab\r\n', `1;${'x'.repeat(20_000)}\r\na\r\n`].map(
      (body) => put(chunked, `${body}0\r\n\r\n`),
    ),
    status: [400, 413],
    closes: true,
  },
  {
    id: 'H10',
    name: 'a chunked body that never ends',
    requests: [put(chunked, '1\r\na\r\n')],
    status: [408, 'close'],
    closes: true,
  },
  {
    id: 'H11',
    name: 'lines that end in a bare LF, and a bare CR in a header',
    requests: [
      `GET ${PING} HTTP/1.1\nHost: localhost\n\n`,
      `GET ${PING} HTTP/1.1\r\nHost: localhost\n\r\n`,
      get('X-A: b\rX-C: d\r\n'),
      get('X-A: b\nX-C: d\r\n'),
    ],
    status: [400],
    closes: true,
  },
  {
    id: 'H12',
    name: 'a header that goes on in the next line',
    requests: [get('X-A: b\r\n c\r\n'), get('X-A: b\r\n\tc\r\n')],
    status: [400],
    closes: true,
  },
  {
    id: 'H13',
    name: 'control characters in a header value',
    requests: ['\0', '\x01', '\x08', '\x0b', '\x1b', '\x7f'].map((char) => get(`X-A: b${char}c\r\n`)),
    status: [400],
    closes: true,
  },
  {
    id: 'H14',
    name: 'header names that are none',
    requests: ['X A', 'X(A', 'X\xe4A', '', ' X', 'X"A', 'X/A'].map((name) => get(`${name}: b\r\n`)),
    status: [400],
    closes: true,
  },
  {
    id: 'H15',
    name: 'too large a header, and too many',
    requests: [
      get(`X-A: ${'b'.repeat(17_000)}\r\n`),
      get(Array.from({ length: 101 }, (_, i) => `X-${i}: b\r\n`).join('')),
      get(Array.from({ length: 3000 }, (_, i) => `X-${i}: b\r\n`).join('')),
    ],
    status: [431],
    closes: true,
  },
  { id: 'H16', name: 'a target of 9 KiB', requests: [get('', `/${'a'.repeat(9216)}`)], status: [414, 431] },
  {
    id: 'H17',
    name: 'raw bytes beyond ASCII in the target',
    requests: [get('', '/artifactory/generic-local/\xe4'), get('', '/artifactory/generic-local/\xc3\xa4?\xff')],
    status: [400],
  },
  {
    id: 'H18',
    name: 'percent signs that encode nothing',
    requests: ['%', '%2', '%zz', '%u0041', 'a%', '%%41'].map((path) => get('', `/artifactory/generic-local/${path}`)),
    status: [400],
  },
  {
    id: 'H19',
    name: 'percent-encoded bytes that are no UTF-8',
    requests: ['%ff', '%c0%af', '%ed%a0%80', '%f5%80%80%80', '%e2%82'].map((path) =>
      get('', `/artifactory/generic-local/${path}`),
    ),
    status: [400],
  },
  {
    id: 'H20',
    name: 'an encoded NUL in path or query',
    requests: [get('', '/artifactory/generic-local/a%00b'), get('', `${PING}?a=%00`), get('', `${PING}?%00=a`)],
    status: [400],
  },
  {
    id: 'H21',
    name: 'methods nobody offers',
    requests: ['FOO', 'TRACE', 'TRACK', 'CONNECT', 'DEBUG', 'QUERY', 'get', 'PROPFIND', 'LINK'].map(
      (method) => `${method} ${method === 'CONNECT' ? 'evil.test:443' : PING} HTTP/1.1\r\n${H}\r\n`,
    ),
    status: [400, 405],
    check: ({ status, headers }) => assert.ok(status === 400 || headers['allow']?.includes('GET'), 'Allow'),
  },
  {
    id: 'H22',
    name: 'a method hidden elsewhere',
    requests: [
      get('X-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\n'),
      get('', `${PING}?_method=DELETE`),
    ],
    status: [200],
    check: ({ text }) => assert.equal(text, 'OK'),
  },
  {
    id: 'H23',
    name: 'versions of HTTP that do not exist here',
    requests: [`GET ${PING} HTTP/9.9\r\n${H}\r\n`, `GET ${PING} HTTP/0.9\r\n${H}\r\n`, `GET ${PING}\r\n\r\n`],
    status: [400, 505],
    closes: true,
  },
  {
    id: 'H24',
    name: 'other protocols',
    requests: [
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      Buffer.from('160301020001000001fc0303', 'hex'),
      'SSH-2.0-OpenSSH_9.6\r\n',
      Buffer.concat([Buffer.from([0x01]), randomBytes(199)]),
    ],
    status: [400, 505, 'close'],
    closes: true,
  },
  {
    id: 'H25',
    name: 'upgrades that are not offered',
    requests: [
      get('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'),
      get('Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'),
    ],
    status: [200],
  },
  { id: 'H26', name: 'an expectation nobody understands', requests: [get('Expect: foo\r\n')], status: [417] },
  {
    id: 'H29',
    name: 'GET and HEAD with a body',
    requests: [
      get(`Content-Length: ${1024 * 1024}\r\n`),
      `HEAD ${PING} HTTP/1.1\r\n${H}Content-Length: ${1024 * 1024}\r\n\r\n`,
    ],
    status: [413],
    closes: true,
    options: { head: true },
  },
];

describe('malformed requests', () => {
  let world: World;
  before(async () => {
    world = await startWorld('sqlite-fs', { env: { ENTREPOT_HTTP__BODY_IDLE_TIMEOUT_MS: '700' } });
    authorization = `Authorization: ${world.admin.authorization}\r\n`;
  });
  after(() => world.stop());

  for (const row of ROWS) {
    test(`${row.id}: ${row.name}`, async () => {
      const before = await countStored(world);
      await Promise.all(row.requests.map((request) => attack(row, request)));
      await requireNothingLeft(world, before, row.id);
    });
  }

  async function attack(row: RawRow, request: string | Buffer): Promise<void> {
    const bytes = typeof request === 'string' ? request.replace('@AUTH@', authorization) : request;
    const what = JSON.stringify(bytes.toString('latin1').slice(0, 120));
    const outcome = await sendRaw(world.app.port, bytes, { ...(!row.closes && { answers: 1 }), ...row.options });
    const [first] = outcome.answers;
    assert.ok(row.status.includes(first?.status ?? 'close'), `${what} was answered ${first?.status} ${outcome.rest}`);
    assert.ok(outcome.answers.length <= 1, `${what} was answered ${outcome.answers.length} times`);
    if (row.closes || !first) assert.ok(outcome.closed, `${what} left the connection open`);
    if (!first) return;
    requireHarmless(first, { shape: 'rest', method: row.options?.head ? 'HEAD' : 'GET', what });
    row.check?.(first);
  }

  test('H27: a client that waits for 100 gets the refusal instead, and the connection ends', async () => {
    for (const [credentials, status] of [
      ['', 401],
      [`Authorization: ${world.as('reader').authorization}\r\n`, 403],
    ] as const) {
      for (const [method, path] of [
        ['PUT', FILE],
        ['POST', '/v2/docker-local/app/blobs/uploads/?digest=sha256:00'],
        ['PUT', '/v2/docker-local/app/manifests/latest'],
      ] as const) {
        const outcome = await sendRaw(
          world.app.port,
          `${method} ${path} HTTP/1.1\r\n${H}${credentials}Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n`,
        );
        // A digest that cannot be one is worth no permission check.
        const statuses: number[] = path.endsWith('sha256:00') && status === 403 ? [400, 403] : [status];
        assert.ok(
          statuses.includes(outcome.answers[0]?.status ?? 0),
          `${method} ${path}: ${outcome.answers[0]?.status}`,
        );
        assert.deepEqual(outcome.interim, []);
        assert.ok(outcome.closed);
      }
    }
  });

  test('H28: a client that is told to go on and never does is cut off, and its upload stays as it was', async () => {
    const { admin, app } = world;
    const started = await admin.request('POST', '/v2/docker-local/waits/blobs/uploads/');
    const location = String(started.headers.location);
    const outcome = await sendRaw(
      app.port,
      `PATCH ${location} HTTP/1.1\r\n${H}${authorization}Expect: 100-continue\r\nContent-Length: 10\r\n\r\n`,
    );
    assert.deepEqual(outcome.interim, [100]);
    assert.ok(outcome.closed);
    const state = await admin.request('GET', location);
    assert.equal(state.status, 204);
    assert.equal(state.headers.range, '0-0');
    await admin.request('DELETE', location);
  });

  test('H29: a body of a GET within 64 KiB is dropped and never read as the next request', async () => {
    const inner = `GET /artifactory/smuggled HTTP/1.1\r\n${H}\r\n`;
    const padded = inner + 'x'.repeat(2000 - inner.length);
    const outcome = await sendRaw(world.app.port, get('Content-Length: 2000\r\n') + padded + get(''), { answers: 2 });
    assert.deepEqual(
      outcome.answers.map(({ status }) => status),
      [200, 200],
    );
    const inChunks = await sendRaw(
      world.app.port,
      `${get(chunked)}5\r\nhello\r\n0\r\n\r\n${get('Connection: close\r\n')}`,
    );
    assert.deepEqual(new Set(inChunks.answers.map(({ status }) => status)), new Set([200]));
  });

  test('H30: after a valid request, garbage is answered in turn and ends the connection', async () => {
    const outcomes: RawOutcome[] = [];
    for (let i = 0; i < 10; i++) {
      outcomes.push(await sendRaw(world.app.port, `${get('', '/v2/')}GARBAGE\r\n\r\n`));
    }
    for (const { answers, closed } of outcomes) {
      assert.deepEqual(
        answers.map(({ status }) => status),
        [401, 400],
      );
      assert.ok(closed);
    }
  });

  test('H21: a client that asks for a tunnel and resets the connection does no harm', async () => {
    for (let i = 0; i < 50; i++) {
      const connection = await openRaw(world.app.port);
      connection.send(`CONNECT evil.test:443 HTTP/1.1\r\n${H}\r\n`);
      if (i % 2 === 0) await connection.outcome({ answers: 1 });
      connection.send('more bytes');
      connection.socket.resetAndDestroy();
    }
    assert.equal((await world.admin.request('GET', PING)).status, 200);
  });

  test('an answer to pipelined requests comes in their order', async () => {
    const connection = await openRaw(world.app.port);
    connection.send(get('', '/v2/') + get('') + get('', '/nothing') + get(''));
    const { answers } = await connection.outcome({ answers: 4 });
    connection.socket.destroy();
    assert.deepEqual(
      answers.map(({ status }) => status),
      [401, 200, 404, 200],
    );
  });
});
