/** Lists of packages: page by page, in each order, by parts of names, over members, and within what a caller may see. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { makeChart, put } from '../../formats/helm-samples.ts';
import { makePackage, publish, publishDocument } from '../../formats/npm-samples.ts';
import type { Caller, TestApp } from '../../support/test-app.ts';
import { createUser, expectStatus, getJson, grant, onEachStorage, sendJson } from '../api/api-world.ts';
import { ALL, type Lines, namesIn, refusalOf, summaryOf, versionsOf } from './packages-world.ts';

const NAMES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'Zeta', '@s/one', '@s/two'];

async function pagesOf(caller: Caller, path: string, limit: number): Promise<string[][]> {
  const pages: string[][] = [];
  for (let after = ''; ; ) {
    const query = `limit=${limit}${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`;
    const page = (await getJson(caller, `${path}${path.includes('?') ? '&' : '?'}${query}`)) as Lines;
    pages.push(page.packages.map(({ name }) => name));
    if (page.after === undefined) return pages;
    after = page.after;
  }
}

async function make(app: TestApp, key: string, packageType: string, body: object = { rclass: 'local' }): Promise<void> {
  await expectStatus(sendJson(app.admin, 'PUT', `/artifactory/api/repositories/${key}`, { packageType, ...body }), 200);
}

async function put1(app: TestApp, key: string, name: string, version: string): Promise<void> {
  const document = publishDocument(await makePackage(name.toLowerCase(), version));
  assert.equal((await publish(app.admin, `/artifactory/api/npm/${key}`, document)).status, 201);
}

onEachStorage('lists of packages', (world) => {
  const own = (name: string) => name.toLowerCase();
  before(async () => {
    const { app } = world();
    await make(app, 'one', 'npm');
    await make(app, 'two', 'npm');
    await make(app, 'both', 'npm', { rclass: 'virtual', repositories: ['two', 'one'] });
    for (const name of NAMES) await put1(app, 'one', name, '1.0.0');
    await put1(app, 'two', 'beta', '2.0.0');
    await put1(app, 'two', 'omega', '1.0.0');
  });

  test('page through all names once, forwards and backwards', async () => {
    const sorted = NAMES.map(own).sort();
    const { admin } = world().app;
    for (const limit of [1, 3, 8, 50]) {
      const pages = await pagesOf(admin, `${ALL}/one`, limit);
      assert.deepEqual(pages.flat(), sorted);
      for (const page of pages.slice(0, -1)) assert.equal(page.length, limit);
      assert.deepEqual((await pagesOf(admin, `${ALL}/one?order=desc`, limit)).flat(), sorted.toReversed());
    }
  });

  test('put what was published last first, each package once', async () => {
    const { admin } = world().app;
    const expected = ['omega', 'beta', '@s/two', '@s/one', 'zeta', 'epsilon', 'delta', 'gamma', 'alpha'];
    for (const limit of [1, 2, 50]) {
      assert.deepEqual((await pagesOf(admin, `${ALL}/both?sort=published`, limit)).flat(), expected);
      const ascending = await pagesOf(admin, `${ALL}/both?sort=published&order=asc`, limit);
      assert.deepEqual(
        ascending.flat(),
        ['beta', ...expected.toReversed().filter((name) => name !== 'beta')].sort(
          (one, other) => place(expected, one) - place(expected, other),
        ),
      );
    }
    function place(order: readonly string[], name: string): number {
      // The first of its members had "beta" second of all.
      return name === 'beta' ? 1.5 : order.length - order.indexOf(name);
    }
  });

  test('find names by their beginning, and by any part in whatever case', async () => {
    const { admin } = world().app;
    assert.deepEqual(await namesIn(admin, 'one', '?prefix=@s/'), ['@s/one', '@s/two']);
    assert.deepEqual(await namesIn(admin, 'one', '?q=ETA'), ['beta', 'zeta']);
    assert.deepEqual(await namesIn(admin, 'one', '?q=ta&prefix=d&sort=published'), ['delta']);
    assert.deepEqual(await namesIn(admin, 'one', '?q=nothing'), []);
  });

  test('merge the members of a virtual repository, and tell who has a version', async () => {
    const { admin } = world().app;
    const { packages } = (await getJson(admin, `${ALL}/both?prefix=beta`)) as Lines;
    assert.deepEqual(
      packages.map(({ name, latest, versions }) => [name, latest, versions]),
      [['beta', '2.0.0', 2]],
    );
    const { versions } = await versionsOf(admin, 'both', 'beta');
    assert.deepEqual(
      versions.map(({ version, heldBy }) => [version, heldBy]),
      [
        ['2.0.0', 'two'],
        ['1.0.0', 'one'],
      ],
    );
    assert.deepEqual((await summaryOf(admin, 'both', 'beta')).heldBy, ['two', 'one']);
  });

  test('page through versions, also past one that is gone meanwhile', async () => {
    const { app } = world();
    await make(app, 'many', 'npm');
    const all = ['1.0.0', '1.2.0', '1.10.0', '2.0.0', '10.0.0'];
    for (const version of all) await put1(app, 'many', 'steps', version);
    const first = await versionsOf(app.admin, 'many', 'steps', '?limit=2');
    assert.deepEqual([first.versions.map(({ version }) => version), first.total], [['10.0.0', '2.0.0'], 5]);
    const gone = await app.admin.request('DELETE', '/artifactory/many/steps/-/steps-2.0.0.tgz');
    assert.equal(gone.status, 204, gone.text);
    const next = await versionsOf(
      app.admin,
      'many',
      'steps',
      `?limit=9&after=${encodeURIComponent(first.after ?? '')}`,
    );
    assert.deepEqual(
      next.versions.map(({ version }) => version),
      ['1.10.0', '1.2.0', '1.0.0'],
    );
    assert.equal(next.after, undefined);
  });

  test('forget a package with its last version', async () => {
    const { app } = world();
    await make(app, 'brief', 'npm');
    await put1(app, 'brief', 'gone', '1.0.0');
    assert.deepEqual(await namesIn(app.admin, 'brief'), ['gone']);
    assert.equal((await app.admin.request('DELETE', '/artifactory/brief/gone/-/gone-1.0.0.tgz')).status, 204);
    assert.deepEqual(await namesIn(app.admin, 'brief'), []);
    assert.match(await refusalOf(app.admin, `${ALL}/brief/summary/gone`, 404), /no package "gone" in "brief"/);
    await put1(app, 'brief', 'gone', '1.1.0');
    assert.deepEqual(await namesIn(app.admin, 'brief'), ['gone']);
  });

  test('refuse what nobody could mean with a sentence', async () => {
    const { admin } = world().app;
    const bad: readonly (readonly [path: string, status: number, sentence: RegExp])[] = [
      ['/one?limit=0', 400, /"0" is no limit: use a number from 1 to 200/],
      ['/one?limit=ten', 400, /"ten" is no limit/],
      ['/one?after=nonsense', 400, /no mark of this list/],
      [`/one?after=${'x'.repeat(5000)}`, 400, /no mark of this list/],
      ['/one?sort=size', 400, /use "name" or "published"/],
      ['/one?order=up', 400, /use "asc" or "desc"/],
      [`/one?q=${'x'.repeat(501)}`, 400, /longer than 500/],
      ['/one?q=%00', 400, /NUL character/],
      ['/one?after=', 400, /no mark of this list/],
      ['?type=nonsense', 400, /"nonsense" is no package type/],
      ['/none', 404, /no repository "none"/],
      ['/generic-local', 400, /of the type Generic, of which no packages are shown/],
      ['/one/summary/none', 404, /no package "none" in "one"/],
      ['/one/summary/%F0%9F%92%A9', 404, /no package/],
      [`/one/versions/${'n'.repeat(900)}`, 404, /no package/],
      ['/one/version/alpha', 400, /Name the version/],
      ['/one/version/alpha?version=9.9.9', 404, /no version "9\.9\.9" of "alpha" in "one"/],
      ['/one/version/alpha?version=%00', 400, /NUL character/],
      ['/one/version/alpha?version=%2F', 404, /no version/],
    ];
    for (const [path, status, sentence] of bad) {
      assert.match(await refusalOf(admin, `${ALL}${path}`, status), sentence, path);
    }
    const page = (await getJson(admin, `${ALL}/one?limit=1`)) as Lines;
    const mark = encodeURIComponent(page.after ?? '');
    await refusalOf(admin, `${ALL}/two?after=${mark}`, 400);
    await refusalOf(admin, `${ALL}/one?order=desc&after=${mark}`, 400);
    assert.equal((await admin.request('POST', `${ALL}/one`)).status, 405);
  });

  test('know how many rows each package has, whatever became of its files', async () => {
    const { app } = world();
    await make(app, 'moved', 'npm');
    await make(app, 'moved-to', 'npm');
    for (const version of ['1.0.0', '1.1.0', '1.2.0']) await put1(app, 'moved', 'roams', version);
    const run = async (method: string, path: string, body?: Buffer) => {
      const answer = await app.admin.request(method, path, body && { body });
      assert.ok(answer.status < 300, `${path}: ${answer.text}`);
    };
    const file = (version: string) => `roams/-/roams-${version}.tgz`;
    await run('PUT', `/artifactory/moved/${file('1.0.0')}`, (await makePackage('roams', '1.0.0')).tarball);
    await run('PUT', `/artifactory/moved/${file('1.1.0')}`, (await makePackage('other', '1.1.0')).tarball);
    await run('POST', `/artifactory/api/move/moved/${file('1.2.0')}?to=/moved-to/${file('1.2.0')}`);
    await run('POST', `/artifactory/api/copy/moved/${file('1.0.0')}?to=/moved-to/${file('1.0.0')}`);
    await run('DELETE', `/artifactory/moved/${file('1.0.0')}`);
    const database = await app.openDatabase();
    try {
      const rows = await database.kysely
        .selectFrom('package_revision')
        .select((eb) => [
          'name',
          'files',
          eb
            .selectFrom('package_version')
            .select(({ fn }) => fn.countAll<number | string>().as('count'))
            .whereRef('package_version.repo_id', '=', 'package_revision.repo_id')
            .whereRef('package_version.name', '=', 'package_revision.name')
            .as('count'),
        ])
        .execute();
      assert.ok(rows.some(({ files }) => files > 1));
      for (const { name, files, count } of rows) assert.equal(files, Number(count), name);
    } finally {
      await database.close();
    }
  });

  describe('for callers who may not see everything', () => {
    let ann: Caller;
    let part: Caller;
    before(async () => {
      const { app } = world();
      await make(app, 'open', 'npm');
      await make(app, 'secret', 'npm');
      await make(app, 'mixed', 'npm', { rclass: 'virtual', repositories: ['secret', 'open'] });
      await make(app, 'charts', 'helm');
      for (const [key, name, version] of [
        ['open', 'shared', '1.0.0'],
        ['secret', 'shared', '2.0.0'],
        ['secret', 'hidden', '1.0.0'],
        ['open', '@team/a', '1.0.0'],
        ['open', '@team/b', '1.0.0'],
      ] as const) {
        await put1(app, key, name, version);
      }
      for (const path of ['team/web-1.0.0.tgz', 'other/web-2.0.0.tgz', 'other/db-1.0.0.tgz']) {
        const [, name = '', version = ''] = /\/(\w+)-([\d.]+)\.tgz$/.exec(path) ?? [];
        assert.equal((await put(app.admin, 'charts', path, (await makeChart({ name, version })).bytes)).status, 201);
      }
      ann = await createUser(app, 'seer');
      part = await createUser(app, 'partly');
      await grant(app, 'seer-open', ['open'], { seer: ['r'] });
      await grant(app, 'partly-team', ['open', 'charts'], { partly: ['r'] }, '@team/a/**,team/**');
    });

    test('nothing is told of repositories that they may not read', async () => {
      assert.match(await refusalOf(ann, `${ALL}/secret`, 404), /no repository "secret", or you may not see it/);
      assert.equal(
        await refusalOf(ann, `${ALL}/secret/summary/hidden`, 404),
        (await refusalOf(ann, `${ALL}/none/summary/hidden`, 404)).replace('"none"', '"secret"'),
      );
      assert.deepEqual(await namesIn(ann, 'mixed'), ['@team/a', '@team/b', 'shared']);
      assert.match(await refusalOf(ann, `${ALL}/mixed/summary/hidden`, 404), /no package "hidden" in "mixed"/);
      const { versions, total } = await versionsOf(ann, 'mixed', 'shared');
      assert.deepEqual([versions.map(({ version }) => version), total], [['1.0.0'], 1]);
      await refusalOf(ann, `${ALL}/mixed/version/shared?version=2.0.0`, 404);
      const { packages } = (await getJson(ann, `${ALL}?q=hidden`)) as Lines;
      assert.deepEqual(packages, []);
      assert.equal((await world().app.anonymous.request('GET', `${ALL}/open`)).status, 401);
    });

    test('nor of packages and versions whose files lie where they may not look', async () => {
      for (const limit of [1, 10]) {
        assert.deepEqual((await pagesOf(part, `${ALL}/open`, limit)).flat(), ['@team/a']);
        assert.deepEqual((await pagesOf(part, `${ALL}/mixed?sort=published`, limit)).flat(), ['@team/a']);
        assert.deepEqual((await pagesOf(part, `${ALL}/charts`, limit)).flat(), ['web']);
      }
      const summary = await summaryOf(part, 'charts', 'web');
      assert.deepEqual([summary.latest, summary.versions], ['1.0.0', 1]);
      await refusalOf(part, `${ALL}/charts/version/web?version=2.0.0`, 404);
      await refusalOf(part, `${ALL}/charts/summary/db`, 404);
      assert.deepEqual((await pagesOf(part, `${ALL}?prefix=`, 1)).flat(), ['web', '@team/a']);
    });

    test('marks of pages do not tell what lies behind them', async () => {
      const { after = '' } = (await getJson(world().app.admin, `${ALL}/open?limit=1`)) as Lines;
      for (const part of after.split('.')) {
        assert.doesNotMatch(Buffer.from(part, 'base64url').toString('latin1'), /team|shared/);
      }
    });
  });

  test('search all repositories that the caller may read, page by page and by type', async () => {
    const { admin } = world().app;
    const all = await pagesOf(admin, `${ALL}?q=web`, 1);
    assert.deepEqual(all.flat(), ['web']);
    const found = (await getJson(admin, `${ALL}?q=BETA&type=npm,helm`)) as Lines;
    assert.deepEqual(
      found.packages.map(({ repository, name, type }) => [repository, name, type]),
      [
        ['one', 'beta', 'npm'],
        ['two', 'beta', 'npm'],
      ],
    );
    assert.deepEqual(((await getJson(admin, `${ALL}?q=beta&repository=two`)) as Lines).packages.length, 1);
    assert.deepEqual(((await getJson(admin, `${ALL}?q=beta&type=docker`)) as Lines).packages, []);
    const everything = (await pagesOf(admin, `${ALL}?type=npm`, 3)).flat();
    assert.deepEqual(everything, (await pagesOf(admin, `${ALL}?type=npm`, 200)).flat());
  });
});
