import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { makePackage, publish, publishDocument } from '../../formats/npm-samples.ts';
import { type Caller, STORAGES } from '../../support/test-app.ts';
import { PASSWORD } from '../../support/wire-world.ts';
import { BASE, type NpmWorld, startNpmWorld } from './npm-world.ts';

interface Document {
  _rev: string;
  'dist-tags': Record<string, string>;
  versions: Record<string, { deprecated?: string; dist: { tarball: string } }>;
  maintainers: { name: string }[];
  users: Record<string, boolean>;
}

for (const storage of STORAGES) {
  describe(`npm, changed and removed on ${storage}`, () => {
    let world: NpmWorld;
    before(async () => {
      world = await startNpmWorld(storage);
    });
    after(() => world.stop());

    const read = async (name: string) =>
      (await world.reader.request('GET', `${BASE}/${name}?write=true`)).json() as Document;
    const send = (caller: Caller, method: string, path: string, body?: unknown) =>
      caller.request(method, `${BASE}/${path}`, body === undefined ? {} : { body: JSON.stringify(body) });
    const publishAll = async (name: string, versions: readonly string[]) => {
      for (const version of versions) {
        const answer = await publish(world.writer, BASE, publishDocument(await makePackage(name, version)));
        assert.equal(answer.status, 201, answer.text);
      }
    };

    test('tags are set, moved and removed', async () => {
      await publishAll('tagged', ['1.0.0', '1.1.0']);
      const path = '-/package/tagged/dist-tags';
      assert.equal((await send(world.writer, 'PUT', `${path}/stable`, '1.0.0')).status, 201);
      assert.equal((await send(world.writer, 'PUT', `${path}/latest`, '1.0.0')).status, 201);
      assert.deepEqual((await send(world.reader, 'GET', path)).json(), { latest: '1.0.0', stable: '1.0.0' });
      assert.equal((await send(world.writer, 'PUT', `${path}/stable`, '1.1.0')).status, 201);
      assert.deepEqual((await read('tagged'))['dist-tags'], { latest: '1.0.0', stable: '1.1.0' });
      assert.equal((await send(world.writer, 'DELETE', `${path}/stable`)).status, 200);
      assert.deepEqual((await read('tagged'))['dist-tags'], { latest: '1.0.0' });
      const found = await world.reader.request(
        'GET',
        '/artifactory/api/search/prop?npm.disttag=latest&repos=npm-local',
      );
      assert.match(found.text, /tagged-1\.0\.0\.tgz/);
      assert.doesNotMatch(found.text, /tagged-1\.1\.0\.tgz/);
    });

    test('tags that mislead are refused with a sentence', async () => {
      await publishAll('mistagged', ['1.0.0']);
      const path = '-/package/mistagged/dist-tags';
      for (const [method, tag, body, status] of [
        ['PUT', '1.x', '1.0.0', 400],
        ['PUT', 'v2', '1.0.0', 400],
        ['PUT', 'x'.repeat(300), '1.0.0', 400],
        ['PUT', 'next', '9.9.9', 404],
        ['PUT', 'next', 7, 400],
        ['DELETE', 'latest', undefined, 400],
        ['DELETE', 'nothing', undefined, 404],
      ] as const) {
        const answer = await send(world.writer, method, `${path}/${tag}`, body);
        assert.equal(answer.status, status, `${method} ${tag.slice(0, 10)}: ${answer.text}`);
        assert.match((answer.json() as { error: string }).error, /^[A-Z"].*\.$/);
      }
      assert.equal((await send(world.reader, 'PUT', `${path}/next`, '1.0.0')).status, 403);
    });

    test('versions are deprecated and taken back, and nothing else of the document is taken', async () => {
      await publishAll('@old/thing', ['1.0.0', '2.0.0']);
      const doc = await read('@old%2fthing');
      for (const version of Object.values(doc.versions)) version.deprecated = 'use another thing';
      Object.assign(doc.versions['1.0.0'] as object, { dependencies: { evil: '*' } });
      const put = await send(world.writer, 'PUT', '@old%2fthing', doc);
      assert.equal(put.status, 201, put.text);
      const now = await read('@old%2fthing');
      assert.equal(now.versions['1.0.0']?.deprecated, 'use another thing');
      assert.equal('dependencies' in (now.versions['1.0.0'] ?? {}), false);
      (now.versions['1.0.0'] as { deprecated: string }).deprecated = '';
      assert.equal((await send(world.writer, 'PUT', '@old%2fthing', now)).status, 201);
      const last = await read('@old%2fthing');
      assert.equal(last.versions['1.0.0']?.deprecated, undefined);
      assert.equal(last.versions['2.0.0']?.deprecated, 'use another thing');
      assert.equal((await send(world.reader, 'PUT', '@old%2fthing', last)).status, 403);
    });

    test('one version is removed as npm does it', async () => {
      await publishAll('shrinking', ['1.0.0', '1.1.0']);
      const doc = await read('shrinking');
      const url = new URL(doc.versions['1.1.0']?.dist.tarball ?? '').pathname.slice(BASE.length + 1);
      delete doc.versions['1.1.0'];
      doc['dist-tags']['latest'] = '1.0.0';
      assert.equal((await send(world.owner, 'PUT', `shrinking/-rev/${doc._rev}`, doc)).status, 201);
      const { _rev } = await read('shrinking');
      assert.equal((await send(world.writer, 'DELETE', `${url}/-rev/${_rev}`)).status, 403);
      assert.equal((await send(world.owner, 'DELETE', `${url}/-rev/${_rev}`)).status, 200);
      const left = await read('shrinking');
      assert.deepEqual([Object.keys(left.versions), left['dist-tags']], [['1.0.0'], { latest: '1.0.0' }]);
    });

    test('a document that does not know of a version does not remove it', async () => {
      await publishAll('raced', ['1.0.0', '1.1.0']);
      const old = await read('raced');
      await publishAll('raced', ['1.2.0']);
      delete old.versions['1.1.0'];
      await send(world.owner, 'PUT', `raced/-rev/${old._rev}`, old);
      assert.deepEqual(Object.keys((await read('raced')).versions), ['1.0.0', '1.1.0', '1.2.0']);
      const whole = await send(world.owner, 'DELETE', `raced/-rev/${old._rev}`);
      assert.equal(whole.status, 409);
    });

    test('a whole package is removed, and can be published again with other versions', async () => {
      await publishAll('gone', ['1.0.0', '1.1.0']);
      const { _rev } = await read('gone');
      assert.equal((await send(world.writer, 'DELETE', `gone/-rev/${_rev}`)).status, 403);
      assert.equal((await send(world.owner, 'DELETE', `gone/-rev/${_rev}`)).status, 200);
      assert.equal((await world.reader.request('GET', `${BASE}/gone`)).status, 404);
      await publishAll('gone', ['1.2.0']);
      assert.deepEqual(Object.keys((await read('gone')).versions), ['1.2.0']);
    });

    test('a version that was removed is not published again, unless somebody frees it', async () => {
      await publishAll('reserved', ['1.0.0', '1.1.0']);
      const path = 'reserved/-/reserved-1.1.0.tgz';
      assert.equal((await send(world.owner, 'DELETE', `${path}/-rev/1`)).status, 200);
      const again = publishDocument(await makePackage('reserved', '1.1.0', { manifest: { license: 'MIT' } }));
      for (const caller of [world.writer, world.owner]) {
        const answer = await publish(caller, BASE, again);
        assert.equal(answer.status, 403, answer.text);
        assert.match((answer.json() as { error: string }).error, /reserved@1\.1\.0: it was published before.*Raise/);
      }
      const note = '/artifactory/npm-local/reserved/-/reserved-1.1.0.unpublished';
      assert.equal((await world.writer.request('DELETE', note)).status, 403);
      assert.equal((await world.owner.request('DELETE', note)).status, 204);
      assert.equal((await publish(world.writer, BASE, again)).status, 201);
    });

    test('a folder that has the name of a file of the package stays when the package goes', async () => {
      const folder = '/artifactory/npm-local/foldered/-';
      const mine = [`${folder}/foldered-1.0.0.sigstore/mine`, `${folder}/foldered-2.0.0.tgz/mine`];
      for (const path of mine) {
        assert.equal((await world.owner.request('PUT', path, { body: 'mine' })).status, 201);
      }
      await publishAll('foldered', ['1.0.0']);
      const drop = (version: string) => send(world.owner, 'DELETE', `foldered/-/foldered-${version}.tgz/-rev/1`);
      assert.equal((await drop('2.0.0')).status, 404);
      assert.equal((await drop('1.0.0')).status, 200);
      for (const path of mine) assert.equal((await world.owner.request('GET', path)).text, 'mine');
    });

    test('a copy takes nothing away from what it was copied from, and a tarball that is moved is found', async () => {
      await publishAll('lent', ['1.0.0', '2.0.0']);
      const run = async (method: string, path: string) => {
        const answer = await world.admin.request(method, path);
        assert.ok(answer.status < 300, answer.text);
      };
      assert.equal((await send(world.writer, 'PUT', '-/package/lent/dist-tags/stable', '1.0.0')).status, 201);
      const before = await read('lent');
      const one = 'npm-local/lent/-/lent-1.0.0.tgz';
      await run('POST', `/artifactory/api/copy/${one}?to=/npm-local/x/lent.tgz`);
      assert.deepEqual((await read('lent')).versions, before.versions);
      assert.deepEqual((await read('lent'))['dist-tags'], before['dist-tags']);
      await run('DELETE', '/artifactory/npm-local/x/lent.tgz');
      assert.deepEqual((await read('lent')).versions, before.versions);
      assert.deepEqual((await read('lent'))['dist-tags'], before['dist-tags']);
      await run('POST', `/artifactory/api/move/${one}?to=/npm-local/y/lent.tgz`);
      const tarball = () => read('lent').then((doc) => doc.versions['1.0.0']?.dist.tarball.slice(world.app.url.length));
      assert.equal(await tarball(), `${BASE}/y/lent.tgz`);
      await run('POST', `/artifactory/api/move/npm-local/y/lent.tgz?to=/${one}`);
      assert.deepEqual((await read('lent')).versions, before.versions);
    });

    test('a copy and what it was copied from are both found again by reindexing', async () => {
      await publishAll('copied', ['1.0.0']);
      const url = async () => (await read('copied')).versions['1.0.0']?.dist.tarball.slice(world.app.url.length);
      const own = `${BASE}/copied/-/copied-1.0.0.tgz`;
      assert.equal(await url(), own);
      await world.admin.request(
        'POST',
        '/artifactory/api/copy/npm-local/copied/-/copied-1.0.0.tgz?to=/npm-local/x/y.tgz',
      );
      const made = await world.admin.request('POST', `${BASE}/reindex`);
      assert.match(made.text, /files were added/);
      assert.equal(await url(), own);
      await world.owner.request('DELETE', '/artifactory/npm-local/copied/-/copied-1.0.0.tgz');
      assert.equal(await url(), `${BASE}/x/y.tgz`);
    });

    test('owners and stars are kept', async () => {
      await publishAll('owned', ['1.0.0']);
      const { _rev } = await read('owned');
      const maintainers = [{ name: 'writer', email: 'w@example.org' }];
      assert.equal(
        (await send(world.writer, 'PUT', `owned/-rev/${_rev}`, { _id: 'owned', _rev, maintainers })).status,
        201,
      );
      assert.equal(
        (await send(world.writer, 'PUT', 'owned', { _id: 'owned', _rev, users: { writer: true } })).status,
        201,
      );
      const doc = await read('owned');
      assert.deepEqual([doc.maintainers, doc.users], [maintainers, { writer: true }]);
    });

    test('signing in with a name and a password gives a token that can be given back', async () => {
      const url = '-/user/org.couchdb.user:writer';
      const login = { _id: 'org.couchdb.user:writer', name: 'writer', password: PASSWORD, type: 'user' };
      const wrong = await send(world.anonymous, 'PUT', url, { ...login, password: 'wrong' });
      assert.equal(wrong.status, 401);
      assert.match(wrong.text, /user name or the password is wrong/);
      assert.equal((await send(world.anonymous, 'PUT', url, { ...login, name: 'reader' })).status, 400);
      assert.equal((await send(world.anonymous, 'PUT', url, { ...login, password: 'x'.repeat(40_000) })).status, 400);
      const answer = await send(world.anonymous, 'PUT', url, login);
      assert.equal(answer.status, 201, answer.text);
      const { token } = answer.json() as { token: string };
      const headers = { Authorization: `Bearer ${token}` };
      const me = await world.anonymous.request('GET', `${BASE}/-/whoami`, { headers });
      assert.deepEqual(me.json(), { username: 'writer' });
      const profile = await world.anonymous.request('GET', `${BASE}/-/npm/v1/user`, { headers });
      assert.equal((profile.json() as { name: string }).name, 'writer');
      const listed = await world.anonymous.request('GET', `${BASE}/-/npm/v1/tokens`, { headers });
      assert.equal((listed.json() as { objects: unknown[] }).objects.length, 1);
      const out = await world.anonymous.request('DELETE', `${BASE}/-/user/token/${token}`, { headers });
      assert.equal(out.status, 200);
      assert.equal((await world.anonymous.request('GET', `${BASE}/-/whoami`, { headers })).status, 401);
    });

    test('tokens are made for a time, and never with more rights than were asked for', async () => {
      const path = '-/npm/v1/tokens';
      for (const narrow of [
        { cidr_whitelist: ['10.0.0.0/8'] },
        { packages: ['one'] },
        { scopes: ['@corp'] },
        { orgs: ['corp'] },
        { packages_and_scopes_permission: 'no-access' },
        { packages_and_scopes_permission: 'read-only', scopes: ['@corp'] },
        { packages: 'all' },
      ]) {
        const answer = await send(world.writer, 'POST', path, { password: PASSWORD, ...narrow });
        assert.equal(answer.status, 405, JSON.stringify(narrow));
        assert.match(answer.text, /are made in the settings of this server/);
      }
      for (const expires of [0, -1, 0.5, '30', 367]) {
        const answer = await send(world.writer, 'POST', path, { password: PASSWORD, expires });
        assert.equal(answer.status, 400, String(expires));
      }
      const wanted = { password: PASSWORD, name: 'build', description: 'of the <night>', expires: 2, packages: [] };
      const made = await send(world.writer, 'POST', path, wanted);
      assert.equal(made.status, 200, made.text);
      const { key, token, expires } = made.json() as Record<'key' | 'token' | 'expires', string>;
      assert.ok(Math.abs(Date.parse(expires) - Date.now() - 2 * 86_400_000) < 60 * 60_000);
      const headers = { Authorization: `Bearer ${token}` };
      assert.equal((await world.anonymous.request('GET', `${BASE}/-/whoami`, { headers })).status, 200);
      const { objects } = (await send(world.writer, 'GET', path)).json() as {
        objects: { key: string; name: string }[];
      };
      assert.equal(objects.find((one) => one.key === key)?.name, 'build, of the ?night?');
      assert.equal((await send(world.reader, 'DELETE', `${path}/token/${key}`)).status, 404);
      assert.equal((await send(world.writer, 'DELETE', `${path}/token/${key}`)).status, 204);
      assert.equal((await world.anonymous.request('GET', `${BASE}/-/whoami`, { headers })).status, 401);
    });

    test('a token for reading only reads and does nothing else', async () => {
      await publishAll('only-read', ['1.0.0']);
      for (const wanted of [{ readonly: true }, { packages_and_scopes_permission: 'read-only', packages_all: true }]) {
        const made = await send(world.writer, 'POST', '-/npm/v1/tokens', { password: PASSWORD, ...wanted });
        assert.equal(made.status, 200, made.text);
        const { key, token, readonly } = made.json() as { key: string; token: string; readonly: boolean };
        const headers = { Authorization: `Bearer ${token}` };
        const ask = (method: string, path: string, body: unknown = {}) =>
          world.anonymous.request(method, `${BASE}/${path}`, {
            headers,
            ...(method !== 'GET' && { body: JSON.stringify(body) }),
          });
        assert.equal((await ask('GET', 'only-read')).status, 200);
        assert.equal((await ask('PUT', '-/package/only-read/dist-tags/next', '1.0.0')).status, 403);
        assert.equal((await ask('PUT', 'only-read', { users: { writer: true } })).status, 403);
        const { objects } = (await ask('GET', '-/npm/v1/tokens')).json() as { objects: object[] };
        const [listed] = objects.filter((one) => (one as { key: string }).key === key);
        assert.deepEqual([readonly, (listed as { readonly: boolean }).readonly], [true, true]);
      }
    });

    test('signing in in a browser gives the terminal its token once', async () => {
      const { loginUrl, doneUrl } = (await send(world.anonymous, 'POST', '-/v1/login', {})).json() as Record<
        string,
        string
      >;
      const [login, done] = [new URL(loginUrl ?? '').pathname, new URL(doneUrl ?? '').pathname];
      const pending = await world.anonymous.request('GET', done);
      assert.equal(pending.status, 202);
      assert.equal(pending.headers['retry-after'], '1');
      const page = await world.anonymous.request('GET', login);
      assert.match(String(page.headers['content-security-policy']), /frame-ancestors 'none'/);
      assert.match(page.text, /<form method="post">/);
      const form = (password: string) => ({
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ username: 'writer', password }).toString(),
      });
      assert.equal((await world.anonymous.request('POST', login, form('wrong'))).status, 401);
      assert.equal((await world.anonymous.request('GET', done)).status, 202);
      const signedIn = await world.anonymous.request('POST', login, form(PASSWORD));
      assert.equal(signedIn.status, 200, signedIn.text);
      const { token } = (await world.anonymous.request('GET', done)).json() as { token: string };
      const me = await world.anonymous.request('GET', `${BASE}/-/whoami`, {
        headers: { Authorization: `Bearer ${token}` },
      });
      assert.deepEqual(me.json(), { username: 'writer' });
      assert.equal((await world.anonymous.request('GET', done)).status, 202, 'the code is used up');
      assert.equal((await world.anonymous.request('GET', `${done.slice(0, -10)}0000000000x`)).status, 404);
    });

    test('ping, whoami without an account, settings files', async () => {
      assert.deepEqual((await send(world.anonymous, 'GET', '-/ping')).json(), {});
      assert.equal((await send(world.anonymous, 'GET', '-/whoami')).status, 401);
      const plain = await world.reader.request('GET', '/artifactory/api/npm/auth');
      assert.match(
        plain.text,
        new RegExp(`^_auth = ${Buffer.from(`reader:${PASSWORD}`).toString('base64')}\nalways-auth = true\nemail = `),
      );
      const scoped = await send(world.reader, 'GET', 'auth/corp');
      assert.match(scoped.text, /^@corp:registry=http:\/\/.*\/api\/npm\/npm-local\/\n/);
      assert.equal((await world.anonymous.request('GET', '/artifactory/api/npm/auth')).status, 401);
      assert.equal((await world.admin.request('POST', `${BASE}/reindex`)).status, 200);
      assert.equal((await world.reader.request('POST', `${BASE}/reindex`)).status, 403);
    });

    test('audits say that nothing is known, compressed or not', async () => {
      const bulk = { 'left-pad': ['1.0.0'] };
      const packed = await world.reader.request('POST', `${BASE}/-/npm/v1/security/advisories/bulk`, {
        headers: { 'Content-Encoding': 'gzip', 'Content-Type': 'application/json' },
        body: gzipSync(JSON.stringify(bulk)),
      });
      assert.deepEqual([packed.status, packed.json()], [200, {}]);
      assert.deepEqual((await send(world.reader, 'POST', '-/npm/v1/security/advisories/bulk', bulk)).json(), {});
      const quick = await send(world.reader, 'POST', '-/npm/v1/security/audits/quick', { dependencies: { a: {} } });
      assert.equal((quick.json() as { metadata: { dependencies: number } }).metadata.dependencies, 1);
      const broken = await world.reader.request('POST', `${BASE}/-/npm/v1/security/advisories/bulk`, {
        headers: { 'Content-Encoding': 'gzip' },
        body: 'no gzip',
      });
      assert.equal(broken.status, 400);
      assert.equal((await send(world.reader, 'GET', '-/npm/v1/keys')).status, 404);
    });

    test('search finds by name, words and qualifiers', async () => {
      const sample = await makePackage('@find/needle', '1.2.3', {
        manifest: { keywords: ['haystack'], description: 'Sharp.' },
      });
      await publish(world.writer, BASE, publishDocument(sample));
      const search = async (text: string) => {
        const answer = await send(world.reader, 'GET', `-/v1/search?text=${encodeURIComponent(text)}&size=5`);
        assert.equal(answer.status, 200, answer.text);
        const { objects, total } = answer.json() as { objects: { package: { name: string } }[]; total: number };
        return { names: objects.map((one) => one.package.name), total };
      };
      for (const text of ['needle', 'sharp', 'keywords:haystack', 'scope:find']) {
        assert.deepEqual((await search(text)).names, ['@find/needle'], text);
      }
      assert.deepEqual(await search('no such thing at all'), { names: [], total: 0 });
      assert.equal((await send(world.reader, 'GET', `-/v1/search?text=${'x'.repeat(2000)}`)).status, 400);
      assert.equal((await send(world.reader, 'GET', '-/v1/search?size=-1')).status, 400);
    });
  });
}
