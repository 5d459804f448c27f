/** Killed at each named point and started again: nothing acknowledged is lost, nothing is half done, and it goes on. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { CRASHPOINTS, type Crashpoint } from '../../src/lib/crashpoint.ts';
import { checkOverHttp } from './checker.ts';
import { Ledger } from './ledger.ts';
import { OPERATIONS, type Operation, type Scene } from './operations.ts';
import { createPlace, type Place, type Storage } from './place.ts';
import { makeBlob, makeImage, RegistryClient } from './registry-client.ts';
import { endAll, ServerProcess } from './server-process.ts';
import { checkAtRest, checkSpaceReturned, letTimePass } from './store-checker.ts';

/** Nothing is swept in the background unless the case is about that. */
const QUIET = { ENTREPOT_SWEEP__INTERVAL_MS: '3600000' };
const SWEEPING = {
  ENTREPOT_SWEEP__INTERVAL_MS: '50',
  ENTREPOT_SWEEP__GRACE_MS: '500',
  ENTREPOT_SWEEP__REVIEW_DELAY_MS: '0',
  ENTREPOT_SWEEP__READER_GRACE_MS: '0',
  ENTREPOT_UPLOADS__EXPIRE_MS: '1000',
  ENTREPOT_UPLOADS__FINISHED_MEMORY_MS: '0',
};

interface Case {
  readonly point: Crashpoint;
  readonly operation: Operation;
  /** The point is passed several times: at which of them. */
  readonly nth?: number;
  /** Counted from the first time that this other point was passed. */
  readonly since?: Crashpoint;
  readonly only?: Storage;
  /** With a blob that is held in the database. */
  readonly small?: true;
}

const CASES: readonly Case[] = [
  { point: 'upload.row-written', operation: 'uploads a blob in chunks' },
  { point: 'upload.chunk-synced', operation: 'uploads a blob in chunks' },
  { point: 'upload.chunk-synced', operation: 'uploads a blob in chunks', nth: 2 },
  { point: 'upload.offset-written', operation: 'uploads a blob in chunks' },
  { point: 'upload.offset-written', operation: 'uploads a blob in chunks', nth: 2 },
  { point: 'blob.verified', operation: 'uploads a blob in chunks' },
  { point: 'blob.synced', operation: 'uploads a blob in chunks' },
  { point: 'blob.announced', operation: 'uploads a blob in chunks' },
  { point: 'blob.renamed', operation: 'uploads a blob in chunks' },
  { point: 'blob.folder-synced', operation: 'uploads a blob in chunks', only: 'sqlite-fs' },
  { point: 'change.written', operation: 'uploads a blob in chunks' },
  { point: 'change.committed', operation: 'uploads a blob in chunks', since: 'change.written' },
  { point: 'change.durable', operation: 'uploads a blob in chunks' },
  { point: 'change.settled', operation: 'uploads a blob in chunks' },
  { point: 'change.written', operation: 'uploads a blob in chunks', small: true },
  { point: 'change.durable', operation: 'uploads a blob in chunks', small: true },
  { point: 'blob.staged', operation: 'uploads a blob in one request' },
  { point: 'blob.verified', operation: 'uploads a blob in one request' },
  { point: 'blob.renamed', operation: 'uploads a blob in one request' },
  { point: 'change.durable', operation: 'uploads a blob in one request' },
  { point: 'change.durable', operation: 'uploads bytes that are there already' },
  { point: 'change.written', operation: 'mounts a blob' },
  { point: 'change.durable', operation: 'mounts a blob' },
  { point: 'change.written', operation: 'puts a manifest' },
  { point: 'change.committed', operation: 'puts a manifest', since: 'change.written' },
  { point: 'change.durable', operation: 'puts a manifest' },
  { point: 'change.settled', operation: 'puts a manifest' },
  { point: 'change.written', operation: 'moves a tag' },
  { point: 'change.committed', operation: 'moves a tag', since: 'change.written' },
  { point: 'change.durable', operation: 'moves a tag' },
  { point: 'change.written', operation: 'deletes a tag' },
  { point: 'change.durable', operation: 'deletes a tag' },
  { point: 'change.written', operation: 'deletes a manifest' },
  { point: 'change.committed', operation: 'deletes a manifest', since: 'change.written' },
  { point: 'change.durable', operation: 'deletes a manifest' },
  { point: 'landing.object-removed', operation: 'puts a manifest whose blobs are missing' },
  { point: 'operation.page', operation: 'deletes a folder of many files' },
  { point: 'operation.page', operation: 'deletes a folder of many files', nth: 3 },
  { point: 'operation.done', operation: 'deletes a folder of many files' },
  { point: 'operation.page', operation: 'moves a folder of many files', nth: 3 },
  { point: 'operation.done', operation: 'moves a folder of many files' },
  { point: 'leftover.row-removed', operation: 'sweeps' },
  { point: 'sweep.condemned', operation: 'sweeps' },
  { point: 'sweep.object-removed', operation: 'sweeps' },
  { point: 'sweep.trash-cleared', operation: 'sweeps' },
];

for (const storage of ['sqlite-fs', 'postgres-s3'] as const) {
  describe(`killed at a named point (${storage})`, () => {
    let place: Place;
    let client: RegistryClient;
    const ledgers: Ledger[] = [];

    before(async () => {
      place = await createPlace(storage);
      client = new RegistryClient(place);
    });
    afterEach(() => endAll(place));
    after(async () => {
      client.close();
      await place.remove();
    });

    for (const point of ['migration.applied', 'migration.recorded'] as const) {
      it(`dies at ${point} while it makes the schema and starts the next time`, async () => {
        const server = await ServerProcess.spawn(place, { env: { ...QUIET, ENTREPOT_CRASHPOINT: point } });
        assert.equal((await server.exited).signal, 'SIGKILL', server.output);
      });
    }

    it('then serves', async () => {
      await ServerProcess.start(place, { env: QUIET });
      await client.login();
    });

    for (const [index, { point, operation, nth = 1, since, only, small }] of CASES.entries()) {
      if (only !== undefined && only !== storage) continue;
      const turn = `${nth > 1 ? ` (${nth}.)` : ''}${small ? ', of a small blob,' : ''}`;
      it(`dies at ${point}${turn} while it ${operation} and loses nothing`, async () => {
        const ledger = new Ledger();
        ledgers.push(ledger);
        const scene = makeScene(client, ledger, `case-${index}`, small);
        const { prepare, run, repeat } = OPERATIONS[operation];
        const sweeping = operation === 'sweeps';

        if (prepare) {
          const quiet = await ServerProcess.start(place, { env: QUIET });
          await prepare(scene);
          await quiet.kill();
        }

        const env = {
          ...(sweeping ? SWEEPING : QUIET),
          ENTREPOT_CRASHPOINT: `${since ? `${since},` : ''}${point}:${nth}`,
        };
        const dying = await ServerProcess.spawn(place, { env });
        if (!sweeping) {
          await dying.ready();
          await assert.rejects(run(scene), 'the request outlived the server');
        }
        assert.deepEqual(await dying.exited, { code: null, signal: 'SIGKILL' }, `${point} was not hit`);
        assert.deepEqual(await checkAtRest(place), []);

        const next = await ServerProcess.start(place, { env: QUIET });
        assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
        await repeat(scene);
        assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
        await next.kill();
        assert.deepEqual(await checkAtRest(place), []);
      });
    }

    it('gives back all that the dead servers left behind', async () => {
      await letTimePass(place);
      const server = await ServerProcess.start(place, { env: SWEEPING });
      await checkSpaceReturned(place);
      for (const ledger of ledgers) assert.deepEqual((await checkOverHttp(client, ledger)).violations, []);
      assert.deepEqual(await server.stop(), { code: 0, signal: null });
    });
  });
}

it('has a case for every named point', () => {
  const tried = new Set<string>(['migration.applied', 'migration.recorded', ...CASES.map(({ point }) => point)]);
  // Those of uploads in parts have cases of their own, in multipart.test.ts.
  assert.deepEqual(
    CRASHPOINTS.filter((point) => !tried.has(point) && !point.startsWith('multipart.')),
    [],
  );
});

function makeScene(client: RegistryClient, ledger: Ledger, image: string, small = false): Scene {
  const layers = [makeBlob(`${image}/small`, 3000), makeBlob(`${image}/large`, 300_000)];
  const others = [layers[0]!, makeBlob(`${image}/newer`, 200_000)];
  return {
    client,
    ledger,
    image,
    other: `${image}-other`,
    first: makeImage(`${image}/first`, layers),
    blob: small ? layers[0]! : layers[1]!,
    second: makeImage(`${image}/second`, others),
    session: undefined,
  };
}
