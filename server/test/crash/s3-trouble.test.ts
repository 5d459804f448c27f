/** An object store that refuses, forgets to answer or cuts: what the server answers, and what it keeps (F40–F46). */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type FaultAction, type FaultyS3, type S3Operation, startFaultyS3 } from '../support/faulty-s3.ts';
import { checkOverHttp } from './checker.ts';
import { createPlace, type Place } from './place.ts';
import {
  type Answer,
  type Blob,
  digestOf,
  makeBlob,
  makeImage,
  NoAnswer,
  putManifest,
  REPO,
  RegistryClient,
  type UploadMode,
  uploadBlob,
} from './registry-client.ts';
import { runSeed, Seeded } from './seeded.ts';
import { endAll, ServerProcess } from './server-process.ts';
import { checkAtRest, checkSpaceReturned, letTimePass } from './store-checker.ts';
import { faultOf, startLoad } from './trouble.ts';

const LOAD_MS = Number(process.env['ENTREPOT_FAULT_S3_LOAD_MS'] ?? 3000);
const SYSTEM = '/artifactory/api/v1/system';
/** Beyond the retries of one step and what they wait between. */
const ANSWER_LIMIT_MS = 35_000;
const MIB = 1024 * 1024;
const PART_BYTES = 5 * MIB;
const ENV = { ENTREPOT_STORAGE__S3__PART_SIZE_BYTES: String(PART_BYTES) };
/** For the last start: what is left over goes at once. */
const SHORT_GRACES = {
  ...ENV,
  ENTREPOT_SWEEP__INTERVAL_MS: '100',
  ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
  ENTREPOT_SWEEP__READER_GRACE_MS: '0',
  ENTREPOT_SWEEP__GRACE_MS: '0',
  ENTREPOT_UPLOADS__EXPIRE_MS: '1000',
  ENTREPOT_UPLOADS__FINISHED_MEMORY_MS: '0',
};
const WRITES: readonly S3Operation[] = ['PutObject', 'CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'];

describe('the object store in trouble', () => {
  const seed = runSeed();
  let s3: FaultyS3;
  let place: Place;
  let server: ServerProcess;
  let client: RegistryClient;
  let basic: RegistryClient;

  before(async () => {
    place = await createPlace('postgres-s3', {
      s3Endpoint: async (upstream) => {
        s3 = await startFaultyS3(upstream);
        return s3.endpoint;
      },
    });
    server = await ServerProcess.start(place, { env: ENV });
    client = new RegistryClient(place);
    basic = new RegistryClient(place);
    await client.login();
  });
  afterEach(() => s3.heal());
  after(async () => {
    client.close();
    basic.close();
    await endAll(place);
    await place.remove();
    await s3.stop();
  });

  it('lets every push succeed when one request in twenty is told to slow down', { timeout: 90_000 }, async (t) => {
    const fault = s3.inject({ operation: 'any', share: 0.05, action: { kind: 'status', status: 503 } });
    const before = s3.requests.length;
    const random = new Seeded(`${seed}/slow-down`);
    const load = await startLoad(place, random, { name: 'slow', pushers: 4, fileClients: 2, maxLayerBytes: 300_000 });
    await new Promise((resolve) => setTimeout(resolve, LOAD_MS));
    await load.stop();
    s3.heal();
    assert.deepEqual(load.complaints, []);
    assert.equal(load.refusals, 0, 'a client noticed');
    await load.checkFiles();
    assert.deepEqual((await checkOverHttp(load.client, load.ledger)).violations, []);
    load.client.close();
    t.diagnostic(
      `seed ${seed}: ${fault.hits} of ${s3.requests.length - before} requests refused, ${load.pushes} pushes and ${load.puts} files, all stored`,
    );
  });

  for (const [what, status] of [
    ['told to slow down', 503],
    ['told that its credentials are not valid', 403],
  ] as const) {
    it(`says 503 while every request is ${what}, and takes the same push afterwards`, {
      timeout: 90_000,
    }, async (t) => {
      const there = makeBlob(`${seed}/there-${status}`, 100_000);
      await push(there, 'two-steps');
      const [small, large] = [20_000, PART_BYTES + 1000].map((size) => makeBlob(`${seed}/new-${status}-${size}`, size));
      s3.inject({ operation: 'any', action: { kind: 'status', status } });
      const from = performance.now();
      const failures = await Promise.all([
        refusal(() => uploadBlob(client, 'trouble', small!, 'whole')),
        refusal(() => uploadBlob(client, 'trouble', small!, 'two-steps')),
        refusal(() => uploadBlob(client, 'trouble', large!, 'chunks')),
        refusal(() => basic.expect([201], 'PUT', '/artifactory/generic-local/new.bin', { body: small!.bytes })),
        refusal(() => expectOk('GET', `/v2/${REPO}/trouble/blobs/${there.digest}`)),
      ]);
      const tookMs = Math.round(performance.now() - from);
      for (const answer of failures) assert.ok(answer === 'cut' || faultOf(answer) === undefined, show(answer));
      assert.ok(tookMs < ANSWER_LIMIT_MS, `the answers took ${tookMs} ms`);
      // What needs no bytes goes on.
      await expectOk('HEAD', `/v2/${REPO}/trouble/blobs/${there.digest}`);
      await expectOk('GET', `/v2/${REPO}/trouble/manifests/latest`);
      await expectOk('GET', `${SYSTEM}/liveness`);
      for (const { digest } of [small!, large!]) {
        const path = `/v2/${REPO}/trouble/blobs/${digest}`;
        assert.equal((await client.request('HEAD', path)).status, 404, 'something half-stored can be seen');
      }
      s3.heal();
      for (const blob of [small!, large!]) await push(blob, 'chunks');
      t.diagnostic(`${failures.length} requests refused within ${tookMs} ms, the same ones stored afterwards`);
    });
  }

  for (const [operation, kind] of [
    ['PutObject', 'lose-reply'],
    ['CompleteMultipartUpload', 'lose-reply'],
    ['CompleteMultipartUpload', 'error-in-200'],
  ] as const satisfies readonly (readonly [S3Operation, FaultAction['kind']])[]) {
    for (const always of [false, true]) {
      const name = `stores the right bytes when ${operation} meets ${kind} ${always ? 'each time' : 'once'}`;
      it(name, { timeout: 90_000 }, async (t) => {
        const size = operation === 'PutObject' ? 100_000 : 2 * PART_BYTES + 1000;
        const blob = makeBlob(`${seed}/${name}`, size);
        const fault = s3.inject({ operation, action: { kind }, ...(!always && { nth: 1 }) });
        const first = await outcome(() => uploadBlob(client, 'trouble', blob, 'two-steps'));
        assert.ok(fault.hits > 0, `no ${operation} was struck`);
        if (first) assert.equal(faultOf(first), undefined);
        else await readBack(blob);
        s3.heal();
        await push(blob, 'two-steps');
        t.diagnostic(`${fault.hits} struck, ${first ? 'refused with 503, stored when repeated' : 'stored at once'}`);
      });
    }
  }

  for (const kind of ['truncate', 'reset'] as const) {
    it(`cuts the client or sends every byte, when a read meets ${kind}`, { timeout: 60_000 }, async (t) => {
      const blob = makeBlob(`${seed}/read-${kind}`, 3 * MIB);
      await push(blob, 'two-steps');
      let [whole, cut, refused] = [0, 0, 0];
      for (const afterBytes of [0, 1, 65_536, 1_000_000, blob.bytes.length - 1]) {
        for (const nth of [1, undefined]) {
          s3.inject({
            operation: 'GetObject',
            action: kind === 'reset' ? { kind } : { kind, afterBytes },
            ...(nth !== undefined && { nth }),
          });
          try {
            const answer = await client.request('GET', `/v2/${REPO}/trouble/blobs/${blob.digest}`);
            if (answer.status === 200) {
              assert.equal(digestOf(answer.body), blob.digest, 'a short or other body looked complete');
              whole += 1;
            } else {
              assert.equal(faultOf(answer), undefined);
              refused += 1;
            }
          } catch (error) {
            if (!(error instanceof NoAnswer)) throw error;
            cut += 1;
          }
          s3.heal();
          if (kind === 'reset' && nth === undefined) break;
        }
        if (kind === 'reset') break;
      }
      await readBack(blob);
      t.diagnostic(`${whole} whole, ${cut} cut, ${refused} refused with 503, none short`);
    });
  }

  it('gives back all temporary space when the trouble is over', { timeout: 90_000 }, async (t) => {
    const random = new Seeded(`${seed}/leftovers`);
    for (const operation of WRITES) s3.inject({ operation, share: 0.5, action: { kind: 'lose-reply' } });
    for (let i = 0; i < 3; i++) {
      const blob = makeBlob(`${random.seed}/${i}`, PART_BYTES + 1000 * i);
      await outcome(() => uploadBlob(client, 'trouble', blob, 'chunks'));
    }
    s3.heal();
    await server.stop();
    assert.deepEqual(await checkAtRestButLeftovers(place), []);
    await letTimePass(place);
    server = await ServerProcess.start(place, { env: SHORT_GRACES });
    const from = performance.now();
    await checkSpaceReturned(place, 40_000);
    t.diagnostic(`no session, stage, multipart upload or trash left after ${Math.round(performance.now() - from)} ms`);
    await expectOk('GET', `/v2/${REPO}/trouble/manifests/latest`);
    await server.stop();
    assert.deepEqual(await checkAtRest(place), []);
  });

  /** Uploads the blob and tags an image of it: both must succeed, and be readable. */
  async function push(blob: Blob, mode: UploadMode): Promise<void> {
    const image = makeImage(blob.digest, [blob]);
    await uploadBlob(client, 'trouble', blob, mode);
    await uploadBlob(client, 'trouble', image.blobs[0]!, 'whole');
    await putManifest(client, 'trouble', 'latest', image);
    await readBack(blob);
  }

  async function readBack(blob: Blob): Promise<void> {
    const answer = await expectOk('GET', `/v2/${REPO}/trouble/blobs/${blob.digest}`);
    assert.equal(digestOf(answer.body), blob.digest);
  }

  function expectOk(method: string, path: string): Promise<Answer> {
    return client.expect([200], method, path);
  }
});

/** The refusal or the cut that the step ended with; it must not succeed. */
async function refusal(step: () => Promise<unknown>): Promise<Answer | 'cut'> {
  try {
    const answer = await outcome(step);
    assert.ok(answer, 'it succeeded without a store');
    return answer;
  } catch (error) {
    if (error instanceof NoAnswer) return 'cut';
    throw error;
  }
}

/** The refusal that the step ended with; undefined if it succeeded. */
async function outcome(step: () => Promise<unknown>): Promise<Answer | undefined> {
  try {
    await step();
    return undefined;
  } catch (error) {
    const { answer } = error as { answer?: Answer };
    if (answer) return answer;
    throw error;
  }
}

function show(answer: Answer | 'cut'): string {
  return answer === 'cut' ? answer : (faultOf(answer) ?? 'an honest refusal');
}

/** Objects that no row knows are what the sweep is for; nothing else may be wrong. */
async function checkAtRestButLeftovers(place: Place): Promise<string[]> {
  return (await checkAtRest(place)).filter((violation) => !violation.startsWith('I9: no row knows the object'));
}
