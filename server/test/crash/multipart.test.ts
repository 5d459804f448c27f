/** Killed while parts come in or are put together: nothing acknowledged is lost, and the client can go on. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import type { Crashpoint } from '../../src/lib/crashpoint.ts';
import { eventually } from '../support/eventually.ts';
import { createPlace, type Place } from './place.ts';
import { ADMIN_PASSWORD, endAll, ServerProcess } from './server-process.ts';
import { checkAtRest, letTimePass } from './store-checker.ts';

const QUIET = { ENTREPOT_SWEEP__INTERVAL_MS: '3600000' };
const SWEEPING = {
  ENTREPOT_SWEEP__INTERVAL_MS: '50',
  ENTREPOT_SWEEP__READER_GRACE_MS: '0',
  ENTREPOT_UPLOADS__EXPIRE_MS: '1000',
};
const ADMIN = `Basic ${Buffer.from(`admin:${ADMIN_PASSWORD}`).toString('base64')}`;
const MIB = 1024 * 1024;

const CASES: readonly { readonly point: Crashpoint; readonly nth?: number }[] = [
  { point: 'multipart.part-synced' },
  { point: 'multipart.part-synced', nth: 2 },
  { point: 'multipart.part-recorded', nth: 2 },
  { point: 'multipart.queued' },
  { point: 'blob.staged' },
  { point: 'blob.verified' },
  { point: 'blob.renamed' },
  { point: 'multipart.assembled' },
  { point: 'multipart.finished' },
];

for (const storage of ['sqlite-fs', 'postgres-s3'] as const) {
  describe(`uploads in parts, killed (${storage})`, () => {
    let place: Place;
    before(async () => {
      place = await createPlace(storage);
    });
    afterEach(() => endAll(place));
    after(() => place.remove());

    const call = (
      method: string,
      path: string,
      authorization?: string,
      body?: Buffer,
      more: Record<string, string> = {},
    ) =>
      fetch(`http://127.0.0.1:${place.port}${path}`, {
        method,
        headers: { ...(authorization !== undefined && { authorization }), ...more },
        ...(body && { body: new Uint8Array(body) }),
      });
    const post = (token: string, name: string) =>
      call('POST', `/artifactory/api/v1/uploads/${name}`, `Bearer ${token}`);
    const putPart = async (token: string, number: number, bytes: Buffer) => {
      const { url } = (await (await post(token, `urlPart?partNumber=${number}`)).json()) as { url: string };
      const answer = await call('PUT', new URL(url).pathname + new URL(url).search, undefined, bytes);
      if (answer.status !== 200) throw new Error(`part ${number}: ${answer.status} ${await answer.text()}`);
    };
    const statusOf = async (token: string) =>
      (await (await post(token, 'status')).json()) as { status: string; checksumToken: string };

    for (const [index, { point, nth = 1 }] of CASES.entries()) {
      it(`dies at ${point}${nth > 1 ? ` (${nth}.)` : ''} and loses nothing that was acknowledged`, async () => {
        const bytes = randomBytes(MIB + 50_000 + index);
        const parts = [bytes.subarray(0, MIB), bytes.subarray(MIB)];
        const sum = createHash('sha1').update(bytes).digest('hex');
        const path = `killed/${index}`;
        const acknowledged = new Set<number>();
        let token = '';

        const dying = await ServerProcess.start(place, { env: { ...QUIET, ENTREPOT_CRASHPOINT: `${point}:${nth}` } });
        await assert.rejects(async () => {
          const answer = await call(
            'POST',
            `/artifactory/api/v1/uploads/create?repoKey=generic-local&repoPath=${path}&partSizeMB=1`,
            ADMIN,
          );
          token = ((await answer.json()) as { token: string }).token;
          for (const [i, part] of parts.entries()) {
            await putPart(token, i + 1, part);
            acknowledged.add(i);
          }
          await post(token, `complete?sha1=${sum}`);
          for (;;) await statusOf(token);
        }, `${point} was not hit`);
        assert.deepEqual(await dying.exited, { code: null, signal: 'SIGKILL' });
        assert.deepEqual(await checkAtRest(place), []);

        // Whoever waits for the lease of the dead server to end waits a minute.
        await place.sql("update job set lease_until = 0 where state = 'running'");
        const next = await ServerProcess.start(place, { env: QUIET });
        const before = await statusOf(token);
        if (before.status === 'PARTS') {
          for (const [i, part] of parts.entries()) if (!acknowledged.has(i)) await putPart(token, i + 1, part);
        }
        assert.equal((await post(token, `complete?sha1=${sum}`)).status, 202);
        await eventually(async () => assert.equal((await statusOf(token)).status, 'FINISHED'), 20_000);
        const deployed = await call('PUT', `/artifactory/generic-local/${path}`, ADMIN, undefined, {
          'x-checksum-deploy': 'true',
          'x-checksum-deploy-token': (await statusOf(token)).checksumToken,
        });
        assert.equal(deployed.status, 201, await deployed.text());
        const read = await call('GET', `/artifactory/generic-local/${path}`, ADMIN);
        assert.ok(Buffer.from(await read.arrayBuffer()).equals(bytes));
        await next.kill();
        assert.deepEqual(await checkAtRest(place), []);
      });
    }

    it('gives back all that the dead servers left behind', async () => {
      await letTimePass(place);
      const server = await ServerProcess.start(place, { env: SWEEPING });
      await eventually(async () => {
        for (const table of ['multipart_upload', 'multipart_part', 'object_trash']) {
          assert.deepEqual(await place.sql(`select * from ${table}`), [], table);
        }
        const driver = place.openDriver();
        await driver.start();
        const stages = await Array.fromAsync(driver.staged());
        await driver.stop();
        assert.deepEqual(stages, []);
      }, 30_000);
      for (const index of CASES.keys()) {
        assert.equal((await call('HEAD', `/artifactory/generic-local/killed/${index}`, ADMIN)).status, 200);
      }
      assert.deepEqual(await server.stop(), { code: 0, signal: null });
      assert.deepEqual(await checkAtRest(place), []);
    });
  });
}
