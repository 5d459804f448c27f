import type { ImageRef } from './image.ts';
import type { Endpoint, PushFlow } from './session.ts';

/** What each client of a job does again and again until the time is over. */
export type Scenario =
  | { readonly kind: 'push'; readonly sizeBytes: number; readonly flow: PushFlow }
  | { readonly kind: 'pull'; readonly images: readonly ImageRef[] }
  | { readonly kind: 'put-blob'; readonly sizeBytes: number; readonly flow: PushFlow }
  | {
      readonly kind: 'request';
      readonly method: 'GET' | 'HEAD';
      readonly paths: readonly string[];
      /** Lines; those of a client that asks for manifests, when absent. */
      readonly headers?: readonly string[];
    };

export type Job = {
  readonly endpoint: Endpoint;
  readonly scenario: Scenario;
  readonly clients: number;
  /** The image name of all clients; without it each client has its own. */
  readonly repository?: string;
  /** No operation starts after this time; those that run are finished and counted. */
  readonly durationMs: number;
  readonly operationsPerClient: number;
};

export type JobResult = {
  readonly operations: number;
  readonly bytes: number;
  /** Moments of the system-wide monotonic clock. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly latenciesMs: readonly number[];
  readonly clientCpuMs: number;
  readonly errors: readonly string[];
  /** The first images or blobs a push left, for jobs that read them. */
  readonly images: readonly ImageRef[];
  readonly digests: readonly string[];
};

export type ToLoader = {
  readonly type: 'prepare';
  readonly id: number;
  readonly job: Job;
  readonly firstClient: number;
};
export type Go = { readonly type: 'go'; readonly id: number };
export type FromLoader =
  | { readonly type: 'ready'; readonly id: number }
  | { readonly type: 'done'; readonly id: number; readonly result: JobResult }
  | { readonly type: 'failed'; readonly id: number; readonly message: string };

/** Milliseconds of a clock that all processes of the machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
