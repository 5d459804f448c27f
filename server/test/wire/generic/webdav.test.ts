/** What WebDAV clients find and make. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
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

    test('verbs that are not spoken are refused with those that are', async () => {
      for (const method of ['LOCK', 'UNLOCK', 'PROPPATCH', 'POST', 'PATCH']) {
        const answer = await world.admin.request(method, `${FILES}/dav/a.txt`);
        assert.equal(answer.status, 405, method);
        assert.match(String(answer.headers.allow), /GET/);
      }
    });
  });
}
