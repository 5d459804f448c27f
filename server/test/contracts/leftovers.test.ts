/** Uploads that nobody finished are given up, unless their clients come back at that very moment. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BlobDriver } from '../../src/blobs/driver.ts';
import { removeLeftovers } from '../../src/blobs/leftovers.ts';
import type { RepoKey, RepoPath } from '../../src/core/ids.ts';
import type { Database } from '../../src/db/database.ts';
import { createMultipart, getMultipart, listParts, moveMultipart, putPart } from '../../src/db/multipart-uploads.ts';
import { createRepository } from '../../src/db/repositories.ts';
import { advanceUpload, createUpload, getUpload } from '../../src/db/uploads.ts';
import { eachDatabase, type TestDatabase } from '../support/databases.ts';

const LONG_AGO = 1;
const IDS = ['one', 'two'];
const OPTIONS = { expireMs: 60_000, finishedMemoryMs: 60_000, orphanMs: 60_000, proceed: async () => undefined };

/** Has no bytes: notes which stages are removed, and has something happen as the first of them is. */
function recordingDriver(removed: string[], onFirst: (stageId: string) => Promise<unknown>): BlobDriver {
  return {
    async removeStage(stageId: string) {
      removed.push(stageId);
      if (removed.length === 1) await onFirst(stageId);
    },
    async *staged() {},
  } as unknown as BlobDriver;
}

const otherOf = (stageId: string) => IDS.find((id) => id !== stageId) as string;

eachDatabase(({ name, create }) => {
  describe(`uploads that are given up on ${name}`, () => {
    let home: TestDatabase;
    let database: Database;
    let repoId: number;
    before(async () => {
      home = await create();
      database = await home.open();
      const repository = { key: 'some' as RepoKey, rclass: 'local', packageType: 'generic', config: {} } as const;
      repoId = await database.transaction((tx) => createRepository(tx, repository, LONG_AGO));
    });
    after(() => home.close());

    it('one that is continued meanwhile keeps its bytes', async () => {
      await database.transaction(async (tx) => {
        for (const id of IDS) {
          await createUpload(tx, { id, repoId, package: 'app', principal: 'ann' }, LONG_AGO);
          await advanceUpload(tx, { id, from: 0, received: 10, stageId: id }, LONG_AGO);
        }
      });
      const removed: string[] = [];
      const driver = recordingDriver(removed, (stageId) =>
        database.transaction((tx) => {
          const id = otherOf(stageId);
          return advanceUpload(tx, { id, from: 10, received: 20, stageId: id }, Date.now());
        }),
      );
      assert.deepEqual(await removeLeftovers({ database, driver }, OPTIONS), { uploads: 1, stages: 0 });
      assert.equal(removed.length, 1);
      const kept = await database.read((db) => getUpload(db, otherOf(removed[0] ?? '')));
      assert.equal(kept?.received, 20);
    });

    it('one in parts that gets a part meanwhile keeps all of them', async () => {
      await database.transaction(async (tx) => {
        for (const id of IDS) {
          const upload = {
            id,
            repo: 'some' as RepoKey,
            path: 'large.bin' as RepoPath,
            principal: 'ann',
            partBytes: 10,
          };
          await createMultipart(tx, upload, LONG_AGO);
          await putPart(tx, id, { number: 1, stageId: id, size: 10 });
        }
      });
      const removed: string[] = [];
      const driver = recordingDriver(removed, (stageId) =>
        database.transaction(async (tx) => {
          const id = otherOf(stageId);
          await putPart(tx, id, { number: 2, stageId: `${id}-2`, size: 10 });
          await moveMultipart(tx, id, ['parts'], { state: 'parts' }, Date.now());
        }),
      );
      assert.equal((await removeLeftovers({ database, driver }, OPTIONS)).uploads, 1);
      assert.equal(removed.length, 1);
      const other = otherOf(removed[0] ?? '');
      assert.ok(await database.read((db) => getMultipart(db, other)));
      assert.equal((await database.read((db) => listParts(db, other))).length, 2);
    });
  });
});
