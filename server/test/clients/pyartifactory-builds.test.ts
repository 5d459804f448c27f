import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { clientSuite } from './client-suite.ts';
import { pythonScripts } from './python-script.ts';
import { ServerFacts } from './server-facts.ts';

type Settings = Readonly<Record<string, unknown>>;

interface BuildInfo {
  readonly properties?: Settings;
  readonly statuses?: readonly { readonly status: string; readonly repository?: string; readonly ciUser?: string }[];
  readonly modules?: readonly { readonly id: string; readonly artifacts?: readonly { readonly name: string }[] }[];
}

const hashOf = (algorithm: string, bytes: Buffer) => createHash(algorithm).update(bytes).digest('hex');

clientSuite('pyartifactory', (client) => {
  const { target } = client;
  const server = new ServerFacts(target);
  const run = `pyart-${randomBytes(3).toString('hex')}`;
  const [repo, other] = [`${run}-a`, `${run}-b`];
  const python = pythonScripts(client, {
    cwd: client.folder,
    values: { url: server.root, username: target.username, password: target.password, run, repo, other },
    prelude: [
      'from pyartifactory import Artifactory',
      'from pyartifactory.models.build import *',
      'from pydantic import SecretStr',
      'art = Artifactory(url=url, auth=(username, SecretStr(password)))',
      'def fails(call):',
      '    try: call()',
      '    except Exception as error: return type(error).__name__',
    ].join('\n'),
  });
  const build = `${run}-build`;
  const buildOf = async (name: string, number: string) =>
    (await server.json<{ buildInfo: BuildInfo }>(`api/build/${name}/${number}`)).buildInfo;

  before(async () => {
    for (const key of [repo, other]) await server.createRepository(key);
  });
  after(async () => {
    for (const name of [build, `${run}-renamed`]) {
      await server.ask('POST', 'api/build/delete', { buildName: name, deleteAll: true });
    }
    await server.deleteRepositories(repo, other);
  });

  test('publishes a build', async () => {
    const told = await python(`
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
    assert.equal(published.properties?.['shown'], 'yes');
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
      request = BuildPromotionRequest(status='released', comment='fine', ciUser='ci', sourceRepo=repo, targetRepo=other,
                                      timestamp='2026-01-03T00:00:00.000+0000', properties={'promoted': ['yes']})
      result = art.builds.promote_build(f'{run}-build', '4', request).messages
      art.builds.build_rename(f'{run}-build', f'{run}-renamed')
    `);
    assert.ok(Array.isArray(told));
    assert.equal(await server.textOf(`${other}/builds/4.bin`), 'of 4');
    assert.deepEqual((await server.propertiesOf(`${other}/builds/4.bin`))['promoted'], ['yes']);
    // The server renames in the background, run by run.
    await eventually(async () => assert.equal(await server.statusOf(`api/build/${build}`), 404));
    const [status] = (await buildOf(`${run}-renamed`, '4')).statuses ?? [];
    assert.deepEqual([status?.status, status?.repository, status?.ciUser], ['released', other, 'ci']);
  });

  test('deletes builds', async () => {
    await python(`
      art.builds.delete(BuildDeleteRequest(buildName=f'{run}-renamed', buildNumbers=['4'], deleteArtifacts=True))
    `);
    assert.equal(await server.statusOf(`api/build/${run}-renamed/4`), 404);
    assert.equal(await server.statusOf(`api/build/${run}-renamed/3`), 200);
    assert.equal(await server.statusOf(`${other}/builds/4.bin`), 404);
    await python(`
      art.builds.delete(BuildDeleteRequest(buildName=f'{run}-renamed', deleteAll=True))
    `);
    assert.equal(await server.statusOf(`api/build/${run}-renamed`), 404);
  });
});
