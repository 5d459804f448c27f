/** A server with remote repositories of registries of every shape, which are hosts of a fake internet. */
import assert from 'node:assert/strict';
import { makeCertificate, type TestCertificate } from './certificate.ts';
import { FakeInternet } from './fake-internet.ts';
import { FakeRegistry, REGISTRY_PASSWORD } from './fake-registries.ts';
import type { RegistryShape } from './registry-shapes.ts';
import type { Caller, Storage } from './test-app.ts';
import { startWorld, type World, type WorldOptions } from './wire-world.ts';

export interface RegistryWorld extends World {
  readonly net: FakeInternet;
  /** Opens a registry and makes a remote repository of it. */
  addRemote(key: string, shape: RegistryShape, settings?: Readonly<Record<string, unknown>>): Promise<FakeRegistry>;
  /** Makes a repository, or gives it settings. */
  create(key: string, settings: Readonly<Record<string, unknown>>): Promise<void>;
}

const HOSTS = 40;

/** Starts the server; certificates are made for the hosts of the shapes before it, since it must trust them. */
export async function startRegistryWorld(
  storage: Storage,
  shapes: readonly RegistryShape[],
  options: WorldOptions = {},
): Promise<RegistryWorld> {
  const net = new FakeInternet();
  const certificates = new Map<string, TestCertificate>();
  for (const { host, auth, blobHost } of shapes) {
    for (const name of [host, typeof auth === 'object' ? auth.realmHost : host, blobHost ?? host]) {
      if (!certificates.has(name)) certificates.set(name, makeCertificate(name));
    }
  }
  assert.ok(certificates.size <= HOSTS);
  const authorities = [...certificates.values()].map(({ certificate }) => certificate);
  const outside = { resolve: net.resolve, dial: net.dial, authorities };
  const world = await startWorld(storage, { ...options, outside });
  const create = async (key: string, settings: Readonly<Record<string, unknown>>) => {
    const answer = await world.admin.request('PUT', `/artifactory/api/repositories/${key}`, {
      body: JSON.stringify({ packageType: 'docker', ...settings }),
      headers: { 'content-type': 'application/json' },
    });
    assert.equal(answer.status, 200, answer.text);
  };
  return {
    ...world,
    net,
    create,
    async addRemote(key, shape, settings = {}) {
      const registry = new FakeRegistry(shape);
      await registry.start(net, (host) => certificates.get(host) ?? assert.fail(host));
      const credentials = registry.user === undefined ? {} : { username: registry.user, password: REGISTRY_PASSWORD };
      await create(key, { rclass: 'remote', url: registry.url, ...credentials, ...settings });
      return registry;
    },
    async stop() {
      try {
        await world.stop();
      } finally {
        await net.close();
      }
    },
  };
}

/** A caller with the token that its requests for an image are challenged to get, as docker has it. */
export async function withPullToken(caller: Caller, name: string): Promise<Caller> {
  const answer = await caller.request('GET', `/v2/token?scope=repository:${name}:pull`);
  assert.equal(answer.status, 200, answer.text);
  const { token } = answer.json() as { token: string };
  return {
    authorization: `Bearer ${token}`,
    request: (method, path, options) =>
      caller.request(method, path, { ...options, headers: { ...options?.headers, authorization: `Bearer ${token}` } }),
  };
}
