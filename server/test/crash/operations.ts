/** What a server is doing when a test kills it, and how a client does it again. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import type { Ledger } from './ledger.ts';
import {
  type Blob,
  type Image,
  makeBlob,
  makeImage,
  pathOf,
  putManifest,
  REPO,
  Refused,
  type RegistryClient,
  uploadBlob,
  withDigest,
} from './registry-client.ts';

export interface Scene {
  readonly client: RegistryClient;
  readonly ledger: Ledger;
  readonly image: string;
  /** Another image of the same repository. */
  readonly other: string;
  readonly first: Image;
  /** Shares a layer with the first. */
  readonly second: Image;
  /** The blob of the first image that the step is about. */
  readonly blob: Blob;
  /** Where the upload under way is, for those who want to go on with it. */
  session: string | undefined;
}

interface Steps {
  /** With a server that lives. */
  prepare?(scene: Scene): Promise<void>;
  /** With a server that dies of it. */
  run(scene: Scene): Promise<unknown>;
  /** With the next server: must succeed. */
  repeat(scene: Scene): Promise<unknown>;
}

const TAG = 'latest';
const nothing = async () => {};

export async function pushImage(
  { client, ledger }: Pick<Scene, 'client' | 'ledger'>,
  name: string,
  image: Image,
  tag?: string,
): Promise<void> {
  for (const blob of image.blobs) await uploadBlob(client, name, blob, 'whole');
  await put({ client, ledger }, name, image, tag);
}

function put({ client, ledger }: Pick<Scene, 'client' | 'ledger'>, name: string, image: Image, tag?: string) {
  return ledger.putManifest(name, image, tag, () => putManifest(client, name, tag ?? image.digest, image));
}

const pushFirst = (scene: Scene) => pushImage(scene, scene.image, scene.first, TAG);

function half(bytes: Buffer): [Buffer, Buffer] {
  return [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)];
}

async function uploadInChunks(scene: Scene): Promise<void> {
  const { client } = scene;
  const { bytes, digest } = scene.blob;
  scene.session = pathOf(await client.expect([202], 'POST', `/v2/${REPO}/${scene.image}/blobs/uploads/`));
  for (const part of half(bytes)) await client.expect([202], 'PATCH', scene.session, { body: part });
  await client.expect([201], 'PUT', withDigest(scene.session, digest));
}

/** What the session says of itself must be true; a client may go on from there, or else start again. */
async function continueUpload(scene: Scene): Promise<void> {
  const { client, session } = scene;
  const { bytes, digest } = scene.blob;
  const state = session === undefined ? undefined : await client.request('GET', session);
  if (session === undefined || state?.status === 404) return uploadBlob(client, scene.image, scene.blob, 'chunks');
  assert.equal(state?.status, 204, 'an upload that is known tells where it stands');
  const [, last] = /^0-(\d+)$/.exec(String(state.headers['range'])) ?? [];
  // "0-0" stands for nothing, since the grammar has no empty range.
  const received = Number(last) === 0 ? 0 : Number(last) + 1;
  const rest = bytes.subarray(received);
  if (rest.length > 0) {
    const headers = { 'content-range': `${received}-${bytes.length - 1}` };
    await client.expect([202], 'PATCH', session, { body: rest, headers });
  }
  await client.expect([201], 'PUT', withDigest(session, digest));
}

async function finishImage(scene: Scene): Promise<void> {
  const found = await scene.client.request('GET', `/v2/${REPO}/${scene.image}/blobs/${scene.blob.digest}`);
  if (found.status === 200) assert.deepEqual(found.body, scene.blob.bytes);
  await pushFirst(scene);
}

/** A manifest too large to be held in the database, none of whose layers was ever pushed. */
function hollowImage(scene: Scene): Image {
  const layers = Array.from({ length: 200 }, (_, i) => makeBlob(`${scene.image}/missing-${i}`, 10));
  return makeImage(scene.image, layers);
}

async function deleteReference({ client, image }: Scene, reference: string): Promise<void> {
  await client.expect([202], 'DELETE', `/v2/${REPO}/${image}/manifests/${reference}`);
}

/** The first answer may have been lost on its way: gone is gone. */
async function deleteAgain({ client, image }: Scene, reference: string): Promise<void> {
  await client.expect([202, 404], 'DELETE', `/v2/${REPO}/${image}/manifests/${reference}`);
}

const STORAGE = '/artifactory/api/storage';
/** More than one transaction takes. */
const MANY = 350;

function manyFolder({ image }: Scene): string {
  return `generic-local/many/${image}`;
}

async function putMany(scene: Scene): Promise<void> {
  for (let i = 0; i < MANY; i += 50) {
    const names = Array.from({ length: 50 }, (_, j) => `d${j % 3}/f${i + j}`);
    await Promise.all(
      names.map((name) =>
        scene.client.expect([201], 'PUT', `/artifactory/${manyFolder(scene)}/${name}`, { body: Buffer.from(name) }),
      ),
    );
  }
}

async function deleteMany(scene: Scene): Promise<void> {
  await scene.client.expect([204, 404], 'DELETE', `/artifactory/${manyFolder(scene)}`);
}

/** The source may be gone, if a server that died had agreed to the move. */
async function moveMany(scene: Scene): Promise<void> {
  const [repo, ...path] = manyFolder(scene).split('/');
  const to = `/${manyFolder(scene)}-moved`;
  const address = `/artifactory/api/move/${repo}/${path.join('/')}?to=${encodeURIComponent(to)}&atomic=0`;
  const gone = await scene.client.request('GET', `${STORAGE}/${manyFolder(scene)}-moved`);
  if (gone.status === 404) await scene.client.expect([200, 404], 'POST', address);
}

/** The server that does the work dies of it: whoever talks to it notices. */
async function untilCut(scene: Scene, work: () => Promise<void>): Promise<void> {
  await work();
  const until = Date.now() + 20_000;
  while (Date.now() < until) await scene.client.request('GET', '/artifactory/api/system/ping');
}

/** Every file is at the place, once what was begun is done. */
async function untilThere(scene: Scene, place: string): Promise<void> {
  await eventually(async () => {
    const answer = await scene.client.expect([200], 'GET', `${STORAGE}/${place}?list&deep=1`);
    const { files } = JSON.parse(answer.body.toString()) as { files: unknown[] };
    assert.equal(files.length, MANY);
  }, 30_000);
}

const STEPS = {
  'uploads a blob in chunks': {
    run: uploadInChunks,
    async repeat(scene) {
      await continueUpload(scene);
      await finishImage(scene);
    },
  },
  'uploads a blob in one request': {
    run: (scene) => uploadBlob(scene.client, scene.image, scene.blob, 'whole'),
    repeat: finishImage,
  },
  'uploads bytes that are there already': {
    prepare: (scene) => pushImage(scene, scene.other, scene.first, TAG),
    run: (scene) => uploadBlob(scene.client, scene.image, scene.blob, 'whole'),
    repeat: finishImage,
  },
  'mounts a blob': {
    prepare: (scene) => pushImage(scene, scene.other, scene.first, TAG),
    run: mount,
    async repeat(scene) {
      await mount(scene);
      await finishImage(scene);
    },
  },
  'puts a manifest': {
    async prepare(scene) {
      for (const blob of scene.first.blobs) await uploadBlob(scene.client, scene.image, blob, 'two-steps');
    },
    run: (scene) => put(scene, scene.image, scene.first, TAG),
    repeat: (scene) => put(scene, scene.image, scene.first, TAG),
  },
  'moves a tag': {
    async prepare(scene) {
      await pushFirst(scene);
      await pushImage(scene, scene.image, scene.second);
    },
    run: (scene) => put(scene, scene.image, scene.second, TAG),
    repeat: (scene) => put(scene, scene.image, scene.second, TAG),
  },
  'deletes a tag': {
    prepare: pushFirst,
    run: (scene) => scene.ledger.deleteTag(scene.image, TAG, () => deleteReference(scene, TAG)),
    repeat: (scene) => scene.ledger.deleteTag(scene.image, TAG, () => deleteAgain(scene, TAG)),
  },
  'deletes a manifest': {
    prepare: pushFirst,
    run: (scene) => deleteManifest(scene, deleteReference),
    repeat: (scene) => deleteManifest(scene, deleteAgain),
  },
  'puts a manifest whose blobs are missing': {
    run: (scene) => putManifest(scene.client, scene.image, TAG, hollowImage(scene)),
    repeat: (scene) => assert.rejects(putManifest(scene.client, scene.image, TAG, hollowImage(scene)), Refused),
  },
  'deletes a folder of many files': {
    prepare: putMany,
    run: (scene) => untilCut(scene, () => deleteMany(scene)),
    async repeat(scene) {
      // What was agreed to is done by the next server; what was not can be asked for again.
      await deleteMany(scene);
      await untilThere(scene, `auto-trashcan/${manyFolder(scene)}`);
      await scene.client.expect([404], 'GET', `${STORAGE}/${manyFolder(scene)}`);
    },
  },
  'moves a folder of many files': {
    prepare: putMany,
    run: (scene) => untilCut(scene, () => moveMany(scene)),
    async repeat(scene) {
      await moveMany(scene);
      await untilThere(scene, `${manyFolder(scene)}-moved`);
      await eventually(
        () => scene.client.expect([404], 'GET', `${STORAGE}/${manyFolder(scene)}`).then(() => undefined),
        30_000,
      );
    },
  },
  sweeps: {
    async prepare(scene) {
      await pushFirst(scene);
      await pushImage(scene, scene.other, scene.second, TAG);
      // A manifest that goes, a blob that no manifest will name, and an upload that nobody will finish.
      await deleteManifest(scene, deleteReference);
      await uploadBlob(scene.client, scene.image, makeBlob(`${scene.image}/loose`, 100_000), 'whole');
      const session = pathOf(await scene.client.expect([202], 'POST', `/v2/${REPO}/${scene.image}/blobs/uploads/`));
      await scene.client.expect([202], 'PATCH', session, { body: scene.blob.bytes });
      // Open uploads are kept for a second at least.
      await delay(1000);
    },
    run: nothing,
    repeat: pushFirst,
  },
} satisfies Record<string, Steps>;

export type Operation = keyof typeof STEPS;
export const OPERATIONS: Readonly<Record<Operation, Steps>> = STEPS;

function mount({ client, image, other, ...scene }: Scene): Promise<unknown> {
  const query = `mount=${scene.blob.digest}&from=${other}`;
  return client.expect([201], 'POST', `/v2/${REPO}/${image}/blobs/uploads/?${query}`);
}

function deleteManifest(scene: Scene, by: (scene: Scene, reference: string) => Promise<void>): Promise<void> {
  const { digest } = scene.first;
  return scene.ledger.deleteManifest(scene.image, digest, () => by(scene, digest));
}
