import { type Descriptor, digestOf, type OciImage } from './oci-layout.ts';
import { requireTarget } from './target.ts';

/** Looks into the registry beside the client under test, by HTTP with Basic credentials. */
const everyManifestType = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

export interface StoredManifest {
  readonly bytes: Buffer;
  /** Computed from the bytes. */
  readonly digest: string;
  readonly mediaType: string;
}

export async function requireManifest(imagePath: string, reference: string): Promise<StoredManifest> {
  const manifest = await getManifest(imagePath, reference);
  if (manifest === undefined) throw new Error(`The registry has no ${imagePath} ${reference}.`);
  return manifest;
}

export async function getManifest(imagePath: string, reference: string): Promise<StoredManifest | undefined> {
  const response = await request(`/v2/${imagePath}/manifests/${reference}`, { accept: everyManifestType });
  if (response.status === 404) return undefined;
  await requireOk(response);
  const bytes = Buffer.from(await response.arrayBuffer());
  const digest = digestOf(bytes);
  const told = response.headers.get('docker-content-digest');
  if (told !== digest) throw new Error(`${imagePath} ${reference} has ${digest}, but its header says ${told}.`);
  return { bytes, digest, mediaType: response.headers.get('content-type') ?? '' };
}

/** Answers an image's tags in the registry's order; an unknown image has none. */
export async function listTags(imagePath: string): Promise<readonly string[]> {
  const response = await request(`/v2/${imagePath}/tags/list`);
  if (response.status === 404) return [];
  await requireOk(response);
  const { tags } = (await response.json()) as { tags: string[] | null };
  return tags ?? [];
}

export interface Referrer {
  readonly mediaType: string;
  readonly digest: string;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export async function listReferrers(imagePath: string, digest: string): Promise<readonly Referrer[]> {
  const response = await request(`/v2/${imagePath}/referrers/${digest}`);
  await requireOk(response);
  const { manifests } = (await response.json()) as { manifests: Referrer[] };
  return manifests;
}

export async function hasBlob(imagePath: string, digest: string): Promise<boolean> {
  const response = await request(`/v2/${imagePath}/blobs/${digest}`, {}, 'HEAD');
  if (response.status === 404) return false;
  await requireOk(response);
  return true;
}

export async function deleteManifest(imagePath: string, digest: string): Promise<void> {
  await requireOk(await request(`/v2/${imagePath}/manifests/${digest}`, {}, 'DELETE'));
}

/** Pushes an image without any client, for tests whose client works on what is there. */
export async function pushImage(imagePath: string, tag: string, image: OciImage): Promise<void> {
  const root = JSON.parse(String(image.blobs.get(image.root.digest))) as { manifests?: Descriptor[] };
  const children = root.manifests ?? [];
  const manifests = [image.root, ...children].map((descriptor) => descriptor.digest);
  for (const [digest, bytes] of image.blobs) {
    if (!manifests.includes(digest)) await pushBlob(imagePath, digest, bytes);
  }
  const folder = `/v2/${imagePath}/manifests`;
  for (const { digest, mediaType } of children) {
    await pushManifest(`${folder}/${digest}`, mediaType, image.blobs.get(digest)!);
  }
  await pushManifest(`${folder}/${tag}`, image.root.mediaType, image.blobs.get(image.root.digest)!);
}

async function pushBlob(imagePath: string, digest: string, bytes: Buffer): Promise<void> {
  const started = await request(`/v2/${imagePath}/blobs/uploads/`, {}, 'POST');
  await requireOk(started);
  const { url } = requireTarget();
  const location = new URL(started.headers.get('location') ?? '', url);
  location.searchParams.set('digest', digest);
  const headers = { 'content-type': 'application/octet-stream' };
  await requireOk(await request(`${location.pathname}${location.search}`, headers, 'PUT', bytes));
}

async function pushManifest(path: string, mediaType: string, bytes: Buffer): Promise<void> {
  await requireOk(await request(path, { 'content-type': mediaType }, 'PUT', bytes));
}

export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

async function request(
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
  body?: Buffer,
): Promise<Response> {
  const { url, username, password } = requireTarget();
  return await fetch(new URL(path, url), {
    method,
    ...(body === undefined ? {} : { body: new Uint8Array(body) }),
    headers: { ...headers, authorization: basicAuthorization(username, password) },
    signal: AbortSignal.timeout(30_000),
  });
}

async function requireOk(response: Response): Promise<void> {
  if (response.ok) return;
  throw new Error(`${response.url} answers ${response.status}: ${(await response.text()).slice(0, 500)}`);
}
