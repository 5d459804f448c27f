/** Removing, discarding and renaming builds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { createUser, expectStatus, getJson, grant, onEachStorage, sendJson } from '../api/api-world.ts';
import { BUILD, deploy, getBuild, messageOf, numbersOf, publish } from './build-world.ts';

const day = (n: number) => `2026-01-${String(n).padStart(2, '0')}T00:00:00.000+0000`;

onEachStorage('removing builds', (world) => {
  async function publishDays(name: string, days: readonly number[], fields: object = {}): Promise<void> {
    for (const n of days) await publish(world().app.admin, { name, number: String(n), started: day(n), ...fields });
  }

  test('removes the newest run of each number and names what was not there', async () => {
    const { admin } = world().app;
    await publishDays('del', [1, 2, 3]);
    await publish(admin, { name: 'del', number: '1', started: day(9) });
    const answer = await expectStatus(admin.request('DELETE', `${BUILD}/del?buildNumbers=1,2,99`), 200);
    assert.equal(
      answer.text,
      "The following builds have been deleted successfully: 'del#1', 'del#2'.\nWarning - the following builds could not be removed: '99'.\n",
    );
    assert.deepEqual(await numbersOf(admin, 'del'), ['3', '1']);
    const body = { buildName: 'del', buildNumbers: ['1', 3] };
    const posted = await expectStatus(sendJson(admin, 'POST', `${BUILD}/delete`, body), 200);
    assert.equal(posted.text, "The following builds have been deleted successfully: 'del#1', 'del#3'.\n");
    const gone = await expectStatus(sendJson(admin, 'POST', `${BUILD}/delete`, body), 404);
    assert.equal(messageOf(gone), "Unable to find build 'del'");
  });

  test('removes all runs', async () => {
    const { admin } = world().app;
    await publishDays('team/all', [1, 2, 3]);
    const body = { buildName: 'team/all', deleteAll: true };
    const answer = await expectStatus(sendJson(admin, 'POST', `${BUILD}/delete`, body), 200);
    assert.equal(answer.text, "All builds 'team/all' under 'artifactory-build-info' have been deleted successfully");
    assert.deepEqual(await numbersOf(admin, 'team/all'), []);
    await publishDays('all', [1]);
    await expectStatus(admin.request('DELETE', `${BUILD}/all?deleteAll=1`), 200);
    assert.deepEqual(await numbersOf(admin, 'all'), []);
  });

  test('says what is missing from a request', async () => {
    const { admin } = world().app;
    await publishDays('asked', [1]);
    const blank = await expectStatus(sendJson(admin, 'POST', `${BUILD}/delete`, { buildNumbers: ['1'] }), 400);
    assert.equal(messageOf(blank), 'Please state the name of the build to be removed');
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/delete`, { buildName: 'asked' }), 400);
    await expectStatus(admin.request('DELETE', `${BUILD}/asked`), 400);
    const none = await expectStatus(admin.request('DELETE', `${BUILD}/asked?buildNumbers=2`), 404);
    assert.equal(messageOf(none), 'Unable to find the given build numbers');
    assert.deepEqual(await numbersOf(admin, 'asked'), ['1']);
  });

  test('removes the files of a run with it, but not what another build has put in their place', async () => {
    const { admin } = world().app;
    const old = { name: 'files', number: '1' };
    const one = await deploy(admin, { repo: 'generic-local', path: 'files/one.txt', body: 'one' }, old);
    const two = await deploy(admin, { repo: 'generic-local', path: 'files/two.txt', body: 'two' }, old);
    await publish(admin, { ...old, modules: [{ id: 'm', artifacts: [one, two] }] });
    await deploy(admin, { repo: 'generic-local', path: 'files/two.txt', body: 'two' }, { name: 'files', number: '2' });
    await expectStatus(admin.request('DELETE', `${BUILD}/files?buildNumbers=1&artifacts=1`), 200);
    await expectStatus(admin.request('GET', '/artifactory/generic-local/files/one.txt'), 404);
    await expectStatus(admin.request('GET', '/artifactory/generic-local/files/two.txt'), 200);
  });

  test('keeps as many runs as told, and those that were promoted or are named', async () => {
    const { admin } = world().app;
    await publishDays('keep', [1, 2, 3, 4, 5, 6]);
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/promote/keep/5`, { status: 'released' }), 200);
    const rules = { count: '2', buildNumbersNotToBeDiscarded: ['1'] };
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/retention/keep?async=false`, rules), 204);
    assert.deepEqual(await numbersOf(admin, 'keep'), ['6', '5', '4', '1']);
    const old = { count: -1, minimumBuildDate: Date.parse(day(6)) };
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/retention/keep?async=false`, old), 204);
    assert.deepEqual(await numbersOf(admin, 'keep'), ['6', '5']);
    const both = { count: 5, minimumBuildDate: '2026-01-07T00:00:00.000-0000' };
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/retention/keep`, both), 204);
    assert.deepEqual(await numbersOf(admin, 'keep'), ['5']);
  });

  test('discards in the background, with the rights of the caller', async () => {
    const { admin } = world().app;
    await publishDays('later', [1, 2, 3]);
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/retention/later?async=true`, { count: 1 }), 204);
    await eventually(async () => assert.deepEqual(await numbersOf(admin, 'later'), ['3']));
  });

  test('refuses rules that say nothing', async () => {
    const { admin } = world().app;
    await publishDays('rules', [1, 2]);
    for (const body of ['', '{}', '{"count":0}', '{"count":"-1"}', '{"count":-5,"minimumBuildDate":5}']) {
      const headers = { 'content-type': 'application/json' };
      const answer = await expectStatus(admin.request('POST', `${BUILD}/retention/rules`, { headers, body }), 400);
      assert.equal(messageOf(answer), 'Max count retention needs to be a positive number');
    }
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/retention/rules`, { count: 'many' }), 400);
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/retention/rules`, { count: 1, minimumBuildDate: 'old' }), 400);
    await expectStatus(sendJson(admin, 'POST', `${BUILD}/retention/absent`, { count: 1 }), 404);
    assert.deepEqual(await numbersOf(admin, 'rules'), ['2', '1']);
  });

  test('discards by the rules that a published build brings', async () => {
    const { app } = world();
    await publishDays('self', [1, 2, 3]);
    const buildRetention = { count: 2 };
    await publish(app.admin, { name: 'self', number: '4', started: day(4), buildRetention });
    assert.deepEqual(await numbersOf(app.admin, 'self'), ['4', '3']);
    assert.deepEqual((await getBuild(app.admin, 'self', '4'))['buildRetention'], {
      count: 2,
      deleteBuildArtifacts: false,
      buildNumbersNotToBeDiscarded: [],
    });
    // Who may only deploy publishes all the same.
    const writer = await createUser(app, 'self-writer');
    await grant(app, 'self-write', ['artifactory-build-info'], { 'self-writer': ['r', 'w'] });
    await publish(writer, { name: 'self', number: '5', started: day(5), buildRetention: { count: 1 } });
    assert.deepEqual(await numbersOf(app.admin, 'self'), ['5', '4', '3']);
  });

  test('renames a build with its documents and the properties of its files', async () => {
    const { admin } = world().app;
    const run = { name: 'before', number: '1' };
    const file = await deploy(admin, { repo: 'generic-local', path: 'renamed/a.txt', body: 'renamed' }, run);
    await publish(admin, { ...run, started: day(1), modules: [{ id: 'm', artifacts: [file] }] });
    await publish(admin, { name: 'before', number: '2', started: day(2) });
    const answer = await expectStatus(admin.request('POST', `${BUILD}/rename/before?to=after%2Fwards`), 200);
    assert.equal(answer.text, "Build renaming of 'before' to 'after/wards' was successfully started.\n");
    await eventually(async () => assert.deepEqual(await numbersOf(admin, 'after/wards'), ['2', '1']));
    assert.deepEqual(await numbersOf(admin, 'before'), []);
    assert.equal((await getBuild(admin, 'after/wards', '1'))['name'], 'after/wards');
    const { properties } = (await getJson(
      admin,
      '/artifactory/api/storage/generic-local/renamed/a.txt?properties',
    )) as {
      properties: unknown;
    };
    assert.deepEqual(properties, { 'build.name': ['after/wards'], 'build.number': ['1'] });
    await expectStatus(admin.request('POST', `${BUILD}/rename/absent?to=x`), 404);
    await expectStatus(admin.request('POST', `${BUILD}/rename/after%2Fwards`), 400);
    await expectStatus(admin.request('POST', `${BUILD}/rename/after%2Fwards?to=.x`), 400);
  });
});
