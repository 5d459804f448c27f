/** What the event log and its feed promise on every database. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { parseRepoKey, parseRepoPath } from '../../src/core/ids.ts';
import type { Database, Tx } from '../../src/db/database.ts';
import { type DomainEvent, EventLog, type RecordedEvent } from '../../src/events/event-log.ts';
import { type Consumer, Feed, type FeedOptions } from '../../src/events/feed.ts';
import type { TestDatabase } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';

const REPO = parseRepoKey('libs');
const FAST: FeedOptions = { pollMs: 20, batch: 7 };

function deposited(name: string | number): DomainEvent {
  return { type: 'artifact.deposited', repo: REPO, path: parseRepoPath(`a/${name}`) };
}

function names(events: readonly RecordedEvent[]): string[] {
  return events.map((event) => ('path' in event ? event.path.slice(2) : event.type));
}

/** One process: its database handle, its log and its feed. */
interface Node {
  readonly database: Database;
  readonly log: EventLog;
  readonly feed: Feed;
  readonly errors: unknown[];
  append(...events: readonly DomainEvent[]): Promise<void>;
}

export interface EventFeedSubject {
  create(): Promise<TestDatabase>;
  /** False where the database has one writer, so that nothing can overtake anything. */
  readonly severalWriters: boolean;
}

export function eventFeedContract({ create, severalWriters }: EventFeedSubject): void {
  let home: TestDatabase;
  let nodes: Node[];

  beforeEach(async () => {
    home = await create();
    nodes = [];
  });
  afterEach(async () => {
    for (const node of nodes) await node.feed.stop();
    await home.close();
  });

  async function openNode(options: FeedOptions = FAST): Promise<Node> {
    const database = await home.open();
    const log = new EventLog();
    const errors: unknown[] = [];
    const feed = new Feed({ database, log, onError: (error) => errors.push(error) }, options);
    const append = (...events: readonly DomainEvent[]) => database.transaction((tx) => log.append(tx, events, 'ann'));
    const node = { database, log, feed, errors, append };
    nodes.push(node);
    return node;
  }

  function collector(name: string, from: Consumer['from'] = 'beginning') {
    const seen: RecordedEvent[] = [];
    return { name, from, seen, handle: async (_tx: Tx, events: readonly RecordedEvent[]) => void seen.push(...events) };
  }

  test('an event is read as it was appended', async () => {
    const node = await openNode();
    const consumer = collector('audit');
    node.feed.consume(consumer);
    await node.feed.start();
    await node.append(
      { type: 'artifact.moved', repo: REPO, path: parseRepoPath('a'), to: { repo: REPO, path: parseRepoPath('b') } },
      { type: 'repository.created', repo: REPO },
      { type: 'login.failed', subject: 'bob' },
    );
    await eventually(() => assert.equal(consumer.seen.length, 3));
    const [moved, created, failed] = consumer.seen;
    assert.deepEqual(
      { ...moved, id: 0, at: 0 },
      {
        type: 'artifact.moved',
        repo: 'libs',
        path: 'a',
        to: { repo: 'libs', path: 'b' },
        principal: 'ann',
        id: 0,
        at: 0,
      },
    );
    assert.ok(Math.abs((moved?.at.getTime() ?? 0) - Date.now()) < 60_000);
    assert.deepEqual(
      { ...created, id: 0, at: 0 },
      { type: 'repository.created', repo: 'libs', principal: 'ann', id: 0, at: 0 },
    );
    assert.deepEqual(
      { ...failed, id: 0, at: 0 },
      { type: 'login.failed', subject: 'bob', principal: 'ann', id: 0, at: 0 },
    );
    assert.ok(moved!.id < created!.id && created!.id < failed!.id);
  });

  test('a transaction that fails leaves no event and tells no listener', async () => {
    const node = await openNode();
    const heard: RecordedEvent[] = [];
    node.feed.onEvents((events) => heard.push(...events));
    await node.feed.start();
    await assert.rejects(
      node.database.transaction(async (tx) => {
        await node.log.append(tx, [deposited('lost')], 'ann');
        throw new Error('no');
      }),
    );
    await node.append(deposited('kept'));
    assert.deepEqual(names(heard), ['kept']);
  });

  test('a consumer goes on after a restart where it was, and a new one starts where it asks to', async () => {
    const first = await openNode();
    const before = collector('index');
    first.feed.consume(before);
    await first.feed.start();
    await first.append(...Array.from({ length: 20 }, (_, i) => deposited(i)));
    await eventually(() => assert.equal(before.seen.length, 20));
    await first.feed.stop();
    await first.append(deposited('while down'));
    const second = await openNode();
    const [after, all, fresh] = [collector('index'), collector('all'), collector('fresh', 'now')];
    for (const consumer of [after, all, fresh]) second.feed.consume(consumer);
    await second.feed.start();
    await second.append(deposited('last'));
    await eventually(() => assert.deepEqual(names(after.seen), ['while down', 'last']));
    await eventually(() => assert.equal(all.seen.length, 22));
    await eventually(() => assert.deepEqual(names(fresh.seen), ['last']));
  });

  test('a consumer that fails gets the same events again, in order, and does not hold up others', async () => {
    const node = await openNode();
    const steady = collector('steady');
    const tried: string[][] = [];
    const moody: Consumer = {
      name: 'moody',
      from: 'beginning',
      async handle(_tx, events) {
        tried.push(names(events));
        if (tried.length < 3) throw new Error('not now');
      },
    };
    node.feed.consume(moody);
    node.feed.consume(steady);
    await node.append(deposited(1), deposited(2));
    await node.feed.start();
    await eventually(() => assert.deepEqual(names(steady.seen), ['1', '2']));
    await eventually(() =>
      assert.deepEqual(tried, [
        ['1', '2'],
        ['1', '2'],
        ['1', '2'],
      ]),
    );
    assert.equal(node.errors.length, 2);
  });

  test('what a consumer writes and its cursor move together', async () => {
    const node = await openNode();
    let runs = 0;
    node.feed.consume({
      name: 'writer',
      from: 'beginning',
      async handle(tx) {
        runs += 1;
        await tx
          .insertInto('setting')
          .values({ key: `run ${runs}`, value: '' })
          .execute();
        if (runs === 1) throw new Error('after the write');
      },
    });
    await node.append(deposited(1));
    await node.feed.start();
    const rows = () => node.database.kysely.selectFrom('setting').select('key').where('key', 'like', 'run %').execute();
    await eventually(async () =>
      assert.deepEqual(
        (await rows()).map((row) => row.key),
        ['run 2'],
      ),
    );
  });

  test('listeners hear at once what their own process commits, and only once', async () => {
    const node = await openNode();
    const heard: RecordedEvent[] = [];
    node.feed.onEvents(() => {
      throw new Error('a listener that fails');
    });
    const remove = node.feed.onEvents((events) => heard.push(...events));
    await node.feed.start();
    await node.append(deposited(1), deposited(2));
    assert.deepEqual(names(heard), ['1', '2']);
    await delay(100);
    assert.deepEqual(names(heard), ['1', '2']);
    remove();
    await node.append(deposited(3));
    assert.equal(heard.length, 2);
  });

  if (!severalWriters) return;
  describe('with several writers', () => {
    test('events are handed on in order without a gap, however commits overtake each other', async () => {
      const node = await openNode();
      const other = await openNode();
      const consumer = collector('order');
      other.feed.consume(consumer);
      await other.feed.start();
      // Ids are taken in one order and committed in another, with waits between that cover several polls.
      const writers = Array.from({ length: 40 }, (_, i) =>
        node.database.transaction(async (tx) => {
          await delay(Math.random() * 200);
          await node.log.append(tx, [deposited(`${i}/1`)], 'ann');
          await delay(Math.random() * 150);
          await node.log.append(tx, [deposited(`${i}/2`)], 'ann');
          if (i % 10 === 9) throw new Error('this one is rolled back');
        }),
      );
      await Promise.allSettled(writers);
      await eventually(() => assert.equal(consumer.seen.length, 72));
      const ids = consumer.seen.map((event) => event.id);
      assert.deepEqual(
        ids,
        [...ids].sort((one, two) => one - two),
      );
      const rows = await node.database.kysely.selectFrom('event').select('id').orderBy('id').execute();
      assert.deepEqual(
        ids,
        rows.map((row) => row.id),
      );
    });

    test('an event waits for an earlier one whose transaction is still open', async () => {
      const node = await openNode();
      const consumer = collector('order');
      node.feed.consume(consumer);
      await node.feed.start();
      const appended = Promise.withResolvers<void>();
      const release = Promise.withResolvers<void>();
      const slow = node.database.transaction(async (tx) => {
        await node.log.append(tx, [deposited('slow')], 'ann');
        appended.resolve();
        await release.promise;
      });
      await appended.promise;
      await node.append(deposited('quick'));
      await delay(150);
      const seenMeanwhile = names(consumer.seen);
      release.resolve();
      await slow;
      assert.deepEqual(seenMeanwhile, []);
      await eventually(() => assert.deepEqual(names(consumer.seen), ['slow', 'quick']));
    });

    test('listeners hear what other processes commit, each event once', async () => {
      const node = await openNode();
      const other = await openNode();
      const heard: RecordedEvent[] = [];
      node.feed.onEvents((events) => heard.push(...events));
      await node.feed.start();
      for (let i = 0; i < 20; i++) await (i % 3 === 0 ? node : other).append(deposited(i), deposited(`${i}+`));
      await eventually(() => assert.ok(heard.length >= 40));
      await delay(100);
      assert.equal(heard.length, 40);
      assert.equal(new Set(heard.map((event) => event.id)).size, 40);
    });

    test('a consumer of several processes is served by one at a time', async () => {
      const one = await openNode();
      const two = await openNode();
      const seen: string[] = [];
      let inside = 0;
      const handle = async (_tx: Tx, events: readonly RecordedEvent[]) => {
        inside += 1;
        assert.equal(inside, 1);
        await delay(5);
        seen.push(...names(events));
        inside -= 1;
      };
      for (const node of [one, two]) node.feed.consume({ name: 'shared', from: 'beginning', handle });
      await Promise.all([one.feed.start(), two.feed.start()]);
      for (let i = 0; i < 30; i++) await (i % 2 === 0 ? one : two).append(deposited(i));
      await eventually(() => assert.equal(seen.length, 30));
      assert.deepEqual(
        seen,
        Array.from({ length: 30 }, (_, i) => String(i)),
      );
      assert.deepEqual([...one.errors, ...two.errors], []);
    });
  });
}
