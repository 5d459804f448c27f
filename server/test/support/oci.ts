/** Small images and artifacts, built in code, and a registry client that pushes them without tokens. */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import type { Answer, Caller } from './test-app.ts';

export const TYPES = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  schema1: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
} as const;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly [key: string]: unknown;
}

export function sha256(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function sha512(bytes: Buffer | string): string {
  return `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
}

/** Bytes that no other test has. */
export function uniqueBytes(size = 64): Buffer {
  const seed = randomUUID();
  return Buffer.from(seed.repeat(Math.ceil(size / seed.length)).slice(0, size));
}

export function describeBytes(mediaType: string, bytes: Buffer): Descriptor {
  return { mediaType, digest: sha256(bytes), size: bytes.length };
}

export function render(document: unknown): Buffer {
  return Buffer.from(JSON.stringify(document));
}

export interface Image {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly config: Buffer;
  readonly layers: readonly Buffer[];
}

/** An image that no other is equal to; `extra` goes into its manifest. */
export function makeImage(
  options: { readonly layers?: number; readonly config?: unknown; readonly extra?: Record<string, unknown> } = {},
): Image {
  const layers = Array.from({ length: options.layers ?? 1 }, () => uniqueBytes());
  const config = render(options.config ?? { architecture: 'amd64', os: 'linux', created: randomUUID() });
  const bytes = render({
    schemaVersion: 2,
    mediaType: TYPES.manifest,
    config: describeBytes(TYPES.config, config),
    layers: layers.map((layer) => describeBytes(TYPES.layer, layer)),
    ...options.extra,
  });
  return { bytes, digest: sha256(bytes), config, layers };
}

export function makeIndex(manifests: readonly Descriptor[], extra: Record<string, unknown> = {}): Buffer {
  return render({ schemaVersion: 2, mediaType: TYPES.index, manifests, ...extra });
}

/** One image of a registry, as one caller sees it; `base` is its path, such as `/v2/docker-local/app`. */
export class ImageClient {
  readonly caller: Caller;
  readonly base: string;

  constructor(caller: Caller, base: string) {
    this.caller = caller;
    this.base = base;
  }

  request(method: string, path: string, options?: Parameters<Caller['request']>[2]): Promise<Answer> {
    return this.caller.request(method, `${this.base}${path}`, options);
  }

  /** Starts an upload and returns its Location. */
  async startUpload(): Promise<string> {
    const answer = await this.request('POST', '/blobs/uploads/');
    assert.equal(answer.status, 202, answer.text);
    return String(answer.headers.location);
  }

  async pushBlob(bytes: Buffer, digest = sha256(bytes)): Promise<string> {
    const answer = await this.request('POST', `/blobs/uploads/?digest=${digest}`, { body: bytes });
    assert.equal(answer.status, 201, answer.text);
    return digest;
  }

  putManifest(reference: string, bytes: Buffer, type: string | undefined = TYPES.manifest): Promise<Answer> {
    return this.request('PUT', `/manifests/${reference}`, {
      body: bytes,
      ...(type !== undefined && { headers: { 'content-type': type } }),
    });
  }

  async pushManifest(reference: string, bytes: Buffer, type: string = TYPES.manifest): Promise<Descriptor> {
    const answer = await this.putManifest(reference, bytes, type);
    assert.equal(answer.status, 201, answer.text);
    return describeBytes(type, bytes);
  }

  /** Pushes everything an image needs, then its manifest. */
  async push(reference: string, image: Image): Promise<Descriptor> {
    for (const blob of [image.config, ...image.layers]) await this.pushBlob(blob);
    return this.pushManifest(reference, image.bytes);
  }

  async statusOf(path: string): Promise<number> {
    return (await this.request('GET', path)).status;
  }
}

/** The code of the first error of an answer of the distribution API. */
export function codeOf(answer: { readonly text: string }): string | undefined {
  return (JSON.parse(answer.text) as { errors?: { code: string }[] }).errors?.[0]?.code;
}
