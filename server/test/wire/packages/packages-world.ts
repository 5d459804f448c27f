/** Repositories of all classes, whose remote ones have another server for their upstream, and what is shown of them. */
import assert from 'node:assert/strict';
import { ADMIN_PASSWORD, type Caller, type TestApp } from '../../support/test-app.ts';
import { expectStatus, getJson, sendJson } from '../api/api-world.ts';

export const ALL = '/artifactory/api/v1/packages';

export interface Lines {
  readonly packages: readonly {
    readonly repository: string;
    readonly name: string;
    readonly type: string;
    readonly latest: string;
    readonly versions: number;
    readonly publishedAt: string;
  }[];
  readonly after?: string;
}

export interface Versions {
  readonly versions: readonly {
    readonly version: string;
    readonly heldBy: string;
    readonly size: number;
    readonly downloads: number;
    readonly tags: readonly string[];
    readonly preliminary: boolean;
  }[];
  readonly total: number;
  readonly after?: string;
}

export interface Detail {
  readonly heldBy: string;
  readonly description?: string;
  readonly licenses?: readonly string[];
  readonly homepage?: string;
  readonly source?: string;
  readonly authors?: readonly { readonly name: string }[];
  readonly dependencies?: readonly { readonly name: string; readonly range: string; readonly scope: string }[];
  readonly deprecated?: string;
  readonly facts?: readonly { readonly name: string; readonly value: string }[];
  readonly readme?: { readonly text: string; readonly mediaType: string; readonly truncated: boolean };
  readonly image?: {
    readonly platform?: string;
    readonly layers: readonly object[];
    readonly images: readonly { readonly digest: string; readonly platform?: string }[];
  };
  readonly downloads: number;
  readonly tags: readonly string[];
  readonly files: readonly {
    readonly path: string;
    readonly size: number;
    readonly sha256: string;
    readonly downloads: number;
  }[];
  readonly properties: Readonly<Record<string, readonly string[]>>;
}

export interface Summary {
  readonly latest: string;
  readonly versions: number;
  readonly downloads: number;
  readonly tags: readonly { readonly name: string; readonly version: string }[];
  readonly heldBy: readonly string[];
}

/**
 * Makes `<name>-up` at the other server, and here `<name>-own`, `<name>-far` with the first for its upstream, and
 * `<name>-all` over own and far.
 */
export async function makeClasses(
  { app, other }: { readonly app: TestApp; readonly other: TestApp },
  name: string,
  packageType: string,
  upstream: (key: string) => string,
): Promise<void> {
  const make = (key: string, body: object, { admin } = app) =>
    expectStatus(sendJson(admin, 'PUT', `/artifactory/api/repositories/${key}`, { packageType, ...body }), 200);
  await make(`${name}-up`, { rclass: 'local' }, other);
  await make(`${name}-own`, { rclass: 'local' });
  const credentials = { username: 'admin', password: ADMIN_PASSWORD };
  const url = `${other.url}${upstream(`${name}-up`)}`;
  await make(`${name}-far`, { rclass: 'remote', url, ...credentials });
  await make(`${name}-all`, {
    rclass: 'virtual',
    repositories: [`${name}-own`, `${name}-far`],
    defaultDeploymentRepo: `${name}-own`,
  });
}

export async function namesIn(caller: Caller, key: string, query = ''): Promise<string[]> {
  return ((await getJson(caller, `${ALL}/${key}${query}`)) as Lines).packages.map(({ name }) => name);
}

export async function versionsOf(caller: Caller, key: string, name: string, query = ''): Promise<Versions> {
  return (await getJson(caller, `${ALL}/${key}/versions/${name}${query}`)) as Versions;
}

export async function detailOf(caller: Caller, key: string, name: string, version: string): Promise<Detail> {
  return (await getJson(caller, `${ALL}/${key}/version/${name}?version=${encodeURIComponent(version)}`)) as Detail;
}

export async function summaryOf(caller: Caller, key: string, name: string): Promise<Summary> {
  return (await getJson(caller, `${ALL}/${key}/summary/${name}`)) as Summary;
}

/** The refusal's sentence, for answers that must have the status. */
export async function refusalOf(caller: Caller, path: string, status: number): Promise<string> {
  const answer = await caller.request('GET', path);
  assert.equal(answer.status, status, `${path}: ${answer.text}`);
  const [error] = (answer.json() as { errors: { message: string }[] }).errors;
  return error?.message ?? '';
}
