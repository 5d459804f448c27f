import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { MavenWorld } from './maven-world.ts';
import { ServerFacts } from './server-facts.ts';

const LIMIT = { timeoutMs: 3 * 60_000 };

clientSuite('ivy', (client) => {
  const world = new MavenWorld(new ServerFacts(client.target));
  const { group } = world;
  const work = join(client.folder, 'work');
  const settings = join(work, 'settings.xml');
  const cache = join(work, 'cache');
  const { username, password } = client.target;
  const ivy = ['-settings', settings, '-cache', cache];
  const resolve = async (module: string, revision: string, organisation = group) => {
    // What was retrieved before is replaced only by what is newer by a second.
    for (const left of [cache, join(work, 'out')]) await rm(left, { recursive: true, force: true });
    const pattern = join(work, 'out/[module].[ext]');
    await client.run([...ivy, '-dependency', organisation, module, revision, '-retrieve', pattern], {
      cwd: work,
      ...LIMIT,
    });
    return readFile(join(work, `out/${module}.jar`), 'utf8');
  };

  before(async () => {
    await mkdir(work, { recursive: true });
    await world.open('ivy');
    const layout = '[organisation]/[module]/[revision]';
    const resolver = (name: string, at: string) => `
    <url name="${name}" checkmodified="true">
      <ivy pattern="${world.url(at)}/${layout}/ivys/ivy-[revision].xml"/>
      <artifact pattern="${world.url(at)}/${layout}/[type]s/[artifact]-[revision].[ext]"/>
    </url>`;
    await writeFile(
      settings,
      `<ivysettings>
  <settings defaultResolver="both"/>
  <credentials host="127.0.0.1" realm="Artifactory Realm" username="${username}" passwd="${password}"/>
  <resolvers>
    ${resolver('entrepot', 'all')}
    <ibiblio name="maven" m2compatible="true" root="${world.url('all')}/"/>
    <chain name="both"><resolver ref="entrepot"/><resolver ref="maven"/></chain>
  </resolvers>
</ivysettings>`,
    );
  });
  after(() => world.close());

  test('publishes modules and resolves the newest of them', async () => {
    for (const revision of ['1.0', '1.2', '1.10']) {
      await writeFile(join(work, 'mod.jar'), `mod ${revision}`);
      await writeFile(
        join(work, 'ivy.xml'),
        `<ivy-module version="2.0"><info organisation="${group}" module="mod" revision="${revision}"/><publications><artifact name="mod" type="jar" ext="jar"/></publications></ivy-module>`,
      );
      const options = [
        '-publish',
        'entrepot',
        '-revision',
        revision,
        '-publishpattern',
        join(work, '[artifact].[ext]'),
      ];
      await client.run([...ivy, '-ivy', join(work, 'ivy.xml'), ...options], { cwd: work, ...LIMIT });
    }
    const files = await world.server.filesBelow(`${world.key('local')}/${group}/mod`);
    assert.ok(files.includes('/1.10/ivys/ivy-1.10.xml'), files.join());
    assert.ok(files.includes('/1.10/jars/mod-1.10.jar'), files.join());
    assert.equal(await resolve('mod', '1.2'), 'mod 1.2');
    assert.equal(await resolve('mod', 'latest.integration'), 'mod 1.10');
  });

  test('resolves what only the upstream has', async () => {
    assert.equal(await resolve('far', '1.0', `far.${group}`), 'from far');
    assert.equal(await resolve('far', '[1.0,2.0[', `far.${group}`), 'from far');
  });
});
