/** Registries as people have them for upstreams, one per shape, each on hosts of its own name in a fake internet. */
import type { ServerResponse } from 'node:http';
import type { TestCertificate } from './certificate.ts';
import type { FakeHost, FakeInternet, SeenRequest } from './fake-internet.ts';
import { type Image, makeIndex, sha256, TYPES } from './oci.ts';
import type { BearerShape, RegistryShape } from './registry-shapes.ts';

export const REGISTRY_PASSWORD = 'upstream-canary-9';

interface HeldManifest {
  readonly bytes: Buffer;
  readonly type: string;
}

/** What was asked of a registry. */
export interface Counts {
  manifestGets: number;
  manifestHeads: number;
  blobGets: number;
  tokens: number;
}

export class FakeRegistry {
  readonly shape: RegistryShape;
  /** What an administrator writes as the repository's URL. */
  readonly url: string;
  readonly hosts: FakeHost[] = [];
  readonly counts: Counts = { manifestGets: 0, manifestHeads: 0, blobGets: 0, tokens: 0 };
  /** Says so where the shape has a limit. */
  remaining: number;
  /** Answers everything with this, while it is set. */
  trouble: { readonly status: number; readonly headers?: Record<string, string> } | undefined;
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifests = new Map<string, HeldManifest>();
  readonly #tags = new Map<string, string>();
  readonly #names = new Set<string>();
  readonly #tokens = new Set<string>();

  constructor(shape: RegistryShape) {
    this.shape = shape;
    const owner = shape.owner === undefined ? '' : `/v2/${shape.owner}`;
    this.url = `https://${shape.host}${shape.base ?? ''}${owner}`;
    this.remaining = shape.limit ?? 0;
  }

  get user(): string | undefined {
    const { auth } = this.shape;
    if (auth === 'none') return undefined;
    return auth === 'basic' ? 'AWS' : auth.user;
  }

  /** Opens its hosts, all of them over TLS. */
  async start(net: FakeInternet, certificate: (host: string) => TestCertificate): Promise<this> {
    const { host, auth, blobHost } = this.shape;
    const names = new Set([
      host,
      ...(typeof auth === 'object' ? [auth.realmHost] : []),
      ...(blobHost ? [blobHost] : []),
    ]);
    for (const name of names) {
      const { certificate: cert, key } = certificate(name);
      const served = await net.serve(name, (request, response) => this.#answer(name, request, response), {
        tls: { cert, key },
      });
      this.hosts.push(served);
    }
    return this;
  }

  push(name: string, tag: string, image: Image, type: string = TYPES.manifest): void {
    for (const blob of [image.config, ...image.layers]) this.#blobs.set(sha256(blob), blob);
    this.pushManifest(name, tag, image.bytes, type);
  }

  pushManifest(name: string, reference: string, bytes: Buffer, type: string): string {
    const digest = sha256(bytes);
    const full = this.#full(name);
    this.#names.add(full);
    this.#manifests.set(`${full}@${digest}`, { bytes, type });
    if (!reference.startsWith('sha256:')) this.#tags.set(`${full}:${reference}`, digest);
    return digest;
  }

  /** A manifest that says what it refers to, listed as this registry lists such things. */
  refer(name: string, subject: string, artifact: Image, artifactType: string): void {
    for (const blob of [artifact.config, ...artifact.layers]) this.#blobs.set(sha256(blob), blob);
    this.pushManifest(name, artifact.digest, artifact.bytes, TYPES.manifest);
    const entry = { mediaType: TYPES.manifest, digest: artifact.digest, size: artifact.bytes.length, artifactType };
    const index = makeIndex([entry]);
    if (this.shape.hasReferrers)
      this.#manifests.set(`${this.#full(name)} ${subject}`, { bytes: index, type: TYPES.index });
    else this.pushManifest(name, subject.replace(':', '-'), index, TYPES.index);
  }

  removeTag(name: string, tag: string): void {
    this.#tags.delete(`${this.#full(name)}:${tag}`);
  }

  /** Nothing that was asked of it so far. */
  forget(): void {
    Object.assign(this.counts, { manifestGets: 0, manifestHeads: 0, blobGets: 0, tokens: 0 });
  }

  #full(name: string): string {
    return `${this.shape.owner ?? ''}${name}`;
  }

  #answer(host: string, request: SeenRequest, response: ServerResponse): void {
    const url = new URL(request.target, `https://${host}`);
    const { auth, blobHost } = this.shape;
    if (this.trouble) {
      response.writeHead(this.trouble.status, { 'content-type': 'text/html', ...this.trouble.headers });
      response.end('<html>out of order</html>');
    } else if (host === blobHost) {
      this.#signedBlob(request, url, response);
    } else if (typeof auth === 'object' && host === auth.realmHost && url.pathname === auth.realmPath) {
      this.#token(auth, request, url, response);
    } else if (host === this.shape.host && url.pathname.startsWith(`${this.shape.base ?? ''}/v2/`)) {
      this.#registry(request, url, response);
    } else {
      response.writeHead(404).end();
    }
  }

  #token(auth: BearerShape, request: SeenRequest, url: URL, response: ServerResponse): void {
    this.counts.tokens += 1;
    const wanted = auth.user === undefined ? undefined : basic(auth.user);
    if (wanted !== undefined && request.headers.authorization !== wanted) {
      response.writeHead(401).end('{"details":"incorrect username or password"}');
      return;
    }
    const scope = url.searchParams.getAll('scope').join(' ');
    const token = Buffer.from(`${this.counts.tokens} ${scope}`).toString('base64url');
    this.#tokens.add(token);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ token, expires_in: auth.lifeSeconds ?? 300, issued_at: new Date().toISOString() }));
  }

  #isKnown(request: SeenRequest, scope: string): boolean {
    const { auth } = this.shape;
    const sent = request.headers.authorization ?? '';
    if (auth === 'none') return sent === '';
    if (auth === 'basic') return sent === basic('AWS');
    const token = sent.replace(/^Bearer /, '');
    const granted = Buffer.from(token, 'base64url').toString().split(' ').slice(1);
    return this.#tokens.has(token) && granted.includes(auth.scope ?? scope);
  }

  #registry(request: SeenRequest, url: URL, response: ServerResponse): void {
    const path = decodeURIComponent(url.pathname.slice((this.shape.base ?? '').length + '/v2/'.length));
    const match = /^(.+)\/(manifests|blobs|tags|referrers)\/(.+)$/.exec(path);
    const name = match?.[1] ?? '';
    const scope = match ? `repository:${name}:pull` : 'registry:catalog:*';
    const [, , kind, reference = ''] = match ?? [];
    if (!this.#isKnown(request, scope)) this.#challenge(scope, response);
    else if (path === '_catalog' && this.shape.hasCatalog) this.#catalog(response);
    else if (!this.#names.has(name)) this.#missing(response);
    else if (kind === 'manifests') this.#manifest(request, name, reference, response);
    else if (kind === 'blobs') this.#blob(request, url, reference, response);
    else if (kind === 'tags') this.#tagList(url, name, response);
    else this.#referrers(name, reference, response);
  }

  #challenge(scope: string, response: ServerResponse): void {
    const { auth, host } = this.shape;
    const field =
      typeof auth === 'object'
        ? `Bearer realm="https://${auth.realmHost}${auth.realmPath}",service="${auth.service ?? ''}",scope="${auth.scope ?? scope}"`
        : `Basic realm="https://${host}/",service="ecr.amazonaws.com"`;
    response.writeHead(401, { 'content-type': 'application/json', 'www-authenticate': field });
    response.end(errorBody('UNAUTHORIZED'));
  }

  #missing(response: ServerResponse): void {
    const { status, code } = this.shape.missing;
    // With a token that is good, some still answer as if there were none.
    if (status === 401) this.#challenge('repository:unknown:pull', response);
    else response.writeHead(status, { 'content-type': 'application/json' }).end(errorBody(code));
  }

  #manifest(request: SeenRequest, name: string, reference: string, response: ServerResponse): void {
    const { limit, manifestType } = this.shape;
    const isHead = request.method === 'HEAD';
    if (isHead) this.counts.manifestHeads += 1;
    else this.counts.manifestGets += 1;
    const limits = { 'ratelimit-limit': `${limit};w=21600`, 'ratelimit-remaining': `${this.remaining};w=21600` };
    if (limit !== undefined && !isHead) {
      if (this.remaining === 0) {
        response.writeHead(429, { ...limits, 'content-type': 'application/json' });
        response.end(errorBody('TOOMANYREQUESTS'));
        return;
      }
      this.remaining -= 1;
    }
    const digest = reference.startsWith('sha256:') ? reference : this.#tags.get(`${name}:${reference}`);
    const held = digest === undefined ? undefined : this.#manifests.get(`${name}@${digest}`);
    if (!held) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(errorBody('MANIFEST_UNKNOWN'));
      return;
    }
    response.writeHead(200, {
      'content-type': manifestType ?? held.type,
      'content-length': held.bytes.length,
      'docker-content-digest': digest,
      ...(limit !== undefined && limits),
    });
    response.end(isHead ? undefined : held.bytes);
  }

  #blob(request: SeenRequest, url: URL, digest: string, response: ServerResponse): void {
    const { blobHead, blobHost } = this.shape;
    if (request.method === 'HEAD' && blobHead !== undefined) {
      response.writeHead(blobHead).end();
      return;
    }
    const bytes = this.#blobs.get(digest);
    if (!bytes) {
      response.writeHead(404, { 'content-type': 'application/json' }).end(errorBody('BLOB_UNKNOWN'));
    } else if (blobHost === undefined) {
      this.#sendBlob(request, bytes, response);
    } else {
      response.writeHead(307, { location: `https://${blobHost}/${digest}?X-Signature=${url.host}` }).end();
    }
  }

  /** A place that signs addresses answers nobody who also brings credentials. */
  #signedBlob(request: SeenRequest, url: URL, response: ServerResponse): void {
    const bytes = this.#blobs.get(decodeURIComponent(url.pathname.slice(1)));
    if (request.headers.authorization !== undefined || url.searchParams.get('X-Signature') === null) {
      response.writeHead(400).end('Only one auth mechanism allowed');
    } else if (request.method !== 'GET' || !bytes) {
      response.writeHead(403).end();
    } else {
      this.#sendBlob(request, bytes, response);
    }
  }

  #sendBlob(request: SeenRequest, bytes: Buffer, response: ServerResponse): void {
    if (request.method === 'GET') this.counts.blobGets += 1;
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes.length });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  }

  #tagList(url: URL, name: string, response: ServerResponse): void {
    const { tagsPage, maxTags } = this.shape;
    const n = Number(url.searchParams.get('n') ?? tagsPage);
    if (maxTags !== undefined && n > maxTags) {
      response.writeHead(405).end(errorBody('UNSUPPORTED'));
      return;
    }
    const last = url.searchParams.get('last') ?? '';
    const all = [...this.#tags.keys()].filter((key) => key.startsWith(`${name}:`));
    const tags = all
      .map((key) => key.slice(name.length + 1))
      .filter((tag) => tag > last)
      .sort();
    const page = tags.slice(0, Math.min(n, tagsPage));
    const next = `${this.shape.base ?? ''}/v2/${name}/tags/list?last=${page.at(-1)}&n=${n}`;
    response.writeHead(200, {
      'content-type': 'application/json',
      ...(page.length < tags.length && { link: `<${next}>; rel="next"` }),
    });
    response.end(JSON.stringify({ name, tags: [...page, null], manifest: {}, child: [] }));
  }

  #referrers(name: string, subject: string, response: ServerResponse): void {
    if (!this.shape.hasReferrers) {
      response.writeHead(404, { 'content-type': 'application/json' }).end(errorBody('UNSUPPORTED'));
      return;
    }
    const held = this.#manifests.get(`${name} ${subject}`);
    response.writeHead(200, { 'content-type': TYPES.index });
    response.end(held?.bytes ?? makeIndex([]));
  }

  #catalog(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ repositories: [...this.#names].sort() }));
  }
}

function basic(user: string): string {
  return `Basic ${Buffer.from(`${user}:${REGISTRY_PASSWORD}`).toString('base64')}`;
}

function errorBody(code: string): string {
  return JSON.stringify({ errors: [{ code, message: code.toLowerCase() }] });
}
