/** Several clients do random operations at once while the upkeep runs; at rest everything must fit together. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { BLOBS, MANIFESTS, manifestOf, TAGS } from './model-catalog.ts';
import { type Operation, randomOperation } from './model-operations.ts';
import { collect, condemn, differencesAtRest, endLeases, removeObjects } from './model-upkeep.ts';
import { GRACE_MS, type ModelImages, type ModelWorld } from './model-world.ts';
import { digestOf } from './registry-client.ts';
import type { Seeded } from './seeded.ts';

export interface ConcurrentOptions {
  readonly clients: number;
  readonly operations: number;
}

/** Answers that the others' doings can explain. */
const POSSIBLE: Partial<Record<Operation['do'], readonly (number | undefined)[]>> = {
  upload: [201],
  'begin upload': [202],
  'finish upload': [201, undefined],
  mount: [201, 202],
  head: [200, 404],
  'delete blob': [202, 404, 405],
  push: [201, 400],
  put: [201, 400],
  retag: [201, 400, undefined],
  untag: [202, 404],
  'delete manifest': [202, 403, 404],
};
/** What stops others, or is done by the sweeper. */
const NOT_BY_CLIENTS = { restart: 0, 'end uploads': 0, 'end all leases': 0, 'let time pass': 1, check: 8 };

/** One round; returns the number of sweeps. */
export async function runAtOnce(world: ModelWorld, random: Seeded, options: ConcurrentOptions): Promise<number> {
  let working = true;
  const clients = Array.from({ length: options.clients }, (_, i) => {
    return work(world.images(), random.fork(`client ${i}`), options.operations);
  });
  const sweeping = sweepWhile(world, random.fork('sweeper'), () => working);
  try {
    await Promise.all(clients);
  } finally {
    working = false;
    await sweeping.catch(() => undefined);
  }
  const sweeps = await sweeping;
  await checkAtRest(world);
  return sweeps;
}

async function work(images: ModelImages, random: Seeded, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const operation = randomOperation(random, NOT_BY_CLIENTS);
    if (operation.do === 'check') {
      await readSome(images, random);
      continue;
    }
    const status = await images.perform(operation);
    const possible = POSSIBLE[operation.do];
    if (possible) assert.ok(possible.includes(status), `${JSON.stringify(operation)} was answered ${status}`);
  }
}

/** It may be gone; if it is there, it is right. */
async function readSome(images: ModelImages, random: Seeded): Promise<void> {
  const image = random.int(0, 2);
  const [digest, { bytes }] = random.pick([...BLOBS]);
  const { digest: manifest, mediaType } = random.pick(Object.values(MANIFESTS));
  const read = await Promise.all([
    images.get(image, `blobs/${digest}`),
    images.get(image, `manifests/${manifest}`, mediaType),
  ]);
  for (const { status } of read) assert.ok([200, 404].includes(status), `a read was answered ${status}`);
  if (read[0].status === 200) assert.ok(read[0].body.equals(bytes), `I2: ${digest} has other bytes`);
  if (read[1].status === 200) assert.equal(digestOf(read[1].body), manifest, 'I2: a manifest has other bytes');
}

async function sweepWhile({ app }: ModelWorld, random: Seeded, isWorking: () => boolean): Promise<number> {
  let sweeps = 0;
  for (; isWorking(); sweeps++) {
    await endLeases(app.core, random.chance(0.2) ? undefined : GRACE_MS);
    await condemn(app.core);
    await removeObjects(app.core);
    await delay(random.int(0, 10));
  }
  return sweeps;
}

/** Whatever is there is whole, and after a collection nothing else is left. */
async function checkAtRest(world: ModelWorld): Promise<void> {
  const images = world.images();
  await checkImages(images);
  await collect(world.app.core);
  const held = await checkImages(images);
  assert.deepEqual(await differencesAtRest(world.app.core, held), []);
}

async function checkImages(images: ModelImages): Promise<Set<string>> {
  const held = new Set<string>();
  for (const image of [0, 1]) {
    const there = new Set<string>();
    for (const spec of Object.values(MANIFESTS)) {
      const answer = await images.get(image, `manifests/${spec.digest}`, spec.mediaType);
      assert.ok([200, 404].includes(answer.status), `a manifest was answered ${answer.status}`);
      if (answer.status === 404) continue;
      assert.ok(answer.body.equals(spec.manifest), `I2: the manifest ${spec.digest} has other bytes`);
      there.add(spec.digest);
    }
    for (const tag of TAGS) {
      const answer = await images.get(image, `manifests/${tag}`);
      if (answer.status !== 404) assert.ok(there.has(digestOf(answer.body)), `I1: what ${tag} points to is not there`);
    }
    for (const digest of there) {
      held.add(digest);
      const { needs, children } = manifestOf(digest);
      for (const need of needs) {
        held.add(need);
        if (children.length > 0) assert.ok(there.has(need), `I1: ${digest} names ${need}, which is not there`);
        else await checkBlob(images, image, need);
      }
    }
  }
  return held;
}

async function checkBlob(images: ModelImages, image: number, digest: string): Promise<void> {
  const answer = await images.get(image, `blobs/${digest}`);
  assert.equal(answer.status, 200, `I1: ${images.names[image]} needs ${digest}`);
  assert.ok(answer.body.equals(BLOBS.get(digest)!.bytes), `I2: ${digest} has other bytes`);
}
