import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeMachine } from '../../../test/support/fake-machine.ts';
import { publicUpstream } from './public-upstream.ts';

/** A Python whose pip has these settings, and knows this by itself. */
function python(settings: string, builtIn = ''): string {
  return `case "$1" in
-m) [ "$*" = "-m pip config list" ] || exit 2; cat <<'SETTINGS'\n${settings}\nSETTINGS\n;;
-c) cat <<'BUILT'\n${builtIn}\nBUILT\n;;
esac`.replaceAll('cat ', '/bin/cat ');
}
const BUILT_IN = 'https://index.example/simple\nhttps://files.example';

test('pip has an index and a host of files built in', async () => {
  await using fake = await makeMachine();
  await fake.program('python3', python("global.cert='/etc/ca.pem'", BUILT_IN));
  assert.deepEqual(await publicUpstream.find?.(fake.open()), {
    url: 'https://files.example',
    pyPIRegistryUrl: 'https://index.example',
    pyPIRepositorySuffix: 'simple',
  });
});

test('what pip is set to comes first, the nearest of its settings before all', async () => {
  const cases: readonly (readonly [string, object])[] = [
    [
      "global.index-url='https://a.example/root/+simple/'",
      { url: 'https://a.example/root', pyPIRepositorySuffix: '+simple' },
    ],
    [
      "global.index-url='https://a.example/simple'\ninstall.index-url='https://b.example/pypi/simple'",
      { url: 'https://b.example/pypi', pyPIRepositorySuffix: 'simple' },
    ],
    [
      ":env:.index-url='https://u:p@c.example/x'\nglobal.index-url='https://a.example/simple'",
      { url: 'https://c.example/x' },
    ],
    ['global.index-url="https://d.example/simple"', { url: 'https://d.example', pyPIRepositorySuffix: 'simple' }],
  ];
  for (const [settings, found] of cases) {
    await using fake = await makeMachine();
    await fake.program('python3', python(settings, BUILT_IN));
    assert.deepEqual(await publicUpstream.find?.(fake.open()), found, settings);
  }
});

test('a setting that is no address is not passed over for the public index', async () => {
  await using fake = await makeMachine();
  await fake.program('python3', python("global.index-url='file:///srv/index'", BUILT_IN));
  assert.equal(await publicUpstream.find?.(fake.open()), undefined);
});

test('a Python without pip makes way for the next, and none tells nothing', async () => {
  await using fake = await makeMachine();
  assert.equal(await publicUpstream.find?.(fake.open()), undefined);
  await fake.program('python3', 'echo No module named pip >&2; exit 1');
  await fake.program('python', python('', 'https://index.example/simple'));
  assert.deepEqual(await publicUpstream.find?.(fake.open()), {
    url: 'https://index.example',
    pyPIRepositorySuffix: 'simple',
  });
  for (const script of [python('', 'nonsense'), python('nonsense', ''), '/bin/sleep 600']) {
    await fake.program('python', script);
    assert.equal(await publicUpstream.find?.(fake.open({ limitMs: 1500 })), undefined, script);
  }
});

test('an address that an administrator gives is read as pip reads it', () => {
  assert.deepEqual(publicUpstream.settingsFor?.('https://a.example/simple'), {
    url: 'https://a.example',
    pyPIRepositorySuffix: 'simple',
  });
  assert.deepEqual(publicUpstream.settingsFor?.('https://a.example/api/pypi/all'), {
    url: 'https://a.example/api/pypi/all',
  });
});
