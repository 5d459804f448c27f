/** Searches on SQLite: threads with connections of their own that only read, started by the first search. */
import { Worker } from 'node:worker_threads';
import type { SearchableRepository } from '../../core/read-rule.ts';
import type { Alternative, CompiledSearch, Statement } from '../search/compile.ts';
import { type Batch, batchSize, type SearchReader } from '../search/reader.ts';

const THREADS = 2;

export type SearchRequest =
  | {
      readonly type: 'open';
      readonly id: number;
      readonly alternatives: readonly Alternative[];
      readonly ordered: Statement | undefined;
      readonly lookups: readonly { readonly parent: number; readonly statement: Statement }[];
      readonly repositories: readonly Pick<SearchableRepository, 'id' | 'rule'>[];
      /** Set to 1 when nobody wants the rest. */
      readonly stop: SharedArrayBuffer;
    }
  | { readonly type: 'next'; readonly id: number; readonly size: number }
  | { readonly type: 'close'; readonly id: number };

export type SearchAnswer =
  | { readonly id: number; readonly batch: Batch }
  | { readonly id: number; readonly error: string; readonly errcode: number | undefined };

export class SqliteSearches implements SearchReader {
  readonly #file: string;
  readonly #threads: Thread[] = [];
  #closed = false;

  constructor(file: string) {
    this.#file = file;
  }

  async *run(search: CompiledSearch, signal: AbortSignal): AsyncGenerator<Batch> {
    signal.throwIfAborted();
    if (this.#closed) throw new Error('the database is closed');
    const thread = this.#leastBusy();
    const handle = thread.open(search);
    const abort = () => handle.stop();
    signal.addEventListener('abort', abort, { once: true });
    const givenUp = aborted(signal);
    try {
      for (let n = 0; ; n++) {
        const size = batchSize(n);
        const batch = await Promise.race([handle.next(size), givenUp]);
        signal.throwIfAborted();
        if (batch.rows.length > 0) yield batch;
        if (batch.rows.length < size) return;
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
      handle.stop();
      handle.close();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }

  #leastBusy(): Thread {
    const live = this.#threads.filter((thread) => !thread.ended);
    const idle = live.find((thread) => thread.load === 0);
    if (idle) return idle;
    if (live.length < THREADS) {
      const thread = new Thread(this.#file);
      this.#threads.push(thread);
      return thread;
    }
    return live.reduce((least, each) => (each.load < least.load ? each : least));
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  return promise;
}

interface Handle {
  next(size: number): Promise<Batch>;
  stop(): void;
  close(): void;
}

class Thread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(batch: Batch): void; reject(error: Error): void }>();
  #ids = 0;
  #open = 0;
  ended = false;

  constructor(file: string) {
    this.#worker = new Worker(new URL('./sqlite-search-worker.ts', import.meta.url), { workerData: { file } });
    this.#worker.on('message', (answer: SearchAnswer) => this.#settle(answer));
    const fail = (error: Error) => {
      this.ended = true;
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    };
    this.#worker.on('error', fail);
    this.#worker.on('exit', () => fail(new Error('the thread for searches ended')));
    this.#worker.unref();
  }

  /** Searches that are open here. */
  get load(): number {
    return this.#open;
  }

  open(search: CompiledSearch): Handle {
    const id = ++this.#ids;
    const stop = new SharedArrayBuffer(4);
    const flag = new Int32Array(stop);
    this.#open += 1;
    this.#post({
      type: 'open',
      id,
      alternatives: search.alternatives,
      ordered: search.ordered,
      lookups: search.lookups.map(({ parent, statement }) => ({ parent, statement })),
      repositories: search.repositories.map(({ id, rule }) => ({ id, rule })),
      stop,
    });
    return {
      next: (size) => {
        const { promise, resolve, reject } = Promise.withResolvers<Batch>();
        // Nobody may be left to wait for it when the search is given up.
        promise.catch(() => undefined);
        this.#waiting.set(id, { resolve, reject });
        this.#post({ type: 'next', id, size });
        return promise;
      },
      stop: () => Atomics.store(flag, 0, 1),
      close: () => {
        this.#open -= 1;
        this.#waiting.delete(id);
        this.#post({ type: 'close', id });
      },
    };
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #post(request: SearchRequest): void {
    this.#worker.postMessage(request);
  }

  #settle(answer: SearchAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('batch' in answer) waiting?.resolve(answer.batch);
    else waiting?.reject(Object.assign(new Error(answer.error), { errcode: answer.errcode }));
  }
}
