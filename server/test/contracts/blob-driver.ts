/** What every blob driver promises. A driver's test is its constructor and one call. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { after, afterEach, before, describe, it } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import type { BlobDriver, Stage } from '../../src/blobs/driver.ts';
import { isAppError } from '../../src/core/errors.ts';
import type { Sha256 } from '../../src/core/ids.ts';

/** An empty medium on which drivers are opened, several at once as nodes or one after another as restarts. */
export interface DriverHome {
  open(): Promise<BlobDriver>;
  close(): Promise<void>;
}

export interface DriverContract {
  readonly name: string;
  createHome(): Promise<DriverHome>;
  /** A key of the driver's form that names nothing. */
  readonly absentKey: string;
  readonly skips?: readonly { readonly test: string; readonly reason: string }[];
}

const MIB = 1024 * 1024;
const SIZES = [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 20 * MIB];

export function testBlobDriver(contract: DriverContract): void {
  const skips = new Map(contract.skips?.map(({ test, reason }) => [test, reason]));
  const test = (name: string, run: (driver: BlobDriver) => Promise<void>) =>
    it(name, { skip: skips.get(name) ?? false }, () => run(driver));
  let home: DriverHome;
  let driver: BlobDriver;

  describe(`blob driver ${contract.name}`, () => {
    before(async () => {
      home = await contract.createHome();
      driver = await home.open();
    });

    afterEach(async () => {
      const left = [...(await keysOf(driver)), ...(await stagesOf(driver)).map((id) => `stage ${id}`)];
      for (const key of await keysOf(driver)) await driver.remove(key);
      for (const id of await stagesOf(driver)) await driver.removeStage(id);
      assert.deepEqual(left, [], 'the test left something behind');
    });

    after(async () => {
      await driver?.stop();
      await home?.close();
    });

    for (const size of SIZES) {
      test(`gives back ${size} bytes as they came`, async (driver) => {
        const bytes = patternOf(size, size);
        const key = await store(driver, bytes);
        assert.equal(await driver.size(key), size);
        assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
        assert.equal(await pumpDigest(driver, key), digestOf(bytes));
        assert.deepEqual(
          (await Array.fromAsync(driver.list())).map((object) => ({ key: object.key, size: object.size })),
          [{ key, size }],
        );
        await driver.remove(key);
      });
    }

    test('has files that are read while they are written and become objects', async (driver) => {
      const bytes = patternOf(12 * MIB, 5);
      const file = await driver.spool();
      await file.handle.writev([bytes.subarray(0, 5 * MIB), bytes.subarray(5 * MIB)], 0);
      const early = Buffer.alloc(1000);
      await file.handle.read(early, 0, 1000, 5 * MIB);
      assert.equal(digestOf(early), digestOf(bytes.subarray(5 * MIB, 5 * MIB + 1000)));
      const key = await commit(await file.toStage(bytes.length), bytes);
      assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
      // Who still reads goes on, whatever the file is called by now.
      await file.remove();
      await file.handle.read(early, 0, 1000, 0);
      assert.equal(digestOf(early), digestOf(bytes.subarray(0, 1000)));
      await file.handle.close();
      await driver.remove(key);
    });

    test('keeps nothing of a file that is removed', async (driver) => {
      const file = await driver.spool();
      await file.handle.writev([patternOf(MIB, 1)], 0);
      await file.remove();
      await file.handle.close();
      assert.deepEqual(await stagesOf(driver), []);
    });

    test('takes chunks of any size, empty ones too', async (driver) => {
      const bytes = patternOf(6 * MIB, 3);
      const stage = await driver.stage();
      for (let at = 0, step = 0; at < bytes.length; step = (step * 7 + 1) % 200_000) {
        await stage.write(bytes.subarray(at, at + step));
        at += step;
      }
      assert.equal(stage.size, bytes.length);
      const key = await commit(stage, bytes);
      assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
      await driver.remove(key);
    });

    test('gives ranges: first, last, middle, whole', async (driver) => {
      const bytes = patternOf(6 * MIB + 5, 4);
      const key = await store(driver, bytes);
      const last = bytes.length - 1;
      for (const [start, end] of [
        [0, 0],
        [last, last],
        [0, 99],
        [MIB - 3, MIB + 700_000],
        [5 * MIB - 1, 5 * MIB],
        [last - 10, last],
        [0, last],
      ] as const) {
        const expected = digestOf(bytes.subarray(start, end + 1));
        assert.equal(digestOf(await collect(await driver.open(key, { start, end }))), expected, `open ${start}-${end}`);
        assert.equal(await pumpDigest(driver, key, { start, end }), expected, `pump ${start}-${end}`);
      }
      await driver.remove(key);
    });

    test('pumps one chunk at a time and keeps it unchanged while a slow writer holds it', async (driver) => {
      const bytes = patternOf(5 * MIB, 5);
      const key = await store(driver, bytes);
      const hash = createHash('sha256');
      let writing = 0;
      await driver.pump(key, undefined, async (chunk) => {
        writing += 1;
        assert.equal(writing, 1, 'a chunk came before the last one was taken');
        const before = digestOf(chunk);
        for (let turns = 0; turns < 5; turns++) await tick();
        assert.equal(digestOf(chunk), before, 'the chunk changed while it was held');
        hash.update(chunk);
        writing -= 1;
      });
      assert.equal(hash.digest('hex'), digestOf(bytes));
      await driver.remove(key);
    });

    test('stops pumping when the writer fails, with its error', async (driver) => {
      const key = await store(driver, patternOf(20 * MIB, 6));
      let calls = 0;
      const leaving = new Error('the client left');
      await assert.rejects(
        driver.pump(key, undefined, async () => {
          calls += 1;
          throw leaving;
        }),
        (error) => error === leaving,
      );
      await tick();
      assert.equal(calls, 1);
      await driver.remove(key);
    });

    test('lets a reader leave in the middle', async (driver) => {
      const key = await store(driver, patternOf(20 * MIB, 7));
      const stream = await driver.open(key);
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        assert.ok(chunk.length > 0);
        break;
      }
      assert.equal(stream.destroyed, true);
      await driver.remove(key);
    });

    for (const size of [100, 6 * MIB, 20 * MIB]) {
      test(`continues a synced stage of ${size} bytes after it was closed`, async (driver) => {
        const bytes = patternOf(size + 1000, 8);
        const first = await driver.stage();
        await writeAll(first, bytes.subarray(0, size));
        await first.sync();
        await first.close();
        const second = await driver.resume(first.id);
        assert.equal(second?.size, size);
        await writeAll(second, bytes.subarray(size));
        const key = await commit(second, bytes);
        assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
        await driver.remove(key);
      });

      test(`finds exactly the ${size} synced bytes after a restart`, async (driver) => {
        const bytes = patternOf(size * 2, 9);
        const lost = await home.open();
        const before = await lost.stage();
        await writeAll(before, bytes.subarray(0, size));
        await before.sync();
        const next = await home.open();
        try {
          const after = await next.resume(before.id);
          assert.equal(after?.size, size);
          await writeAll(after, bytes.subarray(size));
          await after.sync();
          assert.equal(digestOf(await collect(await after.read())), digestOf(bytes));
          const key = await commit(after, bytes);
          assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
          await driver.remove(key);
        } finally {
          await before.close();
          await lost.stop();
          await next.stop();
        }
      });
    }

    test('keeps what was synced when more was written and lost', async (driver) => {
      const bytes = patternOf(20 * MIB, 10);
      const lost = await home.open();
      const before = await lost.stage();
      await writeAll(before, bytes.subarray(0, 3 * MIB));
      await before.sync();
      await writeAll(before, bytes.subarray(3 * MIB));
      await before.close();
      await lost.stop();
      const after = await driver.resume(before.id);
      assert.ok(after && after.size >= 3 * MIB);
      await after.truncate(3 * MIB);
      await writeAll(after, bytes.subarray(3 * MIB));
      const key = await commit(after, bytes);
      assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
      await driver.remove(key);
    });

    test('finds an empty stage that was synced', async (driver) => {
      const stage = await driver.stage();
      await stage.sync();
      await stage.close();
      const again = await driver.resume(stage.id);
      assert.equal(again?.size, 0);
      await again.abort();
    });

    test('knows no stage of a made-up name', async (driver) => {
      for (const id of ['00000000-0000-4000-8000-000000000000', '../objects', '', 'a/b']) {
        assert.equal(await driver.resume(id), undefined);
        await driver.removeStage(id);
      }
    });

    for (const [written, size] of [
      [1000, 400],
      [1000, 0],
      [20 * MIB, 0],
      [20 * MIB, 20 * MIB - 5],
      [20 * MIB, 8 * MIB],
      [20 * MIB, 17 * MIB + 3],
      [20 * MIB, 100],
      [5 * MIB, 5 * MIB],
    ] as const) {
      test(`cuts a stage of ${written} bytes to ${size} and goes on`, async (driver) => {
        const dropped = patternOf(written, 11);
        const more = patternOf(9 * MIB, 12);
        const expected = Buffer.concat([dropped.subarray(0, size), more]);
        const stage = await driver.stage();
        await writeAll(stage, dropped);
        await stage.sync();
        await stage.truncate(size);
        assert.equal(stage.size, size);
        await writeAll(stage, more);
        await stage.sync();
        await stage.close();
        const again = await driver.resume(stage.id);
        assert.equal(again?.size, expected.length);
        const key = await commit(again, expected);
        assert.equal(digestOf(await collect(await driver.open(key))), digestOf(expected));
        await driver.remove(key);
      });
    }

    test('refuses to cut a stage to more than it holds', async (driver) => {
      const stage = await driver.stage();
      await stage.write(Buffer.from('abc'));
      await assert.rejects(stage.truncate(4), (error) => isAppError(error, 'unavailable'));
      await stage.abort();
    });

    for (const size of [0, 100, 6 * MIB, 20 * MIB]) {
      test(`reads back a synced stage of ${size} bytes, writes on and commits`, async (driver) => {
        const bytes = patternOf(size + 77, 13);
        const stage = await driver.stage();
        await writeAll(stage, bytes.subarray(0, size));
        await stage.sync();
        assert.equal(digestOf(await collect(await stage.read())), digestOf(bytes.subarray(0, size)));
        assert.equal(digestOf(await collect(await stage.read())), digestOf(bytes.subarray(0, size)));
        await stage.write(bytes.subarray(size));
        const key = await commit(stage, bytes);
        assert.equal(digestOf(await collect(await driver.open(key))), digestOf(bytes));
        await driver.remove(key);
      });

      test(`leaves nothing of an aborted stage of ${size} bytes, synced and read or not`, async (driver) => {
        for (const effort of ['written', 'synced', 'read'] as const) {
          const stage = await driver.stage();
          await writeAll(stage, patternOf(size, 14));
          if (effort !== 'written') await stage.sync();
          if (effort === 'read') await collect(await stage.read());
          await stage.abort();
          await stage.abort();
          assert.equal(await driver.resume(stage.id), undefined);
          assert.deepEqual(await stagesOf(driver), []);
          assert.deepEqual(await keysOf(driver), []);
        }
      });
    }

    test('lists a stage that is under way and removes it by its name', async (driver) => {
      for (const size of [100, 20 * MIB]) {
        for (const isRead of [false, true]) {
          const stage = await driver.stage();
          await writeAll(stage, patternOf(size, 15));
          await stage.sync();
          if (isRead) await collect(await stage.read());
          await stage.close();
          const found = await Array.fromAsync(driver.staged());
          assert.deepEqual(
            found.map(({ id }) => id),
            [stage.id],
          );
          assert.ok(Math.abs(found[0]!.modifiedAt.getTime() - Date.now()) < 60_000);
          await driver.removeStage(stage.id);
          await driver.removeStage(stage.id);
          assert.equal(await driver.resume(stage.id), undefined);
          assert.deepEqual(await keysOf(driver), []);
        }
      }
    });

    test('has no stage left after a commit', async (driver) => {
      for (const size of [100, 20 * MIB]) {
        const stage = await driver.stage();
        const bytes = patternOf(size, 16);
        await writeAll(stage, bytes);
        await stage.sync();
        const key = await commit(stage, bytes);
        assert.deepEqual(await stagesOf(driver), []);
        assert.equal(await driver.resume(stage.id), undefined);
        await stage.abort();
        assert.equal(await driver.size(key), size);
        await driver.remove(key);
      }
    });

    test('announces the key before an object of that key exists', async (driver) => {
      for (const size of [0, 100, 20 * MIB]) {
        const bytes = patternOf(size, 17);
        const stage = await driver.stage();
        await writeAll(stage, bytes);
        const announced: string[] = [];
        const key = await stage.commit(sha256Of(bytes), async (key) => {
          assert.equal(await driver.size(key), undefined);
          announced.push(key);
        });
        assert.deepEqual(announced, [key]);
        await driver.remove(key);
      }
    });

    test('makes no object when the announcement fails', async (driver) => {
      for (const size of [100, 20 * MIB]) {
        const bytes = patternOf(size, 18);
        const stage = await driver.stage();
        await writeAll(stage, bytes);
        const refused = new Error('no note could be made');
        await assert.rejects(
          stage.commit(sha256Of(bytes), async () => {
            throw refused;
          }),
          (error) => error === refused,
        );
        assert.deepEqual(await keysOf(driver), []);
        await stage.abort();
      }
    });

    test('gives equal bytes two keys, of which one survives the other', async (driver) => {
      for (const size of [10, 6 * MIB, 20 * MIB]) {
        const bytes = patternOf(size, 19);
        const one = await store(driver, bytes);
        const two = await store(driver, bytes);
        assert.notEqual(one, two);
        await driver.remove(one);
        assert.equal(await driver.size(one), undefined);
        assert.equal(digestOf(await collect(await driver.open(two))), digestOf(bytes));
        await driver.remove(two);
      }
    });

    test('removes twice without complaint', async (driver) => {
      const key = await store(driver, Buffer.from('x'));
      await driver.remove(key);
      await driver.remove(key);
      await driver.remove(contract.absentKey);
      assert.equal(await driver.size(key), undefined);
    });

    test('says unavailable, and that bytes are missing, when asked for an object that is not there', async (driver) => {
      const isMissing = (error: unknown) => isAppError(error, 'unavailable') && error.detail['missing'] === true;
      await assert.rejects(driver.open(contract.absentKey), isMissing);
      await assert.rejects(driver.open(contract.absentKey, { start: 1, end: 2 }), isMissing);
      await assert.rejects(
        driver.pump(contract.absentKey, undefined, async () => undefined),
        isMissing,
      );
      assert.equal(await driver.size(contract.absentKey), undefined);
    });

    test('refuses keys that are not its own', async (driver) => {
      for (const key of ['', '../secret', 'staging/x', '/etc/passwd', `${contract.absentKey}/../x`]) {
        await assert.rejects((async () => driver.open(key))());
        await assert.rejects((async () => driver.remove(key))());
      }
    });

    test('takes eight stages at once and keeps them apart', async (driver) => {
      const all = Array.from({ length: 8 }, (_, i) => patternOf(i % 2 === 0 ? 3 * MIB + i : 11 * MIB + i, 20 + i));
      const keys = await Promise.all(all.map((bytes) => store(driver, bytes)));
      assert.equal(new Set(keys).size, 8);
      for (const [i, key] of keys.entries()) {
        assert.equal(digestOf(await collect(await driver.open(key))), digestOf(all[i]!));
      }
      assert.deepEqual((await keysOf(driver)).sort(), [...keys].sort());
      for (const key of keys) await driver.remove(key);
    });

    test('signs an address that gives the bytes under the name of the file', async (driver) => {
      if (!driver.sign) return;
      const bytes = patternOf(1000, 30);
      const key = await store(driver, bytes);
      const url = await driver.sign(key, { expiresInMs: 60_000, fileName: 'naïve "name".bin' });
      const reply = await fetch(url);
      assert.equal(reply.status, 200);
      assert.equal(digestOf(Buffer.from(await reply.arrayBuffer())), digestOf(bytes));
      const disposition = reply.headers.get('content-disposition') ?? '';
      assert.match(
        disposition,
        /^attachment; filename="na_ve _name_\.bin"; filename\*=UTF-8''na%C3%AFve%20%22name%22\.bin$/,
      );
      await driver.remove(key);
    });
  });
}

/** Bytes that repeat nowhere, the same for the same seed. */
export function patternOf(size: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  const hash = createHash('shake256', { outputLength: Math.max(1, Math.min(size, 65_521)) });
  const block = hash.update(String(seed)).digest();
  for (let at = 0, round = 0; at < size; at += block.length, round++) {
    block.copy(bytes, at);
    if (at + 4 <= size) bytes.writeUInt32LE(round, at);
  }
  return bytes;
}

export function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function sha256Of(bytes: Buffer): Sha256 {
  return digestOf(bytes) as Sha256;
}

export async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function writeAll(stage: Stage, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += 60_000) await stage.write(bytes.subarray(at, at + 60_000));
}

export async function commit(stage: Stage, bytes: Buffer): Promise<string> {
  return stage.commit(sha256Of(bytes), async () => undefined);
}

/** Stages and commits the bytes and returns their key. */
export async function store(driver: BlobDriver, bytes: Buffer): Promise<string> {
  const stage = await driver.stage();
  await writeAll(stage, bytes);
  return commit(stage, bytes);
}

export async function keysOf(driver: BlobDriver): Promise<string[]> {
  return (await Array.fromAsync(driver.list())).map((object) => object.key);
}

export async function stagesOf(driver: BlobDriver): Promise<string[]> {
  return (await Array.fromAsync(driver.staged())).map((stage) => stage.id);
}

async function pumpDigest(
  driver: BlobDriver,
  key: string,
  range?: { readonly start: number; readonly end: number },
): Promise<string> {
  const hash = createHash('sha256');
  await driver.pump(key, range, async (chunk) => {
    hash.update(chunk);
  });
  return hash.digest('hex');
}
