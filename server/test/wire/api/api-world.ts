/** A server with a plain user `ann` beside the administrator, and short ways to speak JSON with it. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { type Answer, type Caller, STORAGES, startTestApp, type TestApp } from '../../support/test-app.ts';

export const PASSWORD = 'blue-teapot-17';

export interface ApiWorld {
  readonly app: TestApp;
  readonly ann: Caller;
}

/** Runs the tests once on each installation; they share the server, so each uses names of its own. */
export function onEachStorage(
  what: string,
  tests: (world: () => ApiWorld) => void,
  env: Readonly<Record<string, string>> = {},
): void {
  for (const storage of STORAGES) {
    describe(`${what} on ${storage}`, () => {
      let world: ApiWorld;
      before(async () => {
        const app = await startTestApp(storage, env);
        world = { app, ann: app.as('ann', PASSWORD) };
        await createUser(app, 'ann');
      });
      after(() => world?.app.stop());
      tests(() => world);
    });
  }
}

export function sendJson(caller: Caller, method: string, path: string, body: unknown): Promise<Answer> {
  return caller.request(method, path, {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** The body of an answer that must be 200. */
export async function getJson(caller: Caller, path: string): Promise<unknown> {
  const answer = await caller.request('GET', path);
  assert.equal(answer.status, 200, `${path}: ${answer.text}`);
  return answer.json();
}

export async function expectStatus(answer: Promise<Answer>, status: number): Promise<Answer> {
  const given = await answer;
  assert.equal(given.status, status, given.text);
  return given;
}

export async function createUser(app: TestApp, name: string, fields: object = {}): Promise<Caller> {
  const path = `/artifactory/api/security/users/${name}`;
  const body = { email: `${name}@example.com`, password: PASSWORD, ...fields };
  await expectStatus(sendJson(app.admin, 'PUT', path, body), 201);
  return app.as(name, PASSWORD);
}

/** Gives users rights in repositories, by the letters of the first form. */
export async function grant(
  app: TestApp,
  name: string,
  repositories: readonly string[],
  users: Readonly<Record<string, readonly string[]>>,
  includesPattern = '**',
): Promise<void> {
  const body = { includesPattern, repositories, principals: { users } };
  await expectStatus(sendJson(app.admin, 'PUT', `/artifactory/api/security/permissions/${name}`, body), 201);
}

/** Each route refuses who has no right to it: strangers with 401 and a challenge, plain users with 403. */
export async function expectAdminOnly(
  world: ApiWorld,
  routes: readonly (readonly [method: string, path: string, body?: unknown])[],
): Promise<void> {
  for (const [method, path, body] of routes) {
    const send = (caller: Caller) =>
      body === undefined ? caller.request(method, path) : sendJson(caller, method, path, body);
    const stranger = await send(world.app.anonymous);
    assert.equal(stranger.status, 401, `${method} ${path} as nobody`);
    assert.equal(stranger.headers['www-authenticate'], 'Basic realm="Artifactory Realm"');
    assert.equal((await send(world.ann)).status, 403, `${method} ${path} as a plain user`);
  }
}
