/** The files of a build as one archive. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { type ArchiveKind, readArchive } from '../../../src/lib/archives/archive.ts';
import { createUser, expectStatus, grant, onEachStorage, sendJson } from '../api/api-world.ts';
import { BUILD, deploy, messageOf, publish } from './build-world.ts';

const ARCHIVE = '/artifactory/api/archive/buildArtifacts';

async function contentsOf(kind: ArchiveKind, bytes: Buffer): Promise<Record<string, string>> {
  const source = {
    size: bytes.length,
    open: async (range?: { start: number; end: number }) =>
      Readable.from([range ? bytes.subarray(range.start, range.end + 1) : bytes]),
  };
  const found: Record<string, string> = {};
  const limits = { maxEntries: 100, maxTotalBytes: 1e6, maxRatio: 1000 };
  for await (const entry of readArchive(kind, source, limits)) {
    found[entry.name] = Buffer.concat(await Array.fromAsync(await entry.open())).toString();
  }
  return found;
}

onEachStorage('archives of builds', (world) => {
  async function prepare(name: string): Promise<void> {
    const { admin } = world().app;
    const run = { name, number: '1' };
    const artifacts = [];
    for (const path of ['org/a/1.0/a-1.0.jar', 'org/b/1.0/b-1.0.jar', 'notes.txt']) {
      const file = { repo: 'generic-local', path: `${name}/${path}`, body: `${name} ${path}` };
      artifacts.push(await deploy(admin, file, run));
    }
    await publish(admin, { ...run, modules: [{ id: 'm', artifacts }] });
  }
  const ask = (body: object, caller = world().app.admin) => sendJson(caller, 'POST', ARCHIVE, body);

  test('holds the files of a run under their paths, or those the mappings give', async () => {
    await prepare('zipped');
    const of = { buildName: 'zipped', buildNumber: '1' };
    const all = await expectStatus(ask({ ...of, archiveType: 'zip' }), 200);
    assert.equal(all.headers['content-type'], 'application/zip');
    assert.match(String(all.headers['content-disposition']), /^attachment; filename="zipped-1\.zip"/);
    assert.deepEqual(Object.keys(await contentsOf('zip', all.bytes)).sort(), [
      'generic-local/zipped/notes.txt',
      'generic-local/zipped/org/a/1.0/a-1.0.jar',
      'generic-local/zipped/org/b/1.0/b-1.0.jar',
    ]);
    const mappings = [{ input: '[^/]+/(.+)/([^/]+)-([\\d.]+)\\.jar', output: 'jars/$2.$3' }];
    for (const [archiveType, kind] of [
      ['tar', 'tar'],
      ['tgz', 'tar.gz'],
    ] as const) {
      const some = await expectStatus(ask({ ...of, buildNumber: 'LATEST', archiveType, mappings }), 200);
      assert.deepEqual(await contentsOf(kind, some.bytes), {
        'jars/a.1.0': 'zipped org/a/1.0/a-1.0.jar',
        'jars/b.1.0': 'zipped org/b/1.0/b-1.0.jar',
      });
    }
    await expectStatus(sendJson(world().app.admin, 'POST', `${BUILD}/promote/zipped/1`, { status: 'Released' }), 200);
    await expectStatus(ask({ buildName: 'zipped', buildStatus: 'released', archiveType: 'zip' }), 200);
  });

  test('says what is wrong with what it is asked for', async () => {
    await prepare('wrong');
    const good = { buildName: 'wrong', buildNumber: '1', archiveType: 'zip' };
    const cases: readonly (readonly [body: object, status: number, message: RegExp])[] = [
      [{ ...good, archiveType: 'rar' }, 400, /no type of archive/],
      [{ ...good, buildStatus: 'x' }, 400, /either/],
      [{ ...good, buildNumber: '2' }, 404, /No build was found/],
      [{ ...good, buildName: 'nothing' }, 404, /No build was found/],
      [{ ...good, repos: ['elsewhere'] }, 404, /No artifacts of the build/],
      [{ ...good, mappings: [{ input: '(.*)*x' }] }, 400, /regular expression/],
      [{ ...good, mappings: [{ input: '(' }] }, 400, /regular expression/],
      [{ ...good, mappings: [{ input: '(.+)', output: 'same' }] }, 400, /more than one file the name/],
      [{ ...good, mappings: [{ input: '(.+)', output: '../$1' }] }, 400, /not allowed/],
      [{ ...good, buildRepo: 'generic-local' }, 400, /does not exist/],
    ];
    for (const [body, status, message] of cases) {
      assert.match(messageOf(await expectStatus(ask(body), status)) ?? '', message);
    }
    await expectStatus(ask(good, world().app.anonymous), 401);
  });

  test('holds nothing that its reader may not see', async () => {
    const { app } = world();
    await prepare('seen');
    const user = await createUser(app, 'archive-reader');
    const body = { buildName: 'seen', buildNumber: '1', archiveType: 'tar' };
    await grant(app, 'archive-builds', ['artifactory-build-info'], { 'archive-reader': ['r'] });
    await expectStatus(ask(body, user), 404);
    await grant(app, 'archive-files', ['generic-local'], { 'archive-reader': ['r'] }, 'seen/org/a/**');
    const answer = await expectStatus(ask(body, user), 200);
    assert.deepEqual(await contentsOf('tar', answer.bytes), {
      'generic-local/seen/org/a/1.0/a-1.0.jar': 'seen org/a/1.0/a-1.0.jar',
    });
  });
});
