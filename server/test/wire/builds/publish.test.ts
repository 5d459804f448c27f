/** Publishing builds and reading them back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { createUser, expectStatus, getJson, grant, onEachStorage, sendJson } from '../api/api-world.ts';
import { BUILD, getBuild, makeBuild, messageOf, numbersOf, publish, STARTED, sums } from './build-world.ts';

const REPO = '/artifactory/artifactory-build-info';
const MS = Date.parse('2026-03-04T10:00:00.000+03:00');

onEachStorage('publishing builds', (world) => {
  test('stores the document as a file and gives it back as it came', async () => {
    const { admin } = world().app;
    const file = {
      type: 'jar',
      name: 'a.jar',
      path: 'org/a.jar',
      originalDeploymentRepo: 'generic-local',
      ...sums('a'),
    };
    const sent = makeBuild({
      name: 'echo',
      number: '51',
      url: '',
      agentVersion: '9',
      vcs: [{ revision: 'abc', url: 'https://example.com/x.git', branch: 'main' }],
      properties: { 'buildInfo.env.PATH': '/bin', empty: '' },
      issues: null,
      modules: [
        {
          id: 'org:a:1',
          type: 'maven',
          properties: { k: 'v' },
          artifacts: [{ ...file, extra: '' }],
          dependencies: [{ id: 'junit:junit:4', scopes: ['test'], ...sums('j'), requestedBy: [['org:a:1']] }],
        },
      ],
      governance: { deep: { unknown: [1, 2] } },
    });
    const answer = await expectStatus(sendJson(admin, 'PUT', BUILD, sent), 204);
    assert.equal(answer.text, '');
    const { issues: _, ...kept } = sent;
    const got = await admin.request('GET', `${BUILD}/echo/51`);
    assert.equal(got.headers['content-type'], 'application/vnd.org.jfrog.build.BuildInfo+json');
    const { uri, buildInfo } = got.json() as { uri: string; buildInfo: unknown };
    assert.equal(uri, `${world().app.url}${BUILD}/echo/51`);
    assert.deepEqual(buildInfo, { ...kept, artifactoryPrincipal: 'admin', durationMillis: 0 });

    const stored = await expectStatus(admin.request('GET', `${REPO}/echo/51-${MS}.json`), 200);
    assert.deepEqual(stored.json(), buildInfo);
    assert.equal(answer.headers['x-checksum-sha256'], sums(stored.text).sha256);
  });

  test('takes a document that is put by its path, and nothing else', async () => {
    const { admin } = world().app;
    const sent = makeBuild({ name: 'put-by-path', number: '7' });
    const body = JSON.stringify(sent);
    const path = `${REPO}/put-by-path/7-${MS}.json`;
    const put = (address: string, content: string, headers: Record<string, string> = {}) =>
      admin.request('PUT', address, { headers, body: content });
    await expectStatus(put(path, body, { 'x-checksum-sha1': '0'.repeat(40) }), 409);
    await expectStatus(put(path, body, { 'x-checksum-deploy': 'true', 'x-checksum-sha1': sums(body).sha1 }), 404);
    await expectStatus(admin.request('GET', `${BUILD}/put-by-path/7`), 404);
    const answer = await expectStatus(put(path, body, { 'x-checksum-sha1': sums(body).sha1 }), 201);
    const got = (await getBuild(admin, 'put-by-path', '7')) as Record<string, unknown>;
    assert.equal(got['artifactoryPrincipal'], 'admin');
    const stored = await expectStatus(admin.request('GET', path), 200);
    const { checksums } = answer.json() as { checksums: { sha256: string } };
    assert.equal(checksums.sha256, sums(stored.text).sha256);
    // What was fetched can be put again.
    await expectStatus(put(path, stored.text, { 'x-checksum-sha1': sums(stored.text).sha1 }), 201);
    assert.deepEqual(await numbersOf(admin, 'put-by-path'), ['7']);
    for (const [address, content] of [
      [`${REPO}/put-by-path/8-${MS}.json`, body],
      [`${REPO}/readme.txt`, 'text'],
      [path, '{"name":"put-by-path"}'],
      [path, '['.repeat(1000)],
    ] as const) {
      await expectStatus(put(address, content), 400);
    }
    const publisher = await createUser(world().app, 'path-publisher');
    await expectStatus(publisher.request('PUT', path, { body }), 404);
    await grant(world().app, 'path-publishers', ['artifactory-build-info'], { 'path-publisher': ['w'] });
    await expectStatus(publisher.request('PUT', path, { body }), 403);
    const fresh = JSON.stringify(makeBuild({ name: 'by-path', number: '1' }));
    await expectStatus(publisher.request('PUT', `${REPO}/by-path/1-${MS}.json`, { body: fresh }), 201);
  });

  test('takes the content type that clients send', async () => {
    const { admin } = world().app;
    for (const type of ['application/vnd.org.jfrog.artifactory+json', 'application/json; charset=utf-8']) {
      const body = JSON.stringify(makeBuild({ name: 'types', number: '1' }));
      await expectStatus(admin.request('PUT', BUILD, { headers: { 'content-type': type }, body }), 204);
    }
    const body = JSON.stringify(makeBuild({ name: 'types', number: '2' }));
    await expectStatus(admin.request('PUT', BUILD, { headers: { 'content-type': 'text/plain' }, body }), 400);
  });

  test('replaces the same run and keeps another one of the same number', async () => {
    const { admin } = world().app;
    await publish(admin, { name: 'again', number: '1', url: 'http://first' });
    await publish(admin, { name: 'again', number: '1', url: 'http://second' });
    assert.equal((await getBuild(admin, 'again', '1'))['url'], 'http://second');
    const later = '2026-03-05T10:00:00.000+0000';
    await publish(admin, { name: 'again', number: '1', started: later, url: 'http://third' });
    assert.deepEqual(await numbersOf(admin, 'again'), ['1', '1']);
    assert.equal((await getBuild(admin, 'again', '1'))['url'], 'http://third');
    for (const started of [STARTED.replace('+', '%2B'), STARTED]) {
      assert.equal((await getBuild(admin, 'again', '1', `?started=${started}`))['url'], 'http://second');
    }
  });

  test('lists builds by their last run and runs by their start', async () => {
    const { admin, url } = world().app;
    await publish(admin, { name: 'list-b', number: '1', started: '2030-01-01T00:00:00.000Z' });
    await publish(admin, { name: 'list-a', number: '2', started: '2031-01-01T00:00:00.000Z' });
    await publish(admin, { name: 'list-b', number: '3', started: '2032-01-01T00:00:00.500+0200' });
    const { uri, builds } = (await getJson(admin, BUILD)) as { uri: string; builds: { uri: string }[] };
    assert.equal(uri, `${url}${BUILD}?buildRepo=artifactory-build-info`);
    assert.deepEqual(builds.slice(-2), [
      { uri: '/list-a', lastStarted: '2031-01-01T00:00:00.000+0000' },
      { uri: '/list-b', lastStarted: '2031-12-31T22:00:00.500+0000' },
    ]);
    assert.deepEqual(await getJson(admin, `${BUILD}/list-b`), {
      uri: `${url}${BUILD}/list-b?buildRepo=artifactory-build-info`,
      buildsNumbers: [
        { uri: '/3', started: '2031-12-31T22:00:00.500+0000' },
        { uri: '/1', started: '2030-01-01T00:00:00.000+0000' },
      ],
    });
  });

  test('leaves out properties and modules of a slim answer', async () => {
    const { admin } = world().app;
    await publish(admin, { name: 'slim', number: '1', properties: { a: 'b' }, modules: [{ id: 'm' }] });
    const slim = await getBuild(admin, 'slim', '1', '?slim=true');
    assert.deepEqual([slim['modules'], 'properties' in slim, slim['name']], [[], false, 'slim']);
    await publish(admin, { name: 'slim', number: '2', properties: {} });
    assert.equal('properties' in (await getBuild(admin, 'slim', '2')), false);
  });

  test('encodes names in paths and takes them encoded once or twice in addresses', async () => {
    const { admin } = world().app;
    const names: readonly (readonly [name: string, folder: string, found?: string])[] = [
      ['team/app', 'team%2Fapp'],
      ['team / app', 'team%20%2F%20app'],
      ['a  b\tc', 'a b c', 'a b c'],
      ['what?*|:;%\'"\\', 'what%3F%2A%7C%3A%3B%25%22%22%5C'],
      ['größe', 'größe'],
      ['100%25', '100%2525'],
    ];
    for (const [name, folder, found = name] of names) {
      await publish(admin, { name, number: '1:2/3' });
      const info = await admin.request('POST', '/artifactory/api/build/delete');
      assert.equal(info.status, 400);
      if (!found.includes('\\')) {
        const address = encodeURIComponent(found);
        assert.equal((await getBuild(admin, found, '1:2/3'))['name'], found);
        const twice = `${BUILD}/${encodeURIComponent(address)}/${encodeURIComponent(encodeURIComponent('1:2/3'))}`;
        await expectStatus(admin.request('GET', twice), 200);
      }
      if (name === 'team/app') await expectStatus(admin.request('GET', `${BUILD}/team/app/1%3A2%2F3`), 200);
      const database = await world().app.openDatabase();
      try {
        const rows = await database.kysely
          .selectFrom('build')
          .innerJoin('node', 'node.id', 'build.node_id')
          .select(['build.name', 'build.number', 'node.parent', 'node.name as file'])
          .where('build.name', '=', found)
          .execute();
        assert.deepEqual(plain(rows), [{ name: found, number: '1:2/3', parent: folder, file: `1%3A2%2F3-${MS}.json` }]);
      } finally {
        await database.close();
      }
    }
  });

  test('writes what the document says as rows, and removes them with the file', async () => {
    const { app } = world();
    const long = 'x'.repeat(10_000);
    await publish(app.admin, {
      name: 'rows',
      number: '7',
      url: 'http://ci/7',
      properties: { k: 'v', long, nul: 'a\0b' },
      statuses: [{ status: 'staged', repository: 'r', timestamp: STARTED, user: 'u' }],
      modules: [
        { id: 'm1', properties: { p: 'q' }, artifacts: [{ name: 'a', type: 't', ...sums('a') }, { name: 'b' }] },
        { id: 'm2', dependencies: [{ id: 'd', scopes: ['compile'], sha1: 'no checksum' }] },
      ],
    });
    const database = await app.openDatabase();
    try {
      const db = database.kysely;
      const build = await db.selectFrom('build').selectAll().where('name', '=', 'rows').executeTakeFirstOrThrow();
      assert.deepEqual([build.number, build.started_at, build.url, build.promoted], ['7', MS, 'http://ci/7', 1]);
      const properties = await db
        .selectFrom('build_property')
        .select(['key', 'value'])
        .where('build_id', '=', build.id)
        .orderBy('key')
        .execute();
      assert.deepEqual(
        properties.map(({ key, value }) => [key, value.length]),
        [
          ['k', 1],
          ['long', 1800],
          ['nul', 2],
        ],
      );
      const modules = await db
        .selectFrom('build_module')
        .select(['id', 'name'])
        .where('build_id', '=', build.id)
        .orderBy('id')
        .execute();
      assert.deepEqual(
        modules.map(({ name }) => name),
        ['m1', 'm2'],
      );
      const ids = modules.map(({ id }) => id);
      const artifacts = await db
        .selectFrom('build_artifact')
        .select(['module_id', 'name', 'sha1'])
        .where('module_id', 'in', ids)
        .orderBy('id')
        .execute();
      assert.deepEqual(plain(artifacts), [
        { module_id: ids[0], name: 'a', sha1: sums('a').sha1 },
        { module_id: ids[0], name: 'b', sha1: null },
      ]);
      const dependencies = await db
        .selectFrom('build_dependency')
        .select(['module_id', 'name', 'sha1', 'scopes'])
        .where('module_id', 'in', ids)
        .execute();
      assert.deepEqual(plain(dependencies), [{ module_id: ids[1], name: 'd', sha1: null, scopes: '["compile"]' }]);

      await expectStatus(app.admin.request('DELETE', `${REPO}/rows/7-${MS}.json`), 204);
      assert.deepEqual(
        await db
          .selectFrom('build')
          .selectAll()
          .where('id', '=', build.id)
          .where('repo_id', '=', build.repo_id)
          .execute(),
        [],
      );
      assert.deepEqual(await numbersOf(app.admin, 'rows'), []);
    } finally {
      await database.close();
    }
  });

  test('has no build whose document lies in the trash can, and has it again when it is back', async () => {
    const { app } = world();
    const file = `artifactory-build-info/trashed/1-${MS}.json`;
    for (const url of ['http://first', 'http://second']) {
      await publish(app.admin, { name: 'trashed', number: '1', url, modules: [{ id: 'm' }] });
      await expectStatus(app.admin.request('DELETE', `/artifactory/${file}`), 204);
      assert.deepEqual(await numbersOf(app.admin, 'trashed'), []);
    }
    await expectStatus(app.admin.request('POST', `/artifactory/api/trash/restore/${file}?to=${file}`), 202);
    await eventually(async () => assert.deepEqual(await numbersOf(app.admin, 'trashed'), ['1']));
    assert.equal((await getBuild(app.admin, 'trashed', '1'))['url'], 'http://second');
    const database = await app.openDatabase();
    try {
      const rows = await database.kysely
        .selectFrom('build')
        .innerJoin('node', 'node.id', 'build.node_id')
        .select(['build.url', 'build.repo_id', 'node.repo_id as at'])
        .where('build.name', '=', 'trashed')
        .execute();
      assert.deepEqual(
        rows.map(({ url, repo_id, at }) => [url, repo_id === at]),
        [['http://second', true]],
      );
    } finally {
      await database.close();
    }
  });

  test('keeps one of many publishings of the same run at once, with its rows', async () => {
    const { app } = world();
    await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        publish(app.admin, { name: 'race', number: '1', modules: [{ id: `m${i}` }, { id: `n${i}` }] }),
      ),
    );
    const { modules } = (await getBuild(app.admin, 'race', '1')) as { modules: { id: string }[] };
    const database = await app.openDatabase();
    try {
      const rows = await database.kysely
        .selectFrom('build')
        .innerJoin('build_module', 'build_module.build_id', 'build.id')
        .select('build_module.name')
        .where('build.name', '=', 'race')
        .orderBy('build_module.id')
        .execute();
      assert.deepEqual(
        rows.map(({ name }) => name),
        modules.map(({ id }) => id),
      );
    } finally {
      await database.close();
    }
  });

  test('refuses what cannot be a build, and says why', async () => {
    const { admin } = world().app;
    const good = makeBuild({ name: 'bad', number: '1' });
    const cases: readonly (readonly [body: unknown, status: number, message: RegExp])[] = [
      [{ ...good, name: '.hidden' }, 400, /^Build name must not start with '\.'$/],
      [{ ...good, number: '..' }, 400, /^Build number must not start with '\.'$/],
      [{ ...good, name: '  ' }, 400, /no name/],
      [{ ...good, name: undefined }, 400, /The field "name" of the build is not acceptable/],
      [{ ...good, name: 'a\u0001b' }, 400, /control character/],
      [{ ...good, name: 'n'.repeat(300) }, 400, /longer than 255 bytes/],
      [{ ...good, number: '/'.repeat(90) }, 400, /longer than 255 bytes/],
      [{ ...good, name: '\ud800' }, 400, /Unicode/],
      [{ ...good, started: 'yesterday' }, 400, /^Invalid format: "yesterday" is malformed at "yesterday"$/],
      [{ ...good, started: '2026-02-31T00:00:00.000Z' }, 400, /Invalid format/],
      [{ ...good, started: '2026-03-04T10:00:00.000' }, 400, /is malformed at/],
      [{ ...good, started: '1960-03-04T10:00:00.000Z' }, 400, /before 1970/],
      [{ ...good, started: undefined }, 400, /"started"/],
      [{ ...good, modules: 'none' }, 400, /"modules"/],
      [{ ...good, modules: [{ artifacts: [{ sha1: 5 }] }] }, 400, /"modules\.0\.artifacts\.0\.sha1"/],
      [{ ...good, statuses: [{ status: 's', timestamp: 'never' }] }, 400, /Invalid format/],
      [[], 400, /The body is not acceptable/],
      [{ ...good, modules: Array.from({ length: 100_001 }, () => ({})) }, 413, /100000 modules, artifacts/],
    ];
    for (const [body, status, message] of cases) {
      const answer = await expectStatus(sendJson(admin, 'PUT', BUILD, body), status);
      assert.match(messageOf(answer) ?? '', message);
    }
    for (const body of ['', '{', `{"name":"bad","number":"1","x":${'['.repeat(100)}${']'.repeat(100)}}`]) {
      const headers = { 'content-type': 'application/json' };
      await expectStatus(admin.request('PUT', BUILD, { headers, body }), 400);
    }
    assert.deepEqual(await numbersOf(admin, 'bad'), []);
  });

  test('refuses a document beyond the limit without reading all of it', async () => {
    const headers = { 'content-type': 'application/json', 'content-length': String(40 * 1024 * 1024) };
    const body = Buffer.alloc(40 * 1024 * 1024, ' ');
    const answer = await world()
      .app.admin.request('PUT', BUILD, { headers, body })
      .catch(() => undefined);
    // The server may cut the connection while the client still sends.
    if (answer) assert.equal(answer.status, 413);
  });

  test('refuses a build repository that is none', async () => {
    const { admin } = world().app;
    for (const [query, key] of [
      ['?buildRepo=missing', 'missing'],
      ['?project=none', 'none-build-info'],
      ['?buildRepo=generic-local', 'generic-local'],
    ]) {
      for (const method of ['PUT', 'GET']) {
        const answer = await sendJson(admin, method, `${BUILD}${query}`, makeBuild({ name: 'x', number: '1' }));
        assert.equal(answer.status, 400);
        assert.equal(messageOf(answer), `Build info repository '${key}' does not exist`);
      }
    }
  });

  test('tells of builds that are not there', async () => {
    const { admin } = world().app;
    const cases = [
      [`${BUILD}/nothing`, 'No build was found for build name: nothing'],
      [`${BUILD}/nothing/1`, 'No build was found for build name: nothing, build number: 1 '],
    ];
    for (const [path, message] of cases) {
      const answer = await expectStatus(admin.request('GET', path!), 404);
      assert.equal(messageOf(answer), message);
    }
    const bad = await expectStatus(admin.request('GET', `${BUILD}/nothing/1?started=2026-13-01`), 400);
    assert.equal(messageOf(bad), 'Invalid format: "2026-13-01" is malformed at "-13-01"');
  });

  test('appends modules, those with a known id too', async () => {
    const { admin } = world().app;
    await publish(admin, { name: 'append', number: '1', modules: [{ id: 'a' }] });
    const added = [{ id: 'a', artifacts: [{ name: 'x', ...sums('x') }] }, { id: 'b' }];
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/append/append/1`, added), 204);
    const { modules } = (await getBuild(admin, 'append', '1')) as { modules: { id: string }[] };
    assert.deepEqual(modules, [{ id: 'a' }, ...added]);
    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        expectStatus(sendJson(admin, 'POST', `${BUILD}/append/append/1`, [{ id: `m${i}` }]), 204),
      ),
    );
    assert.equal(((await getBuild(admin, 'append', '1')) as { modules: unknown[] }).modules.length, 11);
    const missing = await expectStatus(sendJson(admin, 'POST', `${BUILD}/append/none/1`, []), 404);
    assert.equal(messageOf(missing), 'The build none:1 is not found');
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/append/append/1`, { id: 'no array' }), 400);
  });

  test('compares two runs', async () => {
    const { admin } = world().app;
    const run = (version: string, own: string, extra: object) => ({
      id: `org:app:${version}`,
      artifacts: [
        { name: `app-${version}.jar`, type: 'jar', ...sums(own) },
        { name: 'same.txt', ...sums('same') },
      ],
      dependencies: [
        { id: `org:lib:${version}`, ...sums(`lib ${version}`) },
        { id: 'org:old:1', ...sums('old') },
        extra,
      ],
    });
    await publish(admin, {
      name: 'diff',
      number: '1',
      properties: { a: '1', b: '2' },
      modules: [run('1', 'one', { id: 'org:gone:1', ...sums('gone') })],
    });
    await publish(admin, {
      name: 'diff',
      number: '2',
      properties: { a: '1', c: '3' },
      modules: [run('2', 'two', { id: 'org:new:1', ...sums('new') })],
    });
    const answer = await admin.request('GET', `${BUILD}/diff/2?diff=1`);
    assert.equal(answer.headers['content-type'], 'application/vnd.org.jfrog.build.BuildsDiff+json');
    type Rows = Record<string, Record<string, { name?: string; key?: string; diffName?: string }[]>>;
    const found = answer.json() as Rows;
    const named = (what: string, kind: string) =>
      found[what]?.[kind]?.map(({ name, key, diffName }) => [name ?? key, ...(diffName ? [diffName] : [])].join(' < '));
    assert.deepEqual(named('artifacts', 'updated'), ['app-2.jar < app-1.jar']);
    assert.deepEqual(named('artifacts', 'unchanged'), ['same.txt < same.txt']);
    assert.deepEqual(named('artifacts', 'new'), []);
    assert.deepEqual(named('dependencies', 'updated'), ['org:lib:2 < org:lib:1']);
    assert.deepEqual(named('dependencies', 'new'), ['org:new:1']);
    assert.deepEqual(named('dependencies', 'removed'), ['org:gone:1']);
    assert.deepEqual(named('properties', 'new'), ['c']);
    assert.deepEqual(named('properties', 'removed'), ['b']);
    assert.deepEqual(named('properties', 'unchanged'), ['a']);
    await expectStatus(admin.request('GET', `${BUILD}/diff/2?diff=99`), 404);
  });

  test('shows nothing of builds to those who may not read them, and takes none from those who may not deploy', async () => {
    const { app, ann } = world();
    await publish(app.admin, { name: 'secret', number: '1' });
    await publish(app.admin, { name: 'open', number: '1' });
    for (const path of [BUILD, `${BUILD}/secret`, `${BUILD}/secret/1`]) {
      await expectStatus(app.anonymous.request('GET', path), 401);
      const answer = await ann.request('GET', path);
      assert.equal(answer.status, 400);
      assert.equal(messageOf(answer), "Build info repository 'artifactory-build-info' does not exist");
    }
    const reader = await createUser(app, 'build-reader');
    const writer = await createUser(app, 'build-writer');
    const repos = ['artifactory-build-info'];
    await grant(app, 'builds-read', repos, { 'build-reader': ['r'] }, 'open/**');
    await grant(app, 'builds-write', repos, { 'build-writer': ['r', 'w'] }, 'open/**');
    for (const path of [`${BUILD}/secret`, `${BUILD}/secret/1`, `${BUILD}/open/1?diff=secret`]) {
      const hidden = await expectStatus(reader.request('GET', path), 404);
      const absent = await expectStatus(reader.request('GET', path.replaceAll('secret', 'absent')), 404);
      assert.equal(hidden.text, absent.text.replaceAll('absent', 'secret'));
    }
    const { builds } = (await getJson(reader, BUILD)) as { builds: { uri: string }[] };
    assert.deepEqual(
      builds.map(({ uri }) => uri),
      ['/open'],
    );
    const attempts: readonly (readonly [method: string, path: string, body: unknown])[] = [
      ['PUT', BUILD, makeBuild({ name: 'open', number: '2' })],
      ['POST', `${BUILD}/append/open/1`, [{ id: 'm' }]],
      ['POST', `${BUILD}/promote/open/1`, { status: 's' }],
      ['POST', `${BUILD}/delete`, { buildName: 'open', buildNumbers: ['1'] }],
      ['DELETE', `${BUILD}/open?buildNumbers=1`, undefined],
      ['POST', `${BUILD}/retention/open`, { count: 1, minimumBuildDate: Date.now() }],
      ['POST', `${BUILD}/rename/open?to=mine`, undefined],
    ];
    for (const [method, path, body] of attempts) {
      const send = () => (body === undefined ? reader.request(method, path) : sendJson(reader, method, path, body));
      const answer = await send();
      assert.equal(answer.status, 403, `${method} ${path}: ${answer.text}`);
    }
    // A new run needs the right to deploy, as what is added to one; replacing a run needs the right to delete.
    await publish(writer, { name: 'open', number: '2' });
    await expectStatus(sendJson(writer, 'POST', `${BUILD}/append/open/2`, [{ id: 'm' }]), 204);
    await expectStatus(sendJson(writer, 'PUT', BUILD, makeBuild({ name: 'open', number: '2' })), 403);
    await expectStatus(sendJson(writer, 'PUT', BUILD, makeBuild({ name: 'secret', number: '1' })), 403);
    assert.equal((await getBuild(app.admin, 'open', '2'))['artifactoryPrincipal'], 'build-writer');
  });

  test('answers what clients call around their work', async () => {
    const { app, ann } = world();
    for (const path of ['/artifactory/api/system/usage', '/jfconnect/api/v1/backoffice/metrics/log']) {
      await expectStatus(sendJson(ann, 'POST', path, { productId: 'client', features: [] }), 200);
      await expectStatus(sendJson(app.anonymous, 'POST', path, {}), 401);
    }
    const password = await expectStatus(ann.request('GET', '/artifactory/api/security/encryptedPassword'), 200);
    const stored = app.as('ann', password.text);
    await expectStatus(stored.request('GET', '/artifactory/api/repositories'), 200);
    await expectStatus(app.anonymous.request('GET', '/artifactory/api/security/encryptedPassword'), 401);
    const page = `/ui/builds/some/1/${MS}/published?buildRepo=artifactory-build-info`;
    await expectStatus(app.anonymous.request('GET', page), 200);
  });
});

/** Rows without the prototype that says which driver made them. */
function plain(rows: readonly object[]): object[] {
  return rows.map((row) => ({ ...row }));
}
