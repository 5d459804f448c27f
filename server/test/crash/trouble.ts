/** Clients at work while what the server needs is in trouble, and what they may be told meanwhile. */
import { setTimeout as delay } from 'node:timers/promises';
import { forEach } from './checker.ts';
import { Ledger } from './ledger.ts';
import type { Place } from './place.ts';
import { type Load, Pusher } from './pusher.ts';
import { type Answer, digestOf, makeBlob, NoAnswer, type Refused, RegistryClient } from './registry-client.ts';
import { bytesFor, type Seeded } from './seeded.ts';

/** Why a refusal is no honest one for passing trouble (P8); undefined if it is one. */
export function faultOf(answer: Answer, isHead = false): string | undefined {
  if (answer.status !== 503) return `was answered ${answer.status}: ${answer.body.toString().slice(0, 300)}`;
  if (!/^\d+$/.test(String(answer.headers['retry-after']))) return 'was refused without a Retry-After';
  if (isHead) return undefined;
  const message = messageOf(answer);
  if (!/^[A-Z].+\.$/.test(message ?? '')) return `was refused without a sentence: ${answer.body.toString()}`;
  return undefined;
}

/** The sentence for the person who reads the error; both protocols have it at the same place. */
function messageOf({ headers, body }: Answer): string | undefined {
  if (!String(headers['content-type']).startsWith('application/json')) return undefined;
  const { errors } = JSON.parse(body.toString()) as { errors?: { message?: string }[] };
  return errors?.[0]?.message;
}

const FILES = 'generic-local';

/** Puts files by path, replaces and reads them; remembers what each may be. */
export class FileClient {
  readonly name: string;
  /** Digests each path may have; `null` for no such file. */
  readonly files = new Map<string, Set<string | null>>();
  acknowledged = 0;
  refused = 0;
  readonly #client: RegistryClient;
  readonly #random: Seeded;
  readonly #complaints: string[];
  #made = 0;
  #stopping = false;

  constructor(name: string, load: { client: RegistryClient; complaints: string[] }, random: Seeded) {
    this.name = name;
    this.#client = load.client;
    this.#complaints = load.complaints;
    this.#random = random;
  }

  stop(): void {
    this.#stopping = true;
  }

  async run(): Promise<void> {
    while (!this.#stopping) {
      try {
        if (this.files.size > 0 && this.#random.chance(0.3))
          await this.#read(this.#random.pick([...this.files.keys()]));
        else await this.#put();
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        await delay(20);
      }
    }
  }

  async #put(): Promise<void> {
    const isNew = this.files.size === 0 || this.#random.chance(0.7);
    const path = isNew
      ? `/artifactory/${FILES}/${this.name}/f${this.files.size}.bin`
      : this.#random.pick([...this.files.keys()]);
    const body = bytesFor(`${this.#random.seed}/${++this.#made}`, this.#random.int(1, 200_000));
    const possible = this.files.get(path) ?? new Set([null]);
    this.files.set(path, possible.add(digestOf(body)));
    const answer = await this.#client.request('PUT', path, { body });
    if (answer.status === 201) {
      possible.clear();
      possible.add(digestOf(body));
      this.acknowledged += 1;
    } else await this.#refusal('PUT', path, answer);
  }

  async #read(path: string): Promise<void> {
    const answer = await this.#client.request('GET', path);
    if (answer.status !== 200 && answer.status !== 404) return this.#refusal('GET', path, answer);
    this.#compare(path, answer);
  }

  #compare(path: string, answer: Answer): void {
    const state = answer.status === 404 ? null : digestOf(answer.body);
    const possible = this.files.get(path);
    if (!possible?.has(state))
      this.#complaints.push(`I1: ${path} is ${state}, not ${[...(possible ?? [])].join(' or ')}`);
  }

  async #refusal(method: string, path: string, answer: Answer): Promise<void> {
    const fault = faultOf(answer);
    if (fault !== undefined) this.#complaints.push(`${method} ${path} ${fault}`);
    this.refused += 1;
    await delay(20);
  }

  /** Reads every file when the trouble is over. */
  async check(): Promise<void> {
    await forEach([...this.files.keys()], async (path) => this.#compare(path, await this.#client.request('GET', path)));
  }
}

export interface RunningLoad {
  readonly ledger: Ledger;
  /** Answers that no correct server gives, and what is lost. */
  readonly complaints: string[];
  readonly client: RegistryClient;
  /** So many refusals were honest ones. */
  readonly refusals: number;
  readonly pushes: number;
  readonly puts: number;
  stop(): Promise<void>;
  /** Reads every file that was put. */
  checkFiles(): Promise<void>;
}

/** Starts pushes of images and deposits of files, which go on until they are stopped. */
export async function startLoad(
  place: Place,
  random: Seeded,
  options: {
    readonly name: string;
    readonly pushers: number;
    readonly fileClients: number;
    readonly maxLayerBytes: number;
  },
): Promise<RunningLoad> {
  const names = Array.from({ length: options.pushers }, (_, i) => `${options.name}/load-${i}`);
  const client = new RegistryClient(place);
  const basic = new RegistryClient(place);
  let refusals = 0;
  const load: Load = {
    client,
    ledger: new Ledger(),
    base: [3000, 300_000].map((size) => makeBlob(`${random.seed}/base-${size}`, size)),
    images: names,
    complaints: [],
    maxLayerBytes: options.maxLayerBytes,
    // Connections are cut by the trouble, but the server stays.
    up: () => delay(5),
    graceMs: 60_000,
    tolerates(refused: Refused) {
      const fault = faultOf(refused.answer, refused.message.startsWith('HEAD'));
      if (fault !== undefined) load.complaints.push(fault);
      else refusals += 1;
      return fault === undefined;
    },
  };
  const pushers = names.map((name) => new Pusher(name, load, random.fork(name)));
  const fileClients = Array.from(
    { length: options.fileClients },
    (_, i) =>
      new FileClient(`${options.name}/${i}`, { client: basic, complaints: load.complaints }, random.fork(`files-${i}`)),
  );
  await client.login();
  const workers = [...pushers, ...fileClients];
  const work = Promise.all(workers.map((worker) => worker.run()));
  // Whoever stops the load learns of it.
  work.catch(() => undefined);
  return {
    ledger: load.ledger,
    complaints: load.complaints,
    client,
    get refusals() {
      return refusals + fileClients.reduce((sum, { refused }) => sum + refused, 0);
    },
    get pushes() {
      return pushers.reduce((sum, pusher) => sum + pusher.pushes, 0);
    },
    get puts() {
      return fileClients.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
    },
    async stop() {
      for (const worker of workers) worker.stop();
      await work;
    },
    async checkFiles() {
      for (const fileClient of fileClients) await fileClient.check();
    },
  };
}
