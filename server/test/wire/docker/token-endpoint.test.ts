/** The token endpoint in both of its forms: what it answers, and what it refuses. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { codeOf } from '../../support/oci.ts';
import type { Answer, Caller } from '../../support/test-app.ts';
import { PASSWORD, startWorld, type World } from '../../support/wire-world.ts';

interface TokenAnswer {
  readonly token: string;
  readonly access_token: string;
  readonly expires_in: number;
  readonly issued_at: string;
  readonly scope: string;
  readonly refresh_token?: string;
}

const ENDPOINTS = ['/v2/token', '/artifactory/api/docker/docker-local/v2/token'];

describe('the token endpoint', () => {
  let world: World;
  before(async () => {
    world = await startWorld('sqlite-fs', { env: { ENTREPOT_DOCKER__TOKEN_SECONDS: '300' } });
  });
  after(() => world.stop());

  const get = (caller: Caller, query: Readonly<Record<string, string>> | string, endpoint = '/v2/token') =>
    caller.request('GET', `${endpoint}?${typeof query === 'string' ? query : new URLSearchParams(query)}`);
  const post = (form: Readonly<Record<string, string>> | string, endpoint = '/v2/token') =>
    world.anonymous.request('POST', endpoint, {
      body: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
  const password = { grant_type: 'password', username: 'reader', password: PASSWORD, client_id: 'test' };
  const service = () => `127.0.0.1:${world.app.port}`;
  const readToken = (answer: Answer) => {
    assert.equal(answer.status, 200, answer.text);
    return answer.json() as TokenAnswer;
  };

  for (const endpoint of ENDPOINTS) {
    test(`${endpoint} answers GET and POST alike`, async () => {
      const scope = 'repository:docker-local/app:pull,push';
      const account = { service: service(), scope, account: 'reader', client_id: 'docker' };
      for (const answer of [
        await get(world.as('reader'), account, endpoint),
        await post({ ...password, service: service(), scope, access_type: 'online' }, endpoint),
      ]) {
        const reply = readToken(answer);
        assert.match(String(answer.headers['content-type']), /^application\/json/);
        assert.equal(answer.headers['cache-control'], 'no-store');
        assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0');
        assert.equal(reply.token, reply.access_token);
        assert.equal(reply.expires_in, 300);
        assert.match(reply.issued_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
        assert.ok(Math.abs(Date.parse(reply.issued_at) - Date.now()) < 10_000);
        assert.ok(reply.token.length < 4096);
        assert.equal(reply.scope, 'repository:docker-local/app:pull');
        assert.equal(reply.refresh_token, undefined);
        const headers = { authorization: `Bearer ${reply.token}` };
        assert.equal((await world.anonymous.request('GET', '/v2/', { headers })).status, 200);
      }
    });
  }

  test('a login asks for no scope and gets a token that passes the ping', async () => {
    const { token, scope } = readToken(
      await get(world.as('reader'), {
        service: service(),
        account: 'reader',
        client_id: 'docker',
        offline_token: 'true',
      }),
    );
    assert.equal(scope, '');
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await world.anonymous.request('GET', '/v2/', { headers })).status, 200);
  });

  test('scopes may be repeated or listed, and all of them count', async () => {
    const scopes = [
      'repository:docker-local/a:pull',
      'repository:docker-local/b:pull,push',
      'repository:docker-other/c:delete',
    ];
    const expected =
      'repository:docker-local/a:pull repository:docker-local/b:pull,push repository:docker-other/c:delete';
    const repeated = await get(world.as('owner'), scopes.map((scope) => `scope=${scope}`).join('&'));
    const listed = await get(world.as('owner'), `scope=${encodeURIComponent(scopes.join(' '))}`);
    const plus = await get(world.as('owner'), `scope=${scopes.join('+')}`);
    for (const answer of [repeated, listed, plus]) assert.equal(readToken(answer).scope, expected);
  });

  test('what is granted is what the caller may do of what was asked', async () => {
    const ask = async (caller: Caller, actions: string) =>
      readToken(await get(caller, { scope: `repository:docker-local/app:${actions}` })).scope.replace(/^.*:/, '');
    assert.equal(await ask(world.as('reader'), 'pull,push'), 'pull');
    assert.equal(await ask(world.as('reader'), 'push'), '');
    assert.equal(await ask(world.as('writer'), 'push,pull'), 'push,pull');
    assert.equal(await ask(world.as('writer'), '*'), 'pull,push');
    assert.equal(await ask(world.as('owner'), '*'), 'pull,push,delete');
    assert.equal(await ask(world.as('owner'), 'pull,unknown'), 'pull');
    assert.equal(await ask(world.as('outsider'), '*'), '');
  });

  test('wrong credentials are 401, in a form that tells no account from none', async () => {
    const answers = [
      await get(world.app.as('reader', 'wrong'), {}),
      await get(world.app.as('nobody-here', 'wrong'), {}),
      await post({ ...password, password: 'wrong' }),
      await post({ ...password, username: 'nobody-here' }),
      await post({ grant_type: 'password' }),
      await post({ ...password, password: '' }),
      await post({ ...password, username: 'x'.repeat(300) }),
    ];
    for (const answer of answers) {
      assert.equal(answer.status, 401, answer.text);
      assert.equal(codeOf(answer), 'UNAUTHORIZED');
      assert.equal(answer.text, answers[0]!.text);
    }
  });

  test('without credentials there is no token where anonymous access is off', async () => {
    for (const endpoint of ENDPOINTS) {
      const answer = await get(
        world.anonymous,
        { service: service(), scope: 'repository:docker-local/app:pull' },
        endpoint,
      );
      assert.equal(answer.status, 401);
      assert.match(String(answer.headers['www-authenticate']), /Basic realm=/);
    }
  });

  test('grants that are not offered are refused as OAuth says', async () => {
    for (const [form, error] of [
      [{ grant_type: 'refresh_token', refresh_token: 'x' }, 'invalid_grant'],
      [{ grant_type: 'client_credentials' }, 'unsupported_grant_type'],
      [{ username: 'reader', password: PASSWORD }, 'unsupported_grant_type'],
      ['', 'unsupported_grant_type'],
      ['%%%', 'unsupported_grant_type'],
    ] as const) {
      const answer = await post(form);
      assert.equal(answer.status, 400);
      const body = answer.json() as { error: string; error_description: string };
      assert.equal(body.error, error);
      assert.ok(body.error_description);
    }
  });

  test('a form that is too large is refused before it is read', async () => {
    const answer = await post({ ...password, junk: 'x'.repeat(70_000) });
    assert.equal(answer.status, 413);
  });

  test('a token is issued for the service that was asked, and refused for another', async () => {
    readToken(await get(world.as('reader'), { service: service() }));
    readToken(await get(world.as('reader'), { service: '' }));
    for (const answer of [
      await get(world.as('reader'), { service: 'evil' }),
      await post({ ...password, service: 'evil' }),
    ]) {
      assert.equal(answer.status, 400);
    }
  });

  test('a token of one host is not good at another', async () => {
    const { token } = readToken(await get(world.as('reader'), {}));
    const headers = { authorization: `Bearer ${token}`, host: 'registry.example.com' };
    assert.equal((await world.anonymous.request('GET', '/v2/', { headers })).status, 401);
  });

  test('a token cannot be exchanged for another one', async () => {
    const { token } = readToken(await get(world.as('reader'), {}));
    const headers = { authorization: `Bearer ${token}` };
    const answer = await world.anonymous.request('GET', '/v2/token?scope=repository:docker-local/app:pull', {
      headers,
    });
    assert.ok([401, 403].includes(answer.status));
  });

  test('other methods are refused with those that are offered', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH']) {
      const answer = await world.as('reader').request(method, '/v2/token');
      assert.equal(answer.status, 405);
      assert.equal(codeOf(answer), 'UNSUPPORTED');
      assert.match(String(answer.headers.allow), /GET.*POST/);
    }
  });
});
