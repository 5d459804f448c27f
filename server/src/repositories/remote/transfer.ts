/** Brings the bytes of an answer in, going on where they broke off, and says what they are. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Spool } from '../../blobs/spool.ts';
import { drain } from '../../core/bodies.ts';
import { AppError } from '../../core/errors.ts';
import type { RepoKey } from '../../core/ids.ts';
import type { Ask, Upstream, UpstreamAnswer } from '../../core/upstream.ts';
import { type HashAlgorithm, Hashes } from '../../lib/hashes.ts';
import { lengthOf, strongEtag } from './answers.ts';

export interface TransferOptions {
  readonly repo: RepoKey;
  readonly upstream: Upstream;
  readonly ask: Ask;
  readonly spool: Spool;
  readonly algorithms: readonly HashAlgorithm[];
  /** How many bytes there must be, where that is known from elsewhere. */
  readonly size: number | undefined;
  /** Whether the bytes are checked against a digest, so that parts of other bytes cannot pass for them. */
  readonly isChecked: boolean;
  readonly signal: AbortSignal;
}

const MAX_ATTEMPTS = 5;
const PAUSE_MS = 200;
/** An upstream that sends less than this within the time will not get anywhere. */
const LEAST_BYTES = 1024;
const LEAST_PER_MS = 60_000;

/** Resolves when all bytes are in the spool, with their hashes; rejects when they will not be. */
export async function transfer(first: UpstreamAnswer, options: TransferOptions): Promise<Hashes> {
  const arrival = new Arrival(first, options);
  for (let attempt = 1; ; attempt++) {
    const cut = await arrival.take();
    if (cut === undefined) return arrival.hashes;
    if (attempt === MAX_ATTEMPTS || options.signal.aborted) throw cut;
    await delay(PAUSE_MS * attempt, undefined, { signal: options.signal });
    await arrival.again();
  }
}

interface Repeated {
  readonly size: number;
  readonly sha256: string;
  readonly hashes: Hashes;
}

class Arrival {
  hashes: Hashes;
  readonly #options: TransferOptions;
  readonly #validator: string | undefined;
  readonly #length: number | undefined;
  #answer: UpstreamAnswer | undefined;
  /** Bytes that come again and must be those that came before: how many, and what they hash to. */
  #repeated: Repeated | undefined;

  constructor(first: UpstreamAnswer, options: TransferOptions) {
    this.#options = options;
    this.#answer = first;
    this.hashes = new Hashes(options.algorithms);
    this.#validator = strongEtag(first.headers);
    const told = lengthOf(options.repo, first.headers);
    const { size, repo } = options;
    if (told !== undefined && size !== undefined && told !== size) {
      first.body.destroy();
      throw wrong(repo, `has ${told} bytes of it, not the ${size} there should be`);
    }
    if (told === undefined && first.headers['transfer-encoding'] === undefined && !options.isChecked) {
      first.body.destroy();
      throw wrong(repo, 'does not say where the file ends');
    }
    this.#length = told ?? size;
  }

  /** Takes what the answer has; resolves with what cut it off, or with undefined at its proper end. */
  async take(): Promise<unknown> {
    const answer = this.#answer;
    this.#answer = undefined;
    if (!answer) return wrong(this.#options.repo, 'broke off');
    const guard = new AbortController();
    let before = this.hashes.bytes;
    const timer = setInterval(() => {
      if (this.hashes.bytes - before < LEAST_BYTES) guard.abort(wrong(this.#options.repo, 'sends too slowly'));
      before = this.hashes.bytes;
    }, LEAST_PER_MS);
    timer.unref();
    try {
      const signal = AbortSignal.any([this.#options.signal, guard.signal]);
      const cut = await drain(answer.body, (chunk) => this.#add(chunk), signal);
      if (cut !== undefined) return cut;
      const { bytes } = this.hashes;
      if (this.#length === undefined || bytes === this.#length) return undefined;
      return wrong(this.#options.repo, `ended after ${bytes} of ${this.#length} bytes`);
    } finally {
      clearInterval(timer);
      answer.body.destroy();
    }
  }

  /** Asks for what is missing, or for all of it once more. */
  async again(): Promise<void> {
    const { upstream, ask, isChecked, signal, repo, spool } = this.#options;
    const from = this.hashes.bytes;
    const goesOn = from > 0 && !this.#repeated && (this.#validator !== undefined || isChecked);
    const headers = {
      ...ask.headers,
      ...(goesOn && { range: `bytes=${from}-` }),
      ...(goesOn && this.#validator !== undefined && { 'if-range': this.#validator }),
    };
    let answer: UpstreamAnswer;
    try {
      answer = await upstream.request({ ...ask, method: 'GET', headers, signal });
    } catch {
      // The attempt counts; the next one may find the upstream again.
      return;
    }
    if (goesOn && answer.status === 206) {
      const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(answer.headers['content-range'])) ?? [];
      const isRest = Number(start) === from && (total === '*' || !this.#length || Number(total) === this.#length);
      if (isRest) this.#answer = answer;
      else answer.body.destroy();
      return;
    }
    if (answer.status !== 200) {
      answer.body.destroy();
      return;
    }
    const told = lengthOf(repo, answer.headers);
    if (told !== undefined && this.#length !== undefined && told !== this.#length) {
      answer.body.destroy();
      throw wrong(repo, 'has other bytes by now');
    }
    this.#answer = answer;
    await spool.quiet();
    if (spool.handedOut === 0) {
      spool.restart();
      this.hashes = new Hashes(this.#options.algorithms);
      this.#repeated = undefined;
      return;
    }
    const size = this.#repeated?.size ?? from;
    const sha256 = this.#repeated?.sha256 ?? this.hashes.values().sha256 ?? '';
    this.#repeated = { size, sha256, hashes: new Hashes(['sha256']) };
  }

  #add(chunk: Buffer): Promise<void> | undefined {
    const fresh = this.#repeated ? this.#skip(chunk, this.#repeated) : chunk;
    if (fresh.length === 0) return undefined;
    if (this.#length !== undefined && this.hashes.bytes + fresh.length > this.#length) {
      throw wrong(this.#options.repo, `sent more than the ${this.#length} bytes there should be`);
    }
    this.hashes.update(fresh);
    return this.#options.spool.write(fresh);
  }

  /** What of the chunk was not here before; throws where what was here before is another. */
  #skip(chunk: Buffer, repeated: Repeated): Buffer {
    const missing = repeated.size - repeated.hashes.bytes;
    repeated.hashes.update(chunk.subarray(0, missing));
    if (chunk.length < missing) return chunk.subarray(chunk.length);
    if (repeated.hashes.values().sha256 !== repeated.sha256) {
      throw wrong(this.#options.repo, 'has other bytes by now');
    }
    this.#repeated = undefined;
    return chunk.subarray(missing);
  }
}

/** What is wrong with the bytes themselves, which asking again would not mend. */
export function wrong(repo: RepoKey, what: string): AppError {
  return new AppError(
    'upstream_failed',
    `The upstream of "${repo}" ${what}. Nothing of it was stored; try again later.`,
  );
}
