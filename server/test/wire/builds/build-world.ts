/** Builds as clients publish them, and short ways to make and look at them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Answer, Caller } from '../../support/test-app.ts';
import { expectStatus, getJson, sendJson } from '../api/api-world.ts';

export const BUILD = '/artifactory/api/build';
export const STARTED = '2026-03-04T10:00:00.000+0300';

export interface BuildFields {
  readonly name: string;
  readonly number: string;
  readonly started?: string;
  readonly [field: string]: unknown;
}

export function makeBuild(fields: BuildFields): Record<string, unknown> {
  return {
    version: '1.0.1',
    type: 'GENERIC',
    agent: { name: 'client', version: '2.0' },
    buildAgent: { name: 'GENERIC', version: '2.0' },
    started: STARTED,
    principal: 'bob',
    modules: [],
    ...fields,
  };
}

export function sums(text: string) {
  const hash = (algorithm: string) => createHash(algorithm).update(text).digest('hex');
  return { sha1: hash('sha1'), md5: hash('md5'), sha256: hash('sha256') };
}

/** Deploys a file with the properties of a build and returns what the build's document says of it. */
export async function deploy(
  caller: Caller,
  file: { readonly repo: string; readonly path: string; readonly body: string },
  build?: { readonly name: string; readonly number: string },
): Promise<Record<string, unknown>> {
  const { repo, path, body } = file;
  const properties = build
    ? `;build.name=${encodeURIComponent(build.name)};build.number=${encodeURIComponent(build.number)}`
    : '';
  await expectStatus(caller.request('PUT', `/artifactory/${repo}/${path}${properties}`, { body }), 201);
  const name = path.slice(path.lastIndexOf('/') + 1);
  return { type: 'txt', name, path, originalDeploymentRepo: repo, ...sums(body) };
}

export async function publish(caller: Caller, fields: BuildFields, query = ''): Promise<Answer> {
  return expectStatus(sendJson(caller, 'PUT', `${BUILD}${query}`, makeBuild(fields)), 204);
}

export async function getBuild(
  caller: Caller,
  name: string,
  number: string,
  query = '',
): Promise<Record<string, unknown>> {
  const path = `${BUILD}/${encodeURIComponent(name)}/${encodeURIComponent(number)}${query}`;
  return ((await getJson(caller, path)) as { buildInfo: Record<string, unknown> }).buildInfo;
}

export async function numbersOf(caller: Caller, name: string): Promise<string[]> {
  const answer = await caller.request('GET', `${BUILD}/${encodeURIComponent(name)}`);
  if (answer.status === 404) return [];
  assert.equal(answer.status, 200, answer.text);
  const { buildsNumbers } = answer.json() as { buildsNumbers: { uri: string }[] };
  return buildsNumbers.map(({ uri }) => uri.slice(1));
}

export function messageOf(answer: Answer): string | undefined {
  return (answer.json() as { errors?: { message: string }[] }).errors?.[0]?.message;
}
