/** Who changed what, as an administrator reads it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUser, expectAdminOnly, expectStatus, getJson, onEachStorage, sendJson } from './api-world.ts';

const AUDIT = '/artifactory/api/system/audit';
const ALL = '/artifactory/api/repositories';

interface Page {
  readonly events: readonly {
    readonly type: string;
    readonly principal: string;
    readonly id: number;
    readonly at: string;
  }[];
  readonly next?: number;
}

onEachStorage('the audit trail', (world) => {
  const read = (query = '') => getJson(world().app.admin, `${AUDIT}${query}`) as Promise<Page>;

  test('is for administrators', () => expectAdminOnly(world(), [['GET', AUDIT]]));

  test('tells who changed which setting, newest first, without what happened to artifacts', async () => {
    const { app } = world();
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/seen`, { rclass: 'local', packageType: 'generic' }), 200);
    await expectStatus(app.admin.request('PUT', '/artifactory/seen/a', { body: 'a' }), 201);
    await expectStatus(sendJson(app.admin, 'POST', `${ALL}/seen`, { description: 'now' }), 200);
    await expectStatus(
      sendJson(app.admin, 'PUT', '/artifactory/api/system/readonly/seen', { reason: 'Why not.' }),
      200,
    );
    const { events } = await read();
    const ids = events.map(({ id }) => id);
    assert.deepEqual(
      ids,
      [...ids].sort((one, other) => other - one),
    );
    assert.ok(events.every(({ type }) => !type.startsWith('artifact.')));
    assert.ok(events.every(({ at }) => !Number.isNaN(Date.parse(at))));
    const [switched, updated, created] = (await read('?limit=3')).events as unknown as Record<string, unknown>[];
    assert.deepEqual([switched?.['type'], switched?.['subject']], ['setting.changed', 'read-only']);
    assert.deepEqual(updated?.['changes'], { description: { to: 'now' } });
    assert.deepEqual(
      [created?.['type'], created?.['repo'], created?.['principal']],
      ['repository.created', 'seen', 'admin'],
    );
    assert.deepEqual(
      (await read('?repo=seen')).events.map(({ type }) => type),
      ['repository.updated', 'repository.created'],
    );
  });

  test('is read in pages that meet', async () => {
    const { app } = world();
    for (const name of ['p-one', 'p-two', 'p-three']) await createUser(app, name);
    const whole = (await read()).events.map(({ id }) => id);
    const paged: number[] = [];
    for (let next: number | undefined; ; ) {
      const page = await read(`?limit=2${next === undefined ? '' : `&before=${next}`}`);
      paged.push(...page.events.map(({ id }) => id));
      next = page.next;
      if (next === undefined) break;
    }
    assert.deepEqual(paged, whole);
    for (const query of ['?limit=0', '?limit=x', '?limit=1001', '?before=-1', '?before=1e9']) {
      await expectStatus(app.admin.request('GET', `${AUDIT}${query}`), 400);
    }
  });
});
