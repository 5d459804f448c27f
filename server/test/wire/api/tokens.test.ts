/** Access tokens through the REST API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../../support/test-app.ts';
import { createUser, expectAdminOnly, expectStatus, getJson, onEachStorage, PASSWORD, sendJson } from './api-world.ts';

const ALL = '/access/api/v1/tokens';
const LEGACY = '/artifactory/api/security/token';

interface Created {
  readonly token_id: string;
  readonly access_token: string;
  readonly reference_token?: string;
  readonly expires_in?: number;
  readonly scope: string;
}

onEachStorage('tokens', (world) => {
  async function create(caller: Caller, body: object = {}): Promise<Created> {
    return (await expectStatus(sendJson(caller, 'POST', ALL, body), 200)).json() as Created;
  }
  async function whoIs(token: string): Promise<number> {
    const headers = { authorization: `Bearer ${token}` };
    return (await world().app.anonymous.request('GET', `${ALL}/me`, { headers })).status;
  }

  test('are made for oneself, in both forms, and are good for as long as they say', async () => {
    const { ann } = world();
    const created = await create(ann, { include_reference_token: true, expires_in: 600, description: 'ci' });
    assert.equal(created.expires_in, 600);
    assert.equal(created.scope, 'applied-permissions/user');
    assert.equal(await whoIs(created.access_token), 200);
    assert.equal(await whoIs(created.reference_token ?? ''), 200);
    const found = (await getJson(ann, `${ALL}/${created.token_id}`)) as Record<string, unknown>;
    assert.equal(found['description'], 'ci');
    assert.match(String(found['subject']), /\/users\/ann$/);
    assert.equal(Number(found['expiry']) - Number(found['issued_at']), 600);
  });

  test('are made, shown and revoked below the address of artifacts as well', async () => {
    const { app, ann } = world();
    const below = `/artifactory${ALL}`;
    const created = (await expectStatus(sendJson(ann, 'POST', below, {}), 200)).json() as Created;
    const found = (await getJson(ann, `${below}/${created.token_id}`)) as Record<string, unknown>;
    assert.match(String(found['subject']), /\/users\/ann$/);
    const refused = await app.anonymous.request('GET', below);
    assert.equal(refused.status, 401);
    assert.deepEqual(refused.json(), (await app.anonymous.request('GET', ALL)).json());
    await expectStatus(ann.request('DELETE', `${below}/${created.token_id}`), 200);
    assert.equal(await whoIs(created.access_token), 401);
    // Only what the identity service has is taken from a repository that may have this name.
    assert.equal((await app.admin.request('GET', '/artifactory/access/api/other.txt')).status, 404);
  });

  test('are made from a form as well', async () => {
    const answer = await world().ann.request('POST', ALL, {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=client_credentials&expires_in=60&include_reference_token=true',
    });
    assert.equal(answer.status, 200, answer.text);
    assert.equal((answer.json() as Created).expires_in, 60);
  });

  test('are listed to their owners, and all of them to administrators', async () => {
    const { app, ann } = world();
    const lisa = await createUser(app, 'lisa');
    const hers = await create(lisa);
    const anns = await create(ann);
    const ids = async (caller: Caller, query = '') =>
      ((await getJson(caller, `${ALL}${query}`)) as { tokens: { token_id: string }[] }).tokens.map(
        (token) => token.token_id,
      );
    assert.deepEqual(await ids(lisa), [hers.token_id]);
    assert.deepEqual(await ids(lisa, '?username=ann'), []);
    const all = await ids(app.admin);
    assert.ok(all.includes(hers.token_id) && all.includes(anns.token_id));
    assert.deepEqual(await ids(app.admin, '?username=lisa'), [hers.token_id]);
    await expectStatus(lisa.request('GET', `${ALL}/${anns.token_id}`), 404);
    await expectStatus(app.anonymous.request('GET', ALL), 401);
  });

  test('are refused once they are revoked, by their owner or an administrator only', async () => {
    const { app, ann } = world();
    const mona = await createUser(app, 'mona');
    const { token_id: id, access_token: token } = await create(ann);
    await expectStatus(mona.request('DELETE', `${ALL}/${id}`), 404);
    assert.equal(await whoIs(token), 200);
    await expectStatus(ann.request('DELETE', `${ALL}/${id}`), 200);
    assert.equal(await whoIs(token), 401);
    await expectStatus(ann.request('DELETE', `${ALL}/${id}`), 404);
    const other = await create(ann);
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/revoke`, { token: other.access_token }), 200);
    assert.equal(await whoIs(other.access_token), 401);
  });

  test('cannot be made by a user for another, for ever, or with the rights of an administrator', async () => {
    const { app, ann } = world();
    for (const body of [{ username: 'admin' }, { expires_in: 0 }, { scope: 'applied-permissions/admin' }]) {
      await expectStatus(sendJson(ann, 'POST', ALL, body), 403);
    }
    const forever = await create(app.admin, { username: 'ann', expires_in: 0 });
    assert.equal('expires_in' in forever, false);
    await expectStatus(sendJson(app.admin, 'POST', ALL, { username: 'ann', scope: 'applied-permissions/admin' }), 403);
    await expectStatus(sendJson(ann, 'POST', ALL, { scope: 'everything:*' }), 400);
    await expectStatus(sendJson(ann, 'POST', ALL, { grant_type: 'password' }), 400);
    await expectStatus(app.anonymous.request('POST', ALL), 401);
  });

  test('of narrower scope do no more than that, and administer nothing', async () => {
    const { app } = world();
    const { access_token: token } = await create(app.admin, { scope: 'artifact:generic-local/open/**:r' });
    const headers = { authorization: `Bearer ${token}` };
    await expectStatus(app.admin.request('PUT', '/artifactory/generic-local/open/a', { body: 'a' }), 201);
    await expectStatus(app.admin.request('PUT', '/artifactory/generic-local/shut/a', { body: 'a' }), 201);
    const status = async (path: string) => (await app.anonymous.request('GET', path, { headers })).status;
    assert.equal(await status('/artifactory/generic-local/open/a'), 200);
    assert.equal(await status('/artifactory/generic-local/shut/a'), 404);
    assert.equal(await status('/artifactory/api/security/users'), 403);
    assert.equal(await status('/artifactory/api/storage/generic-local/shut/a'), 404);
    const wider = await app.anonymous.request('POST', ALL, {
      headers: { ...headers, 'content-type': 'application/json' },
      body: '{"scope":"artifact:*:r,w"}',
    });
    assert.equal(wider.status, 403);
  });

  test('are made and revoked in the older way', async () => {
    const { ann } = world();
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await ann.request('POST', LEGACY, {
      headers: form,
      body: 'username=ann&scope=member-of-groups:*&expires_in=300',
    });
    assert.equal(answer.status, 200, answer.text);
    const created = answer.json() as Created & { token_type: string };
    assert.deepEqual(Object.keys(created).sort(), ['access_token', 'expires_in', 'scope', 'token_type']);
    assert.equal(await whoIs(created.access_token), 200);
    const refused = await ann.request('POST', LEGACY, { headers: form, body: 'username=admin' });
    assert.equal(refused.status, 403);
    assert.equal(typeof (refused.json() as { error_description: string }).error_description, 'string');
    const body = `token=${created.access_token}`;
    assert.equal((await ann.request('POST', `${LEGACY}/revoke`, { headers: form, body })).text, 'Token revoked');
    assert.equal((await ann.request('POST', `${LEGACY}/revoke`, { headers: form, body })).text, 'Token not found');
    assert.equal(await whoIs(created.access_token), 401);
  });

  test('are listed to administrators in the older way', async () => {
    const { ann, app } = world();
    const { token_id: id } = await create(ann, { expires_in: 600, description: 'of no concern there' });
    const { tokens } = (await getJson(app.admin, LEGACY)) as { tokens: Record<string, unknown>[] };
    const found = tokens.find((token) => token['token_id'] === id) ?? {};
    const names = ['expiry', 'issued_at', 'issuer', 'refreshable', 'subject', 'token_id'];
    assert.deepEqual(Object.keys(found).sort(), names);
    assert.match(String(found['subject']), /\/users\/ann$/);
    await expectAdminOnly(world(), [['GET', LEGACY]]);
  });

  test('work as a password, and end with the account', async () => {
    const { app } = world();
    const nils = await createUser(app, 'nils');
    const { access_token: token } = await create(nils);
    assert.equal((await app.as('nils', token).request('GET', `${ALL}/me`)).status, 200);
    assert.equal((await app.as('nils', PASSWORD).request('GET', `${ALL}/me`)).status, 404);
    await expectStatus(app.admin.request('DELETE', '/artifactory/api/security/users/nils'), 200);
    assert.equal(await whoIs(token), 401);
  });
});
