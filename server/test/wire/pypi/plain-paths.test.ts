/** Distributions put, copied and deleted by plain path, which the index follows; yanking, and reading all again. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SYSTEM } from '../../../src/auth/accounts.ts';
import type { RepoPath } from '../../../src/core/ids.ts';
import { deleteItem } from '../../../src/repositories/deletion.ts';
import { indexOf, readProject, sdistOf, upload, wheelOf } from '../../formats/pypi-samples.ts';
import { STORAGES } from '../../support/test-app.ts';
import type { World } from '../../support/wire-world.ts';
import { LOCAL, startPypi } from './pypi-world.ts';

for (const storage of STORAGES) {
  describe(`plain paths of Python files on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startPypi(storage);
    });
    after(() => world.stop());
    const put = (path: string, bytes: Buffer | string) =>
      world.as('owner').request('PUT', `/artifactory/${LOCAL}/${path}`, { body: bytes });
    const statusOf = async (project: string) =>
      (await world.as('reader').request('GET', `${indexOf(LOCAL)}${project}/`)).status;
    const propertiesOf = async (path: string) => {
      const answer = await world.admin.request('GET', `/artifactory/api/storage/${LOCAL}/${path}?properties`);
      return (answer.json() as { properties: Record<string, string[]> }).properties;
    };

    test('what is put is indexed wherever it lies, and leaves the index when it is deleted', async () => {
      const [wheel, sdist] = [await wheelOf({ name: 'placed' }), await sdistOf({ name: 'placed', version: '1.1' })];
      assert.equal((await put(`any/folder/${wheel.filename}`, wheel.bytes)).status, 201);
      assert.equal((await put(`placed/1.1/${sdist.filename}`, sdist.bytes)).status, 201);
      const { files, versions } = await readProject(world.as('reader'), LOCAL, 'placed');
      assert.deepEqual(versions, ['1.0.0', '1.1']);
      assert.deepEqual(
        files.map(({ url }) => url),
        [`../../packages/any/folder/${wheel.filename}`, `../../packages/placed/1.1/${sdist.filename}`],
      );
      await world.admin.request('DELETE', `/artifactory/${LOCAL}/any/folder/${wheel.filename}`);
      assert.deepEqual((await readProject(world.as('reader'), LOCAL, 'placed')).versions, ['1.1']);
      await world.admin.request('DELETE', `/artifactory/${LOCAL}/placed`);
      assert.equal(await statusOf('placed'), 404);
    });

    test('what is said of a file goes with it', async () => {
      const wheel = await wheelOf({ name: 'signed' });
      const path = `signed/1.0.0/${wheel.filename}`;
      await upload(world.as('owner'), LOCAL, wheel);
      for (const ending of ['.asc', '.provenance']) assert.equal((await put(`${path}${ending}`, 'said')).status, 201);
      assert.equal((await world.as('owner').request('DELETE', `/artifactory/${LOCAL}/${path}`)).status, 204);
      for (const ending of ['', '.asc', '.provenance']) {
        const { status } = await world.admin.request('GET', `/artifactory/${LOCAL}/${path}${ending}`);
        assert.equal(status, 404, ending);
      }
    });

    test('what only has the name of something that is said of a file stays', async () => {
      const wheel = await wheelOf({ name: 'unsaid' });
      const path = `unsaid/1.0.0/${wheel.filename}` as RepoPath;
      const statusAt = async (at: string) =>
        (await world.admin.request('GET', `/artifactory/${LOCAL}/${path}${at}`)).status;
      const { operations, trash } = world.app.core;
      const saidOf = (saying: string) =>
        deleteItem(
          { operations, trash },
          { principal: SYSTEM, repo: LOCAL, path: `${path}${saying}` as RepoPath, saidOf: path },
        );
      for (const name of ['', '.asc', '.provenance/mine']) {
        const bytes = name === '' ? wheel.bytes : 'mine';
        assert.equal((await put(`${path}${name}`, bytes)).status, 201);
      }
      // As if the file had been put again while what is said of it was looked for.
      await saidOf('.asc');
      assert.equal(await statusAt('.asc'), 200);
      assert.equal((await world.admin.request('DELETE', `/artifactory/${LOCAL}/${path}`)).status, 204);
      assert.equal(await statusAt('.asc'), 404);
      assert.equal(await statusAt('.provenance/mine'), 200);
    });

    test('a copy is a file of the index of its own', async () => {
      const wheel = await wheelOf({ name: 'copied' });
      await upload(world.as('owner'), LOCAL, wheel);
      const from = `/artifactory/api/copy/${LOCAL}/copied/1.0.0/${wheel.filename}?to=/${LOCAL}/backup/${wheel.filename}`;
      assert.equal((await world.admin.request('POST', from)).status, 200);
      const urls = async () => (await readProject(world.admin, LOCAL, 'copied')).files.map(({ url }) => url);
      assert.deepEqual(await urls(), [`../../packages/copied/1.0.0/${wheel.filename}`]);
      await world.admin.request('DELETE', `/artifactory/${LOCAL}/copied`);
      assert.deepEqual(await urls(), [`../../packages/backup/${wheel.filename}`]);
    });

    test('what is no distribution is kept, stands in no index, and says why', async () => {
      for (const [path, bytes, reason] of [
        ['docs/readme.txt', 'hello', /is not the name of a wheel/],
        ['broken/broken-1.0-py3-none-any.whl', 'no zip at all', /it is no zip file/],
        ['broken/broken-1.0.tar.gz', 'no gzip at all', /not compressed with gzip/],
        ['broken/other-1.0-py3-none-any.whl', (await wheelOf({ name: 'broken' })).bytes, /it has no file "other-1\.0/],
      ] as const) {
        assert.equal((await put(path, bytes)).status, 201);
        assert.match((await propertiesOf(path))['entrepot.unindexed']?.[0] ?? '', reason);
      }
      assert.equal(await statusOf('broken'), 404);
    });

    test('a distribution that is overwritten by something else leaves the index', async () => {
      const wheel = await wheelOf({ name: 'replaced' });
      await put(`replaced/${wheel.filename}`, wheel.bytes);
      assert.equal(await statusOf('replaced'), 200);
      await put(`replaced/${wheel.filename}`, 'something else');
      assert.equal(await statusOf('replaced'), 404);
    });

    test('indexes lie under plain paths too, and cannot be put there', async () => {
      const wheel = await wheelOf({ name: 'shown' });
      await upload(world.as('owner'), LOCAL, wheel);
      const page = await world.as('reader').request('GET', `/artifactory/${LOCAL}/.pypi/shown/shown.html`);
      assert.equal(page.status, 200);
      const href = /href="([^"#]+)#sha256=/.exec(page.text)?.[1] ?? '';
      assert.deepEqual((await world.as('reader').request('GET', new URL(href).pathname)).bytes, wheel.bytes);
      const root = await world.as('reader').request('GET', `/artifactory/${LOCAL}/.pypi/simple.html`);
      assert.match(root.text, /\.pypi\/shown\/shown\.html">shown</);
      assert.equal((await put('.pypi/shown/shown.html', 'mine')).status, 409);
      assert.equal((await put('.pypi/else.txt', 'mine')).status, 400);
    });

    test('yanked releases say so with the reason, until they are not', async () => {
      const [wheel, sdist] = [await wheelOf({ name: 'yanked' }), await sdistOf({ name: 'yanked' })];
      for (const sample of [wheel, sdist]) await upload(world.as('writer'), LOCAL, sample);
      const address = `/artifactory/api/pypi/${LOCAL}/yank/Yanked/1.0`;
      const yankedOf = async () => (await readProject(world.admin, LOCAL, 'yanked')).files.map(({ yanked }) => yanked);
      const body = JSON.stringify({ reason: 'Breaks <Windows>' });
      assert.equal((await world.as('reader').request('PUT', address, { body })).status, 403);
      assert.equal((await world.as('writer').request('PUT', address, { body })).status, 200);
      assert.deepEqual(await yankedOf(), ['Breaks <Windows>', 'Breaks <Windows>']);
      const page = await world.admin.request('GET', `${indexOf(LOCAL)}yanked/`);
      assert.match(page.text, /data-yanked="Breaks &#60;Windows&#62;"/);
      const [first] = (await propertiesOf(`yanked/1.0.0/${wheel.filename}`))['pypi.yanked'] ?? [];
      assert.equal(first, 'Breaks <Windows>');
      assert.equal((await world.as('writer').request('PUT', address)).status, 200);
      assert.deepEqual(await yankedOf(), [true, true]);
      assert.equal((await world.as('writer').request('DELETE', address)).status, 200);
      assert.deepEqual(await yankedOf(), [false, false]);
      const none = await world.as('writer').request('PUT', address.replace('1.0', '9.9'));
      assert.equal(none.status, 404);
    });

    test('reading all again takes what properties say', async () => {
      const wheel = await wheelOf({ name: 'reread' });
      await upload(world.as('writer'), LOCAL, wheel);
      const path = `/artifactory/api/storage/${LOCAL}/reread/1.0.0/${wheel.filename}?properties=pypi.yanked=bad`;
      await world.admin.request('PUT', path);
      const address = `/artifactory/api/pypi/${LOCAL}/reindex`;
      assert.equal((await world.as('writer').request('POST', address)).status, 403);
      const answer = await world.admin.request('POST', address);
      assert.equal(answer.status, 200, answer.text);
      const [file] = (await readProject(world.admin, LOCAL, 'reread')).files;
      assert.equal(file?.yanked, 'bad');
    });

    test('the JSON of a project tells what its newest release says', async () => {
      const options = { name: 'Told.Of', requires: ['sample-two>=2'], requiresPython: '>=3.9' };
      for (const version of ['1.0', '1.10', '1.9', '2.0b1']) {
        await upload(world.as('writer'), LOCAL, await wheelOf({ ...options, version, summary: `Of ${version}` }));
      }
      const get = async (path: string) => {
        const answer = await world.as('reader').request('GET', `/artifactory/api/pypi/${LOCAL}/pypi/${path}/json`);
        return { status: answer.status, body: answer.status === 200 ? (answer.json() as Told) : undefined };
      };
      const { body } = await get('told-of');
      const { info, releases, urls } = body!;
      assert.deepEqual(
        [info['name'], info['version'], info['summary'], info['requires_python'], info['requires_dist']],
        ['Told.Of', '1.10', 'Of 1.10', '>=3.9', ['sample-two>=2']],
      );
      assert.match(String(info['description']), /ünïcode/);
      assert.deepEqual(Object.keys(releases ?? {}), ['1.0', '1.9', '1.10', '2.0b1']);
      assert.equal((await world.admin.request('GET', new URL(String(urls[0]?.['url'])).pathname)).status, 200);
      assert.equal((await get('Told.Of/1.9.0')).body?.info['summary'], 'Of 1.9');
      assert.equal((await get('told-of/7')).status, 404);
      assert.equal((await get('nothing')).status, 404);
    });

    test('searches by XML-RPC find names and summaries', async () => {
      await upload(world.as('writer'), LOCAL, await wheelOf({ name: 'find-me', version: '3.1', summary: 'A & B <x>' }));
      const call = (name: string) =>
        `<?xml version='1.0'?><methodCall><methodName>search</methodName><params><param><value><struct><member><name>name</name><value><array><data><value><string>${name}</string></value></data></array></value></member><member><name>summary</name><value><array><data><value><string>${name}</string></value></data></array></value></member></struct></value></param><param><value><string>or</string></value></param></params></methodCall>`;
      for (const [address, words] of [
        [`/artifactory/api/pypi/${LOCAL}/pypi`, 'find_me'],
        [`/artifactory/api/pypi/${LOCAL}`, 'a &amp; b'],
      ] as const) {
        const headers = { 'content-type': 'text/xml' };
        const answer = await world.as('reader').request('POST', address, { headers, body: call(words) });
        assert.equal(answer.status, 200, answer.text);
        assert.match(answer.text, /<string>find-me<\/string>.*<string>3\.1<\/string>.*A &#38; B &#60;x&#62;/);
      }
    });
  });
}

interface Told {
  readonly info: Readonly<Record<string, unknown>>;
  readonly releases?: Readonly<Record<string, unknown>>;
  readonly urls: readonly Readonly<Record<string, unknown>>[];
}
