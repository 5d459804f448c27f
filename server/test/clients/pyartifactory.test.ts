import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { pythonScripts } from './python-script.ts';
import { ServerFacts } from './server-facts.ts';

type Settings = Readonly<Record<string, unknown>>;

const hashOf = (algorithm: string, bytes: Buffer) => createHash(algorithm).update(bytes).digest('hex');

clientSuite('pyartifactory', (client) => {
  const { target } = client;
  const server = new ServerFacts(target);
  const run = `pyart-${randomBytes(3).toString('hex')}`;
  const [repo, other] = [`${run}-a`, `${run}-b`];
  const work = join(client.folder, 'work');
  const bytes = randomBytes(50_000);
  const python = pythonScripts(client, {
    cwd: work,
    values: { url: server.root, username: target.username, password: target.password, run, repo, other },
    prelude: [
      'from pyartifactory import Artifactory',
      'from pyartifactory.exception import *',
      'from pyartifactory.models import *',
      'from pyartifactory.models.permission import *',
      'from pydantic import SecretStr',
      'art = Artifactory(url=url, auth=(username, SecretStr(password)))',
      'def name_of(error): return type(error).__name__',
      'def fails(call):',
      '    try: call()',
      '    except Exception as error: return name_of(error)',
    ].join('\n'),
  });
  const settingsOf = (key: string) => server.json<Settings>(`api/repositories/${key}`);

  before(async () => {
    await mkdir(join(work, 'tree/deep'), { recursive: true });
    await writeFile(join(work, 'data.bin'), bytes);
    await writeFile(join(work, 'tree/a.txt'), 'a');
    await writeFile(join(work, 'tree/deep/b.txt'), 'b');
    for (const key of [repo, other]) await server.createRepository(key);
  });
  after(async () => {
    for (const name of ['one', 'two']) await server.ask('DELETE', `api/security/permissions/${run}-${name}`);
    await server.ask('DELETE', `api/security/users/${run}-user`);
    await server.ask('DELETE', `api/security/groups/${run}-group`);
    const made = ['virtual', 'local', 'remote', 'federated', 'docker'].map((name) => `${run}-${name}`);
    await server.deleteRepositories(...made, repo, other);
  });

  test('refuses a wrong password', async () => {
    assert.equal(
      await python(`result = fails(Artifactory(url=url, auth=(username, SecretStr('wrong'))).repositories.list)`),
      'HTTPError',
    );
  });

  test('creates, reads, updates, lists and deletes repositories of every class', async () => {
    const told = await python<Settings>(`
      made = [
          LocalRepository(key=f'{run}-local', description='first'),
          LocalRepository(key=f'{run}-docker', packageType='docker', maxUniqueTags=3),
          RemoteRepository(key=f'{run}-remote', url='https://example.com/files', username='me', password='secret'),
          VirtualRepository(key=f'{run}-virtual', repositories=[f'{run}-local', f'{run}-remote'],
                            defaultDeploymentRepo=f'{run}-local'),
          FederatedRepository(key=f'{run}-federated'),
      ]
      result = {'classes': [type(art.repositories.create_repo(each)).__name__ for each in made]}
      result['again'] = fails(lambda: art.repositories.create_repo(made[0]))
      result['none'] = fails(lambda: art.repositories.get_repo(f'{run}-none'))
      made[0].description = 'second'
      result['updated'] = art.repositories.update_repo(made[0]).description
      art.repositories.update_repo(VirtualRepository(key=f'{run}-virtual', repositories=[f'{run}-remote'],
                                                     defaultDeploymentRepo=''))
      art.repositories.update_repo(RemoteRepository(key=f'{run}-remote', url='https://example.com/other'))
      result['listed'] = sorted(each.key for each in art.repositories.list() if each.key.startswith(f'{run}-'))
    `);
    const names = ['a', 'b', 'docker', 'federated', 'local', 'remote', 'virtual'];
    assert.deepEqual(told, {
      classes: ['Local', 'Local', 'Remote', 'Virtual', 'Federated'].map((name) => `${name}RepositoryResponse`),
      again: 'RepositoryAlreadyExistsError',
      none: 'RepositoryNotFoundError',
      updated: 'second',
      listed: names.map((name) => `${run}-${name}`),
    });
    const [local, docker, remote, virtual] = await Promise.all(
      ['local', 'docker', 'remote', 'virtual'].map((name) => settingsOf(`${run}-${name}`)),
    );
    assert.deepEqual([local?.['rclass'], local?.['description']], ['local', 'second']);
    assert.deepEqual([docker?.['packageType'], docker?.['maxUniqueTags']], ['docker', 3]);
    assert.deepEqual([remote?.['url'], remote?.['username']], ['https://example.com/other', 'me']);
    assert.notEqual(remote?.['password'], 'secret');
    assert.deepEqual(virtual?.['repositories'], [`${run}-remote`]);
    await python(`
      for name in ['virtual', 'federated', 'remote', 'docker', 'local']:
          art.repositories.delete(f'{run}-{name}')
    `);
    for (const name of ['virtual', 'federated', 'remote', 'docker', 'local']) {
      assert.equal(await server.statusOf(`api/repositories/${run}-${name}`), 400);
    }
  });

  test('deploys files and folders, with properties and by checksum', async () => {
    const told = await python<Settings>(`
      deployed = art.artifacts.deploy('data.bin', f'{repo}/up/data.bin', {'k': ['v'], 'many': ['a', 'b']})
      art.artifacts.deploy('tree', f'{repo}/tree')
      linked = art.artifacts.deploy('data.bin', f'{repo}/up/linked.bin', checksum_enabled=True)
      open('unknown.bin', 'w').write(run)
      result = {
          'size': deployed.size, 'sums': deployed.checksums.model_dump(), 'linked': linked.checksums.sha256,
          'unknown': fails(lambda: art.artifacts.deploy('unknown.bin', f'{repo}/up/none', checksum_enabled=True)),
      }
    `);
    const sums = { sha1: hashOf('sha1', bytes), md5: hashOf('md5', bytes), sha256: hashOf('sha256', bytes) };
    assert.deepEqual(told, { size: bytes.length, sums, linked: sums.sha256, unknown: 'ArtifactNotFoundError' });
    for (const name of ['data', 'linked']) {
      assert.deepEqual((await server.infoOf(`${repo}/up/${name}.bin`)).checksums, sums);
    }
    assert.deepEqual(await server.propertiesOf(`${repo}/up/data.bin`), { k: ['v'], many: ['a', 'b'] });
    assert.equal(await server.statusOf(`${repo}/up/none`), 404);
    assert.deepEqual(await server.filesBelow(`${repo}/tree`), ['/a.txt', '/deep/b.txt']);
  });

  test('fetches files and folders', async () => {
    const told = await python<string[]>(`
      result = [str(art.artifacts.download(f'{repo}/up/data.bin', 'down')),
                str(art.artifacts.download(f'{repo}/tree', 'down')),
                str(sum(len(chunk) for chunk in art.artifacts.stream(f'{repo}/up/data.bin'))),
                fails(lambda: art.artifacts.download(f'{repo}/none'))]
    `);
    assert.deepEqual(told, ['down/data.bin', 'down/tree', String(bytes.length), 'ArtifactNotFoundError']);
    assert.deepEqual(await readFile(join(work, 'down/data.bin')), bytes);
    assert.equal(await readFile(join(work, 'down/tree/deep/b.txt'), 'utf8'), 'b');
  });

  test('tells of files, folders, lists and statistics', async () => {
    const told = await python<Settings>(`
      import time
      file, folder = art.artifacts.info(f'{repo}/up/data.bin'), art.artifacts.info(f'{repo}/tree')
      listed = art.artifacts.list(f'{repo}/tree')
      result = {
          'types': [type(file).__name__, type(folder).__name__],
          'file': [file.repo, file.path, file.createdBy, file.mimeType, file.created == file.lastModified],
          'children': sorted((child.uri, child.folder) for child in folder.children),
          'list': sorted((each.uri, each.folder, each.size) for each in listed.files),
          'sum': [each.sha1 for each in listed.files if each.uri == '/a.txt'],
          'flat': sorted(each.uri for each in art.artifacts.list(f'{repo}/tree', recursive=False).files),
          'files': sorted(each.uri for each in art.artifacts.list(f'{repo}/tree', list_folders=False).files),
          'depth': sorted(each.uri for each in art.artifacts.list(repo, depth=1).files),
          'none': [fails(lambda: art.artifacts.info(f'{repo}/none')), fails(lambda: art.artifacts.list(f'{repo}/none'))],
      }
      for attempt in range(100):
          stats = art.artifacts.stats(f'{repo}/up/data.bin')
          if stats.downloadCount >= 2:
              break
          time.sleep(0.1)
      result['stats'] = [stats.downloadCount, stats.lastDownloadedBy, stats.lastDownloaded > 0, stats.remoteDownloadCount]
    `);
    assert.deepEqual(told, {
      types: ['ArtifactFileInfoResponse', 'ArtifactFolderInfoResponse'],
      file: [repo, '/up/data.bin', target.username, 'application/octet-stream', true],
      children: [
        ['/a.txt', false],
        ['/deep', true],
      ],
      list: [
        ['/a.txt', false, 1],
        ['/deep', true, -1],
        ['/deep/b.txt', false, 1],
      ],
      sum: [hashOf('sha1', Buffer.from('a'))],
      flat: ['/a.txt', '/deep'],
      files: ['/a.txt', '/deep/b.txt'],
      depth: ['/tree', '/up'],
      none: ['ArtifactNotFoundError', 'ArtifactNotFoundError'],
      stats: [2, target.username, true, 0],
    });
  });

  test('gets, sets and updates properties', async () => {
    const told = await python<Settings>(`
      path = f'{repo}/tree'
      result = {
          'absent': fails(lambda: art.artifacts.properties(path)),
          'set': art.artifacts.set_properties(path, {'a': ['1', '2'], 'b': ['x y']}).properties,
          'some': art.artifacts.properties(path, ['a']).properties,
          'updated': art.artifacts.update_properties(path, {'a': ['3'], 'c': ['d=e;f']}, recursive=False).properties,
          'none': fails(lambda: art.artifacts.set_properties(f'{repo}/none', {'a': ['1']})),
          'bad': fails(lambda: art.artifacts.set_properties(path, {'bad*key': ['1']})),
      }
    `);
    const all = { a: ['1', '2'], b: ['x y'] };
    const updated = { a: ['3'], b: ['x y'], c: ['d=e;f'] };
    assert.deepEqual(told, {
      absent: 'PropertyNotFoundError',
      set: all,
      some: { a: ['1', '2'] },
      updated,
      none: 'ArtifactNotFoundError',
      bad: 'BadPropertiesError',
    });
    assert.deepEqual(await server.propertiesOf(`${repo}/tree`), updated);
    for (const path of ['a.txt', 'deep', 'deep/b.txt']) {
      assert.deepEqual(await server.propertiesOf(`${repo}/tree/${path}`), all);
    }
  });

  test('copies, moves and deletes', async () => {
    const told = await python<Settings>(`
      result = {
          'dry': fails(lambda: art.artifacts.copy(f'{repo}/up', f'{other}/dry', dryrun=True)),
          'copied': art.artifacts.copy(f'{repo}/up/data.bin', f'{other}/copied/data.bin').path,
          'moved': art.artifacts.move(f'{repo}/tree', f'{other}/moved').path,
          'none': fails(lambda: art.artifacts.copy(f'{repo}/none', f'{other}/none')),
      }
      art.artifacts.delete(f'{repo}/up/linked.bin')
    `);
    assert.deepEqual(told, {
      dry: 'ArtifactNotFoundError',
      copied: '/copied/data.bin',
      moved: '/moved',
      none: 'HTTPError',
    });
    assert.deepEqual(await server.filesBelow(other), ['/copied/data.bin', '/moved/a.txt', '/moved/deep/b.txt']);
    assert.deepEqual(await server.propertiesOf(`${other}/copied/data.bin`), { k: ['v'], many: ['a', 'b'] });
    assert.deepEqual(await server.filesBelow(repo), ['/up/data.bin']);
  });

  test('creates, reads, updates and lists users and groups', async () => {
    const told = await python<Settings>(`
      group = Group(name=f'{run}-group', description='first')
      user = NewUser(name=f'{run}-user', password='S3cret-of-user', email='user@example.com', groups=[group.name])
      result = {'group': art.groups.create(group).description, 'user': art.users.create(user).email}
      result['again'] = [fails(lambda: art.groups.create(group)), fails(lambda: art.users.create(user))]
      group.description = 'second'
      changed = User(name=user.name, email='other@example.com', groups=[group.name])
      result['changed'] = [art.groups.update(group).description, art.users.update(changed).email]
      result['members'] = art.groups.get(group.name).userNames
      result['listed'] = [group.name in [each.name for each in art.groups.list()],
                          user.name in [each.name for each in art.users.list()]]
      art.users.unlock(user.name)
    `);
    assert.deepEqual(told, {
      group: 'first',
      user: 'user@example.com',
      again: ['GroupAlreadyExistsError', 'UserAlreadyExistsError'],
      changed: ['second', 'other@example.com'],
      members: [`${run}-user`],
      listed: [true, true],
    });
    const user = await server.json<Settings>(`api/security/users/${run}-user`);
    assert.equal(user['email'], 'other@example.com');
    const group = await server.json<Settings>(`api/security/groups/${run}-group?includeUsers=true`);
    assert.deepEqual([group['description'], group['userNames']], ['second', [`${run}-user`]]);
  });

  test('grants rights by both forms of permissions, and withdraws them', async () => {
    const told = await python<Settings>(`
      user, group = f'{run}-user', f'{run}-group'
      own = Artifactory(url=url, auth=(user, SecretStr('S3cret-of-user')))
      reads = lambda: fails(lambda: own.artifacts.info(f'{repo}/up/data.bin'))
      result = {'before': reads()}
      first = Permission(name=f'{run}-one', repositories=[repo],
                         principals=PrincipalsPermission(groups={group: [PermissionEnum.read]}))
      made = art.permissions.create(first)
      result['one'] = [made.repositories, made.includesPattern, reads(), fails(lambda: art.permissions.create(first))]
      first.principals = PrincipalsPermission(users={user: [PermissionEnum.read, PermissionEnum.deploy]})
      made = art.permissions.update(first)
      result['changed'] = sorted(right.value for right in made.principals.users[user])
      own.artifacts.deploy('tree/a.txt', f'{repo}/up/own.txt')
      art.permissions.delete(first.name)
      result['withdrawn'] = reads()
      two = Artifactory(url=url, auth=(username, SecretStr(password)), api_version=2)
      second = PermissionV2(name=f'{run}-two', repo=RepoV2(
          repositories=[repo], includePatterns=['up/**'], excludePatterns=['up/own*'],
          actions=PrincipalsPermissionV2(users={user: [PermissionEnumV2.read]})))
      made = two.permissions.create(second)
      result['two'] = [made.repo.repositories, made.repo.includePatterns, made.repo.excludePatterns, reads(),
                       fails(lambda: own.artifacts.info(f'{repo}/up/own.txt'))]
      second.repo.excludePatterns = []
      two.permissions.update(second)
      result['wider'] = fails(lambda: own.artifacts.info(f'{repo}/up/own.txt'))
      result['listed'] = second.name in [each.name for each in two.permissions.list()]
    `);
    const { before: refused, withdrawn, two, ...rest } = told;
    assert.deepEqual(rest, {
      one: [[repo], '**', null, 'PermissionAlreadyExistsError'],
      changed: ['r', 'w'],
      wider: null,
      listed: true,
    });
    const [repositories, includes, excludes, read, hidden] = two as unknown[];
    assert.deepEqual([repositories, includes, excludes, read], [[repo], ['up/**'], ['up/own*'], null]);
    for (const refusal of [refused, withdrawn, hidden]) assert.match(String(refusal), /Error/);
    assert.equal(await server.textOf(`${repo}/up/own.txt`), 'a');
    assert.equal(await server.statusOf(`api/security/permissions/${run}-one`), 404);
    const permission = await server.json<{ repo: Settings }>(`api/v2/security/permissions/${run}-two`);
    assert.deepEqual(permission.repo['actions'], { users: { [`${run}-user`]: ['read'] } });
    await python(`
      Artifactory(url=url, auth=(username, SecretStr(password)), api_version=2).permissions.delete(f'{run}-two')
    `);
    assert.equal(await server.statusOf(`api/v2/security/permissions/${run}-two`), 404);
  });

  test('creates tokens, which authenticate until they are revoked', async () => {
    const told = await python<unknown[]>(`
      token = art.security.create_access_token(user_name=f'{run}-user', expires_in=600)
      bearer = Artifactory(url=url, access_token=token.access_token)
      status = lambda: fails(bearer.repositories.list)
      result = [token.token_type, token.expires_in, status()]
      result.append(art.security.revoke_access_token(token.access_token))
      result.append(status())
    `);
    assert.deepEqual(told, ['Bearer', 600, null, true, 'HTTPError']);
  });

  test('deletes users and groups', async () => {
    await python(`
      art.users.delete(f'{run}-user')
      art.groups.delete(f'{run}-group')
    `);
    assert.equal(await server.statusOf(`api/security/users/${run}-user`), 404);
    assert.equal(await server.statusOf(`api/security/groups/${run}-group`), 404);
  });
});
