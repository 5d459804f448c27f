/** A full disk: honest refusals, nothing left behind, reads and deletes go on, and afterwards the same push works. */
import assert from 'node:assert/strict';
import { mkdir, readdir, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { checkOverHttp } from './checker.ts';
import { Ledger } from './ledger.ts';
import { pushImage } from './operations.ts';
import { createPlace, type Place } from './place.ts';
import {
  type Answer,
  type Image,
  makeBlob,
  makeImage,
  REPO,
  Refused,
  RegistryClient,
  type UploadMode,
  uploadBlob,
} from './registry-client.ts';
import { endAll, ServerProcess } from './server-process.ts';
import { cannotMount, mountSmallDisk, type SmallDisk } from './small-disk.ts';
import { checkAtRest } from './store-checker.ts';

const skip = (await cannotMount()) ?? false;
const IMAGE = 'app';
const TAG = 'v1';
const SWEEPING = {
  ENTREPOT_SWEEP__INTERVAL_MS: '100',
  ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
  ENTREPOT_SWEEP__READER_GRACE_MS: '0',
};

const small = makeImage('small', [makeBlob('disk/small', 50_000)]);
const large = makeImage('large', [makeBlob('disk/large', 8_000_000)]);

interface Stand {
  readonly disk: SmallDisk;
  readonly place: Place;
  readonly client: RegistryClient;
  readonly ledger: Ledger;
  server: ServerProcess;
}

describe('on a full disk', { skip }, () => {
  const stands: Stand[] = [];
  afterEach(async () => {
    for (const { place, client, disk } of stands.splice(0)) {
      client.close();
      await endAll(place);
      await place.remove();
      await disk.remove();
    }
  });

  async function stand(options: {
    readonly mebibytes: number;
    readonly inodes?: number;
    /** What lies on the small disk; the rest is elsewhere. */
    readonly holds: 'everything' | 'blobs' | 'database';
    readonly env?: Readonly<Record<string, string>>;
  }): Promise<Stand> {
    const disk = await mountSmallDisk(options.mebibytes, options.inodes);
    const onDisk = join(disk.path, 'data');
    await mkdir(onDisk);
    const place = await createPlace('sqlite-fs', options.holds === 'blobs' ? {} : { dataDir: onDisk });
    if (options.holds === 'blobs') await symlink(onDisk, join(place.dataDir, 'blobs'));
    if (options.holds === 'database') {
      const elsewhere = await createPlace('sqlite-fs');
      await symlink(elsewhere.dataDir, join(onDisk, 'blobs'));
    }
    const server = await ServerProcess.start(place, { env: { ...SWEEPING, ...options.env } });
    const made = { disk, place, client: new RegistryClient(place), ledger: new Ledger(), server };
    stands.push(made);
    await made.client.login();
    await pushImage(made, IMAGE, small, TAG);
    return made;
  }

  for (const mode of ['whole', 'two-steps', 'chunks'] as const) {
    it(`refuses a blob sent in mode "${mode}" and takes it when there is space again`, async () => {
      const { disk, place, client, ledger } = await stand({ mebibytes: 24, holds: 'everything' });
      const filler = makeBlob('disk/filler', 16_500_000);
      await uploadBlob(client, IMAGE, filler, 'whole');
      await refuses(() => uploadBlob(client, IMAGE, large.blobs[1]!, mode), 507);
      await nothingIsStaged(place);
      await stillWorks(client, ledger);
      await client.expect([202], 'DELETE', `/v2/${REPO}/${IMAGE}/blobs/${filler.digest}`);
      await eventually(() => succeeds(client, large, mode));
      await push(client, ledger, large, 'again', mode);
      assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
      await disk.free();
    });
  }

  it('refuses small things too when not a byte is left, and loses none of what it acknowledged', async () => {
    const { disk, place, client, ledger, server } = await stand({ mebibytes: 24, holds: 'everything' });
    await disk.fill();
    await fillsUp(client, ledger);
    await refuses(() => uploadBlob(client, IMAGE, large.blobs[1]!, 'whole'), 507);
    await reads(client, ledger);
    await disk.free();
    await push(client, ledger, large, 'again', 'whole');
    assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
    await server.kill();
    assert.deepEqual(await checkAtRest(place), []);
  });

  it('says so when the disk of the database is full, and goes on when it is not', async () => {
    const { disk, place, client, ledger, server } = await stand({ mebibytes: 8, holds: 'database' });
    await disk.fill();
    await fillsUp(client, ledger);
    await reads(client, ledger);
    await disk.free();
    await push(client, ledger, large, 'again', 'chunks');
    assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
    await server.kill();
    assert.deepEqual(await checkAtRest(place), []);
    await ServerProcess.start(place);
    assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
  });

  it('refuses uploads before the disk is full, so that the rest goes on', async () => {
    const floor = { ENTREPOT_STORAGE__FREE_SPACE_FLOOR_BYTES: String(20 * 1024 * 1024) };
    const { disk, client, ledger } = await stand({ mebibytes: 40, holds: 'everything', env: floor });
    let sent = 0;
    await eventually(async () => {
      const blob = makeBlob(`disk/floor-${++sent}`, 2_000_000);
      await refuses(() => uploadBlob(client, IMAGE, blob, 'whole'), 507);
    }, 30_000);
    await refuses(() => uploadBlob(client, IMAGE, large.blobs[1]!, 'whole'), 507);
    await stillWorks(client, ledger);
    await disk.free();
  });

  it('refuses what needs a file when there are no more files', async () => {
    const { disk, client, ledger } = await stand({ mebibytes: 24, inodes: 400, holds: 'everything' });
    await disk.takeInodes();
    await refuses(() => uploadBlob(client, IMAGE, large.blobs[1]!, 'whole'), 507);
    await refuses(() => uploadBlob(client, IMAGE, large.blobs[1]!, 'chunks'), 507);
    await stillWorks(client, ledger);
    await disk.free();
    await push(client, ledger, large, 'again', 'whole');
    assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
  });

  it('answers 503 to uploads while the disk of the blobs is read-only, and serves what is there', async () => {
    const { disk, client, ledger } = await stand({ mebibytes: 24, holds: 'blobs' });
    await disk.setReadOnly(true);
    for (const mode of ['whole', 'chunks'] as const) {
      await refuses(() => uploadBlob(client, IMAGE, large.blobs[1]!, mode), 503);
    }
    await stillWorks(client, ledger);
    await disk.setReadOnly(false);
    await push(client, ledger, large, 'again', 'whole');
    assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
  });
});

/** The refusal has the status and says, in a sentence, what is the matter. */
async function refuses(work: () => Promise<unknown>, status: number): Promise<Answer> {
  const refused = await work().then(
    () => assert.fail(`${status} was expected, but it succeeded`),
    (error: unknown) => error,
  );
  if (!(refused instanceof Refused)) throw refused;
  assert.equal(refused.answer.status, status, refused.message);
  const { errors } = JSON.parse(refused.answer.body.toString()) as { errors: { message: string }[] };
  assert.match(errors[0]?.message ?? '', /^[A-Z].*\.$/);
  return refused.answer;
}

async function push(
  client: RegistryClient,
  ledger: Ledger,
  image: Image,
  tag: string,
  mode: UploadMode,
): Promise<void> {
  for (const blob of image.blobs) await uploadBlob(client, IMAGE, blob, mode);
  await pushImage({ client, ledger }, IMAGE, image, tag);
}

async function succeeds(client: RegistryClient, image: Image, mode: UploadMode): Promise<void> {
  for (const blob of image.blobs) await uploadBlob(client, IMAGE, blob, mode);
}

/** Small writes go on until they are refused for lack of space, and for no other reason. */
async function fillsUp(client: RegistryClient, ledger: Ledger): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    const image = makeImage(`tiny ${i}`, [makeBlob(`disk/tiny-${i}`, 10_000)]);
    try {
      await pushImage({ client, ledger }, IMAGE, image, `tiny-${i}`);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      assert.equal(error.answer.status, 507, error.message);
      return;
    }
  }
  assert.fail('the disk never filled up');
}

/** Only what sessions that can go on have acknowledged is left. */
async function nothingIsStaged(place: Place): Promise<void> {
  const staging = join(place.dataDir, 'blobs', 'staging');
  const sizes = await Promise.all(
    (await readdir(staging)).map(async (id) => [id, (await stat(join(staging, id))).size]),
  );
  const sessions = await place.sql("select stage_id, received from upload where stage_id <> ''");
  assert.deepEqual(sizes.sort(), sessions.map((row) => [row['stage_id'], row['received']]).sort());
}

async function reads(client: RegistryClient, ledger: Ledger): Promise<void> {
  assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
}

/** Reads go on, and so do deletes. */
async function stillWorks(client: RegistryClient, ledger: Ledger): Promise<void> {
  await reads(client, ledger);
  const path = `/v2/${REPO}/${IMAGE}/manifests/${TAG}`;
  await ledger.deleteTag(IMAGE, TAG, () => client.expect([202], 'DELETE', path));
  await reads(client, ledger);
}
