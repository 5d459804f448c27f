/** Documents that are built on earlier ones say what those say that are built anew. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rows } from '../../../test/formats/rows.ts';
import type { RepoPath } from '../../core/ids.ts';
import { Rendered } from '../../lib/rendered.ts';
import { buildList, buildProject } from './local-documents.ts';
import { mergeNames, mergeProjects, type Project, type ProjectList } from './project.ts';
import { JSON_TYPE, renderProject, renderRoot, TEXT_HTML } from './simple.ts';

const ADDRESSES = { files: '../../packages', absolute: 'https://here.example/api/pypi/r' };

function put(rows: Rows, name: string, version: string, more: { folder?: string; yanked?: string } = {}): void {
  const filename = `${name}-${version}.tar.gz`;
  const home = `${name}/${version}/${filename}`;
  const path = (more.folder === undefined ? home : `${more.folder}/${filename}`) as RepoPath;
  const { yanked } = more;
  const metadata = { version, kind: 'sdist', python: 'source', ...(yanked !== undefined && { yanked }) };
  const row = more.folder === undefined ? `${version}/${filename}` : `${version}/@/${path}`;
  rows.put({ package: name, version: row, path, metadata, digest: more.folder === undefined ? 'aa' : 'bb' });
}

async function textOf(project: Project, type = JSON_TYPE): Promise<string> {
  return (await Rendered.of(await renderProject(project, type, ADDRESSES))).bytes.toString();
}

test('a project that is built on an earlier one is what is built of all rows', async (t) => {
  const rows = new Rows();
  for (let i = 0; i < 500; i++) put(rows, 'foo', `1.${i}`);
  let project = (await buildProject(rows.source, 'foo', undefined)) as Project;
  const changes: Readonly<Record<string, () => void>> = {
    'a file more': () => put(rows, 'foo', '2.0'),
    'a file between others': () => put(rows, 'foo', '1.250.1'),
    'a file less': () => rows.remove('foo', 'foo/1.7/foo-1.7.tar.gz'),
    'one more and one less': () => {
      rows.remove('foo', 'foo/1.8/foo-1.8.tar.gz');
      put(rows, 'foo', '1.8.post1');
    },
    'a file that is yanked': () => put(rows, 'foo', '1.9', { yanked: 'broken' }),
    'the same name at another path': () => put(rows, 'foo', '1.10', { folder: 'a' }),
    'the uploaded one of two removed': () => rows.remove('foo', 'foo/1.10/foo-1.10.tar.gz'),
  };
  for (const [what, change] of Object.entries(changes)) {
    await t.test(what, async () => {
      change();
      const [before, known] = [
        project,
        new Set((await Rendered.of(await renderProject(project, JSON_TYPE, ADDRESSES))).pieces),
      ];
      project = (await buildProject(rows.source, 'foo', before)) as Project;
      const anew = (await buildProject(rows.source, 'foo', undefined)) as Project;
      for (const type of [JSON_TYPE, TEXT_HTML]) {
        assert.deepEqual((await textOf(project, type)).split('},{'), (await textOf(anew, type)).split('},{'));
      }
      assert.deepEqual(project.versions, anew.versions);
      const { pieces } = await Rendered.of(await renderProject(project, JSON_TYPE, ADDRESSES));
      assert.ok(
        pieces.some((piece) => known.has(piece)),
        'nothing of what was rendered was used again',
      );
    });
  }
  assert.equal(await buildProject(new Rows().source, 'foo', project), undefined);
});

test('a list is built of what changed, and stays the same list where no project comes or goes', async () => {
  const rows = new Rows();
  for (const name of ['b', 'd', 'f']) put(rows, name, '1.0');
  let list = await buildList(rows.source, undefined);
  const next = async (): Promise<ProjectList> => {
    list = await buildList(rows.source, list);
    return list;
  };
  const { names } = list;
  assert.deepEqual(names, ['b', 'd', 'f']);
  put(rows, 'd', '2.0');
  assert.equal((await next()).names, names);
  put(rows, 'e', '1.0');
  rows.remove('b', 'b/1.0/b-1.0.tar.gz');
  rows.remove('d', 'd/1.0/d-1.0.tar.gz');
  assert.deepEqual((await next()).names, ['d', 'e', 'f']);
  rows.remove('e', 'e/1.0/e-1.0.tar.gz');
  put(rows, 'e', '1.1');
  assert.deepEqual((await next()).names, ['d', 'e', 'f']);
  const json = (await Rendered.of(await renderRoot(list, JSON_TYPE))).bytes.toString();
  assert.deepEqual(JSON.parse(json).projects, [{ name: 'd' }, { name: 'e' }, { name: 'f' }]);
});

test('lists and projects are joined in order, and each name once', async () => {
  const [some, others] = [
    ['a', 'c', 'd'],
    ['b', 'c', 'e'],
  ];
  const names = await mergeNames(some!, others!);
  assert.deepEqual(names, ['a', 'b', 'c', 'd', 'e']);
  assert.equal(await mergeNames(some!, others!), names);
  assert.deepEqual(await mergeNames([], ['a']), ['a']);
  const rows = new Rows();
  for (const version of ['1.0', '2.0']) put(rows, 'foo', version);
  const first = (await buildProject(rows.source, 'foo', undefined)) as Project;
  for (const version of ['0.9', '1.5']) put(rows, 'foo', version);
  const second = (await buildProject(rows.source, 'foo', undefined)) as Project;
  const merged = await mergeProjects([first, { ...second, versions: [...second.versions, '3.0'] }]);
  assert.deepEqual(merged.versions, ['0.9', '1.0', '1.5', '2.0', '3.0']);
  assert.deepEqual(
    merged.files.map(({ version }) => version),
    ['0.9', '1.0', '1.5', '2.0'],
  );
  assert.equal(merged.files[1], first.files[0]);
});
