/** A server with remote repositories over an upstream that does what a test scripts. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { HostileUpstream } from '../../support/hostile-upstream.ts';
import { type Answer, STORAGES, startTestApp, type TestApp } from '../../support/test-app.ts';

export interface RemoteWorld {
  readonly app: TestApp;
  readonly upstream: HostileUpstream;
  /** Makes a remote repository of the upstream with settings beside its address; returns its address here. */
  remote(key: string, settings?: Readonly<Record<string, unknown>>): Promise<string>;
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  head(path: string): Promise<Answer>;
  /** How many blobs the store holds. */
  blobs(): Promise<number>;
}

export const ALLOWED = { ENTREPOT_REMOTES__ALLOWED_ADDRESSES: '127.0.0.0/8' };

/** Runs the tests on each storage, over one server and one upstream. */
export function onEachRemoteStorage(
  name: string,
  tests: (world: () => RemoteWorld) => void,
  env: Readonly<Record<string, string>> = {},
): void {
  for (const storage of STORAGES) {
    describe(`${name} on ${storage}`, () => {
      let world: RemoteWorld;
      before(async () => {
        const [app, upstream] = [await startTestApp(storage, { ...ALLOWED, ...env }), await HostileUpstream.start()];
        world = makeWorld(app, upstream);
      });
      after(async () => {
        await world.upstream.stop();
        await world.app.stop();
      });
      tests(() => world);
    });
  }
}

export function makeWorld(app: TestApp, upstream: HostileUpstream): RemoteWorld {
  return {
    app,
    upstream,
    async remote(key, settings = {}) {
      const body = { rclass: 'remote', packageType: 'generic', url: `${upstream.url}/up`, ...settings };
      const made = await app.admin.request('PUT', `/artifactory/api/repositories/${key}`, {
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      });
      assert.equal(made.status, 200, made.text);
      return `/artifactory/${key}`;
    },
    get: (path, headers = {}) => app.admin.request('GET', path, { headers }),
    head: (path) => app.admin.request('HEAD', path),
    async blobs() {
      const database = await app.openDatabase();
      try {
        const row = await database.kysely
          .selectFrom('blob')
          .select(({ fn }) => fn.countAll<number | string>().as('count'))
          .executeTakeFirstOrThrow();
        return Number(row.count);
      } finally {
        await database.close();
      }
    },
  };
}
