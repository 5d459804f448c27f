import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { pythonScripts } from './python-script.ts';
import { ServerFacts } from './server-facts.ts';

type Settings = Readonly<Record<string, unknown>>;

clientSuite('dohq-artifactory', (client) => {
  const { target } = client;
  const server = new ServerFacts(target);
  const run = `dohq-${randomBytes(3).toString('hex')}`;
  const work = join(client.folder, 'work');
  const python = pythonScripts(client, {
    cwd: work,
    values: { url: server.root, username: target.username, password: target.password, run },
    prelude: [
      'import artifactory',
      'from artifactory import ArtifactoryPath',
      'from dohq_artifactory import *',
      'top = ArtifactoryPath(url, auth=(username, password))',
    ].join('\n'),
  });
  const settingsOf = (key: string) => server.json<Settings>(`api/repositories/${key}`);

  before(async () => await mkdir(work, { recursive: true }));
  after(async () => {
    await server.ask('DELETE', `api/security/permissions/${run}-permission`);
    for (const name of ['user', 'member']) await server.ask('DELETE', `api/security/users/${run}-${name}`);
    await server.ask('DELETE', `api/security/groups/${run}-group`);
    await server.deleteRepositories(...['virtual', 'local', 'remote', 'federated'].map((name) => `${run}-${name}`));
  });

  test('creates, reads and updates repositories of every class', async () => {
    const told = await python<Settings>(`
      local = RepositoryLocal(top, f'{run}-local', package_type=Repository.GENERIC)
      local.description = 'first'
      local.create()
      remote = RepositoryRemote(top, f'{run}-remote', url='https://example.com/files')
      remote.create()
      virtual = RepositoryVirtual(top, f'{run}-virtual', repositories=[local], default_deployment_repo_name=local.name)
      virtual.create()
      local.description = 'second'
      local.archive_browsing_enabled = False
      local.update()
      virtual.add_repository(remote)
      virtual.update()
      found = {each: top.find_repository(f'{run}-{each}') for each in ['local', 'remote', 'virtual', 'none']}
      result = {
          'classes': {each: type(value).__name__ for each, value in found.items()},
          'description': found['local'].description,
          'url': found['remote'].url,
          'members': [each.name for each in found['virtual'].repositories],
          'all': sorted(each.name for each in top.get_repositories(lazy=True) if each.name.startswith(run)),
      }
    `);
    assert.deepEqual(told, {
      classes: {
        local: 'RepositoryLocal',
        remote: 'RepositoryRemote',
        virtual: 'RepositoryVirtual',
        none: 'NoneType',
      },
      description: 'second',
      url: 'https://example.com/files',
      members: [`${run}-local`, `${run}-remote`],
      all: [`${run}-local`, `${run}-remote`, `${run}-virtual`],
    });
    const [local, remote, virtual] = await Promise.all(
      ['local', 'remote', 'virtual'].map((name) => settingsOf(`${run}-${name}`)),
    );
    const { rclass, packageType, description, repoLayoutRef, archiveBrowsingEnabled } = local as Settings;
    assert.deepEqual(
      [rclass, packageType, description, repoLayoutRef, archiveBrowsingEnabled],
      ['local', 'generic', 'second', 'maven-2-default', false],
    );
    assert.deepEqual([remote?.['rclass'], remote?.['url']], ['remote', 'https://example.com/files']);
    assert.deepEqual(virtual?.['repositories'], [`${run}-local`, `${run}-remote`]);
    assert.equal(virtual?.['defaultDeploymentRepo'], `${run}-local`);
  });

  test('finds files through a repository', async () => {
    await server.deploy(`${run}-local/org/app/1.0/app-1.0.txt;build.name=b`, 'app');
    await server.deploy(`${run}-local/org/tool/1.0/tool-1.0.txt`, 'tool');
    const told = await python(`
      repository = top.find_repository(f'{run}-local')
      def names(paths): return sorted(path.name for path in paths)
      result = [
          names(repository['app-*']), names(repository['org/tool/*']), names(repository['b']),
          names(repository), names(repository.search(terms={'name': {'$match': 'tool*'}}, limit=1)),
          (repository / 'org' / 'app').is_dir(),
      ]
    `);
    const [app, tool] = ['app-1.0.txt', 'tool-1.0.txt'];
    assert.deepEqual(told, [[app], [tool], [app], [app, tool], [tool], true]);
  });

  test('creates, reads and updates users and groups', async () => {
    const told = await python<Settings>(`
      group = Group(top, f'{run}-group')
      group.description = 'first'
      group.create()
      user = User(top, f'{run}-user', email='user@example.com', password='S3cret-of-user')
      user.add_to_group(group)
      user.create()
      group.description = 'second'
      group.update()
      user.email = 'other@example.com'
      user.update()
      found = top.find_user(user.name)
      result = {
          'email': found.email, 'admin': found.admin, 'groups': [each.name for each in found.groups],
          'group': top.find_group(group.name).description, 'none': top.find_user(f'{run}-none'),
          'users': user.name in [each.name for each in top.get_users(lazy=True)],
          'all': group.name in [each.name for each in top.get_groups(lazy=True)],
      }
    `);
    const email = 'other@example.com';
    const shown = { email, admin: false, group: 'second', none: null, users: true, all: true };
    const { groups, ...rest } = told as { groups: string[] };
    assert.deepEqual(rest, shown);
    assert.ok(groups.includes(`${run}-group`));
    const user = await server.json<Settings>(`api/security/users/${run}-user`);
    assert.deepEqual([user['email'], user['admin']], [email, false]);
    const group = await server.json<Settings>(`api/security/groups/${run}-group?includeUsers=true`);
    assert.deepEqual([group['description'], group['userNames']], ['second', [`${run}-user`]]);
  });

  test('sets the members of a group', async () => {
    await python(`
      User(top, f'{run}-member', email='member@example.com', password='S3cret-of-member').create()
      group = Group(top, f'{run}-group')
      group.description, group.users = 'second', [f'{run}-member']
      group.update()
    `);
    const { userNames } = await server.json<Settings>(`api/security/groups/${run}-group?includeUsers=true`);
    assert.deepEqual(userNames, [`${run}-member`]);
  });

  test('grants rights that the user then has, and withdraws them', async () => {
    const told = await python<Settings>(`
      local, user, group = f'{run}-local', f'{run}-user', f'{run}-group'
      own = ArtifactoryPath(url, auth=(user, 'S3cret-of-user')) / local
      def tries():
          outcomes = []
          for attempt in [lambda: (own / 'org' / 'app').exists(), lambda: (own / 'mine' / 'file').write_text('mine')]:
              try:
                  outcomes.append(attempt() is not False)
              except artifactory.ArtifactoryException as error:
                  outcomes.append(error.__cause__.response.status_code)
          return outcomes
      result = {'before': tries()}
      permission = PermissionTarget(top, f'{run}-permission', repositories=[local], excludes_pattern='none/**')
      permission.add_user(user, PermissionTarget.ROLE_DEPLOY)
      permission.add_group(group, PermissionTarget.ROLE_READ)
      permission.create()
      result['granted'] = tries()
      found = top.find_permission_target(permission.name)
      result['users'] = {each.name: sorted(rights) for each, rights in found.users.items()}
      result['groups'] = {each.name: sorted(rights) for each, rights in found.groups.items()}
      result['repositories'] = [each.name for each in found.repositories]
      result['listed'] = permission.name in [each.name for each in top.get_permissions(lazy=True)]
      permission.remove_user(user)
      permission.update()
      result['withdrawn'] = tries()
    `);
    const { before: refused, withdrawn, ...rest } = told;
    assert.deepEqual(rest, {
      granted: [true, true],
      users: { [`${run}-user`]: ['n', 'r', 'w'] },
      groups: { [`${run}-group`]: ['r'] },
      repositories: [`${run}-local`],
      listed: true,
    });
    for (const [read, deployed] of [refused, withdrawn] as [unknown, unknown][]) {
      assert.ok(read === false || read === 403 || read === 404, String(read));
      assert.ok(deployed === 403 || deployed === 404, String(deployed));
    }
    assert.equal(await server.textOf(`${run}-local/mine/file`), 'mine');
    const target = await server.json<Settings>(`api/security/permissions/${run}-permission`);
    assert.deepEqual(target['principals'], { groups: { [`${run}-group`]: ['r'] } });
    assert.equal(target['excludesPattern'], 'none/**');
  });

  test('creates tokens, which authenticate until they are revoked', async () => {
    const told = await python<unknown[]>(`
      token = Token(top, username=f'{run}-user', scope='member-of-groups:*', expires_in=600)
      token.create()
      status = lambda: ArtifactoryPath(url, token=token.jwt_token).session.get(f'{url}/api/repositories').status_code
      result = [status()]
      listed = Token(top, username=username)
      listed.read()
      result.append(token.token_id in listed.tokens)
      token.delete()
      result.append(status())
    `);
    assert.deepEqual(told, [200, true, 401]);
  });

  test('reads the encrypted password of a user', async () => {
    const told = await python<unknown[]>(`
      user = User(top, f'{run}-user', password='S3cret-of-user')
      encrypted = user.encrypted_password
      other = ArtifactoryPath(url, auth=(user.name, encrypted)).session.get(f'{url}/api/repositories')
      result = [encrypted == 'S3cret-of-user', other.status_code]
    `);
    assert.deepEqual(told, [false, 200]);
  });

  test('deletes what it created', async () => {
    await python(`
      top.find_permission_target(f'{run}-permission').delete()
      for name in [f'{run}-user', f'{run}-member']:
          top.find_user(name).delete()
      top.find_group(f'{run}-group').delete()
      for name in ['virtual', 'remote', 'local']:
          top.find_repository(f'{run}-{name}').delete()
    `);
    assert.equal(await server.statusOf(`api/security/permissions/${run}-permission`), 404);
    for (const name of ['user', 'member']) {
      assert.equal(await server.statusOf(`api/security/users/${run}-${name}`), 404);
    }
    assert.equal(await server.statusOf(`api/security/groups/${run}-group`), 404);
    for (const name of ['virtual', 'remote', 'local']) {
      assert.equal(await server.statusOf(`api/repositories/${run}-${name}`), 400);
    }
  });
});
