import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { drain } from './bodies.ts';

describe('drain', () => {
  it('hands over every chunk as it came, one at a time', async () => {
    const taken: string[] = [];
    let busy = false;
    const cut = await drain(Readable.from([Buffer.from('a'), Buffer.from('b'), Buffer.from('c')]), (chunk) => {
      assert.equal(busy, false);
      taken.push(chunk.toString());
      if (taken.length === 3) return undefined;
      busy = true;
      return new Promise((resolve) =>
        setTimeout(() => {
          busy = false;
          resolve();
        }, 5),
      );
    });
    assert.equal(cut, undefined);
    assert.deepEqual(taken, ['a', 'b', 'c']);
  });

  it('does not join chunks that wait', async () => {
    const stream = new PassThrough({ highWaterMark: 1024 });
    stream.write('1');
    stream.write('2');
    stream.end('3');
    const taken: string[] = [];
    await drain(stream, (chunk) => {
      taken.push(chunk.toString());
      return undefined;
    });
    assert.deepEqual(taken, ['1', '2', '3']);
  });

  it('tells with what error the sender left, after what was taken', async () => {
    const stream = new PassThrough();
    stream.write('a');
    let done = false;
    const drained = drain(stream, async () => {
      stream.destroy(new Error('gone'));
      await new Promise((resolve) => setTimeout(resolve, 10));
      done = true;
    });
    assert.match(String(await drained), /gone/);
    assert.equal(done, true);
  });

  it('rejects with what the taker failed with, at once or later, even if the sender left meanwhile', async () => {
    const failing = Readable.from([Buffer.from('a')]);
    await assert.rejects(
      drain(failing, () => {
        throw new Error('full');
      }),
      /full/,
    );
    const stream = new PassThrough();
    stream.write('a');
    await assert.rejects(
      drain(stream, async () => {
        stream.destroy(new Error('gone'));
        await new Promise((resolve) => setTimeout(resolve, 5));
        throw new Error('full');
      }),
      /full/,
    );
  });

  it('stops when told to, and at once where it was told before', async () => {
    const stop = new AbortController();
    const stream = new PassThrough();
    stream.write('a');
    const drained = drain(stream, () => undefined, stop.signal);
    setTimeout(() => stop.abort(new Error('enough')), 5);
    assert.match(String(await drained), /enough/);
    assert.match(String(await drain(new PassThrough(), () => undefined, stop.signal)), /enough/);
  });

  it('ends for a stream that was read before, and for one that was cut before', async () => {
    const read = Readable.from([]);
    await read.toArray();
    assert.equal(await drain(read, () => undefined), undefined);
    const cut = new PassThrough();
    cut.destroy();
    assert.ok((await drain(cut, () => undefined)) instanceof Error);
  });
});
