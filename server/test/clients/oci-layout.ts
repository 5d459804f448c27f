import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { renderTar } from './tar.ts';

export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  inToto: 'application/vnd.in-toto+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

export interface Platform {
  readonly os: string;
  readonly architecture: string;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Layer {
  readonly blob: Buffer;
  /** The digest of the archive before compression, which the image's configuration lists. */
  readonly diffId: string;
}

/** A closed set of blobs and the descriptor of the manifest or index that reaches all of them. */
export interface OciImage {
  readonly root: Descriptor;
  readonly blobs: ReadonlyMap<string, Buffer>;
}

export interface MultiArchImage extends OciImage {
  /** The manifests of the index: one image per architecture, then one attestation per image. */
  readonly children: readonly Descriptor[];
}

export function digestOf(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function describe(mediaType: string, bytes: Buffer): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

/** Renders JSON the way manifests are stored: one line, and the same bytes for the same value. */
export function renderJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

export function buildLayer(files: Readonly<Record<string, string | Buffer>>): Layer {
  const archive = renderTar(files);
  return { blob: gzipSync(archive), diffId: digestOf(archive) };
}

/** Builds the image of one platform. */
export function buildImage(layers: readonly Layer[], platform: Platform): OciImage {
  const config = renderJson({
    created: '2024-01-01T00:00:00Z',
    ...platform,
    config: { Cmd: ['/hello'], Labels: { 'org.opencontainers.image.title': 'entrepot client test' } },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map((_, index) => ({ created: '2024-01-01T00:00:00Z', created_by: `layer ${index}` })),
  });
  const manifest = renderJson({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: describe(mediaTypes.config, config),
    layers: layers.map((layer) => describe(mediaTypes.layer, layer.blob)),
  });
  return {
    root: { ...describe(mediaTypes.manifest, manifest), platform },
    blobs: collectBlobs([manifest, config, ...layers.map((layer) => layer.blob)]),
  };
}

/** Builds what a multi-platform build with provenance pushes: two images and their two attestations in one index. */
export function buildMultiArchImage(seed: string): MultiArchImage {
  const shared = buildLayer({ 'etc/shared.txt': `shared by both architectures of ${seed}\n` });
  const images = ['amd64', 'arm64'].map((architecture) => {
    const own = buildLayer({
      hello: `${seed} for ${architecture}\n`,
      [`usr/lib/${architecture}.txt`]: seed.repeat(200),
    });
    return buildImage([shared, own], { os: 'linux', architecture });
  });
  const attestations = images.map((image) => buildAttestation(image.root));
  const children = [...images, ...attestations].map((image) => image.root);
  const index = renderJson({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: children });
  const parts = [...images, ...attestations].flatMap((image) => [...image.blobs.values()]);
  return { root: describe(mediaTypes.index, index), blobs: collectBlobs([index, ...parts]), children };
}

function buildAttestation(subject: Descriptor): OciImage {
  const statement = renderJson({
    _type: 'https://in-toto.io/Statement/v0.1',
    predicateType: 'https://slsa.dev/provenance/v0.2',
    subject: [{ name: 'image', digest: { sha256: subject.digest.slice('sha256:'.length) } }],
    predicate: { builder: { id: '' }, buildType: 'https://example.test/build' },
  });
  const platform = { os: 'unknown', architecture: 'unknown' };
  const config = renderJson({ ...platform, config: {}, rootfs: { type: 'layers', diff_ids: [digestOf(statement)] } });
  const manifest = renderJson({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: describe(mediaTypes.config, config),
    layers: [
      {
        ...describe(mediaTypes.inToto, statement),
        annotations: { 'in-toto.io/predicate-type': 'https://slsa.dev/provenance/v0.2' },
      },
    ],
  });
  const annotations = {
    'vnd.docker.reference.digest': subject.digest,
    'vnd.docker.reference.type': 'attestation-manifest',
  };
  return {
    root: { ...describe(mediaTypes.manifest, manifest), annotations, platform },
    blobs: collectBlobs([manifest, config, statement]),
  };
}

export function collectBlobs(parts: readonly Buffer[]): Map<string, Buffer> {
  return new Map(parts.map((bytes) => [digestOf(bytes), bytes]));
}

/** Writes an image as an OCI layout whose only entry carries the tag. */
export async function writeLayout(folder: string, image: OciImage, tag: string): Promise<void> {
  await writeLayoutFrame(folder, image.root, tag);
  for (const [digest, bytes] of image.blobs) await writeFile(blobPath(folder, digest), bytes);
}

/** Writes a layout without its blobs, for images whose layers are too large to hold. */
export async function writeLayoutFrame(folder: string, root: Descriptor, tag: string): Promise<void> {
  await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const annotations = { ...root.annotations, 'org.opencontainers.image.ref.name': tag };
  await writeFile(
    join(folder, 'index.json'),
    renderJson({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: [{ ...root, annotations }] }),
  );
}

/** Reads a layout a client wrote; every blob's digest is computed from its bytes, never taken from its name. */
export async function readLayout(
  folder: string,
): Promise<{ roots: readonly Descriptor[]; blobs: Map<string, Buffer> }> {
  const index = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as { manifests: Descriptor[] };
  const names = await readdir(join(folder, 'blobs/sha256'));
  const parts = await Promise.all(names.map((name) => readFile(join(folder, 'blobs/sha256', name))));
  return { roots: index.manifests, blobs: collectBlobs(parts) };
}

export function blobPath(folder: string, digest: string): string {
  return join(folder, 'blobs/sha256', digest.slice('sha256:'.length));
}
