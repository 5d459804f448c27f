import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BlobDriver } from './driver.ts';
import { openFsDriver } from './drivers/fs.ts';
import { Spool } from './spool.ts';

const MIB = 1024 * 1024;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('Spool', () => {
  let root: string;
  let driver: BlobDriver;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'entrepot-spool-'));
    driver = openFsDriver({ root, freeSpaceFloorBytes: 0 });
    await driver.start();
  });
  after(() => rm(root, { recursive: true, force: true }));

  const open = (options: { keeps?: boolean; driver?: BlobDriver } = {}) =>
    new Spool({ driver, memoryBytes: 1000, keeps: true, ...options });

  /** A driver whose files take so many bytes and then no more. */
  function fullAfter(bytes: number): BlobDriver {
    return {
      ...driver,
      spool: async () => {
        const file = await driver.spool();
        let written = 0;
        const { handle } = file;
        const writev = handle.writev.bind(handle);
        handle.writev = ((batch: Buffer[], position: number) => {
          written += batch.reduce((sum, { length }) => sum + length, 0);
          if (written > bytes) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
          return writev(batch, position);
        }) as typeof handle.writev;
        return file;
      },
    };
  }

  async function fill(spool: Spool, bytes: Buffer, step = 100_000): Promise<void> {
    for (let at = 0; at < bytes.length; at += step) await spool.write(bytes.subarray(at, at + step));
  }

  async function collect(spool: Spool, range?: { start: number; end: number }, pauseMs = 0): Promise<Buffer> {
    const chunks: Buffer[] = [];
    await spool.pump(range, async (chunk) => {
      chunks.push(Buffer.from(chunk));
      if (pauseMs > 0) await delay(pauseMs);
    });
    return Buffer.concat(chunks);
  }

  for (const size of [0, 1, 1000, 1001, 3 * MIB, 20 * MIB]) {
    it(`hands ${size} bytes to readers who come early, late, and for a part`, async () => {
      const bytes = randomBytes(size);
      const spool = open();
      const early = collect(spool);
      await fill(spool, bytes);
      const late = collect(spool);
      const part = size > 10 ? collect(spool, { start: 3, end: 9 }) : bytes.subarray(3, 10);
      spool.verified();
      assert.equal(sha256(await early), sha256(bytes));
      assert.equal(sha256(await late), sha256(bytes));
      assert.ok((await part).equals(bytes.subarray(3, 10)));
      const held = await spool.held();
      if (held.buffer) assert.ok(held.buffer.equals(bytes));
      else await held.stage.abort();
      await spool.drop();
    });
  }

  it('holds the last byte back, also of a part, until the bytes are verified, and for ever if they are wrong', async () => {
    const spool = open();
    const bytes = randomBytes(5000);
    let whole = 0;
    let part = 0;
    const reading = spool.pump(undefined, async ({ length }) => {
      whole += length;
    });
    const readingPart = spool.pump({ start: 10, end: 19 }, async ({ length }) => {
      part += length;
    });
    await fill(spool, bytes);
    await delay(50);
    assert.equal(whole, 4999);
    assert.equal(part, 9);
    spool.fail(new Error('wrong bytes'));
    await assert.rejects(reading, /wrong bytes/);
    await assert.rejects(readingPart, /wrong bytes/);
    assert.deepEqual([whole, part], [4999, 9]);
    await spool.drop();
    assert.deepEqual(await Array.fromAsync(driver.staged()), []);
  });

  it('does not wait for slow readers, nor for those who leave', async () => {
    const spool = open();
    const bytes = randomBytes(20 * MIB);
    const slow = collect(spool, undefined, 5);
    const leaving = spool.pump(undefined, async () => {
      throw new Error('gone');
    });
    leaving.catch(() => undefined);
    const startedAt = performance.now();
    await fill(spool, bytes);
    await spool.quiet();
    const filledMs = performance.now() - startedAt;
    spool.verified();
    assert.equal(sha256(await slow), sha256(bytes));
    const readMs = performance.now() - startedAt;
    assert.ok(filledMs < readMs, `${filledMs} of ${readMs} ms`);
    await assert.rejects(leaving, /gone/);
    await spool.drop();
  });

  it('passes bytes on when they cannot be kept, to who reads already', async () => {
    const spool = open({ driver: fullAfter(5 * MIB) });
    const bytes = randomBytes(40 * MIB);
    const readers = [collect(spool), collect(spool, undefined, 1)];
    await fill(spool, bytes);
    spool.verified();
    for (const reader of readers) assert.equal(sha256(await reader), sha256(bytes));
    assert.equal(spool.isKept, false);
    assert.equal(spool.isOpen, false);
    await assert.rejects(spool.held(), /no space left/);
    await assert.rejects(collect(spool), /not kept/);
    await spool.drop();
    assert.deepEqual(await Array.fromAsync(driver.staged()), []);
  });

  it('gives up what is not kept when nobody reads it any more', async () => {
    const spool = open({ keeps: false });
    const reading = spool.pump(undefined, async () => {
      throw new Error('gone');
    });
    reading.catch(() => undefined);
    await assert.rejects(fill(spool, randomBytes(20 * MIB)), /Nobody waits/);
    spool.fail(new Error('over'));
    await spool.drop();
  });

  it('begins again as long as nobody has read', async () => {
    const spool = open();
    const bytes = randomBytes(2 * MIB);
    await fill(spool, randomBytes(3 * MIB));
    await spool.quiet();
    spool.restart();
    await fill(spool, bytes);
    spool.verified();
    assert.equal(sha256(await collect(spool)), sha256(bytes));
    const held = await spool.held();
    if (!held.stage) throw new Error('it is in no file');
    const chunks = await Array.fromAsync((await held.stage.read()) as AsyncIterable<Buffer>);
    assert.equal(sha256(Buffer.concat(chunks)), sha256(bytes));
    await held.stage.abort();
    await spool.drop();
  });
});
