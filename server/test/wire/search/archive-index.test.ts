/** What lies in archives is found soon after they are deployed, and no archive can make that costly. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zipEncrypted, zipNamed, zipOf } from '../../support/archives.ts';
import { eventually } from '../../support/eventually.ts';
import { onEachStorage } from '../api/api-world.ts';

onEachStorage('the index of archives', (world) => {
  const put = async (path: string, body: Buffer) => {
    const answer = await world().app.admin.request('PUT', `/artifactory/generic-local/${path}`, { body });
    assert.equal(answer.status, 201, answer.text);
  };
  const holders = async (query: string) => {
    const body = `items.find(${query}).include("name").sort({"$asc":["name"]})`;
    const answer = await world().app.admin.request('POST', '/artifactory/api/search/aql', { body });
    assert.equal(answer.status, 200, answer.text);
    return (answer.json() as { results: { name: string }[] }).results.map(({ name }) => name);
  };

  test('knows jars, wars and zips by what is in them, copies too', async () => {
    const jar = await zipOf({ 'META-INF/MANIFEST.MF': 'x', 'org/acme/Logger.class': 'y', 'top.txt': 'z' });
    await put('a/one.jar', jar);
    await put('a/copy.war', jar);
    await put('a/two.zip', await zipOf({ 'org/acme/Other.class': 'x', './org/acme/Dotted.class': 'd' }));
    await put('a/not-an-archive.txt', jar);
    await eventually(async () => {
      assert.deepEqual(await holders('{"archive.entry.name":"Logger.class"}'), [
        'copy.war',
        'not-an-archive.txt',
        'one.jar',
      ]);
      assert.deepEqual(
        await holders(
          '{"archive.entry.name":{"$match":"*.class"},"archive.entry.path":"org/acme","name":{"$match":"two*"}}',
        ),
        ['two.zip'],
      );
    });
    assert.deepEqual(await holders('{"archive.entry.name":"top.txt","archive.entry.path":"."}'), [
      'copy.war',
      'not-an-archive.txt',
      'one.jar',
    ]);
    assert.deepEqual(await holders('{"archive.entry.name":"Dotted.class","archive.entry.path":"org/acme"}'), [
      'two.zip',
    ]);
    assert.deepEqual(await holders('{"archive.entry.name":"a"}'), []);
  });

  test('is made anew for a file, a folder and a repository when an administrator asks', async () => {
    const { app, ann } = world();
    await put('again/x/deep.jar', await zipOf({ 'Deep.class': 'y' }));
    await put('again/top.jar', await zipOf({ 'Top.class': 'y' }));
    const deep = '{"archive.entry.name":"Deep.class"}';
    const top = '{"archive.entry.name":"Top.class"}';
    const known = async () => [...(await holders(deep)), ...(await holders(top))];
    await eventually(async () => assert.deepEqual(await known(), ['deep.jar', 'top.jar']));
    const forget = () => app.core.database.transaction((tx) => tx.deleteFrom('archive_entry').execute());
    const ask = (path: string) => app.admin.request('POST', `/artifactory/api/archiveIndex/${path}`);
    for (const [path, expected] of [
      ['generic-local/again/top.jar', ['top.jar']],
      ['generic-local/again/x', ['deep.jar']],
      ['generic-local', ['deep.jar', 'top.jar']],
    ] as const) {
      await forget();
      assert.deepEqual(await known(), []);
      assert.equal((await ask(path)).status, 202);
      await eventually(async () => assert.deepEqual(await known(), expected));
    }
    assert.equal((await ask('generic-local/none')).status, 404);
    assert.equal((await ask('no-such-repository')).status, 404);
    const refused = await ann.request('POST', '/artifactory/api/archiveIndex/generic-local');
    assert.equal(refused.status, 403);
  });

  test('says of broken and hostile archives why it knows nothing of them', async () => {
    const good = await zipOf({ 'in/side.txt': 'x'.repeat(1000) });
    await put('h/cut.jar', good.subarray(0, good.length - 30));
    await put('h/noise.jar', Buffer.from('this is no zip'));
    await put('h/empty.jar', Buffer.alloc(0));
    await put('h/control.jar', await zipNamed('a\nb'));
    await put('h/up.jar', await zipNamed('../up.txt'));
    await put('h/encrypted.jar', await zipEncrypted());
    await put('h/last.jar', await zipOf({ 'very/last.txt': 'x' }));
    await eventually(async () => {
      assert.deepEqual(await holders('{"archive.entry.name":"last.txt"}'), ['last.jar']);
      const database = await world().app.openDatabase();
      try {
        const rows = await database.kysely
          .selectFrom('archive')
          .innerJoin('node', 'node.sha256', 'archive.sha256')
          .select(['node.name', 'archive.problem', 'archive.indexed_at'])
          .where('node.parent', '=', 'h')
          .orderBy('node.name')
          .execute();
        assert.ok(rows.every((row) => row.indexed_at > 0));
        assert.deepEqual(
          rows.map(({ name, problem }) => [name, problem === null]),
          [
            ['control.jar', true],
            ['cut.jar', false],
            ['empty.jar', false],
            ['encrypted.jar', true],
            ['last.jar', true],
            ['noise.jar', false],
            ['up.jar', true],
          ],
        );
      } finally {
        await database.close();
      }
    });
    const complaints = world().app.complaints.filter(({ message }) => message.includes('job'));
    assert.deepEqual(complaints, []);
  });
});
