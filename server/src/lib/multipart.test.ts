import assert from 'node:assert/strict';
import type { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { type FormFile, FormProblem, readForm } from './multipart.ts';

const TYPE = 'multipart/form-data; boundary=mark';
const LIMITS = { maxParts: 50, maxFieldBytes: 10_000 };
const field = (name: string, value: string) =>
  `--mark\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const fileHead = (name: string) =>
  `--mark\r\nContent-Disposition: form-data; name="content"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
const END = '\r\n--mark--\r\n';

/** Takes the chunks one after the other, as a body gives them. */
function drainOf(chunks: AsyncIterable<Buffer> | Iterable<Buffer>, left?: Error) {
  return async (take: (chunk: Buffer) => Promise<void> | undefined) => {
    for await (const chunk of chunks) await take(chunk);
    return left;
  };
}

const bytesOf = async (stream: Readable) => Buffer.concat(await Array.fromAsync(stream));
const drop = async ({ bytes }: FormFile) => void (await bytesOf(bytes));

function read(body: string | Buffer, onFile: (file: FormFile) => Promise<void> = drop, type = TYPE) {
  return readForm(type, { limits: LIMITS, drain: drainOf([Buffer.from(body)]), onFile });
}

describe('forms', () => {
  test('are read with fields before and behind a file', async () => {
    let content: Buffer | undefined;
    const body = `${field('a', '1')}${field('a', 'ü')}${fileHead('x.whl')}bytes\r\n${field('late', 'yes')}--mark--\r\n`;
    const fields = await readForm(TYPE, {
      limits: LIMITS,
      drain: drainOf([...body].map((char) => Buffer.from(char))),
      async onFile({ field: name, filename, bytes }, before) {
        assert.deepEqual([name, filename, before.all('a')], ['content', 'x.whl', ['1', 'ü']]);
        content = await bytesOf(bytes);
      },
    });
    assert.deepEqual([String(content), fields.get('late')], ['bytes', 'yes']);
  });

  test('keep the names of files as they were written', async () => {
    const names: string[] = [];
    for (const name of ['../x', 'a/b', 'C:\\x']) {
      await read(`${fileHead(name)}x${END}`, async (file) => {
        names.push(file.filename);
        await drop(file);
      });
    }
    assert.deepEqual(names, ['../x', 'a/b', 'C:\\x']);
  });

  test('are refused when they are damaged, or none', async () => {
    for (const body of ['', 'what', field('a', '1'), `${fileHead('x')}cut`, `${fileHead('x')}`]) {
      await assert.rejects(read(body), FormProblem, body);
    }
    for (const type of ['', 'text/plain', 'multipart/form-data', `multipart/form-data; boundary=${'x'.repeat(300)}`]) {
      await assert.rejects(read(END, drop, type), FormProblem, type);
    }
  });

  test('are refused when they are too large', async () => {
    const tooLarge = (error: unknown) => error instanceof FormProblem && error.tooLarge;
    await assert.rejects(read(`${field('a', 'x'.repeat(20_000))}--mark--\r\n`), tooLarge);
    await assert.rejects(read(`${field('a', 'x'.repeat(4_000)).repeat(4)}--mark--\r\n`), tooLarge);
    await assert.rejects(read(`${field('a', '').repeat(100)}--mark--\r\n`), tooLarge);
  });

  test('wait for a slow reader of a file, and hold little of it', async () => {
    const chunk = Buffer.alloc(64 * 1024, 1);
    const total = 400;
    let given = 0;
    let taken = 0;
    let most = 0;
    async function* body() {
      yield Buffer.from(fileHead('large.whl'));
      for (; given < total; given += 1) {
        most = Math.max(most, given * chunk.length - taken);
        yield chunk;
      }
      yield Buffer.from(END);
    }
    await readForm(TYPE, {
      limits: LIMITS,
      drain: drainOf(body()),
      async onFile({ bytes }) {
        for await (const part of bytes as AsyncIterable<Buffer>) {
          taken += part.length;
          // Slower than the form comes.
          await new Promise(setImmediate);
          await new Promise(setImmediate);
        }
      },
    });
    assert.equal(taken, total * chunk.length);
    assert.ok(most <= 8 * chunk.length, `${most} bytes were held`);
  });

  test('stand still while nobody reads a file', async () => {
    let given = 0;
    const go = Promise.withResolvers<void>();
    async function* body() {
      yield Buffer.from(fileHead('x'));
      for (; given < 200; given += 1) yield Buffer.alloc(64 * 1024);
      yield Buffer.from(END);
    }
    const reading = readForm(TYPE, {
      limits: LIMITS,
      drain: drainOf(body()),
      async onFile(file) {
        await go.promise;
        await drop(file);
      },
    });
    for (let i = 0; i < 500; i++) await new Promise(setImmediate);
    assert.ok(given < 10, `${given} chunks were taken`);
    go.resolve();
    await reading;
    assert.equal(given, 200);
  });

  test('end with what went wrong, and with the file given up', async () => {
    const left = new Error('the client left');
    let seen: unknown;
    const onFile = async (file: FormFile) => {
      await drop(file).catch((error: unknown) => {
        seen = error;
        throw error;
      });
    };
    const drain = drainOf([Buffer.from(`${fileHead('x')}part`)], left);
    await assert.rejects(readForm(TYPE, { limits: LIMITS, drain, onFile }), left);
    assert.ok(seen instanceof Error);
    const full = new Error('the disk is full');
    const refusing = () => Promise.reject(full);
    await assert.rejects(read(`${fileHead('x')}${'y'.repeat(1_000_000)}${END}`, refusing), full);
  });
});
