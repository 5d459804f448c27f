import { type Address, Connection, type Exchange, headerOf, type Reply } from './connection.ts';
import type { Blob, BlobSource } from './content.ts';
import { type Image, type ImageRef, manifestType } from './image.ts';

export type Endpoint = Address & {
  /** Goes before every image name, such as `docker-local/`. */
  readonly namePrefix: string;
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
  /** Sent as it is, by clients that need no challenge to know what to send. */
  readonly authorization?: string;
};

/** How the bytes of a blob travel: docker's chunked PATCH and closing PUT, or containerd's single PUT. */
export type PushFlow = 'classic' | 'single';

export const acceptHeader = `Accept: ${[
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
].join(', ')}`;

/** One client: a connection and its token. */
export class Session {
  readonly #connection: Connection;
  readonly #endpoint: Endpoint;
  authorization = '';

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.#connection = new Connection(endpoint);
  }

  /** Does what clients do first: asks without credentials and follows the challenge to a token for the repository. */
  async login(repository: string): Promise<void> {
    const { credentials, authorization } = this.#endpoint;
    if (authorization !== undefined) this.authorization = `Authorization: ${authorization}\r\n`;
    if (authorization !== undefined || credentials === undefined) return;
    const challenge = await this.#challenge(['/v2/', `/v2/${repository}/tags/list`]);
    const realm = /realm="([^"]+)"/.exec(challenge)?.[1] ?? '';
    const url = new URL(realm);
    if (url.host !== `${this.#endpoint.host}:${this.#endpoint.port}`) {
      throw new Error(`The token realm "${realm}" is on another host`);
    }
    url.searchParams.set('account', credentials.user);
    url.searchParams.set('service', /service="([^"]+)"/.exec(challenge)?.[1] ?? '');
    url.searchParams.set('scope', `repository:${repository}:pull,push`);
    const basic = Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64');
    const head = this.head('GET', url.pathname + url.search, [`Authorization: Basic ${basic}`]);
    const reply = await this.#connection.exchange({ head, keepsBody: true });
    this.authorization = `Authorization: Bearer ${parseToken(reply)}\r\n`;
  }

  close(): void {
    this.#connection.close();
  }

  head(method: string, target: string, headers: readonly string[]): string {
    const { host, port } = this.#endpoint;
    const extra = headers.map((header) => `${header}\r\n`).join('');
    return `${method} ${target} HTTP/1.1\r\nHost: ${host}:${port}\r\nUser-Agent: bench/1\r\n${this.authorization}${extra}\r\n`;
  }

  /** A request made once and sent many times. */
  prepare(method: 'GET' | 'HEAD', target: string, headers: readonly string[] = [acceptHeader]): Exchange {
    return { head: Buffer.from(this.head(method, target, headers)), isHead: method === 'HEAD' };
  }

  async send(exchange: Exchange, wanted: number): Promise<Reply> {
    const reply = await this.#connection.exchange(exchange);
    if (reply.status !== wanted) throw new Error(describe(exchange, reply, wanted));
    return reply;
  }

  /** Sends the bytes of a blob that the repository lacks. */
  async pushBlob(repository: string, upload: Upload): Promise<void> {
    await this.#probe(repository, upload.digest);
    const session = await this.send({ head: this.#bodyless('POST', `/v2/${repository}/blobs/uploads/`) }, 202);
    const location = requireLocation(session);
    const typed = 'Content-Type: application/octet-stream';
    if (upload.flow === 'single') {
      const head = this.head('PUT', withDigest(location, upload.digest), [
        typed,
        `Content-Length: ${upload.sizeBytes}`,
      ]);
      await this.send({ head, body: upload.body() }, 201);
      return;
    }
    const head = this.head('PATCH', location, [typed, 'Transfer-Encoding: chunked']);
    const patched = await this.send({ head, body: upload.chunkedBody() }, 202);
    await this.send({ head: this.#bodyless('PUT', withDigest(requireLocation(patched), upload.digest)) }, 201);
  }

  async pushImage(source: BlobSource, image: Image, flow: PushFlow): Promise<void> {
    const { repository, tag, configDigest } = image.ref;
    await this.pushBlob(repository, uploadOf(source, image.layer, flow));
    await this.pushBlob(repository, {
      digest: configDigest,
      sizeBytes: image.config.length,
      flow,
      body: () => [image.config],
      chunkedBody: () => [
        Buffer.concat([
          Buffer.from(`${image.config.length.toString(16)}\r\n`),
          image.config,
          Buffer.from('\r\n0\r\n\r\n'),
        ]),
      ],
    });
    const head = this.head('PUT', `/v2/${repository}/manifests/${tag}`, [
      `Content-Type: ${manifestType}`,
      `Content-Length: ${image.manifest.length}`,
    ]);
    await this.send({ head, body: [image.manifest] }, 201);
  }

  /** Pulls as docker does: resolves the tag, then the manifest by digest, the configuration and the layer. */
  async pullImage(ref: ImageRef): Promise<number> {
    const path = `/v2/${ref.repository}`;
    await this.send(this.prepare('HEAD', `${path}/manifests/${ref.tag}`), 200);
    const manifest = await this.send(this.prepare('GET', `${path}/manifests/${ref.manifestDigest}`), 200);
    const config = await this.send(this.prepare('GET', `${path}/blobs/${ref.configDigest}`), 200);
    const layer = await this.send(this.prepare('GET', `${path}/blobs/${ref.layerDigest}`), 200);
    if (layer.bodyBytes !== ref.layerBytes) {
      throw new Error(`The layer came with ${layer.bodyBytes} of ${ref.layerBytes} bytes`);
    }
    return manifest.bodyBytes + config.bodyBytes + layer.bodyBytes;
  }

  /** The first challenge; a server may let anybody ask whether it is there. */
  async #challenge(targets: readonly string[]): Promise<string> {
    for (const target of targets) {
      const reply = await this.#connection.exchange({ head: this.head('GET', target, []), keepsBody: true });
      const challenge = headerOf(reply.head, 'www-authenticate');
      if (reply.status === 401 && challenge?.startsWith('Bearer ') === true) return challenge;
    }
    throw new Error(`${targets.join(' and ')} gave no challenge for a bearer token`);
  }

  async #probe(repository: string, digest: string): Promise<void> {
    await this.send({ head: this.head('HEAD', `/v2/${repository}/blobs/${digest}`, []), isHead: true }, 404);
  }

  #bodyless(method: string, target: string): string {
    return this.head(method, target, ['Content-Length: 0']);
  }
}

export type Upload = {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly flow: PushFlow;
  readonly body: () => Iterable<Buffer>;
  readonly chunkedBody: () => Iterable<Buffer>;
};

export function uploadOf(source: BlobSource, blob: Blob, flow: PushFlow): Upload {
  return {
    digest: blob.digest,
    sizeBytes: blob.sizeBytes,
    flow,
    body: () => source.body(blob),
    chunkedBody: () => source.chunkedBody(blob),
  };
}

function parseToken(reply: Reply): string {
  if (reply.status !== 200) throw new Error(`The token endpoint answered ${reply.status}`);
  const answer: unknown = JSON.parse(reply.body?.toString() ?? '');
  if (typeof answer === 'object' && answer !== null && 'token' in answer && typeof answer.token === 'string') {
    return answer.token;
  }
  throw new Error('The token endpoint gave no token');
}

function requireLocation(reply: Reply): string {
  const location = headerOf(reply.head, 'location');
  if (location === undefined) throw new Error(`The ${reply.status} reply has no Location`);
  if (location.startsWith('/')) return location;
  const url = new URL(location);
  return url.pathname + url.search;
}

function withDigest(location: string, digest: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}digest=${digest}`;
}

function describe(exchange: Exchange, reply: Reply, wanted: number): string {
  const line = exchange.head.toString('latin1').split('\r\n', 1)[0] ?? '';
  return `${line} answered ${reply.status}, not ${wanted}`;
}
