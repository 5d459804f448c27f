/** A server that dies while a build changes: its document and its rows say the same afterwards, whatever they say. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { createPlace, type Place } from './place.ts';
import { ADMIN_PASSWORD, endAll, ServerProcess } from './server-process.ts';

const POINTS = ['change.written', 'change.committed', 'change.durable'] as const;
const LARGE = 'x'.repeat(200_000);

interface Change {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  body(name: string): unknown;
}

const CHANGES: readonly Change[] = [
  { what: 'is replaced', method: 'PUT', path: '', body: (name) => build(name, 'second') },
  { what: 'gets modules', method: 'POST', path: '/append/{name}/1', body: () => [{ id: 'added' }] },
  { what: 'is promoted', method: 'POST', path: '/promote/{name}/1', body: () => ({ status: 'released' }) },
  { what: 'is removed', method: 'DELETE', path: '/{name}?buildNumbers=1', body: () => undefined },
];

/** Large enough not to be held in the database, so that its bytes are an object of their own. */
function build(name: string, url: string) {
  return { name, number: '1', started: '2026-01-01T00:00:00.000Z', url, large: LARGE, modules: [{ id: `of ${url}` }] };
}

for (const storage of ['sqlite-fs', 'postgres-s3'] as const) {
  describe(`a build that changes while the server dies (${storage})`, () => {
    let place: Place;
    before(async () => {
      place = await createPlace(storage);
    });
    afterEach(() => endAll(place));
    after(() => place.remove());

    const send = (method: string, path: string, body?: unknown) =>
      fetch(`http://127.0.0.1:${place.port}/artifactory/api/build${path}`, {
        method,
        headers: {
          authorization: `Basic ${Buffer.from(`admin:${ADMIN_PASSWORD}`).toString('base64')}`,
          'content-type': 'application/json',
          connection: 'close',
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });

    for (const [i, point] of POINTS.entries()) {
      for (const { what, method, path, body } of CHANGES) {
        it(`dies at ${point} while it ${what}`, async () => {
          const name = `build-${i}-${method}-${what.replaceAll(' ', '-')}`;
          const quiet = await ServerProcess.start(place);
          assert.equal((await send('PUT', '', build(name, 'first'))).status, 204);
          await quiet.stop();
          // Rows that are no change of a tree, such as jobs, are committed too: the one after the writing is meant.
          const crashpoint = point === 'change.written' ? point : `change.written,${point}`;
          const dying = await ServerProcess.start(place, { env: { ENTREPOT_CRASHPOINT: crashpoint } });
          await assert.rejects(
            send(method, path.replace('{name}', name), body(name)),
            'the request outlived the server',
          );
          assert.equal((await dying.exited).signal, 'SIGKILL', `${point} was not hit`);

          await ServerProcess.start(place);
          const answer = await send('GET', `/${name}/1`);
          const rows = await place.sql(
            `select build.url, build.promoted, build_module.name from build
             join node on node.id = build.node_id join build_module on build_module.build_id = build.id
             where build.name = '${name}' order by build_module.id`,
          );
          if (answer.status === 404) {
            assert.deepEqual(rows, []);
            assert.equal(method, 'DELETE');
            return;
          }
          assert.equal(answer.status, 200);
          type Document = { buildInfo: { url: string; modules: { id: string }[]; statuses?: unknown[] } };
          const { buildInfo } = (await answer.json()) as Document;
          assert.deepEqual(
            rows.map((row) => [row['url'], Number(row['promoted']), row['name']]),
            buildInfo.modules.map(({ id }) => [buildInfo.url, buildInfo.statuses ? 1 : 0, id]),
          );
        });
      }
    }
  });
}
