/** Killed at random moments under load, again and again: nothing acknowledged is lost. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { checkOverHttp } from './checker.ts';
import { Ledger } from './ledger.ts';
import { createPlace, type Place, type Storage } from './place.ts';
import { type Load, Pusher } from './pusher.ts';
import { makeBlob, RegistryClient } from './registry-client.ts';
import { runSeed, Seeded } from './seeded.ts';
import { endAll, ServerProcess } from './server-process.ts';
import { checkAtRest } from './store-checker.ts';

const KILLS = Number(process.env['ENTREPOT_FAULT_KILLS'] ?? 50);
const PUSHERS = 6;
const GRACE_MS = 20_000;
const ENV = {
  ENTREPOT_SWEEP__INTERVAL_MS: '100',
  ENTREPOT_SWEEP__GRACE_MS: String(GRACE_MS),
  ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
  ENTREPOT_SWEEP__READER_GRACE_MS: '200',
  ENTREPOT_UPLOADS__FINISHED_MEMORY_MS: '5000',
  ENTREPOT_UPLOADS__EXPIRE_MS: '60000',
};
/** A server dies after up to so many acknowledged writes, or when it took too long about them. */
const MAX_WRITES = 25;
const MAX_LIFE_MS = 1500;
/** A machine that needs longer per kill does fewer. With two servers more to speak to, each takes longer. */
for (const [storage, kills, limitMs] of [
  ['sqlite-fs', KILLS, 1500],
  ['postgres-s3', Math.ceil(KILLS / 5), 4000],
] as const) {
  describe(`killed under load (${storage})`, () => {
    it(`loses no acknowledged write in ${kills} kills`, { timeout: 60_000 + 2 * kills * limitMs }, async (t) => {
      const seed = runSeed();
      t.diagnostic(`seed ${seed}`);
      t.diagnostic(await killUnderLoad(storage, { kills, limitMs }, seed));
    });
  });
}

interface Plan {
  readonly kills: number;
  /** Time for each of them. */
  readonly limitMs: number;
}

async function killUnderLoad(storage: Storage, plan: Plan, seed: string): Promise<string> {
  const place = await createPlace(storage);
  try {
    return await run(place, plan, new Seeded(`${seed}/${storage}`));
  } finally {
    await endAll(place);
    await place.remove();
  }
}

async function run(place: Place, { kills, limitMs }: Plan, random: Seeded): Promise<string> {
  const names = Array.from({ length: PUSHERS }, (_, i) => `load-${i}`);
  const client = new RegistryClient(place);
  const gate = new Gate();
  const load: Load = {
    client,
    ledger: new Ledger(),
    base: [3000, 30_000, 300_000].map((size) => makeBlob(`${random.seed}/base-${size}`, size)),
    images: names,
    complaints: [],
    up: () => gate.whenOpen,
    maxLayerBytes: 2_000_000,
    graceMs: GRACE_MS,
  };
  const pushers = names.map((name) => new Pusher(name, load, random.fork(name)));
  let server = await ServerProcess.start(place, { env: ENV });
  await client.login();
  gate.open();
  const work = Promise.all(pushers.map((pusher) => pusher.run()));
  const until = performance.now() + 30_000 + kills * limitMs;
  let killed = 0;
  while (killed < kills && performance.now() < until && load.complaints.length === 0) {
    await live(load.ledger, random);
    gate.close();
    assert.equal((await server.kill()).signal, 'SIGKILL', `the server ended by itself: ${server.output}`);
    killed += 1;
    server = await ServerProcess.spawn(place, { env: ENV });
    // Some die while they start.
    if (random.chance(0.1)) continue;
    await server.ready();
    gate.open();
  }
  await server.ready();
  gate.open();
  for (const pusher of pushers) pusher.stop();
  await work;
  assert.deepEqual(load.complaints, []);
  const { violations, counts } = await checkOverHttp(client, load.ledger);
  assert.deepEqual(violations, []);
  await server.kill();
  assert.deepEqual(await checkAtRest(place), []);
  client.close();
  assert.ok(killed >= kills / 2, `only ${killed} kills were possible in the time given`);
  const { acknowledged, unknown } = load.ledger;
  const [pushes, reread] = [sum(pushers, 'pushes'), sum(pushers, 'verified')];
  return `${killed} kills, ${acknowledged} acknowledged writes (${pushes} pushes), ${unknown} without an answer, ${reread} images read back under load, then ${counts.manifests} manifests and ${counts.blobs} blobs: 0 lost`;
}

/** Returns at a random moment in the life of a server. */
async function live(ledger: Ledger, random: Seeded): Promise<void> {
  const enough = ledger.acknowledged + random.int(0, MAX_WRITES);
  const limit = performance.now() + MAX_LIFE_MS;
  while (ledger.acknowledged < enough && performance.now() < limit) await delay(2);
  await delay(random.next() * 20);
}

function sum(pushers: readonly Pusher[], what: 'pushes' | 'verified'): number {
  return pushers.reduce((total, pusher) => total + pusher[what], 0);
}

/** Lets the clients through while there is a server. */
class Gate {
  #passage = Promise.withResolvers<void>();
  #isOpen = false;

  get whenOpen(): Promise<void> {
    return this.#passage.promise;
  }

  open(): void {
    this.#isOpen = true;
    this.#passage.resolve();
  }

  close(): void {
    if (this.#isOpen) this.#passage = Promise.withResolvers();
    this.#isOpen = false;
  }
}
