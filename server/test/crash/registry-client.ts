/** A registry client as small as one can be, which tells an answer from a cut connection. */
import { createHash } from 'node:crypto';
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { Place } from './place.ts';
import { bytesFor } from './seeded.ts';
import { ADMIN_PASSWORD } from './server-process.ts';

export const REPO = 'docker-local';
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

const BASIC = `Basic ${Buffer.from(`admin:${ADMIN_PASSWORD}`).toString('base64')}`;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** There was no complete answer: what became of the request is not known. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** The server answered, and not what the step needs. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly answer: Answer;
  constructor(step: string, answer: Answer) {
    super(`${step} was answered ${answer.status}: ${answer.body.toString().slice(0, 300)}`);
    this.answer = answer;
  }
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | Readable;
  readonly signal?: AbortSignal;
}

/** Speaks to one server over connections it keeps. */
export class RegistryClient {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 });
  #authorization = BASIC;

  constructor(place: Pick<Place, 'port'>) {
    this.#port = place.port;
  }

  /** Gets a token that outlives restarts: each of them would have the password hashed again. */
  async login(): Promise<void> {
    this.#authorization = BASIC;
    const answer = await this.expect([200], 'POST', '/access/api/v1/tokens', {
      body: Buffer.from(JSON.stringify({ expires_in: 3600 })),
      headers: { 'content-type': 'application/json' },
    });
    this.#authorization = `Bearer ${(JSON.parse(answer.body.toString()) as { access_token: string }).access_token}`;
  }

  get headers(): { readonly authorization: string } {
    return { authorization: this.#authorization };
  }

  request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const { body, signal } = options;
    const bytes = Buffer.isBuffer(body) ? body : undefined;
    const headers: Record<string, string> = { ...this.headers, ...options.headers };
    if (bytes) headers['content-length'] ??= String(bytes.length);
    else if (!body && method !== 'GET' && method !== 'HEAD') headers['content-length'] ??= '0';
    return new Promise((resolve, reject) => {
      const lost = (error: Error) => reject(new NoAnswer(`${method} ${path}: ${error.message}`, { cause: error }));
      const outgoing = httpRequest(
        { agent: this.#agent, host: '127.0.0.1', port: this.#port, method, path, headers, ...(signal && { signal }) },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.once('error', lost);
          incoming.once('end', () => {
            if (!incoming.complete) return lost(new Error('the answer was cut'));
            resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) });
          });
        },
      );
      outgoing.once('error', lost);
      if (body && !bytes) (body as Readable).pipe(outgoing);
      else outgoing.end(bytes);
    });
  }

  /** One request that must be answered with one of these statuses. */
  async expect(statuses: readonly number[], method: string, path: string, options?: RequestOptions): Promise<Answer> {
    const answer = await this.request(method, path, options);
    if (!statuses.includes(answer.status)) throw new Refused(`${method} ${path}`, answer);
    return answer;
  }

  close(): void {
    this.#agent.destroy();
  }
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export interface Blob {
  readonly digest: string;
  readonly bytes: Buffer;
}

export function makeBlob(name: string, size: number): Blob {
  const bytes = bytesFor(name, size);
  return { digest: digestOf(bytes), bytes };
}

export interface Image {
  /** Configuration first, then the layers. */
  readonly blobs: readonly Blob[];
  readonly manifest: Buffer;
  readonly digest: string;
  readonly mediaType: string;
}

export function makeImage(name: string, layers: readonly Blob[]): Image {
  const configBytes = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', config: { Labels: { name } } }));
  const config = { digest: digestOf(configBytes), bytes: configBytes };
  const descriptor = (mediaType: string, { digest, bytes }: Blob) => ({ mediaType, digest, size: bytes.length });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: descriptor('application/vnd.oci.image.config.v1+json', config),
      layers: layers.map((layer) => descriptor('application/vnd.oci.image.layer.v1.tar', layer)),
    }),
  );
  return { blobs: [config, ...layers], manifest, digest: digestOf(manifest), mediaType: MANIFEST_TYPE };
}

export type UploadMode = 'whole' | 'two-steps' | 'chunks';

/** Uploads a blob without asking whether it is there. */
export async function uploadBlob(client: RegistryClient, image: string, blob: Blob, mode: UploadMode): Promise<void> {
  const base = `/v2/${REPO}/${image}/blobs/uploads/`;
  const type = { 'content-type': 'application/octet-stream' };
  if (mode === 'whole') {
    await client.expect([201], 'POST', `${base}?digest=${blob.digest}`, { body: blob.bytes, headers: type });
    return;
  }
  const started = await client.expect([202], 'POST', base);
  let location = pathOf(started);
  if (mode === 'two-steps') {
    await client.expect([201], 'PUT', withDigest(location, blob.digest), { body: blob.bytes, headers: type });
    return;
  }
  const half = Math.ceil(blob.bytes.length / 2);
  for (const [from, to] of [
    [0, half],
    [half, blob.bytes.length],
  ] as const) {
    if (from === to) continue;
    location = pathOf(
      await client.expect([202], 'PATCH', location, {
        body: blob.bytes.subarray(from, to),
        headers: { ...type, 'content-range': `${from}-${to - 1}` },
      }),
    );
  }
  await client.expect([201], 'PUT', withDigest(location, blob.digest));
}

export function putManifest(
  client: RegistryClient,
  image: string,
  reference: string,
  manifest: Pick<Image, 'manifest' | 'mediaType'>,
): Promise<Answer> {
  return client.expect([201], 'PUT', `/v2/${REPO}/${image}/manifests/${reference}`, {
    body: manifest.manifest,
    headers: { 'content-type': manifest.mediaType },
  });
}

export function pathOf(answer: Answer): string {
  const location = answer.headers.location;
  if (location === undefined) throw new Refused('an upload without a Location', answer);
  return location.startsWith('http') ? new URL(location).pathname : location;
}

export function withDigest(location: string, digest: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}digest=${digest}`;
}
