/** Traces of downloads, the order of members, and why each of them answers or does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageClient, makeImage } from '../../support/oci.ts';
import type { Answer, Caller } from '../../support/test-app.ts';
import {
  createUser,
  expectAdminOnly,
  expectStatus,
  getJson,
  grant,
  onEachStorage,
  sendJson,
} from '../api/api-world.ts';

const API = '/artifactory/api/v1';

interface Step {
  readonly repository: string;
  readonly stage: string;
  readonly decision: string;
  readonly reasons: readonly string[];
}

interface Explained {
  readonly answers?: string;
  readonly steps: readonly Step[];
}

function decisions({ steps }: Explained): string[] {
  return steps.map(({ repository, decision }) => `${repository} ${decision}`);
}

onEachStorage('explanations of virtual repositories', (world) => {
  const make = (key: string, body: Record<string, unknown>): Promise<Answer> =>
    expectStatus(
      sendJson(world().app.admin, 'PUT', `/artifactory/api/repositories/${key}`, { packageType: 'generic', ...body }),
      200,
    );
  const put = (path: string) =>
    expectStatus(world().app.admin.request('PUT', `/artifactory/${path}`, { body: path }), 201);
  const explain = (caller: Caller, query: string) =>
    getJson(caller, `${API}/explain/resolution?${query}`) as Promise<Explained>;

  test('tell the order in which members are asked', async () => {
    const { app, ann } = world();
    await make('one', { rclass: 'local' });
    await make('two', { rclass: 'local' });
    await make('three', { rclass: 'federated' });
    await make('first', { rclass: 'local', priorityResolution: true });
    await make('out', { rclass: 'local', blackedOut: true });
    await make('inner', { rclass: 'virtual', repositories: ['two', 'out', 'first'] });
    await make('all', { rclass: 'virtual', repositories: ['one', 'inner', 'two', 'three'] });
    const order = await getJson(app.admin, `${API}/repositories/all/resolution-order`);
    const local = (repository: string, priority = false) => ({ repository, stage: 'local', priority });
    assert.deepEqual(order, {
      repository: 'all',
      members: [local('first', true), local('one'), local('two'), local('three')],
      blackedOut: ['out'],
    });
    await expectStatus(ann.request('GET', `${API}/repositories/all/resolution-order`), 404);
    await expectStatus(app.admin.request('GET', `${API}/repositories/one/resolution-order`), 404);
    await expectStatus(app.anonymous.request('GET', `${API}/repositories/all/resolution-order`), 401);
    const bea = await createUser(app, 'bea');
    await grant(app, 'bea-two', ['two'], { bea: ['r'] });
    assert.deepEqual(await getJson(bea, `${API}/repositories/all/resolution-order`), {
      repository: 'all',
      members: [local('two')],
      blackedOut: [],
    });
  });

  test('tell who answers, and why others do not, and nothing of who the caller may not know', async () => {
    const { app } = world();
    await put('two/a/x.txt');
    await put('one/b/y.txt');
    const found = await explain(app.admin, 'repo=all&path=a/x.txt');
    assert.equal(found.answers, 'two');
    assert.deepEqual(decisions(found), [
      'first has it not',
      'one has it not',
      'two answers',
      'three not reached',
      'out skipped',
    ]);
    const bea = app.as('bea', 'blue-teapot-17');
    assert.deepEqual(decisions(await explain(bea, 'repo=all&path=a/x.txt')), ['two answers']);
    assert.deepEqual(decisions(await explain(bea, 'repo=all&path=b/y.txt')), ['two has it not']);
    const forBea = await explain(app.admin, 'repo=all&path=b/y.txt&user=bea');
    assert.equal(forBea.answers, undefined);
    assert.deepEqual(decisions(forBea), [
      'first skipped',
      'one skipped',
      'two has it not',
      'three skipped',
      'out skipped',
    ]);
    await expectStatus(bea.request('GET', `${API}/explain/resolution?repo=all&path=a&user=admin`), 403);
    await expectStatus(bea.request('GET', `${API}/explain/resolution?repo=one&path=a`), 404);
    for (const query of [
      '',
      'repo=all',
      'repo=all&package=x',
      'repo=all&package=x&digest=nonsense',
      'repo=all&path=../x',
    ]) {
      await expectStatus(app.admin.request('GET', `${API}/explain/resolution?${query}`), 400);
    }
    assert.deepEqual(decisions(await explain(app.admin, 'repo=two&path=a/x.txt')), ['two answers']);
  });

  test('name patterns, and packages of members with priority', async () => {
    const { app } = world();
    await make('d-own', { rclass: 'local', packageType: 'docker', priorityResolution: true });
    await make('d-other', { rclass: 'local', packageType: 'docker', excludesPattern: 'hidden/**' });
    await make('d-all', { rclass: 'virtual', packageType: 'docker', repositories: ['d-other', 'd-own'] });
    await new ImageClient(app.admin, '/v2/d-own/app').push('1', makeImage());
    await new ImageClient(app.admin, '/v2/d-other/app').push('2', makeImage());
    const missing = await explain(app.admin, 'repo=d-all&package=app&version=2');
    assert.deepEqual(decisions(missing), ['d-own has it not', 'd-other not reached']);
    assert.match(missing.steps[1]!.reasons[0]!, /priority/);
    await expectStatus(app.admin.request('GET', '/v2/d-all/app/manifests/2'), 404);
    await expectStatus(app.admin.request('GET', '/v2/d-all/app/manifests/1'), 200);
    const tags = (await app.admin.request('GET', '/v2/d-all/app/tags/list')).json() as { tags: string[] };
    assert.deepEqual(tags.tags, ['1']);
    const hidden = await explain(app.admin, 'repo=d-all&path=hidden/1/manifest.json');
    assert.match(hidden.steps[1]!.reasons[0]!, /include\/exclude pattern/);
  });

  test('trace a download instead of giving it', async () => {
    const { app } = world();
    const answer = await app.admin.request('GET', '/artifactory/all/a/x.txt?trace', {
      headers: { 'x-request-id': 'trace-me-1' },
    });
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers['content-type']), /^text\/plain/);
    const lines = answer.text.trimEnd().split('\n');
    assert.equal(lines[0], 'Request ID: trace-me-1');
    assert.deepEqual(lines.slice(1, 4), ['Repo Path ID: all:a/x.txt', 'Method Name: GET', 'User: admin']);
    assert.match(answer.text, /\nSteps:\n\d{4}-.* "two" has it\.\n/);
    assert.match(lines.at(-1)!, /The answer is "two\/a\/x\.txt" of 11 bytes\.$/);
    const bea = app.as('bea', 'blue-teapot-17');
    const missing = await bea.request('GET', '/artifactory/all/b/y.txt?trace');
    assert.match(missing.text, /The answer has the status 404/);
    assert.equal(/"one"|"three"/.test(missing.text), false, missing.text);
    const local = await app.admin.request('GET', '/artifactory/one/b/y.txt?trace');
    assert.match(local.text, /The answer is "one\/b\/y\.txt"/);
    await expectStatus(app.anonymous.request('GET', '/artifactory/all/a/x.txt?trace'), 401);
  });

  test('report names that are local and remote to administrators only', async () => {
    const { app } = world();
    await expectStatus(app.admin.request('GET', '/artifactory/repo/a/x.txt'), 404);
    assert.deepEqual(await getJson(app.admin, `${API}/shadowing/all`), { repository: 'all', asked: [], cached: [] });
    await expectStatus(app.admin.request('GET', `${API}/shadowing/one`), 404);
    await expectStatus(app.admin.request('GET', `${API}/shadowing/all?limit=0`), 400);
    await expectAdminOnly(world(), [['GET', `${API}/shadowing/all`]]);
  });
});

onEachStorage(
  'the global repository',
  (world) => {
    test('stands for all that its caller may read, takes nothing, and is in no list', async () => {
      const { app } = world();
      const make = (key: string, body: object) =>
        expectStatus(sendJson(app.admin, 'PUT', `/artifactory/api/repositories/${key}`, body), 200);
      await make('e-one', { rclass: 'local', packageType: 'generic' });
      await make('e-two', { rclass: 'local', packageType: 'maven' });
      for (const key of ['e-one', 'e-two']) {
        await expectStatus(app.admin.request('PUT', `/artifactory/${key}/in/${key}.txt`, { body: key }), 201);
        assert.equal((await app.admin.request('GET', `/artifactory/repo/in/${key}.txt`)).text, key);
      }
      const eve = await createUser(app, 'eve');
      await grant(app, 'eve-two', ['e-two'], { eve: ['r'] });
      assert.equal((await eve.request('GET', '/artifactory/repo/in/e-two.txt')).text, 'e-two');
      await expectStatus(eve.request('GET', '/artifactory/repo/in/e-one.txt'), 404);
      await expectStatus(app.admin.request('PUT', '/artifactory/repo/x.txt', { body: 'x' }), 405);
      const listed = (await getJson(app.admin, '/artifactory/api/repositories')) as { key: string }[];
      assert.equal(
        listed.some(({ key }) => key === 'repo'),
        false,
      );
    });
  },
  { ENTREPOT_REPOSITORIES__GLOBAL_REPO: 'true' },
);
