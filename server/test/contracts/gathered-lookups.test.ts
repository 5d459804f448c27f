/** Look-ups of single files: each gets its own answer, however many are asked for at the same time. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CompiledQuery, sql } from 'kysely';
import { isAppError } from '../../src/core/errors.ts';
import type { RepoKey, RepoPath, Sha256 } from '../../src/core/ids.ts';
import { insertBlob } from '../../src/db/blobs.ts';
import type { Database, Tx } from '../../src/db/database.ts';
import { findFileIn, findFiles, getFile, getFileIn, getVersionFile, getVersionFileIn } from '../../src/db/files.ts';
import { getFolder } from '../../src/db/node-listings.ts';
import { ensureFolders, getNode, putFiles } from '../../src/db/nodes.ts';
import { getPackageRevision } from '../../src/db/package-revisions.ts';
import { createRepository } from '../../src/db/repositories.ts';
import { createPostgres, eachDatabase, type TestDatabase } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';
import { makeLargeTree } from '../support/large-tree.ts';

const AT = 1_700_000_000_000;
const MANY = 130;

function digest(text: string): Sha256 {
  return createHash('sha256').update(text).digest('hex') as Sha256;
}

function pathOf(i: number): RepoPath {
  return `pack-${i % 9}/1.${i}/file` as RepoPath;
}

async function addRepository(database: Database, key: string): Promise<number> {
  return database.transaction((tx) =>
    createRepository(tx, { key: key as RepoKey, rclass: 'local', packageType: 'generic', config: {} }, AT),
  );
}

/** The lead file of a version, with bytes of its own. */
async function put(tx: Tx, repoId: number, path: RepoPath, bytes: string): Promise<void> {
  const sha256 = digest(bytes);
  await insertBlob(
    tx,
    { sha256, sha1: undefined, md5: undefined, size: bytes.length, storeKey: undefined, bytes: Buffer.from(bytes) },
    AT,
  );
  await ensureFolders(tx, repoId, [path], 'ann', AT);
  const [name = '', version = ''] = path.split('/');
  const file = {
    path,
    sha256,
    size: bytes.length,
    mediaType: 'text/plain',
    package: name,
    etag: undefined,
    properties: undefined,
    declared: undefined,
    stamps: undefined,
    version: { package: name, version, metadata: {} },
  };
  await putFiles(tx, repoId, [file], 'ann', AT);
}

/** What the file at a path of one of the repositories holds; every seventh path of each is empty. */
function bytesAt(repoId: number, i: number): string | undefined {
  return i % 7 === 0 ? undefined : `${repoId} ${i % 50}`;
}

eachDatabase(({ name, create }) => {
  describe(`look-ups of many files at once on ${name}`, () => {
    let home: TestDatabase;
    let database: Database;
    let repoIds: readonly number[];

    before(async () => {
      home = await create();
      database = await home.open();
      repoIds = [await addRepository(database, 'one'), await addRepository(database, 'two')];
      await database.transaction(async (tx) => {
        for (const repoId of repoIds) {
          for (let i = 0; i < MANY; i++) {
            const bytes = bytesAt(repoId, i);
            if (bytes !== undefined) await put(tx, repoId, pathOf(i), bytes);
          }
        }
      });
    });
    after(() => home?.close());

    /** Asks for every path of both repositories in the same turn. */
    async function forEach<T>(ask: (repoId: number, i: number) => Promise<T>): Promise<[number, number, T][]> {
      const asked = Array.from({ length: MANY }, (_, i) => repoIds.map((repoId) => [repoId, i] as const)).flat();
      return Promise.all(asked.map(async ([repoId, i]) => [repoId, i, await ask(repoId, i)] as [number, number, T]));
    }

    it('gives each its own file, and nothing where there is none', async () => {
      const found = await forEach((repoId, i) => database.read((db) => getFile(db, repoId, pathOf(i))));
      for (const [repoId, i, file] of found) {
        assert.equal(file?.bytes?.toString(), bytesAt(repoId, i));
        if (file) assert.equal(file.path, pathOf(i));
      }
    });

    it('gives each its own version', async () => {
      const found = await forEach((repoId, i) =>
        database.read((db) => getVersionFile(db, repoId, `pack-${i % 9}`, `1.${i}`)),
      );
      for (const [repoId, i, file] of found) assert.equal(file?.bytes?.toString(), bytesAt(repoId, i));
    });

    it('gives each a file of its package with its bytes', async () => {
      const found = await forEach((repoId, i) =>
        database.read((db) => findFiles(db, repoId, `pack-${i % 9}`, digest(bytesAt(repoId, i) ?? 'none'), 'one')),
      );
      for (const [repoId, i, files] of found) {
        const bytes = bytesAt(repoId, i);
        assert.deepEqual(
          files.map((file) => [file.bytes?.toString(), file.package]),
          bytes === undefined ? [] : [[bytes, `pack-${i % 9}`]],
        );
      }
    });

    it('gives each its folder, its node and the revision of its package', async () => {
      const folderOf = (i: number) => pathOf(i).replace('/file', '') as RepoPath;
      const found = await forEach(async (repoId, i) =>
        Promise.all([
          getFolder(database.kysely, repoId, folderOf(i)),
          getFolder(database.kysely, repoId, pathOf(i)),
          getNode(database.kysely, repoId, folderOf(i)),
          getNode(database.kysely, repoId, pathOf(i)),
          getPackageRevision(database.kysely, repoId, `pack-${i % 9}`),
          getPackageRevision(database.kysely, repoId, `none-${i}`),
        ]),
      );
      const revisions = new Map<string, number>();
      for (const [repoId, i, [folder, no, node, file, revision, none]] of found) {
        const isThere = bytesAt(repoId, i) !== undefined;
        assert.deepEqual(
          [folder?.path, no, node?.path, node?.folder, file?.path, file?.folder],
          isThere ? [folderOf(i), undefined, folderOf(i), true, pathOf(i), false] : Array(6).fill(undefined),
        );
        const known = revisions.get(`${repoId} ${i % 9}`) ?? revision;
        assert.equal(revision, known);
        assert.ok(revision > 0);
        assert.equal(none, 0);
        revisions.set(`${repoId} ${i % 9}`, revision);
      }
    });

    it('gives each what several repositories have, and tells them apart', async () => {
      const ids = [...repoIds, 1_000_000, 1_000_001];
      const ways = [
        (i: number) => database.read((db) => getFileIn(db, ids, pathOf(i))),
        (i: number) => database.read((db) => getVersionFileIn(db, ids, `pack-${i % 9}`, `1.${i}`)),
      ];
      for (const ask of ways) {
        const found = await Promise.all(Array.from({ length: MANY }, (_, i) => ask(i)));
        for (const [i, members] of found.entries()) {
          const seen = new Map(members.map(({ repoId, file }) => [repoId, file.bytes?.toString()]));
          assert.deepEqual(
            repoIds.map((id) => seen.get(id)),
            repoIds.map((id) => bytesAt(id, i)),
          );
          assert.equal(members.length, i % 7 === 0 ? 0 : 2);
        }
      }
      const [one = 0, two = 0] = repoIds;
      const held = await database.read((db) => findFileIn(db, ids, 'pack-1', digest(bytesAt(two, 1) ?? '')));
      assert.deepEqual(
        held.map(({ repoId, file }) => [repoId, file.bytes?.toString()]),
        [[two, bytesAt(two, 1)]],
      );
      assert.deepEqual(await database.read((db) => getFileIn(db, [], pathOf(1))), []);
      assert.notEqual(bytesAt(one, 1), bytesAt(two, 1));
    });

    it('finds what was committed before it was asked for, while others keep asking', async () => {
      const repoId = await addRepository(database, 'three');
      let stop = false;
      const others = Array.from({ length: 20 }, async (_, n) => {
        for (let i = n; !stop; i++) {
          await database.read((db) => getFile(db, repoId, pathOf(i)));
          await new Promise(setImmediate);
        }
      });
      try {
        for (let i = 0; i < 60; i++) {
          await database.transaction((tx) => put(tx, repoId, pathOf(i % 6), `text ${i}`));
          const file = await database.read((db) => getFile(db, repoId, pathOf(i % 6)));
          assert.equal(file?.bytes?.toString(), `text ${i}`);
        }
      } finally {
        stop = true;
        await Promise.all(others);
      }
    });

    it('shows a transaction its own changes, and nobody else', async () => {
      const repoId = await addRepository(database, 'four');
      await database.transaction(async (tx) => {
        await put(tx, repoId, pathOf(1), 'mine');
        assert.equal((await getFile(tx, repoId, pathOf(1)))?.bytes?.toString(), 'mine');
        if (name === 'postgres') assert.equal(await getFile(database.kysely, repoId, pathOf(1)), undefined);
      });
    });
  });
});

describe('look-ups that go together on PostgreSQL', () => {
  let home: TestDatabase;
  let database: Database;
  let other: Database;
  let repoId: number;

  before(async () => {
    home = await createPostgres();
    database = await home.open();
    other = await home.open();
    const tree = await makeLargeTree(database, 20_000);
    repoId = tree.repositories.get('big-3') ?? 0;
    await database.transaction(async (tx) => {
      await sql`set local session_replication_role = replica`.execute(tx);
      await sql`insert into package_version (node_id, repo_id, name, version, metadata, created_at)
        select id, repo_id, 'pack-' || id % 3, '1.' || id, '{}', 1 from node`.execute(tx);
      await sql`insert into package_revision (repo_id, name, revision)
        select repo_id, name, 1 from node`.execute(tx);
    });
    await sql`analyze`.execute(database.kysely);
  });
  after(() => home?.close());

  const ask = (n: number) =>
    database.read((db) =>
      getFile(db, repoId, `org/g${Math.floor(n / 10) % 50}/a${Math.floor(n / 500)}/v0/file-${n}.jar` as RepoPath),
    );

  /** Runs `work` while every statement about files has to wait. */
  async function whileLocked(work: () => Promise<void>): Promise<void> {
    await other.transaction(async (tx) => {
      await sql`lock table node in access exclusive mode`.execute(tx);
      await work();
    });
  }

  /** The processes whose statements wait for the lock. */
  async function waiting(): Promise<number[]> {
    const { rows } = await sql<{ pid: number }>`select pid from pg_stat_activity
      where datname = current_database() and backend_type = 'client backend' and wait_event_type = 'Lock'
      order by pid`.execute(other.kysely);
    return rows.map(({ pid }) => pid);
  }

  it('are one statement when they are asked for in one turn', async () => {
    let asked: Promise<unknown[]> = Promise.resolve([]);
    await whileLocked(async () => {
      asked = Promise.all([3, 13, 23, 33].map(ask));
      await eventually(async () => assert.equal((await waiting()).length, 1));
    });
    assert.equal((await asked).filter(Boolean).length, 4);
  });

  it('are few statements, however many are asked for while others wait', async () => {
    const asked: Promise<unknown>[] = [];
    await whileLocked(async () => {
      for (let statements = 1; statements <= 4; statements++) {
        asked.push(ask(3));
        await eventually(async () => assert.equal((await waiting()).length, statements));
      }
      for (let n = 3; n < 5000; n += 10) asked.push(ask(n));
      for (let i = 0; i < 5; i++) assert.equal((await waiting()).length, 4);
    });
    const found = await Promise.all(asked);
    assert.equal(found.length, 504);
    assert.equal(found.filter(Boolean).length, found.length);
  });

  it('do not wait for ever behind statements that do not end', async () => {
    const stuck: Promise<unknown>[] = [];
    const early: Promise<unknown>[] = [];
    const late: Promise<unknown>[] = [];
    await whileLocked(async () => {
      for (let statements = 1; statements <= 4; statements++) {
        stuck.push(ask(3));
        await eventually(async () => assert.equal((await waiting()).length, statements));
      }
      let refused: unknown;
      early.push(
        ask(13).catch((error: unknown) => {
          refused = error;
        }),
      );
      // Who comes later finds out that the others have waited for too long.
      await eventually(() => {
        late.push(ask(23).catch((error: unknown) => error));
        assert.ok(isAppError(refused, 'unavailable'));
      });
    });
    assert.equal((await Promise.all(stuck)).filter(Boolean).length, 4);
    assert.equal((await Promise.all(late)).at(-1) instanceof Error, false);
    assert.ok(await ask(13));
    await Promise.all(early);
  });

  it('pass an error about a value on to who gave it, and to nobody else', async () => {
    const bad = ['no\0path', 'nor/this\0one'].map((path) => getFile(database.kysely, repoId, path as RepoPath));
    const asked = await Promise.allSettled([ask(3), ...bad, ask(13), ask(4)]);
    assert.deepEqual(
      asked.map((one) => (one.status === 'fulfilled' ? one.value?.size : (one.reason as { code: string }).code)),
      [3, '22021', '22021', 13, undefined],
    );
  });

  it('fail with their statement, while those that were asked for later are answered', async () => {
    let lost: Promise<PromiseSettledResult<unknown>[]> = Promise.resolve([]);
    let later: Promise<unknown[]> = Promise.resolve([]);
    await whileLocked(async () => {
      lost = Promise.allSettled([3, 13, 23].map(ask));
      await eventually(async () => assert.equal((await waiting()).length, 1));
      const [pid = 0] = await waiting();
      later = Promise.all([33, 43].map(ask));
      await eventually(async () => assert.equal((await waiting()).length, 2));
      await sql`select pg_terminate_backend(${pid}::int)`.execute(other.kysely);
      for (const one of await lost) {
        assert.ok(one.status === 'rejected' && isAppError(one.reason, 'unavailable'), JSON.stringify(one));
      }
    });
    assert.equal((await later).filter(Boolean).length, 2);
    assert.ok(await ask(3));
  });

  it('are planned once, for any values, and by indexes of their keys', async () => {
    const sha256 = digest('none');
    const none = 'no/such' as RepoPath;
    const lookups: readonly (() => Promise<unknown>)[] = [
      () => ask(3),
      () => getVersionFile(database.kysely, repoId, 'none', '1'),
      () => findFiles(database.kysely, repoId, 'none', sha256, 'one'),
      () => getNode(database.kysely, repoId, none),
      () => getFolder(database.kysely, repoId, none),
      () => getPackageRevision(database.kysely, repoId, 'none'),
    ];
    // One after the other takes the same connection each time; PostgreSQL makes some plans for the values at first.
    for (let i = 0; i < 8; i++) for (const lookup of lookups) await lookup();
    const { rows } = await sql<{ statement: string; generic: string }>`select statement, generic_plans as generic
      from pg_prepared_statements where name like 'kept%'`.execute(database.kysely);
    assert.equal(rows.length, lookups.length);
    const expected =
      /node_repo_id_parent_name_key|package_version_repo_id_name_version_key|node_content|revision_pkey/g;
    const used = new Set<string>();
    for (const { statement, generic } of rows) {
      const plan = await genericPlan(statement);
      assert.ok(Number(generic) > 0, `planned anew each time: ${statement}`);
      assert.doesNotMatch(plan, /node_name|by_revision|Seq Scan on (?!blob_content)/);
      const indexes = plan.match(expected) ?? [];
      assert.ok(indexes.length > 0, plan);
      for (const index of indexes) used.add(index);
    }
    assert.equal(used.size, 4);
  });

  async function genericPlan(statement: string): Promise<string> {
    const { rows } = await database.kysely.executeQuery<Record<string, string>>(
      CompiledQuery.raw(`explain (generic_plan) ${statement}`),
    );
    return rows.map((row) => Object.values(row)[0]).join('\n');
  }
});
