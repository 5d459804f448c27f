/** The server's configuration: the descriptor, partial changes in YAML, layouts, property sets and the base address. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer, Caller, TestApp } from '../../support/test-app.ts';
import { expectAdminOnly, expectStatus, getJson, onEachStorage, sendJson } from './api-world.ts';

const DESCRIPTOR = '/artifactory/api/system/configuration';
const LAYOUTS = '/artifactory/api/admin/repolayouts';
const ALL = '/artifactory/api/repositories';

function patch(caller: Caller, yaml: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return caller.request('PATCH', DESCRIPTOR, {
    headers: { 'content-type': 'application/yaml', ...headers },
    body: yaml,
  });
}

async function descriptor(app: TestApp): Promise<string> {
  const answer = await expectStatus(app.admin.request('GET', DESCRIPTOR), 200);
  assert.equal(answer.headers['content-type'], 'application/xml');
  return answer.text;
}

onEachStorage('the configuration', (world) => {
  test('is for administrators', async () => {
    await expectAdminOnly(world(), [
      ['GET', DESCRIPTOR],
      ['PATCH', DESCRIPTOR],
      ['POST', DESCRIPTOR],
      ['PUT', `${DESCRIPTOR}/baseUrl`],
      ['GET', `${DESCRIPTOR}/webServer`],
      ['GET', LAYOUTS],
      ['GET', `${LAYOUTS}/simple-default`],
      ['PUT', `${LAYOUTS}/x`, { artifactPathPattern: '[module]' }],
      ['DELETE', `${LAYOUTS}/x`],
      ['GET', '/artifactory/api/propertysets'],
    ]);
  });

  test('is shown as a descriptor with repositories, layouts and defaults', async () => {
    const text = await descriptor(world().app);
    for (const part of [
      '<config xmlns="http://artifactory.jfrog.org/xsd/',
      '<key>generic-local</key>',
      '<key>artifactory-build-info</key>',
      '<name>maven-2-default</name>',
      '<retentionPeriodDays>14</retentionPeriodDays>',
      '<maxFiles>5000</maxFiles>',
      '<anonAccessEnabled>false</anonAccessEnabled>',
    ]) {
      assert.ok(text.includes(part), part);
    }
    const order = [
      '<security>',
      '<localRepositories>',
      '<proxies',
      '<propertySets>',
      '<repoLayouts>',
      '<trashcanConfig>',
    ];
    const places = order.map((name) => text.indexOf(name));
    assert.deepEqual(
      places,
      [...places].sort((one, other) => one - other),
    );
  });

  test('is changed in part: deep, with nothing for what goes away', async () => {
    const { app } = world();
    const yaml = `
proxies:
  corporate: {host: proxy.example, port: 3128, username: ann, password: canary-proxy, ntHost: , services: [jfrt]}
propertySets:
  quality:
    visible: true
    properties:
      level: {predefinedValues: {good: {defaultValue: true}, bad: {}}, closedPredefinedValues: true}
trashcanConfig: {retentionPeriodDays: 3}
mailServer: {enabled: true, host: mail.example, port: 25, password: canary-mail}
`;
    const answer = await expectStatus(patch(app.admin, yaml), 200);
    assert.match(answer.text, /^\d+ changes to config merged successfully$/);
    const text = await descriptor(app);
    assert.match(text, /<host>proxy\.example<\/host>/);
    assert.match(text, /<service>|<services>jfrt<\/services>/);
    assert.match(text, /<name>quality<\/name>/);
    assert.match(text, /<retentionPeriodDays>3<\/retentionPeriodDays>/);
    assert.match(text, /<allowPermDeletes>false<\/allowPermDeletes>/);
    assert.ok(!text.includes('canary'), 'secrets are masked');
    assert.deepEqual(app.core.configuration.section('trashcanConfig'), {
      enabled: true,
      allowPermDeletes: false,
      retentionPeriodDays: 3,
    });
    assert.ok(!JSON.stringify(app.core.configuration.document).includes('canary'), 'secrets are sealed');
    await expectStatus(patch(app.admin, 'proxies: {corporate: {username: bob, password: "********"}}'), 200);
    const { proxies } = app.core.configuration.document.sections as { proxies: { corporate: { password: object } } };
    assert.ok('sealed' in proxies.corporate.password, 'a mask keeps the secret');
    assert.match((await expectStatus(patch(app.admin, 'proxies: {corporate: ~}'), 200)).text, /^\d+ changes/);
    assert.ok(!(await descriptor(app)).includes('proxy.example'));
    assert.equal((await patch(app.admin, 'trashcanConfig: ~')).text, '1 changes to config merged successfully');
    await app.restart();
    assert.match(await descriptor(app), /<name>quality<\/name>/);
    assert.match(await descriptor(app), /<retentionPeriodDays>14<\/retentionPeriodDays>/);
  });

  test('has repositories, which a partial change makes, changes and removes', async () => {
    const { app } = world();
    const yaml = `
localRepositories:
  from-yaml: {type: maven, description: made, repoLayout: maven-2-default, handleSnapshots: false}
virtualRepositories:
  all-from-yaml: {type: maven, repositories: [from-yaml]}
`;
    // A virtual repository may name one that the same change makes.
    assert.equal((await expectStatus(patch(app.admin, yaml), 200)).text, '2 changes to config merged successfully');
    const made = (await getJson(app.admin, `${ALL}/from-yaml`)) as Record<string, unknown>;
    assert.deepEqual([made['packageType'], made['handleSnapshots'], made['description']], ['maven', false, 'made']);
    await expectStatus(patch(app.admin, 'localRepositories: {from-yaml: {description: changed}}'), 200);
    assert.equal(((await getJson(app.admin, `${ALL}/from-yaml`)) as { description: string }).description, 'changed');
    await expectStatus(patch(app.admin, 'remoteRepositories: {from-yaml: {description: other}}'), 400);
    await expectStatus(
      patch(app.admin, 'localRepositories: {from-yaml: ~}\nvirtualRepositories: {all-from-yaml: ~}'),
      200,
    );
    assert.equal((await app.admin.request('GET', `${ALL}/from-yaml`)).status, 400);
  });

  test('refuses what is no configuration, and stays as it was', async () => {
    const { app } = world();
    const before = await descriptor(app);
    const bomb = `a: &a [1,1,1,1,1,1,1,1,1,1]\n${['b', 'c', 'd', 'e', 'f', 'g']
      .map((key, i) => `${key}: &${key} [${Array(10).fill(`*${'abcdef'[i]}`).join(',')}]`)
      .join('\n')}`;
    for (const yaml of [
      bomb,
      'a: [',
      '- 1',
      'text',
      'unheardOf: {a: 1}',
      'security: {anonAccessEnabled: true}',
      'offlineMode: perhaps',
      'offlineMode: false\nofflineMode: true',
      'fileUploadMaxSizeMb: -1',
      'fileUploadMaxSizeMb: 1e99',
      'fileUploadMaxSizeMb: .nan',
      'trashcanConfig: {retentionPeriodDays: "many"}',
      'gcConfig: {cronExp: "* * * * * *"}',
      'gcConfig: {cronExp: "@every 1ns"}',
      'gcConfig: {cronExp: "0 0 0 32 1 ?"}',
      `gcConfig: {cronExp: "${'0 '.repeat(5000)}"}`,
      'proxies: {p: {host: "a b", port: 1}}',
      'proxies: {p: {host: a, port: 99999}}',
      'proxies: {"a/b": {host: a, port: 1}}',
      'urlBase: "ftp://a"',
      'urlBase: "https://ann:secret@a"',
      'repoLayouts: {bad: {artifactPathPattern: "["}}',
      'repoLayouts: {bad: {artifactPathPattern: "[m<((((a+)+)+)+>]"}}',
      'repoLayouts: {bad: {artifactPathPattern: "[module]", fileIntegrationRevisionRegExp: "(a+)+"}}',
      'localRepositories: {"a b": {type: maven}}',
      'localRepositories: [a]',
      Array.from({ length: 30_000 }, (_, i) => `k${i}: 1`).join('\n'),
    ]) {
      const answer = await patch(app.admin, yaml);
      assert.equal(answer.status, 400, `${yaml.slice(0, 80)}: ${answer.text}`);
    }
    await expectStatus(patch(app.admin, 'offlineMode: true', { 'content-type': 'text/plain' }), 400);
    await expectStatus(patch(app.admin, `serverName: ${'x'.repeat(2 * 1024 * 1024)}`), 413);
    const dtd = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><config>&e;</config>';
    const post = app.admin.request('POST', DESCRIPTOR, { headers: { 'content-type': 'application/xml' }, body: dtd });
    await expectStatus(post, 400);
    assert.equal(await descriptor(app), before);
  });

  test('tells of two who change the same revision which one came second', async () => {
    const { app } = world();
    const { etag } = (await app.admin.request('GET', DESCRIPTOR)).headers;
    const first = patch(app.admin, 'serverName: one', { 'if-match': String(etag) });
    await expectStatus(first, 200);
    const second = await expectStatus(patch(app.admin, 'serverName: two', { 'if-match': String(etag) }), 409);
    assert.match(second.text, /Could not merge and save new descriptor/);
    assert.match(await descriptor(app), /<serverName>one<\/serverName>/);
    const together = await Promise.all(
      ['a', 'b', 'c'].map((name) => patch(app.admin, `backups: {${name}: {enabled: true}}`)),
    );
    assert.deepEqual(
      together.map(({ status }) => status),
      [200, 200, 200],
    );
    for (const name of ['a', 'b', 'c']) assert.match(await descriptor(app), new RegExp(`<key>${name}</key>`));
  });

  test('has layouts of the administrator’s own', async () => {
    const { app } = world();
    const listed = (await getJson(app.admin, LAYOUTS)) as { name: string; layoutActions: { delete: boolean } }[];
    assert.ok(listed.some(({ name, layoutActions }) => name === 'maven-2-default' && !layoutActions.delete));
    const own = {
      artifactPathPattern: '[orgPath]/[module]-[baseRev](-[fileItegRev]).[ext]',
      fileIntegrationRevisionRegExp: 'nightly',
    };
    await expectStatus(patch(app.admin, `repoLayouts: {nightly: ${JSON.stringify(own)}}`), 200);
    const body = { rclass: 'local', packageType: 'generic', repoLayoutRef: 'nightly', handleSnapshots: false };
    await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/nights`, body), 200);
    const layout = (await getJson(app.admin, `${LAYOUTS}/nightly`)) as Record<string, unknown>;
    assert.equal(layout['artifactPathPattern'], own.artifactPathPattern);
    assert.deepEqual((layout['repositoryAssociations'] as { localRepositories: string[] }).localRepositories, [
      'nights',
    ]);
    const refused = await expectStatus(
      app.admin.request('PUT', '/artifactory/nights/a/t-1.0-nightly.zip', { body: 'n' }),
      409,
    );
    assert.match(refused.text, /snapshot release handling policy/);
    await expectStatus(app.admin.request('PUT', '/artifactory/nights/a/t-1.0.zip', { body: 'r' }), 201);
    await expectStatus(app.admin.request('DELETE', `${LAYOUTS}/nightly`), 409);
    await expectStatus(patch(app.admin, 'repoLayouts: {nightly: ~}'), 409);
    await expectStatus(sendJson(app.admin, 'PUT', `${LAYOUTS}/bad`, { artifactPathPattern: '[' }), 400);
    await expectStatus(app.admin.request('GET', `${LAYOUTS}/nowhere`), 404);
    await expectStatus(app.admin.request('DELETE', `${ALL}/nights`), 200);
    await expectStatus(app.admin.request('DELETE', `${LAYOUTS}/nightly`), 200);
    await expectStatus(app.admin.request('DELETE', `${LAYOUTS}/simple-default`), 404);
  });

  test('has property sets with addresses of their own', async () => {
    const { app } = world();
    const SETS = '/artifactory/api/propertysets';
    const body = { visible: false, properties: { tier: { predefinedValues: { gold: { defaultValue: true } } } } };
    await expectStatus(sendJson(app.admin, 'PUT', `${SETS}/tiers`, body), 200);
    assert.deepEqual(await getJson(app.admin, `${SETS}/tiers`), {
      name: 'tiers',
      visible: false,
      properties: {
        tier: {
          predefinedValues: { gold: { defaultValue: true } },
          closedPredefinedValues: false,
          multipleChoice: false,
        },
      },
    });
    await expectStatus(sendJson(app.admin, 'PUT', `${SETS}/tiers`, { properties: {} }), 200);
    assert.deepEqual(((await getJson(app.admin, `${SETS}/tiers`)) as { properties: object }).properties, {});
    await expectStatus(sendJson(app.admin, 'PUT', `${SETS}/tiers`, { visible: 'perhaps' }), 400);
    await expectStatus(app.admin.request('DELETE', `${SETS}/tiers`), 200);
    await expectStatus(app.admin.request('GET', `${SETS}/tiers`), 404);
  });

  test('decides how folders are downloaded', async () => {
    const { app } = world();
    for (const name of ['a', 'b']) {
      await expectStatus(app.admin.request('PUT', `/artifactory/generic-local/many/${name}`, { body: name }), 201);
    }
    const download = () =>
      app.admin.request('GET', '/artifactory/api/archive/download/generic-local/many?archiveType=zip');
    await expectStatus(download(), 200);
    await expectStatus(patch(app.admin, 'folderDownloadConfig: {maxFiles: 1}'), 200);
    assert.ok((await download()).status >= 400);
    await expectStatus(patch(app.admin, 'folderDownloadConfig: {maxFiles: 2}'), 200);
    await expectStatus(download(), 200);
    await expectStatus(patch(app.admin, 'folderDownloadConfig: {enabled: false}'), 200);
    assert.ok((await download()).status >= 400);
    await expectStatus(patch(app.admin, 'folderDownloadConfig: ~'), 200);
    await expectStatus(download(), 200);
  });

  test('names the address in links', async () => {
    const { app } = world();
    const put = (url: string) =>
      app.admin.request('PUT', `${DESCRIPTOR}/baseUrl`, { headers: { 'content-type': 'text/plain' }, body: url });
    const done = await expectStatus(put('https://repo.example.com/artifactory'), 200);
    assert.equal(done.text, 'URL base has been successfully updated to "https://repo.example.com/artifactory".');
    const rows = (await getJson(app.admin, ALL)) as { key: string; url: string }[];
    assert.equal(
      rows.find(({ key }) => key === 'generic-local')?.url,
      'https://repo.example.com/artifactory/generic-local',
    );
    await expectStatus(put('not an address'), 400);
    await expectStatus(put(''), 200);
    assert.ok(((await getJson(app.admin, ALL)) as { url: string }[])[0]?.url.startsWith(app.url));
    await app.restart({ ENTREPOT_HTTP__BASE_URL: 'https://fixed.example.com' });
    await expectStatus(put('https://repo.example.com'), 409);
    await app.restart({});
  });
});
