/** Every refusal and every miss can be explained by its request id: all of it to administrators, their part to callers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SYSTEM } from '../../../src/auth/accounts.ts';
import type { Answer, Caller } from '../../support/test-app.ts';
import { createUser, expectStatus, grant, onEachStorage, sendJson } from './api-world.ts';

interface Explained {
  readonly principal: string;
  readonly status: number;
  readonly message: string;
  readonly address: string;
  readonly steps: readonly string[];
}

function idOf(answer: Answer): string {
  const id = answer.headers['x-request-id'];
  assert.equal(typeof id, 'string');
  return String(id);
}

async function explain(caller: Caller, answer: Answer): Promise<Explained> {
  const path = `/artifactory/api/explain/${idOf(answer)}`;
  return (await expectStatus(caller.request('GET', path), 200)).json() as Explained;
}

onEachStorage('explaining', (world) => {
  test('a missing right names the permission target and its pattern to administrators alone', async () => {
    const { app } = world();
    const eve = await createUser(app, 'eve');
    await grant(app, 'eve-in-a', ['generic-local'], { eve: ['r', 'w'] }, 'a/**');
    const refused = await expectStatus(
      eve.request('PUT', '/artifactory/generic-local/b/x.txt?secret=1', { body: 'x' }),
      403,
    );
    const whole = await explain(app.admin, refused);
    assert.equal(whole.principal, 'eve');
    assert.equal(whole.status, 403);
    assert.equal(whole.address, '/artifactory/generic-local/b/x.txt');
    assert.match(whole.steps.join('\n'), /"eve-in-a" gives deploy, but none of its patterns \("a\/\*\*"\) matches/);
    const own = await explain(eve, refused);
    assert.match(own.message, /may not deploy/);
    assert.deepEqual(own.steps, []);
  });

  test("another caller's refusals stay unknown, and so do ids that never were", async () => {
    const { app, ann } = world();
    const refused = await expectStatus(app.admin.request('GET', '/artifactory/generic-local/none.txt'), 404);
    for (const id of [idOf(refused), 'never-was']) {
      const answer = await expectStatus(ann.request('GET', `/artifactory/api/explain/${id}`), 404);
      assert.match(answer.text, /No refused request/);
    }
    await expectStatus(app.anonymous.request('GET', `/artifactory/api/explain/${idOf(refused)}`), 401);
  });

  test('a miss tells the repository that was asked, in the words of each protocol', async () => {
    const { app } = world();
    const file = await expectStatus(app.admin.request('GET', '/artifactory/generic-local/none.txt'), 404);
    assert.match((await explain(app.admin, file)).steps.join(), /"generic-local" holds no file at "none.txt"/);
    const tag = await expectStatus(app.admin.request('GET', '/v2/docker-local/app/manifests/v9'), 404);
    assert.match((await explain(app.admin, tag)).steps.join(), /"docker-local" holds no version "v9" of "app"/);
    const nowhere = await expectStatus(app.admin.request('GET', '/artifactory/no-such-repo/x'), 404);
    assert.match((await explain(app.admin, nowhere)).steps.join(), /There is no repository "no-such-repo"/);
  });

  test('a repository that is hidden from the caller is told of to administrators only', async () => {
    const { app, ann } = world();
    const hidden = await expectStatus(ann.request('GET', '/artifactory/generic-local/x'), 404);
    assert.match((await explain(app.admin, hidden)).steps.join(), /"ann" may neither read nor deploy/);
    const missing = await expectStatus(ann.request('GET', '/artifactory/no-such-repo/x'), 404);
    const [a, b] = [await explain(ann, hidden), await explain(ann, missing)];
    assert.deepEqual(a.steps, b.steps);
  });

  test('a search that finds nothing tells administrators how many repositories it looked into', async () => {
    const { app, ann } = world();
    const { repositories } = app.core;
    const all = repositories.searchable(SYSTEM).length;
    const latest = '/artifactory/api/search/latestVersion?g=org.none&a=none';
    const missed = await expectStatus(ann.request('GET', latest), 404);
    const { steps } = await explain(app.admin, missed);
    assert.match(steps.join('\n'), new RegExp(`Of ${all} repositories with files 0 are searched; ${all} are left out`));
    assert.doesNotMatch((await explain(ann, missed)).steps.join('\n'), /repositories/);
    const narrowed = await expectStatus(app.admin.request('GET', `${latest}&repos=generic-local`), 404);
    const told = (await explain(app.admin, narrowed)).steps.join('\n');
    assert.match(told, new RegExp(`Of ${all} repositories with files ${all} are searched; 0 are left out`));
    assert.match(told, /names repositories; 1 of those that may be read are among them/);
  });

  test('patterns of the repository are named', async () => {
    const { app } = world();
    const body = { rclass: 'local', packageType: 'generic', excludesPattern: 'private/**' };
    await expectStatus(sendJson(app.admin, 'PUT', '/artifactory/api/repositories/fenced', body), 200);
    const refused = await expectStatus(app.admin.request('PUT', '/artifactory/fenced/private/x', { body: 'x' }), 409);
    assert.match((await explain(app.admin, refused)).steps.join(), /exclude pattern "private\/\*\*"/);
  });

  test('the first of two requests with one id is the one that is kept', async () => {
    const { app, ann } = world();
    const headers = { 'x-request-id': 'chosen-by-a-client' };
    await expectStatus(app.admin.request('GET', '/artifactory/generic-local/first', { headers }), 404);
    const second = await expectStatus(ann.request('GET', '/artifactory/generic-local/second', { headers }), 404);
    assert.match((await explain(app.admin, second)).address, /first$/);
  });

  test('a right can be asked for beforehand', async () => {
    const { app, ann } = world();
    const ask = (caller: Caller, query: string) => caller.request('GET', `/artifactory/api/explain?${query}`);
    const own = await expectStatus(ask(ann, 'path=generic-local/x&action=deploy'), 200);
    const { allowed, steps } = own.json() as { allowed: boolean; steps?: unknown };
    assert.equal(allowed, false);
    assert.equal(steps, undefined);
    await expectStatus(ask(ann, 'path=generic-local/x&user=admin'), 403);
    const asked = await expectStatus(ask(app.admin, 'path=docker-local/x&user=ann'), 200);
    assert.match(asked.text, /No permission target names the repository/);
    const anonymous = await expectStatus(ask(app.admin, 'path=generic-local/x&user=anonymous'), 200);
    assert.match(anonymous.text, /Anonymous access is off/);
    await expectStatus(ask(app.admin, 'path=generic-local/x&action=fly'), 400);
    await expectStatus(ask(app.admin, 'action=read'), 400);
    await expectStatus(ask(app.admin, 'path=generic-local/../x'), 400);
    await expectStatus(ask(app.admin, 'path=generic-local/x&user=nobody-at-all'), 404);
  });
});
