/** Has bytes read by a thread of its own, since nobody else should wait for it; what it finds comes a little at a time. */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Spell } from './spell.ts';

/** The bytes are not what they should be; the message is a sentence. */
export class ThreadProblem extends Error {}

export interface ThreadOptions<Input, Part> {
  /** The script, which calls `readHere`. */
  readonly script: URL;
  readonly input: Input;
  readonly maxMs: number;
  readonly maxMemoryMb: number;
  take(part: Part): void;
}

interface Given {
  readonly bytes: SharedArrayBuffer;
  readonly input: unknown;
}

type Message = { readonly part: unknown } | { readonly problem: string } | { readonly done: true };

/** Resolves when all of it was read. Throws a ThreadProblem where the script found one, or needed too much. */
export async function readInThread<Input, Part>(bytes: Buffer, options: ThreadOptions<Input, Part>): Promise<void> {
  const given: Given = { bytes: await shared(bytes), input: options.input };
  const worker = new Worker(options.script, {
    workerData: given,
    resourceLimits: { maxOldGenerationSizeMb: options.maxMemoryMb },
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new ThreadProblem('It took too long to read.')), options.maxMs);
  worker.on('message', (message: Message) => {
    if ('part' in message) options.take(message.part as Part);
    else if ('problem' in message) reject(new ThreadProblem(message.problem));
    else resolve();
  });
  worker.on('error', (error: NodeJS.ErrnoException) => {
    const isTooLarge = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    reject(isTooLarge ? new ThreadProblem('It needs more memory to be read than it may have.') : error);
  });
  worker.on('exit', () => reject(new Error('a thread that reads a document ended early')));
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

/** So much is copied in a millisecond or two. */
const COPIED_BYTES = 4 * 1024 * 1024;

/** A copy for the thread, since the bytes are still needed here: handed over whole, it would be made at once. */
async function shared(bytes: Buffer): Promise<SharedArrayBuffer> {
  const spell = new Spell();
  const copy = new SharedArrayBuffer(bytes.length);
  const target = Buffer.from(copy);
  for (let at = 0; at < bytes.length; at += COPIED_BYTES) {
    bytes.copy(target, at, at, at + COPIED_BYTES);
    if (spell.isOver) await spell.rest();
  }
  return copy;
}

/**
 * In the script of a thread: reads what it was given. `hand` gives on what was found so far, best some hundred KB at a
 * time; `problemOf` says of an error what is wrong with the bytes, or nothing, where it is a mistake of ours.
 */
export function readHere<Input, Part>(
  read: (given: { readonly bytes: Buffer; readonly input: Input }, hand: (part: Part) => void) => void,
  problemOf: (error: unknown) => string | undefined,
): void {
  if (isMainThread || !parentPort) throw new Error('this is the script of a thread');
  const port = parentPort;
  const post = (message: Message) => port.postMessage(message);
  const { bytes, input } = workerData as Given;
  try {
    read({ bytes: Buffer.from(bytes), input: input as Input }, (part) => post({ part }));
    post({ done: true });
  } catch (error) {
    const problem = problemOf(error);
    if (problem === undefined) throw error;
    post({ problem });
  }
}
