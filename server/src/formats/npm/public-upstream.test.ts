import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeMachine } from '../../../test/support/fake-machine.ts';
import { openMachine } from '../../config/machine.ts';
import { publicUpstream } from './public-upstream.ts';

/** An npm that says what it was asked, as the address. */
const ECHOING = 'console.log("https://npm.example/" + process.argv.slice(2, 5).join("-") + "/")';

test('npm beside the running Node says its registry', async () => {
  await using fake = await makeMachine();
  await fake.write('node/lib/node_modules/npm/bin/npm-cli.js', ECHOING);
  await fake.program('npm', 'echo https://other.example/');
  assert.deepEqual(await publicUpstream.find?.(fake.open()), { url: 'https://npm.example/config-get-registry' });
});

test('else the npm of the search path, run by the running Node', async () => {
  await using fake = await makeMachine();
  // The search path has no Node, so it could not be run as it is.
  await fake.program('lib/npm-cli.js', '');
  await fake.write('lib/npm-cli.js', `#!/usr/bin/env node\n${ECHOING}`);
  await fake.link('bin/npm', join(fake.folder, 'lib/npm-cli.js'));
  assert.deepEqual(await publicUpstream.find?.(fake.open()), { url: 'https://npm.example/config-get-registry' });
});

test('else whatever program has the name', async () => {
  await using fake = await makeMachine();
  await fake.write('node/lib/node_modules/npm/bin/npm-cli.js', 'process.exit(1)');
  await fake.program('npm', 'echo warning about something; echo https://user:secret@npm.example/a/?b#c');
  assert.deepEqual(await publicUpstream.find?.(fake.open()), { url: 'https://npm.example/a' });
});

test('an npm that is not there, says nonsense or hangs tells nothing', async () => {
  await using fake = await makeMachine();
  assert.equal(await publicUpstream.find?.(fake.open()), undefined);
  for (const script of ['echo undefined', 'echo file:///etc/passwd', 'echo https://', 'exit 0', '/bin/sleep 600']) {
    await fake.program('npm', script);
    assert.equal(await publicUpstream.find?.(fake.open({ limitMs: 1500 })), undefined, script);
  }
});

test('the npm of this machine says what its settings say, and without any the registry it has built in', async () => {
  await using fake = await makeMachine();
  const env = { PATH: process.env['PATH'], HOME: join(fake.folder, 'home') };
  const machine = openMachine({ env, signal: fake.ending.signal, limitMs: 60_000 });
  const builtIn = await publicUpstream.find?.(machine);
  assert.match(builtIn?.url ?? '', /^https:\/\/[^/]+/);
  await fake.write('home/.npmrc', 'registry=https://npm.example/of/us/\n');
  assert.deepEqual(await publicUpstream.find?.(machine), { url: 'https://npm.example/of/us' });
  const set = openMachine({ env: { ...env, npm_config_registry: 'https://set.example' }, signal: fake.ending.signal });
  assert.deepEqual(await publicUpstream.find?.(set), { url: 'https://set.example' });
});
