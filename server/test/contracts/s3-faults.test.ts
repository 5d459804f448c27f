/** What the S3 driver promises when the store or the way to it fails. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BlobDriver } from '../../src/blobs/driver.ts';
import { openS3Driver, type S3Options } from '../../src/blobs/drivers/s3.ts';
import { isAppError } from '../../src/core/errors.ts';
import { type FaultyS3, type S3Operation, startFaultyS3 } from '../support/faulty-s3.ts';
import { type S3Server, sharedS3 } from '../support/s3.ts';
import { collect, commit, digestOf, keysOf, patternOf, sha256Of, stagesOf, store, writeAll } from './blob-driver.ts';

const MIB = 1024 * 1024;
const PART = 5 * MIB;
const SMALL = patternOf(100_000, 1);
const LARGE = patternOf(3 * PART + 1000, 2);
/** Enough for a request on a busy machine, and little to wait for. */
const HASTY_MS = 1500;
const ABSENT = `blobs/00/${'0'.repeat(64)}.00000000`;
const isUnavailable = (error: unknown) => isAppError(error, 'unavailable') && error.detail['missing'] === undefined;

describe('S3 driver behind a failing network', () => {
  let server: S3Server;
  let proxy: FaultyS3;
  let bucket: string;
  let driver: BlobDriver;

  async function open(options: Partial<S3Options> = {}): Promise<BlobDriver> {
    const { region, accessKeyId, secretAccessKey } = server;
    const opened = openS3Driver({
      bucket,
      region,
      endpoint: proxy.endpoint,
      pathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      partSizeBytes: PART,
      ...options,
    });
    await opened.start();
    return opened;
  }

  before(async () => {
    server = await sharedS3();
    proxy = await startFaultyS3(server);
    bucket = await server.createBucket();
    driver = await open();
  });

  afterEach(async () => {
    proxy.heal();
    const left = [...(await keysOf(driver)), ...(await stagesOf(driver)).map((id) => `stage ${id}`)];
    for (const key of await keysOf(driver)) await driver.remove(key);
    for (const id of await stagesOf(driver)) await driver.removeStage(id);
    assert.deepEqual(left, [], 'the test left something behind');
  });

  after(async () => {
    await driver?.stop();
    await proxy?.stop();
  });

  it('hides it when one request in twenty is told to slow down', async () => {
    const fault = proxy.inject({ operation: 'any', share: 0.05, action: { kind: 'status', status: 503 } });
    const keys = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const bytes = i % 8 === 0 ? LARGE : SMALL;
        const key = await store(driver, bytes);
        assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
        return key;
      }),
    );
    await Promise.all(keys.map((key) => driver.remove(key)));
    assert.ok(fault.hits >= 5, `only ${fault.hits} requests failed`);
  });

  it('says unavailable when every request is told to slow down, after few attempts, and recovers', async () => {
    const key = await store(driver, SMALL);
    const stage = await driver.stage();
    await writeAll(stage, SMALL);
    proxy.inject({ operation: 'any', action: { kind: 'status', status: 503 } });
    const from = proxy.requests.length;
    const startedAt = performance.now();
    await Promise.all([
      assert.rejects(driver.open(key), isUnavailable),
      assert.rejects(driver.size(key), isUnavailable),
      assert.rejects(driver.remove(key), isUnavailable),
      assert.rejects(keysOf(driver), isUnavailable),
      assert.rejects(stage.sync(), isUnavailable),
    ]);
    assert.ok(performance.now() - startedAt < 35_000);
    assert.ok(proxy.requests.length - from <= 5 * 5, `${proxy.requests.length - from} requests were made`);
    proxy.heal();
    const committed = await commit(stage, SMALL);
    assert.equal(digestOf(await collect(await driver.open(committed))), digestOf(SMALL));
    await driver.remove(committed);
    await driver.remove(key);
  });

  it('gives up a store that does not answer when the budget is spent', async () => {
    const hasty = await open({ budgetMs: HASTY_MS });
    proxy.inject({ operation: 'any', action: { kind: 'silence' } });
    const startedAt = performance.now();
    await Promise.all([
      assert.rejects(hasty.open(ABSENT), isUnavailable),
      assert.rejects(hasty.size(ABSENT), isUnavailable),
      assert.rejects(keysOf(hasty), isUnavailable),
    ]);
    assert.ok(performance.now() - startedAt < 4 * HASTY_MS);
    await hasty.stop();
  });

  for (const operation of ['PutObject', 'UploadPart', 'CreateMultipartUpload', 'CompleteMultipartUpload'] as const) {
    for (const kind of ['reset', 'lose-reply'] as const) {
      it(`stores once when ${operation} meets ${kind} once`, async () => {
        const fault = proxy.inject({ operation, nth: 1, action: { kind } });
        const bytes = operation === 'PutObject' ? SMALL : LARGE;
        const key = await store(driver, bytes);
        assert.equal(fault.hits, 1);
        assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
        assert.deepEqual(await keysOf(driver), [key]);
        await driver.remove(key);
        // The upload whose id was lost on its way is found by whoever looks for abandoned stages.
        const orphans = await stagesOf(driver);
        assert.equal(orphans.length, operation === 'CreateMultipartUpload' && kind === 'lose-reply' ? 1 : 0);
        for (const id of orphans) await driver.removeStage(id);
      });
    }
  }

  for (const [operation, bytes] of [
    ['PutObject', SMALL],
    ['CompleteMultipartUpload', LARGE],
  ] as const) {
    it(`finds out that ${operation} was done when no answer ever comes`, async () => {
      proxy.inject({ operation, key: /^blobs/, action: { kind: 'lose-reply' } });
      const key = await store(driver, bytes);
      assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
      assert.deepEqual(await keysOf(driver), [key]);
      await driver.remove(key);
    });

    it(`says unavailable when ${operation} never arrives, and stores on the next try`, async () => {
      proxy.inject({ operation, key: /^blobs/, action: { kind: 'reset' } });
      const stage = await driver.stage();
      await writeAll(stage, bytes);
      await assert.rejects(commit(stage, bytes), isUnavailable);
      proxy.heal();
      assert.deepEqual(await keysOf(driver), []);
      const key = await commit(stage, bytes);
      assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
      await driver.remove(key);
    });
  }

  it('does not take an error for a success because its status is 200', async () => {
    const once = proxy.inject({
      operation: 'CompleteMultipartUpload',
      nth: 1,
      action: { kind: 'error-in-200' },
    });
    const key = await store(driver, LARGE);
    assert.equal(once.hits, 1);
    assert.equal(digestOf(await collect(await driver.open(key))), digestOf(LARGE));
    await driver.remove(key);
    proxy.heal();

    proxy.inject({ operation: 'CompleteMultipartUpload', action: { kind: 'error-in-200' } });
    const stage = await driver.stage();
    await writeAll(stage, LARGE);
    await assert.rejects(commit(stage, LARGE), isUnavailable);
    assert.deepEqual(await keysOf(driver), []);
    await stage.abort();
  });

  for (const [kind, afterBytes] of [
    ['truncate', 0],
    ['truncate', 1],
    ['truncate', 70_000],
    ['truncate', LARGE.length - 1],
    ['stall', 0],
    ['stall', 70_000],
  ] as const) {
    it(`never ends early without an error: ${kind} after ${afterBytes} bytes`, async () => {
      const hasty = await open({ budgetMs: HASTY_MS });
      const key = await store(driver, LARGE);
      proxy.inject({ operation: 'GetObject', action: { kind, afterBytes } });
      const whole = { start: 0, end: LARGE.length - 1 };
      let pumped = 0;
      const count = async (chunk: Buffer) => {
        pumped += chunk.length;
      };
      await Promise.all([
        assert.rejects(async () => collect(await hasty.open(key)), isUnavailable),
        assert.rejects(async () => collect(await hasty.open(key, whole)), isUnavailable),
        assert.rejects(hasty.pump(key, undefined, count), isUnavailable),
      ]);
      assert.ok(pumped < LARGE.length);
      proxy.heal();
      await hasty.stop();
      await driver.remove(key);
    });
  }

  it('does not take half a listing for a whole one', async () => {
    const key = await store(driver, SMALL);
    proxy.inject({ operation: 'ListObjects', action: { kind: 'truncate', afterBytes: 200 } });
    await assert.rejects(keysOf(driver), isUnavailable);
    proxy.heal();
    await driver.remove(key);
  });

  it('waits for a slow reader without taking the store for stalled', async () => {
    const hasty = await open({ budgetMs: HASTY_MS });
    const key = await store(driver, LARGE);
    const chunks: Buffer[] = [];
    let pauses = 0;
    await hasty.pump(key, undefined, async (chunk) => {
      chunks.push(Buffer.from(chunk));
      if (pauses++ === 3) await delay(2 * HASTY_MS);
    });
    assert.equal(digestOf(Buffer.concat(chunks)), digestOf(LARGE));
    await hasty.stop();
    await driver.remove(key);
  });

  it('reads and lists although each kind of request is cut off once', async () => {
    const key = await store(driver, SMALL);
    const operations: S3Operation[] = [
      'GetObject',
      'HeadObject',
      'ListObjects',
      'ListMultipartUploads',
      'DeleteObject',
    ];
    for (const operation of operations) proxy.inject({ operation, nth: 1, action: { kind: 'reset' } });
    assert.equal(digestOf(await collect(await driver.open(key))), digestOf(SMALL));
    assert.equal(await driver.size(key), SMALL.length);
    assert.deepEqual(await keysOf(driver), [key]);
    assert.deepEqual(await stagesOf(driver), []);
    await driver.remove(key);
    assert.equal(await driver.size(key), undefined);
  });

  it('keeps bytes put again from being hit by the late removal of the same bytes', async () => {
    for (const bytes of [SMALL, LARGE]) {
      const first = await store(driver, bytes);
      const fault = proxy.inject({ operation: 'DeleteObject', action: { kind: 'hold' } });
      await driver.remove(first);
      fault.remove();
      const second = await store(driver, bytes);
      assert.notEqual(first, second);
      assert.equal(await proxy.releaseHeld(), 1);
      assert.equal(await driver.size(first), undefined);
      assert.equal(digestOf(await collect(await driver.open(second))), digestOf(bytes));
      await driver.remove(second);
    }
  });

  for (const [status, what] of [
    [403, 'its rights were taken away'],
    [404, 'the bucket is gone'],
    [500, 'the store has an inner error'],
  ] as const) {
    it(`says unavailable, and not that bytes are missing, when ${what}`, async () => {
      const key = await store(driver, SMALL);
      const stage = await driver.stage();
      await writeAll(stage, SMALL);
      proxy.inject({ operation: 'any', action: { kind: 'status', status } });
      await Promise.all([
        assert.rejects(driver.open(key), isUnavailable),
        assert.rejects(driver.size(key), isUnavailable),
        assert.rejects(driver.remove(key), isUnavailable),
        assert.rejects(keysOf(driver), isUnavailable),
        assert.rejects(stagesOf(driver), isUnavailable),
        assert.rejects(driver.resume(stage.id), isUnavailable),
        assert.rejects(stage.sync(), isUnavailable),
        assert.rejects(open(), isUnavailable),
      ]);
      proxy.heal();
      await stage.abort();
      assert.equal(await driver.size(key), SMALL.length);
      await driver.remove(key);
    });
  }

  it('says that the quota is exceeded when the store is full', async () => {
    const isFull = (error: unknown) => isAppError(error, 'quota_exceeded');
    proxy.inject({ operation: ['PutObject', 'UploadPart'], action: { kind: 'status', status: 507 } });
    for (const bytes of [SMALL, LARGE]) {
      const stage = await driver.stage();
      await assert.rejects(async () => {
        await writeAll(stage, bytes);
        await commit(stage, bytes);
      }, isFull);
      await stage.abort();
    }
  });

  it('reports a part that cannot be stored before it acknowledges anything, and cleans up', async () => {
    proxy.inject({ operation: 'UploadPart', key: /^blobs/, action: { kind: 'reset' } });
    const stage = await driver.stage();
    await assert.rejects(async () => {
      await writeAll(stage, LARGE);
      await stage.sync();
    }, isUnavailable);
    await assert.rejects(stage.sync(), isUnavailable);
    await assert.rejects(commit(stage, LARGE), isUnavailable);
    assert.equal(await driver.resume(stage.id), undefined);
    proxy.heal();
    await stage.abort();
  });

  it('continues from the last acknowledged byte after any request of a later one failed', async () => {
    for (const operation of ['UploadPart', 'PutObject', 'CreateMultipartUpload'] as const) {
      const stage = await driver.stage();
      await writeAll(stage, LARGE.subarray(0, 3 * MIB));
      await stage.sync();
      proxy.inject({ operation, action: { kind: 'status', status: 500 } });
      await assert.rejects(async () => {
        await writeAll(stage, LARGE.subarray(3 * MIB));
        await stage.sync();
      }, isUnavailable);
      await stage.close();
      proxy.heal();
      const again = await driver.resume(stage.id);
      assert.equal(again?.size, 3 * MIB);
      await writeAll(again, LARGE.subarray(3 * MIB));
      const key = await commit(again, LARGE);
      assert.equal(digestOf(await collect(await driver.open(key))), digestOf(LARGE));
      await driver.remove(key);
    }
  });

  it('holds no more in memory than the parts in flight and one', async () => {
    const narrow = await open({ concurrency: 2 });
    proxy.inject({ operation: 'UploadPart', action: { kind: 'delay', ms: 3000 } });
    const stage = await narrow.stage();
    const writing = writeAll(stage, patternOf(8 * PART, 3));
    while (stage.size < 3 * PART) await delay(5);
    await delay(200);
    assert.ok(stage.size <= 3 * PART + 60_000, `${stage.size} bytes were taken`);
    proxy.heal();
    await writing;
    await stage.abort();
    await narrow.stop();
  });

  it('leaves a note of what to remove when the end of a large object stays unknown', async () => {
    const stage = await driver.stage();
    await writeAll(stage, LARGE);
    proxy.inject({ operation: 'CompleteMultipartUpload', action: { kind: 'lose-reply' } });
    proxy.inject({ operation: 'HeadObject', action: { kind: 'reset' } });
    const announced: string[] = [];
    const work = stage.commit(sha256Of(LARGE), async (key) => {
      announced.push(key);
    });
    await assert.rejects(work, isUnavailable);
    proxy.heal();
    assert.deepEqual(await keysOf(driver), announced);
    // The same stage can be committed again: it finds that all is done.
    assert.equal(await commit(stage, LARGE), announced[0]);
    await driver.remove(announced[0]!);
  });
});
