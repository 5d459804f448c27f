import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Database } from '../db/database.ts';
import { openSqlite } from '../db/dialects/sqlite.ts';
import { migrate } from '../db/migrate.ts';
import { type Refusal, RefusalLog } from './refusal-log.ts';

describe('refusal log', () => {
  let folder: string;
  let database: Database;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'refusals-'));
    database = await openSqlite(join(folder, 'test.db'));
    await migrate(database);
  });
  after(async () => {
    await database.close();
    await rm(folder, { recursive: true });
  });

  const refusal = (requestId: string, at = 0): Refusal => ({
    requestId,
    at,
    principal: 'ann',
    method: 'GET',
    address: '/x',
    repo: undefined,
    status: 404,
    message: 'no',
    steps: [{ text: 'why', forCaller: true }],
  });

  it('finds what waits and what was written alike', async () => {
    const log = new RefusalLog({ database });
    log.add(refusal('a'));
    assert.deepEqual(await log.find('a'), refusal('a'));
    await log.flush();
    assert.deepEqual(await new RefusalLog({ database }).find('a'), refusal('a'));
  });

  it('keeps a burst, then so many a second, and counts the others', async () => {
    let now = 1000;
    const log = new RefusalLog({ database }, { clock: () => now });
    for (let i = 0; i < 700; i++) log.add(refusal(`burst-${i}`));
    assert.equal(log.dropped, 200);
    now += 1000;
    for (let i = 0; i < 60; i++) log.add(refusal(`later-${i}`));
    assert.equal(log.dropped, 210);
  });

  it('forgets after a week', async () => {
    let now = 10 * 24 * 60 * 60_000;
    const log = new RefusalLog({ database }, { clock: () => now });
    for (let i = 0; i < 300; i++) log.add(refusal(`old-${i}`, now));
    await log.flush();
    await log.purge();
    assert.ok(await log.find('old-299'));
    now += 8 * 24 * 60 * 60_000;
    await log.purge();
    assert.equal(await log.find('old-299'), undefined);
  });
});
