/** Reading bodies: documents whole and up to a limit, everything else in chunks as they come. */
import type { Readable } from 'node:stream';
import { Spell } from '../lib/spell.ts';
import { AppError } from './errors.ts';

/** Copied or hashed in well under a millisecond. */
const SLICE_BYTES = 256 * 1024;

/** The whole stream, or `too_large` as soon as it exceeds the limit; the rest is not read. */
export async function readAll(
  stream: Readable,
  options: { readonly limit: number; readonly what: string },
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunksOf(stream)) {
    size += chunk.length;
    if (size > options.limit) {
      throw new AppError('too_large', `The ${options.what} is larger than the limit of ${options.limit} bytes.`);
    }
    chunks.push(chunk);
  }
  return joinChunks(chunks, size);
}

/** The chunks behind one another; joining large documents at once would keep others waiting. */
export async function joinChunks(chunks: readonly Buffer[], size: number): Promise<Buffer> {
  if (size <= SLICE_BYTES) return Buffer.concat(chunks);
  const spell = new Spell();
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const chunk of chunks) {
    at += chunk.copy(bytes, at);
    if (spell.isOver) await spell.rest();
  }
  return bytes;
}

/** The bytes a little at a time, for what works on each chunk as it comes. */
export function* slicesOf(bytes: Buffer): Generator<Buffer, void, void> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) yield bytes.subarray(at, at + SLICE_BYTES);
}

/**
 * The chunks of a stream. Leaving the loop early destroys the stream, as one wants of files, but not a request: that
 * would cut the connection over which the refusal has to go.
 */
export function chunksOf(stream: Readable): AsyncIterable<Buffer> {
  return { [Symbol.asyncIterator]: () => stream.iterator({ destroyOnReturn: !isRequest(stream) }) };
}

/**
 * Hands each chunk to `take` as it came, while nothing waits for it: iterating would first join all that has arrived
 * into one buffer, and so copy it. Where `take` returns a promise the sender waits until it settles. Resolves with
 * undefined after the last chunk, or with the error by which the sender left; rejects with what `take` failed with.
 */
export function drain(
  stream: Readable,
  take: (chunk: Buffer) => Promise<void> | undefined,
  signal?: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    if (stream.readableEnded) {
      resolve(undefined);
      return;
    }
    if (signal?.aborted || stream.destroyed) {
      resolve(signal?.reason ?? stream.errored ?? new Error('the body was cut off'));
      return;
    }
    let taking: Promise<void> | undefined;
    let outcome: (() => void) | undefined;
    /** What happens last counts: chunks that are still being taken come first. */
    const settle = (how: () => void) => {
      if (outcome) return;
      outcome = how;
      stream.off('data', onData).off('end', onEnd).off('error', onLeft).off('close', onClose);
      // Without a listener an error that comes later would end the process.
      stream.on('error', () => undefined);
      signal?.removeEventListener('abort', onAbort);
      stream.pause();
      if (taking !== undefined) void taking.then(how, how);
      else how();
    };
    const onFailed = (error: unknown) => settle(() => reject(error));
    const onEnd = () => settle(() => resolve(undefined));
    const onLeft = (error: unknown) => settle(() => resolve(error));
    const onClose = () => onLeft(new Error('the body was cut off'));
    const onAbort = () => onLeft(signal?.reason);
    const onData = (chunk: Buffer) => {
      try {
        const wait = take(chunk);
        if (wait === undefined) return;
        stream.pause();
        taking = wait.then(
          () => {
            taking = undefined;
            if (!outcome) stream.resume();
          },
          (error: unknown) => {
            taking = undefined;
            // A sender that left meanwhile does not hide that its bytes could not be kept.
            if (outcome) reject(error);
            else onFailed(error);
          },
        );
      } catch (error) {
        onFailed(error);
      }
    };
    stream.on('end', onEnd).on('error', onLeft).on('close', onClose).on('data', onData);
    signal?.addEventListener('abort', onAbort);
    stream.resume();
  });
}

/** Whether the stream is a request, whose chunks are made for whoever reads it and for nobody else. */
export function isRequest(stream: Readable): boolean {
  return 'httpVersion' in stream;
}
