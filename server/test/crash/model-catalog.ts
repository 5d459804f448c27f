/** The few contents that a model run pushes around, so that its operations meet often. */
import { type Blob, digestOf, type Image, INDEX_TYPE, makeBlob, makeImage } from './registry-client.ts';

export interface ManifestSpec extends Pick<Image, 'manifest' | 'digest' | 'mediaType'> {
  /** What must be in the image before it is taken. */
  readonly needs: readonly string[];
  /** Blobs that lie in the folder of the manifest: what it keeps alive. */
  readonly keeps: readonly string[];
  /** Names of the images it is an index of. */
  readonly children: readonly string[];
}

/** Larger than what the server of a model run holds in the database, save the configurations. */
const LAYER_SIZES = [300, 700, 1500, 40_000];
const layers = LAYER_SIZES.map((size, i) => makeBlob(`model/layer-${i}`, size));
const images: Readonly<Record<string, Image>> = {
  one: makeImage('model/one', layers.slice(0, 1)),
  two: makeImage('model/two', layers.slice(0, 2)),
  three: makeImage('model/three', layers.slice(1, 4)),
  last: makeImage('model/last', layers.slice(3, 4)),
};

function makeIndex(...children: string[]): ManifestSpec {
  const manifests = children.map((name) => {
    const { digest, manifest, mediaType } = images[name]!;
    return { mediaType, digest, size: manifest.length };
  });
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests }));
  const needs = manifests.map(({ digest }) => digest);
  return { manifest, digest: digestOf(manifest), mediaType: INDEX_TYPE, needs, keeps: [], children };
}

export const BLOBS: ReadonlyMap<string, Blob> = new Map(
  Object.values(images).flatMap((image) => image.blobs.map((blob) => [blob.digest, blob] as const)),
);
export const BLOB_DIGESTS: readonly string[] = [...BLOBS.keys()];

export const MANIFESTS: Readonly<Record<string, ManifestSpec>> = {
  ...Object.fromEntries(
    Object.entries(images).map(([name, image]) => {
      const needs = image.blobs.map(({ digest }) => digest);
      return [name, { ...image, needs, keeps: needs, children: [] }];
    }),
  ),
  'index-a': makeIndex('one', 'two'),
  'index-b': makeIndex('two', 'three'),
};
export const MANIFEST_NAMES: readonly string[] = Object.keys(MANIFESTS);

const byDigest = new Map(Object.values(MANIFESTS).map((spec) => [spec.digest, spec]));

export function manifestOf(digest: string): ManifestSpec {
  return byDigest.get(digest)!;
}

export const TAGS = ['latest', 'v1', 'v2'] as const;
