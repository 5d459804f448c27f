/** What the server tells people to set their clients up with, used as it is given: npm's clients, and plain files. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { runCommand } from './command.ts';
import { SetUpWorld } from './setup-world.ts';

const SETTINGS = 'Take packages from this repository';
const NPM_CLIENTS = {
  npm11: { id: 'npm', command: 'npm' },
  npm10: { id: 'npm', command: 'npm' },
  npm9: { id: 'npm', command: 'npm' },
  pnpm: { id: 'pnpm', command: 'pnpm' },
  yarn1: { id: 'yarn-classic', command: 'yarn' },
  yarn4: { id: 'yarn', command: 'yarn' },
  bun: { id: 'bun', command: 'bun' },
} as const;

for (const [name, { id, command }] of Object.entries(NPM_CLIENTS)) {
  clientSuite(name as keyof typeof NPM_CLIENTS, (client) => {
    const world = new SetUpWorld(client, name);
    const env = {
      YARN_ENABLE_TELEMETRY: '0',
      YARN_NODE_LINKER: 'node-modules',
      YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
      YARN_CACHE_FOLDER: join(client.folder, 'yarn-cache'),
    };
    before(() => world.open('npm'));
    after(() => world.close());

    /** A project with the settings that the server gave. */
    const project = async (title: string, manifest: Readonly<Record<string, unknown>>, ...open: string[]) => {
      const desk = await world.desk(
        `${title}-${String(manifest['name']).replace('/', '-')}`,
        { [command]: [client.path] },
        env,
      );
      await writeFile(
        join(desk.folder, 'package.json'),
        JSON.stringify({ version: '1.2.3', license: 'MIT', ...manifest }),
      );
      await writeFile(join(desk.folder, 'index.js'), 'module.exports = "set up";\n');
      if (id === 'yarn') await writeFile(join(desk.folder, 'yarn.lock'), '');
      for (const each of [SETTINGS, ...open]) await world.write(desk, world.snippet(id, each, { YOUR_SCOPE: 'team' }));
      return desk;
    };
    const fresh = id === 'yarn' ? ['Take packages of a scope as soon as they are published'] : [];

    test('publishes and installs', async () => {
      const made = await project('made', { name: '@team/leaf' });
      // It looks whether the project was installed.
      if (id === 'yarn') await runCommand(client.path, ['install'], { cwd: made.folder, env: made.env });
      await world.run(made, [world.snippet(id, 'Publish the package of this folder', { PACKAGE_VERSION: '1.2.3' })]);
      const files = await world.server.filesBelow(world.local);
      assert.ok(
        files.some((file) => file.endsWith('leaf-1.2.3.tgz')),
        files.join(),
      );
      const user = await project('user', { name: 'user', private: true }, ...fresh);
      await world.run(user, [world.snippet(id, 'Install a package', { PACKAGE_NAME: '@team/leaf' })]);
      assert.match(await readFile(join(user.folder, 'node_modules/@team/leaf/index.js'), 'utf8'), /set up/);
    });

    if (id === 'npm' || id === 'pnpm') {
      test('takes a scope alone from here, and publishes where the package says', async () => {
        const desk = await world.desk('scoped', { [command]: [client.path] }, env);
        const open = { YOUR_SCOPE: 'team' };
        await world.write(desk, world.snippet(id, 'Take only the packages of a scope from this repository', open));
        await writeFile(join(desk.folder, 'package.json'), '{"name":"app","version":"1.0.0","private":true}');
        await world.run(desk, [world.snippet(id, 'Install a package', { PACKAGE_NAME: '@team/leaf' })]);
        assert.match(await readFile(join(desk.folder, 'node_modules/@team/leaf/index.js'), 'utf8'), /set up/);

        const { code } = world.snippet(id, 'Have one package always published here');
        const other = await project('other', { name: 'branch', ...(JSON.parse(code) as object) });
        const settings = await readFile(join(other.folder, '.npmrc'), 'utf8');
        await writeFile(
          join(other.folder, '.npmrc'),
          settings.replace(/^registry=.*$/m, 'registry=http://127.0.0.1:1/'),
        );
        await world.run(other, [world.snippet(id, 'Publish the package of this folder')]);
        assert.ok((await world.server.filesBelow(world.local)).includes('/branch/-/branch-1.2.3.tgz'));
      });
    }
  });
}

clientSuite('jf', (client) => {
  const world = new SetUpWorld(client, 'files');
  const open = { FOLDER_NAME: 'some/folder', FILE_NAME: 'file.txt' };
  before(() => world.open('generic'));
  after(() => world.close());

  for (const [id, title] of [
    ['curl', 'Upload a file'],
    ['jf', 'Upload a file'],
  ] as const) {
    test(`${id} uploads, and everybody downloads`, async () => {
      const env = { JFROG_CLI_HOME_DIR: join(client.folder, id), CI: 'true' };
      const up = await world.desk(`up-${id}`, { jf: [client.path] }, env);
      await writeFile(join(up.folder, 'file.txt'), `by ${id}\n`);
      const own = { ...open, FOLDER_NAME: `some/${id}` };
      // The program of the suite is never interactive and has no such switch.
      const name = world.snippet('jf', 'Name this server');
      await world.run(up, [{ ...name, code: name.code.replace(' --interactive=false', '') }]);
      await world.run(up, [world.snippet(id, title, own)]);
      for (const other of ['curl', 'wget', 'jf']) {
        const down = await world.desk(`down-${other}-${id}`, { jf: [client.path] }, env);
        await mkdir(down.folder, { recursive: true });
        await world.run(down, [world.snippet(other, 'Download a file', own)]);
        const file = other === 'jf' ? `some/${id}/file.txt` : 'file.txt';
        assert.equal(await readFile(join(down.folder, file), 'utf8'), `by ${id}\n`, other);
      }
    });
  }
});
