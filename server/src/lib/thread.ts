/**
 * Has bytes read by a thread of its own, since nobody else should wait for it and what it leaves behind goes with it; what
 * it finds comes a little at a time. Threads that have read are kept for the next for some seconds.
 */
import { constants, setPriority } from 'node:os';
import { isMainThread, parentPort, type Transferable, Worker } from 'node:worker_threads';
import { Spell } from './spell.ts';

/** The bytes are not what they should be; the message is a sentence. */
export class ThreadProblem extends Error {}

export interface ThreadOptions<Input, Part> {
  /** The script, which calls `readHere`. */
  readonly script: URL;
  readonly input: Input;
  readonly maxMs: number;
  /** The same for all that the script is to read. */
  readonly maxMemoryMb: number;
  take(part: Part): void;
}

interface Given {
  readonly bytes: ArrayBuffer;
  readonly input: unknown;
}

type Message = { readonly part: unknown } | { readonly problem: string } | { readonly done: true };

/** So many of one script at once; who comes then waits. */
const MAX_THREADS = 2;
/** As long as somebody fills a cache there is always a next one. */
const IDLE_MS = 3000;
/** What is read lives shortly: more room for it would only be more memory. */
const YOUNG_MB = 12;

/** By their script. */
const pools = new Map<string, Threads>();

/** Resolves when all of it was read. Throws a ThreadProblem where the script found one, or needed too much. */
export async function readInThread<Input, Part>(bytes: Buffer, options: ThreadOptions<Input, Part>): Promise<void> {
  const { script, maxMemoryMb } = options;
  let threads = pools.get(script.href);
  if (!threads) {
    threads = new Threads(script, maxMemoryMb);
    pools.set(script.href, threads);
  }
  await threads.read(bytes, options as ThreadOptions<unknown, unknown>);
}

/** Those of one script. */
class Threads {
  readonly #script: URL;
  readonly #maxMemoryMb: number;
  readonly #idle: Thread[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(script: URL, maxMemoryMb: number) {
    this.#script = script;
    this.#maxMemoryMb = maxMemoryMb;
  }

  async read(bytes: Buffer, options: ThreadOptions<unknown, unknown>): Promise<void> {
    if (this.#busy < MAX_THREADS) this.#busy += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const copy = await copyOf(bytes);
      // The last that was used, so that the others can go.
      const thread = this.#idle.pop() ?? new Thread(this.#script, this.#maxMemoryMb);
      try {
        await thread.read({ bytes: copy, input: options.input }, options);
      } finally {
        if (thread.isAlive) this.#keep(thread);
      }
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#busy -= 1;
    }
  }

  #keep(thread: Thread): void {
    this.#idle.push(thread);
    thread.rest(IDLE_MS, () => {
      const at = this.#idle.indexOf(thread);
      if (at >= 0) this.#idle.splice(at, 1);
    });
  }
}

interface Reading {
  readonly take: (part: unknown) => void;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

class Thread {
  readonly #worker: Worker;
  #reading: Reading | undefined;
  #resting: NodeJS.Timeout | undefined;
  #gone: (() => void) | undefined;
  #isAlive = true;

  constructor(script: URL, maxMemoryMb: number) {
    this.#worker = new Worker(script, {
      resourceLimits: { maxOldGenerationSizeMb: maxMemoryMb, maxYoungGenerationSizeMb: YOUNG_MB },
    });
    this.#worker.on('message', (message: Message) => this.#hear(message));
    this.#worker.on('error', (error: NodeJS.ErrnoException) => {
      const isTooLarge = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      this.#end(isTooLarge ? new ThreadProblem('It needs more memory to be read than it may have.') : error);
    });
    this.#worker.on('exit', () => this.#end(new Error('a thread that reads a document ended early')));
  }

  /** Whether it can read more. */
  get isAlive(): boolean {
    return this.#isAlive;
  }

  async read(given: Given, { maxMs, take }: Pick<ThreadOptions<unknown, unknown>, 'maxMs' | 'take'>): Promise<void> {
    clearTimeout(this.#resting);
    this.#gone = undefined;
    this.#worker.ref();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#reading = { take, resolve, reject };
    const timer = setTimeout(() => this.#end(new ThreadProblem('It took too long to read.')), maxMs);
    this.#worker.postMessage(given, [given.bytes]);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#reading = undefined;
    }
  }

  /** Waits for something to read without keeping the process, and ends when nothing comes; `gone` is told of its end. */
  rest(ms: number, gone: () => void): void {
    this.#gone = gone;
    this.#worker.unref();
    this.#resting = setTimeout(() => this.#end(new Error('nobody needed it')), ms).unref();
  }

  #hear(message: Message): void {
    const reading = this.#reading;
    if (!reading) return;
    if ('done' in message) reading.resolve();
    else if ('problem' in message) reading.reject(new ThreadProblem(message.problem));
    else {
      try {
        reading.take(message.part);
      } catch (error) {
        // What would come of it further is of no use.
        this.#end(error as Error);
      }
    }
  }

  #end(error: Error): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    clearTimeout(this.#resting);
    this.#reading?.reject(error);
    this.#gone?.();
    void this.#worker.terminate();
  }
}

/** So much is copied in a millisecond or two. */
const COPIED_BYTES = 4 * 1024 * 1024;

/** A copy to be handed over, since the bytes are still needed here: made whole, it would keep others waiting. */
async function copyOf(bytes: Buffer): Promise<ArrayBuffer> {
  const spell = new Spell();
  const copy = new ArrayBuffer(bytes.length);
  const target = Buffer.from(copy);
  for (let at = 0; at < bytes.length; at += COPIED_BYTES) {
    bytes.copy(target, at, at, at + COPIED_BYTES);
    if (spell.isOver) await spell.rest();
  }
  return copy;
}

/**
 * In the script of a thread: reads what it is given. `hand` gives on what was found so far, best some hundred KB at a
 * time, and with it what need not be copied; `problemOf` says of an error what is wrong with the bytes, or nothing, where
 * it is a mistake of ours.
 */
export function readHere<Input, Part>(
  read: (
    given: { readonly bytes: Buffer; readonly input: Input },
    hand: (part: Part, moved?: readonly Transferable[]) => void,
  ) => void,
  problemOf: (error: unknown) => string | undefined,
): void {
  if (isMainThread || !parentPort) throw new Error('this is the script of a thread');
  const port = parentPort;
  yieldToOthers();
  const post = (message: Message, moved: readonly Transferable[] = []) => port.postMessage(message, [...moved]);
  port.on('message', ({ bytes, input }: Given) => {
    try {
      read({ bytes: Buffer.from(bytes), input: input as Input }, (part, moved) => post({ part }, moved));
      post({ done: true });
    } catch (error) {
      const problem = problemOf(error);
      if (problem === undefined) throw error;
      post({ problem });
    } finally {
      // Given back at once: what is collected some time is too much by then.
      bytes.transfer(0);
    }
  });
}

/** On few cores, what others wait for comes before a document of which nobody knows how long it takes. */
function yieldToOthers(): void {
  // Elsewhere this would be said of the whole process.
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It reads as well where the system does not let it step back.
  }
}
