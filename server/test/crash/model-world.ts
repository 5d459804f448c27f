/** Does the operations of a model run to a real server, over HTTP where clients would. */
import type { Storage, TestApp } from '../support/test-app.ts';
import { startTestApp } from '../support/test-app.ts';
import { BLOBS, MANIFESTS, type ManifestSpec } from './model-catalog.ts';
import type { Operation } from './model-operations.ts';
import { STEP } from './model-oracle.ts';
import { age, condemn, endLeases, endUploads, removeObjects } from './model-upkeep.ts';
import {
  type Answer,
  pathOf,
  putManifest,
  REPO,
  Refused,
  RegistryClient,
  uploadBlob,
  withDigest,
} from './registry-client.ts';

/** Long enough that nothing expires by itself. */
export const GRACE_MS = 60 * 60 * 1000;
const ENV = {
  ENTREPOT_SWEEP__GRACE_MS: String(GRACE_MS),
  ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
  ENTREPOT_SWEEP__READER_GRACE_MS: '0',
  ENTREPOT_STORAGE__INLINE_BYTES: '200',
  ENTREPOT_STORAGE__FREE_SPACE_FLOOR_BYTES: '0',
  ENTREPOT_DOCKER__PROTECT_INDEX_CHILDREN: 'true',
  // Upkeep happens when the sequence says so.
  ENTREPOT_JOBS__WORKERS: '0',
};

interface Session {
  readonly image: string;
  readonly blob: string;
  readonly location: string;
  readonly sent: number;
}

const NAMES = ['model-a', 'model-b'] as const;

export class ModelWorld {
  readonly app: TestApp;
  client: RegistryClient;

  private constructor(app: TestApp) {
    this.app = app;
    this.client = new RegistryClient(app);
  }

  static async start(storage: Storage): Promise<ModelWorld> {
    const world = new ModelWorld(await startTestApp(storage, ENV));
    await world.client.login();
    return world;
  }

  /** Two images; operations name them by their number. */
  images(): ModelImages {
    return new ModelImages(this, NAMES);
  }

  async restart(): Promise<void> {
    this.client.close();
    await this.app.restart();
    this.client = new RegistryClient(this.app);
    await this.client.login();
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.app.stop();
  }
}

export class ModelImages {
  readonly #world: ModelWorld;
  readonly names: readonly [string, string];
  #sessions: Session[] = [];

  constructor(world: ModelWorld, names: readonly [string, string]) {
    this.#world = world;
    this.names = names;
  }

  /** Returns the status of the last answer; undefined where nothing was asked. */
  async perform(operation: Operation): Promise<number | undefined> {
    switch (operation.do) {
      case 'upload':
        await uploadBlob(this.#client, this.#name(operation), BLOBS.get(operation.blob)!, operation.mode);
        return 201;
      case 'begin upload':
        return this.#begin(this.#name(operation), operation.blob);
      case 'finish upload':
        return this.#finish(operation.nth);
      case 'mount':
        return this.#mount(this.#name(operation), this.names[1 - operation.image]!, operation.blob);
      case 'head':
        return this.#status('HEAD', this.#name(operation), `blobs/${operation.blob}`);
      case 'delete blob':
        return this.#status('DELETE', this.#name(operation), `blobs/${operation.blob}`);
      case 'push':
        return this.#push(this.#name(operation), operation.manifest, operation.tag);
      case 'put':
        return this.#put(this.#name(operation), MANIFESTS[operation.manifest]!, operation.tag);
      case 'retag':
        return this.#retag(this.#name(operation), operation.from, operation.tag);
      case 'untag':
        return this.#status('DELETE', this.#name(operation), `manifests/${operation.tag}`);
      case 'delete manifest': {
        const { digest } = MANIFESTS[operation.manifest]!;
        return this.#status('DELETE', this.#name(operation), `manifests/${digest}`);
      }
      default:
        await this.#keepUp(operation.do);
        return undefined;
    }
  }

  async get(image: number, path: string, accept = '*/*'): Promise<Answer> {
    return this.#client.request('GET', `/v2/${REPO}/${this.names[image]}/${path}`, { headers: { accept } });
  }

  get #client(): RegistryClient {
    return this.#world.client;
  }

  #name({ image }: { readonly image: 0 | 1 }): string {
    return this.names[image];
  }

  async #status(method: string, name: string, path: string): Promise<number> {
    return (await this.#client.request(method, `/v2/${REPO}/${name}/${path}`)).status;
  }

  async #begin(name: string, blob: string): Promise<number> {
    const { bytes } = BLOBS.get(blob)!;
    const started = await this.#client.expect([202], 'POST', `/v2/${REPO}/${name}/blobs/uploads/`);
    const sent = Math.floor(bytes.length / 2);
    const location = pathOf(started);
    const answer = await this.#client.request('PATCH', location, { body: bytes.subarray(0, sent) });
    this.#sessions.push({ image: name, blob, location, sent });
    return answer.status;
  }

  async #finish(nth: number): Promise<number | undefined> {
    const [session] = this.#sessions.splice(nth, 1);
    if (!session) return undefined;
    const { blob, location, sent } = session;
    const rest = BLOBS.get(blob)!.bytes.subarray(sent);
    return (await this.#client.request('PUT', withDigest(location, blob), { body: rest })).status;
  }

  async #mount(name: string, from: string, blob: string): Promise<number> {
    const query = `mount=${blob}&from=${REPO}/${from}`;
    const answer = await this.#client.request('POST', `/v2/${REPO}/${name}/blobs/uploads/?${query}`);
    if (answer.status === 202) this.#sessions.push({ image: name, blob, location: pathOf(answer), sent: 0 });
    return answer.status;
  }

  async #push(name: string, manifest: string, tag: string | undefined): Promise<number> {
    const spec = MANIFESTS[manifest]!;
    for (const child of spec.children) {
      const there = await this.#status('HEAD', name, `manifests/${MANIFESTS[child]!.digest}`);
      if (there === 404) await this.#push(name, child, undefined);
    }
    if (spec.children.length === 0) {
      for (const blob of spec.needs) {
        const there = await this.#status('HEAD', name, `blobs/${blob}`);
        if (there === 404) await uploadBlob(this.#client, name, BLOBS.get(blob)!, 'two-steps');
      }
    }
    return this.#put(name, spec, tag);
  }

  async #put(name: string, spec: ManifestSpec, tag: string | undefined): Promise<number> {
    try {
      return (await putManifest(this.#client, name, tag ?? spec.digest, spec)).status;
    } catch (error) {
      if (error instanceof Refused) return error.answer.status;
      throw error;
    }
  }

  async #retag(name: string, from: string, tag: string): Promise<number | undefined> {
    const path = `/v2/${REPO}/${name}/manifests/`;
    const found = await this.#client.request('GET', `${path}${from}`);
    if (found.status !== 200) return undefined;
    const headers = { 'content-type': String(found.headers['content-type']) };
    return (await this.#client.request('PUT', `${path}${tag}`, { body: found.body, headers })).status;
  }

  async #keepUp(upkeep: string): Promise<void> {
    const { core } = this.#world.app;
    switch (upkeep) {
      case 'condemn':
        await condemn(core);
        return;
      case 'empty trash':
        await removeObjects(core);
        return;
      case 'let time pass':
        for (const name of this.names) await age(core, name, Math.round(STEP * GRACE_MS));
        return;
      case 'end old leases':
        await endLeases(core, GRACE_MS);
        return;
      case 'end all leases':
        await endLeases(core);
        return;
      case 'end uploads':
        return this.#endUploads();
      case 'restart':
        return this.#world.restart();
    }
  }

  async #endUploads(): Promise<void> {
    await endUploads(this.#world.app.core);
    for (const { location } of this.#sessions.splice(0)) await this.#client.expect([404], 'GET', location);
  }
}
