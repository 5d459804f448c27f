/** Copying and moving items through the REST API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeBytes, type Image, ImageClient, makeImage, makeIndex, sha256, TYPES } from '../../support/oci.ts';
import type { Answer, Caller } from '../../support/test-app.ts';
import { createUser, expectStatus, getJson, grant, onEachStorage, sendJson } from './api-world.ts';

const STORAGE = '/artifactory/api/storage';

interface Messages {
  readonly messages: { readonly level: string; readonly message: string }[];
}

/** The manifest and every blob it names are there. */
async function expectPullable(client: ImageClient, reference: string, image: Image): Promise<void> {
  const manifest = await client.request('GET', `/manifests/${reference}`);
  assert.equal(manifest.status, 200, manifest.text);
  assert.equal(sha256(manifest.bytes), image.digest);
  for (const blob of [image.config, ...image.layers])
    assert.equal(await client.statusOf(`/blobs/${sha256(blob)}`), 200);
}

onEachStorage('copies and moves', (world) => {
  const admin = () => world().app.admin;
  const put = (path: string, body = 'text') =>
    expectStatus(admin().request('PUT', `/artifactory/${path}`, { body }), 201);
  const get = (path: string, caller: Caller = admin()) => caller.request('GET', `/artifactory/${path}`);
  const list = async (path: string) =>
    ((await getJson(admin(), `${STORAGE}/${path}?list&deep=1&listFolders=1`)) as { files: { uri: string }[] }).files
      .map(({ uri }) => uri)
      .sort();
  const post = (verb: 'copy' | 'move', from: string, to: string, query = '', caller: Caller = admin()) =>
    caller.request('POST', `/artifactory/api/${verb}/${from}?to=${encodeURIComponent(to)}${query}`);
  const messagesOf = (answer: Answer) => (answer.json() as Messages).messages.map(({ message }) => message);
  const repository = (key: string, fields: object = {}) =>
    expectStatus(
      sendJson(admin(), 'PUT', `/artifactory/api/repositories/${key}`, {
        rclass: 'local',
        packageType: 'generic',
        ...fields,
      }),
      200,
    );

  test('puts artifacts where the layout of the target wants them, if asked to', async () => {
    await repository('by-maven', { repoLayoutRef: 'maven-2-default' });
    await repository('by-ivy', { repoLayoutRef: 'ivy-default' });
    const jar = 'org/acme/lib/1.0/lib-1.0.jar';
    const sources = 'org/acme/lib/1.0/lib-1.0-sources.jar';
    for (const path of [jar, sources, 'org/acme/readme.txt']) await put(`by-maven/${path};k=v`, path);
    await expectStatus(post('copy', 'by-maven/org', '/by-ivy/org', '&suppressLayouts=1'), 200);
    assert.ok((await list('by-ivy')).includes(`/${jar}`));
    await expectStatus(admin().request('DELETE', '/artifactory/by-ivy/org'), 204);
    const dry = await expectStatus(post('copy', 'by-maven/org', '/by-ivy/org', '&suppressLayouts=0&dry=1'), 200);
    assert.match(messagesOf(dry).join(), /3 artifacts and 0 folders would be copied/);
    await expectStatus(post('copy', 'by-maven/org', '/by-ivy/org', '&suppressLayouts=0'), 200);
    const translated = ['/org.acme/lib/1.0/jars/lib-1.0.jar', '/org.acme/lib/1.0/jars/lib-sources-1.0.jar'];
    const copied = (await list('by-ivy')).filter((path) => /\.(?:jar|txt)$/.test(path));
    assert.deepEqual(copied, [...translated, '/org/acme/readme.txt']);
    assert.equal((await get(`by-ivy${translated[1]}`)).text, sources);
    const found = (await getJson(admin(), `${STORAGE}/by-ivy${translated[0]}?properties`)) as { properties: object };
    assert.deepEqual(found.properties, { k: ['v'] });
    // What lies there already stays, and so does what would have taken its place.
    const again = await post('move', 'by-maven/org', '/by-ivy', '&suppressLayouts=0');
    assert.equal(again.status, 409);
    assert.match(messagesOf(again).join(), /where the layout of "by-ivy" wants the file, is there already/);
    assert.equal((await get(`by-maven/${jar}`)).text, jar);
    await expectStatus(admin().request('DELETE', '/artifactory/by-ivy/org.acme'), 204);
    await expectStatus(post('move', `by-maven/${jar}`, `/by-ivy/${jar}`, '&suppressLayouts=0'), 200);
    assert.equal((await get(`by-ivy${translated[0]}`)).text, jar);
    await expectStatus(get(`by-maven/${jar}`), 404);
    // Two files that read as one artifact: the second is told that there is one.
    await repository('by-plain', { repoLayoutRef: 'simple-default' });
    await put('by-maven/two/acme/lib/1/lib-1-a.jar', 'a');
    await put('by-maven/two/acme/lib/1/lib-1-b.jar', 'b');
    const both = await post('move', 'by-maven/two', '/by-plain/two', '&suppressLayouts=0');
    assert.equal(both.status, 409);
    assert.equal((await get('by-plain/two/acme/lib/lib-1.jar')).text, 'a');
    assert.equal((await get('by-maven/two/acme/lib/1/lib-1-b.jar')).text, 'b');
  });

  test('copies a file with its properties and starts its statistics anew', async () => {
    await put('generic-local/cp/a.txt;k=1,2', 'hello');
    await expectStatus(
      sendJson(admin(), 'PATCH', '/artifactory/api/metadata/generic-local/cp/a.txt', { stats: { downloadCount: 7 } }),
      204,
    );
    const answer = await expectStatus(post('copy', 'generic-local/cp/a.txt', '/generic-local/cp2/b.txt'), 200);
    assert.equal(answer.headers['content-type'], 'application/vnd.org.jfrog.artifactory.storage.CopyOrMoveResult+json');
    assert.deepEqual(messagesOf(answer), [
      'copying generic-local:cp/a.txt to generic-local:cp2/b.txt completed successfully, 1 artifacts and 0 folders were copied',
    ]);
    assert.equal((await get('generic-local/cp2/b.txt')).text, 'hello');
    assert.equal((await get('generic-local/cp/a.txt')).text, 'hello');
    const found = (await getJson(admin(), `${STORAGE}/generic-local/cp2/b.txt?properties`)) as { properties: object };
    assert.deepEqual(found.properties, { k: ['1', '2'] });
    const stats = async (path: string) =>
      ((await getJson(admin(), `${STORAGE}/${path}?stats`)) as { downloadCount: number }).downloadCount;
    assert.ok((await stats('generic-local/cp/a.txt')) >= 7);
    assert.ok((await stats('generic-local/cp2/b.txt')) < 7);
  });

  test('puts the source into a folder that is there, and otherwise gives it the name', async () => {
    for (const name of ['x/1', 'x/sub/2']) await put(`generic-local/mv/${name}`);
    await expectStatus(post('move', 'generic-local/mv', '/generic-local/moved'), 200);
    assert.deepEqual(await list('generic-local/moved'), ['/x', '/x/1', '/x/sub', '/x/sub/2']);
    await expectStatus(get('generic-local/mv/x/1'), 404);
    await expectStatus(admin().request('GET', `${STORAGE}/generic-local/mv`), 404);
    await put('generic-local/there/old');
    await expectStatus(post('copy', 'generic-local/moved/x', '/generic-local/there'), 200);
    assert.deepEqual(await list('generic-local/there'), ['/old', '/x', '/x/1', '/x/sub', '/x/sub/2']);
    await expectStatus(post('copy', 'generic-local/moved/x/1', '/generic-local/there/'), 200);
    assert.equal((await get('generic-local/there/1')).status, 200);
    await repository('root-target');
    await expectStatus(post('copy', 'generic-local/moved/x', '/root-target'), 200);
    assert.deepEqual(await list('root-target'), ['/x', '/x/1', '/x/sub', '/x/sub/2']);
    await repository('whole-target');
    await expectStatus(post('copy', 'root-target', '/whole-target'), 200);
    assert.deepEqual(await list('whole-target'), ['/x', '/x/1', '/x/sub', '/x/sub/2']);
  });

  test('moves statistics and properties of files and folders along', async () => {
    await put('generic-local/along/d/f;a=b');
    await expectStatus(
      admin().request('PUT', `${STORAGE}/generic-local/along/d?properties=on=folder&recursive=0`),
      204,
    );
    await expectStatus(
      sendJson(admin(), 'PATCH', '/artifactory/api/metadata/generic-local/along/d/f', { stats: { downloadCount: 9 } }),
      204,
    );
    await expectStatus(post('move', 'generic-local/along/d', '/generic-local/along2/e'), 200);
    const folder = (await getJson(admin(), `${STORAGE}/generic-local/along2/e?properties`)) as { properties: object };
    assert.deepEqual(folder.properties, { on: ['folder'] });
    const stats = (await getJson(admin(), `${STORAGE}/generic-local/along2/e/f?stats`)) as { downloadCount: number };
    assert.equal(stats.downloadCount, 9);
  });

  test('leaves a folder with its properties where the target takes none like it', async () => {
    await repository('jars-only', { packageType: 'generic', includesPattern: '**/*.jar' });
    for (const path of ['said', 'said/unsaid']) await put(`generic-local/about/${path}/f.jar`);
    const setting = `${STORAGE}/generic-local/about/said?properties=k=v&recursive=0`;
    await expectStatus(admin().request('PUT', setting), 204);
    await expectStatus(post('move', 'generic-local/about', '/jars-only/about'), 200);
    assert.deepEqual(await list('jars-only/about'), ['/said', '/said/f.jar', '/said/unsaid', '/said/unsaid/f.jar']);
    assert.deepEqual(await list('generic-local/about'), ['/said']);
    const kept = await getJson(admin(), `${STORAGE}/generic-local/about/said?properties`);
    assert.deepEqual((kept as { properties: object }).properties, { k: ['v'] });
  });

  test('says in a dry run what it would do and refuse, and changes nothing', async () => {
    await put('generic-local/dry/a');
    const answer = await expectStatus(post('move', 'generic-local/dry', '/generic-local/dry2', '&dry=1'), 200);
    assert.match(messagesOf(answer)[0] ?? '', /^Dry Run for moving generic-local:dry to generic-local:dry2 completed/);
    assert.deepEqual(await list('generic-local/dry'), ['/a']);
    await expectStatus(admin().request('GET', `${STORAGE}/generic-local/dry2`), 404);
    const refused = await expectStatus(post('move', 'generic-local/dry', '/generic-local/dry/in', '&dry=1'), 409);
    assert.match(refused.text, /lies in the folder/);
  });

  test('refuses what makes no sense with a sentence', async () => {
    await put('generic-local/bad/f');
    await put('generic-local/bad/dir/f');
    await put('generic-local/bad/file');
    const cases: readonly (readonly [from: string, to: string, status: number, text: RegExp])[] = [
      ['generic-local/bad/f', '', 400, /target is missing/],
      ['generic-local/bad/nothing', '/generic-local/x', 404, /Could not find item/],
      ['nowhere/a', '/generic-local/x', 404, /Could not find item/],
      ['generic-local/bad/f', '/nowhere/x', 404, /target repository/],
      ['generic-local/bad/f', '/generic-local/bad/f', 409, /source and target/],
      ['generic-local/bad', '/generic-local', 409, /source and target/],
      ['generic-local/bad', '/generic-local/bad/dir/deep', 409, /lies in the folder/],
      ['generic-local/bad/dir', '/generic-local/bad/file', 409, /is a file/],
      ['generic-local/bad/f', '/generic-local/bad/file/below', 409, /is a file/],
      ['generic-local/bad/f', '/docker-local/app/1/f', 409, /generic packages/],
      ['generic-local/bad/f', '/generic-local/../x', 400, /not allowed/],
      ['generic-local/bad/f', '/generic-local/_uploads/x', 400, /keeps for itself/],
      ['generic-local/bad/f', `/generic-local/${'x'.repeat(300)}`, 400, /longer than/],
      ['generic-local/bad/f', '/auto-trashcan/x', 409, /nothing can go/],
    ];
    for (const [from, to, status, text] of cases) {
      for (const verb of ['copy', 'move'] as const) {
        for (const dry of ['', '&dry=1']) {
          const answer = await post(verb, from, to, dry);
          assert.equal(answer.status, status, `${verb} ${from} ${to}: ${answer.text}`);
          assert.match(answer.text, text);
        }
      }
    }
    assert.deepEqual(await list('generic-local/bad'), ['/dir', '/dir/f', '/f', '/file']);
  });

  test('asks for rights at both ends, file by file, and passes over what may not be read', async () => {
    const { app } = world();
    for (const name of ['open/a', 'open/b', 'shut/c']) await put(`generic-local/rights-cp/${name}`);
    const eve = await createUser(app, 'eve');
    await grant(app, 'eve-reads', ['generic-local'], { eve: ['r'] }, 'rights-cp/open/**,eve/**,rights-cp/del/**');
    const refused = await expectStatus(post('copy', 'generic-local/rights-cp', '/generic-local/eve', '', eve), 403);
    assert.match(refused.text, /may not deploy/);
    await grant(app, 'eve-writes', ['generic-local'], { eve: ['w'] }, 'eve/**');
    await expectStatus(post('copy', 'generic-local/rights-cp', '/generic-local/eve', '', eve), 200);
    assert.deepEqual(await list('generic-local/eve'), ['/open', '/open/a', '/open/b']);
    // Again over what is there: that needs the right to delete.
    await expectStatus(post('copy', 'generic-local/rights-cp/open/a', '/generic-local/eve/open/a', '', eve), 403);
    await expectStatus(post('move', 'generic-local/rights-cp/open/a', '/generic-local/eve/new', '', eve), 403);
    assert.equal((await get('generic-local/rights-cp/open/a')).status, 200);
    await expectStatus(post('copy', 'generic-local/rights-cp/shut/c', '/generic-local/eve/c', '', eve), 404);
    await expectStatus(world().app.anonymous.request('POST', '/artifactory/api/copy/generic-local/a?to=/x/y'), 401);
  });

  test('keeps to the patterns of the target', async () => {
    await repository('patterned', { includesPattern: '**/*.txt' });
    await put('generic-local/pat/a.txt');
    await put('generic-local/pat/b.bin');
    const answer = await expectStatus(post('copy', 'generic-local/pat', '/patterned/pat'), 409);
    assert.match(answer.text, /rejected the artifact 'patterned:pat\/b\.bin' due to its include\/exclude pattern/);
    assert.deepEqual(await list('patterned'), ['/pat', '/pat/a.txt']);
    await expectStatus(post('copy', 'generic-local/pat', '/patterned/other', '&failFast=1'), 409);
    assert.deepEqual(await list('patterned'), ['/pat', '/pat/a.txt']);
  });

  test('overwrites files of the target, and frees their bytes', async () => {
    await put('generic-local/over/new', 'new bytes');
    await put('generic-local/over/old;keep=no', 'old bytes');
    await expectStatus(post('move', 'generic-local/over/new', '/generic-local/over/old'), 200);
    assert.equal((await get('generic-local/over/old')).text, 'new bytes');
    await expectStatus(admin().request('GET', `${STORAGE}/generic-local/over/old?properties`), 404);
  });

  test('takes thousands of files in pages, all or none where it must', async () => {
    const names = Array.from({ length: 1100 }, (_, i) => `many/d${i % 5}/f${i}`);
    for (let i = 0; i < names.length; i += 50) {
      await Promise.all(names.slice(i, i + 50).map((name) => put(`generic-local/${name};n=${name.length}`)));
    }
    const atomic = await expectStatus(post('move', 'generic-local/many', '/generic-local/many2', '&atomic=1'), 400);
    assert.match(atomic.text, /atomic=0/);
    const copied = await expectStatus(post('copy', 'generic-local/many', '/generic-local/many2'), 200);
    assert.match(messagesOf(copied).join(), /1100 artifacts and 6 folders were copied/);
    const moved = await expectStatus(post('move', 'generic-local/many', '/generic-local/many3/in'), 200);
    assert.match(messagesOf(moved).join(), /1100 artifacts and 6 folders were moved/);
    assert.equal((await list('generic-local/many3/in')).length, 1105);
    assert.equal((await list('generic-local/many2')).length, 1105);
    await expectStatus(admin().request('GET', `${STORAGE}/generic-local/many`), 404);
    const one = (await getJson(admin(), `${STORAGE}/generic-local/many3/in/d1/f1?properties`)) as {
      properties: object;
    };
    assert.deepEqual(one.properties, { n: ['10'] });
  });

  test('copies and moves images so that they can be pulled, with all that an index names', async () => {
    await repository('docker-prod', { packageType: 'docker' });
    const from = new ImageClient(admin(), '/v2/docker-local/shop/app');
    const [one, two] = [makeImage(), makeImage({ layers: 2 })];
    await from.push('1.0', one);
    const pulled = (repo: string, tag: string, image = one) =>
      expectPullable(new ImageClient(admin(), `/v2/${repo}`), tag, image);
    await expectStatus(post('copy', 'docker-local/shop/app/1.0', '/docker-prod/shop/app/1.0'), 200);
    await pulled('docker-prod/shop/app', '1.0');
    await pulled('docker-local/shop/app', '1.0');
    const tags = (await getJson(admin(), '/v2/docker-prod/shop/app/tags/list')) as { tags: string[] };
    assert.deepEqual(tags.tags, ['1.0']);
    await expectStatus(post('move', 'docker-prod/shop', '/docker-prod/store'), 200);
    await pulled('docker-prod/store/app', '1.0');
    await expectStatus(get('docker-prod/shop/app/1.0/manifest.json'), 404);
    const path = `${STORAGE}/docker-prod/store/app/1.0/manifest.json?properties=docker.repoName`;
    assert.deepEqual(((await getJson(admin(), path)) as { properties: object }).properties, {
      'docker.repoName': ['store/app'],
    });
    // What lay there would be removed like a blob that no manifest came to name.
    const waiting = '/docker-prod/store/app/_uploads/manifest.json';
    await expectStatus(post('copy', 'docker-local/shop/app/1.0/manifest.json', waiting), 400);
    await from.push('2.0', two);
    const promote = (body: object) =>
      sendJson(admin(), 'POST', '/artifactory/api/docker/docker-local/v2/promote', body);
    const done = await expectStatus(
      promote({ targetRepo: 'docker-prod', dockerRepository: 'shop/app', tag: '2.0', targetTag: 'stable', copy: true }),
      200,
    );
    assert.equal(done.text, 'Promotion ended successfully');
    await pulled('docker-prod/shop/app', 'stable', two);
    await expectStatus(
      promote({ targetRepo: 'docker-prod', dockerRepository: 'shop/app', tag: '1.0', targetTag: 'stable' }),
      200,
    );
    await pulled('docker-prod/shop/app', 'stable', one);
    await expectStatus(admin().request('GET', '/v2/docker-local/shop/app/manifests/1.0'), 404);
    await expectStatus(promote({ targetRepo: 'docker-prod', dockerRepository: 'shop/app', tag: 'none' }), 404);
    await expectStatus(promote({ targetRepo: 'generic-local', dockerRepository: 'shop/app', tag: '2.0' }), 409);
    await expectStatus(promote({ targetRepo: 'docker-prod' }), 400);
    const single = await expectStatus(
      post('copy', 'docker-local/shop/app/2.0/manifest.json', '/docker-prod/manifest.json'),
      409,
    );
    assert.match(single.text, /no place for a part of an image/);
  });

  test('takes the images of an index along, and leaves those that others need', async () => {
    const client = new ImageClient(admin(), '/v2/docker-local/multi/app');
    const [amd, arm] = [makeImage(), makeImage()];
    await client.push(amd.digest, amd);
    await client.push(arm.digest, arm);
    const describe = ({ bytes }: Image) => describeBytes(TYPES.manifest, bytes);
    const { digest: index } = await client.pushManifest('1.0', makeIndex([amd, arm].map(describe)), TYPES.index);
    await client.pushManifest('old', makeIndex([amd].map(describe)), TYPES.index);
    await repository('docker-multi', { packageType: 'docker' });
    await expectStatus(post('move', 'docker-local/multi/app/1.0', '/docker-multi/multi/app/1.0'), 200);
    const target = new ImageClient(admin(), '/v2/docker-multi/multi/app');
    await expectStatus(admin().request('GET', `/v2/docker-multi/multi/app/manifests/${index}`), 200);
    await expectPullable(target, amd.digest, amd);
    await expectPullable(target, arm.digest, arm);
    await expectPullable(client, amd.digest, amd);
    await expectStatus(admin().request('GET', `/v2/docker-local/multi/app/manifests/${arm.digest}`), 404);
  });
});
