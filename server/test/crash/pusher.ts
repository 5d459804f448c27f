/**
 * A client under load: pushes, moves and deletes its own images and reads them back, one step at a time, through any
 * number of server deaths. Whatever it is told in error is remembered.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Ledger } from './ledger.ts';
import {
  type Blob,
  digestOf,
  type Image,
  makeBlob,
  makeImage,
  NoAnswer,
  pathOf,
  putManifest,
  REPO,
  Refused,
  type RegistryClient,
  type UploadMode,
  uploadBlob,
  withDigest,
} from './registry-client.ts';
import type { Seeded } from './seeded.ts';

export interface Load {
  readonly client: RegistryClient;
  readonly ledger: Ledger;
  /** Layers that all pushers use. */
  readonly base: readonly Blob[];
  /** Names of the images of all pushers, to mount from. */
  readonly images: readonly string[];
  /** Answers that no correct server gives. */
  readonly complaints: string[];
  /** Refusals that are right in the circumstances, such as 503 while the database is away. */
  readonly tolerates?: (refused: Refused) => boolean;
  /** Resolves when there is a server to speak to. */
  readonly up: () => Promise<void>;
  readonly maxLayerBytes: number;
  /** For so long the server keeps what it has told a client that it has. */
  readonly graceMs: number;
}

interface Pushed {
  readonly image: Image;
  readonly tag: string;
}

const KEPT = 20;
const MODES: readonly UploadMode[] = ['whole', 'two-steps', 'chunks'];

export class Pusher {
  readonly name: string;
  readonly #load: Load;
  readonly #random: Seeded;
  readonly #live: Pushed[] = [];
  #made = 0;
  /** How the blobs of the current image came to be there, for a complaint. */
  #trail: string[] = [];
  #stopping = false;
  pushes = 0;
  verified = 0;

  constructor(name: string, load: Load, random: Seeded) {
    this.name = name;
    this.#load = load;
    this.#random = random;
  }

  stop(): void {
    this.#stopping = true;
  }

  /** Goes on until it is stopped. */
  async run(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.#load.up();
        await this.#step();
      } catch (error) {
        if (error instanceof NoAnswer) {
          await delay(5);
        } else if (error instanceof Refused) {
          if (!this.#load.tolerates?.(error))
            this.#load.complaints.push(`${this.name}: ${error.message} after ${this.#trail}`);
          await delay(20);
        } else throw error;
      }
    }
  }

  async #step(): Promise<void> {
    const choice = this.#random.next();
    const some = this.#live.length > 0 ? this.#random.pick(this.#live) : undefined;
    if (this.#live.length >= KEPT) return this.#remove(this.#live[0]!);
    if (!some || choice < 0.6) return this.#push();
    if (choice < 0.75) return this.#verify(some.image);
    if (choice < 0.85) return this.#retag(some);
    if (choice < 0.93) return this.#untag(some);
    return this.#remove(some);
  }

  async #push(): Promise<void> {
    const { client, ledger, base, maxLayerBytes, graceMs } = this.#load;
    const random = this.#random;
    const id = `${random.seed}/${++this.#made}`;
    const own = Array.from({ length: random.int(1, 3) }, (_, i) =>
      makeBlob(`${id}/${i}`, sizeUpTo(random, maxLayerBytes)),
    );
    const image = makeImage(id, [random.pick(base), ...own]);
    const startedAt = performance.now();
    this.#trail = [];
    for (const blob of image.blobs) this.#trail.push(`${blob.digest.slice(0, 20)} ${await this.#ensureBlob(blob)}`);
    const tag = random.chance(0.2) ? 'latest' : `v${this.#made}`;
    const pushed = { image, tag };
    // From here on it may be there, whatever the answer.
    this.#live.push(pushed);
    try {
      await ledger.putManifest(this.name, image, tag, () => putManifest(client, this.name, tag, image));
      this.pushes += 1;
    } catch (error) {
      this.#live.splice(this.#live.indexOf(pushed), 1);
      const tooLate = performance.now() - startedAt > graceMs / 2;
      if (!(tooLate && error instanceof Refused && error.answer.status === 400)) throw error;
    }
  }

  /** As clients do: ask, mount where another image has it, upload otherwise. */
  async #ensureBlob(blob: Blob): Promise<string> {
    const { client, base, images } = this.#load;
    const path = `/v2/${REPO}/${this.name}/blobs`;
    const head = await client.expect([200, 404], 'HEAD', `${path}/${blob.digest}`);
    if (head.status === 200) return 'was there';
    if (base.includes(blob) && this.#random.chance(0.7)) {
      const query = `mount=${blob.digest}&from=${REPO}/${this.#random.pick(images)}`;
      const mounted = await client.expect([201, 202], 'POST', `${path}/uploads/?${query}`);
      if (mounted.status === 201) return 'was mounted';
      await client.expect([201], 'PUT', withDigest(pathOf(mounted), blob.digest), { body: blob.bytes });
      return 'was uploaded instead of mounted';
    }
    const mode = this.#random.pick(MODES);
    if (mode === 'chunks' && this.#random.chance(0.5)) await this.#uploadThroughDeaths(blob);
    else await uploadBlob(client, this.name, blob, mode);
    return `was uploaded in ${mode}`;
  }

  /** Goes on with the upload after the server came back, from where it says it stands. */
  async #uploadThroughDeaths(blob: Blob): Promise<void> {
    const { client } = this.#load;
    const session = pathOf(await client.expect([202], 'POST', `/v2/${REPO}/${this.name}/blobs/uploads/`));
    for (let attempt = 0; ; attempt++) {
      try {
        const from = attempt === 0 ? 0 : await this.#offsetOf(session);
        this.#trail.push(`at ${from} of ${blob.bytes.length}`);
        if (from === undefined) return uploadBlob(client, this.name, blob, 'two-steps');
        const middle = Math.max(from, Math.floor((from + blob.bytes.length) / 2));
        for (const [start, end] of [
          [from, middle],
          [middle, blob.bytes.length],
        ] as const) {
          if (start === end) continue;
          const headers = { 'content-range': `${start}-${end - 1}` };
          await client.expect([202], 'PATCH', session, { body: blob.bytes.subarray(start, end), headers });
          this.#trail.push(`sent ${start} to ${end}`);
        }
        await client.expect([201], 'PUT', withDigest(session, blob.digest));
        return;
      } catch (error) {
        if (!(error instanceof NoAnswer) || this.#stopping) throw error;
        this.#trail.push('was cut');
        await this.#load.up();
        // The last step may have been done.
        if (await this.#has(blob)) return;
      }
    }
  }

  async #has(blob: Blob): Promise<boolean> {
    for (;;) {
      try {
        const path = `/v2/${REPO}/${this.name}/blobs/${blob.digest}`;
        return (await this.#load.client.expect([200, 404], 'HEAD', path)).status === 200;
      } catch (error) {
        if (!(error instanceof NoAnswer) || this.#stopping) throw error;
        await this.#load.up();
      }
    }
  }

  /** Undefined when the upload is not known any more. */
  async #offsetOf(session: string): Promise<number | undefined> {
    const state = await this.#load.client.expect([204, 404], 'GET', session);
    if (state.status === 404) return undefined;
    const last = Number(/^0-(\d+)$/.exec(String(state.headers['range']))?.[1]);
    return last === 0 ? 0 : last + 1;
  }

  async #verify(image: Image): Promise<void> {
    const { client, ledger, complaints } = this.#load;
    const entry = ledger.image(this.name).manifests.get(image.digest);
    if (!entry || entry.present.has(false)) return;
    for (const digest of [image.digest, ...image.blobs.map((blob) => blob.digest)]) {
      const kind = digest === image.digest ? 'manifests' : 'blobs';
      const path = `/v2/${REPO}/${this.name}/${kind}/${digest}`;
      const answer = await client.request('GET', path, { headers: { accept: image.mediaType } });
      if (answer.status === 200 && digestOf(answer.body) === digest) continue;
      const refused = new Refused(`GET ${path} of an acknowledged image`, answer);
      if (answer.status !== 200 && this.#load.tolerates?.(refused)) return;
      complaints.push(`${this.name}: ${refused.message}`);
    }
    this.verified += 1;
  }

  async #retag({ image }: Pushed): Promise<void> {
    const { client, ledger } = this.#load;
    if (ledger.image(this.name).manifests.get(image.digest)?.present.has(false)) return;
    await ledger.putManifest(this.name, image, 'latest', () => putManifest(client, this.name, 'latest', image));
  }

  async #untag({ tag }: Pushed): Promise<void> {
    const path = `/v2/${REPO}/${this.name}/manifests/${tag}`;
    await this.#load.ledger.deleteTag(this.name, tag, () => this.#load.client.expect([202, 404], 'DELETE', path));
  }

  /** Nothing acknowledged goes without having been read back. */
  async #remove(pushed: Pushed): Promise<void> {
    const { digest } = pushed.image;
    await this.#verify(pushed.image);
    this.#live.splice(this.#live.indexOf(pushed), 1);
    const path = `/v2/${REPO}/${this.name}/manifests/${digest}`;
    await this.#load.ledger.deleteManifest(this.name, digest, () =>
      this.#load.client.expect([202, 404], 'DELETE', path),
    );
  }
}

/** Small ones are as frequent as large ones. */
function sizeUpTo(random: Seeded, max: number): number {
  const [low, high] = [Math.log(1000), Math.log(max)];
  return Math.floor(Math.exp(low + random.next() * (high - low)));
}
