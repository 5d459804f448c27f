/** Full push load on a server while it is swept again and again. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { sweepOnce } from '../../src/repositories/reclaim.ts';
import { type Storage, startTestApp, type TestApp } from '../support/test-app.ts';
import { checkOverHttp } from './checker.ts';
import { Ledger } from './ledger.ts';
import { collect, differencesAtRest } from './model-upkeep.ts';
import { type Load, Pusher } from './pusher.ts';
import { makeBlob, RegistryClient } from './registry-client.ts';
import type { Seeded } from './seeded.ts';

const PUSHERS = 6;
/** Much longer than a push, and short enough that leases end in the middle of the run. */
const GRACE_MS = 8000;
const PAUSE_MS = 50;
const ENV = {
  ENTREPOT_SWEEP__GRACE_MS: String(GRACE_MS),
  ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
  ENTREPOT_SWEEP__READER_GRACE_MS: '200',
  ENTREPOT_UPLOADS__FINISHED_MEMORY_MS: '1000',
  ENTREPOT_STORAGE__FREE_SPACE_FLOOR_BYTES: '0',
  // The test sweeps by itself, to count.
  ENTREPOT_JOBS__WORKERS: '0',
};

/** Returns what was done, in words. */
export async function sweepUnderLoad(storage: Storage, sweeps: number, random: Seeded): Promise<string> {
  await using app = await startTestApp(storage, ENV);
  const names = Array.from({ length: PUSHERS }, (_, i) => `load-${i}`);
  const client = new RegistryClient(app);
  await client.login();
  const load: Load = {
    client,
    ledger: new Ledger(),
    base: [3000, 30_000, 100_000].map((size) => makeBlob(`${random.seed}/base-${size}`, size)),
    images: names,
    complaints: [],
    up: async () => {},
    maxLayerBytes: 200_000,
    graceMs: GRACE_MS,
  };
  const pushers = names.map((name) => new Pusher(name, load, random.fork(name)));
  const started = performance.now();
  const work = Promise.all(pushers.map((pusher) => pusher.run()));
  const total = { condemned: 0, bytes: 0, removed: 0 };
  let done = 0;
  // Leases must have had the time to end.
  for (; done < sweeps || performance.now() - started < 1.5 * GRACE_MS; done++) {
    const { condemned, bytes, removed } = await sweepOnce(app.core, async () => {});
    total.condemned += condemned;
    total.bytes += bytes;
    total.removed += removed;
    if (load.complaints.length > 0) break;
    await delay(PAUSE_MS);
  }
  for (const pusher of pushers) pusher.stop();
  await work;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  assert.deepEqual(load.complaints, []);
  assert.equal(load.ledger.unknown, 0, 'no push, deletion or change of a tag failed');
  assert.ok(total.condemned > 0 && total.removed > 0, 'there was something to collect');
  const counts = await checkAfterwards(app, client, load.ledger);
  client.close();
  const pushes = pushers.reduce((sum, pusher) => sum + pusher.pushes, 0);
  return `${done} sweeps in ${seconds} s took ${total.condemned} blobs (${total.bytes} bytes) and ${total.removed} objects; ${pushes} pushes, none lost or refused; ${counts.manifests} manifests and ${counts.blobs} blobs read back`;
}

async function checkAfterwards(app: TestApp, client: RegistryClient, ledger: Ledger) {
  assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
  await collect(app.core);
  const { violations, counts } = await checkOverHttp(client, ledger);
  assert.deepEqual(violations, []);
  assert.deepEqual(await differencesAtRest(app.core, liveDigests(ledger)), []);
  assert.deepEqual(app.complaints, []);
  return counts;
}

function liveDigests(ledger: Ledger): Set<string> {
  const live = new Set<string>();
  for (const { manifests } of ledger.images.values()) {
    for (const [digest, { present, blobs }] of manifests) {
      if (!present.has(true)) continue;
      live.add(digest);
      for (const blob of blobs.keys()) live.add(blob);
    }
  }
  return live;
}
