import { type ChildProcess, fork } from 'node:child_process';
import type { FromLoader, Go, Job, JobResult, ToLoader } from './protocol.ts';

const loaderFile = new URL('./loader.ts', import.meta.url).pathname;
const prepareLimitMs = 120_000;
const runLimitMs = 600_000;

export type Timing = {
  /** Runs after all clients are ready and before the first byte. */
  readonly before?: () => void;
  /** Runs as soon as the last operation is done. */
  readonly after?: () => void;
};

type Part = { readonly child: ChildProcess; readonly id: number; readonly jobIndex: number };

/** The child processes that play the clients. */
export class LoadPool {
  readonly #children: readonly ChildProcess[];
  #lastId = 0;
  readonly #waiting = new Map<number, { resolve: (message: FromLoader) => void; reject: (error: Error) => void }>();

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children;
    for (const child of children) {
      child.on('message', (message: FromLoader) => this.#receive(message));
      child.on('exit', (code) => this.#failAll(new Error(`A loader ended with code ${code}`)));
    }
  }

  static start(count: number): LoadPool {
    const options = { serialization: 'advanced' as const, execArgv: [] };
    return new LoadPool(Array.from({ length: count }, () => fork(loaderFile, [], options)));
  }

  /** Runs jobs at the same time, each spread over the loaders, and resolves with one result per job. */
  async run(jobs: readonly Job[], timing: Timing = {}): Promise<JobResult[]> {
    const parts: Part[] = [];
    const ready: Promise<FromLoader>[] = [];
    for (const [jobIndex, job] of jobs.entries()) {
      for (const share of spread(job.clients, this.#children)) {
        const id = ++this.#lastId;
        parts.push({ child: share.child, id, jobIndex });
        ready.push(this.#answer(id, prepareLimitMs));
        send(share.child, { type: 'prepare', id, job: { ...job, clients: share.clients }, firstClient: share.first });
      }
    }
    await Promise.all(ready);
    timing.before?.();
    const done = parts.map((part) => this.#answer(part.id, runLimitMs));
    for (const part of parts) send(part.child, { type: 'go', id: part.id });
    const answers = await Promise.all(done);
    timing.after?.();
    return jobs.map((_, jobIndex) => {
      const results = answers.filter((_, index) => parts[index]?.jobIndex === jobIndex).map(requireResult);
      return mergeResults(results);
    });
  }

  stop(): void {
    for (const child of this.#children) {
      child.removeAllListeners('exit');
      child.kill();
    }
  }

  #answer(id: number, limitMs: number): Promise<FromLoader> {
    const { promise, resolve, reject } = Promise.withResolvers<FromLoader>();
    const timer = setTimeout(() => reject(new Error(`The clients were not done after ${limitMs} ms`)), limitMs);
    this.#waiting.set(id, { resolve, reject });
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(id);
    });
  }

  #receive(message: FromLoader): void {
    const waiting = this.#waiting.get(message.id);
    if (message.type === 'failed') waiting?.reject(new Error(message.message));
    else waiting?.resolve(message);
  }

  #failAll(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
  }
}

function send(child: ChildProcess, message: ToLoader | Go): void {
  child.send(message);
}

function spread(clients: number, children: readonly ChildProcess[]) {
  const shares: { child: ChildProcess; clients: number; first: number }[] = [];
  let first = 0;
  for (const [index, child] of children.entries()) {
    const share = Math.floor((clients * (index + 1)) / children.length) - first;
    if (share > 0) shares.push({ child, clients: share, first });
    first += share;
  }
  return shares;
}

function requireResult(message: FromLoader): JobResult {
  if (message.type !== 'done') throw new Error(`A loader answered "${message.type}" in place of a result`);
  return message.result;
}

function mergeResults(results: readonly JobResult[]): JobResult {
  return {
    operations: sum(results.map((result) => result.operations)),
    bytes: sum(results.map((result) => result.bytes)),
    startedAt: Math.min(...results.map((result) => result.startedAt)),
    endedAt: Math.max(...results.map((result) => result.endedAt)),
    latenciesMs: results.flatMap((result) => result.latenciesMs),
    clientCpuMs: sum(results.map((result) => result.clientCpuMs)),
    errors: results.flatMap((result) => result.errors),
    images: results.flatMap((result) => result.images),
    digests: results.flatMap((result) => result.digests),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
