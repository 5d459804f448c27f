import assert from 'node:assert/strict';
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../../test/support/eventually.ts';
import { makeMachine } from '../../test/support/fake-machine.ts';

test('a program tells what it says, and nothing when it fails or is not there', async () => {
  await using fake = await makeMachine();
  await fake.program('talks', 'echo "$@"; echo aside >&2');
  await fake.program('fails', 'echo something; exit 3');
  const machine = fake.open();
  assert.equal(await machine.run('talks', ['a b', '$HOME', '; exit 1']), 'a b $HOME ; exit 1\n');
  assert.equal(await machine.run('fails', []), undefined);
  assert.equal(await machine.run('absent', []), undefined);
});

test('programs see what sets package managers, but nothing of the server', async () => {
  await using fake = await makeMachine();
  await fake.program('shows', 'echo "$PIP_INDEX_URL,$npm_config_registry,$ENTREPOT_ADMIN_PASSWORD,$NODE_OPTIONS,$PWD"');
  const env = {
    PIP_INDEX_URL: 'pip',
    npm_config_registry: 'npm',
    ENTREPOT_ADMIN_PASSWORD: 'secret',
    NODE_OPTIONS: '--inspect',
  };
  assert.equal(await fake.open({ env }).run('shows', []), 'pip,npm,,,/\n');
});

test('a program that goes on for ever is given up', async () => {
  await using fake = await makeMachine();
  await fake.program('hangs', 'echo said; exec /bin/sleep 600');
  assert.equal(await fake.open({ limitMs: 500 }).run('hangs', []), undefined);
});

test('whoever ends the server waits for no program, and none stays behind', async () => {
  await using fake = await makeMachine();
  const pids = join(fake.folder, 'pids');
  await fake.program('hangs', `/bin/sleep 600 & echo "$$ $!" > ${pids}; wait`);
  const machine = fake.open({ limitMs: 600_000 });
  const running = machine.run('hangs', []);
  await eventually(async () => assert.match(await readFile(pids, 'utf8'), /^\d+ \d+\n/));
  fake.ending.abort();
  assert.equal(await running, undefined);
  await allEnded(pids);
  assert.equal(await machine.run('hangs', []), undefined, 'none begins afterwards');
});

test('a program that never stops talking is ended', async () => {
  await using fake = await makeMachine();
  await fake.program('floods', 'while :; do echo nonsense; done');
  assert.equal(await fake.open({ limitMs: 600_000 }).run('floods', []), undefined);
});

test('programs, files and folders are found, and missing ones are nothing', async () => {
  await using fake = await makeMachine();
  await fake.program('opt/tool/bin/tool', 'true');
  await fake.link('bin/tool', join(fake.folder, 'opt/tool/bin/tool'));
  await fake.write('bin/text', 'no program');
  const machine = fake.open();
  assert.equal(await machine.locate('tool'), await realpath(join(fake.folder, 'opt/tool/bin/tool')));
  assert.equal(await machine.locate('text'), undefined);
  assert.equal(await machine.locate('absent'), undefined);
  assert.deepEqual(await machine.list(join(fake.folder, 'opt')), ['tool']);
  assert.deepEqual(await machine.list(join(fake.folder, 'absent')), []);
  assert.equal((await machine.read(join(fake.folder, 'bin/text'), 10))?.toString(), 'no program');
  assert.equal(await machine.read(join(fake.folder, 'bin/text'), 9), undefined);
  assert.equal(await machine.read(join(fake.folder, 'bin'), 1e6), undefined);
  assert.equal(await machine.read(join(fake.folder, 'absent'), 10), undefined);
});

async function allEnded(file: string): Promise<void> {
  const pids = (await readFile(file, 'utf8')).trim().split(' ').map(Number);
  assert.equal(pids.length, 2);
  await eventually(async () => {
    for (const pid of pids) assert.ok(!(await isRunning(pid)), `${pid} still runs`);
  });
}

/** One that has ended may wait for somebody to take note of it. */
async function isRunning(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+[ZX]/m.test(await readFile(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
