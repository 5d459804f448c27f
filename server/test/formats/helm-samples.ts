/** Charts made in code. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { tarOf } from '../support/archives.ts';
import type { Answer, Caller } from '../support/test-app.ts';

export const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

export interface ChartOptions {
  readonly name?: string;
  readonly version?: string;
  /** Lines of Chart.yaml beside those of the name and the version. */
  readonly lines?: readonly string[];
  readonly apiVersion?: string;
  readonly files?: Readonly<Record<string, string>>;
}

export interface SampleChart {
  readonly name: string;
  readonly version: string;
  readonly filename: string;
  readonly bytes: Buffer;
}

export async function makeChart(options: ChartOptions = {}): Promise<SampleChart> {
  const { name = 'hello', version = '1.0.0', lines = [], apiVersion = 'v2', files = {} } = options;
  const chart = [`apiVersion: ${apiVersion}`, `name: ${name}`, `version: ${version}`, ...lines, ''].join('\n');
  const all = { 'Chart.yaml': chart, 'values.yaml': 'a: 1\n', ...files };
  const entries = Object.fromEntries(Object.entries(all).map(([path, text]) => [`${name}/${path}`, text]));
  return { name, version, filename: `${name}-${version}.tgz`, bytes: gzipSync(await tarOf(entries)) };
}

export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly urls: readonly string[];
  readonly digest?: string;
  readonly created?: string;
  readonly [field: string]: unknown;
}

export interface Index {
  readonly apiVersion: string;
  readonly generated: string;
  readonly entries: Readonly<Record<string, readonly IndexEntry[]>>;
  readonly serverInfo?: { readonly contextPath: string };
}

export async function readIndex(caller: Caller, key: string): Promise<Index> {
  const answer = await caller.request('GET', `/artifactory/api/helm/${key}/index.yaml`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json() as Index;
}

export function versionsOf(index: Index, name: string): readonly string[] {
  return (index.entries[name] ?? []).map(({ version }) => version);
}

export function put(caller: Caller, key: string, path: string, body: Buffer): Promise<Answer> {
  return caller.request('PUT', `/artifactory/${key}/${path.split('/').map(encodeURIComponent).join('/')}`, { body });
}

const BOUNDARY = 'an-odd-boundary';

/** What `helm cm-push` sends. */
export function push(
  caller: Caller,
  key: string,
  files: Readonly<Record<string, { readonly filename: string; readonly bytes: Buffer }>>,
  { query = '', route = 'charts' } = {},
): Promise<Answer> {
  const parts = Object.entries(files).flatMap(([field, { filename, bytes }]) => [
    Buffer.from(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${field}"; filename="${filename}"\r\nContent-Type: application/octet-stream\r\n\r\n`,
    ),
    bytes,
    Buffer.from('\r\n'),
  ]);
  return caller.request('POST', `/artifactory/api/helm/${key}/api/${route}${query}`, {
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)]),
  });
}

/** A provenance file of the right form; nobody signed it. */
export function provenanceOf({ name, version, filename, bytes }: SampleChart): Buffer {
  return Buffer.from(
    [
      '-----BEGIN PGP SIGNED MESSAGE-----',
      'Hash: SHA512',
      '',
      'apiVersion: v2',
      `name: ${name}`,
      `version: ${version}`,
      '',
      '...',
      'files:',
      `  ${filename}: sha256:${sha256(bytes)}`,
      '-----BEGIN PGP SIGNATURE-----',
      '',
      'bm90IGEgc2lnbmF0dXJl',
      '-----END PGP SIGNATURE-----',
      '',
    ].join('\n'),
  );
}
