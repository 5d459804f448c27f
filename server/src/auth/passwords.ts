/** Hashes passwords with Argon2id, off the main thread, at a bounded rate. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { AppError } from '../core/errors.ts';

export interface HashParameters {
  /** KiB. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

export interface HashRequest extends HashParameters {
  readonly id: number;
  readonly message: Uint8Array;
  readonly nonce: Uint8Array;
  readonly tagLength: number;
}
export type HashAnswer =
  | { readonly id: number; readonly tag: Uint8Array; readonly error?: undefined }
  | { readonly id: number; readonly error: string };

/** More than this is never a password, and must not cost a hash. */
export const MAX_PASSWORD_BYTES = 1024;

/** One of the settings OWASP calls equal in strength; the other end of that range is 19,456 KiB in two passes. */
const DEFAULTS: HashParameters = { memory: 47_104, passes: 1, parallelism: 1 };
const SALT_BYTES = 16;
const TAG_BYTES = 32;
const MAX_WAITING = 64;
const MAX_WORKERS = 2;
/** A thread takes some 8 MB, and passwords are mostly asked for by people who then have a token. */
const IDLE_MS = 10_000;
/** A row that asks for more than this was not written by us, and would stop the server. */
const MAX_MEMORY = 1 << 20;
const MAX_PASSES = 64;
const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

interface Job {
  readonly request: HashRequest;
  readonly resolve: (tag: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

export interface PasswordsOptions {
  readonly parameters?: HashParameters;
  readonly workers?: number;
}

/** Hashes and checks passwords on worker threads that start when they are needed, end soon after, and do not keep the process alive. */
export class Passwords {
  readonly #parameters: HashParameters;
  readonly #size: number;
  readonly #waiting: Job[] = [];
  readonly #workers = new Map<Worker, Job | undefined>();
  readonly #resting = new Map<Worker, NodeJS.Timeout>();
  readonly #dummy: string;
  #lastId = 0;
  #stopped = false;

  constructor(options: PasswordsOptions = {}) {
    this.#parameters = options.parameters ?? DEFAULTS;
    this.#size = options.workers ?? Math.max(1, Math.min(MAX_WORKERS, availableParallelism() - 1));
    this.#dummy = render(this.#parameters, randomBytes(SALT_BYTES), randomBytes(TAG_BYTES));
  }

  /** The PHC string to keep for a password; refuses passwords over 1,024 bytes as `invalid`. */
  async hash(password: string): Promise<string> {
    const message = encode(password);
    if (!message) throw new AppError('invalid', `The password is longer than ${MAX_PASSWORD_BYTES} bytes.`);
    const nonce = randomBytes(SALT_BYTES);
    const tag = await this.#derive({ ...this.#parameters, message, nonce, tagLength: TAG_BYTES });
    return render(this.#parameters, nonce, tag);
  }

  /**
   * Whether the password is the one that was hashed. Without a hash it does the same work and says no, so that the
   * time tells nobody which accounts exist. Passwords over 1,024 bytes are wrong without any work.
   */
  async verify(hash: string | undefined, password: string): Promise<boolean> {
    const message = encode(password);
    if (!message) return false;
    const { parameters, nonce, tag } = parse(hash ?? this.#dummy);
    const derived = await this.#derive({ ...parameters, message, nonce, tagLength: tag.length });
    return timingSafeEqual(derived, tag) && hash !== undefined;
  }

  /** Whether the hash was made with other parameters than are in force. */
  needsRehash(hash: string): boolean {
    const { parameters } = parse(hash);
    const wanted = this.#parameters;
    return (
      parameters.memory !== wanted.memory ||
      parameters.passes !== wanted.passes ||
      parameters.parallelism !== wanted.parallelism
    );
  }

  /** Ends the threads; what waits fails as `unavailable`. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const running = [...this.#workers.values()].filter((job) => job !== undefined);
    for (const job of [...running, ...this.#waiting.splice(0)]) job.reject(stopping());
    const workers = [...this.#workers.keys()];
    this.#workers.clear();
    for (const timer of this.#resting.values()) clearTimeout(timer);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #derive(request: Omit<HashRequest, 'id'>): Promise<Uint8Array> {
    if (this.#stopped) return Promise.reject(stopping());
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(
        new AppError('rate_limited', 'Too many logins at once. Try again in a moment.', { retryAfterSeconds: 1 }),
      );
    }
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      this.#waiting.push({ request: { ...request, id: this.#lastId }, resolve, reject });
      this.#dispatch();
    });
  }

  #dispatch(): void {
    while (this.#waiting.length > 0) {
      const idle = [...this.#workers].find(([, job]) => job === undefined)?.[0] ?? this.#startWorker();
      const job = idle && this.#waiting.shift();
      if (!idle || !job) return;
      this.#workers.set(idle, job);
      clearTimeout(this.#resting.get(idle));
      // Held only while it works, so that a command waits for its hash and the server can end at any time.
      idle.ref();
      idle.postMessage(job.request);
    }
  }

  #startWorker(): Worker | undefined {
    if (this.#workers.size >= this.#size) return undefined;
    const worker = new Worker(new URL('./password-worker.ts', import.meta.url));
    this.#workers.set(worker, undefined);
    worker.on('message', (answer: HashAnswer) => {
      const job = this.#workers.get(worker);
      if (job?.request.id !== answer.id) return;
      this.#workers.set(worker, undefined);
      this.#rest(worker);
      if (answer.error === undefined) job.resolve(answer.tag);
      else job.reject(new Error(`A password could not be hashed: ${answer.error}.`));
      this.#dispatch();
    });
    const lose = (cause: unknown) => {
      const job = this.#workers.get(worker);
      if (!this.#workers.delete(worker)) return;
      clearTimeout(this.#resting.get(worker));
      this.#resting.delete(worker);
      job?.reject(
        new AppError('unavailable', 'The password could not be checked at the moment. Try again.', {}, { cause }),
      );
      this.#dispatch();
    };
    worker.on('error', lose);
    worker.on('exit', lose);
    return worker;
  }

  #rest(worker: Worker): void {
    worker.unref();
    const end = () => {
      this.#workers.delete(worker);
      this.#resting.delete(worker);
      void worker.terminate();
    };
    this.#resting.set(worker, setTimeout(end, IDLE_MS).unref());
  }
}

function stopping(): AppError {
  return new AppError('unavailable', 'The server is stopping. Try again in a moment.');
}

/** The same characters make the same bytes, however the client's keyboard composes them. */
function encode(password: string): Buffer | undefined {
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return undefined;
  return Buffer.from(password.normalize('NFC'));
}

function render(parameters: HashParameters, nonce: Uint8Array, tag: Uint8Array): string {
  const { memory, passes, parallelism } = parameters;
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(nonce)}$${base64(tag)}`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replaceAll('=', '');
}

function parse(hash: string) {
  const [, memory, passes, parallelism, nonce = '', tag = ''] = PHC.exec(hash) ?? [];
  const parameters = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  if (!(parameters.memory <= MAX_MEMORY && parameters.passes <= MAX_PASSES && parameters.parallelism >= 1)) {
    throw new Error('A stored password hash is not one this server makes.');
  }
  return { parameters, nonce: Buffer.from(nonce, 'base64'), tag: Buffer.from(tag, 'base64') };
}
