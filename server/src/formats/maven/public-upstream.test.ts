import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { zipOf } from '../../../test/support/archives.ts';
import { type FakeMachine, makeMachine } from '../../../test/support/fake-machine.ts';
import { publicUpstream } from './public-upstream.ts';

const POM = 'org/apache/maven/model/pom-4.0.0.xml';
const CENTRAL = { url: 'https://central.example/maven2' };

function superPom(id = 'central', url = `${CENTRAL.url}/`): string {
  const other = '<repository><id>other</id><url>https://other.example</url></repository>';
  const repository = `<repository><id>${id}</id><url> ${url} </url></repository>`;
  return `<project><repositories>${other}${repository}</repositories></project>`;
}

async function install(fake: FakeMachine, home: string, jar = 'maven-model-builder-3.x.jar'): Promise<void> {
  await fake.program(`${home}/bin/mvn`, 'exit 1');
  await fake.write(`${home}/lib/maven-core-3.jar`, await zipOf({ other: 'x' }));
  await fake.write(`${home}/lib/${jar}`, await zipOf({ 'META-INF/MANIFEST.MF': 'x', [POM]: superPom() }));
}

function settings(...mirrors: readonly (readonly [of: string, url: string])[]): string {
  const items = mirrors.map(([of, url]) => `<mirror><id>m</id><mirrorOf>${of}</mirrorOf><url>${url}</url></mirror>`);
  return `<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0"><mirrors>${items.join('')}</mirrors></settings>`;
}

test('Maven has its repository in the POM that all inherit', async () => {
  for (const jar of ['maven-model-builder-3.9.9.jar', 'maven-impl-4.0.0.jar']) {
    await using fake = await makeMachine();
    await install(fake, 'opt/maven', jar);
    await fake.link('bin/mvn', join(fake.folder, 'opt/maven/bin/mvn'));
    assert.deepEqual(await publicUpstream.find?.(fake.open()), CENTRAL);
  }
});

test('Maven is found by its variables and in the folder that some systems add', async () => {
  await using fake = await makeMachine();
  await install(fake, 'opt/maven');
  for (const name of ['MAVEN_HOME', 'M2_HOME']) {
    const env = { [name]: join(fake.folder, 'opt/maven') };
    assert.deepEqual(await publicUpstream.find?.(fake.open({ env })), CENTRAL, name);
  }
  await install(fake, 'cellar/maven/libexec');
  await fake.program('cellar/maven/bin/mvn', 'exit 1');
  await fake.link('bin/mvn', join(fake.folder, 'cellar/maven/bin/mvn'));
  assert.deepEqual(await publicUpstream.find?.(fake.open()), CENTRAL);
});

test('a mirror of the settings stands for it, those of the person before those of the machine', async () => {
  await using fake = await makeMachine();
  await install(fake, 'opt/maven');
  const env = { MAVEN_HOME: join(fake.folder, 'opt/maven') };
  await fake.write('opt/maven/conf/settings.xml', settings(['external:http:*', 'http://0.0.0.0/']));
  assert.deepEqual(await publicUpstream.find?.(fake.open({ env })), CENTRAL);
  await fake.write(
    'opt/maven/conf/settings.xml',
    settings(['other', 'https://no.example'], ['*', 'https://a.example/m/']),
  );
  assert.deepEqual(await publicUpstream.find?.(fake.open({ env })), { url: 'https://a.example/m' });
  await fake.write(
    'home/.m2/settings.xml',
    settings(['*,!central', 'https://no.example'], ['x, central', 'https://b.example']),
  );
  assert.deepEqual(await publicUpstream.find?.(fake.open({ env })), { url: 'https://b.example' });
  // Settings can be all there is of Maven, and what they leave open is not to be passed over.
  assert.deepEqual(await publicUpstream.find?.(fake.open()), { url: 'https://b.example' });
  await fake.write('home/.m2/settings.xml', settings(['*', '$'.concat('{env.MIRROR}')]));
  assert.equal(await publicUpstream.find?.(fake.open({ env })), undefined);
});

test('what is no Maven, or says nothing, tells nothing', async () => {
  await using fake = await makeMachine();
  assert.equal(await publicUpstream.find?.(fake.open()), undefined);
  await fake.program('mvn', 'exec /elsewhere/mvn');
  assert.equal(await publicUpstream.find?.(fake.open()), undefined);
  const env = { MAVEN_HOME: join(fake.folder, 'opt/maven') };
  const jar = 'opt/maven/lib/maven-model-builder-3.jar';
  const bombs = [
    'no zip',
    await zipOf({}),
    await zipOf({ [POM]: 'no xml' }),
    await zipOf({ [POM]: superPom('elsewhere') }),
    await zipOf({ [POM]: superPom('central', 'ftp://x.example') }),
    await zipOf({ [POM]: Buffer.alloc(100_000_000) }),
  ];
  for (const bytes of bombs) {
    await fake.write(jar, bytes);
    assert.equal(await publicUpstream.find?.(fake.open({ env })), undefined);
  }
  await fake.write('home/.m2/settings.xml', '<settings><mirrors>');
  assert.equal(await publicUpstream.find?.(fake.open({ env })), undefined);
});
