/** Who may work on a data folder at the same time. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { lockDataFolder } from '../../../src/cli/server-lock.ts';
import { ended } from '../../support/child-guard.ts';
import { Installation, onEachDatabase } from './installation.ts';

describe('the lock of a data folder', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'entrepot-lock-'));
  });
  after(() => rm(folder, { recursive: true }));

  test('is held by one, and leaves nothing behind', async () => {
    const lock = await lockDataFolder(folder, 'server');
    await assert.rejects(lockDataFolder(folder, 'gc'), /in use by another process \(server, process \d+\)/);
    await lock.release();
    await (await lockDataFolder(folder, 'gc')).release();
    assert.deepEqual(await readdir(folder), []);
  });

  test('is given to one of many who come at once', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => lockDataFolder(folder, 'server')));
    const locks = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    assert.equal(locks.length, 1);
    await locks[0]?.release();
  });

  test('is taken over from a process that is gone, or whose number another has now', async () => {
    const child = spawn('true');
    const pid = child.pid ?? 0;
    await ended(child);
    const held = JSON.parse(await heldText()) as Record<string, unknown>;
    for (const change of [{ pid }, { started: '1' }]) {
      await writeFile(join(folder, 'server.lock'), JSON.stringify({ ...held, ...change }));
      await (await lockDataFolder(folder, 'server')).release();
    }
    await writeFile(join(folder, 'server.lock'), 'not a lock');
    await (await lockDataFolder(folder, 'server')).release();
  });

  test('of another container is taken over only when it is not touched any more', async () => {
    const foreign = { ...(JSON.parse(await heldText()) as object), world: 'elsewhere' };
    const file = join(folder, 'server.lock');
    await writeFile(file, JSON.stringify(foreign));
    const touching = setInterval(() => void utimes(file, new Date(), new Date()), 20);
    await assert.rejects(lockDataFolder(folder, 'server', { silentMs: 500 }), /in use/);
    clearInterval(touching);
    await (await lockDataFolder(folder, 'server', { silentMs: 300 })).release();
  });

  async function heldText(): Promise<string> {
    const lock = await lockDataFolder(folder, 'server');
    const text = await readFile(join(folder, 'server.lock'), 'utf8');
    await lock.release();
    return text;
  }
});

test('a second server over one SQLite folder, and commands that need it alone, are refused while one runs', async () => {
  const here = await Installation.make('sqlite');
  try {
    assert.match(await here.fail(['user', 'list']), /There is no database in/);
    const server = await here.serve();
    for (const args of [['serve'], ['gc'], ['check', '--remove-orphans']]) {
      assert.match(await here.fail(args), /in use by another process \(server/);
    }
    await here.succeed(['check']);
    await server.stop('SIGKILL');
    await here.succeed(['gc']);
    const next = await here.serve();
    await next.stop();
    assert.deepEqual(
      (await readdir(here.dataDir)).filter((name) => name.startsWith('server.lock')),
      [],
    );
  } finally {
    await here.remove();
  }
});

onEachDatabase('migrate', (installation) => {
  test('makes the database, and has nothing to do the second time', async () => {
    assert.match(await installation().succeed(['migrate']), /^Applied 0001-foundation, 0002-inventory, 0003-search/);
    assert.equal(await installation().succeed(['migrate']), 'The database is up to date.\n');
  });
});
