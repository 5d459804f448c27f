/** Reading files as Artifactory's clients do: validators, ranges, choosing by property, folders as pages. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { type Answer, STORAGES } from '../../support/test-app.ts';
import { startWorld, type World } from '../../support/wire-world.ts';

const FILES = '/artifactory/generic-local';
const hash = (algorithm: string, bytes: Buffer | string) => createHash(algorithm).update(bytes).digest('hex');
const message = (answer: Answer) => (answer.json() as { errors: { message: string }[] }).errors[0]!.message;

for (const storage of STORAGES) {
  describe(`downloading on ${storage}`, () => {
    let world: World;
    before(async () => {
      world = await startWorld(storage);
    });
    after(() => world.stop());

    const put = async (path: string, body: Buffer | string = 'x'): Promise<void> => {
      const answer = await world.admin.request('PUT', `${FILES}/${path}`, { body });
      assert.equal(answer.status, 201, answer.text);
    };
    const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
      world.admin.request(method, `${FILES}/${path}`, { headers });

    test('a repository can send clients to the bucket, if there is one', async () => {
      const body = randomBytes(100 * 1024);
      const settings = '/artifactory/api/repositories/generic-local';
      const set = async (downloadRedirect: boolean) => {
        const answer = await world.admin.request('POST', settings, {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ downloadRedirect }),
        });
        assert.equal(answer.status, 200, answer.text);
      };
      await put('redirected.bin', body);
      assert.equal((await get('redirected.bin')).status, 200);
      await set(true);
      const answer = await get('redirected.bin');
      if (storage.endsWith('s3')) {
        assert.equal(answer.status, 307);
        const followed = await fetch(String(answer.headers['location']));
        assert.equal(hash('sha256', Buffer.from(await followed.arrayBuffer())), hash('sha256', body));
      } else {
        assert.equal(answer.status, 200);
      }
      await set(false);
      assert.equal((await get('redirected.bin')).status, 200);
    });

    test('a checksum file is read bare, and its head verifies the file it is of', async () => {
      await put('side/%C3%A4.jar', 'jar');
      const read = await get('side/%C3%A4.jar.sha1');
      assert.equal(read.text, hash('sha1', 'jar'));
      assert.equal(read.headers['content-type'], 'application/x-checksum');
      assert.equal(read.headers['content-length'], '40');
      assert.ok(read.headers['last-modified']);
      for (const name of ['etag', 'x-checksum-sha1', 'content-disposition', 'accept-ranges'] as const) {
        assert.equal(read.headers[name], undefined, name);
      }
      const head = await get('side/%C3%A4.jar.sha256', {}, 'HEAD');
      assert.equal(head.headers.etag, hash('sha1', 'jar'));
      assert.equal(head.headers['x-checksum-sha256'], hash('sha256', 'jar'));
      assert.equal(head.headers['accept-ranges'], 'bytes');
      assert.equal(head.headers['content-disposition'], "attachment; filename*=UTF-8''%C3%A4.jar");
      await put('side/real.sha512', 'kept as it is');
      assert.equal((await get('side/real.sha512')).text, 'kept as it is');
      assert.equal((await get('side/%C3%A4.jar.sha512')).status, 404);
    });

    test('an answer that nothing changed keeps what names the file and drops what describes a body', async () => {
      await put('same.txt');
      const answer = await get('same.txt', { 'if-none-match': hash('sha1', 'x') });
      assert.equal(answer.status, 304);
      assert.equal(answer.headers.etag, hash('sha1', 'x'));
      assert.ok(answer.headers['content-disposition']);
      assert.equal(answer.headers['x-artifactory-filename'], 'same.txt');
      assert.equal(answer.headers['accept-ranges'], 'bytes');
      assert.equal(answer.headers['content-type'], undefined);
      assert.equal(answer.headers['content-length'], undefined);
    });

    test('a range that is not there is answered with the size and nothing else', async () => {
      await put('short', '12345');
      const answer = await get('short', { range: 'bytes=5-' });
      assert.equal(answer.status, 416);
      assert.equal(answer.headers['content-range'], 'bytes */5');
      assert.equal(answer.headers['content-length'], '0');
      for (const name of ['etag', 'content-type', 'x-checksum-sha1', 'content-disposition'] as const) {
        assert.equal(answer.headers[name], undefined, name);
      }
    });

    test('a range may depend on the tag, quoted or not, and on the time', async () => {
      const bytes = randomBytes(20_000);
      await put('part', bytes);
      const { headers } = await get('part', {}, 'HEAD');
      const tag = String(headers.etag);
      for (const [condition, status] of [
        [tag, 206],
        [`"${tag}"`, 206],
        [String(headers['last-modified']), 206],
        ['"other"', 200],
        ['Thu, 01 Jan 2015 00:00:00 GMT', 200],
        ['nonsense', 200],
      ] as const) {
        const answer = await get('part', { range: 'bytes=10-19', 'if-range': condition });
        assert.equal(answer.status, status, condition);
        if (status === 206) assert.deepEqual(answer.bytes, bytes.subarray(10, 20));
        assert.equal(answer.headers['x-checksum-sha1'], hash('sha1', bytes));
      }
    });

    test('what is not there is said with repository and path', async () => {
      assert.equal(message(await get('no/such.jar')), "File not found.; Path: 'generic-local:no/such.jar'");
      assert.match(
        String((await get('no/such.jar')).headers['content-type']),
        /^application\/json;charset=ISO-8859-1$/,
      );
    });

    test('a file is chosen by its properties', async () => {
      await put('chosen;status=released;os=linux,mac');
      for (const [filter, status] of [
        ['', 200],
        [';status=released', 200],
        [';status=draft', 404],
        [';status=draft,released', 200],
        [';arch=x', 200],
        [';arch+=x', 404],
        [';arch=x+', 404],
        [';os+=mac', 200],
        [';os+=windows', 404],
        [';os+', 200],
        [';os-=windows', 200],
        [';os-=mac', 404],
        [';arch-=x', 200],
        [';status=released;status+=released;status-=draft', 200],
        [';status=released;status+=x;status-=x', 404],
        [';__proto__=x', 200],
      ] as const) {
        for (const method of ['GET', 'HEAD']) {
          const answer = await get(`chosen${filter}`, {}, method);
          assert.equal(answer.status, status, `${method} ${filter}`);
        }
      }
      const many = Array.from({ length: 990 }, (_, i) => `k${i}=v`).join(';');
      const startedAt = performance.now();
      assert.equal((await get(`chosen;${many}`)).status, 200);
      assert.ok(performance.now() - startedAt < 1000);
    });

    test('the properties of a file or folder are read at its address', async () => {
      await put('told;a=1,2;b=%3Cx%3E');
      const json = (await get('told?properties')).json() as { properties: object; uri: string };
      assert.deepEqual(json.properties, { a: ['1', '2'], b: ['<x>'] });
      assert.equal(json.uri, `${world.app.url}/artifactory/api/storage/generic-local/told`);
      assert.deepEqual((await get('told?properties=a,none')).json(), { properties: { a: ['1', '2'] }, uri: json.uri });
      const xml = await get('told?propertiesXml');
      assert.equal(xml.text, '<properties><a>1</a><a>2</a><b>&#60;x&#62;</b></properties>');
      assert.equal((await get('told?properties=none')).status, 404);
      assert.equal((await get('none?properties')).status, 404);
    });

    test('a folder is a page of links', async () => {
      const names = ['plain.txt', 'a b&c', '<script>alert(1)<', '"onclick="x', 'ä', 'javascript:alert(1)', "it's"];
      for (const name of names) await put(`shown/${encodeURIComponent(name)}`);
      await put('shown/deeper/file');
      const moved = await get('shown');
      assert.equal(moved.status, 302);
      assert.equal(moved.headers.location, `${world.app.url}${FILES}/shown/`);
      const page = await get('shown/');
      assert.equal(page.status, 200);
      assert.match(String(page.headers['content-type']), /^text\/html/);
      assert.match(String(page.headers['content-security-policy']), /^sandbox/);
      assert.doesNotMatch(page.text, /<script/);
      const links = [...page.text.matchAll(/<a href="([^"]*)">/g)].map(([, href]) => href!);
      assert.deepEqual(
        links.map((href) => decodeURIComponent(href.replaceAll('&#39;', "'"))).sort(),
        ['../', 'deeper/', ...names].sort(),
      );
      for (const href of links) assert.match(href, /^[^:<>"]*$/);
      assert.equal((await get('shown/', {}, 'HEAD')).status, 200);
      assert.equal((await get('none/')).status, 404);
      assert.equal((await get('shown/plain.txt/')).status, 404);
    });

    test('listings have addresses of their own, and bare ones', async () => {
      await put('listed/file');
      for (const form of ['list', 'simple']) {
        const page = await world.admin.request('GET', `/artifactory/${form}/generic-local/listed/`);
        assert.equal(page.status, 200);
        assert.match(page.text, /<a href="file">file<\/a>/);
        const file = await world.admin.request('GET', `/artifactory/${form}/generic-local/listed/file`);
        assert.equal(file.text, 'x');
      }
      const root = await world.admin.request('GET', `${FILES}/`);
      assert.match(root.text, /<a href="listed\/">/);
      assert.doesNotMatch(root.text, /href="\.\.\/"/);
    });

    test('a page shows what its reader may see', async () => {
      await put('private/file');
      assert.equal((await world.as('reader').request('GET', `${FILES}/private/`)).status, 200);
      for (const by of [world.as('dropper'), world.as('outsider')]) {
        assert.equal((await by.request('GET', `${FILES}/private/`)).status, 404);
      }
      assert.equal((await world.anonymous.request('GET', `${FILES}/private/`)).status, 401);
    });

    test('a folder of many files is listed whole', async () => {
      await Promise.all(Array.from({ length: 1200 }, (_, i) => put(`many/f${i}`)));
      const page = await get('many/');
      assert.equal([...page.text.matchAll(/<a href="f\d+">/g)].length, 1200);
    });
  });
}
