/**
 * The power is cut (faults F02, invariants I1, I2, I4, I5, I10): of what the server did not sync, any part is lost.
 * Its real calls are recorded once; from the record the disks that many cuts could leave are built and started from.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { checkOverHttp, forEach } from './checker.ts';
import { createPlace, type Place } from './place.ts';
import type { Sync } from './power-disk.ts';
import { findDisorder } from './power-order.ts';
import { expectedAt, pathOfFile, type Recording, record } from './power-recording.ts';
import { whyNoStrace } from './power-trace.ts';
import { digestOf, makeBlob, makeImage, NoAnswer, putManifest, RegistryClient, uploadBlob } from './registry-client.ts';
import { runSeed, Seeded } from './seeded.ts';
import { endAll, ServerProcess } from './server-process.ts';
import { checkAtRest } from './store-checker.ts';

const KILLS = Number(process.env['ENTREPOT_FAULT_KILLS'] ?? 50);
const CUTS = KILLS >= 1000 ? 400 : 25;
/** A machine that needs longer for a cut makes fewer. */
const LIMIT_PER_CUT_MS = 4000;
/** So many cuts are tried at most until one shows what a missing sync loses. */
const TRIES = 12;
const QUIET = { ENTREPOT_SWEEP__INTERVAL_MS: '3600000' };

/** Programs that leave syncs out. Each must be found out, or the cuts prove nothing. */
const MUTANTS: readonly { readonly name: string; readonly ignores: (sync: Sync) => boolean }[] = [
  { name: 'never syncs', ignores: () => true },
  { name: 'does not sync the files of blobs', ignores: ({ path }) => path.startsWith('blobs/staging/') },
  { name: 'does not sync the folders of blobs', ignores: ({ path }) => /^blobs\/objects\/../.test(path) },
  { name: 'does not sync the log', ignores: ({ path }) => path.endsWith('-wal') },
];

const why = await whyNoStrace();

describe('the power is cut', { skip: why ?? false }, () => {
  const seed = runSeed();
  let place: Place;
  let recording: Recording;

  before(async () => {
    place = await createPlace('sqlite-fs');
    recording = await record(place, QUIET);
  });
  after(async () => {
    if (!place) return;
    await endAll(place);
    await place.remove();
  });

  it('is told by a complete record', () => recording.disk.assertComplete());

  it('answers a write only after its bytes, their name and its commit are synced, in this order', (t) => {
    const { disorder, checked } = findDisorder(recording);
    assert.deepEqual(disorder, []);
    assert.ok(checked.objects > 0 && checked.commits > checked.objects);
    t.diagnostic(`${checked.commits} acknowledged writes, ${checked.objects} of them with a file`);
  });

  for (const what of ['blobs/staging/', 'blobs/objects/', '-wal']) {
    it(`sees the disorder when the syncs of ${what} are taken out of the record`, () => {
      const calls = recording.calls.filter(({ name, file }) => !(/sync$/.test(name) && file?.includes(what)));
      assert.ok(findDisorder({ ...recording, calls }).disorder.length > 0);
    });
  }

  it(`loses no acknowledged write in ${CUTS} cuts`, { timeout: 60_000 + CUTS * 10_000 }, async (t) => {
    t.diagnostic(`seed ${seed}`);
    const random = new Seeded(`${seed}/cuts`);
    const until = performance.now() + CUTS * LIMIT_PER_CUT_MS;
    let checked = 0;
    let cuts = 0;
    for (; cuts < CUTS && performance.now() < until; cuts++) {
      const at = momentOf(random, recording);
      const found = await cutAndCheck(recording, at, random.fork(String(cuts)));
      assert.deepEqual(found.violations, [], `cut ${cuts} of seed ${seed}, at moment ${at}`);
      checked += found.checked;
    }
    assert.ok(cuts >= CUTS / 2, `only ${cuts} cuts were possible in the time given`);
    t.diagnostic(`${cuts} cuts, ${checked} acknowledged manifests, blobs and files read back: 0 lost`);
  });

  for (const { name, ignores } of MUTANTS) {
    it(`finds out a server that ${name}`, { timeout: 120_000 }, async (t) => {
      const random = new Seeded(`${seed}/${name}`);
      for (let i = 0; i < TRIES; i++) {
        const at = afterReply(random, recording);
        const { violations } = await cutAndCheck(recording, at, random.fork(String(i)), ignores);
        if (violations.length === 0) continue;
        t.diagnostic(`cut ${i + 1}: ${violations[0]?.slice(0, 160)}`);
        return;
      }
      assert.fail(`no cut of seed ${seed} showed it`);
    });
  }
});

/** Half of the cuts come just after an answer, when the most could be lost of what was just promised. */
function momentOf(random: Seeded, recording: Recording): number {
  return random.chance(0.5) ? afterReply(random, recording) : random.pick(recording.disk.moments);
}

function afterReply(random: Seeded, { steps, repliedAt }: Recording): number {
  return repliedAt(random.pick(steps)) + 1;
}

interface Found {
  readonly violations: string[];
  readonly checked: number;
}

async function cutAndCheck(
  recording: Recording,
  at: number,
  random: Seeded,
  ignores?: (sync: Sync) => boolean,
): Promise<Found> {
  const dataDir = await mkdtemp(join(tmpdir(), 'entrepot-power-'));
  const place = await createPlace('sqlite-fs', { dataDir });
  try {
    await recording.disk.writeState(dataDir, { at, random, ...(ignores && { ignores }) });
    const server = await ServerProcess.spawn(place, { env: QUIET });
    const trouble = await server.ready().catch((error: Error) => error);
    if (trouble) return { violations: [`P10: it does not start: ${trouble.message}`], checked: 0 };
    const found = await checkServed(place, recording, at);
    await server.kill();
    // What was placed before a cut and never named is left to `entrepot check`.
    const resting = (await checkAtRest(place)).filter((violation) => !violation.startsWith('I9'));
    return { ...found, violations: [...found.violations, ...resting] };
  } finally {
    await endAll(place);
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function checkServed(place: Place, recording: Recording, at: number): Promise<Found> {
  const images = new RegistryClient(place);
  const files = new RegistryClient(place);
  await images.login();
  const expected = await expectedAt(recording, at);
  const { violations, counts } = await checkOverHttp(images, expected.ledger);
  await forEach([...expected.blobs], async ([path, { digest }]) => {
    // A connection that is cut in the middle is an honest answer, but not the bytes that were promised.
    const answer = await images.request('GET', path).catch((error: unknown) => {
      if (error instanceof NoAnswer) return undefined;
      throw error;
    });
    if (answer?.status === 200 && digestOf(answer.body) === digest) return;
    violations.push(`I1: the acknowledged blob ${path} is answered ${answer?.status ?? 'by a cut connection'}`);
  });
  await forEach([...expected.files], async ([path, possible]) => {
    const answer = await files.request('GET', pathOfFile(path));
    const state = answer.status === 404 ? null : digestOf(answer.body);
    if (!possible.has(state)) violations.push(`I1: the file ${path} is answered ${answer.status} and is ${state}`);
  });
  await pushNext(images);
  images.close();
  files.close();
  return { violations, checked: counts.manifests + expected.blobs.size + expected.files.size };
}

/** It goes on as if nothing had been. */
async function pushNext(client: RegistryClient): Promise<void> {
  const image = makeImage('next', [makeBlob('power-next', 30_000)]);
  for (const blob of image.blobs) await uploadBlob(client, 'power-next', blob, 'chunks');
  await putManifest(client, 'power-next', 'latest', image);
}
