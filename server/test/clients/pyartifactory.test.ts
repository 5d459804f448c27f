import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { pythonScripts } from './python-script.ts';
import { ServerFacts } from './server-facts.ts';

type Settings = Readonly<Record<string, unknown>>;

interface BuildInfo {
  readonly statuses?: readonly { readonly status: string; readonly repository?: string; readonly ciUser?: string }[];
  readonly modules?: readonly { readonly id: string; readonly artifacts?: readonly { readonly name: string }[] }[];
}

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
      # Tokens are made by a service beside Artifactory, so the library is told the address that both have in common.
      platform = Artifactory(url=url.removesuffix('/artifactory'), auth=(username, SecretStr(password)))
      token = platform.security.create_access_token(user_name=f'{run}-user', expires_in=600)
      bearer = Artifactory(url=url, access_token=token.access_token)
      status = lambda: fails(bearer.repositories.list)
      result = [token.token_type, token.expires_in, status()]
      result.append(platform.security.revoke_access_token(token.access_token))
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

  const build = `${run}-build`;
  const buildOf = async (name: string, number: string) =>
    (await server.json<{ buildInfo: BuildInfo }>(`api/build/${name}/${number}`)).buildInfo;

  test('publishes a build', async () => {
    const told = await python(`
      from pyartifactory.models.build import *
      request = BuildCreateRequest(
          name=f'{run}-build', number='1', started='2026-01-01T00:00:00.000+0000', properties={'shown': 'yes'},
          vcs=[Vcs(url='https://example.com/sources.git', revision='1' * 40)],
          modules=[BuildSingleModule(id='m', artifacts=[Artifacts(type='bin', name='1.bin', sha1='0' * 40, md5='0' * 32)])])
      art.builds.create_build(request)
      without_files = request.model_copy(update={'number': '2', 'properties': {}, 'modules': []})
      art.builds.create_build(without_files)
      result = fails(lambda: art.builds.create_build(without_files))
    `);
    assert.equal(told, 'ArtifactoryError');
    const published = await buildOf(build, '1');
    assert.deepEqual([published.modules?.[0]?.id, published.modules?.[0]?.artifacts?.[0]?.name], ['m', '1.bin']);
    assert.equal((published as { properties?: Settings }).properties?.['shown'], 'yes');
  });

  test('lists, shows and compares builds', async () => {
    // As other tools publish them: what the library publishes lacks checksums that it asks for when it reads.
    for (const number of ['3', '4']) {
      const content = Buffer.from(`of ${number}`);
      await server.deploy(`${repo}/builds/${number}.bin;build.name=${build};build.number=${number}`, `of ${number}`);
      const sums = Object.fromEntries(['sha1', 'md5', 'sha256'].map((name) => [name, hashOf(name, content)]));
      const artifacts = [{ type: 'bin', name: `${number}.bin`, path: `builds/${number}.bin`, ...sums }];
      const started = `2026-01-0${number}T00:00:00.000+0000`;
      const document = { version: '1.0.1', name: build, number, started, modules: [{ id: 'm', artifacts }] };
      assert.equal((await server.ask('PUT', 'api/build', document)).status, 204);
    }
    const told = await python<Settings>(`
      info = art.builds.get_build_info(f'{run}-build', '3').buildInfo
      result = {
          'listed': f'/{run}-build' in [each.uri for each in art.builds.list().builds],
          'runs': [each.uri for each in art.builds.get_build_runs(f'{run}-build').buildsNumbers],
          'info': [info.number, info.artifactoryPrincipal, [each.path for each in info.modules[0].artifacts]],
          'none': fails(lambda: art.builds.get_build_info(f'{run}-none', '1')),
          # The library cannot read the entries of a comparison, which are objects and no texts.
          'diff': art.builds.build_diff(f'{run}-build', '2', '2').artifacts.model_dump(),
      }
    `);
    assert.deepEqual(told, {
      listed: true,
      runs: ['/4', '/3', '/2', '/1'],
      info: ['3', target.username, ['builds/3.bin']],
      none: 'BuildNotFoundError',
      diff: { updated: [], unchanged: [], removed: [], new: [] },
    });
  });

  test('promotes and renames builds', async () => {
    const told = await python<unknown>(`
      from pyartifactory.models.build import *
      request = BuildPromotionRequest(status='released', comment='fine', ciUser='ci', sourceRepo=repo, targetRepo=other,
                                      timestamp='2026-01-03T00:00:00.000+0000', properties={'promoted': ['yes']})
      result = art.builds.promote_build(f'{run}-build', '4', request).messages
      art.builds.build_rename(f'{run}-build', f'{run}-renamed')
    `);
    assert.ok(Array.isArray(told));
    assert.equal(await server.textOf(`${other}/builds/4.bin`), 'of 4');
    assert.deepEqual((await server.propertiesOf(`${other}/builds/4.bin`))['promoted'], ['yes']);
    const [status] = (await buildOf(`${run}-renamed`, '4')).statuses ?? [];
    assert.deepEqual([status?.status, status?.repository, status?.ciUser], ['released', other, 'ci']);
    assert.equal(await server.statusOf(`api/build/${build}`), 404);
  });

  test('deletes builds', async () => {
    await python(`
      from pyartifactory.models.build import *
      art.builds.delete(BuildDeleteRequest(buildName=f'{run}-renamed', buildNumbers=['4'], deleteArtifacts=True))
    `);
    assert.equal(await server.statusOf(`api/build/${run}-renamed/4`), 404);
    assert.equal(await server.statusOf(`api/build/${run}-renamed/3`), 200);
    assert.equal(await server.statusOf(`${other}/builds/4.bin`), 404);
    await python(`
      from pyartifactory.models.build import *
      art.builds.delete(BuildDeleteRequest(buildName=f'{run}-renamed', deleteAll=True))
    `);
    assert.equal(await server.statusOf(`api/build/${run}-renamed`), 404);
  });
});
