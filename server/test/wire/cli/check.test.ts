/** `entrepot check` and `entrepot gc` over stores that were tampered with. */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { makeImage, sha256, TYPES } from '../../support/oci.ts';
import { type Installation, onEachDatabase, type ServerProcess } from './installation.ts';

const DAY_MS = 86_400_000;

onEachDatabase('check', (installation) => {
  let objects: string;
  before(async () => {
    const here = installation();
    objects = join(here.dataDir, 'blobs', 'objects');
    const server = await here.serve();
    for (const name of ['whole', 'gone', 'cut', 'flipped']) {
      const body = name.padEnd(40_000, name);
      assert.equal(await server.status(`/artifactory/generic-local/${name}`, { method: 'PUT', body }), 201);
    }
    await pushImage(server);
    await server.stop();
  });

  test('finds nothing wrong where nothing is', async () => {
    const out = await installation().succeed(['check', '--deep']);
    assert.match(out, /^Looked at \d+ blobs .* 1 versions: found nothing wrong\.$/m);
  });

  test('finds bytes that are missing, cut and, when it reads them, flipped, and says what to do', async () => {
    const here = installation();
    const [gone, cut, flipped] = ['gone', 'cut', 'flipped'].map((name) => objectOf(name));
    await rm(await fileOf(gone!));
    await truncate(await fileOf(cut!), 39_999);
    const file = await fileOf(flipped!);
    const bytes = await readFile(file);
    bytes[20_000] = (bytes[20_000] ?? 0) ^ 1;
    await writeFile(file, bytes);

    const { code, out } = await here.run(['check']);
    assert.equal(code, 1);
    assert.match(out, new RegExp(`^missing-bytes: .*${gone}`, 'm'));
    assert.match(out, new RegExp(`^wrong-size: .*${cut}.* 39999 bytes instead of 40000`, 'm'));
    assert.doesNotMatch(out, /wrong-bytes/);
    const deep = await here.run(['check', '--deep', '--repair-plan']);
    assert.equal(deep.code, 1);
    assert.match(deep.out, new RegExp(`^wrong-bytes: .*${flipped}`, 'm'));
    assert.match(deep.out, /^ {2}generic-local\/gone$/m);
    assert.match(deep.out, /found 3 problems/);

    const server = await here.serve();
    for (const name of ['gone', 'cut', 'flipped']) {
      assert.equal(await server.status(`/artifactory/generic-local/${name}`, { method: 'DELETE' }), 204);
    }
    await server.stop();
    await sweepAway(here);
    await here.succeed(['check', '--deep']);
  });

  test('finds what belongs to nothing once it is old enough, and removes it only when told to', async () => {
    const here = installation();
    const orphan = join(objects, 'ab', `${'ab'.repeat(32)}.00112233`);
    const stage = join(here.dataDir, 'blobs', 'staging', '00000000-0000-4000-8000-000000000000');
    for (const path of [orphan, stage]) await writeFile(path, 'left behind');
    await here.succeed(['check']);
    for (const path of [orphan, stage]) await utimes(path, new Date(), new Date(Date.now() - 3 * DAY_MS));
    for (let i = 0; i < 2; i++) {
      const { code, out } = await here.run(['check', '--repair-plan']);
      assert.equal(code, 1);
      assert.match(out, /^orphan-object: .*ab\/(ab)+\.00112233 of 11 bytes$/m);
      assert.match(out, /^orphan-stage: /m);
      assert.match(out, /--remove-orphans/);
    }
    assert.match(await here.succeed(['check', '--remove-orphans']), /removed 2 orphans/);
    await here.succeed(['check']);
    assert.deepEqual(
      (await readdir(join(objects, 'ab'))).filter((name) => name.endsWith('.00112233')),
      [],
    );
  });

  test('finds a manifest whose layer is gone from the tree', async () => {
    const here = installation();
    const database = await here.openDatabase();
    await database.kysely.deleteFrom('node').where('name', '>', 'sha256__').where('name', '<', 'sha256__g').execute();
    await database.close();
    const { code, out } = await here.run(['check', '--repair-plan']);
    assert.equal(code, 1);
    assert.match(out, /^missing-reference: docker-local\/app\/1\.0\/manifest\.json names what is not there: sha256:/m);
    assert.match(out, /Push app:1\.0 to docker-local again/);
    assert.match(out, /^forgotten-blob: /m);
  });

  function objectOf(name: string): string {
    return sha256(Buffer.from(name.padEnd(40_000, name))).slice('sha256:'.length);
  }
  async function fileOf(digest: string): Promise<string> {
    const folder = join(objects, digest.slice(0, 2));
    const name = (await readdir(folder)).find((each) => each.startsWith(digest));
    return join(folder, name ?? 'missing');
  }
});

onEachDatabase('gc', (installation) => {
  test('removes the bytes of what was deleted', async () => {
    const here = installation();
    const server = await here.serve();
    const body = 'x'.repeat(50_000);
    await server.status('/artifactory/generic-local/a', { method: 'PUT', body });
    await server.status('/artifactory/generic-local/a', { method: 'DELETE' });
    await server.stop();
    const out = await sweepAway(here);
    assert.match(out, /^Gave up 1 blobs of 50000 bytes and removed \d objects\.$/m);
    await here.succeed(['check']);
  });
});

/** Sweeps with no delays, so that everything unnamed goes now. */
async function sweepAway(here: Installation): Promise<string> {
  const database = await here.openDatabase();
  await database.kysely.updateTable('blob_review').set({ review_after: 0 }).execute();
  await database.close();
  return here.succeed(['gc'], { env: { ENTREPOT_SWEEP__READER_GRACE_MS: '0' } });
}

async function pushImage(server: ServerProcess): Promise<void> {
  const image = makeImage();
  const base = '/v2/docker-local/app';
  for (const blob of [image.config, ...image.layers]) {
    const path = `${base}/blobs/uploads/?digest=${sha256(blob)}`;
    assert.equal(await server.status(path, { method: 'POST', body: Uint8Array.from(blob) }), 201);
  }
  const headers = { 'content-type': TYPES.manifest };
  const body = Uint8Array.from(image.bytes);
  assert.equal(await server.status(`${base}/manifests/1.0`, { method: 'PUT', body, headers }), 201);
}
