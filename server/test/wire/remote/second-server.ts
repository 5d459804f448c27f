/** A server with remote repositories over a second one, which a test may take away. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { STORAGES, startTestApp, type TestApp } from '../../support/test-app.ts';
import { expectStatus, sendJson } from '../api/api-world.ts';
import { ALLOWED } from './remote-world.ts';

export interface SecondServer {
  readonly app: TestApp;
  readonly upstream: TestApp;
  /** Makes a remote repository of one of the second server, asked as its administrator. */
  remote(key: string, of: string, settings?: Readonly<Record<string, unknown>>): Promise<void>;
}

const ALL = '/artifactory/api/repositories';

/** Runs the tests once on each installation of both servers. */
export function onEachSecondServer(what: string, tests: (world: () => SecondServer) => void): void {
  for (const storage of STORAGES) {
    describe(`${what} on ${storage}`, () => {
      let world: SecondServer;
      before(async () => {
        const [app, upstream] = await Promise.all([startTestApp(storage, ALLOWED), startTestApp(storage)]);
        world = {
          app,
          upstream,
          async remote(key, of, settings = {}) {
            const [username, password] = Buffer.from(String(upstream.admin.authorization).slice(6), 'base64')
              .toString()
              .split(':');
            const url = `${upstream.url}/artifactory/${of}`;
            const body = { rclass: 'remote', packageType: 'generic', url, username, password, ...settings };
            await expectStatus(sendJson(app.admin, 'PUT', `${ALL}/${key}`, body), 200);
          },
        };
      });
      after(async () => {
        await world.app.stop();
        await world.upstream.stop().catch(() => undefined);
        const errors = world.app.complaints.filter(({ level }) => level === 'error');
        assert.deepEqual(errors, []);
      });
      tests(() => world);
    });
  }
}

/** Puts files into a local repository, which is made where it is not there. */
export async function deploy(app: TestApp, key: string, files: Readonly<Record<string, string>>): Promise<void> {
  await sendJson(app.admin, 'PUT', `${ALL}/${key}`, { rclass: 'local', packageType: 'generic' });
  for (const [path, body] of Object.entries(files)) {
    await expectStatus(app.admin.request('PUT', `/artifactory/${key}/${path}`, { body }), 201);
  }
}
