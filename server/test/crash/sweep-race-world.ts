/** A server and the steps of which the races of the sweep are made. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { condemnDue, emptyTrash } from '../../src/blobs/sweep.ts';
import { type Storage, startTestApp, type TestApp } from '../support/test-app.ts';
import { age, condemn, endLeases, removeObjects } from './model-upkeep.ts';
import {
  type Blob,
  digestOf,
  type Image,
  INDEX_TYPE,
  makeBlob,
  makeImage,
  putManifest,
  REPO,
  Refused,
  RegistryClient,
  uploadBlob,
} from './registry-client.ts';
import { SlowReader } from './sweep-slow-reader.ts';

const GRACE_MS = 60 * 60 * 1000;
const ENV = {
  ENTREPOT_SWEEP__GRACE_MS: String(GRACE_MS),
  ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
  ENTREPOT_STORAGE__INLINE_BYTES: '200',
  ENTREPOT_STORAGE__FREE_SPACE_FLOOR_BYTES: '0',
  ENTREPOT_DOCKER__PROTECT_INDEX_CHILDREN: 'true',
  ENTREPOT_JOBS__WORKERS: '0',
};
/** Larger than all buffers between the server and a client that does not read. */
const LARGE_BYTES = 32 * 1024 * 1024;

type Manifest = Pick<Image, 'manifest' | 'mediaType' | 'digest'>;

export class RaceWorld {
  readonly app: TestApp;
  #client: RegistryClient;
  #made = 0;

  private constructor(app: TestApp) {
    this.app = app;
    this.#client = new RegistryClient(app);
  }

  static async start(storage: Storage): Promise<RaceWorld> {
    const world = new RaceWorld(await startTestApp(storage, ENV));
    await world.#client.login();
    return world;
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.app.stop();
  }

  async restart(): Promise<void> {
    this.#client.close();
    await this.app.restart();
    this.#client = new RegistryClient(this.app);
    await this.#client.login();
  }

  /** One that no other test knows, with two layers that are objects of the store. */
  newImage(): Image {
    const name = `race/${++this.#made}`;
    return makeImage(name, [makeBlob(`${name}/small`, 1000), makeBlob(`${name}/large`, 100_000)]);
  }

  indexOf(...images: readonly Image[]): Manifest {
    const manifests = images.map(({ mediaType, digest, manifest }) => ({ mediaType, digest, size: manifest.length }));
    const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests }));
    return { manifest, mediaType: INDEX_TYPE, digest: digestOf(manifest) };
  }

  async upload(name: string, { blobs }: Image): Promise<void> {
    for (const blob of blobs) await uploadBlob(this.#client, name, blob, 'two-steps');
  }

  async put(name: string, manifest: Manifest, reference = 'latest'): Promise<number> {
    try {
      return (await putManifest(this.#client, name, reference, manifest)).status;
    } catch (error) {
      if (error instanceof Refused) return error.answer.status;
      throw error;
    }
  }

  async status(method: string, name: string, path: string): Promise<number> {
    return (await this.#client.request(method, `/v2/${REPO}/${name}/${path}`)).status;
  }

  head(name: string, digest: string): Promise<number> {
    return this.status('HEAD', name, `blobs/${digest}`);
  }

  mount(name: string, from: string, digest: string): Promise<number> {
    return this.status('POST', name, `blobs/uploads/?mount=${digest}&from=${REPO}/${from}`);
  }

  delete(name: string, path: string): Promise<number> {
    return this.status('DELETE', name, path);
  }

  async requireImage(name: string, image: Image): Promise<void> {
    const answer = await this.#client.expect([200], 'GET', `/v2/${REPO}/${name}/manifests/${image.digest}`);
    assert.ok(answer.body.equals(image.manifest));
    for (const blob of image.blobs) await this.requireBlob(name, blob);
  }

  async requireBlob(name: string, { digest, bytes }: Blob): Promise<void> {
    const answer = await this.#client.expect([200], 'GET', `/v2/${REPO}/${name}/blobs/${digest}`);
    assert.ok(answer.body.equals(bytes), `${digest} has other bytes`);
  }

  letTimePass(name: string, graces: number): Promise<void> {
    return age(this.app.core, name, Math.round(graces * GRACE_MS));
  }

  /** All of what the server does of itself, now. */
  async sweep(): Promise<void> {
    await endLeases(this.app.core, GRACE_MS);
    await condemn(this.app.core);
    await removeObjects(this.app.core);
  }

  endAllLeases(): Promise<number> {
    return endLeases(this.app.core);
  }

  condemn() {
    return condemn(this.app.core);
  }

  removeObjects(): Promise<number> {
    return removeObjects(this.app.core);
  }

  /** A few turns of the event loop, for another interleaving each time. */
  async pause(turns: number): Promise<void> {
    if (turns > 0) await delay(turns);
  }

  /** Has a blob uploaded and condemned; returns the key of its object, which is still there. */
  async condemnOne(blob: Blob = this.newImage().blobs[1]!): Promise<string> {
    await this.sweep();
    await uploadBlob(this.#client, 'doomed', blob, 'two-steps');
    const { database } = this.app.core;
    const row = await database.read((db) =>
      db
        .selectFrom('blob')
        .select('store_key')
        .where('sha256', '=', blob.digest.slice('sha256:'.length))
        .executeTakeFirstOrThrow(),
    );
    assert.equal(await this.delete('doomed', `blobs/${blob.digest}`), 202);
    assert.equal((await this.condemn()).condemned, 1);
    assert.equal(await this.head('doomed', blob.digest), 404);
    return row.store_key!;
  }

  /** Stops when the first object is about to be removed, until told to go on. */
  removeObjectsSlowly() {
    const { database, driver } = this.app.core;
    const [reached, gate] = [Promise.withResolvers<string>(), Promise.withResolvers<void>()];
    const slow = Object.create(driver) as typeof driver;
    slow.remove = async (key) => {
      reached.resolve(key);
      await gate.promise;
      return driver.remove(key);
    };
    const options = { batch: 50, readerGraceMs: 0, proceed: async () => {} };
    const done = condemnDue({ database, driver }, options).then(() => emptyTrash({ database, driver: slow }, options));
    return { reached: reached.promise, goOn: () => gate.resolve(), done };
  }

  /** Begins to read a large blob and deletes it. */
  async startReading(): Promise<SlowReader> {
    await this.sweep();
    const blob = makeBlob(`race/${++this.#made}`, LARGE_BYTES);
    await uploadBlob(this.#client, 'read', blob, 'two-steps');
    const reader = await SlowReader.start(this.app, `/v2/${REPO}/read/blobs/${blob.digest}`, blob.bytes);
    assert.equal(await this.delete('read', `blobs/${blob.digest}`), 202);
    return reader;
  }

  /** Keys of the objects that blobs need. */
  async liveKeys(): Promise<Set<string>> {
    const rows = await this.app.core.database.read((db) => db.selectFrom('blob').select('store_key').execute());
    return new Set(rows.flatMap((row) => row.store_key ?? []));
  }

  async storedKeys(): Promise<Set<string>> {
    return new Set((await Array.fromAsync(this.app.core.driver.list())).map(({ key }) => key));
  }
}
