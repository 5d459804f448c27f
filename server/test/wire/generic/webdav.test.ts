/** What WebDAV clients find and make. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RepoPath } from '../../../src/core/ids.ts';
import { ensureFolders } from '../../../src/db/nodes.ts';
import { type Caller, STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const FILES = '/artifactory/generic-local';

for (const storage of STORAGES) {
  describe(`WebDAV on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage);
      for (const path of ['dav/a.txt', 'dav/deep/b.txt', 'dav/%3Cx%3E%26', 'beside/c']) {
        assert.equal((await world.admin.request('PUT', `${FILES}/${path}`, { body: 'text' })).status, 201);
      }
    });
    after(() => world.stop());

    const find = (path: string, depth: string, by: Caller = world.admin) =>
      by.request('PROPFIND', `${FILES}/${path}`, { headers: { depth } });
    const hrefs = (text: string) => [...text.matchAll(/<D:href>([^<]*)<\/D:href>/g)].map(([, href]) => href!);

    test('the verbs of an address are told to anybody', async () => {
      const answer = await world.anonymous.request('OPTIONS', `${FILES}/dav/`);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['dav'], '1');
      assert.match(String(answer.headers.allow), /PROPFIND/);
    });

    test('a folder is found alone or with what is in it, and nothing deeper', async () => {
      const alone = await find('dav/', '0');
      assert.equal(alone.status, 207);
      assert.match(String(alone.headers['content-type']), /^application\/xml/);
      assert.deepEqual(hrefs(alone.text), [`${FILES}/dav/`]);
      const { text } = await find('dav', '1');
      assert.deepEqual(hrefs(text).sort(), [
        `${FILES}/dav/`,
        `${FILES}/dav/%3Cx%3E%26`,
        `${FILES}/dav/a.txt`,
        `${FILES}/dav/deep/`,
      ]);
      assert.match(text, /<D:displayname>&#60;x&#62;&#38;<\/D:displayname>/);
      const [, first] = /a\.txt<\/D:href>(.*?)<\/D:response>/s.exec(text)!;
      assert.match(first!, /<D:getcontentlength>4</);
      assert.match(first!, /<D:getcontenttype>text\/plain</);
      assert.match(first!, /<D:getetag>"[0-9a-f]{40}"</);
      assert.deepEqual(hrefs((await find('dav/a.txt', '1')).text), [`${FILES}/dav/a.txt`]);
      assert.ok(hrefs((await find('', '1')).text).includes(`${FILES}/beside/`));
    });

    test('what is not there, or not for the caller, is not found', async () => {
      assert.equal((await find('none', '1')).status, 404);
      assert.equal((await find('dav', '1', world.as('dropper'))).status, 404);
      assert.equal((await find('dav', '1', world.as('outsider'))).status, 404);
      assert.equal((await find('dav', '1', world.anonymous)).status, 401);
    });

    test('a folder is made once, by whoever may deploy', async () => {
      const make = (path: string, by: Caller = world.as('writer')) => by.request('MKCOL', `${FILES}/${path}`);
      assert.equal((await make('made/here/')).status, 201);
      assert.deepEqual(hrefs((await find('made', '1')).text), [`${FILES}/made/`, `${FILES}/made/here/`]);
      for (const path of ['made/here', 'dav/a.txt', '']) {
        const again = await make(path);
        assert.equal(again.status, 405, path);
        assert.ok(again.headers.allow);
      }
      assert.equal((await make('denied', world.as('reader'))).status, 403);
      assert.equal((await make('dav/a.txt/below')).status, 409);
      assert.equal((await make('.entrepot/x')).status, 400);
    });

    const transfer = (
      method: string,
      from: string,
      to: string,
      by: Caller = world.admin,
      more: Record<string, string> = {},
    ) => by.request(method, `${FILES}/${from}`, { headers: { destination: to, ...more } });
    const text = async (path: string) => {
      const answer = await world.admin.request('GET', `${FILES}/${path}`);
      return answer.status === 200 ? answer.text : answer.status;
    };

    test('files and folders are copied and moved to just the place that is named', async () => {
      for (const path of ['pair/one', 'pair/deep/two', 'pair/other']) {
        await world.admin.request('PUT', `${FILES}/${path}`, { body: path });
      }
      const copied = await transfer('COPY', 'pair/one', `${world.app.url}${FILES}/pair/c%C3%B6py`);
      assert.equal(copied.status, 201, copied.text);
      assert.equal(copied.headers.location, `${world.app.url}${FILES}/pair/c%C3%B6py`);
      assert.equal(await text('pair/c%C3%B6py'), 'pair/one');
      assert.equal(await text('pair/one'), 'pair/one');
      assert.equal((await transfer('MOVE', 'pair/one', `${FILES}/pair/other`)).status, 204);
      assert.equal(await text('pair/one'), 404);
      assert.equal(await text('pair/other'), 'pair/one');
      assert.equal((await transfer('MOVE', 'pair/deep', `${FILES}/moved/folder`)).status, 201);
      assert.equal(await text('moved/folder/two'), 'pair/deep/two');
      assert.equal((await find('pair/deep', '0')).status, 404);
    });

    test('what is there is kept where the client says so', async () => {
      for (const path of ['kept/a', 'kept/b']) await world.admin.request('PUT', `${FILES}/${path}`, { body: path });
      const answer = await transfer('COPY', 'kept/a', `${FILES}/kept/b`, world.admin, { overwrite: 'F' });
      assert.equal(answer.status, 412);
      assert.equal(await text('kept/b'), 'kept/b');
    });

    test('G14: what cannot go there, or may not, stays where it is', async () => {
      for (const name of ['a/file', 'beside']) {
        await world.admin.request('PUT', `${FILES}/stay/${name}`, { body: 'stays' });
      }
      for (const [to, statuses] of [
        ['', [400]],
        ['nonsense', [400]],
        ['http://elsewhere.example/artifactory/generic-local/x', [400]],
        [`${FILES}/`, [400]],
        ['/artifactory/api/storage', [400, 404]],
        ['/v2/docker-local/x', [400]],
        [`${FILES}/../other`, [400]],
        [`${FILES}/%2e%2e/other`, [400]],
        [`${FILES}/stay/a`, [400, 403, 409]],
        [`${FILES}/stay/a/inside`, [400, 409]],
        [`${FILES}/stay`, [409]],
        [`${FILES}/${'n'.repeat(300)}`, [400]],
        [`${FILES}/.entrepot/x`, [400, 409]],
        ['/artifactory/docker-local/x', [400, 409]],
        ['/artifactory/none/x', [404]],
      ] as const) {
        for (const method of ['COPY', 'MOVE']) {
          const answer = await transfer(method, 'stay/a', to);
          const fits = (statuses as readonly number[]).includes(answer.status);
          assert.ok(fits, `${method} to ${to}: ${answer.status} ${answer.text}`);
        }
      }
      assert.equal((await transfer('COPY', 'stay/none', `${FILES}/x`)).status, 404);
      assert.equal((await transfer('MOVE', 'stay/a', `${FILES}/away`, world.as('writer'))).status, 403);
      assert.equal((await transfer('COPY', 'stay/a', `${FILES}/away`, world.as('reader'))).status, 403);
      assert.ok([403, 404].includes((await transfer('COPY', 'stay/a', `${FILES}/away`, world.as('dropper'))).status));
      assert.equal(await text('stay/a/file'), 'stays');
      assert.equal(await text('stay/beside'), 'stays');
      assert.equal(await text('away/file'), 404);
    });

    test('what is too much to be replaced at once stays, all of it', async () => {
      await world.admin.request('PUT', `${FILES}/few/file`, { body: 'few' });
      await world.admin.request('PUT', `${FILES}/many/file`, { body: 'many' });
      const folders = Array.from({ length: 1000 }, (_, i) => `many/d${i}/-` as RepoPath);
      const inMany = () => world.database.kysely.selectFrom('node').select('id').where('parent', '=', 'many').execute();
      await world.database.transaction(async (tx) => {
        const { repo_id } = await tx
          .selectFrom('node')
          .select('repo_id')
          .where('name', '=', 'many')
          .executeTakeFirstOrThrow();
        await ensureFolders(tx, repo_id, folders, 'admin', Date.now());
      });
      assert.equal((await transfer('MOVE', 'few', `${FILES}/many`)).status, 409);
      assert.equal((await inMany()).length, 1001);
      assert.equal(await text('many/file'), 'many');
      assert.equal(await text('few/file'), 'few');
    });

    test('verbs that are not spoken are refused with those that are', async () => {
      for (const method of ['LOCK', 'UNLOCK', 'PROPPATCH', 'POST', 'PATCH']) {
        const answer = await world.admin.request(method, `${FILES}/dav/a.txt`);
        assert.equal(answer.status, 405, method);
        assert.match(String(answer.headers.allow), /GET/);
      }
    });
  });
}
