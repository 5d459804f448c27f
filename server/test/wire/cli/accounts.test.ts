/** The commands that manage who may do what, beside a running server and without one. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { ADMIN_PASSWORD, onEachDatabase } from './installation.ts';

const PASSWORD = 'blue-teapot-17';
const USERS = '/artifactory/api/security/users';
/** How soon a running server must act on what a command did. */
const NOTICED_MS = 2000;

onEachDatabase('commands', (installation) => {
  test('manage accounts of a server that runs, which acts on it within two seconds', async () => {
    const here = installation();
    const server = await here.serve();
    const ann = (password = PASSWORD) => server.status(`${USERS}/ann`, { user: ['ann', password] });
    try {
      assert.equal(await ann(), 401);
      await here.succeed(['user', 'add', 'ann', '--email', 'ann@example.com'], { input: `${PASSWORD}\n` });
      await eventually(async () => assert.equal(await ann(), 200), NOTICED_MS);
      await here.succeed(['user', 'disable', 'ann']);
      await eventually(async () => assert.equal(await ann(), 401), NOTICED_MS);
      await here.succeed(['user', 'enable', 'ann']);
      await eventually(async () => assert.equal(await ann(), 200), NOTICED_MS);
      const file = join(here.dataDir, 'password');
      await writeFile(file, 'green-kettle-18\n');
      await here.succeed(['user', 'passwd', 'ann', '--password-file', file]);
      await eventually(async () => assert.equal(await ann(), 401), NOTICED_MS);
      assert.equal(await ann('green-kettle-18'), 200);
      await here.succeed(['user', 'delete', 'ann']);
      await eventually(async () => assert.equal(await ann('green-kettle-18'), 401), NOTICED_MS);
    } finally {
      await server.stop();
    }
  });

  test('manage repositories, groups and rights of a server that runs', async () => {
    const here = installation();
    const server = await here.serve();
    const user = ['bob', PASSWORD] as const;
    const deploy = () => server.status('/artifactory/files/a', { user, method: 'PUT', body: 'a' });
    try {
      await here.succeed(['user', 'add', 'bob'], { input: PASSWORD });
      await here.succeed(['repo', 'create', 'files', '--type', 'Generic', '--description', 'plain files']);
      assert.match(await here.succeed(['repo', 'list']), /^files +local +generic +plain files$/m);
      await eventually(async () => assert.equal(await deploy(), 404), NOTICED_MS);
      await here.succeed(['group', 'add', 'team', '--description', 'the team']);
      await here.succeed(['group', 'add-member', 'team', 'bob']);
      await here.succeed(['permission', 'set', 'files', '--repository', 'files', '--group', 'team=read,deploy']);
      assert.match(await here.succeed(['permission', 'list']), /^files +files +\*\* +group team=read,deploy$/m);
      await eventually(async () => assert.equal(await deploy(), 201), NOTICED_MS);
      await here.succeed(['group', 'remove-member', 'team', 'bob']);
      await eventually(async () => assert.equal(await deploy(), 404), NOTICED_MS);
      await here.succeed(['permission', 'delete', 'files']);
      await here.fail(['repo', 'delete', 'files']);
      await here.succeed(['repo', 'delete', 'files', '--yes']);
      await eventually(async () => assert.equal(await server.status('/artifactory/files/a'), 404), NOTICED_MS);
    } finally {
      await server.stop();
    }
  });

  test('make tokens that a server takes, and revoke them', async () => {
    const here = installation();
    const server = await here.serve();
    const headersOf = (token: string) => ({ authorization: `Bearer ${token}` });
    const me = (token: string) => server.status('/access/api/v1/tokens/me', { headers: headersOf(token) });
    try {
      const token = (await here.succeed(['token', 'create', 'admin', '--expires-in', '2h'])).trim();
      const signed = (await here.succeed(['token', 'create', 'admin', '--signed', '--expires-in', 'never'])).trim();
      assert.match(token, /^etp_\w+$/);
      assert.equal(signed.split('.').length, 3);
      assert.equal(await me(token), 200);
      assert.equal(await me(signed), 200);
      const list = await here.succeed(['token', 'list', '--user', 'admin']);
      assert.equal(list.trim().split('\n').length, 3);
      assert.ok(!list.includes(token.slice(10)));
      await here.succeed(['token', 'revoke', token.slice(4, 10)]);
      await eventually(async () => assert.equal(await me(token), 401), NOTICED_MS);
      await here.fail(['token', 'create', 'admin', '--expires-in', 'soon']);
      await here.fail(['token', 'create', 'nobody']);
    } finally {
      await server.stop();
    }
  });

  test('let somebody in again when nobody can sign in', async () => {
    const here = installation();
    const out = await here.succeed(['user', 'reset-admin', '--generate']);
    const password = /password is (\w+)/.exec(out)?.[1] ?? '';
    assert.match(await here.succeed(['user', 'list']), /^admin +admin +enabled/m);
    const server = await here.serve();
    try {
      assert.equal(await server.status(USERS, { user: ['admin', password] }), 200);
      assert.equal(await server.status(USERS), 401);
      await here.succeed(['user', 'reset-admin'], { input: ADMIN_PASSWORD });
      await eventually(async () => assert.equal(await server.status(USERS), 200), NOTICED_MS);
    } finally {
      await server.stop();
    }
  });

  test('say in one sentence what is wrong', async () => {
    const here = installation();
    assert.match(await here.fail(['user', 'add', 'weak'], { input: 'short' }), /too short/);
    assert.match(await here.fail(['user', 'add', 'weak']), /password input is empty/);
    assert.match(await here.fail(['user', 'add', 'a b'], { input: PASSWORD }), /cannot be a user name/);
    assert.match(await here.fail(['user', 'add', 'weak', '--password-file', 'missing']), /cannot be read/);
    assert.match(await here.fail(['user', 'disable', 'nobody']), /no user "nobody"/);
    assert.match(await here.fail(['user', 'disable', 'admin']), /nobody to administer/);
    assert.match(await here.fail(['repo', 'create', 'x', '--type', 'nonsense']), /not known/);
    assert.match(await here.fail(['permission', 'set', 'x', '--repository', 'y', '--user', 'admin']), /ann=read/);
    assert.match(await here.fail(['nonsense']), /unknown command 'nonsense'/);
    assert.match(await here.fail(['user', 'passwd', 'admin', '--password', PASSWORD]), /unknown option/);
  });
});
