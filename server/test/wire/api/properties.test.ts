/** Properties, statistics and the other views of an item through the REST API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../../support/test-app.ts';
import { createUser, expectStatus, getJson, grant, onEachStorage, sendJson } from './api-world.ts';

const STORAGE = '/artifactory/api/storage';
const METADATA = '/artifactory/api/metadata';

onEachStorage('properties', (world) => {
  const admin = () => world().app.admin;
  const put = (path: string, body = 'text') =>
    expectStatus(admin().request('PUT', `/artifactory/${path}`, { body }), 201);
  const set = (path: string, properties: string, query = '', caller: Caller = admin()) =>
    caller.request('PUT', `${STORAGE}/${path}?properties=${properties}${query}`);
  async function of(path: string): Promise<unknown> {
    const answer = await admin().request('GET', `${STORAGE}/${path}?properties`);
    if (answer.status === 404) return undefined;
    return (answer.json() as { properties: unknown }).properties;
  }

  test('sets values of a key, several keys, and what is escaped', async () => {
    await put('generic-local/set/f');
    const path = 'generic-local/set/f';
    const cases: readonly (readonly [raw: string, expected: object])[] = [
      ['a=1', { a: ['1'] }],
      ['a=1,2,1;b=x', { a: ['1', '2'], b: ['x'] }],
      ['a=1|b=2%7Cc=3', { a: ['1'], b: ['2'], c: ['3'] }],
      ['a=x%5C,y', { a: ['x,y'] }],
      ['a=x%5C%7Cy%5C%3Dz', { a: ['x|y=z'] }],
      ['a=x=y', { a: ['x=y'] }],
      ['a=x%3By', { a: ['x;y'] }],
      ['a%3D1%2C2%3Bb%3D3', { a: ['1', '2'], b: ['3'] }],
      ['a=b%20c+d', { a: ['b c d'] }],
      ['build.name=%C3%A4', { 'build.name': ['ä'] }],
      ['a=1;a=2', { a: ['1', '2'] }],
    ];
    for (const [raw, expected] of cases) {
      await expectStatus(admin().request('DELETE', `${METADATA}/${path}`), 204);
      const answer = await set(path, raw);
      assert.equal(answer.status, 204, `${raw}: ${answer.text}`);
      assert.deepEqual(await of(path), expected, raw);
    }
  });

  test('replaces the keys it names and keeps the others', async () => {
    await put('generic-local/replace/f;a=1,2;b=3');
    await expectStatus(set('generic-local/replace/f', 'a=9'), 204);
    assert.deepEqual(await of('generic-local/replace/f'), { a: ['9'], b: ['3'] });
    await expectStatus(admin().request('DELETE', `${STORAGE}/generic-local/replace/f?properties=a,none`), 204);
    assert.deepEqual(await of('generic-local/replace/f'), { b: ['3'] });
    await expectStatus(admin().request('DELETE', `${METADATA}/generic-local/replace/f`), 204);
    assert.equal(await of('generic-local/replace/f'), undefined);
  });

  test('reaches what lies in a folder unless told not to', async () => {
    for (const name of ['a', 'sub/b']) await put(`generic-local/deep/${name}`);
    await put('generic-local/deep-beside/c');
    await expectStatus(set('generic-local/deep', 'all=1'), 204);
    await expectStatus(set('generic-local/deep', 'top=1', '&recursive=0'), 204);
    await expectStatus(set('generic-local/deep', 'whole=1', '&atomic=1'), 204);
    assert.deepEqual(await of('generic-local/deep'), { all: ['1'], top: ['1'], whole: ['1'] });
    for (const path of ['a', 'sub', 'sub/b']) {
      assert.deepEqual(await of(`generic-local/deep/${path}`), { all: ['1'], whole: ['1'] });
    }
    assert.equal(await of('generic-local/deep-beside/c'), undefined);
    await expectStatus(admin().request('DELETE', `${STORAGE}/generic-local/deep?properties=all&recursive=1`), 204);
    assert.deepEqual(await of('generic-local/deep/sub/b'), { whole: ['1'] });
  });

  test('refuses what is no property with 400 and a sentence', async () => {
    await put('generic-local/bad-props/f');
    const path = 'generic-local/bad-props/f';
    const many = Array.from({ length: 1001 }, (_, i) => `k${i}=v`).join(';');
    const cases: readonly (readonly [raw: string, text: RegExp])[] = [
      ['', /properties/i],
      ['a', /a\\" is no property/],
      ['a=', /Properties value cannot be empty\./],
      ['a=1,', /Properties value cannot be empty\./],
      ['=1', /Property key: {2}is invalid/],
      ['1a=1', /Property key: 1a is invalid/],
      ['a%0Ab=1', /Property key/],
      ['a%20b=1', /Property key/],
      ['a*=1', /Property key/],
      ['__proto__=1', /Property key/],
      ['a=x%5C', /backslash/],
      ['a=%zz', /percent/],
      [many, /More than 1000/],
      [`${'k'.repeat(256)}=1`, /longer than 255/],
      [`a=${'v'.repeat(2400)}`, /longer than 2300/],
    ];
    for (const [raw, text] of cases) {
      const answer = await set(path, raw);
      assert.equal(answer.status, 400, `${raw.slice(0, 40)}: ${answer.text}`);
      assert.match(answer.text, text);
    }
    assert.equal(await of(path), undefined);
    await expectStatus(admin().request('PUT', `${STORAGE}/${path}`), 400);
    await expectStatus(set('generic-local/bad-props/none', 'a=1'), 404);
    await expectStatus(set('generic-local/..%2fx', 'a=1'), 400);
    await expectStatus(admin().request('DELETE', `${STORAGE}/${path}?properties=`), 400);
  });

  test('patches keys, removes those that are null, and refuses other shapes', async () => {
    await put('generic-local/patch/f;old=1;k=1');
    const path = 'generic-local/patch/f';
    const patch = (body: unknown, at = path) => sendJson(admin(), 'PATCH', `${METADATA}/${at}`, body);
    await expectStatus(patch({ props: { k: ['a', 'b'], new: 'x', old: null } }), 204);
    assert.deepEqual(await of(path), { k: ['a', 'b'], new: ['x'] });
    const cases: readonly (readonly [body: unknown, text: RegExp])[] = [
      [{}, /props or stats fields required/],
      [{ props: [] }, /Failed to parse json object while performing patch properties request\./],
      [{ props: { k: 1 } }, /Failed to set properties on generic-local:patch\/f/],
      [{ props: { k: { a: 1 } } }, /Failed to parse json object/],
      [{ props: { k: [] } }, /Failed to parse json object/],
      [{ props: { 'a b': 'x' } }, /Property key/],
      [JSON.parse('{"props":{"__proto__":"x"}}'), /Property key|Failed/],
      [{ stats: { downloadCount: -1 } }, /not acceptable/],
    ];
    for (const [body, text] of cases) {
      const answer = await patch(body);
      assert.equal(answer.status, 400, `${JSON.stringify(body)}: ${answer.text}`);
      assert.match(answer.text, text);
    }
    const missing = await expectStatus(patch({ props: { a: 'b' } }, 'generic-local/patch/none'), 400);
    assert.match(missing.text, /Item generic-local:patch\/none does not exist/);
    await expectStatus(admin().request('DELETE', `${METADATA}/generic-local/patch/none`), 204);
    await expectStatus(admin().request('GET', `${METADATA}/${path}`), 405);
    const deep = `${'['.repeat(2000)}${']'.repeat(2000)}`;
    await expectStatus(admin().request('PATCH', `${METADATA}/${path}`, { body: `{"props":${deep}}` }), 400);
  });

  test('asks for the right to annotate, item by item', async () => {
    const { app } = world();
    for (const name of ['mine/a', 'theirs/b']) await put(`generic-local/notes/${name}`);
    const nan = await createUser(app, 'nan');
    await grant(app, 'nan-reads', ['generic-local'], { nan: ['r'] }, 'notes/**');
    await expectStatus(set('generic-local/notes/mine/a', 'k=1', '', nan), 403);
    await grant(app, 'nan-notes', ['generic-local'], { nan: ['n'] }, 'notes,notes/mine/**,notes/shut/**');
    await put('generic-local/hidden-notes/c;k=secret');
    await expectStatus(set('generic-local/notes/mine/a', 'k=1', '', nan), 204);
    await expectStatus(set('generic-local/notes', 'all=1', '&atomic=1', nan), 403);
    assert.equal(await of('generic-local/notes'), undefined);
    await expectStatus(set('generic-local/notes', 'all=1', '', nan), 204);
    assert.deepEqual(await of('generic-local/notes/mine/a'), { all: ['1'], k: ['1'] });
    assert.equal(await of('generic-local/notes/theirs/b'), undefined);
    for (const view of ['properties', 'stats', 'permissions', 'propertiesXml']) {
      const [forbidden, missing] = await Promise.all(
        ['generic-local/hidden-notes/c', 'generic-local/nothing/c'].map((path) =>
          nan.request('GET', `${STORAGE}/${path}?${view}`),
        ),
      );
      assert.equal(forbidden?.status, 404, view);
      assert.equal(forbidden?.text, missing?.text);
    }
    await expectStatus(set('generic-local/hidden-notes/c', 'k=2', '', nan), 404);
    await expectStatus(app.anonymous.request('PUT', `${STORAGE}/generic-local/notes/mine/a?properties=k=1`), 401);
  });

  test('writes properties as XML', async () => {
    await put('generic-local/xml/f;a=1,%3C%26%3E;docker.x=2');
    const answer = await admin().request('GET', `${STORAGE}/generic-local/xml/f?propertiesXml`);
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers['content-type']), /^application\/xml/);
    assert.equal(answer.text, '<properties><a>1</a><a>&#60;&#38;&#62;</a><docker.x>2</docker.x></properties>');
  });

  test('counts what was fetched, not what was only asked about', async () => {
    const { ann, app } = world();
    await put('generic-local/fetched/f', 'bytes');
    await grant(app, 'ann-fetches', ['generic-local'], { ann: ['r'] }, 'fetched/**');
    for (let i = 0; i < 3; i++) await expectStatus(ann.request('GET', '/artifactory/generic-local/fetched/f'), 200);
    await expectStatus(ann.request('HEAD', '/artifactory/generic-local/fetched/f'), 200);
    await expectStatus(admin().request('GET', '/artifactory/generic-local/fetched/f?skipUpdateStats=true'), 200);
    await expectStatus(admin().request('GET', `${STORAGE}/generic-local/fetched/f`), 200);
    const stats = (await getJson(admin(), `${STORAGE}/generic-local/fetched/f?stats`)) as Record<string, unknown>;
    assert.equal(stats['downloadCount'], 3);
    assert.equal(stats['lastDownloadedBy'], 'ann');
  });

  test('counts downloads without a write for each, and merges what an administrator brings', async () => {
    const { app } = world();
    await put('generic-local/counted/f');
    const repo = app.core.repositories.get('generic-local', { kind: 'anonymous' });
    assert.equal(repo, undefined);
    const path = 'counted/f' as Parameters<typeof app.core.downloads.counted>[1];
    const key = 'generic-local' as Parameters<typeof app.core.downloads.counted>[0];
    for (let i = 0; i < 5; i++) app.core.downloads.counted(key, path, undefined, 'ann', 1_700_000_000_000 + i);
    const stats = async () =>
      (await getJson(admin(), `${STORAGE}/generic-local/counted/f?stats`)) as Record<string, unknown>;
    const found = await stats();
    assert.equal(found['uri'], `${app.url}/artifactory/generic-local/counted/f`);
    assert.equal(found['downloadCount'], 5);
    assert.equal(found['lastDownloaded'], 1_700_000_000_004);
    assert.equal(found['lastDownloadedBy'], 'ann');
    assert.equal(found['remoteDownloadCount'], 0);
    assert.equal(found['remoteLastDownloaded'], 0);
    app.core.downloads.counted(key, 'counted/gone' as typeof path, undefined, 'ann', 1);
    app.core.downloads.counted(key, path, undefined, 'bob', 1_700_000_000_009);
    assert.equal((await stats())['downloadCount'], 6);
    const merge = (caller: Caller) =>
      sendJson(caller, 'PATCH', `${METADATA}/generic-local/counted/f`, { stats: { downloadCount: 100 } });
    await expectStatus(merge(admin()), 204);
    assert.equal((await stats())['downloadCount'], 100);
    assert.equal((await stats())['lastDownloadedBy'], 'bob');
    await grant(app, 'ann-counted', ['generic-local'], { ann: ['r', 'n'] }, 'counted/**');
    await expectStatus(merge(world().ann), 403);
    const folder = (await getJson(admin(), `${STORAGE}/generic-local/counted?stats`)) as Record<string, unknown>;
    assert.equal(folder['downloadCount'], 0);
  });

  test('shows who may do what at an item to who manages it, and where bytes lie to administrators', async () => {
    const { app, ann } = world();
    await put('generic-local/perms/f');
    await grant(app, 'perms', ['generic-local'], { ann: ['r', 'w', 'n', 'd'] }, 'perms/**');
    const found = (await getJson(admin(), `${STORAGE}/generic-local/perms/f?permissions`)) as {
      principals: { users: Record<string, string[]> };
    };
    assert.deepEqual(found.principals.users['ann']?.toSorted(), ['d', 'n', 'r', 'w']);
    await expectStatus(ann.request('GET', `${STORAGE}/generic-local/perms/f?permissions`), 403);
    await expectStatus(ann.request('GET', `${STORAGE}/generic-local/perms/f?storageInfo`), 403);
    const info = (await getJson(admin(), `${STORAGE}/generic-local/perms/f?storageInfo`)) as Record<string, unknown>;
    assert.equal(info['size'], '4');
    assert.equal(info['binaryProvider'], 'database');
  });
});
