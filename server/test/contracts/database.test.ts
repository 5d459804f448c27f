/** What the metadata layer promises on both databases, and what it must survive on a real PostgreSQL. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { checkStored } from '../../src/blobs/check.ts';
import type { BlobDriver } from '../../src/blobs/driver.ts';
import { emptyTrash } from '../../src/blobs/sweep.ts';
import { AppError, isAppError } from '../../src/core/errors.ts';
import { type RepoKey, type RepoPath, ROOT, type Sha256 } from '../../src/core/ids.ts';
import {
  adoptObject,
  announceObject,
  condemnUnreferenced,
  getBlob,
  holdBlobs,
  insertBlob,
  knownObjects,
  listBlobs,
  listDueReviews,
  listTrash,
  reviewBlobs,
} from '../../src/db/blobs.ts';
import { afterCommit, type Database, lockScope, nowMs, type Tx } from '../../src/db/database.ts';
import { migrate } from '../../src/db/migrate.ts';
import { ensureFolders, getNode, getNodes, listChildren, type NewFile, putFiles } from '../../src/db/nodes.ts';
import { listPackages } from '../../src/db/package-versions.ts';
import { createRepository } from '../../src/db/repositories.ts';
import { deleteFilesIn, deleteSubtreePage, moveFilesIn, removeNodes } from '../../src/db/subtrees.ts';
import { createPostgres, createSqlite, eachDatabase, type TestDatabase } from '../support/databases.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

const AT = 1_700_000_000_000;
const BYTES = digest('some bytes');

function digest(text: string): Sha256 {
  return createHash('sha256').update(text).digest('hex') as Sha256;
}

function path(text: string): RepoPath {
  return text as RepoPath;
}

function file(at: string, sha256: Sha256, more: Partial<NewFile> = {}): NewFile {
  return {
    path: path(at),
    sha256,
    size: 10,
    mediaType: 'application/octet-stream',
    package: undefined,
    etag: undefined,
    properties: undefined,
    declared: undefined,
    stamps: undefined,
    version: undefined,
    ...more,
  };
}

function addBlob(tx: Tx, sha256: Sha256, storeKey = `key-of-${sha256}`): Promise<boolean> {
  return insertBlob(tx, { sha256, sha1: undefined, md5: undefined, size: 10, storeKey, bytes: undefined }, AT);
}

async function addRepository(database: Database, key = 'libs'): Promise<number> {
  return database.transaction((tx) =>
    createRepository(tx, { key: key as RepoKey, rclass: 'local', packageType: 'generic', config: {} }, AT),
  );
}

async function put(tx: Tx, repoId: number, files: readonly NewFile[]): Promise<void> {
  await ensureFolders(
    tx,
    repoId,
    files.map((one) => one.path),
    'ann',
    AT,
  );
  await putFiles(tx, repoId, files, 'ann', AT);
}

async function paths(database: Database): Promise<string[]> {
  const rows = await database.kysely
    .selectFrom('node')
    .select(['parent', 'name'])
    .orderBy('parent')
    .orderBy('name')
    .execute();
  return rows.map((row) => (row.parent === '' ? row.name : `${row.parent}/${row.name}`)).sort();
}

eachDatabase(({ name, create }) => {
  describe(`metadata on ${name}`, () => {
    let home: TestDatabase;
    let database: Database;
    let repoId: number;

    beforeEach(async () => {
      home = await create();
      database = await home.open();
      repoId = await addRepository(database);
    });

    afterEach(() => home?.close());

    it('keeps nothing of a transaction that fails', async () => {
      const failure = new Error('no');
      await assert.rejects(
        database.transaction(async (tx) => {
          await addBlob(tx, BYTES);
          await put(tx, repoId, [file('a/b', BYTES)]);
          throw failure;
        }),
        (error) => error === failure,
      );
      assert.deepEqual(await paths(database), []);
      assert.equal(await getBlob(database.kysely, BYTES), undefined);
    });

    it('passes on an error meant for the client as it is', async () => {
      const failure = new AppError('conflict', 'no');
      const work = database.transaction(async () => {
        throw failure;
      });
      await assert.rejects(work, (error) => error === failure);
    });

    it('shows a committed transaction to other handles', async () => {
      const other = await home.open();
      await database.transaction((tx) => addBlob(tx, BYTES));
      assert.equal((await getBlob(other.kysely, BYTES))?.size, 10);
      await other.close();
    });

    it('runs what waits for the commit in its order, and never after a failure', async () => {
      const ran: string[] = [];
      await database.transaction(async (tx) => {
        afterCommit(tx, () => ran.push('one'));
        await addBlob(tx, BYTES);
        afterCommit(tx, () => ran.push('two'));
        assert.deepEqual(ran, []);
      });
      assert.deepEqual(ran, ['one', 'two']);
      await assert.rejects(
        database.transaction(async (tx) => {
          afterCommit(tx, () => ran.push('three'));
          throw new Error('no');
        }),
      );
      assert.deepEqual(ran, ['one', 'two']);
    });

    it('lets what waits for the commit start a transaction of its own', async () => {
      let inner: Promise<void> | undefined;
      await database.transaction(async (tx) => {
        afterCommit(tx, () => {
          inner = database.transaction(async (next) => void (await addBlob(next, BYTES)));
        });
      });
      await inner;
      assert.ok(await getBlob(database.kysely, BYTES));
    });

    it('refuses a transaction inside another', async () => {
      await assert.rejects(
        database.transaction(() => database.transaction(async () => undefined)),
        /inside another/,
      );
      await database.transaction((tx) => addBlob(tx, BYTES));
    });

    it('lets many transactions of one scope happen one after another', async () => {
      await database.kysely.insertInto('setting').values({ key: 'count', value: '0' }).execute();
      await Promise.all(
        Array.from({ length: 25 }, () =>
          database.transaction(async (tx) => {
            await lockScope(tx, 'counter');
            const { value } = await tx.selectFrom('setting').select('value').executeTakeFirstOrThrow();
            await tx
              .updateTable('setting')
              .set({ value: String(Number(value) + 1) })
              .execute();
          }),
        ),
      );
      assert.equal((await database.kysely.selectFrom('setting').select('value').executeTakeFirstOrThrow()).value, '25');
    });

    it('refuses a file that names bytes which are not there', async () => {
      await assert.rejects(
        database.transaction((tx) => put(tx, repoId, [file('a', BYTES)])),
        (error) => database.dialect.isForeignKeyViolation(error),
      );
      assert.deepEqual(await paths(database), []);
    });

    it('refuses to remove bytes that a file names', async () => {
      await database.transaction(async (tx) => {
        await addBlob(tx, BYTES);
        await put(tx, repoId, [file('a', BYTES)]);
      });
      await assert.rejects(
        database.transaction((tx) => tx.deleteFrom('blob').execute()),
        (error) => database.dialect.isForeignKeyViolation(error),
      );
    });

    it('refuses a second repository of one name and a store key that was used', async () => {
      const isUnique = (error: unknown) => database.dialect.isUniqueViolation(error);
      await assert.rejects(addRepository(database), isUnique);
      await database.transaction((tx) => addBlob(tx, BYTES, 'one key'));
      await assert.rejects(
        database.transaction((tx) => addBlob(tx, digest('others'), 'one key')),
        isUnique,
      );
      assert.equal(await database.transaction((tx) => addBlob(tx, BYTES)), false);
    });

    it('never uses the number of a repository again', async () => {
      await database.transaction((tx) => tx.deleteFrom('repository').where('id', '=', repoId).execute());
      assert.ok((await addRepository(database)) > repoId);
    });

    it('holds one node at a path: the last file put', async () => {
      const others = digest('others');
      await database.transaction(async (tx) => {
        await addBlob(tx, BYTES);
        await addBlob(tx, others);
        await put(tx, repoId, [file('a/b', BYTES)]);
      });
      await database.transaction((tx) => put(tx, repoId, [file('a/b', others)]));
      assert.deepEqual(await paths(database), ['a', 'a/b']);
      assert.equal((await getNode(database.kysely, repoId, path('a/b')))?.sha256, others);
      const twice = { repo_id: repoId, parent: 'a', name: 'b', folder: 1, sha256: null, size: 0, media_type: null };
      const by = { package: null, etag: null, created_at: AT, created_by: 'ann', modified_at: AT, modified_by: 'ann' };
      await assert.rejects(
        database.kysely
          .insertInto('node')
          .values({ ...twice, ...by })
          .execute(),
        (error) => database.dialect.isUniqueViolation(error),
      );
    });

    it('puts nothing below a file', async () => {
      await database.transaction(async (tx) => {
        await addBlob(tx, BYTES);
        await put(tx, repoId, [file('a', BYTES)]);
      });
      await assert.rejects(
        database.transaction((tx) => put(tx, repoId, [file('a/b', BYTES)])),
        (error) => isAppError(error, 'conflict'),
      );
    });

    it('orders names byte by byte', async () => {
      const names = ['a', 'B', 'é', 'z', 'Z', '_', '-', '10', '9', 'a-b', 'a.b', 'ab', '\u{10000}', '\uff5e'];
      const expected = [...names].sort((one, two) => Buffer.compare(Buffer.from(one), Buffer.from(two)));
      await database.transaction(async (tx) => {
        await addBlob(tx, BYTES);
        await put(
          tx,
          repoId,
          names.map((one) => file(`f/${one}`, BYTES, { version: { package: one, version: '1', metadata: {} } })),
        );
      });
      const listed = await listChildren(database.kysely, repoId, path('f'), { limit: 100 });
      assert.deepEqual(
        listed.map((entry) => entry.name),
        expected,
      );
      assert.ok(expected.indexOf('B') < expected.indexOf('a') && expected.indexOf('a') < expected.indexOf('é'));
      const paged: string[] = [];
      for (let after = ''; ; ) {
        const page = await listChildren(database.kysely, repoId, path('f'), { after, limit: 3 });
        if (page.length === 0) break;
        paged.push(...page.map((entry) => entry.name));
        after = paged.at(-1)!;
      }
      assert.deepEqual(paged, expected);
      assert.deepEqual(await listPackages(database.kysely, repoId, { limit: 100 }), expected);
    });

    it('pages through packages without missing or repeating one, however many versions they have', async () => {
      const names = Array.from({ length: 23 }, (_, i) => `p${i}/${i % 3 === 0 ? 'x' : 'Y'}`);
      const expected = [...names].sort();
      await database.transaction(async (tx) => {
        await addBlob(tx, BYTES);
        const files = names.flatMap((one, i) =>
          Array.from({ length: 1 + (i % 5) }, (_, v) =>
            file(`${one}/${v}`, BYTES, { version: { package: one, version: String(v), metadata: { v } } }),
          ),
        );
        await put(tx, repoId, files);
      });
      await addRepository(database, 'other');
      for (const limit of [1, 4, 23, 100]) {
        const paged: string[] = [];
        for (let after: string | undefined; ; after = paged.at(-1)) {
          const page = await listPackages(database.kysely, repoId, { limit, ...(after !== undefined && { after }) });
          assert.ok(page.length <= limit);
          if (page.length === 0) break;
          paged.push(...page);
        }
        assert.deepEqual(paged, expected);
      }
      assert.deepEqual(await listPackages(database.kysely, repoId + 1, { limit: 10 }), []);
    });

    it('takes all that lies below a folder and nothing beside it', async () => {
      const inside = ['dir/x', 'dir/sub/y', 'dir/sub/deep/z', 'dir/é/q', 'dir/%/w', 'dir/_/w'];
      const beside = ['dir.x/a', 'dir-x/a', 'dir0/a', 'dirx/a', 'di/a', 'DIR/a', 'other/dir/a', 'Dir/sub/y'];
      const files = async (tx: Tx) => {
        await addBlob(tx, BYTES);
        await put(
          tx,
          repoId,
          [...inside, ...beside].map((one) => file(one, BYTES)),
        );
      };
      await database.transaction(files);
      const filesOf = async () => {
        const rows = await database.kysely
          .selectFrom('node')
          .select(['parent', 'name'])
          .where('folder', '=', 0)
          .execute();
        return rows.map((row) => `${row.parent}/${row.name}`).sort();
      };
      await database.transaction((tx) => deleteSubtreePage(tx, repoId, path('dir/é'), 100));
      assert.deepEqual(await filesOf(), [...inside.filter((one) => one !== 'dir/é/q'), ...beside].sort());
      const lost = await database.transaction((tx) => deleteSubtreePage(tx, repoId, path('dir'), 100));
      assert.deepEqual([...new Set(lost.sha256)], [BYTES]);
      assert.deepEqual(await filesOf(), [...beside].sort());
      await database.transaction((tx) => deleteSubtreePage(tx, repoId, ROOT, 100));
      assert.deepEqual(await paths(database), []);
    });

    it('takes the files directly in a folder and nothing deeper', async () => {
      await database.transaction(async (tx) => {
        await addBlob(tx, BYTES);
        await put(
          tx,
          repoId,
          ['é/x', 'é/y', 'é/sub/x', 'é.x/a', 'to/z', 'alone/x'].map((one) => file(one, BYTES)),
        );
        await moveFilesIn(tx, repoId, path('é'), path('to'));
      });
      assert.deepEqual(await paths(database), [
        'alone',
        'alone/x',
        'to',
        'to/x',
        'to/y',
        'to/z',
        'é',
        'é.x',
        'é.x/a',
        'é/sub',
        'é/sub/x',
      ]);
      for (const name of ['alone', 'é', 'to']) {
        const folder = await getNode(database.kysely, repoId, path(name));
        assert.ok(folder);
        await database.transaction((tx) => deleteFilesIn(tx, repoId, folder, AT));
      }
      assert.deepEqual(await paths(database), ['é', 'é.x', 'é.x/a', 'é/sub', 'é/sub/x']);
      assert.deepEqual(await listDueReviews(database.kysely, AT, 10), [BYTES]);
    });

    it('finds many paths at once', async () => {
      const names = Array.from({ length: 450 }, (_, i) => `d${i % 3}/${i}`);
      await database.transaction(async (tx) => {
        await addBlob(tx, BYTES);
        await put(
          tx,
          repoId,
          names.map((one) => file(one, BYTES)),
        );
      });
      const found = await getNodes(database.kysely, repoId, [...names, 'd0/none'].map(path));
      assert.deepEqual([...found.keys()].sort(), [...names].sort());
    });

    it('keeps times and sizes beyond 32 bits as numbers', async () => {
      const size = 2 ** 50 + 1;
      await database.transaction((tx) =>
        insertBlob(tx, { sha256: BYTES, sha1: 'a', md5: undefined, size, storeKey: 'k', bytes: undefined }, AT),
      );
      assert.deepEqual(await listBlobs(database.kysely, '', 10), [
        { sha256: BYTES, sha1: 'a', md5: undefined, size, storeKey: 'k' },
      ]);
    });

    it('tells the time in milliseconds', async () => {
      const { now } = await database.kysely.selectNoFrom(nowMs(database.kysely).as('now')).executeTakeFirstOrThrow();
      assert.ok(Math.abs(now - Date.now()) < 5000, `${now}`);
    });

    it('migrates once, and refuses a database of a newer release', async () => {
      assert.deepEqual(await migrate(database), []);
      await sql`insert into migration (name, applied_at) values ('9999-later', 1)`.execute(database.kysely);
      await assert.rejects(migrate(database), /newer release/);
    });

    it('condemns bytes that no file names and leaves their object in the trash', async () => {
      const named = digest('named');
      await database.transaction(async (tx) => {
        await addBlob(tx, BYTES, 'gone');
        await addBlob(tx, named, 'kept');
        await put(tx, repoId, [file('a', named)]);
        await reviewBlobs(tx, [BYTES, named], AT);
      });
      assert.deepEqual((await listDueReviews(database.kysely, AT, 10)).sort(), [BYTES, named].sort());
      const result = await database.transaction((tx) => condemnUnreferenced(tx, [BYTES, named].sort(), AT + 5));
      assert.equal(result.condemned, 1);
      assert.equal(result.bytes, 10);
      assert.equal(await getBlob(database.kysely, BYTES), undefined);
      assert.ok(await getBlob(database.kysely, named));
      assert.deepEqual(await listDueReviews(database.kysely, AT, 10), []);
      assert.deepEqual(await listTrash(database.kysely, AT, 10), []);
      assert.deepEqual(
        (await listTrash(database.kysely, AT + 5, 10)).map((row) => row.storeKey),
        ['gone'],
      );
      assert.deepEqual([...(await knownObjects(database.kysely, ['gone', 'kept', 'unknown']))].sort(), [
        'gone',
        'kept',
      ]);
    });

    it('lets the later of two reviews win', async () => {
      await database.transaction((tx) => reviewBlobs(tx, [BYTES], AT + 10));
      await database.transaction((tx) => reviewBlobs(tx, [BYTES], AT));
      assert.deepEqual(await listDueReviews(database.kysely, AT + 9, 10), []);
      await database.transaction((tx) => reviewBlobs(tx, [BYTES], AT + 20));
      assert.deepEqual(await listDueReviews(database.kysely, AT + 19, 10), []);
      assert.deepEqual(await listDueReviews(database.kysely, AT + 20, 10), [BYTES]);
    });
  });
});

describe('metadata on SQLite alone', () => {
  let home: TestDatabase;
  let database: Database;

  beforeEach(async () => {
    home = await createSqlite();
    database = await home.open();
  });

  afterEach(() => home?.close());

  it('shares one sync among transactions that end together', async () => {
    const { count, restore } = await countSyncs();
    try {
      await Promise.all(
        Array.from({ length: 100 }, (_, i) => database.transaction((tx) => addBlob(tx, digest(`shared ${i}`)))),
      );
      const shared = count();
      assert.ok(shared >= 1 && shared <= 50, `${shared} syncs for 100 transactions`);
      for (let i = 0; i < 5; i++) await database.transaction((tx) => addBlob(tx, digest(`alone ${i}`)));
      assert.equal(count() - shared, 5);
      await database.transaction((tx) => addBlob(tx, digest('not durable')), { durable: false });
      assert.equal(count() - shared, 5);
    } finally {
      restore();
    }
  });

  it('acknowledges nothing before a sync that began after its commit', async () => {
    const prototype = await fileHandlePrototype();
    const datasync = prototype.datasync;
    const gates: (() => void)[] = [];
    prototype.datasync = async function gated(this: unknown) {
      const { promise, resolve } = Promise.withResolvers<void>();
      gates.push(resolve);
      await promise;
      return datasync.call(this);
    };
    try {
      const done: string[] = [];
      const first = database.transaction((tx) => addBlob(tx, digest('1'))).then(() => done.push('first'));
      while (gates.length < 1) await delay(1);
      // The first sync runs; these commit meanwhile and may not count on it.
      const second = database.transaction((tx) => addBlob(tx, digest('2'))).then(() => done.push('second'));
      const third = database.transaction((tx) => addBlob(tx, digest('3'))).then(() => done.push('third'));
      await delay(20);
      assert.deepEqual(done, []);
      gates[0]!();
      await first;
      while (gates.length < 2) await delay(1);
      await delay(20);
      assert.deepEqual(done, ['first']);
      gates[1]!();
      await Promise.all([second, third]);
      assert.equal(gates.length, 2);
    } finally {
      prototype.datasync = datasync;
      for (const open of gates) open();
    }
  });

  it('takes no more changes once a sync has failed, and says so', async () => {
    const prototype = await fileHandlePrototype();
    const datasync = prototype.datasync;
    prototype.datasync = async () => {
      throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    };
    const ran: string[] = [];
    try {
      await assert.rejects(
        database.transaction(async (tx) => {
          afterCommit(tx, () => ran.push('told'));
          await addBlob(tx, BYTES);
        }),
        (error) => isAppError(error, 'unavailable'),
      );
    } finally {
      prototype.datasync = datasync;
    }
    await assert.rejects(
      database.transaction((tx) => addBlob(tx, digest('more'))),
      (error) => isAppError(error, 'unavailable'),
    );
    assert.deepEqual(ran, []);
  });

  it('says that the disk is full, rolls back, and goes on when there is room', async () => {
    await database.transaction((tx) => addBlob(tx, BYTES));
    const { page_count: pages } = (await sql<{ page_count: number }>`pragma page_count`.execute(database.kysely))
      .rows[0]!;
    await sql`pragma max_page_count = ${sql.lit(pages)}`.execute(database.kysely);
    await assert.rejects(
      database.transaction(async (tx) => {
        for (let i = 0; i < 2000; i++) await addBlob(tx, digest(`filler ${i}`));
      }),
      (error) => isAppError(error, 'quota_exceeded'),
    );
    await sql`pragma max_page_count = 1000000`.execute(database.kysely);
    assert.equal((await listBlobs(database.kysely, '', 10)).length, 1);
    await database.transaction((tx) => addBlob(tx, digest('later')));
    assert.equal((await listBlobs(database.kysely, '', 10)).length, 2);
  });
});

describe('metadata on PostgreSQL alone', () => {
  let home: TestDatabase;
  let database: Database;
  let repoId: number;

  beforeEach(async () => {
    home = await createPostgres();
    database = await home.open();
    repoId = await addRepository(database);
  });

  afterEach(() => home?.close());

  it('tries again after a deadlock', async () => {
    const { promise: bothHold, resolve } = Promise.withResolvers<void>();
    let holding = 0;
    const attempts = [0, 0];
    const work = (own: number) => async (tx: Tx) => {
      attempts[own] = attempts[own]! + 1;
      await lockScope(tx, `scope ${own}`);
      if (++holding === 2) resolve();
      await bothHold;
      await lockScope(tx, `scope ${1 - own}`);
      afterCommit(tx, () => done.push(own));
    };
    const done: number[] = [];
    await Promise.all([database.transaction(work(0)), database.transaction(work(1))]);
    assert.deepEqual([...done].sort(), [0, 1]);
    assert.equal(attempts[0]! + attempts[1]!, 3);
  });

  it('tries again after a serialisation failure, and gives up in the end', async () => {
    await database.kysely.insertInto('setting').values({ key: 'count', value: '0' }).execute();
    let attempts = 0;
    const work = (failures: number) => async (tx: Tx) => {
      attempts += 1;
      await sql`set transaction isolation level serializable`.execute(tx);
      const { value } = await tx.selectFrom('setting').select('value').executeTakeFirstOrThrow();
      if (attempts <= failures) {
        await database.kysely
          .updateTable('setting')
          .set({ value: String(Number(value) + 1) })
          .execute();
      }
      await tx.updateTable('setting').set({ value: 'mine' }).execute();
    };
    await database.transaction(work(2));
    assert.equal(attempts, 3);
    await database.kysely.updateTable('setting').set({ value: '0' }).execute();
    attempts = 0;
    await assert.rejects(database.transaction(work(100)), (error) => isAppError(error, 'unavailable'));
    assert.ok(attempts >= 5 && attempts <= 10, `${attempts} attempts`);
  });

  it('never leaves a file without its bytes when a sweep meets a writer', async () => {
    const rounds = 500;
    const random = seeded(42);
    const outcomes = { kept: 0, condemned: 0, refused: 0 };
    const round = async (i: number) => {
      const sha256 = digest(`round ${i}`);
      await database.transaction(async (tx) => {
        await addBlob(tx, sha256);
        await reviewBlobs(tx, [sha256], AT);
      });
      const [writes, sweeps] = [random() * 4, random() * 4];
      const isHolding = random() < 0.5;
      const writer = (async () => {
        await delay(writes);
        return database.transaction(async (tx) => {
          if (isHolding && !(await holdBlobs(tx, [sha256])).has(sha256)) return false;
          if (random() < 0.5) await delay(random() * 3);
          await putFiles(tx, repoId, [file(`file ${i}`, sha256)], 'ann', AT);
          if (random() < 0.3) await delay(random() * 3);
          return true;
        });
      })().catch((error: unknown) => {
        // Without holding the bytes first, the foreign key is what refuses.
        if (!isHolding && database.dialect.isForeignKeyViolation(error)) return false;
        throw error;
      });
      const sweep = (async () => {
        await delay(sweeps);
        return database.transaction(async (tx) => {
          const { condemned } = await condemnUnreferenced(tx, [sha256], AT);
          if (random() < 0.3) await delay(random() * 3);
          return condemned === 1;
        });
      })();
      const [isWritten, isCondemned] = await Promise.all([writer, sweep]);
      const hasBlob = (await getBlob(database.kysely, sha256)) !== undefined;
      const hasFile = (await getNode(database.kysely, repoId, path(`file ${i}`))) !== undefined;
      assert.deepEqual({ hasBlob, hasFile }, { hasBlob: !isCondemned, hasFile: isWritten });
      assert.ok(!(isWritten && isCondemned), 'the sweep condemned bytes that a file names');
      if (isWritten) outcomes.kept += 1;
      if (isCondemned) outcomes.condemned += 1;
      if (!isWritten) outcomes.refused += 1;
    };
    for (let start = 0; start < rounds; start += 4) {
      await Promise.all([start, start + 1, start + 2, start + 3].map(round));
    }
    const trash = await listTrash(database.kysely, AT, rounds);
    assert.equal(trash.length, outcomes.condemned);
    // The times are chosen so that each side wins now and then; else the test says nothing.
    assert.ok(outcomes.kept > 20 && outcomes.condemned > 20, JSON.stringify(outcomes));
  });

  it('leaves bytes alone whose review was put off since the sweep listed them', async () => {
    await database.transaction(async (tx) => {
      await addBlob(tx, BYTES);
      await reviewBlobs(tx, [BYTES], AT);
    });
    const due = await listDueReviews(database.kysely, AT, 10);
    await database.transaction((tx) => reviewBlobs(tx, due, AT + 1000));
    const sweep = await database.transaction((tx) => condemnUnreferenced(tx, due, AT, AT));
    assert.deepEqual([sweep.condemned, sweep.settled], [0, 1]);
    assert.deepEqual(await listDueReviews(database.kysely, AT + 1000, 10), [BYTES]);
  });

  it('lets nobody adopt an object that a sweep removes, even if the clock goes back', async () => {
    const HOUR_MS = 3_600_000;
    const key = (name: string) => `${name}/object`;
    // To a clock that has gone back, what is due is not due for a long time.
    const adopt = (name: string) => database.transaction((tx) => adoptObject(tx, key(name), -HOUR_MS));
    for (const name of ['left', 'removed', 'stuck']) {
      await database.transaction((tx) => announceObject(tx, key(name), -1000));
    }
    assert.equal(await adopt('left'), true);
    const adopted: boolean[] = [];
    const driver = {
      async remove(removed: string) {
        adopted.push(await adopt(removed.split('/')[0] as string));
        if (removed === key('stuck')) throw new AppError('unavailable', 'The store is away.');
      },
    } as BlobDriver;
    const options = { batch: 10, readerGraceMs: 0, proceed: async () => undefined };
    assert.equal(await emptyTrash({ database, driver }, options), 1);
    assert.deepEqual(adopted, [false, false]);
    // Whether it is there nobody knows.
    assert.equal(await adopt('stuck'), false);
  });

  it('does not take all that a store holds for left behind', async () => {
    const [known, orphan] = ['known/object', 'orphan/object'];
    const objects = new Map([orphan, known].map((key) => [key, { key, size: 10, modifiedAt: new Date(0) }]));
    const driver = {
      list: async function* () {
        yield* [...objects.values()];
      },
      staged: async function* () {},
      size: async (key: string) => objects.get(key)?.size,
      remove: async (key: string) => void objects.delete(key),
    } as unknown as BlobDriver;
    const nothing = async () => undefined;
    const clean = () =>
      checkStored(
        { database, driver, formats: [] },
        { deep: false, safeAgeMs: 0, removeOrphans: true, report: nothing, proceed: nothing },
      );
    await assert.rejects(clean(), /database of another store/);
    assert.equal(objects.size, 2);
    await database.transaction((tx) =>
      insertBlob(
        tx,
        { sha256: BYTES, sha1: undefined, md5: undefined, size: 10, storeKey: known, bytes: undefined },
        AT,
      ),
    );
    assert.equal((await clean()).removed > 0, true);
    assert.deepEqual([...objects.keys()], [known]);
  });

  it('does not forget a review that is asked for while a sweep looks at the bytes', async () => {
    await database.transaction(async (tx) => {
      await addBlob(tx, BYTES);
      await put(tx, repoId, [file('a', BYTES)]);
      await reviewBlobs(tx, [BYTES], AT);
    });
    const node = await getNode(database.kysely, repoId, path('a'));
    assert.ok(node);
    const { promise: isDeleted, resolve: deleted } = Promise.withResolvers<void>();
    const deleting = database.transaction(async (tx) => {
      await removeNodes(tx, [node], AT + 1000);
      deleted();
      // Long enough for the sweep to see the file and to come to the review.
      await delay(200);
    });
    await isDeleted;
    const sweep = await database.transaction((tx) => condemnUnreferenced(tx, [BYTES], AT));
    await deleting;
    if (sweep.condemned === 1) return;
    assert.deepEqual(await listDueReviews(database.kysely, AT + 1000, 10), [BYTES]);
  });

  for (const [what, first, second] of [
    ['puts a file and another puts one below it', 'file', 'below'],
    ['puts a file below a folder and another puts a file in the place of the folder', 'below', 'file'],
    ['removes a folder and another puts a file into it', 'remove', 'into'],
    ['puts a file into a folder and another removes the folder', 'into', 'remove'],
  ] as const) {
    it(`keeps the tree a tree when one change ${what}`, async () => {
      await database.transaction(async (tx) => {
        await addBlob(tx, BYTES);
        await put(tx, repoId, [file('old/one', BYTES)]);
      });
      const folder = await getNode(database.kysely, repoId, path('old'));
      assert.ok(folder);
      const steps = {
        file: (tx: Tx) => put(tx, repoId, [file('new', BYTES)]),
        below: (tx: Tx) => put(tx, repoId, [file('new/one', BYTES)]),
        into: (tx: Tx) => put(tx, repoId, [file('old/two', BYTES)]),
        remove: (tx: Tx) => deleteFilesIn(tx, repoId, folder, AT),
      };
      const { promise: isWritten, resolve: written } = Promise.withResolvers<void>();
      await Promise.allSettled([
        database.transaction(async (tx) => {
          await steps[first](tx);
          written();
          await delay(100);
        }),
        isWritten.then(() => database.transaction(steps[second])),
      ]);
      const rows = await database.kysely.selectFrom('node').select(['parent', 'name', 'folder', 'sha256']).execute();
      const folders = new Set(['']);
      for (const row of rows)
        if (row.folder === 1) folders.add(row.parent === '' ? row.name : `${row.parent}/${row.name}`);
      for (const row of rows) {
        assert.ok(folders.has(row.parent), `"${row.name}" lies in "${row.parent}", which is no folder`);
        assert.equal(row.folder === 1, row.sha256 === null, `"${row.name}" is a folder with bytes or a file without`);
      }
    });
  }

  it('holds bytes against a sweep until the transaction ends', async () => {
    await database.transaction((tx) => addBlob(tx, BYTES));
    const { promise: isHeld, resolve: held } = Promise.withResolvers<void>();
    const { promise: release, resolve: letGo } = Promise.withResolvers<void>();
    const holding = database.transaction(async (tx) => {
      await holdBlobs(tx, [BYTES]);
      held();
      await release;
    });
    await isHeld;
    const skipped = await database.transaction((tx) => condemnUnreferenced(tx, [BYTES], AT));
    assert.equal(skipped.condemned, 0);
    letGo();
    await holding;
    assert.equal((await database.transaction((tx) => condemnUnreferenced(tx, [BYTES], AT))).condemned, 1);
  });

  it('lets two changes that name the same bytes in different order both succeed', async () => {
    const digests = Array.from({ length: 20 }, (_, i) => digest(`many ${i}`));
    await database.transaction(async (tx) => {
      for (const sha256 of digests) await addBlob(tx, sha256);
    });
    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        database.transaction(async (tx) => {
          const order = i % 2 === 0 ? digests : [...digests].reverse();
          await holdBlobs(tx, order);
          await put(
            tx,
            repoId,
            order.map((sha256, n) => file(`${i}/${n}`, sha256)),
          );
          await reviewBlobs(tx, order, AT + i);
        }),
      ),
    );
    assert.equal((await paths(database)).length, 8 * 21);
  });
});

describe('metadata while PostgreSQL restarts', () => {
  let server: PostgresServer;
  let home: TestDatabase;
  let database: Database;

  before(async () => {
    server = await startPostgres({ fsync: true });
  });

  beforeEach(async () => {
    home = await createPostgres(server);
    database = await home.open();
  });

  afterEach(() => home?.close());

  after(() => server?.stop());

  for (const mode of ['fast', 'immediate'] as const) {
    it(`says unavailable, then works again by itself, and keeps all it acknowledged: ${mode}`, async () => {
      const acknowledged: Sha256[] = [];
      const failures: unknown[] = [];
      let isOver = false;
      const writers = Array.from({ length: 4 }, async (_, writer) => {
        for (let i = 0; !isOver; i++) {
          const sha256 = digest(`${mode} ${writer} ${i}`);
          try {
            await database.transaction((tx) => addBlob(tx, sha256));
            acknowledged.push(sha256);
          } catch (error) {
            failures.push(error);
            await delay(5);
          }
        }
      });
      try {
        await until(() => acknowledged.length > 20);
        await server.restart(mode);
        const before = acknowledged.length;
        await until(() => acknowledged.length > before + 20);
      } finally {
        isOver = true;
        await Promise.all(writers);
      }
      assert.deepEqual(
        failures.filter((error) => !isAppError(error, 'unavailable')),
        [],
      );
      const kept = new Set<string>();
      for (let after = ''; ; ) {
        const page = await listBlobs(database.kysely, after, 500);
        if (page.length === 0) break;
        for (const row of page) kept.add(row.sha256);
        after = page.at(-1)!.sha256;
      }
      assert.deepEqual(
        acknowledged.filter((sha256) => !kept.has(sha256)),
        [],
      );
    });
  }

  it('says unavailable while the server is down, to reads too', async () => {
    await database.transaction((tx) => addBlob(tx, BYTES));
    await server.kill();
    try {
      const isUnavailable = (error: unknown) => isAppError(error, 'unavailable');
      await assert.rejects(
        database.read((db) => getBlob(db, BYTES)),
        isUnavailable,
      );
      await assert.rejects(
        database.transaction((tx) => addBlob(tx, digest('more'))),
        isUnavailable,
      );
    } finally {
      await server.start();
    }
    assert.ok(await database.read((db) => getBlob(db, BYTES)));
  });

  it('says unavailable when its connection is cut in the middle of a transaction, and keeps nothing of it', async () => {
    await assert.rejects(
      database.transaction(async (tx) => {
        await addBlob(tx, BYTES);
        const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
        await sql`select pg_terminate_backend(${rows[0]!.pid})`.execute(database.kysely);
        await addBlob(tx, digest('more'));
      }),
      (error) => isAppError(error, 'unavailable'),
    );
    assert.equal(await database.read((db) => getBlob(db, BYTES)), undefined);
    await database.transaction((tx) => addBlob(tx, BYTES));
  });
});

async function until(condition: () => boolean): Promise<void> {
  const limit = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > limit) throw new Error('what the test waits for did not happen within 10 seconds');
    await delay(5);
  }
}

/** Numbers in [0, 1) that look random and are the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Syncing {
  datasync(this: unknown): Promise<void>;
}

/** Node exports no class for file handles, so that its methods can only be reached through an instance. */
async function fileHandlePrototype(): Promise<Syncing> {
  const handle = await open('/dev/null', 'r');
  await handle.close();
  return Object.getPrototypeOf(handle) as Syncing;
}

async function countSyncs(): Promise<{ count(): number; restore(): void }> {
  const prototype = await fileHandlePrototype();
  const datasync = prototype.datasync;
  let calls = 0;
  prototype.datasync = async function counted(this: unknown) {
    calls += 1;
    // A disk takes a while; without it every transaction would be synced before the next one ends.
    await delay(2);
    return datasync.call(this);
  };
  return {
    count: () => calls,
    restore: () => {
      prototype.datasync = datasync;
    },
  };
}
