import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSuite } from './client-suite.ts';
import { buildImage, buildLayer } from './oci-layout.ts';
import { pythonScripts } from './python-script.ts';
import { pushImage } from './registry-api.ts';
import { ServerFacts } from './server-facts.ts';
import { renderTar } from './tar.ts';

interface BuildInfo {
  readonly statuses?: readonly { readonly status: string; readonly repository?: string; readonly comment?: string }[];
}

const hashOf = (algorithm: string, bytes: Buffer) => createHash(algorithm).update(bytes).digest('hex');

clientSuite('dohq-artifactory', (client) => {
  const { target } = client;
  const server = new ServerFacts(target);
  const run = `dohq-${randomBytes(3).toString('hex')}`;
  const [repo, other, images] = [`${run}-a`, `${run}-b`, `${run}-images`];
  const work = join(client.folder, 'work');
  const bytes = randomBytes(100_000);
  const text = 'first\nsecond\n';
  const python = pythonScripts(client, {
    cwd: work,
    values: { url: server.root, username: target.username, password: target.password, run, repo, other, images },
    prelude: [
      'import artifactory, io, tarfile, zipfile',
      'from artifactory import ArtifactoryPath, ArtifactoryBuildManager',
      'from dohq_artifactory import *',
      'top = ArtifactoryPath(url, auth=(username, password))',
      'root = top / repo',
    ].join('\n'),
  });

  before(async () => {
    await mkdir(join(work, 'unpacked/deep'), { recursive: true });
    await writeFile(join(work, 'data.bin'), bytes);
    await writeFile(join(work, 'text.txt'), text);
    await writeFile(join(work, 'pack.tar'), renderTar({ 'a.txt': 'a', 'deep/b.txt': 'b' }));
    for (const key of [repo, other]) await server.createRepository(key);
    await server.createRepository(images, { packageType: 'docker' });
  });
  after(async () => await server.deleteRepositories(repo, other, images, `${run}-virtual`, `${run}-docker`));

  test('refuses a wrong password', async () => {
    const refused = await python<string>(`
      try:
          (ArtifactoryPath(url, auth=(username, 'wrong')) / repo).stat()
      except artifactory.ArtifactoryException as error:
          result = str(error)
    `);
    assert.match(refused, /401|Unauthorized|credentials/i);
  });

  test('deploys files with checksums and properties', async () => {
    await python(`
      (root / 'up' / 'data.bin').deploy_file('data.bin', parameters={'k': 'v', 'many': ['a', 'b'], 'odd': 'x=y z'})
      (root / 'up' / 'with space & more.txt').deploy_file('text.txt')
      (root / 'up').deploy_file('text.txt')
    `);
    const { size, checksums } = await server.infoOf(`${repo}/up/data.bin`);
    const sums = { sha1: hashOf('sha1', bytes), md5: hashOf('md5', bytes), sha256: hashOf('sha256', bytes) };
    assert.deepEqual([size, checksums], [String(bytes.length), sums]);
    assert.deepEqual(await server.propertiesOf(`${repo}/up/data.bin`), { k: ['v'], many: ['a', 'b'], odd: ['x=y z'] });
    assert.equal(await server.textOf(`${repo}/up/with%20space%20&%20more.txt`), text);
    assert.equal(await server.textOf(`${repo}/up/text.txt`), text);
  });

  test('has a file refused whose checksum is another', async () => {
    const refused = await python<string>(`
      try:
          (root / 'up' / 'broken.bin').deploy(io.BytesIO(b'other bytes'), sha1='0' * 40)
      except artifactory.ArtifactoryException as error:
          result = str(error)
    `);
    assert.match(refused, /0{40}/);
    assert.equal(await server.statusOf(`${repo}/up/broken.bin`), 404);
  });

  test('deploys from streams, and writes bytes and text', async () => {
    await python(`
      (root / 'streams' / 'from-memory').deploy(io.BytesIO(b'from memory'), parameters={'quick': 'yes'})
      with (root / 'up' / 'data.bin').open() as file:
          (root / 'streams' / 'from-server').deploy(file)
      (root / 'streams' / 'bytes').write_bytes(b'\\x00\\xff')
      (root / 'streams' / 'text').write_text('grün')
      (root / 'streams' / 'empty').touch()
    `);
    assert.equal(await server.textOf(`${repo}/streams/from-memory`), 'from memory');
    assert.deepEqual(await server.propertiesOf(`${repo}/streams/from-memory`), { quick: ['yes'] });
    const { checksums } = await server.infoOf(`${repo}/streams/from-server`);
    assert.equal(checksums?.sha256, hashOf('sha256', bytes));
    assert.equal((await server.infoOf(`${repo}/streams/bytes`)).size, '2');
    assert.equal(await server.textOf(`${repo}/streams/text`), 'grün');
    assert.equal((await server.infoOf(`${repo}/streams/empty`)).size, '0');
  });

  test('links what the server has already by its checksum', async () => {
    const refused = await python<string>(`
      sums = (root / 'up' / 'data.bin').stat()
      (root / 'linked' / 'by-sha1').deploy_by_checksum(sha1=sums.sha1)
      (root / 'linked' / 'by-sha256').deploy_by_checksum(sha256=sums.sha256, parameters={'linked': 'yes'})
      (root / 'linked' / 'by-either').deploy_by_checksum(checksum=sums.sha256)
      try:
          (root / 'linked' / 'unknown').deploy_by_checksum(sha1='1' * 40)
      except artifactory.ArtifactoryException as error:
          result = str(error.__cause__.response.status_code)
    `);
    assert.equal(refused, '404');
    for (const name of ['by-sha1', 'by-sha256', 'by-either']) {
      assert.equal((await server.infoOf(`${repo}/linked/${name}`)).checksums?.sha256, hashOf('sha256', bytes));
    }
    assert.deepEqual(await server.propertiesOf(`${repo}/linked/by-sha256`), { linked: ['yes'] });
    assert.equal(await server.statusOf(`${repo}/linked/unknown`), 404);
  });

  test('has archives unpacked by the server', async () => {
    await python(`
      (root / 'exploded' / 'pack.tar').deploy_file('pack.tar', explode_archive=True)
      (root / 'atomic' / 'pack.tar').deploy_file('pack.tar', explode_archive=True, explode_archive_atomic=True)
    `);
    for (const folder of ['exploded', 'atomic']) {
      assert.deepEqual(await server.filesBelow(`${repo}/${folder}`), ['/a.txt', '/deep/b.txt']);
    }
  });

  test('tells what files and folders are', async () => {
    const told = await python<Record<string, unknown>>(`
      file, folder, none = root / 'up' / 'data.bin', root / 'up', root / 'none'
      stat = file.stat()
      result = {
          'size': stat.size, 'sums': [stat.sha1, stat.md5, stat.sha256], 'dir': stat.is_dir, 'repo': stat.repo,
          'by': [stat.created_by, stat.modified_by, file.owner(), file.creator()], 'mime': stat.mime_type,
          'created': stat.created.isoformat(), 'children': sorted(folder.stat().children),
          'is': [file.is_file(), file.is_dir(), folder.is_file(), folder.is_dir(), none.is_file(), none.exists()],
          'exists': [file.exists(), folder.exists(), root.exists()], 'path': file.path_in_repo,
      }
      try:
          none.stat()
      except OSError as error:
          result['errno'] = error.errno
    `);
    const user = target.username;
    const info = await server.infoOf(`${repo}/up/data.bin`);
    assert.deepEqual(
      { ...told, created: Date.parse(told['created'] as string) },
      {
        size: bytes.length,
        sums: [info.checksums?.sha1, info.checksums?.md5, info.checksums?.sha256],
        dir: false,
        repo,
        by: [user, user, user, user],
        mime: 'application/octet-stream',
        created: Date.parse(info.created),
        children: ['data.bin', 'text.txt', 'with space & more.txt'],
        is: [true, false, false, true, false, false],
        exists: [true, true, true],
        path: '/up/data.bin',
        errno: 2,
      },
    );
  });

  test('lists, matches and walks folders', async () => {
    const told = await python<Record<string, unknown>>(`
      def names(paths): return sorted(path.path_in_repo for path in paths)
      result = {
          'iterdir': names((root / 'exploded').iterdir()),
          'glob': names(root.glob('up/*.txt')),
          'deep': names(root.glob('**/b.txt')),
          'rglob': names((root / 'exploded').rglob('*.txt')),
          'walk': [[top.path_in_repo, dirs, files] for top, dirs, files in artifactory.walk(root / 'exploded')],
      }
    `);
    assert.deepEqual(told, {
      iterdir: ['/exploded/a.txt', '/exploded/deep'],
      glob: ['/up/text.txt', '/up/with space & more.txt'],
      deep: ['/atomic/deep/b.txt', '/exploded/deep/b.txt'],
      rglob: ['/exploded/a.txt', '/exploded/deep/b.txt'],
      walk: [
        ['/exploded', ['deep'], ['a.txt']],
        ['/exploded/deep', [], ['b.txt']],
      ],
    });
  });

  test('reads files, and what is counted of it', async () => {
    const told = await python<Record<string, unknown>>(`
      import time
      file = root / 'up' / 'text.txt'
      with file.open() as stream:
          opened = stream.read().decode()
      with open('back.bin', 'wb') as out:
          (root / 'up' / 'data.bin').writeto(out, chunk_size=1000, progress_func=None)
      result = {'opened': opened, 'text': file.read_text(), 'bytes': len((root / 'up' / 'data.bin').read_bytes())}
      for attempt in range(100):
          stats = file.download_stats()
          if stats.download_count >= 2:
              break
          time.sleep(0.1)
      result['stats'] = [stats.last_downloaded_by, stats.remote_download_count, stats.download_count]
    `);
    assert.deepEqual(await readFile(join(work, 'back.bin')), bytes);
    const { downloadCount } = await server.json<{ downloadCount: number }>(`api/storage/${repo}/up/text.txt?stats`);
    const stats = [target.username, 0, downloadCount];
    assert.deepEqual(told, { opened: text, text, bytes: bytes.length, stats });
  });

  test('makes and removes folders and files', async () => {
    const told = await python<unknown[]>(`
      (root / 'made').mkdir()
      (root / 'made' / 'deep' / 'er').mkdir(parents=True, exist_ok=True)
      (root / 'made' / 'file').touch()
      result = []
      for mistake in [(root / 'made').mkdir, (root / 'made' / 'file').rmdir, (root / 'made' / 'none').unlink]:
          try:
              mistake()
          except OSError as error:
              result.append(error.errno)
      (root / 'made' / 'file').unlink()
      (root / 'made' / 'deep').rmdir()
    `);
    assert.deepEqual(told, [17, 20, 2]);
    assert.deepEqual((await server.infoOf(`${repo}/made`)).children, []);
    await python(`(root / 'made').unlink()`);
    assert.equal(await server.statusOf(`api/storage/${repo}/made`), 404);
  });

  test('gets, sets, updates and deletes properties', async () => {
    const told = await python<Record<string, unknown>>(`
      file = root / 'streams' / 'text'
      before = file.properties
      file.properties = {'a': '1', 'list': ['x', 'y'], 'signs': 'a=b;c,d|e\\\\f'}
      after = file.properties
      file.update_properties({'a': '2', 'new': 'n', 'list': None})
      result = {'before': before, 'after': after, 'updated': file.properties}
    `);
    assert.deepEqual(told, {
      before: {},
      after: { a: ['1'], list: ['x', 'y'], signs: ['a=b;c,d|e\\f'] },
      updated: { a: ['2'], new: ['n'], signs: ['a=b;c,d|e\\f'] },
    });
    assert.deepEqual(await server.propertiesOf(`${repo}/streams/text`), told['updated']);
    await python(`(root / 'streams' / 'text').del_properties(['new', 'signs'])`);
    assert.deepEqual(await server.propertiesOf(`${repo}/streams/text`), { a: ['2'] });
    await python(`del (root / 'streams' / 'text').properties`);
    assert.deepEqual(await server.propertiesOf(`${repo}/streams/text`), {});
  });

  test('sets and deletes properties of folders with all in them, or without', async () => {
    const paths = ['exploded', 'exploded/a.txt', 'exploded/deep', 'exploded/deep/b.txt'];
    const properties = () => Promise.all(paths.map((path) => server.propertiesOf(`${repo}/${path}`)));
    await python(`(root / 'exploded').set_properties({'all': 'yes', 'gone': 'soon'})`);
    assert.deepEqual(await properties(), Array(4).fill({ all: ['yes'], gone: ['soon'] }));
    await python(`
      (root / 'exploded').set_properties({'only': 'here'}, recursive=False)
      (root / 'exploded').del_properties(['gone'], recursive=True)
    `);
    const rest = { all: ['yes'] };
    assert.deepEqual(await properties(), [{ ...rest, only: ['here'] }, rest, rest, rest]);
  });

  test('copies and moves', async () => {
    const dry = await python<{ messages: { level: string }[] }>(`
      (root / 'up' / 'data.bin').copy(top / other / 'copied' / 'data.bin')
      (root / 'exploded').copy(top / other / 'tree')
      (root / 'linked' / 'by-sha1').move(top / other / 'moved' / 'by-sha1')
      (root / 'atomic').move(top / other / 'moved' / 'atomic')
      result = (root / 'up').copy(top / other / 'dry', dry_run=True)
      (root / 'up').move(top / other / 'dry', dry_run=True)
    `);
    assert.ok(dry.messages.length > 0);
    assert.deepEqual(await server.filesBelow(other), [
      '/copied/data.bin',
      '/moved/atomic/a.txt',
      '/moved/atomic/deep/b.txt',
      '/moved/by-sha1',
      '/tree/a.txt',
      '/tree/deep/b.txt',
    ]);
    assert.deepEqual(await server.propertiesOf(`${other}/copied/data.bin`), {
      k: ['v'],
      many: ['a', 'b'],
      odd: ['x=y z'],
    });
    assert.equal(await server.statusOf(`${repo}/up/data.bin`), 200);
    for (const gone of ['linked/by-sha1', 'atomic']) assert.equal(await server.statusOf(`${repo}/${gone}`), 404);
  });

  test('fetches folders as archives', async () => {
    const told = await python<Record<string, string[]>>(`
      result = {}
      for kind in ['zip', 'tar', 'tar.gz', 'tgz']:
          with open('archive', 'wb') as out:
              (top / other / 'tree').archive(archive_type=kind).writeto(out, progress_func=None)
          if kind == 'zip':
              members = [each.filename for each in zipfile.ZipFile('archive').infolist() if not each.is_dir()]
          else:
              members = [each.name for each in tarfile.open('archive').getmembers() if each.isfile()]
          result[kind] = sorted(members)
    `);
    const files = ['a.txt', 'deep/b.txt'];
    assert.deepEqual(told, { zip: files, tar: files, 'tar.gz': files, tgz: files });
  });

  test('searches with AQL', async () => {
    const told = await python<Record<string, unknown>>(`
      found = top.aql('items.find', {'repo': repo, '@k': 'v'}, '.include', ['name', 'path', 'repo', 'type'])
      result = {
          'found': found,
          'paths': [top.from_aql(each).path_in_repo for each in found],
          'text': [each['path'] for each in top.aql(
              'items.find({"repo": "%s", "type": "folder", "name": "deep", "path": {"$match": "mo*"}}).limit(1)' % other)],
          'sorted': [each['name'] for each in top.aql(
              'items.find', {'$and': [{'repo': repo}, {'path': 'up'}]}, '.include', ['name'],
              '.sort', {'$desc': ['name']}, '.offset', 1, '.limit', 2)],
      }
    `);
    assert.deepEqual(told, {
      found: [{ repo, path: 'up', name: 'data.bin', type: 'file' }],
      paths: ['/up/data.bin'],
      text: ['moved/atomic'],
      sorted: ['text.txt', 'data.bin'],
    });
  });

  test('brings back what was deleted from the trash can', async () => {
    const trashed = await python(`
      (root / 'streams' / 'from-memory').unlink()
      trashed = top / 'auto-trashcan' / repo / 'streams' / 'from-memory'
      result = [trashed.exists(), (root / 'streams' / 'from-memory').exists(), trashed.properties['trash.originalPath']]
      response = top.session.post(f'{url}/api/trash/restore/{repo}/streams/from-memory?to={repo}/restored')
      response.raise_for_status()
    `);
    assert.deepEqual(trashed, [true, false, ['streams/from-memory']]);
    assert.equal(await server.textOf(`${repo}/restored`), 'from memory');
    assert.equal(await server.statusOf(`${repo}/streams/from-memory`), 404);
  });

  test('promotes docker images', async () => {
    await server.createRepository(`${run}-docker`, { packageType: 'docker' });
    const image = buildImage([buildLayer({ 'file.txt': run })], { os: 'linux', architecture: 'amd64' });
    await pushImage(`${images}/app`, '1.0', image);
    await python(`
      top.promote_docker_image(images, f'{run}-docker', 'app', '1.0', copy=True)
      top.promote_docker_image(images, f'{run}-docker', 'app', '1.0', target_docker_repo='final', target_tag='2.0')
    `);
    const tags = async (key: string, name: string) =>
      (await server.json<{ tags: string[] }>(`api/docker/${key}/v2/${name}/tags/list`)).tags;
    assert.deepEqual(await tags(`${run}-docker`, 'app'), ['1.0']);
    assert.deepEqual(await tags(`${run}-docker`, 'final'), ['2.0']);
    assert.equal(await server.statusOf(`${images}/app/1.0/manifest.json`), 404);
  });

  test('lists, shows, compares and promotes builds', async () => {
    const name = `${run}/build`;
    for (const number of ['1', '2']) {
      const file = `${repo}/builds/${number}.bin;build.name=${encodeURIComponent(name)};build.number=${number}`;
      await server.deploy(file, `of ${number}`);
      const sha1 = hashOf('sha1', Buffer.from(`of ${number}`));
      const build = {
        version: '1.0.1',
        name,
        number,
        started: `2026-01-0${number}T00:00:00.000+0000`,
        modules: [{ id: 'm', artifacts: [{ type: 'bin', name: `${number}.bin`, sha1 }] }],
      };
      assert.equal((await server.ask('PUT', 'api/build', build)).status, 204);
    }
    const told = await python<Record<string, unknown>>(`
      manager = ArtifactoryBuildManager(url, auth=(username, password))
      [build] = [each for each in manager.builds if each.name == f'{run}/build']
      runs = {each.run_number: each for each in build.runs}
      result = {'runs': sorted(runs), 'number': runs['1'].info['buildInfo']['number'],
                'diff': sorted(each['name'] for each in runs['2'].diff('1')['artifacts']['new'])}
      runs['2'].promote(ci_user='ci', properties={'promoted': ['yes']}, status='released', comment='fine',
                        target_repo=other, require_copy=True)
    `);
    assert.deepEqual(told, { runs: ['1', '2'], number: '1', diff: ['2.bin'] });
    assert.equal(await server.textOf(`${other}/builds/2.bin`), 'of 2');
    assert.deepEqual((await server.propertiesOf(`${other}/builds/2.bin`))['promoted'], ['yes']);
    const { buildInfo } = await server.json<{ buildInfo: BuildInfo }>(`api/build/${encodeURIComponent(name)}/2`);
    const [status] = buildInfo.statuses ?? [];
    assert.deepEqual([status?.status, status?.repository, status?.comment], ['released', other, 'fine']);
    await server.ask('POST', 'api/build/delete', { buildName: name, deleteAll: true });
  });
});
