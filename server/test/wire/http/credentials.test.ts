/** Passwords and user names that are not what they should be: rows A01 to A10 of the catalogue of bad inputs. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createToken } from '../../../src/auth/account-tokens.ts';
import { createUser, SYSTEM } from '../../../src/auth/accounts.ts';
import { type Attack, describeRows, type Row, requireHarmless } from '../../support/hostile.ts';
import { sendRaw } from '../../support/raw-http.ts';
import type { Answer } from '../../support/test-app.ts';
import { PASSWORD, startWorld, type World } from '../../support/wire-world.ts';

const LONG_PASSWORD = 'correct-horse-battery-staple-'.repeat(3);
/** Addresses of every plane: the registry's, its token endpoint, a file, and the REST API. */
const PLACES = ['/v2/', '/artifactory/generic-local/none'];
let readerToken = '';

const basic = (text: string | Buffer) => `Basic ${Buffer.from(text).toString('base64')}`;

/** A GET with each of the headers at every place. */
function tries(world: World, headers: readonly Readonly<Record<string, string>>[]): readonly Attack[] {
  return headers.flatMap((one) =>
    PLACES.map((path) => ({ method: 'GET', path, by: world.anonymous, options: { headers: one } })),
  );
}

const authorizations = (values: readonly string[]) => (world: World) =>
  tries(
    world,
    values.map((authorization) => ({ authorization })),
  );

const ROWS: readonly Row[] = [
  {
    id: 'A01',
    name: 'Basic credentials that are none',
    attacks: authorizations([
      'Basic',
      'Basic ',
      'Basic !!!',
      'Basic YWRtaW4',
      'Basic YWRt aW46',
      basic('admin'),
      basic('ad\0min:x'),
      basic(`admin:${PASSWORD}\0`),
      basic(Buffer.from([0xff, 0x3a, 0xff])),
      basic(`${'x'.repeat(8000)}:y`),
      basic(':'),
      basic(':x'),
      basic('admin:'),
    ]),
    status: [401],
    shape: 'any',
  },
  {
    id: 'A01',
    name: 'credentials of 64 kB',
    attacks: authorizations([basic(`admin:${'x'.repeat(48_000)}`)]),
    status: [431, 401],
    shape: 'any',
  },
  {
    id: 'A01',
    name: 'an empty name with an empty password is no credential, so nothing is open to it',
    attacks: authorizations(['Basic Og==', 'basic Og==']),
    status: [401],
    shape: 'any',
    check: (_world, answers) => {
      for (const { headers } of answers) assert.doesNotMatch(String(headers['www-authenticate']), /invalid_token/);
    },
  },
  {
    id: 'A02',
    name: 'two credentials joined in one header',
    attacks: (world) =>
      tries(world, [
        { authorization: `${world.admin.authorization}, Bearer x` },
        { authorization: `Bearer x, ${world.admin.authorization}` },
        { authorization: `${world.admin.authorization}, ${world.admin.authorization}` },
      ]),
    status: [401, 400],
    shape: 'any',
  },
  {
    id: 'A03',
    name: 'schemes nobody understands',
    attacks: authorizations([
      'Token abc',
      'Digest username="admin"',
      'Negotiate abc',
      'NTLM abc',
      'abc',
      `Basicc ${basic('admin:x')}`,
    ]),
    status: [401],
    shape: 'any',
  },
  {
    id: 'A03',
    name: 'schemes in any case',
    attacks: (world) =>
      ['basic', 'BASIC', 'bAsIc'].map((scheme) => ({
        method: 'GET',
        path: '/v2/',
        by: world.anonymous,
        options: { headers: { authorization: world.admin.authorization!.replace('Basic', scheme) } },
      })),
    status: [200],
    shape: 'oci',
  },
  {
    id: 'A03',
    name: 'a token with its scheme in any case',
    attacks: (world) =>
      ['bearer', 'BEARER', 'Bearer '].map((scheme) => ({
        method: 'GET',
        path: '/v2/',
        by: world.anonymous,
        options: { headers: { authorization: `${scheme} ${readerToken}` } },
      })),
    status: [200],
    shape: 'oci',
  },
  {
    id: 'A04',
    name: 'credentials of two different users',
    attacks: (world) => {
      const authorization = world.admin.authorization!;
      return tries(world, [
        { authorization, 'x-jfrog-art-api': readerToken },
        { authorization, 'x-api-key': readerToken },
        { authorization, 'x-jfrog-art-api': 'nonsense' },
        { 'x-jfrog-art-api': readerToken, 'x-api-key': 'another' },
      ]);
    },
    status: [401],
    shape: 'any',
  },
  {
    id: 'A05',
    name: 'passwords that are too long, and long ones that differ only at their end',
    attacks: authorizations([
      basic(`admin:${'x'.repeat(1025)}`),
      basic(`lengthy:${LONG_PASSWORD}x`),
      basic(`lengthy:${LONG_PASSWORD.slice(0, 72)}`),
      basic(`lengthy:${LONG_PASSWORD.slice(0, -1)}z`),
    ]),
    status: [401],
    shape: 'any',
  },
  {
    id: 'A06',
    name: 'names that look like a user',
    attacks: authorizations(
      [
        'reader\0',
        'reader ',
        ' reader',
        're\u0430der',
        'reader\u200d',
        '\uff52eader',
        'x'.repeat(300),
        'reader/',
        'READER\t',
        'reader@',
      ].map((name) => basic(`${name}:${PASSWORD}`)),
    ),
    status: [401],
    shape: 'any',
  },
  {
    id: 'A06',
    name: 'names in any case',
    attacks: (world) =>
      ['Reader', 'READER', 'reader'].map((name) => ({ method: 'GET', path: '/v2/', by: world.app.as(name, PASSWORD) })),
    status: [200],
    shape: 'oci',
  },
];

async function prepare(core: Parameters<NonNullable<Parameters<typeof startWorld>[1]>['prepare'] & object>[0]) {
  await createUser(core.accounts, { name: 'lengthy', password: LONG_PASSWORD }, SYSTEM);
  const made = await createToken(core.accounts, { userName: 'reader' }, SYSTEM);
  readerToken = made.accessToken!;
}

describeRows('credentials', 'sqlite-fs', ROWS, { prepare });

describe('logins', () => {
  let world: World;
  before(async () => {
    world = await startWorld('sqlite-fs');
  });
  after(() => world.stop());

  test('A02: two Authorization headers are refused, equal or not', async () => {
    const line = `Authorization: ${world.admin.authorization}\r\n`;
    for (const second of [line, 'Authorization: Bearer x\r\n', 'authorization: Basic Og==\r\n']) {
      const request = `GET /v2/ HTTP/1.1\r\nHost: localhost\r\n${line}${second}\r\n`;
      const { answers } = await sendRaw(world.app.port, request, { answers: 1 });
      assert.ok([400, 401].includes(answers[0]!.status), String(answers[0]!.status));
      requireHarmless(answers[0]!, { shape: 'any', method: 'GET', what: 'two headers' });
    }
  });

  test('A09: an unknown user and a wrong password cannot be told apart by answer or time', async () => {
    const ask = async (name: string, i: number): Promise<{ answer: Answer; tookMs: number }> => {
      const sentAt = performance.now();
      const answer = await world.app.as(name, `wrong-${i}`).request('GET', '/v2/');
      return { answer, tookMs: performance.now() - sentAt };
    };
    const known: number[] = [];
    const unknown: number[] = [];
    for (let i = 0; i < 9; i++) {
      const [one, other] = [await ask('reader', i), await ask('nobody-here', i)];
      known.push(one.tookMs);
      unknown.push(other.tookMs);
      assert.equal(one.answer.status, 401);
      assert.equal(other.answer.status, 401);
      assert.equal(one.answer.text, other.answer.text);
      assert.deepEqual(one.answer.headers['www-authenticate'], other.answer.headers['www-authenticate']);
    }
    const ratio = median(unknown) / median(known);
    assert.ok(ratio > 0.4 && ratio < 2.5, `the ratio of the times is ${ratio.toFixed(2)}`);
  });
});

describe('guessing passwords', () => {
  const env = { ENTREPOT_HTTP__TRUSTED_PROXIES: '127.0.0.1' };
  let world: World;
  before(async () => {
    world = await startWorld('sqlite-fs', { env });
    // The limits as they are by default, and nothing remembered of who logged in.
    await world.app.restart(env);
  });
  after(() => world.stop());

  const login = (name: string, password: string, from: string) =>
    world.app.as(name, password).request('GET', '/v2/', { headers: { 'x-forwarded-for': from } });

  test('A10: an address that fails too often has to wait, whatever else it says', async () => {
    const statuses: number[] = [];
    let last: Answer | undefined;
    for (let i = 0; i < 14; i++) {
      last = await login(`somebody-${i}`, 'wrong', `10.9.9.9, 203.0.113.${i}`);
      statuses.push(last.status);
    }
    assert.ok(statuses.slice(0, 5).every((status) => status === 401));
    assert.equal(statuses.at(-1), 429);
    assert.ok(Number(last?.headers['retry-after']) > 0);
    assert.equal((JSON.parse(last!.text) as { errors: { code: string }[] }).errors[0]?.code, 'TOOMANYREQUESTS');
  });

  test('H38: an address that no trusted proxy tells of is not believed', async () => {
    await world.app.restart({});
    const statuses: number[] = [];
    for (let i = 0; i < 14; i++) statuses.push((await login(`anybody-${i}`, 'wrong', `198.18.${i}.1`)).status);
    assert.equal(statuses.at(-1), 429);
    await world.app.restart(env);
  });

  test('A10: an account that is guessed at from everywhere is still open to its owner, where it was before', async () => {
    assert.equal((await login('owner', PASSWORD, '198.51.100.7')).status, 200);
    // Whatever the process remembers is gone; what it wrote down is not.
    await world.app.restart(env);
    const statuses: number[] = [];
    for (let i = 0; i < 101; i++) statuses.push((await login('owner', `guess-${i}`, `203.${i}.1.1`)).status);
    assert.ok(statuses.includes(429), 'guesses were never slowed down');
    assert.ok([401, 429].includes((await login('owner', PASSWORD, '192.0.2.1')).status), 'a stranger got in');
    assert.equal((await login('owner', PASSWORD, '198.51.100.7')).status, 200);
  });
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
