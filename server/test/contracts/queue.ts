/** What the job queue, its workers and its schedules promise on every database. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Database } from '../../src/db/database.ts';
import { claimJob, countJobs, extendLease, finishJob } from '../../src/db/jobs.ts';
import type { JobContext, JobDefinition, JobLog, Schedule } from '../../src/jobs/job.ts';
import { LeaseLost } from '../../src/jobs/lease.ts';
import { Queue } from '../../src/jobs/queue.ts';
import { Scheduler } from '../../src/jobs/scheduler.ts';
import { Worker, type WorkerOptions } from '../../src/jobs/worker.ts';
import type { TestDatabase } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';

const SILENT: JobLog = { debug: () => undefined, warn: () => undefined, error: () => undefined };

type Work = (payload: number, context: JobContext) => Promise<void>;

function define(name: string, run: Work, settings: Partial<JobDefinition<number>> = {}): JobDefinition<number> {
  return { name, payload: z.number(), maxAttempts: 3, leaseMs: 10_000, run, ...settings };
}

export interface QueueSubject {
  create(): Promise<TestDatabase>;
  /** False where the database has one writer, so that no transaction can see another half way. */
  readonly severalWriters: boolean;
}

export function queueContract({ create, severalWriters }: QueueSubject): void {
  let home: TestDatabase;
  let database: Database;
  let workers: { stop(options: { drainMs: number }): Promise<void> }[];

  beforeEach(async () => {
    home = await create();
    database = await home.open();
    workers = [];
  });
  afterEach(async () => {
    for (const worker of workers) await worker.stop({ drainMs: 0 });
    await home.close();
  });

  function startWorker(queue: Queue, options: Partial<WorkerOptions> & { readonly on?: Database } = {}): Worker {
    const { on = database, ...rest } = options;
    const settings = { concurrency: 1, pollMs: 20, backOffMs: () => 0, ...rest };
    const worker = new Worker({ database: on, queue, log: SILENT }, settings);
    workers.push(worker);
    worker.start();
    return worker;
  }

  async function enqueue(queue: Queue, job: JobDefinition<number>, ...payloads: number[]): Promise<void> {
    await database.transaction(async (tx) => {
      for (const payload of payloads) await queue.enqueue(tx, job, payload);
    });
  }

  function rows() {
    return database.kysely.selectFrom('job').selectAll().orderBy('id').execute();
  }

  async function claim(queue: Queue) {
    return await database.transaction((tx) => claimJob(tx, queue.leases()));
  }

  test('eight workers run 600 jobs exactly once each', { timeout: 120_000 }, async () => {
    const runs = new Map<number, number>();
    const job = define('count', async (payload) => {
      runs.set(payload, (runs.get(payload) ?? 0) + 1);
      if (payload % 7 === 0) await delay(1);
    });
    const queue = new Queue([job]);
    for (let i = 0; i < 8; i++) startWorker(queue);
    for (let start = 0; start < 600; start += 50) {
      await enqueue(queue, job, ...Array.from({ length: 50 }, (_, i) => start + i));
    }
    await eventually(async () => assert.deepEqual(await rows(), []), 60_000);
    assert.equal(runs.size, 600);
    assert.deepEqual([...new Set(runs.values())], [1]);
  });

  test('a transaction that fails leaves no job', async () => {
    const job = define('never', async () => assert.fail('this job must not exist'));
    const queue = new Queue([job]);
    startWorker(queue);
    await assert.rejects(
      database.transaction(async (tx) => {
        await queue.enqueue(tx, job, 1);
        throw new Error('no');
      }),
    );
    await delay(60);
    assert.deepEqual(await rows(), []);
  });

  test('a commit wakes the workers of its process at once', async () => {
    const ran = Promise.withResolvers<void>();
    const job = define('soon', async () => ran.resolve());
    const queue = new Queue([job]);
    startWorker(queue, { pollMs: 600_000 });
    await delay(30);
    const before = performance.now();
    await enqueue(queue, job, 1);
    await ran.promise;
    assert.ok(performance.now() - before < 5000);
  });

  test('a job of another process is found by looking', async () => {
    const ran = Promise.withResolvers<void>();
    const job = define('elsewhere', async () => ran.resolve());
    startWorker(new Queue([job]));
    await enqueue(new Queue([job]), job, 1);
    await ran.promise;
  });

  test('a job whose worker is gone is run again when its lease has run out, not before', async () => {
    const ran = Promise.withResolvers<JobContext>();
    const job = define('orphan', async (_payload, context) => ran.resolve(context), { leaseMs: 1000 });
    const queue = new Queue([job]);
    await enqueue(queue, job, 1);
    const crashed = await claim(queue);
    assert.equal(crashed?.attempts, 1);
    assert.equal(await claim(queue), undefined);
    startWorker(queue);
    const context = await ran.promise;
    assert.ok(context.fence > (crashed?.fence ?? 0));
    await eventually(async () => assert.deepEqual(await rows(), []));
  });

  test('a claim that is not the last one can neither finish nor go on', async () => {
    const job = define('fenced', async () => undefined, { leaseMs: 20 });
    const queue = new Queue([job]);
    await enqueue(queue, job, 1);
    const first = await claim(queue);
    await delay(60);
    const second = await claim(queue);
    assert.ok(first && second && second.fence === first.fence + 1);
    await database.transaction(async (tx) => {
      assert.equal(await finishJob(tx, first), false);
      assert.equal(await extendLease(tx, first, 1000), false);
      assert.equal(await extendLease(tx, second, 1000), true);
    });
    assert.equal((await rows()).length, 1);
    assert.equal(await database.transaction((tx) => finishJob(tx, second)), true);
    assert.deepEqual(await rows(), []);
  });

  test('a job that outlives its lease is told, and its effects are refused', async () => {
    const outcome = Promise.withResolvers<unknown[]>();
    let runs = 0;
    const job = define(
      'slow',
      async (_payload, { signal, heartbeat, requireLease }) => {
        runs += 1;
        if (runs > 1) return;
        await eventually(() => assert.ok(signal.aborted));
        await eventually(() => assert.equal(runs, 2));
        const effect = database.transaction((tx) => requireLease(tx));
        outcome.resolve([signal.reason, await heartbeat().catch(String), await effect.catch(String)]);
        throw signal.reason;
      },
      { leaseMs: 100 },
    );
    const queue = new Queue([job]);
    startWorker(queue, { concurrency: 2 });
    await enqueue(queue, job, 1);
    const [reason, beat, effect] = await outcome.promise;
    assert.ok(reason instanceof LeaseLost);
    assert.match(`${beat} ${effect}`, /LeaseLost.*LeaseLost/);
    await eventually(async () => assert.deepEqual(await rows(), []));
    assert.equal(runs, 2);
  });

  test('a sign of life keeps the job', async () => {
    let runs = 0;
    const job = define(
      'long',
      async (_payload, { heartbeat, requireLease }) => {
        runs += 1;
        for (let i = 0; i < 10; i++) {
          await delay(100);
          await heartbeat();
        }
        await database.transaction((tx) => requireLease(tx));
      },
      { leaseMs: 700 },
    );
    const queue = new Queue([job]);
    startWorker(queue, { concurrency: 2 });
    await enqueue(queue, job, 1);
    await eventually(async () => assert.deepEqual(await rows(), []));
    assert.equal(runs, 1);
  });

  test('a job that fails is tried again with growing delays and is dead after its last attempt', async () => {
    const attempts: number[] = [];
    let calls = 0;
    const job = define('doomed', async () => {
      calls += 1;
      throw new Error(`failure ${calls}`);
    });
    const queue = new Queue([job]);
    startWorker(queue, {
      backOffMs: (attempt) => {
        attempts.push(attempt);
        return attempt * 30;
      },
    });
    await enqueue(queue, job, 1);
    await eventually(async () => {
      const counts = await countJobs(database.kysely);
      assert.deepEqual(
        counts.map(({ name, state, count }) => [name, state, count]),
        [['doomed', 'dead', 1]],
      );
    });
    assert.equal(calls, 3);
    assert.deepEqual(attempts, [1, 2]);
    const [row] = await rows();
    assert.equal(row?.last_error, 'failure 3');
    assert.equal(row?.lease_until, null);
    await delay(60);
    assert.equal(calls, 3);
  });

  test('a job that takes its worker down each time is dead after its last attempt', async () => {
    const job = define('killer', async () => assert.fail('this attempt is one too many'), { leaseMs: 10 });
    const queue = new Queue([job]);
    await enqueue(queue, job, 1);
    for (let i = 0; i < job.maxAttempts; i++) {
      await eventually(async () => assert.ok(await claim(queue)));
    }
    startWorker(queue);
    await eventually(async () => assert.equal((await rows())[0]?.state, 'dead'));
    assert.match((await rows())[0]?.last_error ?? '', /worker was lost/);
  });

  test('two waiting jobs with the same key are one; the earlier time and the higher priority hold', async () => {
    const job = define('index', async () => undefined, { dedupe: String });
    const queue = new Queue([job]);
    const later = new Date(Date.now() + 3_600_000);
    await database.transaction((tx) => queue.enqueue(tx, job, 1, { runAt: later, priority: 1 }));
    await database.transaction((tx) => queue.enqueue(tx, job, 1, { priority: 5 }));
    await database.transaction((tx) => queue.enqueue(tx, job, 1, { runAt: later }));
    await enqueue(queue, job, 2);
    const [one, two, ...others] = await rows();
    assert.deepEqual([one?.payload, two?.payload, others], ['1', '2', []]);
    assert.equal(one?.priority, 5);
    assert.ok((one?.run_at ?? 0) < later.getTime());
  });

  test('a job enqueued while its twin runs is run afterwards', async () => {
    const release = Promise.withResolvers<void>();
    let runs = 0;
    const job = define(
      'index',
      async () => {
        runs += 1;
        if (runs === 1) await release.promise;
      },
      { dedupe: String },
    );
    const queue = new Queue([job]);
    startWorker(queue);
    await enqueue(queue, job, 1);
    await eventually(() => assert.equal(runs, 1));
    await enqueue(queue, job, 1, 1);
    assert.deepEqual(
      (await rows()).map((row) => row.state),
      ['running', 'waiting'],
    );
    release.resolve();
    await eventually(async () => assert.deepEqual(await rows(), []));
    assert.equal(runs, 2);
  });

  test('a job that fails while its twin waits leaves its attempts to the twin', async () => {
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const job = define(
      'index',
      async () => {
        entered.resolve();
        await release.promise;
        throw new Error('no');
      },
      { dedupe: String },
    );
    const queue = new Queue([job]);
    startWorker(queue, { backOffMs: () => 3_600_000 });
    await enqueue(queue, job, 1);
    await entered.promise;
    await enqueue(queue, job, 1);
    release.resolve();
    await eventually(async () => assert.equal((await rows()).length, 1));
    const [twin] = await rows();
    assert.deepEqual([twin?.state, twin?.attempts, twin?.last_error], ['waiting', 1, 'no']);
    assert.ok((twin?.run_at ?? 0) > Date.now() + 60_000);
  });

  test('urgent jobs go first, then the oldest, and none before its time', async () => {
    const order: number[] = [];
    const job = define('ordered', async (payload) => void order.push(payload));
    const queue = new Queue([job]);
    await database.transaction(async (tx) => {
      await queue.enqueue(tx, job, 1);
      await queue.enqueue(tx, job, 2, { priority: -1 });
      await queue.enqueue(tx, job, 3, { priority: 10 });
      await queue.enqueue(tx, job, 4);
      await queue.enqueue(tx, job, 5, { runAt: new Date(Date.now() + 3_600_000), priority: 99 });
    });
    startWorker(queue);
    await eventually(() => assert.deepEqual(order, [3, 1, 4, 2]));
    assert.deepEqual(
      (await rows()).map((row) => row.payload),
      ['5'],
    );
  });

  test('jobs of a kind this process does not know are left to those who do', async () => {
    const known = define('known', async () => undefined);
    const foreign = define('foreign', async () => undefined);
    await enqueue(new Queue([known, foreign]), foreign, 1);
    startWorker(new Queue([known]));
    await delay(80);
    assert.deepEqual(
      (await rows()).map((row) => [row.name, row.state, row.attempts]),
      [['foreign', 'waiting', 0]],
    );
  });

  test('definitions that clash, unknown jobs and payloads of the wrong form are refused', async () => {
    const job = define('twice', async () => undefined);
    assert.throws(() => new Queue([job, define('twice', async () => undefined)]), /two jobs named "twice"/);
    const queue = new Queue([]);
    await assert.rejects(enqueue(queue, job, 1), /not among the definitions/);
    await assert.rejects(enqueue(new Queue([job]), job, 'one' as unknown as number));
    const deps = { database, queue, log: SILENT };
    const schedule: Schedule<number> = { name: 's', everyMs: 1000, job, payload: 1 };
    assert.throws(() => new Scheduler(deps, [schedule], { pollMs: 20 }), /not among the definitions/);
    const both = { ...deps, queue: new Queue([job]) };
    assert.throws(() => new Scheduler(both, [schedule, schedule], { pollMs: 20 }), /two schedules named "s"/);
  });

  test('stopping waits for the running job', async () => {
    const entered = Promise.withResolvers<void>();
    let done = false;
    const job = define('steady', async () => {
      entered.resolve();
      await delay(100);
      done = true;
    });
    const queue = new Queue([job]);
    const worker = startWorker(queue);
    await enqueue(queue, job, 1, 2);
    await entered.promise;
    await worker.stop({ drainMs: 10_000 });
    assert.ok(done);
    assert.deepEqual(
      (await rows()).map((row) => [row.payload, row.state]),
      [['2', 'waiting']],
    );
  });

  test('a job that is not done when the time to stop is over is interrupted and goes back as it was', async () => {
    for (const heeds of [true, false]) {
      const entered = Promise.withResolvers<void>();
      const release = Promise.withResolvers<void>();
      const job = define('endless', async (_payload, { signal }) => {
        entered.resolve();
        if (heeds) await delay(60_000, undefined, { signal });
        else await release.promise;
      });
      const queue = new Queue([job]);
      const worker = startWorker(queue);
      await enqueue(queue, job, 1);
      await entered.promise;
      await worker.stop({ drainMs: 20 });
      const [row] = await rows();
      assert.deepEqual([row?.state, row?.attempts, row?.lease_until], ['waiting', 0, null]);
      release.resolve();
      await delay(50);
      // What the deaf job does in the end does not count.
      assert.equal((await rows())[0]?.state, 'waiting');
      await database.kysely.deleteFrom('job').execute();
    }
  });

  test('a schedule enqueues its job again and again, and never a second one while one waits', async () => {
    const job = define('sweep', async () => undefined);
    const queue = new Queue([job]);
    const schedule: Schedule<number> = { name: 'sweep', everyMs: 30, job, payload: 1 };
    const scheduler = new Scheduler({ database, queue, log: SILENT }, [schedule], { pollMs: 10 });
    await scheduler.start();
    await eventually(async () => assert.equal((await rows()).length, 1));
    await delay(150);
    assert.equal((await rows()).length, 1);
    await database.kysely.deleteFrom('job').execute();
    await eventually(async () => assert.equal((await rows()).length, 1));
    await scheduler.stop();
  });

  test('of several processes one enqueues what is due', async () => {
    const job = define('daily', async () => undefined);
    const other = home.name === 'sqlite' ? database : await home.open();
    let enqueued = 0;
    const schedulers = [database, other, database, other].map((on) => {
      const queue = new Queue([job]);
      queue.onEnqueued(() => {
        enqueued += 1;
      });
      const schedule: Schedule<number> = { name: 'daily', everyMs: 3_600_000, job, payload: 1 };
      return new Scheduler({ database: on, queue, log: SILENT }, [schedule], { pollMs: 10 });
    });
    await Promise.all(schedulers.map((scheduler) => scheduler.start()));
    enqueued = 0;
    await database.kysely.updateTable('schedule').set({ next_at: 0 }).execute();
    await eventually(() => assert.equal(enqueued, 1));
    await delay(60);
    assert.equal(enqueued, 1);
    const [schedule] = await database.kysely.selectFrom('schedule').selectAll().execute();
    assert.ok((schedule?.next_at ?? 0) > Date.now() + 3_000_000);
    for (const scheduler of schedulers) await scheduler.stop();
  });

  test('rows of schedules that are no more are removed, and a shorter period holds from the next start', async () => {
    const job = define('sweep', async () => undefined);
    const queue = new Queue([job]);
    const start = async (...schedules: Schedule<number>[]) => {
      const scheduler = new Scheduler({ database, queue, log: SILENT }, schedules, { pollMs: 600_000 });
      await scheduler.start();
      await scheduler.stop();
      const found = await database.kysely.selectFrom('schedule').selectAll().orderBy('name').execute();
      return found.map((row) => ({ name: row.name, every: row.every_ms, in: row.next_at - Date.now() }));
    };
    const a: Schedule<number> = { name: 'a', everyMs: 86_400_000, job, payload: 1 };
    const [first, second] = await start(a, { ...a, name: 'b' });
    assert.deepEqual([first?.name, second?.name], ['a', 'b']);
    assert.ok((first?.in ?? 0) <= 61_000);
    await database.kysely
      .updateTable('schedule')
      .set({ next_at: Date.now() + 86_400_000 })
      .execute();
    const after = await start({ ...a, everyMs: 60_000 });
    assert.deepEqual(
      after.map(({ name, every }) => [name, every]),
      [['a', 60_000]],
    );
    assert.ok((after[0]?.in ?? 0) <= 61_000);
  });

  if (!severalWriters) return;

  test('a waiting job that an open transaction counts on is not taken before that has ended', async () => {
    const job = define('index', async () => undefined, { dedupe: String });
    const queue = new Queue([job]);
    await enqueue(queue, job, 1);
    const asked = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const open = database.transaction(async (tx) => {
      await queue.enqueue(tx, job, 1);
      asked.resolve();
      await release.promise;
    });
    await asked.promise;
    const tooEarly = await claim(queue);
    release.resolve();
    await open;
    assert.equal(tooEarly, undefined);
    assert.ok(await claim(queue));
    assert.equal((await rows()).length, 1);
  });

  test('a job that is asked for while it is being taken is run once more', async () => {
    const job = define('index', async () => undefined, { dedupe: String });
    const queue = new Queue([job]);
    await enqueue(queue, job, 1);
    const taken = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const taking = database.transaction(async (tx) => {
      await claimJob(tx, queue.leases());
      taken.resolve();
      await release.promise;
    });
    await taken.promise;
    const asking = enqueue(queue, job, 1);
    await delay(50);
    release.resolve();
    await Promise.all([taking, asking]);
    assert.deepEqual(
      (await rows()).map((row) => row.state),
      ['running', 'waiting'],
    );
  });
}
