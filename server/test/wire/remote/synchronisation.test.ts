/** What a second server knows of files beside their bytes: properties, downloads, and whether it still has them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { createUser, expectStatus, getJson, grant } from '../api/api-world.ts';
import { deploy, onEachSecondServer, type SecondServer } from './second-server.ts';

type Json = Record<string, unknown>;

const ALL_OF_IT = {
  retrievalCachePeriodSecs: 0,
  contentSynchronisation: {
    enabled: true,
    properties: { enabled: true },
    statistics: { enabled: true },
    source: { originAbsenceDetection: true },
  },
};

async function fetchIt({ app }: SecondServer, path: string): Promise<string> {
  return (await expectStatus(app.admin.request('GET', `/artifactory/${path}`), 200)).text;
}

async function propertiesOf({ app }: SecondServer, path: string): Promise<unknown> {
  const answer = await app.admin.request('GET', `/artifactory/api/storage/${path}?properties`);
  return answer.status === 404 ? {} : (answer.json() as Json)['properties'];
}

const set = ({ upstream }: SecondServer, path: string, properties: string) =>
  expectStatus(upstream.admin.request('PUT', `/artifactory/api/storage/${path}?properties=${properties}`), 204);

onEachSecondServer('what a second server knows of a file', (world) => {
  test('comes with it and is brought up to date: properties and downloads', async () => {
    const { app, upstream, remote } = world();
    await deploy(upstream, 'smart', { 'a.txt': 'alpha' });
    await set(world(), 'smart/a.txt', 'colour=red;size=big,huge');
    await remote('clever', 'smart', ALL_OF_IT);
    assert.equal(await fetchIt(world(), 'clever/a.txt'), 'alpha');
    await eventually(async () => {
      assert.deepEqual(await propertiesOf(world(), 'clever/a.txt'), { colour: ['red'], size: ['big', 'huge'] });
    });
    // What somebody sets here is not touched.
    const own = '/artifactory/api/storage/clever-cache/a.txt?properties=own=1';
    await expectStatus(app.admin.request('PUT', own), 204);
    await set(world(), 'smart/a.txt', 'colour=blue');
    const gone = '/artifactory/api/storage/smart/a.txt?properties=size';
    await expectStatus(upstream.admin.request('DELETE', gone), 204);
    await eventually(async () => {
      await fetchIt(world(), 'clever/a.txt');
      assert.deepEqual(await propertiesOf(world(), 'clever/a.txt'), { colour: ['blue'], own: ['1'] });
    });
    await eventually(async () => {
      await fetchIt(world(), 'clever/a.txt');
      const stats = (await getJson(app.admin, '/artifactory/api/storage/clever/a.txt?stats')) as Json;
      assert.ok(Number(stats['remoteDownloadCount']) >= 1);
      assert.ok(Number(stats['remoteLastDownloaded']) > 0);
    });
  });

  test('comes by the older switch, too, and not at all without one', async () => {
    const { upstream, remote } = world();
    await deploy(upstream, 'plain', { 'a.txt': 'alpha' });
    await set(world(), 'plain/a.txt', 'colour=red');
    await remote('older', 'plain', { synchronizeProperties: true });
    await remote('unsynchronised', 'plain');
    await fetchIt(world(), 'unsynchronised/a.txt');
    await fetchIt(world(), 'older/a.txt');
    await eventually(async () => assert.deepEqual(await propertiesOf(world(), 'older/a.txt'), { colour: ['red'] }));
    assert.deepEqual(await propertiesOf(world(), 'unsynchronised/a.txt'), {});
  });

  test('says that the file is gone there, and that it is back', async () => {
    const { upstream, remote } = world();
    await deploy(upstream, 'fleeting', { 'a.txt': 'alpha' });
    await remote('watcher', 'fleeting', ALL_OF_IT);
    await fetchIt(world(), 'watcher/a.txt');
    await eventually(async () => assert.deepEqual(await propertiesOf(world(), 'watcher/a.txt'), {}));
    await expectStatus(upstream.admin.request('DELETE', '/artifactory/fleeting/a.txt'), 204);
    await eventually(async () => {
      assert.equal(await fetchIt(world(), 'watcher/a.txt'), 'alpha');
      assert.deepEqual(await propertiesOf(world(), 'watcher/a.txt'), { 'source.absent': ['true'] });
    });
    await deploy(upstream, 'fleeting', { 'a.txt': 'alpha' });
    await eventually(async () => {
      await fetchIt(world(), 'watcher/a.txt');
      assert.deepEqual(await propertiesOf(world(), 'watcher/a.txt'), {});
    });
  });

  test('is not asked for by those who may only read what is kept', async () => {
    const { app, upstream, remote } = world();
    await deploy(upstream, 'quiet', { 'a.txt': 'alpha' });
    await remote('reading', 'quiet', { ...ALL_OF_IT, retrievalCachePeriodSecs: 600 });
    await fetchIt(world(), 'reading/a.txt');
    await eventually(async () => assert.equal(await fetchIt(world(), 'reading-cache/a.txt'), 'alpha'));
    const reader = await createUser(app, 'reader');
    await grant(app, 'reading', ['reading'], { reader: ['r'] });
    await app.restart();
    const counted = async () =>
      ((await getJson(app.admin, '/artifactory/api/v1/remotes/reading/status')) as Json)['upstreamRequests'];
    assert.equal((await reader.request('GET', '/artifactory/reading/a.txt')).text, 'alpha');
    assert.deepEqual(await counted(), {});
  });
});
