import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sql } from 'kysely';
import { openSqlite } from './sqlite.ts';

const MB = 1024 * 1024;

test('a long log is moved into the file, also after the thread that does it had nothing to do', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-sqlite-'));
  const file = join(folder, 'metadata.db');
  const database = await openSqlite(file);
  t.after(async () => {
    await database.close();
    await rm(folder, { recursive: true });
  });
  await database.transaction((tx) => sql`create table filler (bytes blob)`.execute(tx));
  const write = () => database.transaction((tx) => sql`insert into filler values (zeroblob(${10 * MB}))`.execute(tx));
  t.mock.timers.enable({ apis: ['setTimeout'] });
  for (const round of [1, 2]) {
    await write();
    await database.dialect.maintain?.();
    assert.ok((await stat(file)).size > round * 10 * MB, `round ${round}`);
    t.mock.timers.tick(60_000);
  }
});
