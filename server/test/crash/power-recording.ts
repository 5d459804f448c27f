/** A server at work under a recorder: what its clients did, when they were answered, and every call it made. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { Ledger } from './ledger.ts';
import type { Place } from './place.ts';
import { RecordedDisk } from './power-disk.ts';
import { type Call, readTrace, straceTo, type Trace } from './power-trace.ts';
import {
  type Answer,
  type Blob,
  digestOf,
  type Image,
  MANIFEST_TYPE,
  makeBlob,
  makeImage,
  pathOf,
  REPO,
  RegistryClient,
  withDigest,
} from './registry-client.ts';
import { ServerProcess, testGuard } from './server-process.ts';

/** What a step changes once it is answered. */
type Effect =
  | { readonly kind: 'blob'; readonly image: string; readonly blob: Blob }
  | { readonly kind: 'manifest'; readonly image: string; readonly tag: string; readonly pushed: Image }
  | { readonly kind: 'untag'; readonly image: string; readonly tag: string }
  | { readonly kind: 'remove'; readonly image: string; readonly pushed: Image }
  | { readonly kind: 'file'; readonly path: string; readonly bytes: Buffer | undefined };

export interface Step {
  readonly id: string;
  /** Steps of one lane follow each other. */
  readonly lane: number;
  readonly effect: Effect;
}

export interface Expected {
  readonly ledger: Ledger;
  /** Blobs that were acknowledged, by their path. */
  readonly blobs: ReadonlyMap<string, Blob>;
  /** Digests a file may have; `null` for no file. */
  readonly files: ReadonlyMap<string, ReadonlySet<string | null>>;
}

export interface Recording {
  readonly calls: readonly Call[];
  readonly steps: readonly Step[];
  readonly disk: RecordedDisk;
  /** When the server was ready for the first time. */
  readonly readyAt: number;
  /** When the server began to send the answer to a step. */
  repliedAt(step: Step): number;
}

const FILES = 'generic-local';
const LANES = 3;
const TYPE = { 'content-type': 'application/octet-stream' };
/** One blob that is kept in the database, the others in files. */
const SIZES = [3000, 40_000, 100_000];

/** Runs two lives of a server, one after the other, over an empty place. */
export async function record(place: Place, env: Readonly<Record<string, string>>): Promise<Recording> {
  const calls: Call[] = [];
  const steps: Step[] = [];
  let until = 0;
  for (const life of [1, 2]) {
    const trace = join((await testGuard()).folder, `power-${place.port}-${life}.trace`);
    const server = await ServerProcess.start(place, {
      // Calls through a ring are calls that nobody sees.
      env: { ...env, UV_USE_IO_URING: '0' },
      wrap: straceTo(trace),
    });
    steps.push(...(await work(place, life)));
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    const read = await readWhole(trace, until);
    calls.push(...read.calls);
    until = read.until;
    await rm(trace);
  }
  const replies = new Map<string, number>();
  for (const call of calls) {
    const [, status, id] = /^HTTP\/1\.1 (\d+).*?\r\nX-Request-Id: (\S+)/s.exec(headOf(call)) ?? [];
    if (id !== undefined && status?.startsWith('2')) replies.set(id, call.began);
  }
  const ready = calls.find(({ strings }) => strings[0]?.includes('Entrepot is ready'));
  return {
    calls,
    steps,
    disk: new RecordedDisk(place.dataDir, calls),
    readyAt: ready?.began ?? 0,
    repliedAt(step) {
      const at = replies.get(step.id);
      assert(at !== undefined, `the answer to ${step.id} was not recorded`);
      return at;
    },
  };
}

/** The recorder ends a moment after the program. */
async function readWhole(trace: string, since: number): Promise<Trace> {
  const { promise, resolve } = Promise.withResolvers<Trace>();
  await eventually(async () => {
    const read = await readTrace(trace, since);
    assert(read.ended, 'the end of the server is not recorded yet');
    resolve(read);
  });
  return promise;
}

function headOf({ name, strings }: Call): string {
  return name.startsWith('write') || name.startsWith('send')
    ? (strings[0]?.subarray(0, 1000).toString('latin1') ?? '')
    : '';
}

/** What clients know at the moment: a step without an answer may have happened, those after it cannot have. */
export async function expectedAt({ steps, repliedAt }: Recording, moment: number): Promise<Expected> {
  const ledger = new Ledger();
  const blobs = new Map<string, Blob>();
  const files = new Map<string, Set<string | null>>();
  const stopped = new Set<number>();
  for (const step of steps) {
    if (stopped.has(step.lane)) continue;
    const answered = repliedAt(step) < moment;
    if (!answered) stopped.add(step.lane);
    const { effect } = step;
    if (effect.kind === 'blob') {
      if (answered) blobs.set(pathOfBlob(effect.image, effect.blob), effect.blob);
    } else if (effect.kind === 'file') {
      const known = answered ? [] : (files.get(effect.path) ?? [null]);
      files.set(effect.path, new Set([...known, effect.bytes ? digestOf(effect.bytes) : null]));
    } else {
      await enter(ledger, effect, answered).catch(() => undefined);
      // Its blobs may go with it.
      if (effect.kind === 'remove')
        for (const blob of effect.pushed.blobs) blobs.delete(pathOfBlob(effect.image, blob));
    }
  }
  return { ledger, blobs, files };
}

function enter(
  ledger: Ledger,
  effect: Exclude<Effect, { kind: 'blob' | 'file' }>,
  answered: boolean,
): Promise<unknown> {
  const outcome = async () => assert(answered, 'the power was cut');
  if (effect.kind === 'untag') return ledger.deleteTag(effect.image, effect.tag, outcome);
  if (effect.kind === 'remove') return ledger.deleteManifest(effect.image, effect.pushed.digest, outcome);
  return ledger.putManifest(effect.image, effect.pushed, effect.tag, outcome);
}

export function pathOfBlob(image: string, { digest }: Blob): string {
  return `/v2/${REPO}/${image}/blobs/${digest}`;
}

export function pathOfFile(path: string): string {
  return `/artifactory/${FILES}/${path}`;
}

export function imageNames(): string[] {
  return Array.from({ length: LANES }, (_, i) => `power-${i}`);
}

async function work(place: Place, life: number): Promise<Step[]> {
  const images = new RegistryClient(place);
  const files = new RegistryClient(place);
  await images.login();
  const lanes = [
    ...imageNames().map((image, i) => new Lane(images, life * 10 + i).pushImages(image)),
    new Lane(files, life * 10 + LANES).putFiles(),
  ];
  const steps = (await Promise.all(lanes)).flat();
  images.close();
  files.close();
  return steps;
}

/** A client that waits for each answer before it goes on. */
class Lane {
  readonly #client: RegistryClient;
  readonly #number: number;
  readonly #steps: Step[] = [];
  #requests = 0;

  constructor(client: RegistryClient, number: number) {
    this.#client = client;
    this.#number = number;
  }

  async pushImages(image: string): Promise<Step[]> {
    const shared = makeBlob(`${image}/shared`, 20_000);
    const pushed: Image[] = [];
    for (let i = 0; i < 3; i++) {
      const name = `${image}/${this.#number}/${i}`;
      const made = makeImage(name, [...SIZES.map((size) => makeBlob(`${name}/${size}`, size)), shared]);
      for (const [turn, blob] of made.blobs.entries()) await this.#upload(image, blob, (turn + i) % 3);
      await this.#put(image, made, `v${this.#number}-${i}`);
      pushed.push(made);
    }
    await this.#put(image, pushed[0]!, 'latest');
    await this.#put(image, pushed[1]!, 'latest');
    await this.#delete(image, `v${this.#number}-1`, { kind: 'untag', image, tag: `v${this.#number}-1` });
    await this.#delete(image, pushed[2]!.digest, { kind: 'remove', image, pushed: pushed[2]! });
    return this.#steps;
  }

  async putFiles(): Promise<Step[]> {
    for (const [i, size] of [2000, 30_000, 90_000, 1000, 50_000].entries()) {
      const path = `docs/${i % 3}.bin`;
      const { bytes } = makeBlob(`${this.#number}/${i}`, size);
      await this.#send([201], 'PUT', pathOfFile(path), { kind: 'file', path, bytes }, bytes);
    }
    await this.#send([204], 'DELETE', pathOfFile('docs/1.bin'), { kind: 'file', path: 'docs/1.bin', bytes: undefined });
    return this.#steps;
  }

  async #upload(image: string, blob: Blob, mode: number): Promise<void> {
    const base = `/v2/${REPO}/${image}/blobs/uploads/`;
    const effect: Effect = { kind: 'blob', image, blob };
    if (mode === 0) return void (await this.#send([201], 'POST', withDigest(base, blob.digest), effect, blob.bytes));
    let location = pathOf(await this.#send([202], 'POST', base));
    const middle = mode === 1 ? 0 : Math.floor(blob.bytes.length / 2);
    if (middle > 0)
      location = pathOf(await this.#send([202], 'PATCH', location, undefined, blob.bytes.subarray(0, middle)));
    await this.#send([201], 'PUT', withDigest(location, blob.digest), effect, blob.bytes.subarray(middle));
  }

  async #put(image: string, pushed: Image, tag: string): Promise<void> {
    const path = `/v2/${REPO}/${image}/manifests/${tag}`;
    await this.#send([201], 'PUT', path, { kind: 'manifest', image, tag, pushed }, pushed.manifest, MANIFEST_TYPE);
  }

  async #delete(image: string, reference: string, effect: Effect): Promise<void> {
    await this.#send([202], 'DELETE', `/v2/${REPO}/${image}/manifests/${reference}`, effect);
  }

  async #send(
    statuses: readonly number[],
    method: string,
    path: string,
    effect?: Effect,
    body?: Buffer,
    type = TYPE['content-type'],
  ): Promise<Answer> {
    const id = `lane-${this.#number}.${++this.#requests}`;
    const headers = { 'x-request-id': id, ...(body && { 'content-type': type }) };
    const answer = await this.#client.expect(statuses, method, path, { headers, ...(body && { body }) });
    if (effect) this.#steps.push({ id, lane: this.#number, effect });
    return answer;
  }
}
